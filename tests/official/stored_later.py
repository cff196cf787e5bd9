# SPDX-License-Identifier: GPL-3.0-or-later
"""Data that clients store after an upgrade, in a way that makes the newer release write its own file format."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from clients import http_json
from stored_data import Endpoint, cache, jetstream, objects, ticks


def write_stream(endpoint: Endpoint) -> None:
    async def write(stream: Any) -> None:
        await stream.add_stream(name="LATER", subjects=["later.>"])
        await stream.publish("later.eu", b"later")
        await stream.publish("orders.eu", b"later")
        await (await stream.pull_subscribe("orders.>", durable="risk")).fetch(1)

    jetstream(endpoint, write)


def read_stream(endpoint: Endpoint) -> Any:
    async def read(stream: Any) -> Any:
        return [(await stream.get_msg(*place)).data for place in (("LATER", 1), ("ORDERS", 4))]

    return jetstream(endpoint, read)


def write_keys(endpoint: Endpoint) -> None:
    client = cache(endpoint)
    client.set("limit:us", "later")
    # A server in use does this by itself after some time: then both files are in the newer release's format.
    client.bgrewriteaof()
    while client.info("persistence")["aof_rewrite_in_progress"] or client.info("persistence")["aof_rewrite_scheduled"]:
        time.sleep(0.1)
    assert client.info("persistence")["aof_last_bgrewrite_status"] == "ok"
    client.save()


def read_keys(endpoint: Endpoint) -> Any:
    return cache(endpoint).get("limit:us")


def write_ticks(endpoint: Endpoint) -> None:
    with ticks(endpoint) as connection:
        connection.execute("CREATE TABLE later (text STRING, ts TIMESTAMP) TIMESTAMP(ts) PARTITION BY DAY WAL")
        connection.execute("INSERT INTO later VALUES ('later', '2025-10-15T09:00:00.000000Z')")


def read_ticks(endpoint: Endpoint) -> Any:
    with ticks(endpoint) as connection:
        return connection.execute("SELECT text FROM later").fetchall()


def write_objects(endpoint: Endpoint) -> None:
    objects(endpoint).put_object(Bucket="archive", Key="2025/later", Body=b"later")


def read_objects(endpoint: Endpoint) -> Any:
    return objects(endpoint).get_object(Bucket="archive", Key="2025/later")["Body"].read()


def write_documents(endpoint: Endpoint) -> None:
    http_json(endpoint.port, "/notes/_doc/3?refresh=true", {"text": "later", "desk": "eu"}, "PUT")
    http_json(endpoint.port, "/later/_doc/1?refresh=true", {"text": "later"}, "PUT")
    http_json(endpoint.port, "/notes,later/_flush", {})


def read_documents(endpoint: Endpoint) -> Any:
    return [http_json(endpoint.port, path)["_source"]["text"] for path in ("/notes/_doc/3", "/later/_doc/1")]


LATER: dict[str, tuple[Callable[[Endpoint], None], Callable[[Endpoint], Any], Any]] = {
    "nats": (write_stream, read_stream, [b"later", b"later"]),
    "valkey": (write_keys, read_keys, "later"),
    "questdb": (write_ticks, read_ticks, [("later",)]),
    "seaweedfs": (write_objects, read_objects, b"later"),
    "opensearch": (write_documents, read_documents, ["later", "later"]),
}


def store_later(service: str, endpoint: Endpoint) -> None:
    """Store more, after the upgrade."""
    LATER[service][0](endpoint)


def read_later(service: str, endpoint: Endpoint) -> None:
    """Assert that the service returns what was stored after the upgrade."""
    _write, read, expected = LATER[service]
    found = read(endpoint)
    assert found == expected, f"{service}: {found!r}, expected {expected!r}"
