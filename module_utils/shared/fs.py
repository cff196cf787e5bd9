# SPDX-License-Identifier: GPL-3.0-or-later
"""Files and directories by descriptors: walk, read without changing the access time, write atomically."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import hashlib
import os
import re
import secrets
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, NamedTuple

from ansible.module_utils.shared.ownership import Ownership, unescaped

# Bytes that are read or written at a time.
BLOCK = 1024 * 1024
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Longer relative paths are opened name by name: the system accepts 4096 bytes at most.
_PATH_STEP = 3000


class Entry(NamedTuple):
    """One name below a walked directory, as `lstat` describes it.

    `path` is relative to where the walk began; `inode` is (device, inode number); times are nanoseconds since 1970.
    """

    path: bytes
    mode: int
    size: int
    mtime_ns: int
    ctime_ns: int
    inode: tuple[int, int]
    links: int
    blocks: int

    @property
    def is_file(self) -> bool:
        """Whether it is a regular file."""
        return stat.S_ISREG(self.mode)

    @property
    def is_directory(self) -> bool:
        """Whether it is a directory."""
        return stat.S_ISDIR(self.mode)

    @property
    def is_link(self) -> bool:
        """Whether it is a symlink."""
        return stat.S_ISLNK(self.mode)


def entry_of(path: bytes, status: os.stat_result) -> Entry:
    """The entry for a `stat` result."""
    return Entry(
        path,
        status.st_mode,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
        (status.st_dev, status.st_ino),
        status.st_nlink,
        status.st_blocks,
    )


def display_name(path: bytes) -> str:
    """A path as text that any terminal and any JSON parser accepts."""
    text = path.decode("utf-8", "backslashreplace")
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def explain(error: Exception, place: Path | str = "") -> str:
    """A message with the path, the error and what to do; `place` is the path if the error has none.

    The text of any other exception of this project is already such a message.
    """
    if not isinstance(error, OSError):
        return str(error)
    number, what, where = error.errno or 0, error.strerror, error.filename or place
    if isinstance(error, shutil.Error) and isinstance(error.args[0], list):
        # A copy of a tree raises (source, target, reason) of each file, with the reason as text.
        _source, where, what = error.args[0][0]
        found = re.match(r"\[Errno (\d+)\] ([^:]+)", str(what))
        number, what = (int(found[1]), found[2]) if found else (0, str(what))
    remedies = {
        errno.ENOSPC: "free some space there, then run again",
        errno.EDQUOT: "raise the quota or free some space there, then run again",
        errno.EROFS: "mount the file system for writing, then run again",
        errno.EACCES: "make it accessible for the user that Ansible becomes",
        errno.EPERM: "make it accessible for the user that Ansible becomes (`lsattr` shows whether it is immutable)",
        errno.EIO: "the disk fails; look at the machine's kernel log",
    }
    remedy = remedies.get(number, "correct it, then run again")
    return f"{where}: " * bool(where) + f"{what or str(error) or type(error).__name__}; {remedy}"


@contextlib.contextmanager
def located(path: Path | str) -> Iterator[None]:
    """Add the path to an error that has none: those of reading and writing an open file, such as a full disk."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


# Walking.


def walk(
    root: int, skip: Callable[[str, bytes, os.DirEntry[str]], bool] | None = None
) -> Iterator[tuple[Entry, int, list[Entry]]]:
    """Directories below `root` (a descriptor), parents first, each with its entries, sorted by name.

    No symlink is followed and no file is opened. The stack is a list, because trees may be deep.

    Args:
        root: where to begin.
        skip: called with a name, its path and its directory entry; true leaves it out, with everything below it.

    Yields:
        The directory, a descriptor of it that is closed afterwards, and its entries.

    Raises:
        OSError: a directory cannot be read.
    """
    stack = [entry_of(b"", os.fstat(root))]
    encode, is_directory = os.fsencode, stat.S_ISDIR
    while stack:
        directory = stack.pop()
        prefix = directory.path + b"/" if directory.path else b""
        found: list[Entry] = []
        descriptor = open_directory(root, directory.path)
        try:
            with os.scandir(descriptor) as entries:
                for item in entries:
                    path = prefix + encode(item.name)
                    if skip is not None and skip(item.name, path, item):
                        continue
                    found.append(entry_of(path, item.stat(follow_symlinks=False)))
            found.sort()
            yield directory, descriptor, found
        finally:
            os.close(descriptor)
        stack += [entry for entry in reversed(found) if is_directory(entry.mode)]


