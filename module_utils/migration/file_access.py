"""Reading and writing through descriptors of directories, so that no path is ever too long."""

from __future__ import annotations

import contextlib
import hashlib
import os

from ansible.module_utils.migration.errors import MigrationError

PIECE = 1024 * 1024
# Set-user-id and set-group-id are not kept: the copy has another owner.
FILE_MODE = 0o777
DIRECTORY_MODE = 0o1777


def open_source(name: bytes, directory: int) -> int:
    """Open a file of the source for reading, without even changing its access time where that is allowed."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    try:
        return os.open(name, flags | os.O_NOATIME, dir_fd=directory)
    except PermissionError:
        return os.open(name, flags, dir_fd=directory)


def read_all(descriptor: int, size: int) -> bytes:
    """All of a file that had `size` bytes; more where it has grown."""
    data = os.read(descriptor, size + 1)
    if len(data) == size:
        return data
    pieces = [data]
    while piece := os.read(descriptor, PIECE):
        pieces.append(piece)
    return b"".join(pieces)


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of `data`, in as many calls as it takes."""
    written = os.write(descriptor, data)
    if written != len(data):
        view = memoryview(data)[written:]
        while view:
            view = view[os.write(descriptor, view) :]


def digest_at(name: bytes, directory: int) -> bytes:
    """SHA-256 of a file's content, in hexadecimal."""
    descriptor = open_source(name, directory)
    try:
        digest = hashlib.sha256()
        while piece := os.read(descriptor, PIECE):
            digest.update(piece)
        return digest.hexdigest().encode()
    finally:
        os.close(descriptor)


def backup_name(name: bytes, directory: int, stamp: str) -> bytes:
    """A name beside `name` that is still free, within what a file system takes."""
    ending = f".{stamp}.bak".encode()
    for number in range(1000):
        candidate = name[: 255 - len(ending) - 4] + (b"-%d" % number if number else b"") + ending
        try:
            os.stat(candidate, dir_fd=directory, follow_symlinks=False)
        except FileNotFoundError:
            return candidate
    raise MigrationError("a thousand backups of one second stand beside it; remove some")


def file_system_of(directory: int) -> tuple[bytes, int]:
    """What two directories must have in common for a file to be renamed or linked from one into the other.

    That is the mount and the device: a bind mount has the device of what surrounds it, a subvolume the mount.
    """
    mount = b""
    with contextlib.suppress(OSError):
        # By plain calls: it is asked for every directory.
        descriptor = os.open(b"/proc/self/fdinfo/%d" % directory, os.O_RDONLY | os.O_CLOEXEC)
        try:
            mount = os.read(descriptor, 1024).partition(b"mnt_id:")[2].partition(b"\n")[0].strip()
        finally:
            os.close(descriptor)
    return mount, os.fstat(directory).st_dev
