# SPDX-License-Identifier: GPL-3.0-or-later
"""The module as Ansible calls it, with a fake docker and a small fake Valkey."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import service_probe
from ansible.module_utils.testing import patch_module_args
from probe_fakes import Resp, closed_port

PASSWORD = "a-very-secret-password"
# Prints the files beside it, as the output of `docker container inspect` and `docker logs`.
DOCKER = """#!/bin/sh
case "$1" in
    container) cat "${0%/*}/inspect.json" 2>/dev/null || { echo "Error: No such container: valkey" >&2; exit 1; } ;;
    logs) cat "${0%/*}/log" ;;
esac
"""
Answer = Callable[..., dict[str, Any]]


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "docker").write_text(DOCKER)
    (folder / "docker").chmod(0o755)
    (folder / "log").write_text(
        "2026-01-01T00:00:01.000000000Z starting\n"
        f"2026-01-01T00:00:02.000000000Z open {PASSWORD}: No space left on device\n"
    )
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return folder


def container(docker: Path, port: int, status: str = "running", health: str = "healthy") -> None:
    state = {"Status": status, "ExitCode": 1, "StartedAt": "2026-01-01T00:00:00.5Z", "Health": {"Status": health}}
    ports = {"6379/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(port)}]}
    (docker / "inspect.json").write_text(json.dumps([{"State": state, "NetworkSettings": {"Ports": ports}}]))


@pytest.fixture
def probe(tmp_path: Path, resp: tuple[Resp, int], capsys: pytest.CaptureFixture[str]) -> Answer:
    (tmp_path / "secrets/valkey").mkdir(parents=True)
    (tmp_path / "secrets/valkey/password").write_text(PASSWORD + "\n")
    server, port = resp
    server.password = PASSWORD

    def call(check_mode: bool = False, slice_s: float = 0, **changes: Any) -> dict[str, Any]:
        service = {
            "name": "valkey",
            "title": "Valkey",
            "container": "valkey",
            "ports": {"client": port},
            "ready_timeout_s": 1,
            "timeout_s": 1,
            "probes": [
                {"type": "valkey_ping", "password_file": "valkey/password"},
                {"type": "valkey_roundtrip", "password_file": "valkey/password"},
            ],
            **changes,
        }
        arguments = {
            "services": [service],
            "secrets_root": str(tmp_path / "secrets"),
            "slice_s": slice_s,
            "_ansible_check_mode": check_mode,
        }
        with patch_module_args(arguments), pytest.raises(SystemExit):
            service_probe.main()
        out = capsys.readouterr().out
        assert PASSWORD not in out
        answer = json.loads(out)
        assert not answer.get("changed")
        one: dict[str, Any] = answer["services"]["valkey"]
        # If one service fails, the module fails with the same message.
        assert answer.get("failed", False) == one.get("failed", False)
        assert answer.get("msg") == one.get("msg") or "failed" not in one
        return one

    return call


def test_a_service_that_passes_its_probes_is_ready(docker: Path, probe: Answer, resp: tuple[Resp, int]) -> None:
    container(docker, resp[1])
    answer = probe()
    assert (answer["healthy"], answer["healthy_after_s"]) == (True, None)
    assert answer["started_at"] == "2026-01-01T00:00:00.5Z"
    assert [(probe["name"], probe["ok"], probe["attempts"]) for probe in answer["probes"]] == [
        ("valkey_ping", True, 1),
        ("valkey_roundtrip", True, 1),
    ]
    assert answer["not_run"] == []
    assert resp[0].data == {}


def test_a_dry_run_writes_nothing_and_says_what_it_left_out(
    docker: Path, probe: Answer, resp: tuple[Resp, int]
) -> None:
    container(docker, resp[1])
    answer = probe(check_mode=True)
    assert [probe["name"] for probe in answer["probes"]] == ["valkey_ping"]
    assert answer["not_run"] == ["valkey_roundtrip"]
    assert resp[0].expiries == []


def test_a_dry_run_does_not_mind_a_container_that_does_not_exist_yet(docker: Path, probe: Answer) -> None:
    answer = probe(check_mode=True)
    assert answer["skipped"] is True
    assert "does not exist yet" in answer["msg"]
    assert "Valkey failed verification: container valkey: does not exist" in probe()["msg"]


def test_a_stopped_container_fails_with_its_log_and_cause(docker: Path, probe: Answer, resp: tuple[Resp, int]) -> None:
    container(docker, resp[1], status="exited")
    answer = probe()
    assert answer["failed"] is True
    assert answer["msg"].startswith(
        "Valkey failed verification: container valkey: has stopped with exit code 1. Likely cause: the disk is full. "
    )
    assert answer["log"] == ["starting", "open ********: No space left on device"]
    assert answer["container"]["status"] == "exited"
    assert (answer["cause"], answer["healthy"], answer["probes"]) == ("the disk is full", False, [])


def test_a_failing_probe_is_reported_with_the_results_of_the_others(
    docker: Path, probe: Answer, resp: tuple[Resp, int]
) -> None:
    container(docker, resp[1])
    resp[0].broken["SET"] = "MISCONF Errors writing to the AOF file: No space left on device"
    answer = probe()
    assert "Valkey failed verification: valkey_roundtrip: " in answer["msg"]
    assert "the disk is full" in answer["cause"]
    assert [probe["ok"] for probe in answer["probes"]] == [True, False]
    assert answer["healthy"] is True


def test_a_wrong_password_fails_at_once_and_is_named(docker: Path, probe: Answer, resp: tuple[Resp, int]) -> None:
    container(docker, resp[1])
    resp[0].password = "another"
    answer = probe()
    assert "refuses the password in valkey/password" in answer["msg"]
    assert "(also failing: valkey_roundtrip)" in answer["msg"]
    assert "other credentials" in answer["cause"]


def test_a_port_that_the_container_does_not_publish_is_named(
    docker: Path, probe: Answer, resp: tuple[Resp, int]
) -> None:
    container(docker, resp[1])
    port = closed_port()
    assert f"publishes {resp[1]}, not {port}" in probe(ports={"client": port})["cause"]


def test_a_service_without_a_container_is_probed_too(docker: Path, probe: Answer) -> None:
    assert probe(container="")["healthy"] is True
    answer = probe(container="", ports={"client": closed_port()})
    assert (answer["healthy"], answer["log"], answer["container"]) == (False, [], {})
    assert "is not running" in answer["cause"]


def test_a_container_that_never_gets_healthy_fails_at_the_ready_timeout(
    docker: Path, probe: Answer, resp: tuple[Resp, int]
) -> None:
    container(docker, resp[1], health="starting")
    assert "is not healthy yet (starting) after 1 s" in probe()["msg"]


@pytest.mark.parametrize(("load", "is_named"), [(99.0, True), (0.1, False)])
def test_the_message_of_a_late_service_names_the_load(
    docker: Path, probe: Answer, resp: tuple[Resp, int], monkeypatch: pytest.MonkeyPatch, load: float, is_named: bool
) -> None:
    monkeypatch.setattr("os.getloadavg", lambda: (load, load, load))
    (docker / "log").write_text("2026-01-01T00:00:00.5Z loading\n")
    container(docker, resp[1], health="starting")
    message = probe()["msg"]
    assert ("the machine is overloaded, and the service may only be slow: the load average is 99.0 on" in message) is (
        is_named
    )
    assert "core_ready_timeout_factor" in message


def test_a_late_slice_names_the_whole_ready_timeout(docker: Path, probe: Answer, resp: tuple[Resp, int]) -> None:
    container(docker, resp[1], health="starting")
    answer = probe(slice_s=10, ready_timeout_s=60, spent_s=59.9)
    assert "is not healthy yet (starting) after 60 s" in answer["msg"]
    # Includes what the earlier slices took.
    assert answer["waited_s"] > 60


def test_a_slice_ends_with_what_is_waited_for(docker: Path, probe: Answer, resp: tuple[Resp, int]) -> None:
    container(docker, resp[1], health="starting")
    answer = probe(slice_s=0.3, ready_timeout_s=60)
    assert answer["pending"] == "is not healthy yet (starting)"
    assert "failed" not in answer


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"probes": [{"type": "valkey_pong"}]},
            "invalid: probe 1: 'valkey_pong' is not a valid probe type (do you mean",
        ),
        ({"ports": {"client": "many"}}, "client='many' is not a port"),
        ({"timeout_s": 0}, "seconds above 0"),
    ],
)
def test_wrong_parameters_are_named(docker: Path, probe: Answer, changes: dict[str, Any], says: str) -> None:
    assert says in probe(**changes)["msg"]


def test_an_engine_that_is_not_there_is_named(probe: Answer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # The program that wraps every docker command exists, docker does not.
    (tmp_path / "timeout").symlink_to(str(shutil.which("timeout")))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "Valkey cannot be probed: `docker` cannot be run" in probe()["msg"]
