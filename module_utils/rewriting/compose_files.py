# SPDX-License-Identifier: GPL-3.0-or-later
"""Find the Compose files of a tree, and the folders that their relative paths are resolved against."""

from __future__ import annotations

import codecs
import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from ansible.module_utils.rewriting.compose_nodes import ParseError, parse
from ansible.module_utils.rewriting.compose_paths import ComposeContext, Folder, volume_source
from ansible.module_utils.rewriting.compose_schema import Include, Reading, Role, read
from ansible.module_utils.rewriting.path_map import Location, PathMap

# A larger file was not written by hand.
SIZE_MAX = 4 * 1024 * 1024
_NAMED = re.compile(
    r"(?i)(?:.*[._-])?compose(?:[._-].*)?\.(?:ya?ml|json)(?:[._-]?(?:example|sample|dist|bak|old|orig))?"
)
_CANONICAL = frozenset({"compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml"})
_SERVICES = re.compile(rb"services[\"']?[ \t\r\n]*:")
_ENV_LINE = re.compile(
    r"(?m)^[ \t]*(?:export[ \t]+)?(?P<name>[A-Za-z_]\w*)[ \t]*[=:][ \t]*(?P<value>[^\r\n]*)", re.ASCII
)
_SIMPLE_VARIABLE = re.compile(
    r"\$\{(?P<name>[A-Za-z_]\w*)(?::?-(?P<default>[^${}]*))?\}|\$(?P<plain>[A-Za-z_]\w*)", re.ASCII
)


def is_compose_name(name: str) -> bool:
    """Whether a file's name says that it is a Compose file."""
    return _NAMED.fullmatch(name) is not None


def may_matter(name: bytes) -> bool:
    """Whether `compose_files` needs a file of this name; it looks up included files of other names itself."""
    lower = name.lower()
    return lower.endswith((b".yml", b".yaml")) or name == b".env" or (b"compose" in lower and _is_named(lower))


def _is_named(name: bytes) -> bool:
    return is_compose_name(name.decode("utf-8", "replace"))


@dataclass(slots=True)
class _File:
    """What is known about one file of the tree."""

    path: str
    reading: Reading | None
    is_named: bool
    is_compose: bool
    # Folders of the tree that its relative paths are resolved against, and others that they may be resolved against.
    folders: set[str] = field(default_factory=set)
    guesses: list[str] = field(default_factory=list)
    is_root: bool = False


def compose_files(files: Mapping[str, bytes], base: Location | None, path_map: PathMap) -> dict[str, ComposeContext]:
    """The Compose files of a tree: path → how Compose reads the file.

    A file counts as one because of its name; because of its content, if it has `services` and only keys that a Compose
    file may have; or because another one includes or extends it. A file that resembles one but has other keys is in
    the result with `is_certain` false.

    Args:
        files: the tree's files that `may_matter`, or more; `get` gives None for what cannot be read. Included files,
            and files and folders that a path may name, are looked up in it as well.
        base: the tree's root, as its files name it; None if that is not known.
        path_map: the path map.
    """
    return _Scan(files, base, path_map).contexts()


