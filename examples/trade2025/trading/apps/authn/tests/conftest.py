# SPDX-License-Identifier: GPL-3.0-or-later
"""A site of its own for the tests, and the service running on it."""

from __future__ import annotations

import http.client
import io
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any
from unittest import mock
from urllib.parse import urlencode

import pytest
import yaml

APP = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(APP))
# What tests make does not belong into the tree that is deployed.
os.environ.setdefault("HYPOTHESIS_STORAGE_DIRECTORY", str(Path(tempfile.gettempdir(), "hypothesis-authn")))

from authn import clients, keys  # noqa: E402 (the app's folder is not installed)
from authn.__main__ import main  # noqa: E402

START_DEADLINE_S = 60
SECRETS = {"srv:oms": "oms + % secret: ü", "srv:risk": "risk-secret", "gateway": "gateway-secret"}
SCOPES = {"srv:oms": ["orders:submit", "fills:read"], "srv:risk": ["risk:check"], "gateway": ["data:publish"]}


@dataclass
class Result:
    """How a command line ended."""

    code: int
    out: str
    err: str


@dataclass
class Site:
    """The three files, as a folder and as the environment that names them."""

    folder: Path
    environment: dict[str, str]

    def configure(self, change: Callable[[dict[str, Any]], None]) -> None:
        """Write a changed configuration."""
        path = Path(self.environment["CONFIG_PATH"])
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
        change(document)
        path.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")

    def spawn(self, output: IO[str]) -> subprocess.Popen[str]:
        """Start the service as a process of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "authn"],
            cwd=APP,
            env={**os.environ, **self.environment},
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *arguments: str, stdin: str = "") -> Result:
        """Run the command line inside of this process: much faster than a process of its own."""
        out, err = io.StringIO(), io.StringIO()
        with (
            mock.patch.dict(os.environ, self.environment),
            mock.patch("sys.stdin", io.StringIO(stdin)),
            redirect_stdout(out),
            redirect_stderr(err),
        ):
            code = main(list(arguments))
        return Result(code, out.getvalue(), err.getvalue())


@dataclass
class Answer:
    """A response of the service."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)


@dataclass
class Server:
    """The running service."""

    port: int
    process: subprocess.Popen[str]
    log: Path
    host: str = "127.0.0.1"
    url: str = field(init=False)

    def __post_init__(self) -> None:
        self.url = f"http://{self.host}:{self.port}"

    def ask(
        self, method: str, path: str, body: bytes | str | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        connection = http.client.HTTPConnection(self.host, self.port, timeout=10)
        try:
            connection.request(method, path, body, dict(headers or {}))
            response = connection.getresponse()
            return Answer(response.status, dict(response.getheaders()), response.read().decode())
        finally:
            connection.close()

    def token(self, form: Mapping[str, str] | bytes | str, headers: Mapping[str, str] | None = None) -> Answer:
        body = urlencode(form) if isinstance(form, Mapping) else form
        return self.ask(
            "POST", "/token", body, {"Content-Type": "application/x-www-form-urlencoded", **(headers or {})}
        )

    def stop(self) -> int:
        """Stop it and return its exit code."""
        self.process.terminate()
        return self.process.wait(START_DEADLINE_S)


@pytest.fixture(scope="session")
def key_file_text() -> str:
    return keys.generate()


@pytest.fixture(scope="session")
def hashes() -> dict[str, str]:
    return {name: str(clients.SecretHash.of(secret)) for name, secret in SECRETS.items()}


@pytest.fixture
def site(tmp_path: Path, key_file_text: str, hashes: dict[str, str]) -> Site:
    return make_site(tmp_path, key_file_text, hashes)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, key_file_text: str, hashes: dict[str, str]) -> Iterator[Server]:
    """One service for every test that only asks; its issuer is its address."""
    site = make_site(tmp_path_factory.mktemp("authn"), key_file_text, hashes)
    with start_server(site) as running:
        yield running


def make_site(folder: Path, key_file_text: str, hashes: dict[str, str]) -> Site:
    environment = {
        "CONFIG_PATH": str(folder / "config.yaml"),
        "JWKS_PATH": str(folder / "jwks.json"),
        "CLIENTS_PATH": str(folder / "clients.json"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    config = {
        "service": {"name": "authn", "port": 8114, "bind": "127.0.0.1"},
        "jwt": {"algorithm": "RS256", "issuer": "authn", "audience": "trading", "expiration": 600},
        "clients": {name: {"scopes": scopes} for name, scopes in SCOPES.items()},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    (folder / "jwks.json").write_text(key_file_text, encoding="utf-8")
    (folder / "clients.json").write_text(json.dumps(hashes), encoding="utf-8")
    return Site(folder, environment)


class start_server:  # noqa: N801 (used as a function)
    """Start the service for a site, with its own address as issuer; wait until it answers; end it afterwards."""

    def __init__(self, site: Site, **jwt: Any) -> None:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self._port = probe.getsockname()[1]
        self._site = site

        def change(document: dict[str, Any]) -> None:
            document["service"]["port"] = self._port
            document["jwt"] |= {"issuer": f"http://127.0.0.1:{self._port}", **jwt}

        site.configure(change)

    def __enter__(self) -> Server:
        log = self._site.folder / "log"
        self._output: IO[str] = log.open("w", encoding="utf-8")
        process = self._site.spawn(self._output)
        self._server = Server(self._port, process, log)
        deadline = time.monotonic() + START_DEADLINE_S
        while time.monotonic() < deadline and process.poll() is None:
            try:
                if self._server.ask("GET", "/health").status == 200:
                    return self._server
            except ConnectionRefusedError:
                time.sleep(0.02)
        process.kill()
        process.wait()
        raise AssertionError(f"the service did not start:\n{log.read_text(encoding='utf-8')}")

    def __exit__(self, *_: object) -> None:
        self._server.stop()
        self._output.close()
