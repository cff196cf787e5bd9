# SPDX-License-Identifier: GPL-3.0-or-later
"""Properties that hold for any text and any map."""

from __future__ import annotations

import re

import pytest
from ansible.module_utils.rewriting.document import DocumentStream, StreamRewriter, plan_document
from ansible.module_utils.rewriting.mentions import Mentions
from ansible.module_utils.rewriting.rewriter import Rules
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from rewriting_case import DOCUMENTED, rules_of

# A few names that contain each other, so that maps and texts often match.
PARTS = ("trade2025", "trading", "apps", "new", "c", "mnt", "net-a", "trade2025-x", "a b", "x;", "Ä")
NETWORKS = ("net-a", "net-b", "trade2025", "trade2025-x", "a.net-a", "new", "trading")
SEPARATORS = ("/", "\\", "\\\\", "//", "\\/", "%2F", "%5C", "%255C", "\\\\\\\\")
GLUE = (
    " ",
    "\n",
    '"',
    "'",
    ":",
    ",",
    "=",
    "-",
    "_",
    ".",
    "x",
    "é",
    "“",
    "%20",
    "%3A",
    "\\n",
    "(",
    ")",
    "$",
    "{",
    "}",
    "-v",
    "C:",
    "D:",
    "/",
    "\\",
    "//",
    "file://",
    "file:///",
    "/mnt",
    "/c",
    "\\\\?\\",
    "http:",
    ";",
    "\udc80",
)

places = st.builds(
    lambda drive, parts: drive + "/" + "/".join(parts),
    st.sampled_from(("C:", "D:", "", "", "/mnt/c")),
    st.lists(st.sampled_from(PARTS), min_size=1, max_size=3),
).filter(lambda text: text.rstrip("/") not in {"/c", "/mnt/c", "/mnt/c/"})


@st.composite
def maps(draw: st.DrawFn) -> Rules:
    from ansible.module_utils.rewriting.path_map import MapError

    paths = draw(st.dictionaries(places, places, max_size=5))
    networks = draw(st.dictionaries(st.sampled_from(NETWORKS), st.sampled_from(NETWORKS), max_size=3))
    try:
        return rules_of(paths, networks)
    except MapError:
        assume(False)
        raise


references = st.builds(
    lambda lead, first, separators, parts, last: (
        lead + first + "".join(s + p for s, p in zip(separators, parts, strict=False)) + last
    ),
    st.sampled_from(("", "", "file:///", "file://", "/", "\\\\?\\", "-v")),
    st.sampled_from(("C:", "c:", "D:", "/c", "//c", "/mnt/c", "/host_mnt/c", "C%3A", "", "\\c")),
    st.lists(st.sampled_from(SEPARATORS), min_size=4, max_size=4),
    st.lists(st.sampled_from((*PARTS, "Trade2025", "TRADING", "tradingbot", "a%20b")), min_size=1, max_size=4),
    st.sampled_from(("", "", "/", "\\", "\\n", ".")),
)
texts = st.lists(
    st.one_of(references, st.sampled_from(GLUE), st.sampled_from(NETWORKS), st.sampled_from(PARTS)), max_size=12
).map(lambda pieces: "".join(pieces).encode("utf-8", "surrogateescape"))


@settings(max_examples=300)
@given(maps(), texts)
def test_applying_a_map_twice_equals_applying_it_once(rules: Rules, text: bytes) -> None:
    once = rules.plan(text).new
    assert rules.plan(once).new == once


