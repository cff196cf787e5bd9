# SPDX-License-Identifier: GPL-3.0-or-later
"""The path of an order through the platform, with real clients: each test is a step that needs the previous ones."""

from __future__ import annotations

import contextlib
import io
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from ansible.module_utils.validation import bridge, clients
from ansible.module_utils.validation.model import FailedError, Passed, SkippedError, until
from ansible.module_utils.validation.refusals import allowed
from ansible.module_utils.validation.stack import Service, Stack

# The scope that submitting an order needs.
ACTION = "orders:submit"
# Number of fills of an order; prices come from a seeded generator, so that every run stores the same.
FILLS = 3
VISIBLE_S = 10.0
Step = Callable[[Stack, "Journey"], Passed]


@dataclass
class Journey:
    """The state of the order that the steps share."""

    order: str
    # The step that failed; empty if none has.
    stopped: str = ""
    tokens: dict[str, str] = field(default_factory=dict)
    # Functions that remove what was created, newest last.
    cleanups: list[Callable[[], object]] = field(default_factory=list)

    @property
    def table(self) -> str:
        """Name of tables, without dashes."""
        return self.order.replace("-", "_")

    @property
    def fills(self) -> list[dict[str, Any]]:
        """The fills of the order."""
        prices = random.Random(2026)
        return [
            {"order": self.order, "part": part, "price": round(5000 + prices.random() * 10, 2), "size": part + 1}
            for part in range(FILLS)
        ]


def journey(stack: Stack) -> Journey:
    """The order of this run."""
    if "journey" not in stack.shared:
        stack.shared["journey"] = Journey(next(iter(stack.services.values())).target.unique())
    found: Journey = stack.shared["journey"]
    return found


def step(run: Step) -> Callable[[Stack, Service], Passed]:
    """A test that is skipped if an earlier step of the order failed."""

    def wrapped(stack: Stack, _service: Service) -> Passed:
        order = journey(stack)
        if order.stopped:
            raise SkippedError(f"the order did not get this far: {order.stopped} failed")
        try:
            return run(stack, order)
        except SkippedError:
            raise
        except BaseException:
            order.stopped = run.__name__
            raise

    return wrapped


def token(stack: Stack, order: Journey) -> Passed:
    """Two tokens of one client: one with the scope, one without."""
    authn = stack.of_role("authn")
    probe = authn.probe(bridge.authn.Tokens)
    secrets = probe.clients(authn.target)
    able = {client: scopes for client, scopes in probe.scopes.items() if ACTION in scopes and len(scopes) > 1}
    if not able:
        raise SkippedError(f"no client may have {ACTION} and another scope")
    client, scopes = next(iter(able.items()))
    for name, scope in (("with", ACTION), ("without", next(one for one in scopes if one != ACTION))):
        answer = probe.ask(authn.target, client, secrets[client], scope).expect(200).mapping()
        order.tokens[name] = str(answer["access_token"])
    return Passed(f"{client} got a token with {ACTION} and one without")


def permitted(stack: Stack, order: Journey) -> Passed:
    """The policy allows the order to the token with the scope."""
    opa = stack.of_role("opa")
    if not allowed(opa, order.tokens["with"], ACTION):
        raise FailedError(
            f"OPA denies {ACTION} to a token of authn that has this scope",
            "the policy trade2026.authz denies everybody, expects another issuer, or cannot fetch authn's keys",
            "compare the policies below config/backend with the declared ones, then run the deployment again",
        )
    return Passed(f"OPA allows {ACTION}")


def submit(stack: Stack, order: Journey, identifier: str, bearer: str) -> int:
    """Act as a gateway for an order: publish its fills if the policy allows; return how many were acknowledged."""
    if not allowed(stack.of_role("opa"), bearer, ACTION):
        return 0
    with clients.jetstream(stack.of_role("nats")) as stream:
        for fill in order.fills:
            content = json.dumps({**fill, "order": identifier}).encode()
            stream.call(stream.context.publish(f"{order.order}.fills", content))
    return FILLS