class _Scan:
    def __init__(self, files: Mapping[str, bytes], base: Location | None, path_map: PathMap) -> None:
        self._files, self._path_map = files, path_map
        self._bases = [base] if base else _possible_bases(path_map)
        self._is_known = base is not None
        self._directories = {folder for path in files for folder in _folders_above(path)}
        self._known: dict[str, _File | None] = {}
        self._variables: dict[str, dict[str, str]] = {}

    def contexts(self) -> dict[str, ComposeContext]:
        candidates = [path for path in self._files if self._candidate(path)]
        for path in self._files:
            if path.rpartition("/")[2] == ".env":
                self._variables[posixpath.dirname(path)] = _variables_of(self._files.get(path, b""))
        reached: set[str] = set()
        for path in candidates:
            self._follow(path, posixpath.dirname(path), reached)
        listed = self._listed()
        reached |= {path for path, _folder in listed}
        for file in self._known.values():
            if file is not None:
                file.folders.clear()
                file.is_root = False
        # An included file is read as part of the including one, not by itself.
        for path, folder in listed:
            self._follow(path, folder, set())
        for path in candidates:
            if path not in reached:
                self._read_by_itself(path)
        # Files that include each other.
        for path in candidates:
            self._read_by_itself(path)
        found = {}
        for path, file in self._known.items():
            if file is not None and file.folders:
                found[path] = self._context(file)
        return found

    def _read_by_itself(self, path: str) -> None:
        file = self._file(path)
        if file is None or file.folders:
            return
        file.is_root = True
        file.guesses = self._other_folders(file)
        self._follow(path, posixpath.dirname(path), set())

    def _other_folders(self, file: _File) -> list[str]:
        """Other folders that a file may be read from: after another file with `-f`, or with `--project-directory`."""
        folder = own = posixpath.dirname(file.path)
        if file.reading is None:
            return []
        is_part = not all(file.reading.services) and file.path.rpartition("/")[2] not in _CANONICAL
        is_part = is_part and not self._has_project(own)
        found = []
        while folder:
            folder = posixpath.dirname(folder)
            if (is_part and self._has_project(folder)) or self._fits_better(file.reading, own, folder):
                found.append(folder)
        return found

    def _fits_better(self, reading: Reading, own: str, folder: str) -> bool:
        """Whether a path in a file exists relative to a folder, but not relative to the file's own folder."""
        for node, uses in reading.uses.values():
            if any(use.role in (Role.PATH, Role.CONTEXT, Role.VOLUME) for use in uses):
                path = volume_source(node.value) if uses[0].role is Role.VOLUME else node.value
                there, here = self._inside(path, folder), self._inside(path, own)
                if path and there and self._exists(there) and (here is None or not self._exists(here)):
                    return True
        return False

    def _exists(self, path: str) -> bool:
        return path in self._files or path in self._directories

    def _has_project(self, folder: str) -> bool:
        return any(posixpath.join(folder, name) in self._files for name in _CANONICAL)

    def _candidate(self, path: str) -> bool:
        name = path.rpartition("/")[2]
        if name == ".env":
            return False
        named = is_compose_name(name)
        if not named and not _SERVICES.search(self._files.get(path, b"").replace(b"\0", b"")):
            return False
        file = self._file(path)
        return file is not None and (file.is_named or file.is_compose or _resembles(file.reading))

    def _file(self, path: str) -> _File | None:
        if path not in self._known:
            data = self._files.get(path)
            self._known[path] = None if data is None else _read_file(path, data)
        return self._known[path]

    def _follow(self, path: str, folder: str, reached: set[str]) -> None:
        """Note that a file is read from a folder, and follow what it includes and extends; `reached` collects it."""
        waiting = [(path, folder)]
        while waiting:
            path, folder = waiting.pop()
            file = self._file(path)
            if file is None or folder in file.folders:
                continue
            file.folders.add(folder)
            if file.reading is None or (file.reading.foreign and not file.is_named):
                continue
            for include in file.reading.includes:
                for target, target_folder in self._targets(include, folder):
                    if target == path:
                        continue
                    elsewhere = target_folder != folder and target.rpartition("/")[2] not in _CANONICAL
                    if not include.extends or elsewhere:
                        reached.add(target)
                    waiting.append((target, target_folder))

    def _targets(self, include: Include, folder: str) -> list[tuple[str, str]]:
        """The files that an entry names, each with the folder that it is read from."""
        paths = [self._inside(path, folder) for path in include.paths]
        found = [path for path in paths if path is not None and path in self._files]
        if not found:
            return []
        if include.extends:
            return [(path, posixpath.dirname(path)) for path in found]
        base: str | None = posixpath.dirname(found[0])
        if include.project_directory is not None:
            base = self._inside(include.project_directory, folder)
        return [(path, base) for path in found] if base is not None else []

    def _inside(self, path: str, folder: str) -> str | None:
        """A relative path as a path of the tree; None if it leads out of the tree or is unknown."""

        def value(match: re.Match[str]) -> str:
            name = match["name"] or match["plain"]
            return self._variables.get(folder, {}).get(name) or match["default"] or "$"

        path = _SIMPLE_VARIABLE.sub(value, path)
        if any(base.drive for base in self._bases):
            path = path.replace("\\", "/")
        if "$" in path or path.startswith(("/", "~")) or re.match(r"[A-Za-z]:|.*://", path):
            return None
        joined = posixpath.normpath(posixpath.join(folder, path))
        if joined == ".." or joined.startswith("../"):
            return None
        return "" if joined == "." else joined

    def _listed(self) -> list[tuple[str, str]]:
        """The files that a `.env` lists in COMPOSE_FILE; all are read from the first one's folder."""
        found = []
        for folder, variables in self._variables.items():
            listing = variables.get("COMPOSE_FILE", "")
            separator = variables.get("COMPOSE_PATH_SEPARATOR") or (";" if ";" in listing else ":")
            paths = [self._inside(path, folder) for path in listing.split(separator) if path]
            if paths and paths[0] is not None:
                base = posixpath.dirname(paths[0])
                found += [(path, base) for path in paths if path is not None and path in self._files]
        return found

    def _context(self, file: _File) -> ComposeContext:
        variables = {
            (name, value)
            for folder in [*file.folders, *file.guesses]
            for name, value in self._variables.get(folder, {}).items()
        }
        known = [self._folder(base, folder, file.path) for base in self._bases for folder in sorted(file.folders)]
        guesses = [self._folder(base, folder, file.path) for base in self._bases for folder in file.guesses]
        return ComposeContext(
            tuple(known) if self._is_known else (),
            is_certain=file.is_named or file.is_compose or not file.is_root,
            is_root=file.is_root,
            variables=tuple(sorted(variables)),
            guesses=tuple(guesses if self._is_known else known),
            tree=self._bases[0].parts if self._is_known else (),
        )

    def _folder(self, base: Location, folder: str, path: str) -> Folder:
        drive, parts = base.drive, (*base.parts, *filter(None, folder.split("/")))
        if folder != posixpath.dirname(path):
            return Folder(drive, parts, self._path_map.relocate(drive, parts))
        # An entry of the map may name the file itself.
        after = self._path_map.relocate(drive, (*base.parts, *path.split("/")))
        if after is not None:
            after = Location(after.drive, after.parts[:-1], after.text_drive, after.text_parts[:-1])
        return Folder(drive, parts, after)


