# SPDX-License-Identifier: GPL-3.0-or-later
"""Leftovers of a killed validation: a stream, a key, tables, a bucket and an index with the same name."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import clickhouse_driver
import nats
import psycopg
import valkey
from clients import HOST, TIMEOUT_S, http_json, s3
from site_under_test import Site


@dataclass(frozen=True)
class Kind:
    """How to create an object in a service, the names of all objects of this kind, and how to remove one."""

    create: Callable[[Site, str], object]
    names: Callable[[Site], list[str]]
    remove: Callable[[Site, str], object]


def streams(site: Site, work: Callable[[Any], Any]) -> Any:
    async def connected() -> Any:
        client = await nats.connect(f"nats://{HOST}:{site.port(4222)}", connect_timeout=TIMEOUT_S)
        try:
            return await work(client.jetstream())
        finally:
            await client.close()

    return asyncio.run(connected())


def cache(site: Site) -> Any:
    return valkey.Valkey(host=HOST, port=site.port(6379), socket_timeout=TIMEOUT_S, decode_responses=True)


def ticks(site: Site, statement: str) -> list[str]:
    address = {"host": HOST, "port": site.port(8812), "dbname": "qdb", "connect_timeout": TIMEOUT_S}
    password = site.secret("questdb/password")
    with psycopg.connect(**address, user="trade2026", password=password, autocommit=True) as connection:
        cursor = connection.execute(statement)
        return [str(row[0]) for row in cursor.fetchall()] if cursor.description else []


def analytics(site: Site, statement: str) -> list[str]:
    password = site.secret("clickhouse/password")
    client = clickhouse_driver.Client(
        HOST, site.port(9100), user="trade2026", password=password, database="trade2026", connect_timeout=TIMEOUT_S
    )
    return [str(row[0]) for row in client.execute(statement)]


def objects(site: Site) -> Any:
    return s3(site.port(8333), "trade2026", site.secret("seaweedfs/s3_secret"))


def make_bucket(site: Site, name: str) -> None:
    objects(site).create_bucket(Bucket=name)
    objects(site).put_object(Bucket=name, Key="000001", Body=b"record")


def remove_bucket(site: Site, name: str) -> None:
    objects(site).delete_object(Bucket=name, Key="000001")
    objects(site).delete_bucket(Bucket=name)


def indices(site: Site) -> list[str]:
    return [str(row["index"]) for row in http_json(site.port(9200), "/_cat/indices?format=json&expand_wildcards=all")]


def table(name: str) -> str:
    return name.replace("-", "_")


HIDDEN = {"settings": {"index": {"number_of_shards": 1, "number_of_replicas": 0, "hidden": True}}}
KINDS = {
    "nats": Kind(
        lambda site, name: streams(site, lambda stream: stream.add_stream(name=name, subjects=[name])),
        lambda site: [info.config.name for info in streams(site, lambda stream: stream.streams_info())],
        lambda site, name: streams(site, lambda stream: stream.delete_stream(name)),
    ),
    "valkey": Kind(
        lambda site, name: cache(site).rpush(name, "record"),
        lambda site: list(cache(site).keys()),
        lambda site, name: cache(site).delete(name),
    ),
    "questdb": Kind(
        lambda site, name: ticks(
            site, f'CREATE TABLE "{table(name)}" (number LONG, ts TIMESTAMP) TIMESTAMP(ts) PARTITION BY DAY WAL'
        ),
        lambda site: ticks(site, "SHOW TABLES"),
        lambda site, name: ticks(site, f'DROP TABLE "{table(name)}"'),
    ),
    "clickhouse": Kind(
        lambda site, name: analytics(
            site, f"CREATE TABLE {table(name)} (number UInt32) ENGINE = MergeTree() ORDER BY number"
        ),
        lambda site: analytics(site, "SHOW TABLES"),
        lambda site, name: analytics(site, f"DROP TABLE {table(name)}"),
    ),
    "seaweedfs": Kind(
        make_bucket, lambda site: [bucket["Name"] for bucket in objects(site).list_buckets()["Buckets"]], remove_bucket
    ),
    "opensearch": Kind(
        lambda site, name: http_json(site.port(9200), f"/{name}", HIDDEN, "PUT"),
        indices,
        lambda site, name: http_json(site.port(9200), f"/{name}", method="DELETE"),
    ),
}


def remove(site: Site, *names: str) -> None:
    """Remove an object of each name from each service."""
    for kind in KINDS.values():
        for name in names:
            kind.remove(site, name)


def leave(site: Site, *names: str) -> None:
    """Create an object of each name in each service."""
    for service, kind in KINDS.items():
        for name in names:
            kind.create(site, name)
        assert left(site)[service] >= {table(name) for name in names}


def left(site: Site) -> dict[str, set[str]]:
    """Service → names of what tests and probes created in it, with underscores."""
    return {
        service: {table(name) for name in kind.names(site) if table(name).startswith("trade2026_probe_")}
        for service, kind in KINDS.items()
    }
