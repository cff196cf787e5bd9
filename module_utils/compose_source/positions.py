# SPDX-License-Identifier: GPL-3.0-or-later
"""Find the file and line of a value in a Compose project."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible.module_utils.compose_source.compose import SourceError

try:
    import yaml
except ImportError:
    yaml = None  # type: ignore[assignment]

_TAG = "tag:yaml.org,2002:"


@dataclass(frozen=True, slots=True)
class Place:
    """A value in a file: its YAML node, and the line to show for it."""

    file: str
    line: int
    node: Any

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class Document:
    """A YAML document: the file's path, its display name, and the root node."""

    path: str
    shown: str
    root: Any

    @property
    def place(self) -> Place:
        """The place of the whole document."""
        return Place(self.shown, 1, self.root)


@dataclass(slots=True)
class Positions:
    """The YAML nodes of a project's files, including those of `include` and `extends`.

    `evaluate` replaces the variables in a path. `documents` has the first-level documents, the overriding one first;
    `files` has the names of all files that Compose reads, `env_files` the paths of those with variables.
    """

    root: str
    evaluate: Callable[[str], str]
    files: list[str] = field(default_factory=list)
    env_files: list[str] = field(default_factory=list)
    documents: list[Document] = field(default_factory=list)
    read: dict[str, list[Document]] = field(default_factory=dict)

    @classmethod
    def of(cls, root: str, files: Sequence[str], evaluate: Callable[[str], str]) -> Positions:
        """Read the files. A file that PyYAML cannot read has no positions; Compose decides whether it is valid."""
        positions = cls(root, evaluate)
        positions._saw_env(posixpath.join(posixpath.dirname(files[0]), ".env"))
        found = [positions._with_included(file) for file in files]
        positions.documents = [document for documents in reversed(found) for document in documents]
        for name in positions.services():
            # Reads the files that the service extends.
            list(positions.find_all("services", name))
        return positions

    def shown(self, file: str) -> str:
        """A file's display name: relative to the root if the file is below it."""
        relative = posixpath.relpath(file, self.root)
        return file if relative.startswith("..") else relative

    def find(self, *path: str) -> Place | None:
        """The place of a value, as in `find("services", "nats", "image")`; None if no file has it."""
        return next(self.find_all(*path), None)

    def find_all(self, *path: str) -> Iterator[Place]:
        """The places of a value in all files that set it, the overriding one first."""
        for document in self.documents:
            owner = below(document.place, path[:2])
            for each in self._with_extended(document, owner, path[:2], set()) if owner is not None else ():
                place = below(each, path[2:])
                if place is not None:
                    yield place

    def tops(self, key: str) -> Iterator[Place]:
        """The places of a top-level key, one per document."""
        for document in reversed(self.documents):
            place = below(document.place, (key,))
            if place is not None:
                yield place

    def services(self) -> dict[str, None]:
        """The names of all services in the first-level documents."""
        return dict.fromkeys(name for place in self.tops("services") for name in pairs(place))

    def scalars(self) -> Iterator[tuple[str, bool, Place]]:
        """Every scalar in all files: the key of it or of its list, whether it is in a list, and its place."""
        for documents in self.read.values():
            for document in reversed(documents):
                yield from _scalars(document, document.root, "", False, set())

    def first_uses(self) -> dict[str, str]:
        """Where each variable is first used, in a Compose file or else in a `.env` file."""
        first: dict[str, str] = {}
        for _key, _in_list, place in self.scalars():
            text = str(place.node.value)
            for name in uses(text) | ({"HOME"} if text.startswith("~/") else set()):
                first.setdefault(name, str(place))
        for file in self.env_files:
            for number, line in enumerate(text_of(file).splitlines(), 1):
                for name in uses(line):
                    first.setdefault(name, f"{self.shown(file)}:{number}")
        return first

    def _with_extended(
        self, document: Document, place: Place, path: Sequence[str], seen: set[tuple[str, str]]
    ) -> Iterator[Place]:
        """The place of a section's entry, followed by those of the services that it extends."""
        yield place
        extends = below(place, ("extends",)) if path[:1] == ("services",) else None
        if extends is None or (document.path, path[1]) in seen:
            return
        seen.add((document.path, path[1]))
        service = _text(below(extends, ("service",)) or extends)
        file = _text(below(extends, ("file",)))
        for other in self._documents(self._resolved(file, document.path) if file else document.path):
            base = below(other.place, ("services", service))
            if base is not None:
                yield from self._with_extended(other, base, ("services", service), seen)

    def _with_included(self, file: str) -> list[Document]:
        """A file's documents, the last one first, each followed by what it includes."""
        if file in self.read:
            return []
        found: list[Document] = []
        for document in self._documents(file):
            found.append(document)
            include = below(document.place, ("include",))
            for entry in elements(include):
                paths = [_text(part) for part in elements(below(entry, ("path",)) or entry)]
                included = [self._resolved(path, file) for path in paths if path]
                env = [_text(part) for part in elements(below(entry, ("env_file",)))]
                own = [self._resolved(path, file) for path in env]
                for path in own or [posixpath.join(posixpath.dirname(path), ".env") for path in included[:1]]:
                    self._saw_env(path)
                for path in reversed(included):
                    found += self._with_included(path)
        return found

    def _documents(self, file: str) -> list[Document]:
        """All documents of a file, the last one first, as a later one overrides an earlier one."""
        if file not in self.read:
            self.read[file] = []
            shown = self.shown(file)
            if is_file(file):
                self._saw(shown)
                self.read[file] = [Document(file, shown, root) for root in reversed(_compose(Path(file)))]
        return self.read[file]

    def _saw_env(self, file: str) -> None:
        if is_file(file) and file not in self.env_files:
            self.env_files.append(file)
            self._saw(self.shown(file))

    def _saw(self, shown: str) -> None:
        if shown not in self.files:
            self.files.append(shown)

    def _resolved(self, path: str, beside: str) -> str:
        path = self.evaluate(path) if "$" in path else path
        return posixpath.normpath(posixpath.join(posixpath.dirname(beside), posixpath.expanduser(path)))


