# SPDX-License-Identifier: GPL-3.0-or-later
"""What a folder of live data holds, seen without following a symlink and without opening a file."""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass

from ansible.module_utils.shared import fs


class DataCopyError(Exception):
    """A copy that cannot begin or go on; the message says what, where and what to do."""


@dataclass(frozen=True, slots=True)
class Tree:
    """A listing, parents before children. `targets` holds the symlinks' texts by path.

    `skipped` are sockets, FIFOs and devices, which hold no data.
    """

    root: str
    entries: tuple[fs.Entry, ...]
    targets: dict[bytes, bytes]
    skipped: tuple[str, ...]

    @property
    def files(self) -> list[fs.Entry]:
        """The regular files."""
        return [entry for entry in self.entries if entry.is_file]

    @property
    def holds_files(self) -> bool:
        """Whether there is anything but folders: an engine leaves empty ones for its mounts."""
        return any(not entry.is_directory for entry in self.entries)

    @property
    def size(self) -> int:
        """Bytes in all regular files, each name of a hard link counted once."""
        return sum(entry.size for entry in self.first_names())

    def first_names(self) -> list[fs.Entry]:
        """The regular files; only the first name of a file that has several."""
        seen: set[tuple[int, int]] = set()
        found = []
        for entry in self.files:
            if entry.links == 1 or entry.inode not in seen:
                seen.add(entry.inode)
                found.append(entry)
        return found

    def fingerprint(self) -> str:
        """A hash over names, kinds, sizes and times: two equal ones mean that nothing was written in between."""
        digest = hashlib.sha256()
        for entry in self.entries:
            # A directory's time changes with its entries, which are in the hash anyway.
            time = 0 if entry.is_directory else entry.mtime_ns
            size = entry.size if entry.is_file else 0
            digest.update(b"%o %d %d " % (stat.S_IFMT(entry.mode), size, time))
            digest.update(b"%s\0%s\0" % (entry.path, self.targets.get(entry.path, b"")))
        return digest.hexdigest()


def place_of(root: str, path: bytes) -> bytes:
    """The full path of an entry of the tree."""
    return os.fsencode(root) + b"/" + path


def scan(root: str) -> Tree:
    """List a folder. Raises DataCopyError when it, or a folder in it, cannot be read."""
    entries: list[fs.Entry] = []
    targets: dict[bytes, bytes] = {}
    skipped: list[str] = []
    try:
        # The folder itself may be reached through a link; inside of it none is followed.
        top = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for _directory, descriptor, found in fs.walk(top):
                for entry in found:
                    if entry.is_link:
                        targets[entry.path] = os.readlink(entry.path.rpartition(b"/")[2], dir_fd=descriptor)
                    elif not (entry.is_file or entry.is_directory):
                        skipped.append(fs.display_name(entry.path))
                        continue
                    entries.append(entry)
        finally:
            os.close(top)
    except FileNotFoundError as error:
        raise DataCopyError(f"{_name(error, root)}: was removed while it was read. Stop Trade2025 first.") from None
    except NotADirectoryError:
        raise DataCopyError(f"{root}: is not a folder. Set trade2025_root and trade2025_data_folders.") from None
    except OSError as error:
        raise DataCopyError(f"{_name(error, root)}: cannot be read: {error.strerror}. Run as root.") from None
    return Tree(root, tuple(entries), targets, tuple(skipped))


def _name(error: OSError, root: str) -> str:
    """The path that an error is about; the error has a relative one if the folder was opened as a descriptor."""
    name = os.fsencode(error.filename or root)
    return fs.display_name(name if name.startswith(b"/") else place_of(root, name))


def allocated(tree: Tree) -> int:
    """Bytes of disk that a copy of the tree takes: holes take none, every file and folder whole blocks of 4 KiB."""
    total = 0
    for entry in tree.first_names():
        size = entry.size
        if entry.blocks * 512 < size:
            size = min(size, _data_bytes(place_of(tree.root, entry.path), size))
        total += -(-size // 4096) * 4096
    return total + 4096 * sum(1 for entry in tree.entries if entry.is_directory)


def _data_bytes(path: bytes, size: int) -> int:
    """Bytes of a file outside of its holes. Fewer blocks than bytes may also mean compression; a copy may lack it."""
    descriptor = open_source(path)
    try:
        return sum(end - start for start, end in fs.data_ranges(descriptor, 0, size))
    finally:
        os.close(descriptor)


def open_source(path: bytes) -> int:
    """Open a file of the source for reading. Raises DataCopyError when it cannot be read."""
    try:
        return fs.open_for_reading(path)
    except OSError as error:
        name = fs.display_name(path)
        raise DataCopyError(f"{name}: cannot be read: {error.strerror}. Is Trade2025 stopped?") from None
