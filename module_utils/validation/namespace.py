# SPDX-License-Identifier: GPL-3.0-or-later
"""Open sockets in a container's network namespace, without any tool from its image."""

from __future__ import annotations

import array
import ctypes
import fcntl
import os
import random
import selectors
import socket
import statistics
import struct
import time
from collections.abc import Callable, Sequence
from typing import Any

from ansible.module_utils.shared.children import run_in_children
from ansible.module_utils.validation.model import FailedError

CLONE_NEWNET = 0x40000000
# Docker's DNS server, the same in every container on a network of its own.
DNS = ("127.0.0.11", 53)
SIOCGIFMTU = 0x8921
OPEN, REFUSED, SILENT = "open", "refused", "no answer"


def inside(pid: int, work: Callable[[], Any]) -> Any:
    """The result of `work` in the network namespace of a process, as plain data; raises FailedError.

    In a child process: Python before 3.12 has no setns, and this process must stay in its own namespace.
    """

    def entered() -> dict[str, Any]:
        library = ctypes.CDLL(None, use_errno=True)
        with open(f"/proc/{pid}/ns/net", "rb") as file:  # noqa: PTH123
            if library.setns(file.fileno(), CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        return {"result": work()}

    name = f"process {pid}"
    answer = run_in_children({name: entered})[name]
    if answer.get("failed"):
        raise FailedError(
            f"the network namespace cannot be examined: {answer['msg']}",
            "the tests do not run as root, or the container stopped meanwhile",
            "run the playbook with --become",
        )
    return answer["result"]


def resolve(name: str, timeout_s: float = 2) -> list[str]:
    """IPv4 addresses of a name from Docker's DNS server; empty if the name is unknown."""
    number = random.randrange(65536)
    question = b"".join(bytes([len(part)]) + part.encode("ascii") for part in name.split(".")) + b"\0"
    query = struct.pack(">HHHHHH", number, 0x0100, 1, 0, 0, 0) + question + struct.pack(">HH", 1, 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stream:
        stream.settimeout(timeout_s)
        stream.sendto(query, DNS)
        try:
            while True:
                answer = stream.recv(4096)
                if len(answer) >= 12 and struct.unpack(">H", answer[:2])[0] == number:
                    return parse_answer(answer, len(query))
        except TimeoutError:
            return []


def parse_answer(answer: bytes, position: int) -> list[str]:
    """IPv4 addresses in a DNS answer whose question ends at `position`."""
    found = []
    for _count in range(struct.unpack(">H", answer[6:8])[0]):
        while answer[position] and answer[position] & 0xC0 != 0xC0:
            position += answer[position] + 1
        position += 2 if answer[position] & 0xC0 == 0xC0 else 1
        kind, _class, _ttl, length = struct.unpack(">HHIH", answer[position : position + 10])
        position += 10
        if kind == 1 and length == 4:
            found.append(socket.inet_ntoa(answer[position : position + 4]))
        position += length
    return found


def connect(addresses: Sequence[tuple[str, int]], timeout_s: float) -> list[tuple[str, float]]:
    """For each address whether it accepts a connection, and the milliseconds it took; all are tried at once."""
    results: list[tuple[str, float]] = [(SILENT, timeout_s * 1000)] * len(addresses)
    begun = time.perf_counter()
    with selectors.DefaultSelector() as selector:
        for place, address in enumerate(addresses):
            stream = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            stream.setblocking(False)
            code = stream.connect_ex(address)
            if code in (0, 115):
                selector.register(stream, selectors.EVENT_WRITE, place)
            else:
                results[place] = (REFUSED, 0.0)
                stream.close()
        while selector.get_map() and (left := begun + timeout_s - time.perf_counter()) > 0:
            for key, _events in selector.select(left):
                stream = key.fileobj  # type: ignore[assignment]
                error = stream.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                results[key.data] = (REFUSED if error else OPEN, (time.perf_counter() - begun) * 1000)
                selector.unregister(stream)
                stream.close()
        for key in list(selector.get_map().values()):
            key.fileobj.close()  # type: ignore[union-attr]
    return results


def interface_mtus() -> dict[str, int]:
    """Name → MTU of the namespace's interfaces, without the loopback."""
    found = {}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stream:
        for _index, name in socket.if_nameindex():
            if name != "lo":
                request = struct.pack("16sI12x", name.encode("ascii"), 0)
                found[name] = int(struct.unpack("16xI", fcntl.ioctl(stream, SIOCGIFMTU, request)[:20])[0])
    return found


def interface_addresses() -> list[str]:
    """IPv4 addresses of the namespace's interfaces."""
    # SIOCGIFCONF: the kernel fills a buffer with entries of 40 bytes, the address at 20.
    buffer = array.array("B", bytes(16384))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stream:
        request = struct.pack("iL", len(buffer), buffer.buffer_info()[0])
        used = struct.unpack("iL", fcntl.ioctl(stream, 0x8912, request))[0]
    data = buffer.tobytes()[:used]
    return [socket.inet_ntoa(data[place + 20 : place + 24]) for place in range(0, used, 40)]


def round_trips(address: str, port: int, hello: bytes, question: bytes, count: int) -> list[float]:
    """Milliseconds of each of `count` requests on one connection, after the first line that the server sends."""
    times = []
    with socket.create_connection((address, port), 5) as stream:
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        stream.recv(65536)
        stream.sendall(hello)
        for _count in range(count):
            begun = time.perf_counter()
            stream.sendall(question)
            stream.recv(65536)
            times.append((time.perf_counter() - begun) * 1000)
    return times


def listening(port: int) -> list[str]:
    """Addresses on which this namespace listens at a TCP port."""
    found = []
    for file, size in (("/proc/self/net/tcp", 8), ("/proc/self/net/tcp6", 32)):
        try:
            with open(file, encoding="ascii") as lines:  # noqa: PTH123
                rows = [line.split() for line in lines][1:]
        except OSError:
            continue
        for row in rows:
            host, _colon, number = row[1].partition(":")
            # 0A is LISTEN.
            if row[3] == "0A" and int(number, 16) == port:
                found.append(_address(host, size))
    return sorted(set(found))


def _address(text: str, size: int) -> str:
    words = [int(text[place : place + 8], 16) for place in range(0, size, 8)]
    packed = b"".join(struct.pack("=I", word) for word in words)
    return socket.inet_ntop(socket.AF_INET if size == 8 else socket.AF_INET6, packed)


def median(values: Sequence[float]) -> float:
    """The middle value."""
    return statistics.median(values)
