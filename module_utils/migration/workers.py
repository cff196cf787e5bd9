"""Spreading work over processes without a process for each piece, and without semaphores, which not every host has."""

from __future__ import annotations

import marshal
import os
import select
import signal
import struct
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

_NUMBER = struct.Struct("=I")
# All piece numbers must fit into a pipe, which holds 64 KiB.
_PIECES_MAX = 8192


class WorkerError(Exception):
    """A worker process ended without giving its results."""


def split(sizes: Sequence[int], files: int, size: int) -> list[range]:
    """Cut a sequence into ranges of at most `files` items and about `size` bytes."""
    files = max(files, len(sizes) // _PIECES_MAX + 1)
    pieces: list[range] = []
    start = total = 0
    for index, item in enumerate(sizes):
        total += item
        if index + 1 - start >= files or (total >= size and len(pieces) < _PIECES_MAX // 2):
            pieces.append(range(start, index + 1))
            start, total = index + 1, 0
    if start < len(sizes):
        pieces.append(range(start, len(sizes)))
    return pieces


def run(pieces: Sequence[range], make: Callable[[], Callable[[range], list[Any]]], workers: int) -> Iterator[list[Any]]:
    """Yield the result of each piece, in any order.

    Args:
        pieces: what to work on; a piece is handled by one worker.
        make: called once in each worker, returns the function that handles a piece. Its results must be plain values.
        workers: processes; with one, everything happens in this process.

    Raises:
        WorkerError: a worker was killed.
    """
    if workers <= 1 or len(pieces) <= 1:
        handle = make()
        for piece in pieces:
            yield handle(piece)
        return
    read_number, write_number = os.pipe()
    children: dict[int, int] = {}
    try:
        for _worker in range(min(workers, len(pieces))):
            read_result, write_result = os.pipe()
            child = os.fork()
            if not child:
                os.close(write_number)
                os.close(read_result)
                _serve(pieces, make, read_number, write_result)
            os.close(write_result)
            children[read_result] = child
        os.close(read_number)
        read_number = -1
        os.write(write_number, b"".join(_NUMBER.pack(number) for number in range(len(pieces))))
        os.close(write_number)
        write_number = -1
        yield from _collect(children, len(pieces))
    finally:
        for descriptor in (read_number, write_number):
            if descriptor >= 0:
                os.close(descriptor)
        for read_result, child in children.items():
            # A worker whose results nobody reads any more ends at its next write.
            os.close(read_result)
            os.waitpid(child, 0)


def _serve(
    pieces: Sequence[range], make: Callable[[], Callable[[range], list[Any]]], numbers: int, results: int
) -> None:
    """The life of a worker; never returns, so that nothing of the parent's is run twice."""
    status = 1
    try:
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        handle = make()
        while number := os.read(numbers, _NUMBER.size):
            data = marshal.dumps(handle(pieces[_NUMBER.unpack(number)[0]]))
            view = memoryview(_NUMBER.pack(len(data)) + data)
            while view:
                view = view[os.write(results, view) :]
        status = 0
    except BaseException as exc:  # the parent reports it
        sys.stderr.write(f"migration worker: {type(exc).__name__}: {exc}\n")
    finally:
        os._exit(status)


def _collect(children: dict[int, int], expected: int) -> Iterator[list[Any]]:
    poller = select.poll()
    buffers = {descriptor: bytearray() for descriptor in children}
    for descriptor in children:
        poller.register(descriptor, select.POLLIN)
    while buffers and expected:
        for descriptor, _event in poller.poll():
            data = os.read(descriptor, 1 << 18)
            if not data:
                poller.unregister(descriptor)
                del buffers[descriptor]
                continue
            buffer = buffers[descriptor]
            buffer += data
            while len(buffer) >= _NUMBER.size:
                size = _NUMBER.unpack_from(buffer)[0]
                if len(buffer) < _NUMBER.size + size:
                    break
                result = marshal.loads(bytes(buffer[_NUMBER.size : _NUMBER.size + size]))
                del buffer[: _NUMBER.size + size]
                expected -= 1
                yield result
    if expected:
        raise WorkerError("a worker process of the migration was killed; run the migration again, it goes on")
