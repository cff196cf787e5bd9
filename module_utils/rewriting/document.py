"""What a file's bytes are (text or binary, which encoding), what they read afterwards, and what is left over."""

from __future__ import annotations

import codecs
from dataclasses import dataclass, field

from ansible.module_utils.rewriting import compose_paths
from ansible.module_utils.rewriting.edits import Plan, apply_edits
from ansible.module_utils.rewriting.mentions import (
    COMPRESSED,
    LINES_PER_FILE,
    Leftover,
    LeftoverScanner,
    Mentions,
)
from ansible.module_utils.rewriting.rewriter import Rules
from ansible.module_utils.rewriting.streaming import StreamRewriter

_UTF16 = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}


@dataclass(slots=True)
class Document:
    """What one file reads after the migration.

    `kind` is `text`, `utf-16-le`, `utf-16-be` or `binary`. `mentions` counts what is left over, `leftovers` lists the
    first of it.
    """

    new: bytes
    kind: str
    replacements: int = 0
    mentions: int = 0
    leftovers: list[Leftover] = field(default_factory=list)


def kind_of(head: bytes, has_nul: bool) -> str:
    """The kind of a file from its first bytes and whether a NUL byte stands anywhere in it."""
    encoding = _UTF16.get(head[:2])
    if encoding and head[2:4] != b"\x00\x00":
        return encoding
    return "binary" if has_nul else "text"


def has_nul_unit(data: bytes) -> bool:
    """Whether UTF-16 data holds the character NUL, which no text does."""
    position = data.find(b"\x00\x00")
    while position >= 0:
        if position % 2 == 0:
            return True
        position = data.find(b"\x00\x00", position + 1)
    return False


def plan_document(
    data: bytes, rules: Rules, mentions: Mentions, compose: compose_paths.ComposeContext | None = None
) -> Document:
    """What a whole file reads after the migration, and what is left over in it.

    Args:
        data: the file's bytes.
        rules: the compiled maps.
        mentions: what must not be left over.
        compose: for a Compose file, how Compose reads it.
    """
    kind = kind_of(data, b"\x00" in data)
    plain = kind == "text" and not compose and not data.startswith(tuple(COMPRESSED))
    if plain and mentions.covers(rules) and not mentions.in_name(data):
        return Document(data, kind)
    if kind.startswith("utf-16") and has_nul_unit(data):
        kind = "binary"
    scanner = LeftoverScanner(mentions, rules, kind == "binary")
    if kind == "binary":
        scanner.feed(data, final=True)
        return Document(data, kind, 0, scanner.count, scanner.found)
    text, odd = data, b""
    if kind != "text":
        odd = data[len(data) // 2 * 2 :]
        text = data[: len(data) - len(odd)].decode(kind, "surrogatepass").encode("utf-8", "surrogatepass")
    lost: list[Leftover] = []
    relative = Plan(text, 0)
    if compose:
        found = compose_paths.plan_paths(text, compose, rules.path_map)
        relative = apply_edits(text, found.edits)
        lost = [Leftover(item.line, item.text) for item in found.leftovers]
    plan = rules.plan(relative.new)
    plan = Plan(plan.new, plan.replacements + relative.replacements)
    scanner.feed(plan.new, final=True)
    new = plan.new if plan.replacements else data
    if kind != "text" and plan.replacements:
        new = plan.new.decode("utf-8", "surrogatepass").encode(kind, "surrogatepass") + odd
    leftovers = (scanner.found + lost)[:LINES_PER_FILE]
    return Document(new, kind, plan.replacements, scanner.count + len(lost), leftovers)


class DocumentStream:
    """`plan_document` for a file that comes in pieces, its kind known."""

    def __init__(self, kind: str, rules: Rules, mentions: Mentions) -> None:
        self._kind = kind
        self._binary = kind == "binary"
        self._rewriter = StreamRewriter(rules)
        self._scanner = LeftoverScanner(mentions, rules, self._binary)
        if kind.startswith("utf-16"):
            self._decode = codecs.getincrementaldecoder(kind)("surrogatepass")
            self._decode_result = codecs.getincrementaldecoder("utf-8")("surrogatepass")
            self._odd = b""

    def feed(self, piece: bytes, final: bool = False) -> bytes:
        """Take the next piece and return the bytes of the result that are settled by it."""
        if self._binary:
            self._scanner.feed(piece, final)
            return piece
        if self._kind == "text":
            result = self._rewriter.feed(piece, final)
            self._scanner.feed(result, final)
            return result
        whole = self._odd + piece
        self._odd = whole[len(whole) // 2 * 2 :]
        text = self._decode.decode(whole[: len(whole) - len(self._odd)], final).encode("utf-8", "surrogatepass")
        result = self._rewriter.feed(text, final)
        self._scanner.feed(result, final)
        encoded = self._decode_result.decode(result, final).encode(self._kind, "surrogatepass")
        return encoded + (self._odd if final else b"")

    def document(self) -> Document:
        """The counts and leftovers, once the last piece was fed; `new` is empty."""
        return Document(b"", self._kind, self._rewriter.replacements, self._scanner.count, self._scanner.found)
