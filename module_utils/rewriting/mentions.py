# SPDX-License-Identifier: GPL-3.0-or-later
"""Find what still mentions the old name, in texts, binary files, compressed files and names."""

from __future__ import annotations

import bz2
import lzma
import re
import zlib
from collections.abc import Callable, Iterator
from enum import Enum
from typing import Any, NamedTuple, Protocol

from ansible.module_utils.rewriting.reasons import describe
from ansible.module_utils.rewriting.rewriter import Kept, Rules
from ansible.module_utils.shared.fs import display_name
from ansible.module_utils.shared.masking import mask_line

# Leftovers listed per file; more are only counted.
LINES_PER_FILE = 20
_TEXT_BEFORE, _TEXT_AFTER = 60, 140
# Bytes of a compressed file that are searched.
_EXPANDED_MAX = 64 * 1024 * 1024
# Bytes that are searched again with the next piece of a compressed file's content.
_REFERENCE_REACH = 512
_WIDE_TEXT = re.compile(rb"(?:[\x20-\x7e]\x00(?:\x00\x00)?){4,}")


class Leftover(NamedTuple):
    """One leftover; line 0 means the name of a file, a symlink's target, or a binary file.

    `reason` is a code of `reasons.REASONS` and a sentence.
    """

    line: int
    text: str
    reason: str = describe("mention")


class Mentions:
    """Finds the old name in any case, and with a space, dot, dash or underscore before its digits.

    Args:
        names: what must not be left over, for instance `trade2025`.
    """

    def __init__(self, names: list[str]) -> None:
        alternatives = []
        self._names = tuple(name.lower() for name in names)
        for name in names:
            word, digits = re.fullmatch(r"(.*?)([0-9]*)", name, re.S).groups()  # type: ignore[union-attr]
            alternatives.append((word.encode(), digits.encode()))
        patterns = []
        for word, digits in alternatives:
            if word and digits:
                # Digits first: a pattern that begins with bytes that have no case is searched for at memory speed.
                w, d = re.escape(word), re.escape(digits)
                patterns.append(
                    # After a space or dash the digits may begin a date: `trade 2025-03-14`.
                    d + rb"(?:(?<=(?i:" + w + rb")" + d + rb")|(?:(?<=(?i:" + w + rb")[ ._-]" + d + rb")"
                    rb"|(?<=(?i:" + w + rb")%20" + d + rb"))(?![-/.]?[0-9]))"
                )
            else:
                patterns.append(rb"(?i:" + re.escape(word + digits) + rb")")
        self._pattern = re.compile(b"|".join(patterns)) if patterns else None
        self._covered: tuple[Rules, bool] | None = None
        wide = []
        # All digits but the last look like this in both byte orders: a search for them runs at memory speed.
        self._wide_digits = {
            nuls.join(bytes((byte,)) for byte in digits)
            for _word, digits in alternatives
            for nuls in (b"\x00", bytes(3))
        }
        for word, digits in alternatives:
            for first, second in ((b"", b"\\x00"), (b"\\x00", b""), (b"", b"\\x00" * 3), (b"\\x00" * 3, b"")):
                wide.append(b"".join(first + re.escape(bytes((byte,))) + second for byte in word + digits))
        self._wide = re.compile(rb"(?i:" + b"|".join(wide) + rb")") if wide else None
        self.reach = max((len(name) for name in names), default=0) * 4 + 8

    def find(self, data: bytes) -> Iterator[tuple[int, int]]:
        """The ranges of `data` that mention a name; a range may be shorter at its start than the name."""
        if self._pattern:
            for found in self._pattern.finditer(data):
                yield found.span()

    def find_wide(self, data: bytes) -> Iterator[tuple[int, int]]:
        """The same in UTF-16 and UTF-32, for binary data."""
        if self._wide and any(digits in data for digits in self._wide_digits):
            for found in self._wide.finditer(data):
                yield found.span()

    def covers(self, rules: Rules) -> bool:
        """Whether bytes without a mention cannot contain a reference either, so that one search is enough."""
        if self._covered is None or self._covered[0] is not rules:
            self._covered = rules, bool(rules.stems) and all(stem.endswith(self._names) for stem in rules.stems)
        return self._covered[1]

    def in_name(self, name: bytes) -> bool:
        """Whether a file's name or a symlink's target mentions a name."""
        return bool(self._pattern and self._pattern.search(name))


def _with_reasons(
    spans: list[tuple[int, int]], kept: list[Kept], otherwise: str = "mention"
) -> Iterator[tuple[int, int, str]]:
    """Mentions with the reason of the reference that contains them, and unchanged references without a mention.

    In one pass, because a text may have many of both.
    """
    at = 0
    mentioned = False
    for start, end in spans:
        while at < len(kept) and kept[at].end <= start:
            if kept[at].reported and not mentioned:
                yield kept[at].start, kept[at].end, kept[at].reason
            at, mentioned = at + 1, False
        if at < len(kept) and kept[at].start <= start:
            mentioned = True
            if kept[at].reason:
                yield start, end, kept[at].reason
        else:
            yield start, end, otherwise
    for item in kept[at:]:
        if item.reported and not mentioned:
            yield item.start, item.end, item.reason
        mentioned = False


def _excerpt(data: bytes, start: int, end: int) -> str:
    begin = max(data.rfind(b"\n", 0, start) + 1, start - _TEXT_BEFORE)
    stop = data.find(b"\n", end, end + _TEXT_AFTER)
    return mask_line(data[begin : stop if stop >= 0 else end + _TEXT_AFTER].decode("utf-8", "replace").strip())


