# SPDX-License-Identifier: GPL-3.0-or-later
"""Fake servers and clocks for the tests of the probes."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ansible.module_utils.probes.base import Target

# (status, body) or (status, body, headers); a body that is not bytes or text is sent as JSON.
Reply = tuple[Any, ...]
Route = Reply | Callable[["Request"], Reply]


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Web:
    """Routes "METHOD /path" of a server, and the requests that it received."""

    port: int = 0
    routes: dict[str, Route] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)

    def answer(self, request: Request) -> Reply:
        self.requests.append(request)
        route = (
            self.routes.get(f"{request.method} {request.path}")
            or self.routes.get(request.method)
            or (404, "no such page")
        )
        return route(request) if callable(route) else route


@contextmanager
def serve_web() -> Iterator[Web]:
    web = Web()

    class Handler(BaseHTTPRequestHandler):
        def _handle(self) -> None:
            parts = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, content, *more = web.answer(Request(self.command, parts.path, parts.query, headers, body))
            data = (
                content
                if isinstance(content, bytes)
                else (content if isinstance(content, str) else json.dumps(content)).encode()
            )
            self.send_response(status)
            for name, value in (more[0] if more else {}).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)

        def log_message(self, *args: Any) -> None:
            pass

    for method in ("GET", "POST", "PUT", "DELETE", "HEAD"):
        setattr(Handler, f"do_{method}", Handler._handle)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    web.port = server.server_port
    try:
        yield web
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def serve_socket(talk: Callable[[socket.socket], None]) -> Iterator[int]:
    """A server that hands each connection to `talk` and then closes it; yields its port."""
    listener = socket.create_server(("127.0.0.1", 0))
    done = threading.Event()

    def one(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            talk(connection)

    def accept() -> None:
        while not done.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=one, args=(connection,), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        done.set()
        # Wakes `accept`, which closing alone does not.
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


class Resp:
    """A Valkey of a few commands (RESP2)."""

    def __init__(self, password: str = "") -> None:
        self.password = password
        self.data: dict[str, str] = {}
        self.config = {"appendonly": "yes", "maxmemory": "2147483648", "maxmemory-policy": "allkeys-lru"}
        self.info = {
            "loading": "0",
            "aof_enabled": "1",
            "aof_last_write_status": "ok",
            "aof_last_bgrewrite_status": "ok",
            "rdb_last_bgsave_status": "ok",
        }
        # Commands that fail, with their errors.
        self.broken: dict[str, str] = {}
        self.expiries: list[int] = []

    def talk(self, connection: socket.socket) -> None:
        stream = connection.makefile("rwb")
        trusted = not self.password
        while line := stream.readline():
            words = []
            for _ in range(int(line[1:])):
                length = int(stream.readline()[1:])
                words.append(stream.read(length + 2)[:-2].decode())
            command = words[0].upper()
            if command == "AUTH":
                trusted = words[-1] == self.password
                reply = b"+OK\r\n" if trusted else b"-WRONGPASS invalid username-password pair or user is disabled.\r\n"
            elif not trusted:
                reply = b"-NOAUTH Authentication required.\r\n"
            elif command in self.broken:
                reply = f"-{self.broken[command]}\r\n".encode()
            else:
                reply = self.reply(command, words[1:])
            stream.write(reply)
            stream.flush()

    def reply(self, command: str, words: list[str]) -> bytes:
        match command:
            case "PING":
                return b"+PONG\r\n"
            case "SET":
                self.data[words[0]] = words[1]
                self.expiries.append(int(words[words.index("EX") + 1]))
                return b"+OK\r\n"
            case "GET":
                return self._bulk(self.data.get(words[0]))
            case "DEL":
                return f":{int(self.data.pop(words[0], None) is not None)}\r\n".encode()
            case "EXISTS":
                return f":{int(words[0] in self.data)}\r\n".encode()
            case "CONFIG":
                pairs = [text for name in words[1:] if name in self.config for text in (name, self.config[name])]
                return f"*{len(pairs)}\r\n".encode() + b"".join(map(self._bulk, pairs))
            case "INFO":
                return self._bulk(
                    "# Persistence\r\n" + "".join(f"{key}:{value}\r\n" for key, value in self.info.items())
                )
            case _:
                return b"+OK\r\n"

    @staticmethod
    def _bulk(text: str | None) -> bytes:
        return b"$-1\r\n" if text is None else f"${len(text.encode())}\r\n{text}\r\n".encode()


class FakeClock:
    """Time passes only while somebody sleeps; `now` and `sleep` are those of `runner.Clock`."""

    def __init__(self) -> None:
        self.time = 1000.0
        self.on_sleep: Callable[[], None] = lambda: None

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds
        self.on_sleep()


def target(root: Path, timeout_s: float = 2.0, **ports: int) -> Target:
    return Target("127.0.0.1", ports, root, timeout_s)


def closed_port() -> int:
    """A port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
