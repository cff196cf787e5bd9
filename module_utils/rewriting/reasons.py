# SPDX-License-Identifier: GPL-3.0-or-later
"""Why a reference or a mention is left as it is: stable codes, and what they mean."""

from __future__ import annotations

REASONS = {
    "mention": "the old name is mentioned, but not as a mapped path or network",
    "name": "the name of a file or folder is never changed",
    "link": "the symlink's target is not covered by the path map",
    "binary": "a binary file is copied as it is",
    "compressed": "a compressed file is copied as it is",
    "unmapped": "no entry of the path map covers this path",
    "name-goes-on": "the name may continue after the mapped folder, which would make it another folder",
    "leaves-map": "the steps `..` lead to a location that no entry of the path map covers",
    "several-places": "a variable or wildcard may stand for folders that the path map moves to different locations",
    "unclear-end": "where the path ends is unclear: what follows may belong to it",
    "unclear-start": "the text before the path is not understood",
    "unclear-bytes": "the encoding is unknown, and a backslash may be half a character; set the option `encoding`",
    "moves-again": "the rewritten path would be a reference again, so a second run would move it twice",
    "needs-quotes": "the new path needs quotes or escapes that are not there",
    "not-the-network": "the name may mean something else than the network here, such as a folder or an image",
    "short-name": "a short (8.3) name of a mapped folder; only the file system can resolve it",
    "mixed-encoding": "this part of the file is in another encoding",
}


def describe(code: str) -> str:
    """A reason as it is reported: the code and a sentence."""
    return f"{code}: {REASONS[code]}"
