# SPDX-License-Identifier: GPL-3.0-or-later
"""Probes of NATS: its monitoring pages, and JetStream with a real client."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from ansible.module_utils.probes import web
from ansible.module_utils.probes.base import Kind, Probe, ProbeError, Target, unreachable
from ansible.module_utils.probes.compare import lookup, raise_on_mismatch, same_version, subset_differences

if TYPE_CHECKING:
    from nats.aio.client import Client

# Lifetime of the message, in case its stream cannot be removed.
MESSAGE_AGE_S = 600
STREAM_BYTES = 64 * 1024


@dataclass(frozen=True, kw_only=True)
class Health(Probe):
    """The server and JetStream report that they are ready."""

    TYPE: ClassVar[str] = "nats_health"
    port: str = "monitor"

    def run(self, target: Target) -> str:
        """Ask /healthz."""
        answer = web.ask(target, self.port, "/healthz?js-enabled-only=true").expect(200)
        if (status := answer.mapping().get("status")) != "ok":
            raise ProbeError(f"{answer.what} says {status!r}, not 'ok'")
        return "/healthz says ok"


@dataclass(frozen=True, kw_only=True)
class Varz(Probe):
    """The server runs the declared version with the declared settings.

    A key of `expect` is a dotted path in /varz, or a key of its jetstream.config.
    """

    TYPE: ClassVar[str] = "nats_varz"
    port: str = "monitor"
    version: str = ""
    expect: dict[str, Any] = field(default_factory=dict)

    def run(self, target: Target) -> str:
        """Ask /varz and compare."""
        document = web.ask(target, self.port, "/varz").expect(200).mapping()
        expected = {key: value for key, value in self.expect.items() if key != "version"}
        version, actual = str(self.version or self.expect.get("version") or ""), str(document.get("version", ""))
        differences = [] if not version or same_version(version, actual) else [f"version is {actual}, not {version}"]
        for key, value in expected.items():
            differences += self._difference(document, key, value)
        raise_on_mismatch(differences)
        return f"version {actual}, {len(expected)} settings as declared"

    @staticmethod
    def _difference(document: dict[str, Any], key: str, value: Any) -> list[str]:
        for path in (key, f"jetstream.config.{key}"):
            try:
                return subset_differences(value, lookup(document, path), key)
            except KeyError:
                continue
        return [f"{key} is not in /varz"]


@dataclass(frozen=True, kw_only=True)
class JetStream(Probe):
    """JetStream is on; /healthz says ok even if it is off."""

    TYPE: ClassVar[str] = "nats_jetstream"
    port: str = "monitor"

    def run(self, target: Target) -> str:
        """Ask /jsz."""
        document = web.ask(target, self.port, "/jsz").expect(200).mapping()
        if document.get("disabled"):
            raise ProbeError("JetStream is off", Kind.MISMATCH)
        return f"JetStream is on, {document.get('streams', 0)} streams"


@dataclass(frozen=True, kw_only=True)
class RoundTrip(Probe):
    """A message to a stream on file storage is acknowledged and read back; the stream is removed."""

    TYPE: ClassVar[str] = "nats_roundtrip"
    WRITES: ClassVar[bool] = True
    LIBRARY: ClassVar[tuple[str, str] | None] = ("nats", "nats-py")
    REQUESTS: ClassVar[int] = 4
    port: str = "client"
    user: str = ""
    password_file: str = ""

    def run(self, target: Target) -> str:
        """Publish, read, remove."""
        password = target.secret(self.password_file)
        return asyncio.run(self._run(target, f"nats://{_host(target.address)}:{target.port(self.port)}", password))

    async def _run(self, target: Target, server: str, password: str) -> str:
        import nats
        from nats.errors import Error, NoServersError

        seen: list[Exception] = []

        async def note(error: Exception) -> None:
            seen.append(error)

        try:
            client = await nats.connect(
                server, user=self.user or None, password=password or None, connect_timeout=target.timeout_s,
                allow_reconnect=False, error_cb=note, name=target.unique(),
            )  # fmt: skip
        except (Error, NoServersError, OSError) as error:
            cause = seen[-1] if seen else error
            if "authorization" in f"{error} {cause}".lower():
                raise ProbeError(f"{server} refuses {_who(self.user)}: {cause}", Kind.AUTH) from error
            raise unreachable(server, cause, target.timeout_s) from error
        try:
            return await self._exchange(client, target)
        finally:
            await client.close()

    async def _exchange(self, client: Client, target: Target) -> str:
        from nats.errors import Error

        name, payload = target.unique(), secrets.token_bytes(16)
        context = client.jetstream(timeout=target.timeout_s)
        left = ""
        try:
            try:
                await context.add_stream(
                    name=name, subjects=[name], storage="file", max_bytes=STREAM_BYTES, max_age=MESSAGE_AGE_S
                )
                ack = await context.publish(name, payload, stream=name)
                message = await context.get_msg(name, ack.seq)
            finally:
                left = await self._remove(context, name)
        except (Error, TimeoutError) as error:
            silent = isinstance(error, TimeoutError)
            text = f"no answer within {target.timeout_s:g} s" if silent else str(error)
            kind = Kind.TIMEOUT if silent else Kind.ANSWER
            raise ProbeError(f"JetStream did not take a stream and a message: {text}{left}", kind) from error
        if message.data != payload:
            raise ProbeError(f"JetStream returned another message than it acknowledged{left}")
        if left:
            raise ProbeError(left.removeprefix("; and "))
        return "a message was stored, acknowledged and read back"

    @staticmethod
    async def _remove(context: Any, name: str) -> str:
        from nats.errors import Error
        from nats.js.errors import NotFoundError

        try:
            await context.delete_stream(name)
        except NotFoundError:
            pass
        except (Error, TimeoutError) as error:
            why = str(error) or "no answer"
            return f"; and the stream {name} may be left over ({why}): remove it with `nats stream rm {name}`"
        return ""


def _host(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def _who(user: str) -> str:
    return f"the user {user!r}" if user else "a client without a user"


PROBES: tuple[type[Probe], ...] = (Health, Varz, JetStream, RoundTrip)