def _folders_above(path: str) -> list[str]:
    found = []
    while path := posixpath.dirname(path):
        found.append(path)
    return found


def _possible_bases(path_map: PathMap) -> list[Location]:
    """Possible roots of a tree whose name is not known: all folders that contain a location of the map."""
    found: dict[tuple[str, tuple[str, ...]], Location] = {}
    for entry in path_map.entries:
        source = entry.source
        for length in range(1, len(source.parts) + 1):
            location = Location(source.drive, source.parts[:length], source.text_drive, source.parts[:length])
            found.setdefault(location.key, location)
    return list(found.values())


def _read_file(path: str, data: bytes) -> _File:
    is_named = is_compose_name(path.rpartition("/")[2])
    if len(data) > SIZE_MAX:
        return _File(path, None, is_named, is_compose=False)
    try:
        roots = parse(_text(data))
    except (ParseError, UnicodeDecodeError):
        return _File(path, None, is_named, is_compose=False)
    reading = read(roots)
    return _File(path, reading, is_named, is_compose=bool(reading.services) and not reading.foreign)


def _text(data: bytes) -> str:
    """A file's text: Compose reads UTF-8, and UTF-16 with a byte order mark."""
    return data.decode("utf-16" if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8")


def _resembles(reading: Reading | None) -> bool:
    """Whether a file has services that run an image or are built, whatever else it has."""
    return reading is not None and any(reading.services)


def _variables_of(data: bytes) -> dict[str, str]:
    """The variables of an env file, as far as they are plain text."""
    found = {}
    for match in _ENV_LINE.finditer(data.decode("utf-8", "replace").removeprefix("\ufeff")):
        value = match["value"].strip()
        if value[:1] in ("'", '"'):
            end = value.find(value[0], 1)
            value = value[1:end] if end > 0 else value
        else:
            value = re.split(r"\s#", value)[0].rstrip()
        found[match["name"]] = value
    return found
