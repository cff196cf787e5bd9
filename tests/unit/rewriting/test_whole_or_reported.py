# SPDX-License-Identifier: GPL-3.0-or-later
"""For random maps, spellings and texts: each reference is rewritten whole, or it stays whole and is reported."""

from __future__ import annotations

import re
from typing import NamedTuple

from ansible.module_utils.rewriting.document import DocumentStream, plan_document
from ansible.module_utils.rewriting.mentions import Mentions
from ansible.module_utils.rewriting.rewriter import Rules
from hypothesis import given, settings
from hypothesis import strategies as st
from rewriting_case import rules_of

# Targets contain no part of a source, and the surrounding text contains no part of either.
FOLDERS = {"apps": "/srv/new/backend/apps", "nats": "/srv/new/data/nats", "R&D": "/srv/new/research", "": "/srv/new"}
RULES = rules_of({f"C:/trade2025/trading/{old}".rstrip("/"): new for old, new in FOLDERS.items()})
TO_WINDOWS = rules_of(
    {f"C:/trade2025/trading/{old}".rstrip("/"): new.replace("/srv", "D:") for old, new in FOLDERS.items()}
)
MENTIONS = Mentions(["trade2025"])

# Names below a mapped folder, and texts that continue its own name.
NAMES = (
    *(
        "a",
        "b.txt",
        "My Data",
        "Feed (x86)",
        "Kurse € 2024",
        "neu \u2013 alt",
        "R&D",
        "a,b",
        "day=2024-01-02",
        "[old]",
        "x;y",
    ),
    *(
        "Bob's files",
        "50%",
        "C#",
        "a+b",
        "x ~ y",
        "nats",
        "apps",
        "natsbot",
        "nats old",
        "apps-old",
        "..",
        ".",
        "...",
        "$x",
    ),
    *(
        "{a,b}",
        "*",
        "%x%",
        "Größe",
        "表示",
        "a.",
        "-",
        "--",
        "_",
        "x@y",
        "!z",
        "a^b",
        "#1",
        "(2)",
        "x'y",
        "n",
        "t",
        "r2",
    ),
)
SPELLINGS = {
    "slashes": ("C:", "/"),
    "backslashes": ("C:", "\\"),
    "escaped": ("C:", "\\\\"),
    "escaped twice": ("C:", "\\\\\\\\"),
    "WSL": ("/mnt/c", "/"),
    "Git Bash": ("/c", "/"),
    "JSON": ("C:", "\\/"),
    "escapes": ("C:", "\\u005c"),
}
AROUND = (
    *(("", ""), (" ", " "), ('"', '"'), ("'", "'"), ("`", "`"), ("(", ")"), ("x=", ";"), ("\n", "\n"), ("<v>", "</v>")),
    *(
        ("“", "”"),
        ("copy ", " D:\\x"),
        ("- ", ":/data"),
        ('\\"', '\\"'),
        ("[", "]"),
        ("see ", ", and"),
        ("> ", " old\\x"),
    ),
    *(
        ("//", ""),
        ("&quot;", "&quot;"),
        ("-v", ":/x:ro"),
        ("a,", ",b"),
        ("", "\n  deeper\\x"),
        ("", " and/or"),
        ("*", "*"),
    ),
)

UNQUOTED = {"", " ", "(", "x=", "\n", "copy ", "- ", "[", "see ", "> ", "//", "-v", "a,"}


class Reference(NamedTuple):
    """A reference with its intended meaning, and the text around it."""

    before: str
    text: str
    after: str
    names: tuple[str, ...]
    separator: str


def spelled(spelling: str, names: tuple[str, ...]) -> str:
    drive, separator = SPELLINGS[spelling]
    return drive + "".join(separator + name for name in ("trade2025", "trading", *names))


references = st.builds(
    lambda spelling, around, names: Reference(
        around[0], spelled(spelling, tuple(names)), around[1], tuple(names), SPELLINGS[spelling][1]
    ),
    st.sampled_from(sorted(SPELLINGS)),
    st.sampled_from(AROUND),
    st.lists(st.sampled_from(NAMES), max_size=4),
).filter(lambda reference: reference.before != "*" or "*" not in reference.names)


