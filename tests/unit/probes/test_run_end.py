# SPDX-License-Identifier: GPL-3.0-or-later
"""When the module ends a run in the journal, and which operations it records there."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import service_probe
from ansible.module_utils.deployment.journal import Journal, this_run
from ansible.module_utils.deployment.model import Operation
from ansible.module_utils.testing import patch_module_args

OPERATIONS = tuple(Operation(name, "container", "start", "absent", "running", "") for name in ("nats", "valkey"))


def call(
    root: Path, capsys: pytest.CaptureFixture[str], finish: str, failed: list[str], broken: bool
) -> dict[str, Any]:
    """One call without probes, in a run that has two services to start."""
    ports = {"client": "many"} if broken else {}
    arguments = {
        "services": [
            {"name": name, "title": name, "ports": ports} for name in ("nats", "valkey") if name not in failed
        ],
        "secrets_root": str(root),
        "root": str(root),
        "run": "r1",
        "done": [{"service": row.service, "what": row.what} for row in OPERATIONS],
        "finish": finish,
        "failed_services": failed,
    }
    with patch_module_args(arguments), pytest.raises(SystemExit):
        service_probe.main()
    answer: dict[str, Any] = json.loads(capsys.readouterr().out)
    return answer


@pytest.mark.parametrize(
    ("finish", "failed", "broken", "ends"),
    [
        ("never", [], False, False),
        ("if_passed", [], False, True),
        ("if_passed", ["valkey"], False, False),
        ("if_passed", [], True, False),
        ("always", ["valkey"], False, True),
        ("always", [], True, True),
    ],
)
def test_a_run_ends_when_the_caller_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], finish: str, failed: list[str], broken: bool, ends: bool
) -> None:
    journal = Journal(tmp_path)
    journal.begin(this_run("r1", "somebody", os.getpid()), OPERATIONS)
    answer = call(tmp_path, capsys, finish, failed, broken)
    assert (journal.owner() is None) is ends
    assert answer.get("failed", False) is broken
    assert broken or answer["finished"] is ends


def test_a_service_that_failed_in_an_earlier_slice_is_not_recorded_as_done(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    journal = Journal(tmp_path)
    journal.begin(this_run("r1", "somebody", os.getpid()), OPERATIONS)
    call(tmp_path, capsys, "never", ["valkey"], broken=False)
    assert journal.progress().done == (("nats", "container"),)


def test_the_caller_may_report_the_services_that_fail(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    service = {"name": "nats", "title": "NATS", "ports": {"client": "many"}}
    with (
        patch_module_args({"services": [service], "secrets_root": str(tmp_path), "fail": False}),
        pytest.raises(SystemExit),
    ):
        service_probe.main()
    answer = json.loads(capsys.readouterr().out)
    assert "failed" not in answer
    assert answer["services"]["nats"]["failed"] is True
    assert "client='many' is not a port" in answer["services"]["nats"]["msg"]