def published(stack: Stack, order: Journey) -> Passed:
    """The order is allowed, and its fills are stored on a stream and acknowledged."""
    nats = stack.of_role("nats")
    with clients.jetstream(nats) as stream:
        stream.call(stream.context.add_stream(name=order.order, subjects=[f"{order.order}.>"], storage="file"))
    order.cleanups.append(lambda: remove_stream(nats, order.order))
    count = submit(stack, order, order.order, order.tokens["with"])
    if count != FILLS:
        raise FailedError(f"{count} of {FILLS} fills were acknowledged")
    return Passed(f"{count} fills were acknowledged", {"messages": count})


def denied(stack: Stack, order: Journey) -> Passed:
    """The same with a token without the scope: nothing is published."""
    if submit(stack, order, f"{order.order}-denied", order.tokens["without"]):
        raise FailedError(
            f"OPA allows {ACTION} to a token without this scope",
            "the policy trade2026.authz allows everybody",
            "compare the policies below config/backend with the declared ones, then run the deployment again",
        )
    return Passed(f"OPA denies {ACTION} to a token without this scope, and nothing was published")


def remove_stream(nats: Service, name: str) -> None:
    """Remove the stream with its consumer."""
    with clients.jetstream(nats) as stream:
        stream.call(stream.context.delete_stream(name))


def consumed(stack: Stack, order: Journey) -> Passed:
    """A consumer gets all fills in their order and acknowledges them."""
    nats = stack.of_role("nats")
    with clients.jetstream(nats) as stream:
        reader = stream.call(stream.context.pull_subscribe(f"{order.order}.>", durable="validate"))
        messages = stream.call(reader.fetch(FILLS, timeout=nats.target.timeout_s))
        for message in messages:
            stream.call(message.ack_sync())
    found = [json.loads(message.data) for message in messages]
    if found != order.fills:
        raise FailedError(f"{len(found)} of {FILLS} fills were consumed, or not as they were published")
    return Passed(f"{len(found)} fills were consumed in order and acknowledged")


def cached(stack: Stack, order: Journey) -> Passed:
    """The state of the order is in the cache."""
    service = stack.of_role("valkey")
    with clients.valkey(service) as client:
        client.set(order.order, json.dumps(order.fills[-1]), ex=600)

    def remove() -> None:
        with clients.valkey(service) as again:
            again.delete(order.order)

    order.cleanups.append(remove)
    return Passed("the last fill was cached")


def recorded(stack: Stack, order: Journey) -> Passed:
    """Every fill is a row of the time series."""
    service = stack.of_role("questdb")
    with clients.questdb(service) as connection:
        connection.execute(
            f'CREATE TABLE "{order.table}" (id SYMBOL, part INT, price DOUBLE, ts TIMESTAMP) '
            "TIMESTAMP(ts) PARTITION BY DAY WAL"
        )

        def remove() -> None:
            with clients.questdb(service) as again:
                again.execute(f'DROP TABLE IF EXISTS "{order.table}"')

        order.cleanups.append(remove)
        for fill in order.fills:
            connection.execute(
                f"INSERT INTO \"{order.table}\" VALUES ('{order.order}', {fill['part']}, {fill['price']}, now())"
            )
        query = f'SELECT count() FROM "{order.table}"'
        if not until(lambda: connection.execute(query).fetchone() == (FILLS,), VISIBLE_S):
            raise FailedError(f"{FILLS} rows were written and are not visible after {VISIBLE_S:g} s")
    return Passed(f"{FILLS} rows")


def aggregated(stack: Stack, order: Journey) -> Passed:
    """The analytics database computes the order's value."""
    service = stack.of_role("clickhouse")
    with clients.clickhouse(service) as client:
        client.execute(
            f"CREATE TABLE {order.table} (id String, price Float64, size UInt32) ENGINE = MergeTree() ORDER BY id"
        )

        def remove() -> None:
            with clients.clickhouse(service) as again:
                again.execute(f"DROP TABLE IF EXISTS {order.table}")

        order.cleanups.append(remove)
        rows = [(fill["order"], fill["price"], fill["size"]) for fill in order.fills]
        client.execute(f"INSERT INTO {order.table} VALUES", rows)
        found = client.execute(f"SELECT id, sum(size), sum(price * size) FROM {order.table} GROUP BY id")
    wanted = sum(fill["price"] * fill["size"] for fill in order.fills)
    size = sum(fill["size"] for fill in order.fills)
    if len(found) != 1 or found[0][:2] != (order.order, size) or abs(found[0][2] - wanted) > 1e-6:
        raise FailedError(f"the aggregate is {found}, not {size} pieces worth {wanted}")
    return Passed(f"{size} pieces worth {wanted:.2f}")


