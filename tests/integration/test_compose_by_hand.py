"""The Compose project works by hand as the source text shows, and other people's checkers accept it."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
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


def test_logs_hold_no_errors(deployed: Site) -> None:
    """The source text's acceptance: no error messages in the logs."""
    for service in SERVICES:
        log = compose(deployed, "logs", "--no-color", "--no-log-prefix", service)
        bad = [
            line
            for line in log.splitlines()
            if any(word in line for word in ("FATAL", "CRITICAL", "[ERR]", "<Error>", "panic:"))
        ]
        assert bad == [], service


@pytest.fixture(scope="module")
def checked(deployed: Site, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The rendered files, and the whole project as Compose resolves it."""
    docker = deployed.root / "infrastructure/docker"
    return [docker / "docker-compose.core.yml", *sorted((docker / "services").glob("*.yml"))]


def run(*command: str | Path) -> None:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_check_jsonschema_accepts_every_file(checked: list[Path]) -> None:
    run("check-jsonschema", "--builtin-schema", "vendor.compose-spec", *checked)


def test_compose_lint_accepts_every_fragment(checked: list[Path], tmp_path: Path) -> None:
    # A locally built image has no digest to pin (its tag is a hash of what it was built from).
    config = tmp_path / "compose-lint.yml"
    config.write_text(
        yaml.safe_dump(
            {"rules": {"CL-0019": {"enabled": False, "reason": "built here: the tag is the hash of the recipe"}}}
        ),
        encoding="utf-8",
    )
    run("compose-lint", "check", "--fail-on", "low", "--config", config, *checked[1:])


def test_dclint_accepts_every_file(checked: list[Path]) -> None:
    dclint = PROJECT_ROOT / ".cache/node/node_modules/.bin/dclint"
    assert dclint.exists() or shutil.which("npm"), "make setup installs npm, which brings dclint"
    run(dclint, "--max-warnings", "0", *checked)
