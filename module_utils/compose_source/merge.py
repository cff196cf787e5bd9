"""Merge one Compose model over another, with Compose's own rules."""

from __future__ import annotations

from collections.abc import Callable

from ansible.module_utils.compose_source.nodes import Node, SourceError, scalar_text

Path = tuple[str, ...]

# Settings that a later file replaces as a whole. A star stands for any one name.
_REPLACED: tuple[Path, ...] = (
    ("services", "*", "command"),
    ("services", "*", "entrypoint"),
    ("services", "*", "healthcheck", "test"),
)

# Lists of NAME=value that merge by name.
_PAIRS: tuple[Path, ...] = (
    ("services", "*", "annotations"),
    ("services", "*", "build", "args"),
    ("services", "*", "build", "additional_contexts"),
    ("services", "*", "build", "labels"),
    ("services", "*", "deploy", "labels"),
    ("services", "*", "environment"),
    ("services", "*", "labels"),
    ("services", "*", "sysctls"),
    ("networks", "*", "labels"),
    ("volumes", "*", "labels"),
)

# Settings where one value and a list of one mean the same.
_LISTS: tuple[Path, ...] = (
    ("services", "*", "dns"),
    ("services", "*", "dns_opt"),
    ("services", "*", "dns_search"),
    ("services", "*", "env_file"),
    ("services", "*", "tmpfs"),
)

# Lists of names that are also written as mappings from the name to details.
_NAMED: tuple[Path, ...] = (("services", "*", "depends_on"), ("services", "*", "networks"))


def merge(base: Node, over: Node, path: Path = ()) -> Node:
    """The model `over` on top of `base`. Raises SourceError where the two have different kinds."""
    if over.mark == "override" or _is(path, _REPLACED):
        return Node(over.value, over.where, over.raw)
    base, over = canonical(base, path), canonical(over, path)
    if over.value is None and isinstance(base.value, dict | list):
        return base
    if base.value is None:
        return over
    if isinstance(base.value, dict) and isinstance(over.value, dict):
        if path[-1:] == ("logging",) and _differs(base.get("driver"), over.get("driver")):
            return over
        return Node(_mappings(base.value, over.value, path), over.where)
    if isinstance(base.value, list) and isinstance(over.value, list):
        return Node([*base.value, *over.value], over.where)
    if path[-2:-1] == ("ulimits",) or not (isinstance(base.value, dict | list) or isinstance(over.value, dict | list)):
        return over
    raise SourceError(
        f"{over.where}: {'.'.join(path)} is {over.kind()} here and {base.kind()} in {base.where}. Write both alike."
    )


def _mappings(base: dict[str, Node], over: dict[str, Node], path: Path) -> dict[str, Node]:
    merged = dict(base)
    for key, node in over.items():
        if node.mark == "reset":
            merged.pop(key, None)
        elif key in merged:
            merged[key] = merge(merged[key], node, (*path, key))
        else:
            merged[key] = node
    return merged


def _differs(one: Node | None, other: Node | None) -> bool:
    return one is not None and other is not None and one.value != other.value


def _is(path: Path, patterns: tuple[Path, ...]) -> bool:
    return any(
        len(path) == len(pattern) and all(want in ("*", part) for part, want in zip(path, pattern, strict=True))
        for pattern in patterns
    )


def canonical(node: Node, path: Path) -> Node:
    """The long form of a setting that has a short one, so that both merge alike."""
    convert: Callable[[Node], Node] | None = None
    if _is(path, _PAIRS):
        convert = pairs
    elif _is(path, _LISTS):
        convert = _as_list
    elif _is(path, _NAMED):
        convert = named
    elif path[:1] == ("services",) and path[2:] in (("build",), ("extends",)) and isinstance(node.value, str):
        key = "context" if path[2] == "build" else "service"
        return Node({key: node}, node.where)
    return convert(node) if convert else node


def pairs(node: Node) -> Node:
    """`[A=1, B]` as `{A: "1", B: null}`. Raises SourceError for an element that is no text."""
    if not isinstance(node.value, list):
        return node
    found: dict[str, Node] = {}
    for element in node.value:
        name, sign, value = element.text("an element of the list").partition("=")
        raw = element.raw.partition("=")[2] if element.raw is not None else None
        found[name] = Node(value if sign else None, element.where, raw)
    return Node(found, node.where)


def _as_list(node: Node) -> Node:
    return node if node.value is None or isinstance(node.value, list) else Node([node], node.where)


def named(node: Node) -> Node:
    """`[a, b]` as `{a: null, b: null}`."""
    if not isinstance(node.value, list):
        return node
    return Node({element.text("a name"): Node(None, element.where) for element in node.value}, node.where)


def settle(node: Node) -> Node | None:
    """The tree without the tags `!reset` (None: all of it is gone) and `!override`, after everything was merged."""
    if node.mark == "reset":
        return None
    if isinstance(node.value, dict):
        kept = {key: settled for key, part in node.value.items() if (settled := settle(part)) is not None}
        return Node(kept, node.where)
    if isinstance(node.value, list):
        return Node([settled for part in node.value if (settled := settle(part)) is not None], node.where)
    return Node(node.value, node.where, node.raw)


def same(one: Node, other: Node) -> bool:
    """Whether two trees hold the same values, wherever they were written."""
    return _comparable(one) == _comparable(other)


def _comparable(node: Node) -> object:
    if isinstance(node.value, dict):
        return {key: _comparable(part) for key, part in node.value.items()}
    if isinstance(node.value, list):
        return [_comparable(part) for part in node.value]
    return scalar_text(node.value)
