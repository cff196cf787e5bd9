# SPDX-License-Identifier: GPL-3.0-or-later
"""A bounded load on each service over its published ports, with the client libraries that its users use.

Counts are fixed and content is seeded, so every run does the same. The latencies include the client's own time, about
as much as an application in Python would see; the machine's floor, shown beside them, is not due to the service.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import io
import json
import math
import random
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible.module_utils.validation import bridge, clients, host
from ansible.module_utils.validation.bridge import web
from ansible.module_utils.validation.model import FailedError, Passed
from ansible.module_utils.validation.network import delay_of
from ansible.module_utils.validation.stack import Service, Stack

# Warm-up: a tenth of the samples, which do not count.
WARM_UP = 0.1
PAYLOAD = 128
OBJECT = 4096
BATCH = 1000
SYMBOLS = ("ESZ6", "NQZ6", "CLF7", "GCZ6")
# Upper bounds of the histogram's buckets, in milliseconds: each 1.6 times the one before.
BUCKETS = tuple(round(0.05 * 1.6**step, 3) for step in range(28))
# Earlier runs that are compared with, and how many of them make a comparison.
EARLIER, ENOUGH = 10, 3

Do = Callable[[int], object]
Setup = Callable[[Service], "contextlib.AbstractContextManager[Do]"]


@dataclass(frozen=True)
class Operation:
    """One operation to measure."""

    name: str
    sentence: str
    unit: str
    # Distribution of the client library; empty for HTTP with the standard library.
    library: str
    samples: int
    setup: Setup


def content(size: int = PAYLOAD) -> bytes:
    """The same bytes in every run."""
    return random.Random(2026).randbytes(size)


@contextlib.contextmanager
def nats_publish(service: Service) -> Iterator[Do]:
    """Publish to a stream on file storage, and wait for the acknowledgement."""
    name, payload = service.target.unique(), content()
    with clients.jetstream(service) as stream:
        stream.call(stream.context.add_stream(name=name, subjects=[name], storage="file"))
        try:
            yield lambda _number: stream.call(stream.context.publish(name, payload))
        finally:
            stream.call(stream.context.delete_stream(name))


@contextlib.contextmanager
def nats_request(service: Service) -> Iterator[Do]:
    """A request that another subscription of the same connection answers."""
    name, payload = service.target.unique(), content()
    with clients.jetstream(service) as stream:

        async def answer(message: Any) -> None:
            await message.respond(message.data)

        stream.call(stream.client.subscribe(name, cb=answer))
        yield lambda _number: stream.call(stream.client.request(name, payload, timeout=service.target.timeout_s))


@contextlib.contextmanager
def valkey_set(service: Service) -> Iterator[Do]:
    """SET with an expiry."""
    name, payload = service.target.unique(), content()
    with clients.valkey(service) as client:
        try:
            yield lambda number: client.set(f"{name}-{number % 100}", payload, ex=600)
        finally:
            client.delete(*(f"{name}-{number}" for number in range(100)))


@contextlib.contextmanager
def valkey_get(service: Service) -> Iterator[Do]:
    """GET of an existing key."""
    name = service.target.unique()
    with clients.valkey(service) as client:
        client.set(name, "1" * PAYLOAD, ex=600)
        try:
            yield lambda _number: client.get(name)
        finally:
            client.delete(name)


@contextlib.contextmanager
def ticks(service: Service) -> Iterator[tuple[Any, str]]:
    """A table of QuestDB."""
    table = service.target.unique("_")
    with clients.questdb(service) as connection:
        connection.execute(
            f'CREATE TABLE "{table}" (symbol SYMBOL, price DOUBLE, size LONG, ts TIMESTAMP) '
            "TIMESTAMP(ts) PARTITION BY DAY WAL"
        )
        try:
            yield connection, table
        finally:
            connection.execute(f'DROP TABLE IF EXISTS "{table}"')


def tick_rows(count: int) -> list[tuple[str, float, int]]:
    """Symbol, price and size; the same in every run."""
    source = random.Random(2026)
    return [
        (source.choice(SYMBOLS), round(5000 + source.gauss(0, 5), 2), source.randrange(1, 50)) for _tick in range(count)
    ]


@contextlib.contextmanager
def questdb_ingest(service: Service) -> Iterator[Do]:
    """A batch of rows in the line protocol over HTTP."""
    select = service.probe(bridge.questdb.Select)
    headers = web.basic(select.user, service.target.secret(select.password_file))
    with ticks(service) as (_connection, table):
        lines = "".join(f"{table},symbol={one} price={price},size={size}i\n" for one, price, size in tick_rows(BATCH))
        yield lambda _number: web.ask(
            service.target, select.port, "/write", method="POST", body=lines, headers=headers
        ).expect(204)


@contextlib.contextmanager
def questdb_select(service: Service) -> Iterator[Do]:
    """An aggregate over generated rows, over the PostgreSQL protocol."""
    with clients.questdb(service) as connection:
        query = f"SELECT avg(x), max(x) FROM long_sequence({BATCH})"
        yield lambda _number: connection.execute(query).fetchall()


@contextlib.contextmanager
def clickhouse_table(service: Service) -> Iterator[tuple[Any, str]]:
    """A table of ClickHouse."""
    table = service.target.unique("_")
    with clients.clickhouse(service) as client:
        client.execute(
            f"CREATE TABLE {table} (symbol String, price Float64, size UInt32) ENGINE = MergeTree() ORDER BY symbol"
        )
        try:
            yield client, table
        finally:
            client.execute(f"DROP TABLE IF EXISTS {table}")


@contextlib.contextmanager
def clickhouse_insert(service: Service) -> Iterator[Do]:
    """A batch of rows over the native protocol."""
    with clickhouse_table(service) as (client, table):
        rows = tick_rows(BATCH)
        yield lambda _number: client.execute(f"INSERT INTO {table} VALUES", rows)


@contextlib.contextmanager
def clickhouse_aggregate(service: Service) -> Iterator[Do]:
    """A GROUP BY over a hundred thousand rows."""
    with clickhouse_table(service) as (client, table):
        client.execute(
            f"INSERT INTO {table} SELECT toString(number % 4), number, number % 50 FROM system.numbers LIMIT 100000"
        )
        query = f"SELECT symbol, sum(size), avg(price) FROM {table} GROUP BY symbol"
        yield lambda _number: client.execute(query)


@contextlib.contextmanager
def bucket(service: Service) -> Iterator[tuple[Any, str]]:
    """A bucket of SeaweedFS."""
    client, name = clients.declared_s3(service), service.target.unique()
    client.make_bucket(name)
    try:
        yield client, name
    finally:
        for entry in list(client.list_objects(name)):
            client.remove_object(name, str(entry.object_name))
        client.remove_bucket(name)


@contextlib.contextmanager
def seaweedfs_put(service: Service) -> Iterator[Do]:
    """PUT of an object of 4 KiB."""
    payload = content(OBJECT)
    with bucket(service) as (client, name):
        yield lambda number: client.put_object(name, str(number % 20), io.BytesIO(payload), OBJECT)


@contextlib.contextmanager
def seaweedfs_get(service: Service) -> Iterator[Do]:
    """GET of the same object."""
    with bucket(service) as (client, name):
        client.put_object(name, "object", io.BytesIO(content(OBJECT)), OBJECT)

        def get(_number: int) -> None:
            response = client.get_object(name, "object")
            try:
                response.read()
            finally:
                response.close()
                response.release_conn()

        yield get


@contextlib.contextmanager
def index(service: Service) -> Iterator[tuple[Callable[..., web.Answer], str]]:
    """An index of OpenSearch."""
    probe, name = service.probe(bridge.opensearch.RoundTrip), service.target.unique()

    def ask(path: str, method: str = "GET", document: Any = None) -> web.Answer:
        return probe.ask(service.target, path, method, document).expect(200, 201)

    ask(f"/{name}", "PUT", {"settings": {"index": {"number_of_shards": 1, "number_of_replicas": 0, "hidden": True}}})
    try:
        yield ask, name
    finally:
        ask(f"/{name}", "DELETE")


@contextlib.contextmanager
def opensearch_index(service: Service) -> Iterator[Do]:
    """A document, acknowledged."""
    with index(service) as (ask, name):
        yield lambda number: ask(f"/{name}/_doc/{number}", "PUT", {"number": number, "text": "the exchange halts"})


@contextlib.contextmanager
def opensearch_search(service: Service) -> Iterator[Do]:
    """A full-text search over a hundred documents."""
    with index(service) as (ask, name):
        for number in range(100):
            ask(f"/{name}/_doc/{number}", "PUT", {"text": f"order {number} was filled"})
        ask(f"/{name}/_refresh", "POST")
        yield lambda number: ask(f"/{name}/_search", "POST", {"query": {"match": {"text": str(number % 100)}}})


@contextlib.contextmanager
def authn_token(service: Service) -> Iterator[Do]:
    """A token of a client."""
    probe = service.probe(bridge.authn.Tokens)
    client, secret = min(probe.clients(service.target).items())
    yield lambda _number: probe.ask(service.target, client, secret, "").expect(200)


@contextlib.contextmanager
def opa_decision(service: Service) -> Iterator[Do]:
    """A decision without a token."""
    probe = service.probe(bridge.opa.Health)
    document = {"input": {"action": "orders:submit"}}
    yield lambda _number: web.ask_json(service.target, probe.port, "/v1/data/trade2026/authz/allow", document).expect(
        200
    )


OPERATIONS: Mapping[str, tuple[Operation, ...]] = {
    "nats": (
        Operation("publish", "publish 128 bytes to a stream, acknowledged", "message", "nats-py", 500, nats_publish),
        Operation("request", "request and reply of 128 bytes", "request", "nats-py", 500, nats_request),
    ),
    "valkey": (
        Operation("set", "SET of 128 bytes", "request", "valkey", 1000, valkey_set),
        Operation("get", "GET of 128 bytes", "request", "valkey", 1000, valkey_get),
    ),
    "questdb": (
        Operation("ingest", "1000 rows in the line protocol over HTTP", "batch", "", 30, questdb_ingest),
        Operation("select", "aggregate of 1000 generated rows", "query", "psycopg", 200, questdb_select),
    ),
    "clickhouse": (
        Operation("insert", "insert of 1000 rows", "batch", "clickhouse-driver", 30, clickhouse_insert),
        Operation("aggregate", "GROUP BY over 100000 rows", "query", "clickhouse-driver", 100, clickhouse_aggregate),
    ),
    "seaweedfs": (
        Operation("put", "PUT of 4 KiB over S3", "object", "minio", 100, seaweedfs_put),
        Operation("get", "GET of 4 KiB over S3", "object", "minio", 100, seaweedfs_get),
    ),
    "opensearch": (
        Operation("index", "index a document, acknowledged", "document", "", 100, opensearch_index),
        Operation("search", "full-text search in 100 documents", "query", "", 100, opensearch_search),
    ),
    "authn": (Operation("token", "issue a token", "token", "", 50, authn_token),),
    "opa": (Operation("decision", "decide on an action", "decision", "", 200, opa_decision),),
}


def measure(operation: Operation, service: Service) -> list[float]:
    """Milliseconds of each sample, in order, after the warm-up."""
    warm_up = math.ceil(operation.samples * WARM_UP)
    times = []
    with operation.setup(service) as work:
        for number in range(warm_up):
            work(number)
        for number in range(operation.samples):
            begun = time.perf_counter()
            work(number)
            times.append((time.perf_counter() - begun) * 1000)
    return times


def histogram(times: Sequence[float]) -> list[dict[str, float | int]]:
    """Counts by bucket, without empty buckets at the ends."""
    counts = [0] * (len(BUCKETS) + 1)
    for value in times:
        counts[next((place for place, bound in enumerate(BUCKETS) if value <= bound), len(BUCKETS))] += 1
    used = [place for place, count in enumerate(counts) if count]
    bounds = [*BUCKETS, max([*times, BUCKETS[-1]]) + 0.001]
    return [{"up_to_ms": round(bounds[place], 3), "count": counts[place]} for place in range(used[0], used[-1] + 1)]


def distribution(times: Sequence[float]) -> dict[str, float]:
    """Throughput and percentiles."""
    ordered = sorted(times)
    shares = {"p50_ms": 0.5, "p95_ms": 0.95, "p99_ms": 0.99}
    values = {name: round(host.percentile(ordered, share), 4) for name, share in shares.items()}
    return {
        "throughput_per_s": round(len(ordered) / (sum(ordered) / 1000), 1),
        **values,
        "max_ms": round(ordered[-1], 4),
    }


def loaded(operation: Operation) -> Callable[[Stack, Service], Passed]:
    """A test that puts load on a service and compares the latencies with the budget and with earlier runs."""

    def run(stack: Stack, service: Service) -> Passed:
        if not stack.floor:
            stack.floor.update(host.floor(stack.settings.root / "data"))
        times = measure(operation, service)
        found = distribution(times)
        key = f"{service.role}.{operation.name}"
        budget = stack.settings.budgets.get(key)
        earlier = earlier_runs(stack, service.name, operation.name)
        tool = f"{operation.library} {importlib.metadata.version(operation.library)}" if operation.library else "HTTP"
        stack.performance.append(
            {
                "service": service.name, "operation": operation.name, "unit": operation.unit, "tool": tool,
                "samples": len(times), "warm_up": math.ceil(operation.samples * WARM_UP), **found,
                "histogram": histogram(times), "budget": {"p99_ms": budget} if budget else {}, "previous": earlier,
            }
        )  # fmt: skip
        slower = slower_than(found["p50_ms"], earlier, stack.settings.noise_percent)
        if slower:
            stack.findings.append(host.finding(f"{service.name} {operation.name}", *slower))
        evidence = {**found, "budget_p99_ms": budget}
        text = f"{operation.sentence}, median {found['p50_ms']:.2f} ms, 99 % within {found['p99_ms']:.2f} ms"
        if budget and found["p99_ms"] > budget:
            floor = stack.floor["request"]["p99"]
            raise FailedError(
                f"{text}; the budget is {budget:g} ms, a no-op request on this machine takes {floor:.2f} ms",
                delay_of(service) or "the service or the machine is overloaded, or something delays its packets",
                "remove the delay; see `docker stats` and the floor of the machine, or raise core_validate_budgets",
                evidence,
            )
        return Passed(f"{text}, {found['throughput_per_s']:g} per second", evidence)

    return run


def earlier_runs(stack: Stack, service: str, operation: str) -> list[dict[str, Any]]:
    """What the last runs that measured an operation say of it, oldest first."""
    if "measured" not in stack.shared:
        stack.shared["measured"] = measured(stack.settings.reports)
    keys = ("throughput_per_s", "p50_ms", "p95_ms", "p99_ms")
    found = [
        {"started": started, **{key: row[key] for key in keys}}
        for started, rows in stack.shared["measured"]
        for row in rows
        if row["service"] == service and row["operation"] == operation
    ]
    return found[-EARLIER:]


def measured(reports: Path | None) -> list[tuple[str, list[dict[str, Any]]]]:
    """Start and measurements of each report that has some, oldest first: those of core.yml have none."""
    found = []
    files = sorted(reports.glob("*/report.json")) if reports else []
    for file in [file for file in files if not file.parent.is_symlink()]:
        try:
            document = json.loads(file.read_text(encoding="utf-8"))
            started, rows = str(document["run"]["started"]), list(document.get("performance") or [])
        except (OSError, ValueError, KeyError, AttributeError):
            # A report of another version, or one that is being written, cannot be compared with.
            continue
        if rows:
            found.append((started, rows))
    return found


def slower_than(p50: float, earlier: Sequence[Mapping[str, Any]], noise_percent: float) -> tuple[str, str, str] | None:
    """Value, assessment and reason of a finding, if the median exceeds that of earlier runs by more than the noise."""
    if len(earlier) < ENOUGH:
        return None
    usual = statistics.median(float(row["p50_ms"]) for row in earlier)
    if p50 <= usual * (1 + noise_percent / 100):
        return None
    return (
        f"median {p50:.2f} ms, {usual:.2f} ms in the {len(earlier)} runs before",
        "bad",
        f"Slower than before by more than the noise of {noise_percent:g} %: compare the machine's floor of both runs, "
        "then what was changed between them.",
    )
