# SPDX-License-Identifier: GPL-3.0-or-later
"""Copy the content of files in steps; each step is written, forced to disk, read back and compared by its hash."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from ansible.module_utils.data_copy.tree import DataCopyError, open_source, place_of
from ansible.module_utils.shared import fs
from ansible.module_utils.shared.fs import BLOCK

# Of hashlib's algorithms the fastest on a processor with SHA instructions (1646 MiB/s measured, blake2b 638).
ALGORITHM = "sha256"

# Bytes per step: what is verified at once, and is not copied again after an interruption.
STEP = 64 * 1024 * 1024
_ZEROS = bytes(BLOCK)
_local = threading.local()


def _buffer() -> memoryview:
    """A block to read into, one for each thread."""
    if not hasattr(_local, "buffer"):
        _local.buffer = memoryview(bytearray(BLOCK))
    buffer: memoryview = _local.buffer
    return buffer


@lru_cache(maxsize=64)
def hole_digest(size: int) -> bytes:
    """The hash of this many zero bytes."""
    digest = hashlib.new(ALGORITHM)
    _zeros(digest, size)
    return digest.digest()


def _zeros(digest: hashlib._Hash, size: int) -> None:
    for _block in range(size // BLOCK):
        digest.update(_ZEROS)
    digest.update(_ZEROS[: size % BLOCK])


def steps(size: int) -> list[tuple[int, int]]:
    """Where the steps of a file of this size begin and end; an empty file has one empty step."""
    return [(start, min(start + STEP, size)) for start in range(0, max(size, 1), STEP)]


def file_digest(digests: list[bytes]) -> str:
    """The hash of a file, from those of its steps. With one step it is the plain hash of the content."""
    return digests[0].hex() if len(digests) == 1 else hashlib.new(ALGORITHM, b"".join(digests)).hexdigest()


def _blocks(descriptor: int, start: int, end: int, name: str) -> Iterator[tuple[int, memoryview]]:
    buffer = _buffer()
    at = start
    while at < end:
        count = os.preadv(descriptor, [buffer[: min(BLOCK, end - at)]], at)
        if count == 0:
            raise DataCopyError(f"{name}: became shorter while it was read. Stop Trade2025 first.")
        yield at, buffer[:count]
        at += count


def copy_step(source: int, dest: int | None, start: int, end: int, name: str) -> bytes:
    """Hash one step of `source`, and write it to `dest` where one is given. Holes are neither read nor written."""
    ranges = list(fs.data_ranges(source, start, end))
    if not ranges:
        return hole_digest(end - start)
    digest = hashlib.new(ALGORITHM)
    at = start
    for first, last in ranges:
        _zeros(digest, first - at)
        for offset, block in _blocks(source, first, last, name):
            digest.update(block)
            if dest is not None:
                fs.write_all(dest, block, offset)
        at = last
    _zeros(digest, end - at)
    return digest.digest()


def has_data(descriptor: int, start: int, end: int) -> bool:
    """Whether a part of a file is more than a hole."""
    return next(fs.data_ranges(descriptor, start, end), None) is not None


def open_dest(path: Path, fresh: bool) -> int:
    """Open a staged file for writing and reading back; it is created or emptied if `fresh`."""
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | (os.O_TRUNC if fresh else 0)
    return os.open(path, flags, 0o600)


def sync_step(descriptor: int, start: int, end: int) -> None:
    """Force a step to the disk and drop it from the cache, so that reading it back reads the disk."""
    os.fdatasync(descriptor)
    os.posix_fadvise(descriptor, start, end - start, os.POSIX_FADV_DONTNEED)


def check_step(dest: int, start: int, end: int, wanted: bytes, name: str) -> None:
    """Read a step back and compare it. Raises DataCopyError when the disk returns something else."""
    if copy_step(dest, None, start, end, name) != wanted:
        raise DataCopyError(
            f"{name}: the data read back at byte {start} differs from the data written. Check the disk (dmesg)."
        )


def check_unchanged(descriptor: int, entry: fs.Entry) -> None:
    """Raises DataCopyError when the source's file is not as it was listed."""
    seen = os.fstat(descriptor)
    if (seen.st_size, seen.st_mtime_ns, (seen.st_dev, seen.st_ino)) != (entry.size, entry.mtime_ns, entry.inode):
        raise DataCopyError(
            f"{fs.display_name(entry.path)}: changed while it was copied. Stop the process that writes to it."
        )


def open_unchanged(root: str, entry: fs.Entry) -> int:
    """Open a file of the source and check that it is the one that was listed."""
    descriptor = open_source(place_of(root, entry.path))
    try:
        check_unchanged(descriptor, entry)
    except DataCopyError:
        os.close(descriptor)
        raise
    return descriptor
