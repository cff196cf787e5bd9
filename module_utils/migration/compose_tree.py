"""The files of the source as the search for Compose files wants them: read when they are asked for."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping

from ansible.module_utils.migration import tree
from ansible.module_utils.migration.file_access import open_source, read_all
from ansible.module_utils.rewriting.compose_files import SIZE_MAX


class TreeFiles(Mapping[str, bytes]):
    """The files of a tree by path, content on demand.

    Args:
        root: descriptor of the tree's directory.
        paths: the files that iterating gives.
        known: the paths of all files of the tree.
    """

    def __init__(self, root: int, paths: list[bytes], known: Mapping[bytes, bytes]) -> None:
        self._root, self._paths, self._known = root, paths, known

    def __iter__(self) -> Iterator[str]:
        return map(os.fsdecode, self._paths)

    def __len__(self) -> int:
        return len(self._paths)

    def __contains__(self, path: object) -> bool:
        return isinstance(path, str) and os.fsencode(path) in self._known

    def __getitem__(self, path: str) -> bytes:
        directory, _sep, name = os.fsencode(path).rpartition(b"/")
        if path not in self:
            raise KeyError(path)
        try:
            parent = tree.open_directory(self._root, directory)
        except OSError as exc:
            raise KeyError(path) from exc
        try:
            descriptor = open_source(name, parent)
            try:
                size = os.fstat(descriptor).st_size
                return read_all(descriptor, size) if size <= SIZE_MAX else b""
            finally:
                os.close(descriptor)
        except OSError as exc:
            raise KeyError(path) from exc
        finally:
            os.close(parent)
