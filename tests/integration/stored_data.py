# SPDX-License-Identifier: GPL-3.0-or-later
"""Data that clients store in each service of the old platform and must be able to read from the new one."""

from __future__ import annotations

import asyncio
import hashlib
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import botocore.exceptions
import clickhouse_driver
import nats
import nats.errors
import psycopg
import valkey
from clients import HOST, TIMEOUT_S, http_json, s3

NOT_YET = (
    OSError,
    EOFError,
    AssertionError,
    nats.errors.Error,
    valkey.ValkeyError,
    psycopg.Error,
    clickhouse_driver.errors.Error,
    botocore.exceptions.BotoCoreError,
    botocore.exceptions.ClientError,
)

# Larger than the chunks of 4 MiB into which SeaweedFS splits objects.
OBJECT = random.Random(2025).randbytes(9 * 1024 * 1024 + 1)


@dataclass(frozen=True)
class Endpoint:
    """Port and credentials of a service."""

    port: int
    user: str = ""
    password: str = ""


def retry(request: Callable[[], Any], timeout_s: float = 120) -> Any:
    """The response to a request, which is repeated while the service starts."""
    limit = time.monotonic() + timeout_s
    while True:
        try:
            return request()
        except NOT_YET:
            if time.monotonic() > limit:
                raise
            time.sleep(0.2)


def jetstream(endpoint: Endpoint, work: Callable[[Any], Any]) -> Any:
    async def connected() -> Any:
        client = await nats.connect(
            f"nats://{HOST}:{endpoint.port}", connect_timeout=TIMEOUT_S, max_reconnect_attempts=0
        )
        try:
            return await work(client.jetstream())
        finally:
            await client.close()

    return asyncio.run(connected())


def write_stream(endpoint: Endpoint) -> None:
    async def write(stream: Any) -> None:
        await stream.add_stream(name="ORDERS", subjects=["orders.>"])
        for text in (b"buy", b"sell", b"cancel"):
            await stream.publish("orders.eu", text)
        # A consumer that has acknowledged the first message, so that the second one is next.
        reader = await stream.pull_subscribe("orders.>", durable="risk")
        await (await reader.fetch(1))[0].ack_sync()

    retry(lambda: jetstream(endpoint, lambda stream: stream.account_info()))
    jetstream(endpoint, write)


def read_stream(endpoint: Endpoint) -> Any:
    async def read(stream: Any) -> Any:
        kept = [(await stream.get_msg("ORDERS", number)).data for number in (1, 2, 3)]
        return kept, (await stream.consumer_info("ORDERS", "risk")).ack_floor.stream_seq

    return jetstream(endpoint, read)


def cache(endpoint: Endpoint) -> Any:
    return valkey.Valkey(
        host=HOST,
        port=endpoint.port,
        password=endpoint.password or None,
        socket_timeout=TIMEOUT_S,
        decode_responses=True,
    )


def write_keys(endpoint: Endpoint) -> None:
    client = cache(endpoint)
    retry(client.ping)
    client.set("limit:eu", "250")
    client.hset("position:7", mapping={"symbol": "ESZ5", "size": "-3"})
    client.zadd("ladder", {"bid": 99.5, "ask": 100.25})


def read_keys(endpoint: Endpoint) -> Any:
    client = cache(endpoint)
    return client.get("limit:eu"), client.hgetall("position:7"), client.zrange("ladder", 0, -1, withscores=True)


def ticks(endpoint: Endpoint) -> Any:
    return psycopg.connect(
        host=HOST,
        port=endpoint.port,
        dbname="qdb",
        user=endpoint.user,
        password=endpoint.password,
        autocommit=True,
        connect_timeout=TIMEOUT_S,
    )


def write_ticks(endpoint: Endpoint) -> None:
    with retry(lambda: ticks(endpoint)) as connection:
        connection.execute(
            "CREATE TABLE ticks (symbol SYMBOL, price DOUBLE, ts TIMESTAMP) TIMESTAMP(ts) PARTITION BY DAY WAL"
        )
        connection.execute(
            "INSERT INTO ticks VALUES ('ESZ5', 5000.25, '2025-10-13T09:00:00.000000Z'), "
            "('NQZ5', 18000.5, '2025-10-14T09:00:00.000000Z')"
        )


def read_ticks(endpoint: Endpoint) -> Any:
    with ticks(endpoint) as connection:
        return connection.execute("SELECT symbol, price, ts FROM ticks ORDER BY ts").fetchall()


