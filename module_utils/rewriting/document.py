# SPDX-License-Identifier: GPL-3.0-or-later
"""Determine whether a file is text and its encoding, rewrite its content, and list what is left over."""

from __future__ import annotations

import codecs
from dataclasses import dataclass, field

from ansible.module_utils.rewriting import compose_paths
from ansible.module_utils.rewriting.compose_reasons import describe
from ansible.module_utils.rewriting.edits import Edit, Plan, apply_edits
from ansible.module_utils.rewriting.mentions import (
    COMPRESSED,
    LINES_PER_FILE,
    Kind,
    Leftover,
    LeftoverScanner,
    Mentions,
)
from ansible.module_utils.rewriting.rewriter import Clarity, Rules, ScanState

# The longer mark first: UTF-32's begins with UTF-16's.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_MARKED = frozenset(mark[:2] for mark, _encoding in _MARKS)
_COMPRESSED = tuple(COMPRESSED)
# Bytes of a code unit, in encodings whose code units are longer than a byte.
_WIDTHS = {"utf-16-le": 2, "utf-16-be": 2, "utf-32-le": 4, "utf-32-be": 4}
# Encodings in which the byte of a backslash may be the second half of a character.
_DOUBLE_BYTE = ("cp932", "gb18030", "big5hkscs", "cp950", "cp949", "johab")


@dataclass(slots=True)
class Document:
    """The content of one file after the migration.

    `kind` is `text`, `unclear` (text of an unknown encoding, in which a backslash may be half a character),
    `utf-16-le` and the like, `binary`, or the name of a given encoding. `mentions` counts the leftovers, `leftovers`
    lists the first of them.
    """

    new: bytes
    kind: str
    replacements: int = 0
    mentions: int = 0
    leftovers: list[Leftover] = field(default_factory=list)


def kind_of(head: bytes, has_nul: bool) -> str:
    """The kind of a file, from its first bytes and whether it contains a NUL byte."""
    if head[:2] in _MARKED:
        for mark, encoding in _MARKS:
            if head.startswith(mark):
                return encoding
    return "binary" if has_nul else "text"


def has_nul_unit(data: bytes, kind: str = "utf-16-le") -> bool:
    """Whether UTF-16 or UTF-32 data contains the character NUL, which no text does."""
    width = _WIDTHS[kind]
    nul = bytes(width)
    position = data.find(nul)
    while position >= 0:
        if position % width == 0:
            return True
        position = data.find(nul, position + 1)
    return False


def is_unclear(data: bytes) -> bool:
    """Whether a text is of an encoding in which a backslash may be the second half of a character.

    It is not if the whole text is UTF-8, or if no double-byte encoding can decode all of it.
    """
    if data.isascii() or _reads(data, "utf-8"):
        return False
    return any(_reads(data, encoding) for encoding in _DOUBLE_BYTE)


def _reads(data: bytes, encoding: str) -> bool:
    try:
        data.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def plan_document(
    data: bytes,
    rules: Rules,
    mentions: Mentions,
    compose: compose_paths.ComposeContext | None = None,
    encoding: str | None = None,
) -> Document:
    """The content of a whole file after the migration, and what is left over in it.

    Args:
        data: the file's bytes.
        rules: the compiled maps.
        mentions: what must not be left over.
        compose: for a Compose file, how Compose reads it.
        encoding: the file's encoding if the site sets it; lines that are not in it stay as they are.
    """
    kind = kind_of(data[:4], encoding is None and b"\x00" in data)
    if encoding and kind == "text":
        kind = f"{encoding}-le" if encoding in ("utf-16", "utf-32") else encoding
    plain = kind == "text" and not compose and not data.startswith(_COMPRESSED)
    if plain and mentions.covers(rules) and not mentions.in_name(data) and not any(rules.short_names(data)):
        return Document(data, kind)
    if kind in _WIDTHS and (has_nul_unit(data, kind) or not _decodes(data, kind)):
        kind = "binary"
    if kind == "binary":
        scanner = LeftoverScanner(mentions, rules, Kind.BINARY)
        scanner.feed(data, final=True)
        return Document(data, kind, 0, scanner.count, scanner.found)
    clarity = Clarity.CLEAR
    if kind == "text" and rules.may_concern(data) and is_unclear(data):
        clarity = Clarity.UNCLEAR
    text, odd = _as_utf8(data, kind)
    lost: list[Leftover] = []
    relative = Plan(text, 0)
    if compose:
        found_paths = compose_paths.plan_paths(text, compose, rules.path_map)
        relative = apply_edits(text, found_paths.edits)
        lost = [Leftover(item.line, item.text, describe(item.reason)) for item in found_paths.leftovers]
    plan = rules.plan(relative.new, clarity)
    plan = Plan(plan.new, plan.replacements + relative.replacements)
    new, seen, replacements = data, text, plan.replacements
    if plan.replacements:
        if kind == "text":
            new = seen = plan.new
        elif kind in _WIDTHS:
            new, seen = plan.new.decode("utf-8", "surrogatepass").encode(kind, "surrogatepass") + odd, plan.new
        else:
            new, seen = _in_encoding(data, text, plan.new, kind)
            replacements = plan.replacements if new != data else 0
    scanner = LeftoverScanner(mentions, rules, Kind.TEXT)
    scanner.feed(seen, final=True)
    found, count = scanner.found, scanner.count
    if kind in _WIDTHS:
        mixed = LeftoverScanner(mentions, rules, Kind.MIXED)
        mixed.feed(data, final=True)
        found, count = found + mixed.found, count + mixed.count
    return Document(new, kind, replacements, count + len(lost), (found + lost)[:LINES_PER_FILE])


