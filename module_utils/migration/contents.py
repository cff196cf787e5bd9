"""What a file of the source becomes: whole where it is small, else in pieces, so that memory stays bounded."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from typing import Any, NamedTuple

from ansible.module_utils.migration import compose_references
from ansible.module_utils.migration.documents import Document, DocumentStream, kind_of, plan_document
from ansible.module_utils.migration.errors import MigrationError
from ansible.module_utils.migration.file_access import PIECE, read_all, write_all
from ansible.module_utils.migration.job import Job
from ansible.module_utils.migration.roots import Root
from ansible.module_utils.migration.tree import Entry

# Up to this size a file is handled in one piece.
WHOLE_MAX = 4 * 1024 * 1024
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


def result_of(job: Job, descriptor: int, entry: Entry, name: bytes, sink: int | None) -> Result:
    """Read a file of the source and compute its result, which goes to `sink` too where it is not held in memory.

    Raises:
        MigrationError: the file is not what it was when the source was looked at.
    """
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or (status.st_size, status.st_mtime_ns) != (entry.size, entry.mtime_ns):
        raise MigrationError("changed while the migration was looking at it; run the migration again")
    if status.st_size <= WHOLE_MAX and status.st_blocks * 512 >= min(status.st_size, 65536):
        old = read_all(descriptor, entry.size)
        if len(old) != entry.size:
            raise MigrationError("changes while it is read; stop what writes to the source and run again")
        document = plan_document(old, job.rules, job.mentions, _resolver(job, entry.path, name))
        return Result(_digest(document.new), document, old, document.new)
    if status.st_blocks * 512 < status.st_size:
        return _sparse_result(job, descriptor, entry, sink)
    return _stream_result(job, descriptor, entry, sink)


def _resolver(job: Job, path: bytes, name: bytes) -> compose_references.Resolver | None:
    base = job.compose_base
    if base is None or not compose_references.is_compose_file(name):
        return None
    folder = path.rpartition(b"/")[0].decode("utf-8", "surrogateescape")
    parts = (*base.parts, *(part for part in folder.split("/") if part))
    return compose_references.resolver(Root(base.drive, parts, base.text_drive, parts), job.rules.path_rules)


def _check_size(entry: Entry, seen: int) -> None:
    if seen != entry.size:
        raise MigrationError("changes while it is read; stop what writes to the source and run again")


def _stream_result(job: Job, descriptor: int, entry: Entry, sink: int | None) -> Result:
    """A large file: one pass finds out what it is, the second rewrites; memory stays at a few pieces."""
    os.lseek(descriptor, 0, os.SEEK_SET)
    has_nul, head, wide_nul, seen = False, b"", False, 0
    while piece := os.read(descriptor, PIECE):
        head = head or piece[:4]
        seen += len(piece)
        has_nul = has_nul or b"\x00" in piece
        wide_nul = wide_nul or (len(head) > 1 and kind_of(head, True) != "binary" and _nul_unit(piece))
        if has_nul and (kind_of(head, True) == "binary" or wide_nul):
            break
    else:
        _check_size(entry, seen)
    kind = "binary" if wide_nul else kind_of(head, has_nul)
    os.lseek(descriptor, 0, os.SEEK_SET)
    digest, seen = hashlib.sha256(), 0
    stream = DocumentStream(kind, job.rules, job.mentions)
    while True:
        piece = os.read(descriptor, PIECE)
        seen += len(piece)
        result = stream.feed(piece, final=not piece)
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


def _nul_unit(piece: bytes) -> bool:
    position = piece.find(b"\x00\x00")
    while position >= 0:
        if position % 2 == 0:
            return True
        position = piece.find(b"\x00\x00", position + 1)
    return False


def _digest_zeros(digest: Any, count: int) -> None:
    while count > 0:
        digest.update(_ZEROS[: min(count, PIECE)])
        count -= PIECE