# Opening.


def open_directory(root: int, path: bytes) -> int:
    """Open a directory below `root` (a descriptor) without following a symlink at its end, however deep it is."""
    if len(path) < _PATH_STEP:
        return os.open(path or b".", _DIRECTORY, dir_fd=root)
    return open_directory_strictly(root, path)


def open_directory_strictly(root: int, path: bytes) -> int:
    """Open a directory below `root` without following a symlink anywhere on the way."""
    current = os.dup(root)
    for name in path.split(b"/") if path else ():
        try:
            following = os.open(name, _DIRECTORY, dir_fd=current)
        finally:
            os.close(current)
        current = following
    return current


def open_for_reading(path: bytes | str, directory: int | None = None) -> int:
    """Open a file for reading without following a symlink at its end, and keep the access time if that is allowed.

    Only a file's owner and root may keep its access time.
    """
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    try:
        return os.open(path, flags | os.O_NOATIME, dir_fd=directory)
    except PermissionError:
        return os.open(path, flags, dir_fd=directory)


# Content.


def read_all(descriptor: int, size: int) -> bytes:
    """The content of a file that had `size` bytes, or more if it has grown."""
    data = os.read(descriptor, size + 1)
    if len(data) == size:
        return data
    pieces = [data]
    while piece := os.read(descriptor, BLOCK):
        pieces.append(piece)
    return b"".join(pieces)


def write_all(descriptor: int, data: bytes | memoryview, offset: int | None = None) -> None:
    """Write all of `data`, in as many calls as it takes: at `offset`, or at the file's position."""
    done = 0
    while done < len(data):
        rest = memoryview(data)[done:] if done else data
        done += os.write(descriptor, rest) if offset is None else os.pwrite(descriptor, rest, offset + done)


def hash_at(name: bytes, directory: int) -> bytes:
    """SHA-256 of a file's content, in hexadecimal."""
    descriptor = open_for_reading(name, directory)
    try:
        digest = hashlib.sha256()
        while piece := os.read(descriptor, BLOCK):
            digest.update(piece)
        return digest.hexdigest().encode()
    finally:
        os.close(descriptor)


def data_ranges(descriptor: int, start: int, end: int) -> Iterator[tuple[int, int]]:
    """The parts of a file between `start` and `end` that are not holes. A file system without holes gives the whole."""
    position = start
    while position < end:
        try:
            first = os.lseek(descriptor, position, os.SEEK_DATA)
        except OSError as exc:
            if exc.errno != errno.ENXIO:
                raise
            # Only a hole is left.
            return
        if first >= end:
            return
        last = min(os.lseek(descriptor, first, os.SEEK_HOLE), end)
        yield first, last
        position = last


def has_holes(descriptor: int, status: os.stat_result, least: int) -> bool:
    """Whether a file has holes of at least `least` bytes in total.

    A small number of blocks alone proves nothing: file systems that compress or allocate late report few for any file.
    """
    if status.st_blocks * 512 >= min(status.st_size, least):
        return False
    return os.lseek(descriptor, 0, os.SEEK_HOLE) < status.st_size


# Writing.


@contextlib.contextmanager
def removed_on_error(name: bytes | str, directory: int | None = None) -> Iterator[None]:
    """Remove the temporary file `name` if the body fails; it may have been renamed by then."""
    try:
        yield
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=directory)
        raise


@contextlib.contextmanager
def atomic_write(
    path: str | Path, directory: int | None = None, mode: int = 0o600, ownership: Ownership | None = None
) -> Iterator[IO[bytes]]:
    """A file to write to, which replaces `path` at the end of the block; the old file stays if anything fails.

    Synced before and after the rename: after a power failure the file is the old one or the new one.

    Args:
        path: what to replace.
        directory: the descriptor of a directory that `path` is relative to.
        mode: of the new file.
        ownership: owner and mode of the new file, if they matter.
    """
    folder, _slash, last = str(path).rpartition("/")
    temporary = f"{folder}{_slash}{_temporary(last, secrets.token_hex(4))}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(temporary, flags, mode, dir_fd=directory)
    # A path that is relative to a directory says too little.
    with removed_on_error(temporary, directory), located(path) if directory is None else contextlib.nullcontext():
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if ownership is not None:
            ownership.apply(Path(temporary))
        os.rename(temporary, path, src_dir_fd=directory, dst_dir_fd=directory)
    if directory is not None:
        os.fsync(directory)
    else:
        sync(folder or ".")


