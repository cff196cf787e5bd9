# SPDX-License-Identifier: GPL-3.0-or-later
"""The ClickHouse templates and the statements of the probes, on the engines of 24.8 and of the newest release."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.module_utils.probes import clickhouse
from ansible.module_utils.restore.classes import FINDINGS
from ansible.module_utils.validation import clients, integration
from ansible.module_utils.validation.integration import Journey
from ansible.module_utils.validation.performance import OPERATIONS
from ansible.module_utils.validation.records import ClickhouseStore, checksum
from role_dictionaries import configuration

from .conftest import RELEASES, Engine

TEMPLATES = Path(__file__).resolve().parents[2] / "roles/clickhouse/templates/config"
# The part of the templates for old releases.
OLD_ONLY = re.compile(r"\{% if core_image\.version is version\('20\.1', '<'\) %\}.*?\{% endif %\}\n", re.DOTALL)

NUMBER = re.compile(r"\d+(\.\d+)?")

# Elements that an engine does not have and ignores in this file; docs/images.md lists them.
UNKNOWN: dict[str, set[str]] = {"24.8": set(), "newest": {"send_crash_reports"}}


def template(name: str) -> ElementTree.Element:
    """A template as rendered for releases after 20.1, with 1 for every variable, which all of these settings accept."""
    text = (TEMPLATES / name).read_text()
    text = OLD_ONLY.sub("", text)
    text = re.sub(r"<(/?)\{\{.*?\}\}", r"<\1user", text)
    text = re.sub(r"\{\{.*?\}\}", "1", re.sub(r"\{%.*?%\}", "", text))
    return ElementTree.fromstring(text)


def server() -> dict[str, ElementTree.Element]:
    """The top-level elements of the server's configuration that set something; others are removed."""
    found = {element.tag: element for element in template("server.xml.j2")}
    return {tag: element for tag, element in found.items() if not {"remove", "replace"} & set(element.attrib)}


def profile() -> dict[str, str]:
    """Setting → value of the profile."""
    [found] = template("users.xml.j2").findall("profiles/default")
    return {element.tag: str(element.text).strip() for element in found}


def test_the_templates_were_read() -> None:
    assert len(server()) > 15
    assert {"max_memory_usage", "max_threads", "max_execution_time"} <= set(profile())
    assert "max_memory_usage_for_all_queries" not in profile()


def test_every_setting_of_the_profile_exists_and_takes_its_value(engine: Engine) -> None:
    known = engine.column("SELECT name FROM system.settings")
    assert set(profile()) - known == set()
    obsolete = engine.column("SELECT name FROM system.settings WHERE is_obsolete")
    assert set(profile()) & obsolete == set()
    for name, value in profile().items():
        engine.query(f"SELECT 1 SETTINGS {name} = {value}")


def test_the_setting_for_old_releases_is_refused_or_obsolete(engine: Engine) -> None:
    _text, error = engine.ask("SELECT 1 SETTINGS max_memory_usage_for_all_queries = 1")
    obsolete = engine.column("SELECT name FROM system.settings WHERE is_obsolete")
    assert "UNKNOWN_SETTING" in error or "max_memory_usage_for_all_queries" in obsolete


def test_an_unknown_setting_would_be_found(engine: Engine) -> None:
    _text, error = engine.ask("SELECT 1 SETTINGS max_memroy_usage = 1")
    assert "UNKNOWN_SETTING" in error


def test_every_element_of_the_server_configuration_is_known(engine: Engine) -> None:
    settings = engine.column("SELECT name FROM system.server_settings")
    assert {"max_connections", "mark_cache_size"} <= settings
    words = set(server()) - settings
    assert {word for word in words if not engine.knows(word)} == UNKNOWN[engine.name]
    assert not engine.knows("max_conectoins")


def test_the_keywords_for_users_and_quotas_are_known(engine: Engine) -> None:
    root = template("users.xml.j2")
    [user] = root.findall("users/user")
    [interval] = root.findall("quotas/default/interval")
    words = {element.tag for element in [*user, *interval]}
    assert {"password_sha256_hex", "networks", "queries"} <= words
    assert {word for word in words if not engine.knows(word)} == set()


@pytest.mark.parametrize("log", ["query_log", "part_log"])
def test_the_retention_of_the_server_s_own_tables_is_valid(engine: Engine, log: str) -> None:
    [section] = template("server.xml.j2").findall(log)
    engine.query(f"DROP TABLE IF EXISTS {log}")
    engine.query(
        f"CREATE TABLE {log} (event_date Date, event_time DateTime) ENGINE = MergeTree "
        f"PARTITION BY {section.findtext('partition_by')} ORDER BY event_time TTL {section.findtext('ttl')}"
    )


class Target:
    """The parts of a probe's target that it needs, with an engine instead of ports."""

    timeout_s = 5.0

    def unique(self, separator: str) -> str:
        return f"trade2026{separator}probe"


