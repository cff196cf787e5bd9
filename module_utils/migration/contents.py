"""What a file of the source becomes: whole where it is small, else in pieces, so that memory stays bounded."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from typing import Any, NamedTuple

from ansible.module_utils.migration.errors import MigrationError
from ansible.module_utils.migration.file_access import PIECE, read_all, write_all
from ansible.module_utils.migration.job import Job
from ansible.module_utils.migration.tree import Entry
from ansible.module_utils.rewriting.document import Document, DocumentStream, has_nul_unit, kind_of, plan_document

# Up to this size a file is handled in one piece.
WHOLE_MAX = 4 * 1024 * 1024
# A hole in a smaller file is not worth a thing, and as zeros it is no less binary.
_HOLE_MIN = 65536
_ZEROS = bytes(PIECE)


class Result(NamedTuple):
    """A file's result. `old` and `new` are None where the file is not held in memory."""

    digest: bytes
    document: Document
    old: bytes | None
    new: bytes | None
    sparse: bool = False


def _digest(data: bytes) -> bytes:
    return hashlib.sha256(data).hexdigest().encode()


def result_of(
    job: Job, descriptor: int, entry: Entry, name: bytes, sink: int | None = None, kind: str | None = None
) -> Result:
    """Read a file of the source and compute its result, which goes to `sink` too where it is not held in memory.

    Args:
        job: what all files share.
        descriptor: the file, open for reading.
        entry: what the look at the source saw.
        name: the file's name without its folder.
        sink: an empty file, open for writing.
        kind: what an earlier reading found out about the file.

    Raises:
        MigrationError: the file is not what it was when the source was looked at.
    """
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or (status.st_size, status.st_mtime_ns) != (entry.size, entry.mtime_ns):
        raise MigrationError("changed while the migration was looking at it; run the migration again")
    if _has_holes(descriptor, status):
        return _sparse_result(job, descriptor, entry, sink)
    os.lseek(descriptor, 0, os.SEEK_SET)
    if status.st_size > WHOLE_MAX:
        return _stream_result(job, descriptor, entry, sink, kind)
    old = read_all(descriptor, entry.size)
    if len(old) != entry.size:
        raise MigrationError("changes while it is read; stop what writes to the source and run again")
    document = plan_document(old, job.rules, job.mentions, job.compose.get(entry.path))
    return Result(_digest(document.new), document, old, document.new)


def _has_holes(descriptor: int, status: os.stat_result) -> bool:
    """Whether a file has holes that are worth keeping.

    Few blocks alone prove nothing: file systems that compress, or allocate late, count few for any file.
    """
    size = status.st_size
    if status.st_blocks * 512 >= (min(size, _HOLE_MIN) if size <= WHOLE_MAX else size):
        return False
    return os.lseek(descriptor, 0, os.SEEK_HOLE) < size


def _check_size(entry: Entry, seen: int) -> None:
    if seen != entry.size:
        raise MigrationError("changes while it is read; stop what writes to the source and run again")


def _stream_result(job: Job, descriptor: int, entry: Entry, sink: int | None, kind: str | None) -> Result:
    """A large file: it is taken for text until a NUL says otherwise, and then read once more as binary."""
    kind = kind or kind_of(os.pread(descriptor, 4, 0), has_nul=False)
    result = _read_as(kind, job, descriptor, entry, sink)
    if result is None:
        os.lseek(descriptor, 0, os.SEEK_SET)
        if sink is not None:
            os.lseek(sink, 0, os.SEEK_SET)
            os.ftruncate(sink, 0)
        result = _read_as("binary", job, descriptor, entry, sink)
    if result is None:
        raise MigrationError("changes while it is read; stop what writes to the source and run again")
    return result


def _read_as(kind: str, job: Job, descriptor: int, entry: Entry, sink: int | None) -> Result | None:
    """The result of a file of this kind; None where a NUL shows that it is binary."""
    digest, seen, odd = hashlib.sha256(), 0, b""
    stream = DocumentStream(kind, job.rules, job.mentions)
    while True:
        piece = os.read(descriptor, PIECE)
        seen += len(piece)
        if kind == "text" and b"\x00" in piece:
            return None
        if kind.startswith(("utf-16", "utf-32")):
            units = odd + piece
            if has_nul_unit(units, kind):
                return None
            odd = units[len(units) // 4 * 4 :]
        try:
            result = stream.feed(piece, final=not piece)
        except UnicodeDecodeError:
            return None
        digest.update(result)
        if sink is not None and result:
            write_all(sink, result)
        if not piece:
            break
    _check_size(entry, seen)
    return Result(digest.hexdigest().encode(), stream.document(), None, None)


def _sparse_result(job: Job, descriptor: int, entry: Entry, sink: int | None) -> Result:
    """A file with holes is binary; the holes are kept."""
    digest = hashlib.sha256()
    stream = DocumentStream("binary", job.rules, job.mentions)
    position = 0
    while position < entry.size:
        try:
            start = os.lseek(descriptor, position, os.SEEK_DATA)
        except OSError as exc:
            if exc.errno != errno.ENXIO:
                raise
            start = entry.size
        _digest_zeros(digest, start - position)
        if start > position:
            stream.feed(b"\x00", final=False)
        position = start
        end = os.lseek(descriptor, position, os.SEEK_HOLE) if position < entry.size else position
        while position < end:
            piece = os.pread(descriptor, min(PIECE, end - position), position)
            if not piece:
                _check_size(entry, position)
            digest.update(piece)
            stream.feed(piece, final=False)
            if sink is not None:
                os.pwrite(sink, piece, position)
            position += len(piece)
    stream.feed(b"", final=True)
    if sink is not None:
        os.ftruncate(sink, entry.size)
    return Result(digest.hexdigest().encode(), stream.document(), None, None, sparse=True)


def _digest_zeros(digest: Any, count: int) -> None:
    while count > 0:
        digest.update(_ZEROS[: min(count, PIECE)])
        count -= PIECE
