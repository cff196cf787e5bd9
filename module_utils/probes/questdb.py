# SPDX-License-Identifier: GPL-3.0-or-later
"""Probes of QuestDB over HTTP, the InfluxDB line protocol and the PostgreSQL wire protocol."""

from __future__ import annotations

import logging
import secrets
import socket
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import quote

from ansible.module_utils.probes import web
from ansible.module_utils.probes.base import Kind, Probe, ProbeError, Target, removing, unreachable

if TYPE_CHECKING:
    from psycopg import Connection

# A row is visible once the write-ahead log is applied, which takes tens of milliseconds.
POLL_S = 0.05
# QuestDB's default password, which its documentation names; used if the site sets none.
OWN_PASSWORD = "quest"
# libpq's state of a connection that waits for a command (PQTRANS_IDLE).
IDLE = 0


@dataclass(frozen=True, kw_only=True)
class Select(Probe):
    """`SELECT 1` is answered over HTTP."""

    TYPE: ClassVar[str] = "questdb_select"
    port: str = "http"
    user: str = ""
    password_file: str = ""

    def run(self, target: Target) -> str:
        """Request /exec: the page / needs the web console, which not every build has."""
        headers = web.basic(self.user, target.secret(self.password_file))
        answer = web.ask(target, self.port, "/exec?query=" + quote("SELECT 1"), headers=headers).expect(200)
        if answer.mapping().get("dataset") != [[1]]:
            raise ProbeError(f"{answer.what} does not answer SELECT 1 with 1: {answer.excerpt}")
        return "SELECT 1 gives 1"


@dataclass(frozen=True, kw_only=True)
class RoundTrip(Probe):
    """A row written over the line protocol is read over the PostgreSQL protocol; its table is removed.

    The line protocol uses TCP if that port is published, else HTTP.
    """

    TYPE: ClassVar[str] = "questdb_roundtrip"
    WRITES: ClassVar[bool] = True
    LIBRARY: ClassVar[tuple[str, str] | None] = ("psycopg", "psycopg[binary]")
    REQUESTS: ClassVar[int] = 6
    pg_port: str = "pg"
    ilp_port: str = "ilp"
    http_port: str = "http"
    # QuestDB's default user, if the site sets none.
    user: str = "admin"
    password_file: str = ""

    def run(self, target: Target) -> str:
        """Create, write, read, drop."""
        import psycopg

        # The library logs the clean-up of a connection that was cut off.
        logging.getLogger("psycopg").addHandler(logging.NullHandler())
        what = f"PostgreSQL protocol on {target.address}:{target.port(self.pg_port)}"
        try:
            with self.connect(target) as connection:
                return self._exchange(target, connection)
        except psycopg.Error as error:
            text = " ".join(str(error).split())
            if "invalid username/password" in text or "authentication" in text:
                raise ProbeError(f"{what} refuses the user {self.user!r}: {text}", Kind.AUTH) from error
            if "refused" in text:
                raise ProbeError(f"{what}: the connection is refused", Kind.REFUSED) from error
            kind = Kind.TIMEOUT if isinstance(error, psycopg.OperationalError) else Kind.ANSWER
            raise ProbeError(f"{what}: {text}", kind) from error

    def connect(self, target: Target) -> Connection[Any]:
        """A connection over the PostgreSQL protocol."""
        import psycopg

        return psycopg.connect(
            host=target.address,
            port=target.port(self.pg_port),
            user=self.user,
            password=target.secret(self.password_file) or OWN_PASSWORD,
            dbname="qdb",
            # The library takes less than two seconds for two.
            connect_timeout=max(2, round(target.timeout_s)),
            sslmode="disable",
            gssencmode="disable",
            application_name=target.unique(),
            autocommit=True,
            prepare_threshold=None,
        )

    def _exchange(self, target: Target, connection: Connection[Any]) -> str:
        table, value = target.unique("_"), secrets.randbelow(2**40)
        statement = f'DROP TABLE IF EXISTS "{table}"'

        def drop() -> None:
            # A query that was cut off still occupies its connection.
            if connection.pgconn.transaction_status == IDLE:
                connection.execute(statement)
            else:
                with self.connect(target) as another:
                    another.execute(statement)

        with removing(f"the table {table}", drop, f"run {statement}", 2 * target.timeout_s):
            connection.execute(
                f'CREATE TABLE IF NOT EXISTS "{table}" (probe SYMBOL, value LONG, ts TIMESTAMP) '
                "TIMESTAMP(ts) PARTITION BY DAY WAL"
            )
            over = self._write(target, f"{table},probe=trade2026 value={value}i {time.time_ns()}\n")
            until = time.monotonic() + target.timeout_s
            query = f'SELECT count() FROM "{table}" WHERE value = {value}'
            while (row := connection.execute(query).fetchone()) != (1,):
                if time.monotonic() > until:
                    raise ProbeError(f"a row written over {over} is not there after {target.timeout_s:g} s, but {row}")
                time.sleep(POLL_S)
        return f"a row written over {over} was read over the PostgreSQL protocol"

    def _write(self, target: Target, line: str) -> str:
        if self.ilp_port not in target.ports:
            password = target.secret(self.password_file)
            headers = web.basic(self.user, password) if password else {}
            web.ask(target, self.http_port, "/write", method="POST", body=line, headers=headers).expect(204)
            return "HTTP"
        number = target.port(self.ilp_port)
        try:
            with socket.create_connection((target.address, number), target.timeout_s) as stream:
                stream.sendall(line.encode("ascii"))
        except OSError as error:
            raise unreachable(f"line protocol on {target.address}:{number}", error, target.timeout_s) from error
        return "TCP"


PROBES: tuple[type[Probe], ...] = (Select, RoundTrip)
