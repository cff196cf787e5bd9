# SPDX-License-Identifier: GPL-3.0-or-later
"""Test that acknowledged records still exist: without an interruption, and after the interruptions that a site allows.

SIGKILL ends a process, not the kernel: what the kernel has not written to the disk yet survives it. What a power
failure would lose cannot be shown this way; the sync setting that is reported beside each result decides it.
"""

from __future__ import annotations

import contextlib
import shlex
import subprocess
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ansible.module_utils.validation.model import PLATFORM, FailedError, Passed, SkippedError, until
from ansible.module_utils.validation.records import STORES, Store, compare
from ansible.module_utils.validation.stack import Service, Stack

# Docker restarts a stopped container after 0.1 s or more; OpenSearch takes longest to start.
READY_S = 300.0
# Seconds for the command that restarts the engine, and for the engine to answer after it.
ENGINE_S = 120.0
# Exists on a machine that systemd runs.
SYSTEMD = Path("/run/systemd/system")


def possible(_stack: Stack) -> str:
    """The interruption can be tested on every machine."""
    return ""


@dataclass(frozen=True)
class Fault:
    """An interruption: how the report names it, what it does, and why it cannot be tested here, if it cannot."""

    name: str
    sentence: str
    interrupt: Callable[[Stack, list[Service]], None]
    impossible: Callable[[Stack], str] = possible
    # Why a service is probably still down after it.
    cause: str = "the service does not start again, or needs more time than this test has"

    @property
    def test(self) -> str:
        """Id of the test that interrupts the services."""
        return f"persistence.{PLATFORM}.{self.name}"


@dataclass
class Interruption:
    """What a fault leaves for the tests of the services: the acknowledged records, or why a service has none."""

    acknowledged: dict[str, list[int]] = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)


def store_of(stack: Stack, service: Service, fault: str) -> Store:
    """The records of a service for a fault."""
    stores: dict[str, Store] = stack.shared.setdefault(f"stores {fault}", {})
    if service.name not in stores:
        stores[service.name] = STORES[service.role](service, fault)
    return stores[service.name]


def stateful(stack: Stack) -> list[Service]:
    """The services that store data."""
    return [service for service in stack.services.values() if service.role in STORES]


def stored(stack: Stack, service: Service) -> Passed:
    """Without an interruption, every acknowledged record is read back, intact and in order."""
    store = STORES[service.role](service, "stored")
    with removing(store):
        acknowledged = store.write(stack.settings.records)
        found = compare(acknowledged, store.read_all(len(acknowledged)))
        setting = store.setting()
    if not found.holds:
        raise FailedError(found.text, "the service lost a record that it had acknowledged", REMEDY)
    return Passed(f"{found.text}; {setting}", {"records": found.acknowledged, "setting": setting})


REMEDY = "stop writers, copy the data directory, and see the service's log; restore what is missing from its source"


def interrupted(fault: Fault) -> Callable[[Stack, Service], Passed]:
    """A test of the platform: it stores records in all services, interrupts them, and waits until they are back."""

    def run(stack: Stack, _service: Service) -> Passed:
        if reason := fault.impossible(stack):
            raise SkippedError(reason)
        left = stored_everywhere(stack, fault)
        services = list(stack.services.values())
        started = {service.name: started_at(service) for service in services}
        begun = time.monotonic()
        try:
            fault.interrupt(stack, services)
        except BaseException:
            for name in left.acknowledged:
                with contextlib.suppress(Exception):
                    store_of(stack, stack.services[name], fault.name).remove()
            raise
        stack.shared[fault.test] = left
        down = stack.wait_healthy(READY_S)
        spent = time.monotonic() - begun
        if down:
            raise FailedError(
                f"{spent:.0f} s after {fault.sentence}: {'; '.join(down.values())}; {started_again(stack, down)}",
                fault.cause,
                "after such an interruption run core.yml, which starts what is down; `docker logs` of a container says "
                "why it ended",
            )
        count = sum(started_at(service) != started[service.name] for service in services)
        return Passed(
            f"{count} of {len(services)} containers were restarted, and all are healthy {spent:.0f} s later",
            {"restarted": count, "healthy_after_s": round(spent, 1)},
        )

    return run


def survived(fault: Fault) -> Callable[[Stack, Service], Passed]:
    """A test of one service: it reads back the records that were acknowledged before the fault."""

    def run(stack: Stack, service: Service) -> Passed:
        left: Interruption | None = stack.shared.get(fault.test)
        if left is None:
            raise SkippedError(fault.impossible(stack) or f"there was no interruption; see {fault.test}")
        if service.name in left.problems:
            raise FailedError(left.problems[service.name])
        store = store_of(stack, service, fault.name)
        setting = left.settings[service.name]
        with removing(store):
            found = compare(left.acknowledged[service.name], store.read_all(stack.settings.records))
        stack.durability.append(
            {
                "service": service.name,
                "fault": fault.name,
                "acknowledged": found.acknowledged,
                "lost": len(found.lost) + len(found.damaged),
                "extra": len(found.extra),
                "out_of_order": found.out_of_order,
                "setting": setting,
                "profile": stack.settings.durability,
            }
        )
        if not found.holds:
            raise FailedError(
                f"after {fault.sentence}: {found.text}; {setting}",
                "the service acknowledges before the record is safe, or something removed it meanwhile",
                "set core_durability: durable, " + REMEDY,
            )
        return Passed(f"after {fault.sentence}: {found.text}; {setting}", {"setting": setting})

    return run


