"""Load a Compose project: several files, `include`, `extends`, `.env`."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ansible.module_utils.compose_source.merge import canonical, merge, same, settle
from ansible.module_utils.compose_source.nodes import Node, SourceError
from ansible.module_utils.compose_source.variables import read_env_file, substitute_tree
from ansible.module_utils.compose_source.yaml_reader import read_documents

# What one Compose file may bring into another by `include`.
_RESOURCES = ("services", "networks", "volumes", "secrets", "configs", "models")


@dataclass(slots=True)
class Project:
    """A Compose project, merged and with its variables put in.

    `environment` is what its variables were taken from; `files` is every file that was read, in order;
    `unset` names the variables without a value and where each is first used.
    """

    model: Node
    directory: str
    environment: dict[str, str]
    files: list[str]
    unset: dict[str, str]


@dataclass(slots=True)
class _Reading:
    """What one load knows: the surrounding environment and what has been seen."""

    root: str
    files: list[str] = field(default_factory=list)
    unset: dict[str, str] = field(default_factory=dict)

    def shown(self, file: str) -> str:
        """A file's name for people: relative to the root where it is below it."""
        relative = posixpath.relpath(file, self.root)
        return file if relative.startswith("..") else relative

    def saw(self, file: str) -> None:
        name = self.shown(file)
        if name not in self.files:
            self.files.append(name)


def load(root: str, files: Sequence[str], environment: Mapping[str, str]) -> Project:
    """Load the project of the given files (relative to `root`, later ones override).

    `environment` stands for the shell that Compose is called from: it wins over `.env`.
    Raises SourceError with file, line and remedy.
    """
    if not posixpath.isabs(root) or not Path(root).is_dir():
        what = f"{root}: there is no such folder" if root else "the root is empty"
        raise SourceError(f"{what}. Set trade2025_root to the full path of the Trade2025 tree.")
    if not files:
        raise SourceError("no Compose file is named. Set trade2025_compose_files.")
    paths = [posixpath.normpath(posixpath.join(root, file)) for file in files]
    directory = posixpath.dirname(paths[0])
    reading = _Reading(root)
    known = _with_env_files(reading, environment, _default_env_file(directory))
    model = settle(_model(reading, paths, directory, known, ()))
    if model is None:
        raise SourceError(f"{reading.shown(paths[0])}: `!reset` takes the whole file away. Put it on a part of it.")
    return Project(model, directory, known, reading.files, reading.unset)


def _default_env_file(directory: str) -> list[str]:
    file = posixpath.join(directory, ".env")
    return [file] if Path(file).is_file() else []


def _with_env_files(reading: _Reading, environment: Mapping[str, str], files: Sequence[str]) -> dict[str, str]:
    """The environment, and below it the variables of the files, later ones first."""
    found: dict[str, str] = {}
    for file in files:
        try:
            found.update(read_env_file(Path(file), reading.shown(file), {**found, **environment}))
        except FileNotFoundError:
            raise SourceError(
                f"{reading.shown(file)}: there is no such file of variables. Bring it or remove it."
            ) from None
        reading.saw(file)
    return {**found, **environment}


def _model(
    reading: _Reading, files: Sequence[str], directory: str, environment: Mapping[str, str], above: tuple[str, ...]
) -> Node:
    """The merged model of some files. `above` are the files that include this one."""
    model: Node | None = None
    for file in files:
        for document in _documents(reading, file, directory):
            current = substitute_tree(document, environment, reading.unset)
            current = _extended(reading, current, file, environment)
            current = _included(reading, current, file, directory, environment, above)
            model = merge(model, current) if model is not None else current
    if model is None:
        raise SourceError(f"{reading.shown(files[0])}: the file is empty. A Compose file with `services` was expected.")
    return model


def _documents(reading: _Reading, file: str, directory: str) -> list[Node]:
    reading.saw(file)
    documents: list[Node] = read_documents(Path(file), reading.shown(file), directory)
    for document in documents:
        document.items("a Compose file")
        services = document.get("services")
        for name, service in services.items("`services`") if services else []:
            service.items(f"service {name}")
    return documents


def _included(
    reading: _Reading, model: Node, file: str, directory: str, environment: Mapping[str, str], above: tuple[str, ...]
) -> Node:
    """The model with what its `include` brings in."""
    entries = model.get("include")
    if entries is None:
        return model
    content = {key: part for key, part in model.items("a Compose file") if key != "include"}
    chain = (*above, file)
    for entry in entries.elements("`include`"):
        imported = _import(reading, entry, directory, environment, chain)
        for kind in _RESOURCES:
            arriving = imported.get(kind)
            if arriving is not None:
                content[kind] = _imported(kind, arriving, content.get(kind), entry)
    return Node(content, model.where)


