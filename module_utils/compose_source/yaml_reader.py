"""Read YAML as Compose's own parser does, keeping the line of every value."""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import Any, ClassVar

from ansible.module_utils.compose_source.nodes import Node, Scalar, SourceError, Where

try:
    import yaml
except ImportError:
    yaml = None  # type: ignore[assignment]

# More values than this after anchors are expanded is an attack or an accident, not a Compose file.
MAX_VALUES = 500_000
MAX_DEPTH = 200

_TAG = "tag:yaml.org,2002:"
_INT = re.compile(r"[-+]?(0b[01_]+|0o[0-7_]+|0x[0-9a-fA-F_]+|0[0-7_]*|[1-9][0-9_]*)$")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$|[-+]?\.(inf|Inf|INF)$|\.(nan|NaN|NAN)$")
_MARKS = {"!reset": "reset", "!override": "override"}


@functools.cache
def _loader() -> Any:
    """A loader that types plain words as Compose does: `yes` and `on` are text, `22:22` is no sexagesimal number."""

    class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
        yaml_implicit_resolvers: ClassVar[dict[str | None, list[tuple[str, re.Pattern[str]]]]] = {}

    Loader.add_implicit_resolver(f"{_TAG}bool", re.compile(r"(true|True|TRUE|false|False|FALSE)$"), list("tTfF"))
    Loader.add_implicit_resolver(f"{_TAG}null", re.compile(r"(~|null|Null|NULL|)$"), ["~", "n", "N", ""])
    Loader.add_implicit_resolver(f"{_TAG}int", _INT, list("-+0123456789"))
    Loader.add_implicit_resolver(f"{_TAG}float", _FLOAT, list("-+.0123456789"))
    Loader.add_implicit_resolver(f"{_TAG}merge", re.compile(r"<<$"), ["<"])
    return Loader


def read_documents(file: Path, shown: str, base: str) -> list[Node]:
    """All YAML documents of a file, empty ones left out.

    `shown` is the file's name in messages, `base` the folder that its relative paths start from.
    Raises SourceError when the file cannot be read or is not YAML.
    """
    if yaml is None:
        raise SourceError("the Python package yaml is missing; run `make setup`, or install it on this machine")
    try:
        data = file.read_bytes()
    except FileNotFoundError:
        raise SourceError(f"{shown}: there is no such file (looked for {file}). Bring it or name another.") from None
    except IsADirectoryError:
        raise SourceError(f"{shown}: is a folder, a Compose file was expected.") from None
    except OSError as error:
        raise SourceError(f"{shown}: cannot be read: {error.strerror}. Make it readable.") from None
    try:
        _check_depth(data, shown)
        loader = _loader()(data)
        try:
            roots = []
            while loader.check_node():
                roots.append(loader.get_node())
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{shown}:{mark.line + 1}:{mark.column + 1}" if mark else shown
        raise SourceError(f"{place}: not valid YAML: {error.problem or error.context}. Mend that line.") from None
    except (yaml.reader.ReaderError, UnicodeDecodeError) as error:
        raise SourceError(f"{shown}: {_not_text(error)}") from None
    builder = _Builder(shown, base)
    return [node for node in (builder.build(root) for root in roots) if node.value is not None]


def _check_depth(data: bytes, shown: str) -> None:
    """Refuse deep nesting before it is composed: PyYAML's C code composes recursively and would overrun the stack."""
    depth = 0
    for event in yaml.parse(data, Loader=_loader()):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                place = f"{shown}:{event.start_mark.line + 1}" if event.start_mark else shown
                raise SourceError(f"{place}: nested deeper than {MAX_DEPTH} levels, which no Compose file needs.")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _not_text(error: Exception) -> str:
    position = getattr(error, "position", getattr(error, "start", "?"))
    return f"not valid text at byte {position}: {getattr(error, 'reason', error)}. Save it as UTF-8."


