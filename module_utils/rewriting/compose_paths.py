"""Relative paths of a Compose file: the ones that Compose resolves against the file's folder."""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass

from ansible.module_utils.rewriting.edits import Edit, Plan, apply_edits
from ansible.module_utils.rewriting.mentions import Leftover
from ansible.module_utils.rewriting.path_map import Location, PathMap
from ansible.module_utils.rewriting.reasons import describe
from ansible.module_utils.shared.masking import mask_line

_FILE_NAME = re.compile(rb"(?i)(?:.*[._-])?compose(?:[._-].*)?\.ya?ml\Z")
# Keys whose values Compose resolves on the machine; `path` and `source` count only below these lists or by themselves.
_KEYS = frozenset(
    {
        "volumes",
        "source",
        "build",
        "context",
        "additional_contexts",
        "env_file",
        "file",
        "include",
        "path",
        "project_directory",
        "label_file",
        "extends",
    }
)
_KEY = re.compile(rb"(?P<indent>[ ]*)(?P<dashes>(?:-[ ]+)*)(?P<key>[\"']?[A-Za-z_][\w.-]*[\"']?)[ ]*:(?=\s|\Z)")
_ITEM = re.compile(rb"(?P<indent>[ ]*)-[ ]+")
_RELATIVE = re.compile(
    rb"(?<![^\s\"'=\[,{-])(?P<path>\.{1,2}(?:[/\\][^\s\"':,\[\]{}$/\\#]+)+)"
    rb"(?P<end>[/\\]?)(?=[\s\"':,\]}]|\Z)"
)


@dataclass(frozen=True, slots=True)
class Resolver:
    """Where a Compose file stands before the migration, and the map.

    `folder` is the file's folder as the migrated files name it, for instance `C:/trade2025`.
    """

    folder: Location
    path_map: PathMap

    def _mapped(self, parts: tuple[str, ...]) -> tuple[str, tuple[str, ...]] | None:
        """Place of `parts` after the migration as (drive, names), the longest prefix winning; None if not mapped."""
        moved = self.path_map.relocate(self.folder.drive, parts)
        return (moved.text_drive, moved.text_parts) if moved else None

    def _place(self, path: str) -> tuple[str, ...] | None:
        """The folders of the place that a relative path names before the migration; None above the drive's root."""
        steps = list(self.folder.parts)
        for step in path.split("/"):
            if step == "..":
                if not steps:
                    return None
                steps.pop()
            elif step not in ("", "."):
                steps.append(step)
        return tuple(steps)

    def _rewrite(self, path: str) -> str | None:
        place = self._place(path)
        if place is None:
            return None
        here, there = self._mapped(self.folder.parts), self._mapped(place)
        if here is None or there is None or here[0].lower() != there[0].lower():
            return None
        relative = posixpath.relpath("/" + "/".join(there[1]), "/" + "/".join(here[1]))
        return relative if relative.startswith("..") else "." if relative == "." else f"./{relative}"

    def rewrite(self, path: str) -> str | None:
        """A relative path as it reads in the migrated file; None where it has to stay although its place moves."""
        place = self._place(path)
        if place is None or self._mapped(place) is None:
            return path
        new = self._rewrite(path)
        if new is None:
            return None
        if _plain(new) == _plain(path):
            return path
        # A result that no entry of the map fits stays as it is the next time; any other would not be the end of it.
        again = self._rewrite(new)
        return new if again is None or again == new else None


def _plain(path: str) -> str:
    return posixpath.normpath(path)


def is_compose_file(name: bytes) -> bool:
    """Whether a file's name says that Compose reads it."""
    return bool(_FILE_NAME.match(name))


def resolver(folder: Location, path_map: PathMap) -> Resolver:
    """The resolver for a Compose file in `folder`."""
    return Resolver(folder, path_map)


def plan(data: bytes, resolver: Resolver) -> tuple[Plan, list[Leftover]]:
    """Rewrite the relative paths of host files in a Compose file; its layout is not touched.

    What has to stay although its place moves is returned besides: nothing in its text would tell.

    The keys above a value are read from the indentation, so that a path in a command line, which is the container's,
    stays.
    """
    if b"./" not in data and b".\\" not in data:
        return Plan(data, 0), []
    edits: list[Edit] = []
    lost: list[Leftover] = []
    stack: list[tuple[int, str]] = []
    position = 0
    for number, line in enumerate(data.splitlines(keepends=True), 1):
        start, position = position, position + len(line)
        body = line.split(b" #")[0] if b" #" in line else line
        stripped = body.strip()
        if not stripped or stripped.startswith(b"#"):
            continue
        key = _KEY.match(body)
        if key:
            indent = len(key["indent"]) + len(key["dashes"])
            while stack and stack[-1][0] >= indent:
                stack.pop()
            stack.append((indent, key["key"].decode().strip("\"'")))
        else:
            item = _ITEM.match(body)
            indent = len(item["indent"]) if item else len(body) - len(body.lstrip(b" "))
            while stack and (stack[-1][0] > indent if item else stack[-1][0] >= indent):
                stack.pop()
        names = [name for _indent, name in stack]
        if not _host_side(names):
            continue
        for found in _RELATIVE.finditer(body, key.end() if key else 0):
            if not key and _after_colon(body, found.start()):
                continue
            old = found["path"].decode("utf-8", "surrogateescape")
            separator = "\\" if "\\" in old and "/" not in old else "/"
            plain = old.replace("\\", "/")
            new = resolver.rewrite(plain)
            if new is None:
                lost.append(Leftover(number, mask_line(body.decode("utf-8", "replace").strip()), describe("relative")))
            elif new != plain:
                spelled = new.replace("/", separator).encode("utf-8", "surrogateescape")
                edits.append(Edit(start + found.start("path"), start + found.end("path"), spelled))
    return apply_edits(data, edits), lost


def _host_side(names: list[str]) -> bool:
    if not names:
        return False
    if names[-1] in _KEYS:
        return True
    return len(names) > 1 and names[-2] in {"additional_contexts"}


def _after_colon(body: bytes, start: int) -> bool:
    """Whether a path stands behind the colon of a short volume, on the container's side."""
    before = body[:start].rstrip(b"\"'")
    return before.endswith(b":") and not before.endswith(b": ")
