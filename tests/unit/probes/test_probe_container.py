# SPDX-License-Identifier: GPL-3.0-or-later
"""What docker reports about a container decides whether it is worth waiting."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from ansible.module_utils.probes import runner
from ansible.module_utils.probes.container import (
    Container,
    Phase,
    classify,
    inspect,
    next_check,
    parse,
    read_log,
    seconds_between,
)
from ansible.module_utils.probes.runner import wait_healthy
from ansible.module_utils.shared.docker import Docker, DockerError
from probe_fakes import FakeClock

# From engine 20.10.24, shortened.
INSPECTED: dict[str, Any] = {
    "State": {
        "Status": "running",
        "OOMKilled": False,
        "ExitCode": 0,
        "Error": "",
        "StartedAt": "2026-11-23T00:59:42.246306744Z",
        "Health": {
            "Status": "healthy",
            "FailingStreak": 0,
            "Log": [{"Start": "…", "End": "…", "ExitCode": 1, "Output": "NOAUTH Authentication\nrequired.\n"}],
        },
    },
    "RestartCount": 0,
    "NetworkSettings": {"Ports": {"6379/tcp": [{"HostIp": "127.0.0.1", "HostPort": "36379"}], "8080/tcp": None}},
}
RUNNING = parse("valkey", INSPECTED)


def test_an_inspected_container_is_read() -> None:
    assert RUNNING.health == "healthy"
    assert RUNNING.host_ports == {36379}
    assert RUNNING.health_log == ("exit code 1: NOAUTH Authentication required.",)
    assert parse("x", {"State": {"Status": "running"}}).health == ""


@pytest.mark.parametrize(
    ("change", "phase", "says"),
    [
        ({}, Phase.HEALTHY, "is healthy"),
        ({"health": ""}, Phase.HEALTHY, "no health check"),
        ({"health": "starting"}, Phase.STARTING, "not healthy yet"),
        ({"health": "unhealthy"}, Phase.FAILED, "unhealthy; its last check: exit code 1: NOAUTH"),
        ({"status": "exited", "exit_code": 1}, Phase.FAILED, "has stopped with exit code 1"),
        ({"status": "exited", "exit_code": 137, "out_of_memory": True}, Phase.FAILED, "killed because memory ran out"),
        ({"status": "created", "error": "port is already allocated"}, Phase.FAILED, "never started: port is already"),
        ({"status": "paused"}, Phase.FAILED, "is paused"),
        ({"status": "restarting", "restarts": 1}, Phase.STARTING, "is restarting"),
        ({"status": "restarting", "restarts": 3}, Phase.FAILED, "restarts in a loop (3 times"),
        ({"health": "starting", "restarts": 3}, Phase.FAILED, "restarts in a loop (3 times while"),
    ],
)
def test_each_state_is_classified(change: dict[str, Any], phase: Phase, says: str) -> None:
    classified, why = classify(replace(RUNNING, **change), 0)
    assert classified is phase
    assert says in why


def test_restarts_of_long_ago_do_not_count() -> None:
    assert classify(replace(RUNNING, restarts=7), 7)[0] is Phase.HEALTHY


class FakeDocker:
    """Answers `container inspect` with one state after the other; the last one is repeated."""

    def __init__(self, *states: dict[str, Any] | str) -> None:
        self.states = list(states)
        self.asked = 0

    def __call__(self, command: Sequence[str], **_: Any) -> tuple[int, str, str]:
        state = self.states[min(self.asked, len(self.states) - 1)]
        self.asked += 1
        if isinstance(state, str):
            return 1, "[]", state
        return 0, json.dumps([{**INSPECTED, "State": {**INSPECTED["State"], **state}}]), ""


STARTING = {"Health": {"Status": "starting", "Log": []}}


def test_the_wait_lasts_until_the_container_is_healthy() -> None:
    run, clock = FakeDocker(STARTING, STARTING, {}), FakeClock()
    waited = wait_healthy(Docker(run), "valkey", clock.now() + 60, clock)
    assert (waited.phase, run.asked) == (Phase.HEALTHY, 3)
    assert clock.now() < 1002


def test_a_healthy_container_is_inspected_once() -> None:
    run, clock = FakeDocker({}), FakeClock()
    waited = wait_healthy(Docker(run), "valkey", clock.now() + 60, clock)
    assert (waited.phase, run.asked) == (Phase.HEALTHY, 1)
    assert clock.now() == 1000


INTERVAL = {"Config": {"Healthcheck": {"Interval": 10_000_000_000}}}


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"State": {"StartedAt": "2026-01-01T00:00:05.5Z"}} | INTERVAL, "2026-01-01T00:00:15.500000+00:00"),
        (
            {
                "State": {
                    "StartedAt": "2026-01-01T00:00:05Z",
                    "Health": {"Log": [{"End": "2026-01-01T00:00:16.123456789Z"}]},
                }
            }
            | INTERVAL,
            "2026-01-01T00:00:26.123456+00:00",
        ),
        (
            # The log survives a restart.
            {
                "State": {"StartedAt": "2026-01-01T00:00:05Z", "Health": {"Log": [{"End": "2025-12-31T23:59:59Z"}]}},
            }
            | INTERVAL,
            "2026-01-01T00:00:15+00:00",
        ),
        ({"State": {"StartedAt": "2026-01-01T00:00:05Z"}}, ""),
        ({"State": {}} | INTERVAL, ""),
    ],
    ids=["first check", "next check", "restarted", "no health check", "not started"],
)
def test_the_next_health_check_follows_the_start_or_the_last_one(document: dict[str, Any], expected: str) -> None:
    assert next_check(document) == expected


@pytest.mark.parametrize(
    ("due_s", "longest"),
    [(0.3, 0.4), (0.0, 0.1), (-1.0, 0.1), (-60.0, 1.0), (60.0, 1.0), (None, 1.0)],
    ids=["soon", "now", "under way", "engine's clock is ahead", "later", "unknown"],
)
def test_the_wait_looks_just_after_the_next_health_check(
    monkeypatch: pytest.MonkeyPatch, due_s: float | None, longest: float
) -> None:
    monkeypatch.setattr(runner, "seconds_until", lambda _moment: due_s)
    pauses: list[float] = []
    clock = FakeClock()
    sleep = clock.sleep

    def noted(seconds: float) -> None:
        pauses.append(seconds)
        sleep(seconds)

    clock.sleep = noted
    wait_healthy(Docker(FakeDocker(*[STARTING] * 12, {})), "valkey", clock.now() + 60, clock)
    assert max(pauses) == pytest.approx(longest)


def test_the_ready_timeout_ends_the_wait() -> None:
    clock = FakeClock()
    waited = wait_healthy(Docker(FakeDocker(STARTING)), "valkey", clock.now() + 30, clock)
    assert waited.phase is Phase.STARTING
    assert clock.now() == pytest.approx(1030)


def test_a_container_that_stops_ends_the_wait_at_once() -> None:
    clock = FakeClock()
    run = FakeDocker(STARTING, {"Status": "exited", "ExitCode": 2})
    waited = wait_healthy(Docker(run), "valkey", clock.now() + 60, clock)
    assert (waited.phase, waited.why) == (Phase.FAILED, "has stopped with exit code 2")
    assert clock.now() < 1001


def test_a_missing_container_ends_the_wait_at_once() -> None:
    waited = wait_healthy(Docker(FakeDocker("Error: No such container: valkey")), "valkey", 2000, FakeClock())
    assert (waited.phase, waited.container) == (Phase.FAILED, None)


def test_an_engine_that_is_down_has_its_own_message() -> None:
    with pytest.raises(DockerError, match="Cannot connect to the Docker daemon"):
        inspect(Docker(FakeDocker("Cannot connect to the Docker daemon at unix:///x")), "valkey")


def test_an_engine_that_hangs_is_cut_off() -> None:
    commands: list[Sequence[str]] = []

    def run(command: Sequence[str], **_: Any) -> tuple[int, str, str]:
        commands.append(command)
        return 124, "", ""

    with pytest.raises(DockerError, match="no answer within"):
        inspect(Docker(run), "valkey")
    assert commands[0][0] == "timeout"


def test_both_streams_of_the_log_come_in_the_order_of_time() -> None:
    out = "2026-01-01T00:00:01.000000000Z first\n2026-01-01T00:00:03.000000000Z third\n"
    err = "2026-01-01T00:00:02.000000000Z second\n"
    docker = Docker(lambda command, **_: (0, out, err))
    log = read_log(docker, "valkey", 2)
    assert log.lines == ("second", "third")
    assert log.age_s is not None
    assert log.age_s > 0
    assert read_log(docker, "valkey", 0).lines == ()
    assert read_log(docker, "valkey", 0).age_s is None


def test_dockers_time_has_nanoseconds() -> None:
    assert seconds_between("2026-11-23T00:59:42.246306744Z", "2026-11-23T00:59:52.246306999Z") == 10.0
    assert seconds_between("", "2026-11-23T00:59:52Z") is None


@pytest.mark.parametrize(
    ("codes", "expected"), [([0], "t0"), ([1, 0], "t1"), ([1, 1], ""), ([0, 0, 0, 0, 0], ""), ([1, 0, 0, 0, 0], "t1")]
)
def test_the_first_passed_check_is_known_while_it_is_in_the_log(codes: list[int], expected: str) -> None:
    log = [{"ExitCode": code, "End": f"t{number}"} for number, code in enumerate(codes)]
    assert parse("x", {"State": {"Health": {"Log": log}}}).first_healthy_at == expected


def test_checks_from_before_a_restart_do_not_count() -> None:
    # From engine 20.10.24: `docker restart` keeps the log.
    log = [
        {"Start": "2026-11-23T01:31:50.816427042Z", "End": "2026-11-23T01:31:50.908309707Z", "ExitCode": 0},
        {"Start": "2026-11-23T01:31:51.936416003Z", "End": "2026-11-23T01:31:52.029432848Z", "ExitCode": 0},
        {"Start": "2026-11-23T01:31:54.357850995Z", "End": "2026-11-23T01:31:54.449237964Z", "ExitCode": 0},
    ]
    state = {"StartedAt": "2026-11-23T01:31:53.355715132Z", "Health": {"Log": log}}
    seen = parse("x", {"State": state})
    assert seconds_between(seen.started_at, seen.first_healthy_at) == 1.1
    assert parse("x", {"State": {**state, "Health": {"Log": log[:2]}}}).first_healthy_at == ""


def test_the_state_is_reported_without_possible_secrets() -> None:
    assert isinstance(RUNNING, Container)
    assert set(RUNNING.state) == {"status", "health", "exit_code", "oom_killed", "error", "restarts"}
