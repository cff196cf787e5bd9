# SPDX-License-Identifier: GPL-3.0-or-later
"""Wait for a container and prove a service: when to ask, when to ask again, and when to stop."""

from __future__ import annotations

import importlib
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible.module_utils.probes.check import FINAL, Check, CheckError, Kind, Target, notes
from ansible.module_utils.probes.container import Container, Phase, inspect, judge
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
class Outcome:
    """How a check ended; `latency_ms` is the last attempt's."""

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
class Proof:
    """How the checks ended. `stopped` is what ended the container meanwhile, else empty."""

    outcomes: list[Outcome]
    container: Container | None
    stopped: str = ""
    unpublished: list[int] = field(default_factory=list)

    @property
    def failures(self) -> list[Outcome]:
        """Checks that do not hold."""
        return [outcome for outcome in self.outcomes if not outcome.ok]

    @property
    def first_failure(self) -> Outcome:
        """The one to report first: what asking again cannot mend tells more than what followed from it."""
        return min(self.failures, key=lambda outcome: outcome.kind not in FINAL)


def missing_libraries(checks: Sequence[Check]) -> list[str]:
    """Import what the checks need; a sentence for each library that is not there."""
    problems = []
    for module, package in dict.fromkeys(check.LIBRARY for check in checks if check.LIBRARY):
        try:
            importlib.import_module(module)
        except ImportError as error:
            users = ", ".join(sorted({check.TYPE for check in checks if (module, package) == check.LIBRARY}))
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
        phase, why = judge(container, restarts)
        left = until - clock.now()
        if phase is not Phase.STARTING or left <= 0:
            return Wait(phase, why, container)
        clock.sleep(min(pause, left))
        pause = min(pause * 1.5, LAST_LOOK_S)


def ask(check: Check, target: Target, attempts: int, limit_s: float, clock: Clock) -> Outcome:
    """Put one check once, for at most `limit_s` seconds."""
    begun = clock.now()
    kind: Kind | None
    try:
        with limited(limit_s):
            message, kind = check.run(target), None
    except CheckError as failure:
        message, kind = "; and ".join([failure.message, *notes(failure)]), failure.kind
    except LimitReached as reached:
        message, kind = "; and ".join([f"no answer within {limit_s:g} s", *notes(reached)]), Kind.SILENCE
    # A client library met something that it does not expect; whatever it is, the check did not hold.
    except Exception as error:
        message, kind = "; and ".join([f"{type(error).__name__}: {error}", *notes(error)]), Kind.ANSWER
    if len(message) > MESSAGE_LENGTH:
        message = f"{message[:MESSAGE_LENGTH]}…"
    return Outcome(check.title, kind is None, round((clock.now() - begun) * 1000, 1), message, attempts, kind)


def prove(
    checks: Sequence[Check],
    target: Target,
    until: float,
    look: Callable[[], tuple[Container | None, str]],
    clock: Clock,
) -> Proof:
    """Put all checks, and those that fail again until the time `until`, unless asking again cannot help.

    Every check is put at least once, so that the result names all that is wrong. `look` tells the container's present
    state, and what ended it where it has ended.
    """
    outcomes: list[Outcome | None] = [None] * len(checks)
    pause, refused_since = FIRST_PAUSE_S, None
    while True:
        for place, check in enumerate(checks):
            before = outcomes[place]
            if before is None or not before.ok:
                limit_s = check.QUESTIONS * target.timeout_s
                limit_s = min(limit_s, max(target.timeout_s, until - clock.now()))
                outcomes[place] = ask(check, target, before.attempts + 1 if before else 1, limit_s, clock)
        done = [outcome for outcome in outcomes if outcome]
        kinds = {outcome.kind for outcome in done if not outcome.ok}
        if not kinds:
            return Proof(done, None)
        container, stopped = look()
        unpublished = _unpublished(target, container) if Kind.REFUSED in kinds else []
        if stopped or unpublished or kinds & FINAL:
            return Proof(done, container, stopped, unpublished)
        if Kind.REFUSED in kinds and container:
            refused_since = clock.now() if refused_since is None else refused_since
            if clock.now() - refused_since >= REFUSED_GRACE_S:
                return Proof(done, container)
        else:
            refused_since = None
        if clock.now() + pause >= until:
            return Proof(done, container)
        clock.sleep(pause)
        pause = min(pause * 2, LAST_PAUSE_S)


def _unpublished(target: Target, container: Container | None) -> list[int]:
    """Ports that the container does not publish. One that publishes none may live in the host's network."""
    if container is None or not container.host_ports:
        return []
    return sorted(set(target.ports.values()) - container.host_ports)