def _compose(file: Path) -> list[Any]:
    """The root nodes of a file's YAML documents; none if PyYAML cannot read it."""
    if yaml is None:
        raise SourceError("the Python package yaml is missing on this machine. Install it (Debian: python3-yaml).")

    class Loader(yaml.SafeLoader):
        def compose_node(self, parent: Any, index: Any) -> Any:
            # PyYAML refuses an anchor that is defined twice; YAML 1.2 and Compose let the later one win.
            if not self.check_event(yaml.AliasEvent):
                event: Any = self.peek_event()  # type: ignore[no-untyped-call]
                self.anchors.pop(event.anchor, None)
            return super().compose_node(parent, index)

    try:
        return [node for node in yaml.compose_all(file.read_bytes(), Loader) if node is not None]
    except (yaml.YAMLError, OSError, ValueError, RecursionError):
        return []


def below(place: Place, path: Sequence[str]) -> Place | None:
    """The place of a key's value; merge keys are followed."""
    for key in path:
        found = _entry(place, key)
        if found is None:
            return None
        place = found
    return place


def _entry(place: Place, key: str) -> Place | None:
    if not isinstance(place.node, yaml.MappingNode):
        return None
    merged: list[Place] = []
    for key_node, value in reversed(place.node.value):
        if key_node.value == key:
            single = isinstance(value, yaml.ScalarNode)
            return Place(place.file, (key_node if single else value).start_mark.line + 1, value)
        if key_node.tag == f"{_TAG}merge":
            merged += [Place(place.file, 0, part) for part in (value.value if _is_list(value) else [value])]
    return next(filter(None, (_entry(part, key) for part in merged)), None)


def _is_list(node: Any) -> bool:
    return isinstance(node, yaml.SequenceNode)


def elements(place: Place | None) -> list[Place]:
    """The places of a list's elements; a single value counts as a list of one."""
    if place is None:
        return []
    if not _is_list(place.node):
        return [place]
    return [Place(place.file, node.start_mark.line + 1, node) for node in place.node.value]


def _text(place: Place | None) -> str:
    """The text of a scalar; empty for anything else."""
    return str(place.node.value) if place is not None and isinstance(place.node, yaml.ScalarNode) else ""


def texts(place: Place) -> list[str]:
    """The scalars in a list, or the scalar itself, as they are in the file."""
    return [text for text in map(_text, elements(place)) if text]


def plain(node: Any) -> Any:
    """A node's data, with text for everything but whole numbers, booleans and null."""
    if isinstance(node, yaml.MappingNode):
        return {str(key.value): plain(value) for key, value in node.value}
    if _is_list(node):
        return [plain(part) for part in node.value]
    if node.tag == f"{_TAG}int" and node.value.isdigit():
        return int(node.value)
    if node.tag == f"{_TAG}bool":
        return node.value.lower() == "true"
    return None if node.tag == f"{_TAG}null" else node.value


def pairs(place: Place) -> dict[str, tuple[Place, str | None]]:
    """A mapping, or a list of NAME=value: name to its place and its text in the file (None without a value)."""
    found: dict[str, tuple[Place, str | None]] = {}
    if isinstance(place.node, yaml.MappingNode):
        for key, _value in place.node.value:
            for name in [key.value] if key.tag != f"{_TAG}merge" else _merged_names(place.node):
                entry = _entry(place, str(name))
                if entry is not None:
                    known = isinstance(entry.node, yaml.ScalarNode) and entry.node.tag != f"{_TAG}null"
                    found[str(name)] = (entry, _text(entry) if known else None)
        return found
    for element in elements(place):
        name, sign, value = _text(element).partition("=")
        found[name] = (element, value if sign else None)
    return found


def _merged_names(node: Any) -> Iterator[str]:
    """The keys that a mapping gets by merge keys."""
    for key, value in node.value:
        if key.tag == f"{_TAG}merge":
            for part in value.value if _is_list(value) else [value]:
                if isinstance(part, yaml.MappingNode):
                    yield from (str(name.value) for name, _value in part.value)
                    yield from _merged_names(part)


def _scalars(
    document: Document, node: Any, key: str, in_list: bool, seen: set[int]
) -> Iterator[tuple[str, bool, Place]]:
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.MappingNode):
        for name, value in node.value:
            yield from _scalars(document, value, str(name.value), False, seen)
    elif _is_list(node):
        for part in node.value:
            yield from _scalars(document, part, key, True, seen)
    else:
        yield key, in_list, Place(document.shown, node.start_mark.line + 1, node)


def is_file(path: str) -> bool:
    """Whether this path is a file that this user can reach."""
    try:
        return Path(path).is_file()
    except OSError:
        return False


def text_of(file: str) -> str:
    """A file's text; empty if it cannot be read."""
    try:
        return Path(file).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def uses(text: str) -> set[str]:
    """The names of the variables in a text."""
    return set(re.findall(r"\$\{?([^\W\d]\w*)", text.replace("$$", "")))
