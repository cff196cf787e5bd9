# SPDX-License-Identifier: GPL-3.0-or-later
"""A service must stay ready for a while before it counts as deployed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.probes import service
from ansible.module_utils.probes.runner import ProbeResult
from ansible.module_utils.probes.service import probe_service
from probe_fakes import FakeClock

STARTED = "2026-01-01T00:00:00Z"


def document(started: str = STARTED, restarts: int = 0, health: str = "healthy", status: str = "running") -> str:
    state = {"Status": status, "ExitCode": 3, "StartedAt": started, "Health": {"Status": health}}
    return json.dumps([{"State": state, "RestartCount": restarts, "Image": "sha256:1", "Config": {"Image": "a:1"}}])


def probed(
    tmp_path: Path, documents: Sequence[str], good_after_s: float = 10, patient: bool = False
) -> tuple[dict[str, Any], FakeClock]:
    """The result, with the states of the container at each inspection; the last one is repeated."""
    left = list(documents)
    clock = FakeClock()

    def docker(command: Sequence[str], **_more: Any) -> tuple[int, str, str]:
        if "logs" in command:
            return 0, "", ""
        return 0, left.pop(0) if len(left) > 1 else left[0], ""

    params = {
        "name": "valkey",
        "title": "Valkey",
        "container": "valkey",
        "address": "127.0.0.1",
        "ports": {},
        "ready_timeout_s": 60,
        "timeout_s": 1,
        "probes": [],
        "secrets_root": str(tmp_path),
        "log_lines": 5,
        "good_after_s": good_after_s,
        "patient": patient,
    }
    return probe_service(params, False, docker, clock=clock), clock


def test_a_service_that_stays_healthy_is_waited_for_and_passes(tmp_path: Path) -> None:
    answer, clock = probed(tmp_path, [document()])
    assert answer["healthy"]
    assert answer["good_for_s"] == 10
    assert (answer["image"], answer["image_id"]) == ("a:1", "sha256:1")
    assert clock.now() - FakeClock().now() >= 10


def test_nothing_waits_unless_it_is_requested(tmp_path: Path) -> None:
    answer, clock = probed(tmp_path, [document()], good_after_s=0)
    assert answer["healthy"]
    assert clock.now() == FakeClock().now()


def test_the_time_begins_when_the_probes_pass_and_not_with_the_next_health_check(tmp_path: Path) -> None:
    """The engine's first health check comes after a whole interval."""
    starting = [document(health="starting")] * 12
    answer, clock = probed(tmp_path, [*starting, document()])
    assert answer["healthy"]
    assert answer["waited_s"] > 5
    assert clock.now() - FakeClock().now() == pytest.approx(10, abs=0.5)


def test_the_time_does_not_begin_before_the_probes_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "try_probes", lambda *_more: None)
    answer, clock = probed(tmp_path, [*[document(health="starting")] * 12, document()])
    assert clock.now() - FakeClock().now() >= answer["waited_s"] + 10


def test_a_service_that_is_not_observed_has_to_pass_its_probes_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before or after the engine's health check."""
    asked: list[str] = []

    def early(*_more: Any) -> list[ProbeResult] | None:
        asked.append("early")
        return [ProbeResult("valkey_ping", True, 1.0, "", 1)] if len(asked) > 2 else None

    monkeypatch.setattr(service, "try_probes", early)
    starting = [document(health="starting")] * 5
    answer, _clock = probed(tmp_path, [*starting, document()], good_after_s=0)
    assert answer["healthy"]
    assert [row["name"] for row in answer["probes"]] == ["valkey_ping"]
    assert len(asked) == 3
    failed, _clock = probed(tmp_path, [*starting, document(status="exited")], good_after_s=0)
    assert failed["failed"]
    assert failed["probes"] == []


def test_the_time_begins_again_if_the_container_restarts_before_it_is_healthy(tmp_path: Path) -> None:
    later = "2026-01-01T00:00:05Z"
    documents = [*[document(health="starting")] * 12, document(started=later, restarts=1)]
    answer, clock = probed(tmp_path, documents)
    assert answer["healthy"]
    assert clock.now() - FakeClock().now() >= answer["waited_s"] + 10


@pytest.mark.parametrize(
    ("later", "why"),
    [
        (document(started="2026-01-01T00:00:05Z", restarts=1), "has restarted"),
        (document(status="exited"), "has stopped with exit code 3"),
        (document(health="unhealthy"), "is unhealthy"),
        (document(status="restarting", restarts=1), "is restarting"),
        (document(started="2026-01-01T00:00:05Z", health="starting"), "is not healthy yet"),
    ],
    ids=["restarted", "stopped", "unhealthy", "restarting", "starting again"],
)
def test_a_service_that_ends_soon_after_it_was_ready_has_failed(tmp_path: Path, later: str, why: str) -> None:
    answer, _clock = probed(tmp_path, [document(), document(), later])
    assert answer["failed"]
    assert why in answer["msg"]
    assert "s after it was ready" in answer["msg"]


def test_a_state_that_was_verified_before_may_be_unhealthy_for_a_while(tmp_path: Path) -> None:
    documents = [document(health="unhealthy"), document(health="unhealthy"), document()]
    impatient, _clock = probed(tmp_path, documents, good_after_s=0)
    assert impatient["failed"]
    patient, _clock = probed(tmp_path, documents, good_after_s=0, patient=True)
    assert patient["healthy"]
    ever, clock = probed(tmp_path, [document(health="unhealthy")], good_after_s=0, patient=True)
    assert ever["failed"]
    assert clock.now() - FakeClock().now() >= 60