def through(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Send the probes' statements to the engine; return the list in which they are recorded."""
    sent: list[str] = []

    def query(_probe: Any, _target: Any, text: str) -> str:
        sent.append(text)
        # An embedded engine ends after each query and cannot wait for a drop: this statement is only parsed.
        if text.endswith(" SYNC"):
            engine.query(f"EXPLAIN AST {text}")
            text = text.removesuffix(" SYNC")
        return engine.query(text)

    def native(probe: Any, target: Any, text: str, rows: Any = None) -> list[tuple[int, ...]]:
        if rows:
            text += " " + ", ".join(f"({row['value']})" for row in rows)
        return [tuple(int(value) for value in line.split()) for line in query(probe, target, text).splitlines()]

    for name in ("Version", "Database", "RoundTrip"):
        monkeypatch.setattr(getattr(clickhouse, name), "query", query)
    monkeypatch.setattr(clickhouse.RoundTrip, "_native", native)
    return sent


def test_the_statements_of_the_probes_run(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    sent = through(engine, monkeypatch)
    engine.query("CREATE DATABASE IF NOT EXISTS trade2026")
    target: Any = Target()
    clickhouse.Version(expect="").run(target)
    clickhouse.Database(database="trade2026").run(target)
    clickhouse.RoundTrip(database="trade2026").run(target)
    verbs = {text.split()[0] for text in sent}
    assert verbs == {"SELECT", "SHOW", "CREATE", "INSERT", "DROP"}
    assert engine.query("SHOW TABLES FROM trade2026") == ""


class Client:
    """The methods of clickhouse_driver's client that validation uses, on an engine."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def execute(self, text: str, rows: Sequence[tuple[Any, ...]] = ()) -> list[tuple[Any, ...]]:
        values = ", ".join("(" + ", ".join(repr(value) for value in row) + ")" for row in rows)
        lines = self.engine.query(f"{text} {values}").splitlines()
        return [
            tuple(json.loads(cell) if NUMBER.fullmatch(cell) else cell for cell in line.split("\t")) for line in lines
        ]


def test_the_statements_of_validation_run(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    service: Any = SimpleNamespace(target=Target())
    monkeypatch.setattr(Target, "unique", lambda *_separator: "trade2026.validation")
    monkeypatch.setattr(clients, "clickhouse", lambda _service: contextlib.nullcontext(Client(engine)))

    engine.query("CREATE DATABASE IF NOT EXISTS trade2026")
    store = ClickhouseStore(service, "records")
    assert store.write(3) == [0, 1, 2]
    assert store.read() == [(number, checksum(number)) for number in range(3)]
    assert store.setting() == "fsync_after_insert = 0"
    store.remove()

    operations = {operation.name: operation for operation in OPERATIONS["clickhouse"]}
    assert set(operations) == {"insert", "aggregate"}
    for operation in operations.values():
        with operation.setup(service) as sample:
            sample(0)

    order = Journey("trade2026.order")
    integration.aggregated(SimpleNamespace(of_role=lambda _role: service), order)
    for remove in order.cleanups:
        remove()
    assert engine.query("SHOW TABLES FROM trade2026") == ""


@pytest.mark.parametrize("release", sorted(RELEASES))
@pytest.mark.parametrize("profile", ["fast", "balanced", "durable"])
def test_only_durable_forces_an_insert_to_the_disk(release: str, profile: str, tmp_path: Path) -> None:
    rendered = configuration("clickhouse", "server.xml.j2", "24.9.3.128", core_durability=profile)
    sections = ElementTree.fromstring(rendered).findall("merge_tree")
    (tmp_path / "config.xml").write_text(
        f"<clickhouse>{''.join(ElementTree.tostring(one, 'unicode') for one in sections)}</clickhouse>"
    )
    engine = Engine(release, str(tmp_path / "data"), configured_in=tmp_path)
    on = "1" if profile == "durable" else "0"
    wanted = {"fsync_after_insert": on, "fsync_part_directory": on}
    rows = engine.query("SELECT name, value FROM system.merge_tree_settings WHERE name LIKE 'fsync%'").splitlines()
    assert dict(row.split("\t") for row in rows) == wanted
    engine.query("CREATE DATABASE trade ENGINE = Atomic")
    engine.query("CREATE TABLE trade.fills (price Float64) ENGINE = MergeTree ORDER BY price")
    # A file that is forced to the disk is counted; the engine forces files of its own when it creates a table.
    forced = "SELECT sum(value) FROM system.events WHERE event IN ('FileSync', 'DirectorySync')"
    before = int(engine.query(forced))
    engine.query("INSERT INTO trade.fills VALUES (5000.25)")
    count = int(engine.query(forced)) - before
    engine.stop()
    assert (count > 0) is (profile == "durable"), count


def test_clickhouse_24_8_does_not_start_on_data_of_the_newest_release(tmp_path: Path) -> None:
    [finding] = [finding for finding in FINDINGS if finding.service == "clickhouse" and finding.experiment]
    data = str(tmp_path / "data")
    hash_of_fills = "SELECT count(), sum(cityHash64(day, symbol, price)) FROM trade.fills"
    backup = tmp_path / "backup"

    with_24_8 = Engine("24.8", data)
    assert with_24_8.query("SELECT version()") == finding.experiment[0]
    with_24_8.query("CREATE DATABASE trade ENGINE = Atomic")
    with_24_8.query(
        "CREATE TABLE trade.fills (day Date, symbol LowCardinality(String), price Float64) ENGINE = MergeTree "
        "PARTITION BY toYYYYMM(day) ORDER BY (symbol, day)"
    )
    with_24_8.query(
        "INSERT INTO trade.fills SELECT toDate('2025-10-13') + number % 60, 'S' || toString(number % 7), number / 3 "
        "FROM numbers(10000)"
    )
    stored = with_24_8.query(hash_of_fills)
    with_24_8.stop()
    shutil.copytree(data, backup, symlinks=True)

    newest = Engine("newest", data)
    assert newest.query("SELECT version()") == finding.experiment[1]
    assert newest.query(hash_of_fills) == stored
    newest.query("CREATE TABLE trade.later (day Date, price Float64) ENGINE = MergeTree ORDER BY day")
    newest.query("INSERT INTO trade.later SELECT today(), number FROM numbers(1000)")
    newest.stop()

    back = Engine("24.8", data)
    assert "Unknown mark file extension" in back.ask("SELECT 1")[1]
    back.stop()
    assert finding.kind == "image_and_data"

    restored = Engine("24.8", str(backup))
    assert restored.query(hash_of_fills) == stored
    restored.stop()