class _Builder:
    """Turns PyYAML's nodes into ours: aliases followed, merge keys applied, duplicate keys refused."""

    def __init__(self, shown: str, base: str) -> None:
        self._shown = shown
        self._base = base
        self._done: dict[int, tuple[Node, int]] = {}
        self._open: set[int] = set()

    def build(self, root: yaml.Node) -> Node:
        return self._node(root, 0)[0]

    def _where(self, node: yaml.Node) -> Where:
        return Where(self._shown, node.start_mark.line + 1, self._base)

    def _node(self, node: yaml.Node, depth: int) -> tuple[Node, int]:
        """The node and how many values it stands for with all aliases expanded."""
        known = self._done.get(id(node))
        if known is not None:
            return known
        where = self._where(node)
        if id(node) in self._open:
            raise SourceError(f"{where}: the anchor contains itself. Break the circle.")
        if depth > MAX_DEPTH:
            raise SourceError(f"{where}: nested deeper than {MAX_DEPTH} levels, which no Compose file needs.")
        self._open.add(id(node))
        value: Scalar | dict[str, Node] | list[Node] = None
        size = 1
        if isinstance(node, yaml.MappingNode):
            value, size = self._mapping(node, depth)
        elif isinstance(node, yaml.SequenceNode):
            parts = [self._node(child, depth + 1) for child in node.value]
            value, size = [part for part, _count in parts], 1 + sum(count for _part, count in parts)
        elif isinstance(node, yaml.ScalarNode):
            value = _scalar(node, where)
        self._open.discard(id(node))
        if size > MAX_VALUES:
            raise SourceError(f"{where}: the aliases expand to more than {MAX_VALUES} values. Simplify the anchors.")
        mark = _MARKS.get(node.tag, "")
        if mark and value == "":
            value = None
        built = (Node(value, where, mark=mark), size)
        self._done[id(node)] = built
        return built

    def _mapping(self, node: yaml.MappingNode, depth: int) -> tuple[dict[str, Node], int]:
        own: dict[str, Node] = {}
        merged: dict[str, Node] = {}
        size = 1
        for key_node, value_node in node.value:
            where = self._where(key_node)
            if not isinstance(key_node, yaml.ScalarNode):
                raise SourceError(f"{where}: a key must be a single word, not a list or a mapping.")
            value, count = self._node(value_node, depth + 1)
            size += count
            if key_node.tag == f"{_TAG}merge":
                for source in value.value if isinstance(value.value, list) else [value]:
                    if not isinstance(source.value, dict):
                        raise SourceError(f"{where}: `<<` wants a mapping or a list of mappings to merge.")
                    for key, part in source.value.items():
                        merged.setdefault(key, part)
                continue
            name = str(key_node.value)
            if name in own:
                raise SourceError(f"{where}: the key `{name}` stands twice in the same mapping. Remove one of them.")
            place = value.where if isinstance(value.value, dict | list) else where
            own[name] = Node(value.value, place, mark=value.mark)
        return {**{key: part for key, part in merged.items() if key not in own}, **own}, size


def _scalar(node: yaml.ScalarNode, where: Where) -> Scalar:
    text = str(node.value)
    kind = node.tag.removeprefix(_TAG)
    try:
        if kind == "null":
            return None
        if kind == "bool":
            return text.lower() == "true"
        if kind == "int":
            return _integer(text)
        if kind == "float":
            return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
    except ValueError:
        raise SourceError(f"{where}: `{text}` is not a valid {kind}. Put it in quotes if it is text.") from None
    return text


def _integer(text: str) -> int:
    """A whole number with an optional sign; `0o17`, `017`, `0x1f` and `0b11` as Compose's parser takes them."""
    digits = text.replace("_", "")
    sign = -1 if digits.startswith("-") else 1
    digits = digits.lstrip("+-")
    if len(digits) > 1 and digits[0] == "0" and digits[1].isdigit():
        return sign * int(digits, 8)
    return sign * int(digits, 0)
