# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of docs/MIGRATION.md: the old value of a setting, the new value and the reason."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.compose_source.migration_document import NOTHING, SAME
from ansible.module_utils.compose_source.services import describe
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import filter_loader
from ansible.template import Templar, trust_as_template

ROOT = Path(__file__).resolve().parents[3]
# The filters as Ansible loads them.
FILTERS = runpy.run_path(str(ROOT / "filter_plugins/trade2025.py"))["FilterModule"]().filters()

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
# The model as `docker compose config --format json` prints it.
MODEL: dict[str, Any] = {
    "name": "core",
    "networks": {"backend": {"name": "trade2025-backend", "ipam": {}}},
    "services": {
        "cache": {
            "cap_add": ["CHOWN"],
            "cap_drop": ["ALL"],
            "command": None,
            "cpus": 2,
            "entrypoint": None,
            "environment": {"DB_PASSWORD": "********", "DROPPED": "1", "KEPT": "old"},
            "healthcheck": {"test": ["CMD", "valkey-cli", "ping"], "interval": "10s"},
            "image": "valkey/valkey:8-alpine",
            "mem_limit": "536870912",
            "networks": {"backend": None},
            "ports": [{"mode": "ingress", "target": 6379, "published": "6379", "protocol": "tcp"}],
            "restart": "unless-stopped",
            "security_opt": ["no-new-privileges:true"],
            "stop_grace_period": "1m30s",
            "volumes": [
                {"type": "bind", "source": "C:/trade2025/trading/valkey", "target": "/data", "read_only": True}
            ],
        }
    },
}


@pytest.fixture(scope="module")
def rows() -> dict[str, dict[str, str]]:
    source = describe("cache", MODEL, True, ["C:/trade2025"])
    return {row["setting"]: row for row in FILTERS["trade2025_rows"](SERVICE, source, SITE)}


@pytest.mark.parametrize(
    ("setting", "source", "target", "why"),
    [
        ("image", "valkey/valkey:8-alpine", "valkey/valkey:8.1.4-alpine", "It moved."),
        ("command line", "the image's", "valkey-server /etc/valkey/valkey.conf", "Settings are in files."),
        ("ports", "6379:6379", "127.0.0.1:6479:6379 (client)", "The port's own reason."),
        ("networks", "trade2025-backend", "trade2026-backend", "The networks of Trade2026."),
        (
            "volumes",
            "C:/trade2025/trading/valkey on /data (read-only)",
            "data/valkey on /data, config/valkey on /own, /elsewhere/valkey on /secrets (read-only)",
            "The folders of the new tree; configuration is mounted read-only.",
        ),
        ("variable DROPPED", "1", NOTHING, "The variable's own reason."),
        ("variable KEPT", "old", "new", "The value for the new tree."),
        ("variable ADDED", NOTHING, "x", "The image needs this setting."),
        ("variable DB_PASSWORD", "********", NOTHING, "Settings are in files, which are checked before use."),
        (
            "health check",
            "CMD valkey-cli ping",
            "CMD-SHELL echo $X | grep y",
            "Checks what the service is used for, with tools that its image has.",
        ),
        (
            "health check times",
            "every 10 s, within 30 s, 3 times, 0 s to start",
            "every 10 s, within 5 s, 3 times, 30 s to start",
            "Set to the time that the service takes to start.",
        ),
        ("restart", "unless-stopped", "unless-stopped", SAME),
        ("user", "the image's", "999:1000", "A user other than root, which owns the service's data."),
        ("memory", "512m", "3g", "The limit keeps one service from starving the others."),
        ("processors", "2", "2", SAME),
        ("processes", "no limit", "512", "The limit stops a runaway."),
        (
            "rights",
            "no capability, with CHOWN, no new privileges",
            "read-only root, no capability, no new privileges",
            "Rights that the service does not need are dropped.",
        ),
        ("stop", "the image's signal, 90 s", "SIGTERM, 60 s", "The service needs this time to write its data."),
        ("telemetry", NOTHING, "see why", "Off."),
    ],
)
def test_a_setting_has_its_row(
    rows: dict[str, dict[str, str]], setting: str, source: str, target: str, why: str
) -> None:
    assert rows[setting] == {"setting": setting, "source": source, "target": target, "why": why}


def test_every_reason_of_the_service_appears_once(rows: dict[str, dict[str, str]]) -> None:
    reasons = [line for row in rows.values() for line in row["why"].split("\n")]
    for line in SERVICE["migration_notes"]:
        assert reasons.count(line["why"]) == 1


def test_a_service_that_the_source_lacks_has_no_old_values() -> None:
    rows = FILTERS["trade2025_rows"](SERVICE, None, SITE)
    assert {row["source"] for row in rows} == {NOTHING}


def test_a_service_of_a_source_that_was_not_read_is_not_known() -> None:
    rows = FILTERS["trade2025_rows"](SERVICE, None, SITE, "not known")
    assert {row["source"] for row in rows} == {"not known"}


def test_table_cells_are_escaped() -> None:
    assert FILTERS["trade2025_cell"]("a | b\nc") == "`a \\| b c`"
    assert FILTERS["trade2025_cell"]("has `ticks`") == "`` has `ticks` ``"
    assert FILTERS["trade2025_cell"]("") == NOTHING


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


def _document(available: bool) -> str:
    """docs/MIGRATION.md as the role renders it, for one service."""
    filter_loader.add_directory(str(ROOT / "filter_plugins"))
    source = {**describe("cache", MODEL, True, ["C:/trade2025"]), "where": "c.yml:3"}
    reason = "the command docker cannot be run. Install Docker Compose 2.20 or newer."
    template = (ROOT / "roles/trade2025/templates/MIGRATION.md.j2").read_text(encoding="utf-8")
    variables: dict[str, Any] = {
        "ansible_managed": "managed",
        "core_bind_address": SITE["bind_address"],
        "core_machine_services": ["cache"],
        "core_port_offset": 0,
        "core_described": {"cache": SERVICE},
        "trade2025_apps": ["authn"],
        "trade2025_apps_dest": "backend/apps",
        "trade2025_apps_folder": "trading/apps",
        "trade2025_root": "/old",
        "trade2025_service_names": {},
        "trade2025_source": {
            "available": available,
            "reason": "" if available else reason,
            "files": ["c.yml"] if available else [],
            "services": {"cache": source} if available else {},
            "findings": [] if available else [{"service": "", "kind": "not_read", "where": "c.yml", "message": reason}],
        },
        "trade2026_network_map": {},
        "trade2026_networks": SITE["networks"],
        "trade2025_path_map": [],
        "trade2026_root": "/new",
        "trade2026_secrets_root": "/new/secrets",
    }
    return str(Templar(DataLoader(), variables=variables).template(trust_as_template(template)))


def test_the_document_compares_each_setting() -> None:
    text = _document(available=True)
    assert "Trade2025 was read from `/old`: `c.yml`." in text
    assert "Service `cache` at `c.yml:3`; now `cache`." in text
    assert "| image | `valkey/valkey:8-alpine` | `valkey/valkey:8.1.4-alpine` | It moved. |" in text
    assert "not known" not in text.lower()


def test_the_document_of_a_dry_run_without_compose_says_what_is_not_known() -> None:
    text = _document(available=False)
    assert "was not read: the command docker cannot be run." in text
    assert "Whether Trade2025 has a service `cache` is not known." in text
    assert "| image | `not known` | `valkey/valkey:8.1.4-alpine` | It moved. |" in text
    assert "- not_read, `c.yml`: the command docker cannot be run." in text
    assert "it is new" not in text
    assert "None." not in text
