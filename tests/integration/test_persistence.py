# SPDX-License-Identifier: GPL-3.0-or-later
"""Data survives restarts, services reach each other by name, and a light load causes no errors."""

from __future__ import annotations

import asyncio
import datetime
import socket
import statistics
import subprocess
import time
import urllib.request
import uuid
from collections.abc import Callable
from typing import Any

import clickhouse_driver
import nats
import psycopg
import pytest
import valkey
from clients import HOST, TIMEOUT_S, http_json, s3
from site_under_test import SERVICES, Site, docker

# A fixed number: this is not a benchmark, and rates vary by a factor of two to five on shared machines.
REQUESTS = 200
# Milliseconds for the 95th percentile, a hundred times that of an idle machine.
P95_LIMIT_MS = 500


def clickhouse(site: Site) -> Any:
    return clickhouse_driver.Client(
        HOST, site.port(9100), user="trade2026", password=site.secret("clickhouse/password"), database="trade2026"
    )


def questdb(site: Site) -> Any:
    return psycopg.connect(
        host=HOST,
        port=site.port(8812),
        dbname="qdb",
        user="trade2026",
        password=site.secret("questdb/password"),
        autocommit=True,
        connect_timeout=TIMEOUT_S,
    )


async def with_stream(site: Site, work: Callable[[Any], Any]) -> Any:
    client = await nats.connect(f"nats://{HOST}:{site.port(4222)}", connect_timeout=TIMEOUT_S)
    try:
        return await work(client.jetstream())
    finally:
        await client.close()


def until(read: Callable[[], Any], expected: Any, timeout_s: float = 60) -> None:
    """Repeat a request until the result is as expected: a write may be applied later."""
    limit = time.monotonic() + timeout_s
    while True:
        try:
            found = read()
        except (OSError, psycopg.Error, clickhouse_driver.errors.Error, valkey.ValkeyError) as error:
            found = error
        if found == expected:
            return
        assert time.monotonic() < limit, f"{found!r}, expected {expected!r}"
        time.sleep(0.2)


def test_data_survives_a_restart_of_every_container(deployed: Site) -> None:
    name = f"persist_{uuid.uuid4().hex[:12]}"
    cache = valkey.Valkey(host=HOST, port=deployed.port(6379), socket_timeout=TIMEOUT_S)
    bucket = name.replace("_", "-")

    cache.set(name, "1")
    asyncio.run(with_stream(deployed, lambda js: js.add_stream(name=name, subjects=[f"{name}.>"])))
    asyncio.run(with_stream(deployed, lambda js: js.publish(f"{name}.x", b"1")))
    clickhouse(deployed).execute(f"CREATE TABLE {name} (day Date, x Int32) ENGINE = MergeTree(day, x, 8192)")
    clickhouse(deployed).execute(f"INSERT INTO {name} (day, x) VALUES", [(datetime.date(2026, 1, 2), 1)])
    with questdb(deployed) as connection:
        connection.execute(f"CREATE TABLE {name} (x INT, ts TIMESTAMP) TIMESTAMP(ts) PARTITION BY DAY WAL")
        connection.execute(f"INSERT INTO {name} VALUES (1, now())")
    store = s3(deployed.port(8333), "trade2026", deployed.secret("seaweedfs/s3_secret"))
    store.create_bucket(Bucket=bucket)
    store.put_object(Bucket=bucket, Key="a", Body=b"1")
    http_json(deployed.port(9200), f"/{name}/_doc/1?refresh=true", {"x": 1}, "PUT")

    containers = [f"{deployed.prefix}{service}" for service in SERVICES]
    docker("restart", "--time", "60", *containers)
    verification = deployed.play(playbook="playbooks/verify.yml")
    assert verification.code == 0, verification.errors

    def rows() -> Any:
        with questdb(deployed) as connection:
            return connection.execute(f"SELECT x FROM {name}").fetchall()

    until(lambda: cache.get(name), b"1")
    message = asyncio.run(with_stream(deployed, lambda js: js.get_last_msg(name, f"{name}.x")))
    assert message.data == b"1"
    until(lambda: clickhouse(deployed).execute(f"SELECT x FROM {name}"), [(1,)])
    until(rows, [(1,)])
    until(
        lambda: (
            s3(deployed.port(8333), "trade2026", deployed.secret("seaweedfs/s3_secret"))
            .get_object(Bucket=bucket, Key="a")["Body"]
            .read()
        ),
        b"1",
    )
    until(lambda: http_json(deployed.port(9200), f"/{name}/_doc/1")["_source"], {"x": 1})

    cache.delete(name)
    asyncio.run(with_stream(deployed, lambda js: js.delete_stream(name)))
    clickhouse(deployed).execute(f"DROP TABLE {name}")
    with questdb(deployed) as connection:
        connection.execute(f"DROP TABLE {name}")
    store.delete_object(Bucket=bucket, Key="a")
    store.delete_bucket(Bucket=bucket)
    http_json(deployed.port(9200), f"/{name}", method="DELETE")


@pytest.mark.parametrize(
    ("seen_from", "service", "port"),
    [
        ("authn", "valkey", 6379),
        ("authn", "questdb", 8812),
        ("authn", "clickhouse", 9000),
        ("authn", "seaweedfs", 8333),
        ("authn", "opensearch", 9200),
        ("authn", "opa", 8181),
    ],
)
def test_services_reach_each_other_by_name(deployed: Site, seen_from: str, service: str, port: int) -> None:
    code = f"import socket; socket.create_connection(('{service}', {port}), 5).close()"
    docker("exec", f"{deployed.prefix}{seen_from}", "python3", "-c", code)


def test_services_on_other_networks_cannot_be_resolved(deployed: Site) -> None:
    docker("exec", f"{deployed.prefix}authn", "python3", "-c", "import socket; socket.getaddrinfo('valkey', 6379)")
    with pytest.raises(subprocess.CalledProcessError):
        docker("exec", f"{deployed.prefix}authn", "python3", "-c", "import socket; socket.getaddrinfo('nats', 4222)")


@pytest.mark.parametrize(
    ("service", "port", "path"),
    [
        ("nats", 8222, "/healthz"),
        ("questdb", 9000, "/exec?query=select%201"),
        ("clickhouse", 8123, "/ping"),
        ("seaweedfs", 9333, "/cluster/status"),
        ("opensearch", 9200, "/_cluster/health"),
        ("authn", 8114, "/health"),
        ("opa", 8181, "/health"),
    ],
)
def test_a_light_load_causes_no_errors(deployed: Site, service: str, port: int, path: str) -> None:
    times = []
    for _ in range(REQUESTS):
        begin = time.perf_counter()
        with urllib.request.urlopen(f"http://{HOST}:{deployed.port(port)}{path}", timeout=TIMEOUT_S) as answer:
            answer.read()
            assert answer.status == 200
        times.append((time.perf_counter() - begin) * 1000)
    p95 = statistics.quantiles(times, n=20)[-1]
    print(f"{service}: {REQUESTS} requests, median {statistics.median(times):.1f} ms, 95 % within {p95:.1f} ms")
    assert p95 < P95_LIMIT_MS


def test_a_light_load_on_valkey_causes_no_errors(deployed: Site) -> None:
    with (
        socket.create_connection((HOST, deployed.port(6379)), TIMEOUT_S) as connection,
        connection.makefile("rb") as answers,
    ):
        for _ in range(REQUESTS):
            connection.sendall(b"PING\r\n")
            assert answers.readline() == b"+PONG\r\n"
