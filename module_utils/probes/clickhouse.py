# SPDX-License-Identifier: GPL-3.0-or-later
"""Probes of ClickHouse over HTTP and its native protocol, for releases from 2018 on."""

from __future__ import annotations

import logging
import secrets
from dataclasses import dataclass
from typing import Any, ClassVar

from ansible.module_utils.probes import web
from ansible.module_utils.probes.base import Kind, Probe, ProbeError, Target, creating, removing, unreachable
from ansible.module_utils.probes.compare import raise_on_mismatch, same_version

# Exception codes for wrong credentials: unknown user, wrong password, required password, not enough privileges,
# authentication failed.
REFUSALS = frozenset({192, 193, 194, 497, 516})
# Releases from this year on drop a table asynchronously unless SYNC is given.
SYNC_SINCE = 21


@dataclass(frozen=True, kw_only=True)
class Ping(Probe):
    """The server answers /ping."""

    TYPE: ClassVar[str] = "clickhouse_ping"
    port: str = "http"

    def run(self, target: Target) -> str:
        """Ask /ping, which needs no user."""
        answer = web.ask(target, self.port, "/ping").expect(200)
        if answer.text.strip() != "Ok.":
            raise ProbeError(f"{answer.what} does not answer Ok., but {answer.excerpt}")
        return "/ping answers Ok."


@dataclass(frozen=True, kw_only=True)
class QueryProbe(Probe):
    """Base of the probes that run a query."""

    port: str = "http"
    user: str = "default"
    password_file: str = ""

    def query(self, target: Target, text: str) -> str:
        """The result of a query. The credentials are sent in headers, because URLs are logged."""
        headers = {"X-ClickHouse-User": self.user}
        if password := target.secret(self.password_file):
            headers["X-ClickHouse-Key"] = password
        answer = web.ask(target, self.port, "/", method="POST", body=text, headers=headers)
        if answer.status != 200:
            code = int(answer.headers.get("x-clickhouse-exception-code") or _code(answer.text))
            if code in REFUSALS or answer.status in (401, 403):
                raise ProbeError(f"{answer.what} refuses the user {self.user!r}: {answer.excerpt}", Kind.AUTH)
            raise ProbeError(f"{text.split(' FORMAT')[0]!r} fails: {answer.excerpt}")
        return answer.text.strip()


@dataclass(frozen=True, kw_only=True)
class Version(QueryProbe):
    """The server's version is the declared one, or a release of that line."""

    TYPE: ClassVar[str] = "clickhouse_version"
    expect: str = ""

    def run(self, target: Target) -> str:
        """SELECT version()."""
        actual = self.query(target, "SELECT version()")
        if self.expect and not same_version(self.expect, actual):
            raise_on_mismatch([f"the version is {actual}, not {self.expect}"])
        return f"version {actual}"


@dataclass(frozen=True, kw_only=True)
class Database(QueryProbe):
    """A database exists."""

    TYPE: ClassVar[str] = "clickhouse_database"
    database: str

    def run(self, target: Target) -> str:
        """SHOW DATABASES, and look for it."""
        names = self.query(target, "SHOW DATABASES").splitlines()
        if self.database not in names:
            raise ProbeError(f"the database {self.database} does not exist; found: {', '.join(names)}", Kind.MISMATCH)
        return f"the database {self.database} exists"


@dataclass(frozen=True, kw_only=True)
class RoundTrip(QueryProbe):
    """A MergeTree table is written and read over both protocols, each reading what the other wrote, and dropped."""

    TYPE: ClassVar[str] = "clickhouse_roundtrip"
    WRITES: ClassVar[bool] = True
    LIBRARY: ClassVar[tuple[str, str] | None] = ("clickhouse_driver", "clickhouse-driver")
    REQUESTS: ClassVar[int] = 6
    database: str
    native_port: str = "native"

    def run(self, target: Target) -> str:
        """Create, write, read, drop."""
        table = f"`{self.database}`.`{target.unique('_')}`"
        year = int(self.query(target, "SELECT version()").partition(".")[0])
        drop = f"DROP TABLE IF EXISTS {table}{' SYNC' if year >= SYNC_SINCE else ''}"
        rows = {"HTTP": secrets.randbelow(2**40), "the native protocol": secrets.randbelow(2**40)}
        http, native = rows.values()
        with removing(f"the table {table}", lambda: self.query(target, drop), f"run {drop}", 2 * target.timeout_s):
            with creating():
                self.query(
                    target, f"CREATE TABLE IF NOT EXISTS {table} (value UInt64) ENGINE = MergeTree() ORDER BY value"
                )
            self.query(target, f"INSERT INTO {table} VALUES ({http})")
            self._native(target, f"INSERT INTO {table} (value) VALUES", [{"value": native}])
            select = f"SELECT value FROM {table} WHERE value IN ({http}, {native}) ORDER BY value"
            read = {
                "HTTP": [int(line) for line in self.query(target, select).split()],
                "the native protocol": [row[0] for row in self._native(target, select)],
            }
        for protocol, values in read.items():
            if values != sorted(rows.values()):
                raise ProbeError(
                    f"over {protocol} {len(values)} of the 2 rows written over both protocols were read back"
                )
        return "a table was written and read over HTTP and the native protocol, and dropped"

    def _native(self, target: Target, query: str, rows: list[dict[str, int]] | None = None) -> Any:
        from clickhouse_driver import Client, errors

        # The driver logs each failure with a traceback.
        logging.getLogger("clickhouse_driver").addHandler(logging.NullHandler())
        number = target.port(self.native_port)
        what = f"native protocol on {target.address}:{number}"
        client = Client(
            target.address, port=number, user=self.user, password=target.secret(self.password_file),
            connect_timeout=target.timeout_s, send_receive_timeout=target.timeout_s, client_name=target.unique(),
        )  # fmt: skip
        try:
            return client.execute(query, rows)
        except errors.ServerException as error:
            kind = Kind.AUTH if error.code in REFUSALS else Kind.ANSWER
            raise ProbeError(f"{what}: {_first_line(str(error.message))}", kind) from error
        except errors.SocketTimeoutError as error:
            raise unreachable(what, TimeoutError(), target.timeout_s) from error
        except (errors.Error, OSError, EOFError) as error:
            raise unreachable(what, error, target.timeout_s) from error
        finally:
            client.disconnect()


def _first_line(text: str) -> str:
    return text.partition("Stack trace:")[0].strip().partition("\n")[0][:300]


def _code(text: str) -> int:
    """The exception code in the answer of a release that sends no header for it; 0 if there is none."""
    number = text.partition("Code: ")[2].partition(",")[0].partition(".")[0]
    return int(number) if number.isdigit() else 0


PROBES: tuple[type[Probe], ...] = (Ping, Version, Database, RoundTrip)