def stored_everywhere(stack: Stack, fault: Fault) -> Interruption:
    """Store records in all services that keep data."""
    left = Interruption()
    for service in stateful(stack):
        store = store_of(stack, service, fault.name)
        try:
            acknowledged, setting = store.write(stack.settings.records), store.setting()
        # Whatever a library raises, the other services are still tested.
        except Exception as error:
            left.problems[service.name] = f"the records cannot be stored: {' '.join(str(error).split())[:300]}"
            with contextlib.suppress(Exception):
                store.remove()
        else:
            left.acknowledged[service.name], left.settings[service.name] = acknowledged, setting
    return left


def started_again(stack: Stack, down: Collection[str]) -> str:
    """Start what an interruption left down, so that no service stays down and every record is counted."""
    stack.docker.attempt("start", *(stack.services[name].container for name in down), timeout_s=120)
    left = stack.wait_healthy(READY_S)
    return f"this test cannot start them either: {'; '.join(left.values())}" if left else "this test has started them"


def started_at(service: Service) -> str:
    """When the service's container was started."""
    return service.seen.started_at if service.seen else ""


@contextlib.contextmanager
def removing(store: Store) -> Iterator[None]:
    """Remove the records afterwards, whatever happens; the first error is raised."""
    try:
        yield
    except BaseException:
        with contextlib.suppress(Exception):
            store.remove()
        raise
    store.remove()


def restart(stack: Stack, services: list[Service]) -> None:
    """Stop every container within its grace period, and start it again."""
    grace = max(int(service.record["stop"]["grace_s"]) for service in services)
    names = [service.container for service in services]
    code, _out, err = stack.docker.attempt("restart", "--time", str(grace), *names, timeout_s=grace + 120)
    if code != 0:
        raise FailedError(f"the containers cannot be restarted: {err.strip()[-300:]}")


def kill(stack: Stack, services: list[Service]) -> None:
    """Kill every container's processes, right after the last acknowledgement, and start it again."""
    names = [service.container for service in services]
    killed, _out, problem = stack.docker.attempt("kill", "--signal", "KILL", *names, timeout_s=60)
    # The engine does not restart a container that was killed by its API.
    started, _out, other = stack.docker.attempt("start", *names, timeout_s=120)
    if killed or started:
        raise FailedError(f"the containers cannot be killed and started: {' '.join((problem + other).split())[-300:]}")


def down(stack: Stack, services: list[Service]) -> None:
    """Remove every container with Compose, and create them again from the same files.

    A run that is limited to some services leaves the others alone, which `down` would not.
    """
    names = [service.name for service in services]
    if set(names) >= set(stack.compose("config", "--services").split()):
        stack.compose("down", "--timeout", "120", timeout_s=400)
    else:
        stack.compose("rm", "--stop", "--force", *names, timeout_s=400)
    stack.compose("up", "--detach", "--no-deps", "--pull", "never", *names, timeout_s=400)


def engine(stack: Stack, _services: list[Service]) -> None:
    """Restart the engine with the site's command, and wait until it answers."""
    command = list(stack.settings.engine_command)
    line = shlex.join(command)
    start = f"start the engine by hand, and see its log; core_validate_engine_command restarts it (now `{line}`)"
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=ENGINE_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise FailedError(f"`{line}` cannot be run: {error}", "the engine was not restarted", start) from None
    if done.returncode != 0:
        raise FailedError(f"`{line}` failed: {done.stderr.strip()[-300:]}", "the engine was not restarted", start)
    if not until(lambda: answers(stack), ENGINE_S, 0.3):
        raise FailedError(f"the engine does not answer {ENGINE_S:g} s after `{line}`", "it did not start again", start)


def answers(stack: Stack) -> bool:
    """Whether the engine answers."""
    code, _out, _err = stack.docker.attempt("version", timeout_s=10)
    return code == 0


def without_systemd(stack: Stack) -> str:
    """Why the command cannot restart the engine of this machine."""
    if stack.settings.engine_command[:1] != ("systemctl",) or SYSTEMD.is_dir():
        return ""
    return (
        "not tested, because this machine has no systemd; core_validate_engine_command may name another command that "
        "restarts the engine"
    )


FAULTS = (
    Fault("restart", "a graceful restart", restart),
    Fault("kill", "SIGKILL and a start", kill),
    Fault("down", "`docker compose down` and up", down),
)
# https://github.com/moby/moby/issues/41302
ENGINE = Fault(
    "engine",
    "a restart of the engine",
    engine,
    without_systemd,
    "an engine that was killed stops the containers that it finds at its next start, and then treats them as stopped "
    "by hand, which the restart policy `unless-stopped` respects",
)