def _glimpse(data: bytes, start: int, end: int) -> str:
    return f"…{mask_line(display_name(data[max(0, start - 40) : end + 40].replace(bytes(1), b'')))}…"


class _Decompressor(Protocol):
    def decompress(self, data: bytes, max_length: int = ...) -> bytes: ...


COMPRESSED: dict[bytes, tuple[str, Callable[[], Any]]] = {
    b"\x1f\x8b": ("gzip", lambda: zlib.decompressobj(31)),
    b"BZh": ("bzip2", bz2.BZ2Decompressor),
    b"\xfd7zXZ\x00": ("xz", lzma.LZMADecompressor),
}


class Kind(Enum):
    """What a scanner searches."""

    TEXT = "text"
    BINARY = "binary"
    # The bytes of a UTF-16 or UTF-32 file, which may hold lines of another encoding.
    MIXED = "mixed"


class LeftoverScanner:
    """Collects the leftovers of a result that arrives in pieces."""

    def __init__(self, mentions: Mentions, rules: Rules, kind: Kind) -> None:
        self._mentions, self._rules, self._kind = mentions, rules, kind
        self._carry = b""
        self._lines = 0
        self._done = 0
        self._first = kind is not Kind.MIXED
        self._expander: tuple[str, Any] | None = None
        self._expanded = 0
        self._expanded_carry = b""
        self.count = 0
        self.found: list[Leftover] = []

    def feed(self, piece: bytes, final: bool) -> None:
        """Search the next piece; text is bytes in UTF-8 or in an unknown superset of ASCII."""
        if self._first and piece:
            self._first = False
            self._expander = next(
                ((name, make()) for magic, (name, make) in COMPRESSED.items() if piece.startswith(magic)), None
            )
        if self._expander:
            self._expand(piece)
        data = self._carry + piece
        # Matches that end in the part that is kept back are found with the next piece.
        reach = 0 if final else max(self._rules.reach_on, self._mentions.reach) + _TEXT_AFTER
        settled = len(data) - reach
        if settled <= 0 and not final:
            self._carry = data
            return
        position, line, done = 0, self._lines, self._done
        for start, end, reason in sorted(self._spans(data)):
            if not done < end <= settled:
                continue
            line += data.count(b"\n", position, start)
            position = start
            self.count += 1
            if len(self.found) >= LINES_PER_FILE:
                continue
            if self._kind is Kind.BINARY:
                self.found.append(Leftover(0, f"binary file: {_glimpse(data, start, end)}", describe("binary")))
            else:
                self.found.append(Leftover(line + 1, _excerpt(data, start, end), describe(reason)))
        if final:
            return
        keep = max(0, settled - self._rules.reach_on - self._rules.reach_back)
        self._lines += data.count(b"\n", 0, keep)
        self._done = settled - keep
        self._carry = data[keep:]

    def _spans(self, data: bytes) -> Iterator[tuple[int, int, str]]:
        """The leftovers in `data`, mentions and unchanged references: start, end and the code of the reason."""
        spans = list(self._mentions.find(data))
        if self._kind is Kind.BINARY:
            spans = sorted([*spans, *self._mentions.find_wide(data)])
            yield from _with_reasons(spans, self._references(data, "binary"), "binary")
            return
        if self._kind is Kind.MIXED:
            heads = [Kept(start, end, "mixed-encoding", reported=True) for start, end in self._rules.heads(data)]
            yield from _with_reasons(spans, heads, "mixed-encoding")
            return
        yield from ((start, end, "short-name") for start, end in self._rules.short_names(data))
        # If every reference contains a mention, searching for mentions is enough.
        if spans or not self._mentions.covers(self._rules):
            yield from _with_reasons(spans, self._rules.kept(data))

    def _references(self, data: bytes, reason: str) -> list[Kept]:
        """The references in binary data, also in UTF-16 and UTF-32; none if each of them is a mention as well."""
        if self._mentions.covers(self._rules):
            return []
        found = set(self._rules.references(data))
        for wide in _WIDE_TEXT.finditer(data):
            text = wide.group().replace(b"\x00", b"")
            width = len(wide.group()) // len(text)
            for start, end in self._rules.references(text):
                found.add((wide.start() + start * width, wide.start() + end * width))
        return [Kept(start, end, reason, reported=True) for start, end in sorted(found)]

    def _expand(self, piece: bytes) -> None:
        """Search a compressed file: an archive's member names are in its decompressed bytes."""
        name, expander = self._expander  # type: ignore[misc]
        data = piece
        try:
            while (data or not getattr(expander, "needs_input", True)) and self._expanded < _EXPANDED_MAX:
                text = expander.decompress(data, 1 << 20)
                data = getattr(expander, "unconsumed_tail", b"")
                self._expanded += len(text)
                joined = self._expanded_carry + text
                spans = sorted(self._mentions.find(joined))
                for start, end, _reason in _with_reasons(spans, self._references(joined, "compressed")):
                    if end > len(self._expanded_carry):
                        self.count += 1
                        if len(self.found) < LINES_PER_FILE:
                            text = f"inside the {name} file: {_glimpse(joined, start, end)}"
                            self.found.append(Leftover(0, text, describe("compressed")))
                self._expanded_carry = joined[-max(self._mentions.reach, _REFERENCE_REACH) :]
                if expander.eof:
                    # Such files may contain several streams in a row: pigz, pbzip2 and `cat` create them.
                    data = expander.unused_data
                    expander = next(make() for kind, make in COMPRESSED.values() if kind == name)
                    self._expander = (name, expander)
                elif not text:
                    break
            if self._expanded < _EXPANDED_MAX:
                return
        except (zlib.error, OSError, lzma.LZMAError, EOFError):
            pass
        self._expander = None
