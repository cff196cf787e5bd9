# SPDX-License-Identifier: GPL-3.0-or-later
"""Find the Compose files of a source, and those that must be read again because another file changed."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from ansible.module_utils.rewriting.compose_files import SIZE_MAX, compose_files, may_matter
from ansible.module_utils.rewriting.compose_paths import ComposeContext
from ansible.module_utils.rewriting.path_map import Location, PathMap
from ansible.module_utils.shared import fs


class TreeFiles(Mapping[str, bytes]):
    """The files of a tree by path, read when they are accessed.

    Args:
        root: descriptor of the tree's directory.
        paths: the files to iterate over; anything but a regular file has no content.
        known: the paths of everything in the tree.
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
            parent = fs.open_directory(self._root, directory)
        except OSError as exc:
            raise KeyError(path) from exc
        try:
            descriptor = fs.open_for_reading(name, parent)
            try:
                size = os.fstat(descriptor).st_size
                return fs.read_all(descriptor, size) if size <= SIZE_MAX else b""
            finally:
                os.close(descriptor)
        except OSError as exc:
            raise KeyError(path) from exc
        finally:
            os.close(parent)


@dataclass(slots=True)
class ComposeScan:
    """What is known about the Compose files of a source.

    Attributes:
        contexts: for each file how Compose reads it; None for one that is no longer a Compose file. Empty if no file
            has to be read again.
        keys: for each file the `ComposeContext.key` for the next manifest.
        again: files that did not change but are read differently than before.
    """

    contexts: dict[bytes, ComposeContext | None] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    again: list[bytes] = field(default_factory=list)


def scan_compose_files(
    root: int,
    records: Mapping[bytes, bytes],
    last_records: Mapping[bytes, bytes] | None,
    last_keys: Mapping[str, str],
    base: Location | None,
    path_map: PathMap,
) -> ComposeScan:
    """Find the Compose files, if any file that may be one or may refer to one was added, changed or removed.

    Args:
        root: descriptor of the source.
        records: the paths of the source; the value is empty for a file that has to be read.
        last_records: those of the manifest; None if the maps or options have changed since.
        last_keys: `keys` of the last run.
        base: the root of the source, as its files name it.
        path_map: the path map.
    """

    def concerns(path: bytes) -> bool:
        return may_matter(path.rpartition(b"/")[2]) or os.fsdecode(path) in last_keys

    if last_records is not None:
        changed = [path for path, record in records.items() if not record]
        changed += [path for path in last_records if path not in records]
        if not any(map(concerns, changed)):
            return ComposeScan(keys=dict(last_keys))
    names = [path for path in records if may_matter(path.rpartition(b"/")[2])]
    found = compose_files(TreeFiles(root, names, records), base, path_map) if path_map.entries else {}
    scan = ComposeScan({os.fsencode(path): context for path, context in found.items()})
    scan.keys = {path: context.key for path, context in found.items()}
    for name in sorted(scan.keys.keys() | last_keys.keys()):
        path = os.fsencode(name)
        if records.get(path) and scan.keys.get(name) != last_keys.get(name):
            scan.contexts.setdefault(path, None)
            scan.again.append(path)
    return scan
