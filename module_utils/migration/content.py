# SPDX-License-Identifier: GPL-3.0-or-later
"""Compute the migrated content of a file: at once if it is small, else in pieces, so that memory stays bounded."""

from __future__ import annotations

import hashlib
import os
import stat
from typing import Any, NamedTuple

from ansible.module_utils.migration.context import Context, MigrationError
from ansible.module_utils.rewriting.document import Document, DocumentStream, has_nul_unit, kind_of, plan_document
from ansible.module_utils.shared import fs

# Up to this size a file is handled in one piece.
WHOLE_MAX = 4 * 1024 * 1024
# A hole in a smaller file is not worth keeping; read as zeros, it makes the file binary too.
_HOLE_MIN = 65536
_ZEROS = bytes(fs.BLOCK)
_CHANGES = "changes while it is read; stop what writes to the source and run again"


class Content(NamedTuple):
    """The result of migrating a file, without its bytes.

    `digest` is the SHA-256 of the result. `mentions` counts the leftovers; `leftovers` lists the first of them.
    """

    digest: bytes
    kind: str
    replacements: int
    mentions: int
    leftovers: tuple[tuple[Any, ...], ...]


class Reading(NamedTuple):
    """A file's content; `old` and `new` are its bytes before and after, or None if they are not kept in memory."""

    content: Content
    old: bytes | None = None
    new: bytes | None = None


def _content(digest: bytes, document: Document) -> Content:
    leftovers = tuple(tuple(item) for item in document.leftovers)
    return Content(digest, document.kind, document.replacements, document.mentions, leftovers)


def read_content(
    context: Context, descriptor: int, entry: fs.Entry, sink: int | None = None, kind: str | None = None
) -> Reading:
    """Read a file of the source and compute its result, which is written to `sink` if it is not kept in memory.

    Args:
        context: the migration.
        descriptor: the file, open for reading.
        entry: the entry that the scan found.
        sink: an empty file, open for writing.
        kind: the kind of the file, if an earlier read determined it.

    Raises:
        MigrationError: the file is not what it was when the source was scanned.
    """
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or (status.st_size, status.st_mtime_ns) != (entry.size, entry.mtime_ns):
        raise MigrationError("changed while the migration was reading it; run the migration again")
    if fs.has_holes(descriptor, status, _HOLE_MIN if status.st_size <= WHOLE_MAX else status.st_size):
        return _read_sparse(context, descriptor, entry, sink)
    os.lseek(descriptor, 0, os.SEEK_SET)
    if status.st_size > WHOLE_MAX:
        return _read_large(context, descriptor, entry, sink, kind)
    old = fs.read_all(descriptor, entry.size)
    if len(old) != entry.size:
        raise MigrationError(_CHANGES)
    compose, encoding = context.compose.contexts.get(entry.path), context.encoding_of(entry.path)
    document = plan_document(old, context.rules, context.mention_finder, compose, encoding)
    new = document.new
    return Reading(_content(hashlib.sha256(new).hexdigest().encode(), document), old, new)


def _read_large(context: Context, descriptor: int, entry: fs.Entry, sink: int | None, kind: str | None) -> Reading:
    """A large file: it is treated as text until a NUL byte is found, and then read again as binary."""
    # A large file with its own encoding is not decoded: it is copied as it is, and its mentions are reported.
    kind = kind or kind_of(os.pread(descriptor, 4, 0), has_nul=context.encoding_of(entry.path) is not None)
    reading = _read_as(kind, context, descriptor, entry, sink)
    if reading is None:
        os.lseek(descriptor, 0, os.SEEK_SET)
        if sink is not None:
            os.lseek(sink, 0, os.SEEK_SET)
            os.ftruncate(sink, 0)
        reading = _read_as("binary", context, descriptor, entry, sink)
    if reading is None:
        raise MigrationError(_CHANGES)
    return reading


def _read_as(kind: str, context: Context, descriptor: int, entry: fs.Entry, sink: int | None) -> Reading | None:
    """The content of a file of this kind; None if a NUL byte shows that it is binary."""
    digest, seen, odd = hashlib.sha256(), 0, b""
    stream = DocumentStream(kind, context.rules, context.mention_finder)
    while True:
        piece = os.read(descriptor, fs.BLOCK)
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
            fs.write_all(sink, result)
        if not piece:
            break
    if seen != entry.size:
        raise MigrationError(_CHANGES)
    return Reading(_content(digest.hexdigest().encode(), stream.document()))


def _read_sparse(context: Context, descriptor: int, entry: fs.Entry, sink: int | None) -> Reading:
    """A file with holes is binary; the holes are kept."""
    digest = hashlib.sha256()
    stream = DocumentStream("binary", context.rules, context.mention_finder)
    position = 0
    for start, end in fs.data_ranges(descriptor, 0, entry.size):
        _hash_zeros(digest, start - position)
        if start > position:
            # No mention continues after a hole.
            stream.feed(b"\x00", final=False)
        position = start
        while position < end:
            piece = os.pread(descriptor, min(fs.BLOCK, end - position), position)
            if not piece:
                raise MigrationError(_CHANGES)
            digest.update(piece)
            stream.feed(piece, final=False)
            if sink is not None:
                fs.write_all(sink, piece, position)
            position += len(piece)
    _hash_zeros(digest, entry.size - position)
    stream.feed(b"", final=True)
    if sink is not None:
        os.ftruncate(sink, entry.size)
    return Reading(_content(digest.hexdigest().encode(), stream.document()))


def _hash_zeros(digest: Any, count: int) -> None:
    while count > 0:
        digest.update(_ZEROS[: min(count, fs.BLOCK)])
        count -= fs.BLOCK
