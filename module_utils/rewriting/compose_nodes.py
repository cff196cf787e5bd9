# SPDX-License-Identifier: GPL-3.0-or-later
"""The nodes of a YAML text with their positions in it, as Compose reads them: merge keys and aliases resolved."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

try:
    import yaml
except ImportError:  # The managed machine may lack it; `parse` then says so.
    yaml = None  # type: ignore[assignment]

_PROPERTIES = re.compile(r"(?:[&!]\S*\s+)+")
_BOM = "\ufeff"
_SIMPLE_ESCAPES = {
    "0": "\0",
    "a": "\a",
    "b": "\b",
    "t": "\t",
    "\t": "\t",
    "n": "\n",
    "v": "\v",
    "f": "\f",
    "r": "\r",
    "e": "\x1b",
    " ": " ",
    '"': '"',
    "\\": "\\",
    "/": "/",
    "N": "\x85",
    "_": "\xa0",
    "L": "\u2028",
    "P": "\u2029",
}
_HEX_ESCAPES = {"x": 2, "u": 4, "U": 8}


class ParseError(ValueError):
    """A text that cannot be read as YAML; `code` is `not-yaml` or `no-parser`."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(slots=True, eq=False)
class Node:
    """One node. An alias is the node that it stands for.

    Attributes:
        kind: what the node is.
        start: position of its first character in the text, without properties (`&a`, `!tag`).
        end: position after its last character.
        line: line number from 1.
        style: of a scalar: "" (plain), `'`, `"`, `|` or `>`.
        value: of a scalar.
        items: of a sequence.
        pairs: of a mapping, without merge keys.
        merged: of a mapping, the mappings that its merge keys name; an earlier one wins.
    """

    kind: Literal["scalar", "sequence", "mapping"]
    start: int
    end: int
    line: int
    style: str = ""
    value: str = ""
    items: list[Node] = field(default_factory=list)
    pairs: list[tuple[Node, Node]] = field(default_factory=list)
    merged: list[Node] = field(default_factory=list)

    def get(self, key: str) -> Node | None:
        """The value of a mapping's key, including those from merge keys; None if there is none."""
        for mapping in self.layers():
            for name, value in mapping.pairs:
                if name.value == key and name.kind == "scalar":
                    return value
        return None

    def text(self, key: str) -> str | None:
        """The scalar of a mapping's key; None if there is none."""
        value = self.get(key)
        return value.value if value is not None and value.kind == "scalar" else None

    def layers(self) -> Iterator[Node]:
        """The mapping itself and those that its merge keys name, the overriding one first."""
        seen: set[int] = set()
        waiting = [self]
        while waiting:
            mapping = waiting.pop(0)
            if id(mapping) in seen or mapping.kind != "mapping":
                continue
            seen.add(id(mapping))
            yield mapping
            waiting = [*mapping.merged, *waiting]

    def entries(self) -> Iterator[tuple[str, Node]]:
        """Keys and values of a mapping and of everything merged into it, including overridden ones."""
        for mapping in self.layers():
            for name, value in mapping.pairs:
                if name.kind == "scalar":
                    yield name.value, value

    def spans(self, text: str) -> list[tuple[int, int]] | None:
        """The position in the text of each character of a scalar's value; None if it spans several lines."""
        raw = text[self.start : self.end]
        if (self.style in "|>" and self.style) or "\n" in raw or "\r" in raw:
            return None
        if not self.style:
            return [(self.start + i, self.start + i + 1) for i in range(len(raw))] if raw == self.value else None
        found, spelled, position = [], [], 1
        while position < len(raw) - 1:
            length, character = _character(raw, position, self.style)
            if length == 0:
                return None
            found.append((self.start + position, self.start + position + length))
            spelled.append(character)
            position += length
        return found if "".join(spelled) == self.value else None