def _import(
    reading: _Reading, entry: Node, directory: str, environment: Mapping[str, str], chain: tuple[str, ...]
) -> Node:
    """The model of one element of `include`."""
    if isinstance(entry.value, dict):
        path_node = entry.get("path")
        if path_node is None:
            raise SourceError(f"{entry.where}: an `include` element wants `path`.")
        paths = [_resolved(node.text("`path`"), directory) for node in path_node.elements("`path`")]
        place = entry.get("project_directory")
        home = _resolved(place.text("`project_directory`"), directory) if place else posixpath.dirname(paths[0])
        env_node = entry.get("env_file")
        env_files = (
            [_resolved(node.text("`env_file`"), directory) for node in env_node.elements("`env_file`")]
            if env_node
            else []
        )
    else:
        paths = [_resolved(entry.text("an `include` element"), directory)]
        home, env_files = posixpath.dirname(paths[0]), []
    for path in paths:
        if path in chain:
            circle = " -> ".join(reading.shown(file) for file in (*chain, path))
            raise SourceError(f"{entry.where}: the files include each other in a circle: {circle}. Break it.")
    env_files = [file for file in env_files if file != os.devnull] if env_files else _default_env_file(home)
    known = _with_env_files(reading, environment, env_files)
    return _model(reading, paths, home, known, chain)


def _imported(kind: str, arriving: Node, present: Node | None, entry: Node) -> Node:
    merged = dict(present.items(f"`{kind}`")) if present else {}
    for name, node in arriving.items(f"`{kind}`"):
        if name in merged and not same(node, merged[name]):
            raise SourceError(
                f"{entry.where}: {kind}.{name} is defined here ({merged[name].where}) and differently in the included "
                f"{node.where}. Rename one, or override it in a further -f file."
            )
        merged.setdefault(name, node)
    return Node(merged, (present or arriving).where)


def _resolved(path: str, directory: str) -> str:
    return posixpath.normpath(posixpath.join(directory, posixpath.expanduser(path)))


def _extended(reading: _Reading, model: Node, file: str, environment: Mapping[str, str]) -> Node:
    """The model with every service's `extends` carried out."""
    services = model.get("services")
    if services is None or not any(service.get("extends") for _name, service in services.items("`services`")):
        return model
    work = _Extending(reading, environment)
    done = {name: work.service(model, name, file, ()) for name, _service in services.items("`services`")}
    return Node({**dict(model.items("a Compose file")), "services": Node(dict(done), services.where)}, model.where)


@dataclass(slots=True)
class _Extending:
    """Carries out `extends`; other files are read once."""

    reading: _Reading
    environment: Mapping[str, str]
    others: dict[str, Node] = field(default_factory=dict)

    def service(self, model: Node, name: str, file: str, chain: tuple[tuple[str, str], ...]) -> Node:
        """One service of `model`, with what it extends below it."""
        services = model.get("services")
        own = services.value.get(name) if services is not None and isinstance(services.value, dict) else None
        if own is None:
            raise SourceError(f"{self.reading.shown(file)}: there is no service {name}. Define it or name another.")
        reference = own.get("extends")
        if reference is None:
            return own
        reference = canonical(reference, ("services", name, "extends"))
        wanted = reference.get("service")
        if wanted is None:
            raise SourceError(f"{reference.where}: `extends` of service {name} wants `service`.")
        base_name = wanted.text("`extends.service`")
        other, other_file = model, file
        file_node = reference.get("file")
        if file_node is not None:
            other_file = _resolved(file_node.text("`extends.file`"), own.where.base)
            other = model if other_file == file else self._other(other_file, file_node)
        step = (file, name)
        if step in chain:
            circle = " -> ".join(service for _file, service in (*chain, step))
            raise SourceError(f"{reference.where}: the services extend each other in a circle: {circle}. Break it.")
        there = other.get("services")
        if there is None or not isinstance(there.value, dict) or base_name not in there.value:
            raise SourceError(
                f"{reference.where}: service {name} extends {base_name}, not found in {self.reading.shown(other_file)}."
            )
        base = self.service(other, base_name, other_file, (*chain, step))
        rest = Node({key: part for key, part in own.items(f"service {name}") if key != "extends"}, own.where)
        merged = merge(base, rest, ("services", name))
        return Node(merged.value, own.where)

    def _other(self, file: str, node: Node) -> Node:
        if file not in self.others:
            if not Path(file).is_file():
                raise SourceError(f"{node.where}: `extends` names {self.reading.shown(file)}, which is not there.")
            documents = _documents(self.reading, file, posixpath.dirname(file))
            model: Node | None = None
            for document in documents:
                current = substitute_tree(document, self.environment, self.reading.unset)
                model = merge(model, current) if model is not None else current
            if model is None:
                raise SourceError(f"{node.where}: `extends` names {self.reading.shown(file)}, which is empty.")
            self.others[file] = model
        return self.others[file]