def indexed(stack: Stack, order: Journey) -> Passed:
    """The order is a document of the search engine."""
    service = stack.of_role("opensearch")
    probe = service.probe(bridge.opensearch.RoundTrip)
    settings = {"settings": {"index": {"number_of_shards": 1, "number_of_replicas": 0, "hidden": True}}}
    probe.ask(service.target, f"/{order.order}", "PUT", settings).expect(200)
    order.cleanups.append(lambda: probe.ask(service.target, f"/{order.order}", "DELETE").expect(200, 404))
    document = {"id": order.order, "text": "filled in three parts"}
    probe.ask(service.target, f"/{order.order}/_doc/1?refresh=true", "PUT", document).expect(200, 201)
    return Passed("one document")


def archived(stack: Stack, order: Journey) -> Passed:
    """The order's confirmation is a blob in the object storage."""
    service = stack.of_role("seaweedfs")
    client = clients.declared_s3(service)
    client.make_bucket(order.order)

    def remove() -> None:
        with contextlib.suppress(Exception):
            client.remove_object(order.order, "confirmation")
        client.remove_bucket(order.order)

    order.cleanups.append(remove)
    content = json.dumps(order.fills).encode()
    client.put_object(order.order, "confirmation", io.BytesIO(content), len(content))
    return Passed(f"a blob of {len(content)} bytes")


def found_again(stack: Stack, order: Journey) -> Passed:
    """Every service returns what was stored, when queried by the order's id."""
    found = dict(traces(stack, order.order))
    if missing := [name for name, count in found.items() if not count]:
        raise FailedError(f"{order.order} is not found in {', '.join(missing)}")
    return Passed(f"found by its id in {', '.join(found)}", dict(found))


def no_trace(stack: Stack, order: Journey) -> Passed:
    """The order that was denied is in no service."""
    other = f"{order.order}-denied"
    if found := [name for name, count in traces(stack, other) if count]:
        raise FailedError(f"the denied order left a trace in {', '.join(found)}")
    return Passed("the denied order is in none of the six services")


def traces(stack: Stack, order: str) -> Iterator[tuple[str, int]]:
    """Service → how many records it has of an order."""
    name = journey(stack).order
    table = journey(stack).table
    nats = stack.of_role("nats")
    with clients.jetstream(nats) as stream:
        state = stream.call(stream.context.stream_info(name)).state
        messages = [stream.call(stream.context.get_msg(name, seq)) for seq in range(1, state.messages + 1)]
        yield nats.name, sum(json.loads(message.data)["order"] == order for message in messages)
    with clients.valkey(stack.of_role("valkey")) as cache:
        yield "valkey", int(cache.exists(order))
    with clients.questdb(stack.of_role("questdb")) as connection:
        row = connection.execute(f"SELECT count() FROM \"{table}\" WHERE id = '{order}'").fetchone()
        yield "questdb", int(row[0])
    with clients.clickhouse(stack.of_role("clickhouse")) as client:
        yield "clickhouse", int(client.execute(f"SELECT count() FROM {table} WHERE id = '{order}'")[0][0])
    search = stack.of_role("opensearch")
    probe = search.probe(bridge.opensearch.RoundTrip)
    query = {"query": {"match_phrase": {"id": order}}}
    answer = probe.ask(search.target, f"/{name}/_search", "POST", query).expect(200).mapping()
    yield "opensearch", sum(hit["_source"]["id"] == order for hit in answer["hits"]["hits"])
    blobs = clients.declared_s3(stack.of_role("seaweedfs"))
    buckets = [bucket.name for bucket in blobs.list_buckets()]
    yield "seaweedfs", len(list(blobs.list_objects(order))) if order in buckets else 0


def removed(stack: Stack, _service: Service) -> Passed:
    """What the steps created is removed, even if one of them failed."""
    order = journey(stack)
    problems = []
    for cleanup in reversed(order.cleanups):
        try:
            cleanup()
        # Whatever a library raises, the rest must still be removed.
        except Exception as error:
            problems.append(" ".join(str(error).split())[:200] or type(error).__name__)
    if problems:
        raise FailedError(f"not everything of {order.order} could be removed: {'; '.join(problems)}")
    return Passed(f"{len(order.cleanups)} things were removed")
