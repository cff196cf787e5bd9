# SPDX-License-Identifier: GPL-3.0-or-later
"""Test that acknowledged records still exist: without an interruption, and after those that a site consents to.

SIGKILL ends a process, not the kernel: what the kernel has not written to the disk yet survives it. What a power
failure would lose cannot be shown this way; the sync setting that is reported beside each result decides it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ansible.module_utils.validation.model import FailedError, Passed, SkippedError
from ansible.module_utils.validation.records import STORES, Store, compare
from ansible.module_utils.validation.stack import Service, Stack

# Docker restarts a stopped container after 0.1 s or more; OpenSearch takes longest to start.
READY_S = 300.0


@dataclass(frozen=True)
class Fault:
    """An interruption: its name in the report, what it does, and how often it is applied to each service."""

    name: str
    sentence: str
    interrupt: Callable[[Stack, list[Service]], None]


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


def interrupted(fault: Fault, first: bool) -> Callable[[Stack, Service], Passed]:
    """A test of one service; the first of a group writes to all services and interrupts them."""

    def run(stack: Stack, service: Service) -> Passed:
        if first:
            interruption(stack, fault)
        elif f"interrupted {fault.name}" not in stack.shared:
            raise SkippedError(f"{fault.sentence} failed")
        problem: dict[str, str] = stack.shared[f"problems {fault.name}"]
        if service.name in problem:
            raise FailedError(problem[service.name])
        store = store_of(stack, service, fault.name)
        acknowledged: list[int] = stack.shared[f"acknowledged {fault.name}"][service.name]
        setting = stack.shared[f"settings {fault.name}"][service.name]
        with removing(store):
            service.wait_healthy(READY_S)
            found = compare(acknowledged, store.read_all(len(acknowledged)))
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


def interruption(stack: Stack, fault: Fault) -> None:
    """Store records in all services, interrupt them, and record what each acknowledged."""
    acknowledged: dict[str, list[int]] = {}
    settings: dict[str, str] = {}
    problems: dict[str, str] = {}
    for key, value in (("acknowledged", acknowledged), ("settings", settings), ("problems", problems)):
        stack.shared[f"{key} {fault.name}"] = value
    ready = []
    for service in stateful(stack):
        store = store_of(stack, service, fault.name)
        try:
            acknowledged[service.name] = store.write(stack.settings.records)
            settings[service.name] = store.setting()
            ready.append(service)
        # Whatever a library raises, the other services are still tested.
        except Exception as error:
            problems[service.name] = f"the records cannot be stored: {' '.join(str(error).split())[:300]}"
    try:
        fault.interrupt(stack, list(stack.services.values()))
    except FailedError:
        for service in ready:
            with contextlib.suppress(Exception):
                store_of(stack, service, fault.name).remove()
        raise
    # Services without data must be healthy again as well.
    for service in stack.services.values():
        service.wait_healthy(READY_S)
    stack.shared[f"interrupted {fault.name}"] = True


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


def engine(_stack: Stack, _services: list[Service]) -> None:
    """Restart the engine by systemd."""
    import subprocess

    if not Path("/run/systemd/system").is_dir():
        raise SkippedError("the engine is not run by systemd, so it cannot be restarted from here")
    done = subprocess.run(["systemctl", "restart", "docker"], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise FailedError(f"`systemctl restart docker` failed: {done.stderr.strip()}")


FAULTS = (
    Fault("restart", "a graceful restart", restart),
    Fault("kill", "SIGKILL and a start", kill),
    Fault("down", "`docker compose down` and up", down),
)
ENGINE = Fault("engine", "a restart of the engine", engine)
