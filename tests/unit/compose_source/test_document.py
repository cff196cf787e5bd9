"""The table of docs/MIGRATION.md: what a setting was, what it is, and why."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.compose_source.report import read

# The filters as Ansible loads them.
_PLUGIN = runpy.run_path(str(Path(__file__).resolve().parents[3] / "filter_plugins/trade2025.py"))
FILTERS = _PLUGIN["FilterModule"]().filters()
NOTHING, SAME = _PLUGIN["NOTHING"], _PLUGIN["SAME"]

SITE = {
    "bind_address": "127.0.0.1",
    "port_offset": 100,
    "networks": {"backend": {"name": "trade2026-backend"}},
    "secrets": "/elsewhere",
}
SERVICE: dict[str, Any] = {
    "title": "Cache",
    "image": {"official": "valkey/valkey:8.1.4-alpine"},
    "user": {"uid": 999, "gid": 1000},
    "command": ["valkey-server", "/etc/valkey/valkey.conf"],
    "environment": {"KEPT": "new", "ADDED": "x"},
    "networks": ["backend"],
    "ports": [{"name": "client", "host": "6379", "container": 6379}],
    "volumes": [
        {"kind": "data", "source": "data/valkey", "target": "/data"},
        {"kind": "config", "source": "config/valkey", "target": "/own", "writable": True},
        {"kind": "secret", "source": "valkey", "target": "/secrets"},
    ],
    "healthcheck": {
        "test": ["CMD-SHELL", "echo $$X | grep y"],
        "interval_s": 10,
        "timeout_s": 5,
        "retries": 3,
        "start_period_s": 30,
    },
    "limits": {"memory": "3g", "cpus": 2, "pids": 512},
    "stop": {"signal": "SIGTERM", "grace_s": 60},
    "migration_notes": [
        {"setting": "image", "why": "It moved."},
        {"setting": "host port 6379", "why": "The port's own reason."},
        {"setting": "DROPPED", "why": "The variable's own reason."},
        {"setting": "telemetry", "why": "Off."},
    ],
}
COMPOSE = """
services:
  cache:
    image: valkey/valkey:8-alpine
    ports: ["6379:6379"]
    volumes: ["C:/trade2025/trading/valkey:/data:ro"]
    networks: [backend]
    environment: {DROPPED: "1", KEPT: old, DB_PASSWORD: hunter2-x}
    healthcheck: {test: [CMD, valkey-cli, ping], interval: 10s}
    mem_limit: 512m
    cpus: 2
    cap_drop: [ALL]
    cap_add: [CHOWN]
    security_opt: ["no-new-privileges:true"]
    stop_grace_period: 1m30s
    restart: unless-stopped
networks: {backend: {name: trade2025-backend}}
"""


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    root = tmp_path_factory.mktemp("tree")
    (root / "c.yml").write_text(COMPOSE)
    source = read(str(root), ["c.yml"], ["C:/trade2025"], [], {})["services"]["cache"]
    return {row["setting"]: row for row in FILTERS["trade2025_rows"](SERVICE, source, SITE)}


@pytest.mark.parametrize(
    ("setting", "source", "target", "why"),
    [
        ("image", "valkey/valkey:8-alpine", "valkey/valkey:8.1.4-alpine", "It moved."),
        ("command line", "the image's", "valkey-server /etc/valkey/valkey.conf", "Settings stand in files."),
        ("ports", "6379:6379", "127.0.0.1:6479:6379 (client)", "The port's own reason."),
        ("networks", "trade2025-backend", "trade2026-backend", "The networks of Trade2026."),
        (
            "volumes",
            "C:/trade2025/trading/valkey on /data (read-only)",
            "data/valkey on /data, config/valkey on /own, /elsewhere/valkey on /secrets (read-only)",
            "Each place has its place in the new tree; settings are read-only.",
        ),
        ("variable DROPPED", "1", NOTHING, "The variable's own reason."),
        ("variable KEPT", "old", "new", "The value that fits the new place."),
        ("variable ADDED", NOTHING, "x", "What the image needs to be told."),
        ("variable DB_PASSWORD", "********", NOTHING, "Settings stand in files, where they are checked before use."),
        (
            "health check",
            "CMD valkey-cli ping",
            "CMD-SHELL echo $X | grep y",
            "Asks what the service is for, with tools that its image has.",
        ),
        (
            "health check times",
            "every 10 s, within 30 s, 3 times, 0 s to start",
            "every 10 s, within 5 s, 3 times, 30 s to start",
            "From the time that the service takes to start.",
        ),
        ("restart", "unless-stopped", "unless-stopped", SAME),
        ("user", "the image's", "999:1000", "Not root, and the owner of its data."),
        ("memory", "512m", "3g", "One service cannot starve the others."),
        ("processors", "2", "2", SAME),
        ("processes", "no limit", "512", "A runaway stops at the limit."),
        (
            "rights",
            "no capability, with CHOWN, no new privileges",
            "read-only root, no capability, no new privileges",
            "What it never had it cannot lose.",
        ),
        ("stop", "the image's signal, 90 s", "SIGTERM, 60 s", "Time to write its data."),
        ("telemetry", NOTHING, "see why", "Off."),
    ],
)
def test_a_setting_has_its_row(
    rows: dict[str, dict[str, str]], setting: str, source: str, target: str, why: str
) -> None:
    assert rows[setting] == {"setting": setting, "source": source, "target": target, "why": why}


def test_every_reason_of_the_service_is_told_once(rows: dict[str, dict[str, str]]) -> None:
    told = [line for row in rows.values() for line in row["why"].split("\n")]
    for line in SERVICE["migration_notes"]:
        assert told.count(line["why"]) == 1


def test_a_service_that_the_source_lacks_has_no_old_values() -> None:
    rows = FILTERS["trade2025_rows"](SERVICE, None, SITE)
    assert {row["source"] for row in rows} == {NOTHING}


def test_a_cell_never_ends_early() -> None:
    assert FILTERS["trade2025_cell"]("a | b\nc") == "`a \\| b c`"
    assert FILTERS["trade2025_cell"]("has `ticks`") == "`` has `ticks` ``"
    assert FILTERS["trade2025_cell"]("") == NOTHING


@pytest.mark.parametrize(("name", "glob"), [("oms", "/oms"), ("a*b?[c]", "/a[*]b[?][[]c]")])
def test_a_folder_is_excluded_by_its_name_alone(name: str, glob: str) -> None:
    assert FILTERS["trade2025_glob"](name) == glob


def test_the_report_of_a_migration_names_what_needs_attention() -> None:
    result = {
        "files_total": 3,
        "files_rewritten": 1,
        "files_copied": 1,
        "replacements": 2,
        "skipped_paths": [{"path": "oms", "reason": "excluded"}],
        "conflicts": [{"path": "a", "reason": "changed", "action": "backup"}],
        "kept": ["b"],
        "leftovers": [{"path": "c", "line": 7, "text": "trade2025"}],
    }
    assert FILTERS["trade2025_migration_report"](result) == [
        "3 files: 1 rewritten (2 references), 1 copied as they are, 1 current",
        "left out: oms (excluded)",
        "conflict: a: changed (backup)",
        "changed by hand, kept: b",
        "still mentions Trade2025: c:7: trade2025",
    ]
