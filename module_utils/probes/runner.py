# SPDX-License-Identifier: GPL-3.0-or-later
"""Wait for a container and run the probes of its service: when to start, when to repeat, when to stop."""

from __future__ import annotations

import importlib
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible.module_utils.probes.base import FINAL, Kind, Probe, ProbeError, Target, notes
from ansible.module_utils.probes.container import Container, Phase, classify, inspect, seconds_until
from ansible.module_utils.probes.limit import LimitReached, limited
from ansible.module_utils.shared.docker import Docker

# Seconds between two attempts: short at first, for a service that is almost ready, then longer.
FIRST_PAUSE_S = 0.2
LAST_PAUSE_S = 2.0
# Inspecting a container starts a docker process, which costs time on a machine where eight services are starting.
LAST_INSPECTION_S = 1.0
# Seconds that an engine's health check takes, about.
CHECK_S = 0.1
# How long a port may refuse connections although its container is healthy: enough to open a second port.
REFUSED_GRACE_S = 5.0
# Longest message of a result; a service may answer with pages of text.
MESSAGE_LENGTH = 600


@dataclass
class Clock:
    """A monotonic clock, in seconds, that a test can replace."""

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


@dataclass(frozen=True)
class ProbeResult:
    """The result of a probe; `latency_ms` is that of the last attempt."""

    name: str
    ok: bool
    latency_ms: float
    message: str
    attempts: int
    kind: Kind | None = None

    def as_dict(self) -> dict[str, Any]:
        """For the module's answer."""
        return {
            "name": self.name,
            "ok": self.ok,
            "latency_ms": self.latency_ms,
            "message": self.message,
            "attempts": self.attempts,
        }


@dataclass(frozen=True)
class Wait:
    """The result of waiting for a container; `phase` STARTING means that the time was up first."""

    phase: Phase
    why: str
    container: Container | None


@dataclass(frozen=True)
class RunResult:
    """The results of all probes. `stopped` says why the container ended meanwhile, if it did."""

    results: list[ProbeResult]
    container: Container | None
    stopped: str = ""
    unpublished: list[int] = field(default_factory=list)

    @property
    def failures(self) -> list[ProbeResult]:
        """Probes that failed."""
        return [result for result in self.results if not result.ok]

    @property
    def first_failure(self) -> ProbeResult:
        """The failure to report first: one that a repetition cannot change, because others may follow from it."""
        return min(self.failures, key=lambda result: result.kind not in FINAL)


def missing_libraries(probes: Sequence[Probe]) -> list[str]:
    """Import the libraries that the probes need; return a message for each that is missing."""
    problems = []
    for module, package in dict.fromkeys(probe.LIBRARY for probe in probes if probe.LIBRARY):
        try:
            importlib.import_module(module)
        except ImportError as error:
            users = ", ".join(sorted({probe.TYPE for probe in probes if (module, package) == probe.LIBRARY}))
            problems.append(f"the Python package {package} is missing for {sys.executable} ({users}): {error}")
    return problems


def wait_healthy(
    docker: Docker,
    name: str,
    until: float,
    clock: Clock,
    patient: bool = False,
    meanwhile: Callable[[Container], None] = lambda container: None,
) -> Wait:
    """Inspect the container until it is healthy, has failed, or `until` is reached; raises DockerError.

    `patient` waits for a container that runs and is unhealthy too: on a busy machine it may only be slow.
    `meanwhile` is called after every inspection that finds it starting.
    """
    pause, restarts = FIRST_PAUSE_S, None
    while True:
        container = inspect(docker, name)
        if container is None:
            return Wait(Phase.FAILED, "does not exist", None)
        restarts = container.restarts if restarts is None else restarts
        phase, why = classify(container, restarts)
        left = until - clock.now()
        if patient and container.status == "running" and container.health == "unhealthy":
            phase = Phase.STARTING
        if phase is not Phase.STARTING or left <= 0:
            return Wait(phase, why, container)
        meanwhile(container)
        due_s = seconds_until(container.next_check_at)
        # Just after the next check, if that is sooner. Its time is only a hint: the engine's clock may differ.
        sooner = pause if due_s is None or due_s < -LAST_PAUSE_S else max(due_s, 0.0) + CHECK_S
        clock.sleep(min(pause, sooner, max(0.0, until - clock.now())))
        pause = min(pause * 1.5, LAST_INSPECTION_S)


