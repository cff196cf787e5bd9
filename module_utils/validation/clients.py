# SPDX-License-Identifier: GPL-3.0-or-later
"""Connections of real clients to the services, with the credentials that their probes declare."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ansible.module_utils.validation import bridge
from ansible.module_utils.validation.stack import Service

if TYPE_CHECKING:
    from minio import Minio


@dataclass
class JetStream:
    """A connection to NATS in an event loop of its own."""

    loop: asyncio.AbstractEventLoop
    client: Any
    context: Any

    def call(self, work: Coroutine[Any, Any, Any]) -> Any:
        """The result of a request."""
        return self.loop.run_until_complete(work)


@contextlib.contextmanager
def jetstream(service: Service) -> Iterator[JetStream]:
    """A connection to JetStream; errors after it are the library's."""
    import nats

    probe = service.probe(bridge.nats.RoundTrip)
    target = service.target
    loop = asyncio.new_event_loop()

    async def ignore(_error: Exception) -> None:
        """Ignore an error, which the library would print otherwise."""

    async def connect() -> Any:
        return await nats.connect(
            f"nats://{target.address}:{target.port(probe.port)}", user=probe.user or None,
            password=target.secret(probe.password_file) or None, connect_timeout=target.timeout_s,
            allow_reconnect=False, error_cb=ignore, name=target.unique(),
        )  # fmt: skip

    try:
        client = loop.run_until_complete(connect())
        try:
            yield JetStream(loop, client, client.jetstream(timeout=target.timeout_s))
        finally:
            loop.run_until_complete(client.close())
    finally:
        loop.close()


@contextlib.contextmanager
def questdb(service: Service) -> Iterator[Any]:
    """A connection over the PostgreSQL protocol."""
    connection = service.probe(bridge.questdb.RoundTrip).connect(service.target)
    try:
        yield connection
    finally:
        connection.close()


@contextlib.contextmanager
def clickhouse(service: Service) -> Iterator[Any]:
    """A client of the native protocol."""
    from clickhouse_driver import Client

    probe = service.probe(bridge.clickhouse.RoundTrip)
    target = service.target
    client = Client(
        target.address, port=target.port(probe.native_port), user=probe.user,
        password=target.secret(probe.password_file), database=probe.database,
        connect_timeout=target.timeout_s, send_receive_timeout=target.timeout_s,
    )  # fmt: skip
    try:
        yield client
    finally:
        client.disconnect()


def s3(service: Service, key: str, secret: str) -> Minio:
    """An S3 client with a key; without one it is anonymous."""
    probe = service.probe(bridge.seaweedfs.S3)
    return probe.client(service.target, key, secret)


def declared_s3(service: Service) -> Minio:
    """An S3 client with the declared key."""
    probe = service.probe(bridge.seaweedfs.S3)
    return s3(service, probe.access_key, service.target.secret(probe.secret_file))


@contextlib.contextmanager
def valkey(service: Service) -> Iterator[Any]:
    """A client of Valkey."""
    with service.probe(bridge.valkey.RoundTrip).client(service.target) as client:
        yield client