def _character(raw: str, position: int, style: str) -> tuple[int, str]:
    """Length and meaning of one character of a quoted scalar; length 0 if it is not understood."""
    if style == "'":
        return (2, "'") if raw.startswith("''", position) else (1, raw[position])
    if raw[position] != "\\":
        return 1, raw[position]
    kind = raw[position + 1]
    if kind in _SIMPLE_ESCAPES:
        return 2, _SIMPLE_ESCAPES[kind]
    digits = _HEX_ESCAPES.get(kind, 0)
    return (digits + 2, chr(int(raw[position + 2 : position + 2 + digits], 16))) if digits else (0, "")


def parse(text: str) -> list[Node]:
    """The root nodes of a text's documents.

    Raises:
        ParseError: the text is not YAML.
    """
    if yaml is None:
        raise ParseError("no-parser", "the Python package yaml is missing on this machine")
    offset = 1 if text.startswith(_BOM) else 0
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    builder = _Builder(text, offset)
    try:
        for event in yaml.parse(text[offset:], Loader=loader):
            builder.take(event)
    except (yaml.YAMLError, UnicodeError, RecursionError) as error:
        raise ParseError("not-yaml", str(error).splitlines()[0]) from error
    _resolve_merges(builder.roots)
    return builder.roots


class _Builder:
    """Builds the nodes from the parser's events, without recursion, so that any depth of nesting works."""

    def __init__(self, text: str, offset: int) -> None:
        self.roots: list[Node] = []
        self._text, self._offset = text, offset
        self._anchors: dict[str, Node] = {}
        # Open collections, each with its pending key.
        self._open: list[tuple[Node, list[Node]]] = []

    def take(self, event: Any) -> None:
        if isinstance(event, yaml.DocumentStartEvent):
            self._anchors = {}
        elif isinstance(event, yaml.AliasEvent):
            if event.anchor not in self._anchors:
                raise ParseError("not-yaml", f"found undefined alias {event.anchor}")
            self._add(self._anchors[event.anchor])
        elif isinstance(event, yaml.ScalarEvent):
            self._add(self._node(event, "scalar"), event.anchor)
        elif isinstance(event, yaml.CollectionStartEvent):
            node = self._node(event, "mapping" if isinstance(event, yaml.MappingStartEvent) else "sequence")
            self._add(node, event.anchor)
            self._open.append((node, []))
        elif isinstance(event, yaml.CollectionEndEvent):
            self._open.pop()

    def _node(self, event: Any, kind: Literal["scalar", "sequence", "mapping"]) -> Node:
        start, end = event.start_mark.index + self._offset, event.end_mark.index + self._offset
        properties = _PROPERTIES.match(self._text, start, end) if event.anchor or event.tag else None
        start = properties.end() if properties else start
        line = event.start_mark.line + 1
        if properties:
            line += self._text.count("\n", properties.start(), start)
        if kind == "scalar":
            return Node(kind, start, end, line, event.style or "", event.value)
        return Node(kind, start, end, line)

    def _add(self, node: Node, anchor: str | None = None) -> None:
        if anchor:
            self._anchors[anchor] = node
        if not self._open:
            self.roots.append(node)
            return
        parent, pending = self._open[-1]
        if parent.kind == "sequence":
            parent.items.append(node)
        elif not pending:
            pending.append(node)
        else:
            parent.pairs.append((pending.pop(), node))


def _resolve_merges(roots: list[Node]) -> None:
    """Turn merge keys into `merged`, once all nodes are known."""
    for node in walk(roots):
        if node.kind != "mapping":
            continue
        plain = []
        for key, value in node.pairs:
            if key.kind == "scalar" and key.value == "<<" and not key.style:
                node.merged += value.items if value.kind == "sequence" else [value]
            else:
                plain.append((key, value))
        node.pairs = plain


def walk(roots: list[Node]) -> Iterator[Node]:
    """Every node below the given ones, each once, without the keys of mappings."""
    seen: set[int] = set()
    waiting = list(reversed(roots))
    while waiting:
        node = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        yield node
        children = [*node.items, *(value for _key, value in node.pairs), *node.merged]
        waiting += reversed(children)
