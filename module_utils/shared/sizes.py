# SPDX-License-Identifier: GPL-3.0-or-later
"""Parse and display sizes."""

from __future__ import annotations

import re

_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([kmgtp]?)(i?b)?\s*", re.IGNORECASE)


def parse_size(text: str | int, bare_letter: int = 1024) -> int:
    """Bytes of a size such as `512m`, `2gb` or `1GiB`.

    Args:
        text: a number, with or without a unit.
        bare_letter: what `k` without a following `b` means: 1000 in Valkey's configuration.

    Raises:
        ValueError: it is not a size; the message says what to write.
    """
    match = _SIZE.fullmatch(str(text))
    if match is None:
        raise ValueError(f"{str(text)!r} is not a size; write a number with b, k, m or g, such as 512m")
    exponent = " kmgtp".index(match[2].lower() or " ")
    return int(float(match[1]) * (1024 if match[3] else bare_letter) ** exponent)


def in_files(size: int, files: int) -> str:
    """A size with the number of files, as text."""
    return f"{human(size)} in {files} file{'' if files == 1 else 's'}"


def human(size: float) -> str:
    """A size to display."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"
