# SPDX-License-Identifier: GPL-3.0-or-later
"""Distribute work over a fixed number of processes, without semaphores, which not every host has."""

from __future__ import annotations

import contextlib
import os
import pickle
import select
import signal
import struct
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, TypeVar

from ansible.module_utils.shared.fs import write_all

Item = TypeVar("Item")
Result = TypeVar("Result")

_NUMBER = struct.Struct("=I")
# All piece numbers must fit into a pipe, which holds 64 KiB.
_PIECES_MAX = 8192
_PIECE_FILES, _PIECE_BYTES = 256, 16 * 1024 * 1024
# Below this amount of work a second process costs more than it saves.
_PARALLEL_FILES, _PARALLEL_BYTES = 400, 16 * 1024 * 1024


class WorkerError(Exception):
    """A worker process ended without returning its results."""


def run(
    items: Sequence[Item],
    sizes: Sequence[int],
    start: Callable[[], AbstractContextManager[Callable[[Item], Result]]],
    workers: int,
) -> Iterator[tuple[Item, Result]]:
    """Yield each item with its result, in any order.

    Args:
        items: the items to work on.
        sizes: the work that each item takes, in bytes.
        start: context manager that is entered once per process and gives the function that handles an item.
        workers: processes; 0 for one per processor, four at most. Little work is done in this process alone.

    Raises:
        WorkerError: a worker was killed.
    """
    count = workers or min(4, len(os.sched_getaffinity(0)))
    if len(items) < _PARALLEL_FILES and sum(sizes) < _PARALLEL_BYTES:
        count = 1
    pieces = split(sizes, _PIECE_FILES, _PIECE_BYTES)
    if count <= 1 or len(pieces) <= 1:
        with start() as handle:
            for item in items:
                yield item, handle(item)
        return

    @contextlib.contextmanager
    def serve() -> Iterator[Callable[[range], list[Result]]]:
        with start() as handle:
            yield lambda piece: [handle(items[index]) for index in piece]

    for number, results in _run_pieces(pieces, serve, count):
        for index, result in zip(pieces[number], results, strict=True):
            yield items[index], result


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


_Serve = Callable[[], AbstractContextManager[Callable[[range], list[Any]]]]


def _run_pieces(pieces: Sequence[range], start: _Serve, workers: int) -> Iterator[tuple[int, list[Any]]]:
    """Yield the number and the results of each piece, in any order."""
    read_number, write_number = os.pipe()
    children: dict[int, int] = {}
    try:
        for _worker in range(min(workers, len(pieces))):
            read_result, write_result = os.pipe()
            child = os.fork()
            if not child:
                os.close(write_number)
                os.close(read_result)
                _serve(pieces, start, read_number, write_result)
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
            # A worker whose results are no longer read ends at its next write.
            os.close(read_result)
            os.waitpid(child, 0)


def _serve(pieces: Sequence[range], start: _Serve, numbers: int, results: int) -> None:
    """Run a worker; never returns, so that no code of the parent runs twice."""
    status = 1
    try:
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        with start() as handle:
            while number := os.read(numbers, _NUMBER.size):
                data = pickle.dumps(handle(pieces[_NUMBER.unpack(number)[0]]), pickle.HIGHEST_PROTOCOL)
                write_all(results, _NUMBER.pack(len(data)) + number + data)
        status = 0
    except BaseException as exc:  # the parent reports it
        sys.stderr.write(f"migration worker: {type(exc).__name__}: {exc}\n")
    finally:
        os._exit(status)


def _collect(children: dict[int, int], expected: int) -> Iterator[tuple[int, list[Any]]]:
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
            while len(buffer) >= 2 * _NUMBER.size:
                end = 2 * _NUMBER.size + _NUMBER.unpack_from(buffer)[0]
                if len(buffer) < end:
                    break
                number = _NUMBER.unpack_from(buffer, _NUMBER.size)[0]
                results = pickle.loads(bytes(buffer[2 * _NUMBER.size : end]))
                del buffer[:end]
                expected -= 1
                yield number, results
    if expected:
        raise WorkerError("a worker process of the migration was killed; run the migration again, it continues there")