def write_file(path: Path, data: bytes, ownership: Ownership) -> None:
    """Replace a file, as `atomic_write` does."""
    with atomic_write(path, ownership=ownership) as file:
        file.write(data)


def replace_file(path: Path, data: bytes, ownership: Ownership) -> None:
    """Replace a file that one process writes at a time, and remove what killed processes left beside it."""
    left = re.compile(re.escape(_temporary(path.name, "")) + "[0-9a-f]{8}")
    for entry in path.parent.iterdir():
        if left.fullmatch(entry.name):
            entry.unlink()
    write_file(path, data, ownership)


def _temporary(name: str, suffix: str) -> str:
    """The name of a temporary file, which begins with a dot so that no service reads it."""
    return f".{name[:200]}.{suffix}"


def symlink(target: bytes, path: Path) -> None:
    """Create a symlink with exactly this text, which `Path` would normalise."""
    folder = os.open(path.parent, _DIRECTORY)
    try:
        os.symlink(target, os.fsencode(path.name), dir_fd=folder)
    finally:
        os.close(folder)


def sync(path: str | Path) -> None:
    """Force a file, or a directory's names, to the disk. File systems that refuse it for directories need none."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as exc:
        if exc.errno != errno.EINVAL:
            raise
    finally:
        os.close(descriptor)


def sync_file_system(descriptor: int) -> None:
    """Flush the file system that holds `descriptor`: one call for all files instead of one each."""
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "syncfs"):
        os.sync()
    elif libc.syncfs(descriptor):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


class AppendLog:
    """A log to which complete records are appended, also by several processes; an incomplete last record is ignored.

    Args:
        path: the file, which is created if it is missing.
        separator: the byte that ends a record; no record contains it.
        directory: the descriptor of a directory that `path` is relative to.
    """

    def __init__(self, path: bytes | str, separator: bytes, directory: int | None = None) -> None:
        self._separator = separator
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        self.descriptor = os.open(path, flags, 0o600, dir_fd=directory)
        # A record that a full disk or a power failure cut off must not be merged with the first one of this run.
        os.write(self.descriptor, separator)

    def append(self, records: Iterable[bytes]) -> None:
        """Append records in one call."""
        data = b"".join(record + self._separator for record in records)
        if os.write(self.descriptor, data) != len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def sync(self) -> None:
        """Force what was appended to the disk."""
        os.fdatasync(self.descriptor)

    def close(self) -> None:
        """Close the file."""
        os.close(self.descriptor)


def read_log(data: bytes, separator: bytes) -> list[bytes]:
    """The records of an `AppendLog`'s content."""
    return [record for record in data.split(separator)[:-1] if record]


# Mounts.


def file_system_of(directory: int) -> tuple[bytes, int]:
    """What two directories must have in common so that a file can be renamed or linked from one into the other.

    That is the mount and the device: a bind mount shares the device with its parent, a subvolume the mount.
    """
    mount = b""
    with contextlib.suppress(OSError):
        # Plain system calls, because it is called for every directory.
        descriptor = os.open(b"/proc/self/fdinfo/%d" % directory, os.O_RDONLY | os.O_CLOEXEC)
        try:
            mount = os.read(descriptor, 1024).partition(b"mnt_id:")[2].partition(b"\n")[0].strip()
        finally:
            os.close(descriptor)
    return mount, os.fstat(directory).st_dev


def is_mount_point(path: str, table: Path = Path("/proc/self/mountinfo")) -> bool:
    """Whether a directory is a mount point, even of the same file system, which `ismount` does not detect."""
    if os.path.ismount(path):
        return True
    try:
        places = [line.split()[4] for line in table.read_bytes().splitlines()]
    except OSError:
        return False
    return os.path.realpath(path) in {unescaped(os.fsdecode(place)) for place in places}
