# SPDX-License-Identifier: GPL-3.0-or-later
"""Numbered records with checksums, stored in a service with a real client and read back later."""

from __future__ import annotations

import abc
import contextlib
import hashlib
import io
import itertools
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ansible.module_utils.validation import bridge, clients
from ansible.module_utils.validation.model import FailedError, until
from ansible.module_utils.validation.stack import Service

# Seconds until rows that were acknowledged are visible: QuestDB applies its write-ahead log later.
VISIBLE_S = 15.0
# Seconds for which the keys of a cache are searched for those of tests, and how many the server looks at in one step.
SEARCH_S = 5.0
SEARCHED_KEYS = 1000


def checksum(number: int) -> str:
    """The content of a record in addition to its number, which reveals damage."""
    return hashlib.sha256(f"trade2026 {number}".encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Comparison:
    """The acknowledged records compared with the existing ones."""

    acknowledged: int
    lost: tuple[int, ...]
    extra: tuple[int, ...]
    damaged: tuple[int, ...]
    out_of_order: int

    @property
    def holds(self) -> bool:
        """No acknowledged record is missing, damaged or out of order, and there are no others."""
        return not (self.lost or self.extra or self.damaged or self.out_of_order)

    @property
    def text(self) -> str:
        """As text, for messages."""
        parts = [f"{self.acknowledged} records acknowledged"]
        for what, numbers in (("lost", self.lost), ("extra", self.extra), ("damaged", self.damaged)):
            shown = ", ".join(map(str, numbers[:10])) + (", …" if len(numbers) > 10 else "")
            parts.append(f"{len(numbers)} {what} (number {shown})" if numbers else f"none {what}")
        return ", ".join([*parts, f"{self.out_of_order} out of order"])


def compare(acknowledged: Sequence[int], found: Sequence[tuple[int, str]]) -> Comparison:
    """Compare the acknowledged numbers, in order, with the existing records, in the service's order."""
    numbers = [number for number, _check in found]
    wanted = set(acknowledged)
    known = [number for number in numbers if number in wanted]
    return Comparison(
        acknowledged=len(acknowledged),
        lost=tuple(sorted(wanted - set(numbers))),
        # A duplicate record counts as one too many.
        extra=tuple(sorted({number for number in numbers if number not in wanted or numbers.count(number) > 1})),
        damaged=tuple(sorted(number for number, check in found if number in wanted and check != checksum(number))),
        out_of_order=sum(1 for one, other in itertools.pairwise(known) if other < one),
    )


class Store(abc.ABC):
    """Where the records of one service are."""

    # Setting that decides when an acknowledged write is on the disk.
    SETTING = ""

    def __init__(self, service: Service, suffix: str = "", name: str = "") -> None:
        self.service = service
        # Not the target's unique name, which differs in every process: the records are read in another one.
        self.name = name or f"{service.target.unique()}-{suffix}"

    @property
    def table(self) -> str:
        """The name, without dashes."""
        return self.name.replace("-", "_")

    @abc.abstractmethod
    def write(self, count: int) -> list[int]:
        """Store `count` records one after the other; returns the numbers that were acknowledged."""

    @abc.abstractmethod
    def read(self) -> list[tuple[int, str]]:
        """All records, in the service's order."""

    @abc.abstractmethod
    def remove(self) -> None:
        """Remove everything."""

    @abc.abstractmethod
    def setting(self) -> str:
        """The sync setting as the running service reports it, `name = value`."""

    @staticmethod
    @abc.abstractmethod
    def found(service: Service) -> list[str]:
        """Names of what tests and probes have created in the service, of this run and of others."""

    def read_all(self, wanted: int) -> list[tuple[int, str]]:
        """All records, once as many as expected are visible or the time limit is reached."""
        found: list[tuple[int, str]] = []

        def complete() -> bool:
            found[:] = self.read()
            return len(found) >= wanted

        until(complete, VISIBLE_S, 0.2)
        return found


class NatsStore(Store):
    """Messages of a stream on file storage."""

    def write(self, count: int) -> list[int]:
        acknowledged = []
        with clients.jetstream(self.service) as stream:
            stream.call(stream.context.add_stream(name=self.name, subjects=[self.name], storage="file"))
            for number in range(count):
                stream.call(stream.context.publish(self.name, f"{number} {checksum(number)}".encode()))
                acknowledged.append(number)
        return acknowledged

    def read(self) -> list[tuple[int, str]]:
        found = []
        with clients.jetstream(self.service) as stream:
            state = stream.call(stream.context.stream_info(self.name)).state
            for sequence in range(state.first_seq, state.last_seq + 1):
                with contextlib.suppress(_not_found()):
                    found.append(_record(stream.call(stream.context.get_msg(self.name, sequence)).data.decode()))
        return found

    def remove(self) -> None:
        with clients.jetstream(self.service) as stream, contextlib.suppress(_not_found()):
            stream.call(stream.context.delete_stream(self.name))

    def setting(self) -> str:
        probe = self.service.probe(bridge.nats.Varz)
        config = bridge.web.ask(self.service.target, probe.port, "/varz").expect(200).mapping()["jetstream"]["config"]
        interval = "always" if config.get("sync_always") else f"{int(config.get('sync_interval', 0)) / 1e9:g} s"
        return f"sync_interval = {interval}"

    @staticmethod
    def found(service: Service) -> list[str]:
        names: list[str] = []
        with clients.jetstream(service) as stream:
            # The server answers with a page of streams.
            while page := stream.call(stream.context.streams_info(offset=len(names))):
                names += [str(info.config.name) for info in page]
        return own_names(names)


class ValkeyStore(Store):
    """Elements of a list."""

    def write(self, count: int) -> list[int]:
        acknowledged = []
        with clients.valkey(self.service) as client:
            for number in range(count):
                client.rpush(self.name, f"{number} {checksum(number)}")
                acknowledged.append(number)
        return acknowledged

    def read(self) -> list[tuple[int, str]]:
        with clients.valkey(self.service) as client:
            return [_record(text) for text in client.lrange(self.name, 0, -1)]

    def remove(self) -> None:
        with clients.valkey(self.service) as client:
            client.delete(self.name)

    def setting(self) -> str:
        with clients.valkey(self.service) as client:
            return f"appendfsync = {client.config_get('appendfsync')['appendfsync']}"

    @staticmethod
    def found(service: Service) -> list[str]:
        # A cache may hold millions of keys, so the search has a limit.
        limit = time.monotonic() + SEARCH_S
        with clients.valkey(service) as client:
            cursor, keys = client.scan(0, f"{bridge.PREFIX}-*", SEARCHED_KEYS)
            while cursor and time.monotonic() < limit:
                cursor, page = client.scan(cursor, f"{bridge.PREFIX}-*", SEARCHED_KEYS)
                keys += page
        return own_names(keys)


class QuestdbStore(Store):
    """Rows of a table with a write-ahead log, each a commit."""

    def write(self, count: int) -> list[int]:
        acknowledged = []
        with clients.questdb(self.service) as connection:
            connection.execute(
                f'CREATE TABLE "{self.table}" (number LONG, content VARCHAR, ts TIMESTAMP) '
                "TIMESTAMP(ts) PARTITION BY DAY WAL"
            )
            for number in range(count):
                connection.execute(f"INSERT INTO \"{self.table}\" VALUES ({number}, '{checksum(number)}', now())")
                acknowledged.append(number)
        return acknowledged

    def read(self) -> list[tuple[int, str]]:
        with clients.questdb(self.service) as connection:
            rows = connection.execute(f'SELECT number, content FROM "{self.table}"').fetchall()
        return [(int(number), str(content)) for number, content in rows]

    def remove(self) -> None:
        with clients.questdb(self.service) as connection:
            connection.execute(f'DROP TABLE IF EXISTS "{self.table}"')

    def setting(self) -> str:
        with clients.questdb(self.service) as connection:
            rows = connection.execute("(SHOW PARAMETERS) WHERE property_path = 'cairo.commit.mode'").fetchall()
        if not rows:
            raise FailedError("the server reports no cairo.commit.mode")
        return f"cairo.commit.mode = {rows[0][2]}"

    @staticmethod
    def found(service: Service) -> list[str]:
        with clients.questdb(service) as connection:
            return own_names(str(row[0]) for row in connection.execute("SHOW TABLES").fetchall())


class ClickhouseStore(Store):
    """Rows of a MergeTree table, each insert a part."""

    def write(self, count: int) -> list[int]:
        acknowledged = []
        with clients.clickhouse(self.service) as client:
            client.execute(
                f"CREATE TABLE {self.table} (number UInt32, content String) ENGINE = MergeTree() ORDER BY number"
            )
            for number in range(count):
                client.execute(f"INSERT INTO {self.table} VALUES", [(number, checksum(number))])
                acknowledged.append(number)
        return acknowledged

    def read(self) -> list[tuple[int, str]]:
        with clients.clickhouse(self.service) as client:
            rows = client.execute(f"SELECT number, content FROM {self.table} ORDER BY number")
        return [(int(number), str(content)) for number, content in rows]

    def remove(self) -> None:
        with clients.clickhouse(self.service) as client:
            client.execute(f"DROP TABLE IF EXISTS {self.table}")

    def setting(self) -> str:
        with clients.clickhouse(self.service) as client:
            rows = client.execute("SELECT value FROM system.merge_tree_settings WHERE name = 'fsync_after_insert'")
        return f"fsync_after_insert = {rows[0][0]}" if rows else "fsync_after_insert is unknown to this release"

    @staticmethod
    def found(service: Service) -> list[str]:
        with clients.clickhouse(service) as client:
            return own_names(row[0] for row in client.execute("SHOW TABLES"))


class SeaweedfsStore(Store):
    """Objects of a bucket."""

    def write(self, count: int) -> list[int]:
        acknowledged = []
        client = clients.declared_s3(self.service)
        client.make_bucket(self.name)
        for number in range(count):
            content = checksum(number).encode()
            client.put_object(self.name, f"{number:06}", io.BytesIO(content), len(content))
            acknowledged.append(number)
        return acknowledged

    def read(self) -> list[tuple[int, str]]:
        client = clients.declared_s3(self.service)
        return [
            (int(str(entry.object_name)), self._content(client, str(entry.object_name)))
            for entry in client.list_objects(self.name)
        ]

    def _content(self, client: Any, key: str) -> str:
        response = client.get_object(self.name, key)
        try:
            return str(response.read().decode("utf-8", "replace"))
        finally:
            response.close()

    def remove(self) -> None:
        client = clients.declared_s3(self.service)
        for entry in list(client.list_objects(self.name)):
            client.remove_object(self.name, str(entry.object_name))
        client.remove_bucket(self.name)

    def setting(self) -> str:
        return "no fsync before the answer"

    @staticmethod
    def found(service: Service) -> list[str]:
        return own_names(bucket.name for bucket in clients.declared_s3(service).list_buckets())


class OpensearchStore(Store):
    """Documents of an index."""

    @contextlib.contextmanager
    def _ask(self) -> Iterator[Any]:
        probe = self.service.probe(bridge.opensearch.RoundTrip)
        yield lambda path, method="GET", document=None: probe.ask(self.service.target, path, method, document)

    def write(self, count: int) -> list[int]:
        acknowledged = []
        settings = {"settings": {"index": {"number_of_shards": 1, "number_of_replicas": 0, "hidden": True}}}
        with self._ask() as ask:
            ask(f"/{self.name}", "PUT", settings).expect(200)
            for number in range(count):
                document = {"number": number, "content": checksum(number)}
                ask(f"/{self.name}/_doc/{number}", "PUT", document).expect(200, 201)
                acknowledged.append(number)
        return acknowledged

    def read(self) -> list[tuple[int, str]]:
        with self._ask() as ask:
            ask(f"/{self.name}/_refresh", "POST").expect(200)
            query = {"size": 10000, "sort": [{"number": "asc"}]}
            answer = ask(f"/{self.name}/_search", "POST", query).expect(200).mapping()
        return [(int(hit["_source"]["number"]), str(hit["_source"]["content"])) for hit in answer["hits"]["hits"]]

    def remove(self) -> None:
        with self._ask() as ask:
            ask(f"/{self.name}", "DELETE").expect(200, 404)

    def setting(self) -> str:
        with self._ask() as ask:
            answer = ask(f"/{self.name}/_settings?include_defaults=true&flat_settings=true").mapping()
        found = answer[self.name]
        value = {**found.get("defaults", {}), **found["settings"]}["index.translog.durability"]
        return f"index.translog.durability = {value}"

    @staticmethod
    def found(service: Service) -> list[str]:
        probe = service.probe(bridge.opensearch.RoundTrip)
        # Hidden indices are listed only with this option.
        path = f"/_cat/indices/{bridge.PREFIX}-*?h=index&format=json&expand_wildcards=all"
        return own_names(row["index"] for row in probe.ask(service.target, path).expect(200).json())


STORES: dict[str, type[Store]] = {
    "nats": NatsStore,
    "valkey": ValkeyStore,
    "questdb": QuestdbStore,
    "clickhouse": ClickhouseStore,
    "seaweedfs": SeaweedfsStore,
    "opensearch": OpensearchStore,
}


def own_names(names: Iterable[str]) -> list[str]:
    """The names that tests and probes have created."""
    return [name for name in names if bridge.created_at(name) is not None]


def _record(text: str) -> tuple[int, str]:
    number, _blank, check = text.partition(" ")
    return int(number), check


def _not_found() -> type[Exception]:
    from nats.js.errors import NotFoundError

    return NotFoundError