def _decodes(data: bytes, kind: str) -> bool:
    width = _WIDTHS[kind]
    try:
        data[: len(data) // width * width].decode(kind, "surrogatepass")
    except UnicodeDecodeError:
        return False
    return True


def _as_utf8(data: bytes, kind: str) -> tuple[bytes, bytes]:
    """A text in UTF-8, and the bytes at its end that are an incomplete code unit."""
    if kind == "text":
        return data, b""
    if kind in _WIDTHS:
        whole = len(data) // _WIDTHS[kind] * _WIDTHS[kind]
        return data[:whole].decode(kind, "surrogatepass").encode("utf-8", "surrogatepass"), data[whole:]
    return data.decode(kind, "surrogateescape").encode("utf-8", "surrogatepass"), b""


def _in_encoding(data: bytes, text: bytes, new_text: bytes, encoding: str) -> tuple[bytes, bytes]:
    """A new text in the encoding of its file, line by line: an unchanged line keeps its bytes.

    A line that the encoding cannot represent, or would not reproduce exactly, stays. Returns the file's bytes, and the
    text in UTF-8.
    """
    lines, seen = [], []
    rows = zip(data.split(b"\n"), text.split(b"\n"), new_text.split(b"\n"), strict=True)
    for line, old, new in rows:
        kept, read = line, old
        if new != old:
            try:
                same = old.decode("utf-8", "surrogatepass").encode(encoding, "surrogateescape") == line
                if same:
                    kept, read = new.decode("utf-8", "surrogatepass").encode(encoding, "surrogateescape"), new
            except UnicodeEncodeError:
                pass
        lines.append(kept)
        seen.append(read)
    return b"\n".join(lines), b"\n".join(seen)


class StreamRewriter:
    """Rewrites a text that arrives in pieces; the result does not depend on where the pieces end.

    Holds a piece and some kilobytes at a time.
    """

    def __init__(self, rules: Rules, clarity: Clarity = Clarity.CLEAR) -> None:
        self._rules = rules
        self._buffer = b""
        self._emitted = 0
        self._state = ScanState(clarity=clarity)
        self.replacements = 0

    def feed(self, piece: bytes, final: bool = False) -> bytes:
        """Take the next piece and return the result as far as it is certain; `final` flushes."""
        rules, state = self._rules, self._state
        self._buffer += piece
        buffer = self._buffer
        limit = len(buffer) if final else len(buffer) - rules.reach_on
        if limit <= state.position and not final:
            return b""
        rules.scan(buffer, state, limit)
        cut = len(buffer) if final else max(self._emitted, limit - rules.reach_back)
        for edit in state.edits:
            if edit.start < cut < edit.end:
                cut = edit.end
        ready = sorted(edit for edit in state.edits if edit.end <= cut)
        pieces, position = [], self._emitted
        for edit in ready:
            pieces += [buffer[position : edit.start], edit.new]
            position = edit.end
        self.replacements += len(ready)
        pieces.append(buffer[position:cut])
        keep = max(0, cut - rules.reach_back - 16)
        self._buffer = buffer[keep:]
        self._emitted = cut - keep
        state.edits = [Edit(edit.start - keep, edit.end - keep, edit.new) for edit in state.edits if edit.end > cut]
        state.kept.clear()
        state.position -= keep
        state.floor = max(0, state.floor - keep)
        return b"".join(pieces)


class DocumentStream:
    """`plan_document` for a file of a known kind that arrives in pieces."""

    def __init__(self, kind: str, rules: Rules, mentions: Mentions) -> None:
        self._kind = kind
        self._binary = kind == "binary"
        self._rewriter = StreamRewriter(rules, Clarity.UNKNOWN if kind == "text" else Clarity.CLEAR)
        self._scanner = LeftoverScanner(mentions, rules, Kind.BINARY if self._binary else Kind.TEXT)
        self._mixed: LeftoverScanner | None = None
        if kind in _WIDTHS:
            self._decode = codecs.getincrementaldecoder(kind)("surrogatepass")
            self._decode_result = codecs.getincrementaldecoder("utf-8")("surrogatepass")
            self._odd = b""
            self._mixed = LeftoverScanner(mentions, rules, Kind.MIXED)

    def feed(self, piece: bytes, final: bool = False) -> bytes:
        """Take the next piece and return the bytes of the result that are certain by now.

        Raises:
            UnicodeDecodeError: the file is not of its kind.
        """
        if self._binary:
            self._scanner.feed(piece, final)
            return piece
        if self._mixed is None:
            result = self._rewriter.feed(piece, final)
            self._scanner.feed(result, final)
            return result
        self._mixed.feed(piece, final)
        width = _WIDTHS[self._kind]
        whole = self._odd + piece
        self._odd = whole[len(whole) // width * width :]
        text = self._decode.decode(whole[: len(whole) - len(self._odd)], final).encode("utf-8", "surrogatepass")
        result = self._rewriter.feed(text, final)
        self._scanner.feed(result, final)
        encoded = self._decode_result.decode(result, final).encode(self._kind, "surrogatepass")
        return encoded + (self._odd if final else b"")

    def document(self) -> Document:
        """The counts and leftovers, once the last piece was fed; `new` is empty."""
        found, count = self._scanner.found, self._scanner.count
        if self._mixed:
            found, count = (found + self._mixed.found)[:LINES_PER_FILE], count + self._mixed.count
        return Document(b"", self._kind, self._rewriter.replacements, count, found)
