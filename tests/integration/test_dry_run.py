# SPDX-License-Identifier: GPL-3.0-or-later
"""A dry run predicts exactly what the real run changes, and the drift report gives the reasons.

Each change affects another service, so that one run of each kind tests all of them: which services are predicted and
changed, and that the others are not.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from site_under_test import Run, Site, docker

# The only change of a setting. All others are made to the running site.
PLANNED = {"valkey_maxmemory": "1gb"}

OTHER_NAME = "localhost/trade2026-test/questdb:other"

# Service → text that the output of the dry run must contain.
REASONS = {
    "valkey": "maxmemory 1gb",
    "nats": "start state: exited -> running",
    "opa": "# by hand",
    "authn": "recreate networks:",
    "questdb": f"image: {OTHER_NAME} ->",
}


def stop_nats(site: Site) -> None:
    docker("stop", f"{site.prefix}nats")


def edit_opa(site: Site) -> None:
    file = site.root / "config/backend/opa/example_policy.rego"
    file.write_text(file.read_text(encoding="utf-8") + "\n# by hand\n", encoding="utf-8")


def take_authn_off_a_network(site: Site) -> None:
    docker("network", "disconnect", site.networks["backend"]["name"], f"{site.prefix}authn")


def run_questdb_from_another_image(site: Site) -> None:
    """Run the same image under another name."""
    seen = site.inspect("questdb")["questdb"]
    fragment = site.root / "infrastructure/docker/services/questdb.yml"
    text = fragment.read_text(encoding="utf-8")
    docker("tag", seen["Config"]["Image"], OTHER_NAME)
    fragment.write_text(text.replace(seen["Config"]["Image"], OTHER_NAME), encoding="utf-8")
    subprocess.run(
        ["docker", "compose", "--project-name", site.project, "--file", str(fragment), "up", "--detach"],
        check=True,
        capture_output=True,
    )
    fragment.write_text(text, encoding="utf-8")


@dataclass(frozen=True)
class Drifted:
    """A site that was changed by hand, with all runs before and after the changes."""

    site: Site
    started: dict[str, tuple[str, str]]
    clean: Run
    report: dict[str, list[dict[str, str]]]
    drift: Run
    drift_fail: Run
    dry: Run
    started_after_dry: dict[str, tuple[str, str]]
    real: Run
    started_after_real: dict[str, tuple[str, str]]


@pytest.fixture(scope="module")
def drifted(deployed: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Drifted]:
    """The runs in the order of an operator. At the end the site is as declared again."""
    clean = deployed.play(playbook="playbooks/drift.yml", drift_fail=True)
    stop_nats(deployed)
    edit_opa(deployed)
    take_authn_off_a_network(deployed)
    run_questdb_from_another_image(deployed)
    started = deployed.started()

    output = tmp_path_factory.mktemp("drift") / "drift.json"
    drift = deployed.play(playbook="playbooks/drift.yml", drift_output=str(output))
    drift_fail = deployed.play("--limit", "nats,opensearch", playbook="playbooks/drift.yml", drift_fail=True)
    dry = deployed.play("--check", "--diff", **PLANNED)
    started_after_dry = deployed.started()
    real = deployed.play(**PLANNED)
    yield Drifted(
        deployed,
        started,
        clean,
        _report(output),
        drift,
        drift_fail,
        dry,
        started_after_dry,
        real,
        deployed.started(),
    )
    docker("image", "rm", OTHER_NAME)
    restored = deployed.play()
    assert restored.code == 0, restored.errors
    assert restored.changed_hosts == {"valkey"}


def _report(file: Path) -> dict[str, Any]:
    return dict(json.loads(file.read_text(encoding="utf-8"))) if file.exists() else {}


def test_a_site_as_declared_has_no_drift(drifted: Drifted) -> None:
    assert drifted.clean.code == 0, drifted.clean.errors
    assert set(drifted.clean.changed.values()) == {0}


def test_the_drift_report_lists_the_drifted_services_and_changes_nothing(drifted: Drifted) -> None:
    assert drifted.drift.code == 0, drifted.drift.errors
    changed_by_hand = set(REASONS) - {"valkey"}
    assert {service for service, rows in drifted.report.items() if rows} == changed_by_hand
    (row,) = drifted.report["nats"]
    assert (row["what"], row["current"], row["desired"]) == ("state", "exited", "running")
    assert "exited" in drifted.drift.output
    assert drifted.started_after_dry == drifted.started


def test_drift_fail_fails_the_drifted_services_only(drifted: Drifted) -> None:
    assert drifted.drift_fail.code != 0
    assert drifted.drift_fail.failed_hosts == {"nats"}


def test_a_dry_run_predicts_the_changed_services_and_starts_nothing(drifted: Drifted) -> None:
    assert drifted.dry.code == 0, drifted.dry.errors
    assert drifted.dry.changed_hosts == set(REASONS), drifted.dry.errors
    assert drifted.started_after_dry == drifted.started


@pytest.mark.parametrize("service", REASONS)
def test_a_dry_run_gives_the_reason(drifted: Drifted, service: str) -> None:
    assert REASONS[service] in drifted.dry.output


def test_the_real_run_changes_what_was_predicted(drifted: Drifted) -> None:
    assert drifted.real.code == 0, drifted.real.errors
    assert drifted.real.changed_hosts == drifted.dry.changed_hosts
    before, after = drifted.started, drifted.started_after_real
    assert {service for service in after if before.get(service) != after[service]} == set(REASONS)


def test_the_drift_report_names_a_missing_image_and_does_not_pull_it(drifted: Drifted) -> None:
    before = drifted.site.engine_state()
    run = drifted.site.play("--limit", "nats,opa", playbook="playbooks/drift.yml", image_source="registry")
    assert run.code == 0, run.errors
    assert re.search(r"^ *nats +image +- +nats:2.10.29-alpine", run.output, re.MULTILINE), run.output
    assert drifted.site.engine_state() == before
    assert "nats:2.10.29-alpine" not in drifted.site.images()


def test_verify_runs_in_check_mode(drifted: Drifted) -> None:
    run = drifted.site.play("--check", "--limit", "nats", playbook="playbooks/verify.yml")
    assert run.code == 0, run.errors
    assert set(run.changed.values()) == {0}
