"""What a folder of live data holds, seen without following a symlink and without opening a file."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


class DataCopyError(Exception):
    """A copy that cannot begin or go on; the message says what, where and what to do."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One name below the folder. `path` is relative; bytes that are no UTF-8 are kept as surrogates.

    `size` and `mtime_ns` mean what `stat` says; `inode` is (device, inode); `target` is a symlink's text.
    """

    path: str
    mode: int
    size: int
    mtime_ns: int
    inode: tuple[int, int]
    links: int
    blocks: int
    target: str = ""

    @property
    def is_file(self) -> bool:
        return stat.S_ISREG(self.mode)

    @property
    def is_directory(self) -> bool:
        return stat.S_ISDIR(self.mode)

    @property
    def is_link(self) -> bool:
        return stat.S_ISLNK(self.mode)

    @property
    def shown(self) -> str:
        """The path for messages."""
        return os.fsencode(self.path).decode(errors="backslashreplace")


@dataclass(frozen=True, slots=True)
class Tree:
    """A listing, parents before children. `skipped` are sockets, FIFOs and devices, which hold no data."""

    root: str
    entries: tuple[Entry, ...]
    skipped: tuple[str, ...]

    @property
    def files(self) -> list[Entry]:
        return [entry for entry in self.entries if entry.is_file]

    @property
    def holds_files(self) -> bool:
        """Whether there is anything but folders: an engine leaves empty ones for its mounts."""
        return any(not entry.is_directory for entry in self.entries)

    @property
    def size(self) -> int:
        """Bytes in all regular files, each name of a hard link counted once."""
        return sum(entry.size for entry in self.first_names())

    def first_names(self) -> list[Entry]:
        """The regular files, of several names of one file only the first."""
        seen: set[tuple[int, int]] = set()
        found = []
        for entry in self.files:
            if entry.links == 1 or entry.inode not in seen:
                seen.add(entry.inode)
                found.append(entry)
        return found

    def fingerprint(self) -> str:
        """A hash over names, kinds, sizes and times: two equal ones mean that nothing was written in between."""
        told = hashlib.sha256()
        for entry in self.entries:
            # A directory's time follows its entries, which are here by themselves.
            time = 0 if entry.is_directory else entry.mtime_ns
            size = entry.size if entry.is_file else 0
            told.update(b"%o %d %d " % (stat.S_IFMT(entry.mode), size, time))
            told.update(os.fsencode(f"{entry.path}\0{entry.target}\0"))
        return told.hexdigest()


def scan(root: str) -> Tree:
    """List a folder. Raises DataCopyError when it, or a folder in it, cannot be read."""
    entries: list[Entry] = []
    skipped: list[str] = []
    try:
        for entry in _walk(root, ""):
            if entry.is_file or entry.is_directory or entry.is_link:
                entries.append(entry)
            else:
                skipped.append(entry.shown)
    except FileNotFoundError as error:
        raise DataCopyError(f"{_name(error, root)}: vanished while it was read. Is Trade2025 stopped?") from None
    except NotADirectoryError:
        raise DataCopyError(f"{root}: is not a folder. Set trade2025_root and trade2025_data_folders.") from None
    except OSError as error:
        raise DataCopyError(f"{_name(error, root)}: cannot be read: {error.strerror}. Run as root.") from None
    return Tree(root, tuple(entries), tuple(skipped))


def _name(error: OSError, root: str) -> str:
    return str(error.filename or root)


_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def _walk(top: str, below: str) -> Iterator[Entry]:
    """All entries below a folder in a fixed order, with a stack of its own: trees may be deep."""
    stack = [below]
    while stack:
        folder = stack.pop()
        deeper = []
        # The folder itself may be reached through a link; inside of it none is followed.
        descriptor = os.open(f"{top}/{folder}", _FOLDER if folder else _FOLDER & ~os.O_NOFOLLOW)
        try:
            with os.scandir(descriptor) as found:
                names = sorted(item.name for item in found)
            for name in names:
                seen = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
                path = f"{folder}/{name}" if folder else name
                target = os.readlink(name, dir_fd=descriptor) if stat.S_ISLNK(seen.st_mode) else ""
                inode = (seen.st_dev, seen.st_ino)
                yield Entry(
                    path, seen.st_mode, seen.st_size, seen.st_mtime_ns, inode, seen.st_nlink, seen.st_blocks, target
                )
                if stat.S_ISDIR(seen.st_mode):
                    deeper.append(path)
        finally:
            os.close(descriptor)
        stack.extend(reversed(deeper))


def is_mount_point(path: str, table: Path = Path("/proc/self/mountinfo")) -> bool:
    """Whether something is mounted at a folder: `ismount` alone does not see a folder of the same file system there."""
    if os.path.ismount(path):
        return True
    try:
        places = [line.split()[4] for line in table.read_bytes().splitlines()]
    except OSError:
        return False
    # The kernel writes blanks and the like as octal numbers.
    names = {re.sub(rb"\\([0-7]{3})", lambda found: bytes([int(found[1], 8)]), place) for place in places}
    return os.fsencode(os.path.realpath(path)) in names


def allocated(tree: Tree) -> int:
    """Bytes of disk that a copy of the tree takes: holes take none, every file and folder whole blocks of 4 KiB."""
    total = 0
    for entry in tree.first_names():
        size = entry.size
        if entry.blocks * 512 < size:
            size = min(size, _data_bytes(f"{tree.root}/{entry.path}", size))
        total += -(-size // 4096) * 4096
    return total + 4096 * sum(1 for entry in tree.entries if entry.is_directory)


def _data_bytes(path: str, size: int) -> int:
    """Bytes of a file outside of its holes. Fewer blocks than bytes may also mean compression; a copy may lack it."""
    descriptor = open_source(path)
    try:
        return sum(end - start for start, end in data_ranges(descriptor, 0, size))
    finally:
        os.close(descriptor)


def open_source(path: str) -> int:
    """Open a file of the source for reading; no symlink is followed, and where allowed the access time stays.

    Raises DataCopyError when it cannot be read.
    """
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        try:
            return os.open(path, flags | os.O_NOATIME)
        except PermissionError:
            # Only a file's owner and root may keep the access time as it is.
            return os.open(path, flags)
    except OSError as error:
        raise DataCopyError(f"{path}: cannot be read: {error.strerror}. Is Trade2025 stopped?") from None


def data_ranges(descriptor: int, start: int, end: int) -> Iterator[tuple[int, int]]:
    """The parts of a file between `start` and `end` that are not holes. A file system without holes gives the whole."""
    at = start
    while at < end:
        try:
            first = os.lseek(descriptor, at, os.SEEK_DATA)
        except OSError:
            # ENXIO: only a hole follows. Anything else cannot be, for the descriptor is a regular file.
            return
        if first >= end:
            return
        last = min(os.lseek(descriptor, first, os.SEEK_HOLE), end)
        yield first, last
        at = last
