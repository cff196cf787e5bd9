"""A dry run tells exactly what the real run then does, and the drift report says why."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from site_under_test import SERVICES, Site, docker


def stop_nats(site: Site) -> None:
    docker("stop", f"{site.prefix}nats")


def edit_opa(site: Site) -> None:
    file = site.root / "config/backend/opa/example_policy.rego"
    file.write_text(file.read_text(encoding="utf-8") + "\n# by hand\n", encoding="utf-8")


def leave_network(site: Site) -> None:
    docker("network", "disconnect", site.networks["backend"]["name"], f"{site.prefix}authn")


def other_image(site: Site) -> None:
    """Run valkey from another image under its name, as somebody in a hurry would."""
    seen = site.inspect("valkey")["valkey"]
    fragment = site.root / "infrastructure/docker/services/valkey.yml"
    text = fragment.read_text(encoding="utf-8")
    docker("tag", seen["Config"]["Image"], "localhost/trade2026-test/valkey:other")
    fragment.write_text(
        text.replace(seen["Config"]["Image"], "localhost/trade2026-test/valkey:other"), encoding="utf-8"
    )
    subprocess.run(
        ["docker", "compose", "--project-name", site.project, "--file", str(fragment), "up", "--detach"],
        check=True,
        capture_output=True,
    )
    fragment.write_text(text, encoding="utf-8")


def nothing(site: Site) -> None:
    """The change is in the variables."""


CASES: dict[str, tuple[Callable[[Site], None], str, str, dict[str, Any]]] = {
    "one variable": (nothing, "valkey", "maxmemory 1gb", {"valkey_maxmemory": "1gb"}),
    "a stopped container": (stop_nats, "nats", "state: exited -> running", {}),
    "a file edited by hand": (edit_opa, "opa", "# by hand", {}),
    "a network left": (leave_network, "authn", "networks:", {}),
    "another image": (other_image, "valkey", "image: localhost/trade2026-test/valkey:other ->", {}),
}


@pytest.fixture(autouse=True)
def put_back(deployed: Site) -> Iterator[None]:
    """Each test leaves the site as declared."""
    yield
    run = deployed.play()
    assert run.code == 0, run.output[-4000:]


@pytest.mark.parametrize("case", CASES)
def test_a_planned_change_is_predicted_with_its_reason_and_then_made(deployed: Site, case: str) -> None:
    make, service, reason, variables = CASES[case]
    make(deployed)
    started = deployed.started()
    dry = deployed.play("--check", "--diff", **variables)
    assert dry.code == 0, dry.output[-4000:]
    assert dry.changed_hosts == {service}, dry.output[-6000:]
    assert reason in dry.output
    assert deployed.started() == started

    real = deployed.play(**variables)
    assert real.code == 0, real.output[-4000:]
    assert real.changed_hosts == {service}
    after = deployed.started()
    assert {name for name in SERVICES if started.get(name) != after[name]} == {service}


def test_the_drift_report_names_what_drifted_and_fails_when_asked_to(deployed: Site, tmp_path: Path) -> None:
    clean = deployed.play(playbook="playbooks/drift.yml", drift_fail=True)
    assert clean.code == 0, clean.output[-4000:]
    assert set(clean.changed.values()) == {0}

    stop_nats(deployed)
    output = tmp_path / "drift.json"
    told = deployed.play(playbook="playbooks/drift.yml", drift_output=str(output))
    assert told.code == 0
    report = json.loads(output.read_text(encoding="utf-8"))
    assert {service for service, rows in report.items() if rows} == {"nats"}
    assert report["nats"] == [{"what": "state", "current": "exited", "desired": "running"}]
    assert "exited" in told.output

    failing = deployed.play(playbook="playbooks/drift.yml", drift_fail=True)
    assert failing.code != 0
    assert failing.failed_hosts == {"nats"}
