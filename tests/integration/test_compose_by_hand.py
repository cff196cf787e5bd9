# SPDX-License-Identifier: GPL-3.0-or-later
"""Compose commands work on the project by hand, and independent linters accept its files."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from site_under_test import PROJECT_ROOT, SERVICES, Site


def compose(site: Site, *args: str) -> str:
    done = subprocess.run(
        ["docker", "compose", "-f", str(site.root / "infrastructure/docker/docker-compose.core.yml"), *args],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "obsolete" not in done.stderr
    return done.stdout


def test_ps_shows_eight_healthy_services(deployed: Site) -> None:
    rows = [json.loads(line) for line in compose(deployed, "ps", "--format", "json").splitlines()]
    assert {row["Service"] for row in rows} == set(SERVICES)
    assert {row["Health"] for row in rows} == {"healthy"}


def test_config_is_quiet(deployed: Site) -> None:
    assert compose(deployed, "config", "--quiet") == ""


def test_up_by_hand_recreates_nothing(deployed: Site) -> None:
    before = deployed.started()
    compose(deployed, "up", "--detach")
    assert deployed.started() == before


def test_logs_hold_no_errors(deployed: Site, first_logs: dict[str, str]) -> None:
    """An acceptance criterion: no error messages in the logs."""
    words = ("FATAL", "CRITICAL", "[ERR]", "<Error>", "panic:", "ERROR")
    for service, log in first_logs.items():
        assert log, service
        assert [line for line in log.splitlines() if any(word in line for word in words)] == [], service
    assert compose(deployed, "logs", "--no-color", "--tail", "5")


@pytest.fixture(scope="module")
def compose_files(deployed: Site) -> list[Path]:
    """The project's Compose file, then one fragment per service."""
    docker = deployed.root / "infrastructure/docker"
    fragments = sorted((docker / "services").glob("*.yml"))
    assert [file.stem for file in fragments] == sorted(SERVICES)
    return [docker / "docker-compose.core.yml", *fragments]


def run(*command: str | Path) -> None:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_check_jsonschema_accepts_every_file(compose_files: list[Path]) -> None:
    run("check-jsonschema", "--builtin-schema", "vendor.compose-spec", *compose_files)


def test_compose_lint_accepts_every_fragment(compose_files: list[Path]) -> None:
    config = Path(__file__).with_name("compose-lint.yml")
    run("compose-lint", "check", "--fail-on", "low", "--strict-config", "--config", config, *compose_files[1:])


def test_dclint_accepts_every_file(compose_files: list[Path]) -> None:
    run(PROJECT_ROOT / ".cache/node/node_modules/.bin/dclint", "--max-warnings", "0", *compose_files)