def try_probes(probes: Sequence[Probe], target: Target, until: float, clock: Clock) -> list[ProbeResult] | None:
    """The results if every probe passes at the first attempt; None after the first one that fails."""
    results = []
    for probe in probes:
        result = run_probe(probe, target, 1, _limit_s(probe, target, until, clock), clock)
        if not result.ok:
            return None
        results.append(result)
    return results


def _limit_s(probe: Probe, target: Target, until: float, clock: Clock) -> float:
    """How long an attempt may take that should end at the time `until`: at least one request's time."""
    return min(probe.REQUESTS * target.timeout_s, max(target.timeout_s, until - clock.now()))


def run_probe(probe: Probe, target: Target, attempts: int, limit_s: float, clock: Clock) -> ProbeResult:
    """Run one probe once, for at most `limit_s` seconds."""
    begun = clock.now()
    kind: Kind | None
    try:
        with limited(limit_s):
            message, kind = probe.run(target), None
    except ProbeError as failure:
        message, kind = "; and ".join([failure.message, *notes(failure)]), failure.kind
    except LimitReached as reached:
        message, kind = "; and ".join([f"no answer within {limit_s:g} s", *notes(reached)]), Kind.TIMEOUT
    # A client library raised an error of its own; whatever it is, the probe failed.
    except Exception as error:
        message, kind = "; and ".join([f"{type(error).__name__}: {error}", *notes(error)]), Kind.ANSWER
    if len(message) > MESSAGE_LENGTH:
        message = f"{message[:MESSAGE_LENGTH]}…"
    return ProbeResult(probe.title, kind is None, round((clock.now() - begun) * 1000, 1), message, attempts, kind)


def run_probes(
    probes: Sequence[Probe],
    target: Target,
    until: float,
    inspect_container: Callable[[], tuple[Container | None, str]],
    clock: Clock,
) -> RunResult:
    """Run all probes, and repeat those that fail until the time `until`, unless a repetition cannot succeed.

    Every probe runs at least once, so that the result names everything that is wrong. `inspect_container` returns the
    container's current state, and why it has ended if it has.
    """
    results: list[ProbeResult | None] = [None] * len(probes)
    pause, refused_since = FIRST_PAUSE_S, None
    while True:
        for place, probe in enumerate(probes):
            before = results[place]
            if before is None or not before.ok:
                limit_s = _limit_s(probe, target, until, clock)
                results[place] = run_probe(probe, target, before.attempts + 1 if before else 1, limit_s, clock)
        done = [result for result in results if result]
        kinds = {result.kind for result in done if not result.ok}
        if not kinds:
            return RunResult(done, None)
        container, stopped = inspect_container()
        unpublished = _unpublished(target, container) if Kind.REFUSED in kinds else []
        if stopped or unpublished or kinds & FINAL:
            return RunResult(done, container, stopped, unpublished)
        if Kind.REFUSED in kinds and container:
            refused_since = clock.now() if refused_since is None else refused_since
            if clock.now() - refused_since >= REFUSED_GRACE_S:
                return RunResult(done, container)
        else:
            refused_since = None
        if clock.now() + pause >= until:
            return RunResult(done, container)
        clock.sleep(pause)
        pause = min(pause * 2, LAST_PAUSE_S)


def _unpublished(target: Target, container: Container | None) -> list[int]:
    """Ports that the container does not publish. A container that publishes none may use the host's network."""
    if container is None or not container.host_ports:
        return []
    return sorted(set(target.ports.values()) - container.host_ports)
