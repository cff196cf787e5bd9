"""What clients store in each service with data, and what they must get back: of the old platform, and of the new."""

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

# Larger than the pieces of 4 MiB that SeaweedFS cuts objects into.
OBJECT = random.Random(2025).randbytes(9 * 1024 * 1024 + 1)


@dataclass(frozen=True)
class Door:
    """Where a service answers, and who may come in."""

    port: int
    user: str = ""
    password: str = ""


def patiently(ask: Callable[[], Any], deadline_s: float = 120) -> Any:
    """The answer, as soon as there is one: a service that starts refuses at first."""
    limit = time.monotonic() + deadline_s
    while True:
        try:
            return ask()
        except NOT_YET:
            if time.monotonic() > limit:
                raise
            time.sleep(0.2)


def jetstream(door: Door, work: Callable[[Any], Any]) -> Any:
    async def connected() -> Any:
        client = await nats.connect(f"nats://{HOST}:{door.port}", connect_timeout=TIMEOUT_S, max_reconnect_attempts=0)
        try:
            return await work(client.jetstream())
        finally:
            await client.close()

    return asyncio.run(connected())


def write_stream(door: Door) -> None:
    async def write(stream: Any) -> None:
        await stream.add_stream(name="ORDERS", subjects=["orders.>"])
        for text in (b"buy", b"sell", b"cancel"):
            await stream.publish("orders.eu", text)
        # Somebody who has read the first message, and must get the second one next.
        reader = await stream.pull_subscribe("orders.>", durable="risk")
        await (await reader.fetch(1))[0].ack_sync()

    patiently(lambda: jetstream(door, lambda stream: stream.account_info()))
    jetstream(door, write)


def read_stream(door: Door) -> Any:
    async def read(stream: Any) -> Any:
        kept = [(await stream.get_msg("ORDERS", number)).data for number in (1, 2, 3)]
        return kept, (await stream.consumer_info("ORDERS", "risk")).ack_floor.stream_seq

    return jetstream(door, read)


def cache(door: Door) -> Any:
    return valkey.Valkey(
        host=HOST, port=door.port, password=door.password or None, socket_timeout=TIMEOUT_S, decode_responses=True
    )


def write_keys(door: Door) -> None:
    client = cache(door)
    patiently(client.ping)
    client.set("limit:eu", "250")
    client.hset("position:7", mapping={"symbol": "ESZ5", "size": "-3"})
    client.zadd("ladder", {"bid": 99.5, "ask": 100.25})


def read_keys(door: Door) -> Any:
    client = cache(door)
    return client.get("limit:eu"), client.hgetall("position:7"), client.zrange("ladder", 0, -1, withscores=True)


def ticks(door: Door) -> Any:
    return psycopg.connect(
        host=HOST,
        port=door.port,
        dbname="qdb",
        user=door.user,
        password=door.password,
        autocommit=True,
        connect_timeout=TIMEOUT_S,
    )


def write_ticks(door: Door) -> None:
    with patiently(lambda: ticks(door)) as connection:
        connection.execute(
            "CREATE TABLE ticks (symbol SYMBOL, price DOUBLE, ts TIMESTAMP) TIMESTAMP(ts) PARTITION BY DAY WAL"
        )
        connection.execute(
            "INSERT INTO ticks VALUES ('ESZ5', 5000.25, '2025-10-13T09:00:00.000000Z'), "
            "('NQZ5', 18000.5, '2025-10-14T09:00:00.000000Z')"
        )


def read_ticks(door: Door) -> Any:
    with ticks(door) as connection:
        return connection.execute("SELECT symbol, price, ts FROM ticks ORDER BY ts").fetchall()


def analytics(door: Door, **more: Any) -> Any:
    return clickhouse_driver.Client(
        HOST, door.port, user=door.user, password=door.password, connect_timeout=TIMEOUT_S, **more
    )


def write_fills(door: Door) -> None:
    def database_is_there() -> None:
        assert analytics(door).execute("SELECT count() FROM system.databases WHERE name = 'trade2025'") == [(1,)]

    patiently(database_is_there)
    client = analytics(door, database="trade2025")
    client.execute("CREATE TABLE fills (day Date, price Float64) ENGINE = MergeTree(day, day, 8192)")
    client.execute("INSERT INTO fills VALUES", [(date(2025, 10, 13), 1.5), (date(2025, 11, 3), 2.25)])


def read_fills(door: Door) -> Any:
    return analytics(door).execute("SELECT day, price FROM trade2025.fills ORDER BY day")


def objects(door: Door) -> Any:
    return s3(door.port, door.user, door.password)


def write_objects(door: Door) -> None:
    client = objects(door)

    def bucket_is_there() -> None:
        if not any(bucket["Name"] == "archive" for bucket in client.list_buckets()["Buckets"]):
            client.create_bucket(Bucket="archive")

    patiently(bucket_is_there)
    # The volume server joins the master a moment after the S3 interface answers.
    patiently(lambda: client.put_object(Bucket="archive", Key="2025/small", Body=b"small", Metadata={"desk": "eu"}))
    client.put_object(Bucket="archive", Key="2025/large", Body=OBJECT)


def read_objects(door: Door) -> Any:
    client = objects(door)
    small = client.get_object(Bucket="archive", Key="2025/small")
    large = client.get_object(Bucket="archive", Key="2025/large")["Body"].read()
    return small["Body"].read(), small["Metadata"], hashlib.sha256(large).hexdigest()


def write_documents(door: Door) -> None:
    patiently(lambda: http_json(door.port, "/_cluster/health?wait_for_status=yellow&timeout=5s"))
    http_json(door.port, "/notes", {"mappings": {"properties": {"desk": {"type": "keyword"}}}}, "PUT")
    http_json(door.port, "/notes/_doc/1?refresh=true", {"text": "the exchange halts at noon", "desk": "eu"}, "PUT")
    http_json(door.port, "/notes/_doc/2?refresh=true", {"text": "nothing to tell", "desk": "us"}, "PUT")


def read_documents(door: Door) -> Any:
    found = http_json(door.port, "/notes/_search", {"query": {"match": {"text": "halts"}}})
    mapping = http_json(door.port, "/notes/_mapping")["notes"]["mappings"]["properties"]["desk"]
    return [hit["_source"]["desk"] for hit in found["hits"]["hits"]], mapping


@dataclass(frozen=True)
class Stored:
    """What one service is told, and what it must answer from then on."""

    write: Callable[[Door], None]
    read: Callable[[Door], Any]
    answer: Any


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


def store_in(service: str, door: Door) -> None:
    """Store, and return when it is answered: some services take it in a moment later."""
    STORED[service].write(door)
    patiently(lambda: ask_back(service, door), 60)


def ask_back(service: str, door: Door) -> None:
    """The service answers what it was told."""
    found = STORED[service].read(door)
    assert found == STORED[service].answer, f"{service}: {found!r} is not {STORED[service].answer!r}"