def analytics(endpoint: Endpoint, **more: Any) -> Any:
    return clickhouse_driver.Client(
        HOST, endpoint.port, user=endpoint.user, password=endpoint.password, connect_timeout=TIMEOUT_S, **more
    )


def write_fills(endpoint: Endpoint) -> None:
    def database_is_there() -> None:
        assert analytics(endpoint).execute("SELECT count() FROM system.databases WHERE name = 'trade2025'") == [(1,)]

    retry(database_is_there)
    client = analytics(endpoint, database="trade2025")
    client.execute("CREATE TABLE fills (day Date, price Float64) ENGINE = MergeTree(day, day, 8192)")
    client.execute("INSERT INTO fills VALUES", [(date(2025, 10, 13), 1.5), (date(2025, 11, 3), 2.25)])


def read_fills(endpoint: Endpoint) -> Any:
    return analytics(endpoint).execute("SELECT day, price FROM trade2025.fills ORDER BY day")


def objects(endpoint: Endpoint) -> Any:
    return s3(endpoint.port, endpoint.user, endpoint.password)


def write_objects(endpoint: Endpoint) -> None:
    client = objects(endpoint)

    def bucket_is_there() -> None:
        if not any(bucket["Name"] == "archive" for bucket in client.list_buckets()["Buckets"]):
            client.create_bucket(Bucket="archive")

    retry(bucket_is_there)
    # The volume server joins the master shortly after the S3 API answers.
    retry(lambda: client.put_object(Bucket="archive", Key="2025/small", Body=b"small", Metadata={"desk": "eu"}))
    client.put_object(Bucket="archive", Key="2025/large", Body=OBJECT)


def read_objects(endpoint: Endpoint) -> Any:
    client = objects(endpoint)
    small = client.get_object(Bucket="archive", Key="2025/small")
    large = client.get_object(Bucket="archive", Key="2025/large")["Body"].read()
    return small["Body"].read(), small["Metadata"], hashlib.sha256(large).hexdigest()


def write_documents(endpoint: Endpoint) -> None:
    retry(lambda: http_json(endpoint.port, "/_cluster/health?wait_for_status=yellow&timeout=5s"))
    http_json(endpoint.port, "/notes", {"mappings": {"properties": {"desk": {"type": "keyword"}}}}, "PUT")
    http_json(endpoint.port, "/notes/_doc/1?refresh=true", {"text": "the exchange halts at noon", "desk": "eu"}, "PUT")
    http_json(endpoint.port, "/notes/_doc/2?refresh=true", {"text": "no event today", "desk": "us"}, "PUT")


def read_documents(endpoint: Endpoint) -> Any:
    found = http_json(endpoint.port, "/notes/_search", {"query": {"match": {"text": "halts"}}})
    mapping = http_json(endpoint.port, "/notes/_mapping")["notes"]["mappings"]["properties"]["desk"]
    return [hit["_source"]["desk"] for hit in found["hits"]["hits"]], mapping


@dataclass(frozen=True)
class Stored:
    """How to write data to a service, how to read it, and the expected result."""

    write: Callable[[Endpoint], None]
    read: Callable[[Endpoint], Any]
    expected: Any


STORED = {
    "nats": Stored(write_stream, read_stream, ([b"buy", b"sell", b"cancel"], 1)),
    "valkey": Stored(
        write_keys, read_keys, ("250", {"symbol": "ESZ5", "size": "-3"}, [("bid", 99.5), ("ask", 100.25)])
    ),
    "questdb": Stored(
        write_ticks,
        read_ticks,
        [("ESZ5", 5000.25, datetime(2025, 10, 13, 9)), ("NQZ5", 18000.5, datetime(2025, 10, 14, 9))],
    ),
    "clickhouse": Stored(write_fills, read_fills, [(date(2025, 10, 13), 1.5), (date(2025, 11, 3), 2.25)]),
    "seaweedfs": Stored(write_objects, read_objects, (b"small", {"desk": "eu"}, hashlib.sha256(OBJECT).hexdigest())),
    "opensearch": Stored(write_documents, read_documents, (["eu"], {"type": "keyword"})),
}


def store_in(service: str, endpoint: Endpoint) -> None:
    """Write the data and wait until it can be read: some services apply a write later."""
    STORED[service].write(endpoint)
    retry(lambda: read_back(service, endpoint), 60)


def read_back(service: str, endpoint: Endpoint) -> None:
    """Assert that the service returns the data that was stored."""
    found = STORED[service].read(endpoint)
    assert found == STORED[service].expected, f"{service}: {found!r}, expected {STORED[service].expected!r}"
