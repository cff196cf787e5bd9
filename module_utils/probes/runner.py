# SPDX-License-Identifier: GPL-3.0-or-later
"""Wait for a container and prove a service: when to ask, when to ask again, and when to stop."""

from __future__ import annotations

import importlib
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible.module_utils.probes.base import FINAL, Kind, Probe, ProbeError, Target, notes
from ansible.module_utils.probes.container import Container, Phase, classify, inspect
from ansible.module_utils.probes.limit import LimitReached, limited
from ansible.module_utils.shared.docker import Docker

# Pauses between two looks, in seconds: short at first for what is nearly there, longer for what is not.
FIRST_PAUSE_S = 0.2
LAST_PAUSE_S = 2.0
# A look at a container starts a docker process, so it is worth less haste on a machine where eight services start.
LAST_LOOK_S = 1.0
# How long a port may refuse while its container is healthy: time to open a second port, not more.
REFUSED_GRACE_S = 5.0
# A service may answer with pages of text.
MESSAGE_LENGTH = 600


@dataclass
class Clock:
    """Time that a test can replace. Seconds of a clock that never goes back."""

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


@dataclass(frozen=True)
class ProbeResult:
    """How a probe ended; `latency_ms` is the last attempt's."""

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
    """How waiting for a container ended: `phase` STARTING means that the deadline came first."""

    phase: Phase
    why: str
    container: Container | None


@dataclass(frozen=True)
class RunResult:
    """How the probes ended. `stopped` is what ended the container meanwhile, else empty."""

    results: list[ProbeResult]
    container: Container | None
    stopped: str = ""
    unpublished: list[int] = field(default_factory=list)

    @property
    def failures(self) -> list[ProbeResult]:
        """Probes that do not hold."""
        return [result for result in self.results if not result.ok]

    @property
    def first_failure(self) -> ProbeResult:
        """The one to report first: what asking again cannot mend tells more than what followed from it."""
        return min(self.failures, key=lambda result: result.kind not in FINAL)


def missing_libraries(probes: Sequence[Probe]) -> list[str]:
    """Import what the probes need; a sentence for each library that is not there."""
    problems = []
    for module, package in dict.fromkeys(probe.LIBRARY for probe in probes if probe.LIBRARY):
        try:
            importlib.import_module(module)
        except ImportError as error:
            users = ", ".join(sorted({probe.TYPE for probe in probes if (module, package) == probe.LIBRARY}))
            problems.append(f"the Python package {package} is missing for {sys.executable} ({users}): {error}")
    return problems


def wait_healthy(docker: Docker, name: str, until: float, clock: Clock) -> Wait:
    """Look at the container until it is healthy, has failed, or the time `until` has come; raises DockerError."""
    pause, restarts = FIRST_PAUSE_S, None
    while True:
        container = inspect(docker, name)
        if container is None:
            return Wait(Phase.FAILED, "does not exist", None)
        restarts = container.restarts if restarts is None else restarts
        phase, why = classify(container, restarts)
        left = until - clock.now()
        if phase is not Phase.STARTING or left <= 0:
            return Wait(phase, why, container)
        clock.sleep(min(pause, left))
        pause = min(pause * 1.5, LAST_LOOK_S)


def run_probe(probe: Probe, target: Target, attempts: int, limit_s: float, clock: Clock) -> ProbeResult:
    """Put one probe once, for at most `limit_s` seconds."""
    begun = clock.now()
    kind: Kind | None
    try:
        with limited(limit_s):
            message, kind = probe.run(target), None
    except ProbeError as failure:
        message, kind = "; and ".join([failure.message, *notes(failure)]), failure.kind
    except LimitReached as reached:
        message, kind = "; and ".join([f"no answer within {limit_s:g} s", *notes(reached)]), Kind.TIMEOUT
    # A client library met something that it does not expect; whatever it is, the probe did not hold.
    except Exception as error:
        message, kind = "; and ".join([f"{type(error).__name__}: {error}", *notes(error)]), Kind.ANSWER
    if len(message) > MESSAGE_LENGTH:
        message = f"{message[:MESSAGE_LENGTH]}…"
    return ProbeResult(probe.title, kind is None, round((clock.now() - begun) * 1000, 1), message, attempts, kind)


def run_probes(
    probes: Sequence[Probe],
    target: Target,
    until: float,
    look: Callable[[], tuple[Container | None, str]],
    clock: Clock,
) -> RunResult:
    """Put all probes, and those that fail again until the time `until`, unless asking again cannot help.

    Every probe is put at least once, so that the result names all that is wrong. `look` tells the container's present
    state, and what ended it where it has ended.
    """
    results: list[ProbeResult | None] = [None] * len(probes)
    pause, refused_since = FIRST_PAUSE_S, None
    while True:
        for place, probe in enumerate(probes):
            before = results[place]
            if before is None or not before.ok:
                limit_s = probe.REQUESTS * target.timeout_s
                limit_s = min(limit_s, max(target.timeout_s, until - clock.now()))
                results[place] = run_probe(probe, target, before.attempts + 1 if before else 1, limit_s, clock)
        done = [result for result in results if result]
        kinds = {result.kind for result in done if not result.ok}
        if not kinds:
            return RunResult(done, None)
        container, stopped = look()
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
    """Ports that the container does not publish. One that publishes none may live in the host's network."""
    if container is None or not container.host_ports:
        return []
    return sorted(set(target.ports.values()) - container.host_ports)
