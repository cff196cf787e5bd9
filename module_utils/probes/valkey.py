# SPDX-License-Identifier: GPL-3.0-or-later
"""Probes of Valkey over its own protocol."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from ansible.module_utils.probes.base import Kind, Probe, ProbeError, Target, removing, unreachable
from ansible.module_utils.probes.compare import normalize, raise_on_mismatch


@dataclass(frozen=True, kw_only=True)
class ValkeyProbe(Probe):
    """Base of the probes of Valkey."""

    LIBRARY: ClassVar[tuple[str, str] | None] = ("valkey", "valkey")
    port: str = "client"
    user: str = ""
    password_file: str = ""

    @contextlib.contextmanager
    def client(self, target: Target) -> Iterator[Any]:
        """A connection, whose errors in the body become ProbeError.

        Untyped: the library's types are those of its synchronous and its asynchronous client at once.
        """
        import valkey

        number = target.port(self.port)
        what = f"Valkey on {target.address}:{number}"
        client: Any = valkey.Valkey(
            host=target.address, port=number, username=self.user or None,
            password=target.secret(self.password_file) or None, socket_timeout=target.timeout_s,
            socket_connect_timeout=target.timeout_s, decode_responses=True, client_name=target.unique(),
        )  # fmt: skip
        try:
            yield client
        except valkey.exceptions.ValkeyError as error:
            text = str(error).rstrip(".")
            # A password that the server does not require causes a plain ResponseError.
            refusals = (valkey.exceptions.AuthenticationError, valkey.exceptions.NoPermissionError)
            if isinstance(error, refusals) or "without any password" in text:
                raise ProbeError(f"{what} refuses {self._who} ({text})", Kind.AUTH) from error
            if isinstance(error, valkey.exceptions.ConnectionError | valkey.exceptions.TimeoutError):
                raise unreachable(what, error, target.timeout_s) from error
            raise ProbeError(f"{what} answers: {text}") from error
        finally:
            client.close()

    @property
    def _who(self) -> str:
        return f"the password in {self.password_file}" if self.password_file else "a client that gives none"


@dataclass(frozen=True, kw_only=True)
class Ping(ValkeyProbe):
    """PING is answered."""

    TYPE: ClassVar[str] = "valkey_ping"

    def run(self, target: Target) -> str:
        """Send PING."""
        with self.client(target) as client:
            if client.ping() is not True:
                raise ProbeError("PING is not answered with PONG")
        return "PING is answered"


@dataclass(frozen=True, kw_only=True)
class RoundTrip(ValkeyProbe):
    """A key is written, read and removed; it expires if it cannot be removed."""

    TYPE: ClassVar[str] = "valkey_roundtrip"
    WRITES: ClassVar[bool] = True
    REQUESTS: ClassVar[int] = 3
    ttl_s: int = 30

    def run(self, target: Target) -> str:
        """SET, GET, DEL."""
        key, value = target.unique(), secrets.token_hex(16)
        with self.client(target) as client:
            expiry = f"it expires in {self.ttl_s} s"
            with removing(f"the key {key}", lambda: client.delete(key), expiry, target.timeout_s):
                client.set(key, value, ex=self.ttl_s)
                if client.get(key) != value:
                    raise ProbeError(f"the key {key} does not read back as it was written")
            if client.exists(key):
                raise ProbeError(f"the key {key} is still there after DEL")
        return "a key was written, read and removed"


@dataclass(frozen=True, kw_only=True)
class Config(ValkeyProbe):
    """The server runs with the declared settings; sizes compare in any unit."""

    TYPE: ClassVar[str] = "valkey_config"
    expect: dict[str, Any]

    def run(self, target: Target) -> str:
        """CONFIG GET, and compare."""
        with self.client(target) as client:
            actual: dict[str, str] = client.config_get(*self.expect)
        differences = []
        for name, value in self.expect.items():
            if name not in actual:
                differences.append(f"{name} is not a setting of this version")
            elif normalize(actual[name]) != normalize(value):
                differences.append(f"{name} is {actual[name]!r}, not {value!r}")
        raise_on_mismatch(differences)
        return f"{len(self.expect)} settings as declared"


@dataclass(frozen=True, kw_only=True)
class Persistence(ValkeyProbe):
    """The append-only file is on, and the last writes to disk succeeded."""

    TYPE: ClassVar[str] = "valkey_persistence"
    aof: bool = True

    def run(self, target: Target) -> str:
        """INFO persistence."""
        with self.client(target) as client:
            state: dict[str, Any] = client.info("persistence")
        if normalize(state.get("loading")) != "0":
            raise ProbeError("it is still loading its data")
        if normalize(state.get("aof_enabled")) != str(int(self.aof)):
            raise ProbeError(f"the append-only file is {'off' if self.aof else 'on'}", Kind.MISMATCH)
        writes = ["rdb_last_bgsave_status"]
        if self.aof:
            writes += ["aof_last_write_status", "aof_last_bgrewrite_status"]
        if wrong := [f"{name} is {state.get(name)!r}" for name in writes if state.get(name) != "ok"]:
            raise ProbeError(f"it cannot write to its data directory: {', '.join(wrong)}")
        return f"append-only file {'on' if self.aof else 'off'}, last writes ok"


PROBES: tuple[type[Probe], ...] = (Ping, RoundTrip, Config, Persistence)