def resolved(names: tuple[str, ...]) -> list[str] | None:
    """The names below C:/trade2025/trading without `.` and `..`; None outside of it."""
    steps = ["trade2025", "trading"]
    for name in names:
        if name == "..":
            if not steps:
                return None
            steps.pop()
        elif name != ".":
            steps.append(name)
    return steps[2:] if steps[:2] == ["trade2025", "trading"] else None


def plain(text: str) -> str:
    """A path with one spelling of separators, without escapes and steps `.`."""
    return re.sub(r"/(?:\./)+", "/", re.sub(r"(?:\\u005c|\\/|\\|/)+", "/", text))


def whole(reference: Reference, windows: bool) -> str | None:
    """The only right result; None if the reference has to stay."""
    steps = resolved(reference.names)
    if steps is None:
        return None
    for length in (1, 0):
        place = FOLDERS.get("/".join(steps[:length])) if len(steps) >= length else None
        if place:
            return (place.replace("/srv", "D:") if windows else place) + "".join(f"/{name}" for name in steps[length:])
    return None


def readings(reference: Reference) -> list[tuple[tuple[str, ...], str]]:
    """Possible readings of the reference: its names, and the text after them that is not part of it.

    Outside of quotes, a last name with a space may also be a shorter name followed by a word: the text is ambiguous.
    """
    found = [(reference.names, "")]
    last = reference.names[-1] if reference.names else ""
    if " " in last and reference.before in UNQUOTED:
        name, _space, rest = last.partition(" ")
        found.append(((*reference.names[:-1], name), f" {rest}"))
    return found


def check(reference: Reference, rules: Rules, windows: bool) -> None:
    data = (reference.before + reference.text + reference.after).encode()
    document = plan_document(data, rules, MENTIONS)
    new = document.new.decode()
    assert new.startswith(reference.before)
    if document.new == data:
        assert document.leftovers, "silent"
        return
    assert new.endswith(reference.after), new
    body = new[len(reference.before) : len(new) - len(reference.after)]
    right = []
    for names, rest in readings(reference):
        wanted = whole(reference._replace(names=names), windows)
        if wanted and windows and reference.text.startswith("/"):
            wanted = re.sub(r"^D:", "/mnt/d" if reference.text.startswith("/mnt") else "/d", wanted)
        # Dots at the very end of a sentence, and dot steps there, are not a part of the path that matters.
        right += [plain(wanted + rest).rstrip("./")] if wanted else []
    assert plain(body).rstrip("./") in right
    again = plan_document(document.new, rules, MENTIONS)
    assert again.new == document.new
    assert document.leftovers == again.leftovers


@settings(max_examples=600)
@given(references)
def test_a_reference_is_whole_or_reported(reference: Reference) -> None:
    check(reference, RULES, windows=False)
    check(reference, TO_WINDOWS, windows=True)


filler = st.text(st.sampled_from("abc xyz.,-_=:;\t\n\r'\"{}[]()€ä表"), max_size=40)


@settings(max_examples=150)
@given(st.lists(st.tuples(filler, references), min_size=1, max_size=6), filler)
def test_bytes_outside_of_references_never_change(pieces: list[tuple[str, Reference]], last: str) -> None:
    """Each reference is on a separate line, with a mark before and after it."""
    data = "".join(f"{text}\n\x01{item.text}\x02\n" for text, item in pieces) + last
    document = plan_document(data.encode(), RULES, MENTIONS)
    outside = re.split("\x01[^\x02]*\x02", data)
    assert re.split("\x01[^\x02]*\x02", document.new.decode()) == outside
    assert document.replacements + document.mentions >= len(pieces)
    assert plan_document(document.new, RULES, MENTIONS).new == document.new


@settings(max_examples=60)
@given(st.lists(st.tuples(filler, references), min_size=1, max_size=8), st.integers(1, 5000))
def test_a_stream_equals_the_whole(pieces: list[tuple[str, Reference]], size: int) -> None:
    block = "".join(text + item.before + item.text + item.after for text, item in pieces).encode()
    data = block + b"line of filler\n" * 900 + block + b"x" * 6000 + block
    whole = plan_document(data, RULES, MENTIONS)
    stream = DocumentStream("text", RULES, MENTIONS)
    new = b"".join(stream.feed(data[start : start + size]) for start in range(0, len(data), size))
    new += stream.feed(b"", final=True)
    document = stream.document()
    assert new == whole.new
    assert (document.replacements, document.mentions, document.leftovers) == (
        whole.replacements,
        whole.mentions,
        whole.leftovers,
    )
