# SPDX-License-Identifier: GPL-3.0-or-later
"""Which probes are repeated, for how long, and what ends the repetition."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pytest
from ansible.module_utils.probes.base import Kind, Probe, ProbeError, Target
from ansible.module_utils.probes.container import Container
from ansible.module_utils.probes.runner import Clock, RunResult, missing_libraries, run_probe, run_probes
from probe_fakes import FakeClock

RUNNING = Container("x", "running", "healthy", 0, False, "", 0, "", frozenset({6379}))


@dataclass(frozen=True, kw_only=True)
class Scripted(Probe):
    """Follows its script; the last line is repeated."""

    TYPE: ClassVar[str] = "scripted"
    script: list[Any] = field(default_factory=list)
    seen: list[int] = field(default_factory=list)

    def run(self, target: Target) -> str:
        step = self.script[min(len(self.seen), len(self.script) - 1)]
        self.seen.append(1)
        if isinstance(step, BaseException):
            raise step
        if callable(step):
            return str(step())
        return str(step)


def scripted(*script: Any, name: str = "") -> Scripted:
    return Scripted(script=list(script), name=name)


def run(*probes: Probe, seconds: float = 60, inspect: Callable[[], Any] | None = None) -> tuple[RunResult, float]:
    clock = FakeClock()
    target = Target("127.0.0.1", {"client": 6379}, Path("/nonexistent"), 1.0)
    ended = run_probes(probes, target, clock.now() + seconds, inspect or (lambda: (RUNNING, "")), clock)
    return ended, clock.now() - 1000


def test_a_probe_that_passes_runs_once() -> None:
    probe = scripted("fine")
    ended, took = run(probe)
    assert (ended.failures, len(probe.seen), took) == ([], 1, 0)
    assert ended.results[0].as_dict().keys() == {"name", "ok", "latency_ms", "message", "attempts"}


def test_only_failed_probes_are_repeated() -> None:
    good, late = scripted("fine"), scripted(ProbeError("not yet"), ProbeError("not yet"), "now")
    ended, _ = run(good, late)
    assert ended.failures == []
    assert [result.attempts for result in ended.results] == [1, 3]


def test_the_ready_timeout_ends_the_probes_with_the_last_message() -> None:
    ended, took = run(scripted(ProbeError("first"), ProbeError("last")), seconds=10)
    assert [result.message for result in ended.failures] == ["last"]
    assert 7 < took <= 10


def test_every_probe_runs_once_even_if_the_time_is_up() -> None:
    first, second = scripted(ProbeError("no")), scripted("fine")
    ended, _ = run(first, second, seconds=0)
    assert [result.ok for result in ended.results] == [False, True]


@pytest.mark.parametrize("kind", [Kind.AUTH, Kind.MISMATCH, Kind.CONFIG])
def test_a_failure_that_a_repetition_cannot_change_ends_the_run_and_is_reported_first(kind: Kind) -> None:
    late = scripted(ProbeError("slow", Kind.TIMEOUT), name="late")
    ended, took = run(late, scripted(ProbeError("wrong", kind), name="wrong"))
    assert took == 0
    assert ended.first_failure.name == "wrong"
    assert [result.name for result in ended.failures] == ["late", "wrong"]


def test_a_container_that_stops_ends_it() -> None:
    ended, took = run(
        scripted(ProbeError("cut", Kind.TIMEOUT)), inspect=lambda: (RUNNING, "has stopped with exit code 1")
    )
    assert (ended.stopped, took) == ("has stopped with exit code 1", 0)


def test_a_port_that_is_not_published_ends_it() -> None:
    other = Container("x", "running", "healthy", 0, False, "", 0, "", frozenset({6380}))
    ended, took = run(scripted(ProbeError("refused", Kind.REFUSED)), inspect=lambda: (other, ""))
    assert (ended.unpublished, took) == ([6379], 0)


def test_a_refused_port_of_a_healthy_container_ends_it_soon() -> None:
    ended, took = run(scripted(ProbeError("refused", Kind.REFUSED)))
    assert ended.failures
    assert 5 <= took < 10


def test_a_refused_port_without_a_container_is_waited_for() -> None:
    ended, took = run(scripted(*[ProbeError("refused", Kind.REFUSED)] * 8, "up"), inspect=lambda: (None, ""))
    assert ended.failures == []
    assert took > 5


def test_an_exception_of_a_library_is_a_failure_without_a_traceback() -> None:
    ended, _ = run(scripted(ZeroDivisionError("odd")), seconds=0)
    assert ended.failures[0].message == "ZeroDivisionError: odd"


def test_a_probe_is_cut_off_at_its_limit() -> None:
    target = Target("127.0.0.1", {}, Path("/nonexistent"), 0.1)
    result = run_probe(scripted(lambda: time.sleep(5)), target, 1, 0.1, Clock())
    assert (result.kind, result.message) == (Kind.TIMEOUT, "no answer within 0.1 s")
    assert result.latency_ms < 2000


def test_a_leftover_is_reported_with_the_failure() -> None:
    error = ProbeError("lost")
    error.add_note("the table t may be left over: drop it")
    ended, _ = run(scripted(error), seconds=0)
    assert ended.failures[0].message == "lost; and the table t may be left over: drop it"


def test_a_long_message_is_shortened() -> None:
    ended, _ = run(scripted(ProbeError("x" * 5000)), seconds=0)
    assert len(ended.failures[0].message) < 700


def test_a_missing_library_is_named_with_its_package() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Needs(Scripted):
        TYPE: ClassVar[str] = "needs"
        LIBRARY: ClassVar[tuple[str, str] | None] = ("no_such_module", "no-such-package")

    (problem,) = missing_libraries([Needs(), Needs(), scripted()])
    assert "no-such-package is missing" in problem
    assert "(needs)" in problem