@settings(max_examples=60)
@given(maps(), texts, st.lists(st.integers(0, 300), max_size=6))
def test_pieces_of_any_size_give_the_same(rules: Rules, text: bytes, cuts: list[int]) -> None:
    filler = b"".join(b"line %d of filler, C:/trade2025/trading/x\n" % number for number in range(200))
    data = filler[: sum(cuts) * 7 % len(filler)] + text + filler + text + text
    whole = rules.plan(data)
    for size in {199 + sum(cuts), 4096, 1 + len(data) // 3}:
        stream = StreamRewriter(rules)
        pieces = [stream.feed(data[start : start + size]) for start in range(0, len(data), size)]
        pieces.append(stream.feed(b"", final=True))
        assert b"".join(pieces) == whole.new
        assert stream.replacements == whole.replacements


@settings(max_examples=150)
@given(st.sampled_from(("utf-16-le", "utf-16-be")), texts, st.integers(1, 97), st.booleans())
def test_utf16_in_pieces_equals_utf16_in_one(encoding: str, text: bytes, size: int, odd: bool) -> None:
    mentions = Mentions(["trade2025"])
    data = ("\ufeff" + text.decode("utf-8", "replace") * 3).encode(encoding) + (b"x" if odd else b"")
    assume(b"\x00\x00" not in data)
    document = plan_document(data, DOCUMENTED, mentions)
    stream = DocumentStream(encoding, DOCUMENTED, mentions)
    pieces = [stream.feed(data[start : start + size]) for start in range(0, len(data), size)]
    pieces.append(stream.feed(b"", final=True))
    assert b"".join(pieces) == document.new
    assert document.new[len(document.new) - odd :] == data[len(data) - odd :]
    streamed = stream.document()
    assert (streamed.replacements, streamed.mentions, streamed.leftovers) == (
        document.replacements,
        document.mentions,
        document.leftovers,
    )


@settings(max_examples=150)
@given(st.binary(max_size=400))
def test_bytes_without_a_reference_do_not_change(data: bytes) -> None:
    assert DOCUMENTED.plan(data).new == data
    assert plan_document(data, DOCUMENTED, Mentions(["trade2025"])).new == data


WORDS = st.from_regex(re.compile(r"[A-Za-z0-9_-]{1,6}"), fullmatch=True)


@given(WORDS, st.sampled_from(("", ".", "~", "é", "${")))
def test_a_longer_name_is_not_a_reference(more: str, joint: str) -> None:
    for name in ("C:/trade2025/trading", "C:\\trade2025\\trading", "trade2025-backend"):
        data = f"{name}{joint}{more}".encode()
        assert DOCUMENTED.plan(data).new == data
    glued = f"{more.strip('-') or 'x'}C:/trade2025/trading {more}trade2025-backend".encode()
    assert DOCUMENTED.plan(glued).new == glued


LINE_ENDS = st.sampled_from((b"\n", b"\r\n", b"\r", b"", b" \xff\xfe\n", b"\t \n"))
TAILS = st.lists(st.sampled_from(("a", "b.txt", "c d", "e%f")), max_size=3)


@given(st.lists(st.tuples(st.sampled_from(("apps", "nats", "", "config")), TAILS, LINE_ENDS), max_size=6))
def test_the_inverse_map_gives_the_source_back(lines: list[tuple[str, list[str], bytes]]) -> None:
    forth = {
        "C:/trade2025/trading/apps": "/srv/trade2026/backend/apps",
        "C:/trade2025/trading/nats": "/srv/trade2026/data/nats",
        "C:/trade2025/trading": "/srv/trade2026",
    }
    networks = {"trade2025-a": "trade2026-a", "trade2025-b": "trade2026-b"}
    data = b"".join(
        b'"' + "/".join(["C:/trade2025/trading", *([place] if place else []), *tail]).encode() + b'" trade2025-a' + end
        for place, tail, end in lines
    )
    moved = rules_of(forth, networks).plan(data)
    back = rules_of({new: old for old, new in forth.items()}, {new: old for old, new in networks.items()})
    assert b"trade2025" not in moved.new
    assert back.plan(moved.new).new == data


@pytest.mark.parametrize("target", ["C:/trade2025", "/trade2025/x", "/srv/c/trade2025", "/mnt/c/x", "D:/C/trade2025"])
def test_a_target_that_looks_like_a_source_is_left_alone(target: str) -> None:
    rules = rules_of({"C:/trade2025": target})
    once = rules.plan(b"C:/trade2025/a /c/trade2025/b").new
    assert rules.plan(once).new == once
    assert rules.plan(target.encode()).new == target.encode()
