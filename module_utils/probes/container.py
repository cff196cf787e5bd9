# SPDX-License-Identifier: GPL-3.0-or-later
"""The state of a container as Docker reports it, and whether it is worth waiting for the container."""

from __future__ import annotations

import datetime
import enum
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible.module_utils.shared.docker import Docker, DockerError

# Seconds for one docker command; a loaded engine needs up to a few.
DOCKER_TIMEOUT_S = 30
# Exit codes of timeout(1): time limit reached; the command cannot be run, or was not found.
TIMED_OUT = 124
NOT_RUN = (126, 127)
# Restarts that count as a loop. One or two may be due to a dependency that started late.
LOOP_RESTARTS = 3
HEALTH_LOG_LENGTH = 300
# Results of health checks that the engine keeps for a container.
HEALTH_LOG_ENTRIES = 5
FRACTION = re.compile(r"\.(\d{1,6})\d*")


class Phase(enum.Enum):
    """Whether it is worth waiting."""

    HEALTHY = "healthy"
    STARTING = "starting"
    FAILED = "failed"


@dataclass(frozen=True)
class Container:
    """A container as `docker inspect` shows it."""

    name: str
    status: str
    health: str  # "" if neither its image nor its definition has a health check
    exit_code: int
    out_of_memory: bool
    error: str
    restarts: int
    started_at: str
    host_ports: frozenset[int] = frozenset()
    health_log: tuple[str, ...] = ()
    # When the engine's health check passed for the first time; "" if that is no longer in its log.
    first_healthy_at: str = ""
    # When the engine runs its next health check; "" if that is not known.
    next_check_at: str = ""
    # The image by its reference and by its id.
    image: str = ""
    image_id: str = ""

    @property
    def state(self) -> dict[str, Any]:
        """For the module's result."""
        return {
            "status": self.status,
            "health": self.health,
            "exit_code": self.exit_code,
            "oom_killed": self.out_of_memory,
            "error": self.error,
            "restarts": self.restarts,
        }


def parse(name: str, document: Mapping[str, Any]) -> Container:
    """Read the JSON of `docker inspect`."""
    state = document.get("State") or {}
    health = state.get("Health") or {}
    bindings = ((document.get("NetworkSettings") or {}).get("Ports") or {}).values()
    return Container(
        name=name,
        status=str(state.get("Status", "")),
        health="" if health.get("Status") == "none" else str(health.get("Status") or ""),
        exit_code=int(state.get("ExitCode") or 0),
        out_of_memory=bool(state.get("OOMKilled")),
        error=str(state.get("Error") or ""),
        restarts=int(document.get("RestartCount") or 0),
        started_at=str(state.get("StartedAt") or ""),
        host_ports=frozenset(
            int(one["HostPort"]) for binding in bindings for one in binding or [] if one.get("HostPort")
        ),
        health_log=tuple(
            f"exit code {entry.get('ExitCode')}: {' '.join(str(entry.get('Output') or '').split())[:HEALTH_LOG_LENGTH]}"
            for entry in health.get("Log") or []
        ),
        first_healthy_at=first_success(health.get("Log") or [], str(state.get("StartedAt") or "")),
        next_check_at=next_check(document),
        image=str((document.get("Config") or {}).get("Image") or ""),
        image_id=str(document.get("Image") or ""),
    )


def next_check(document: Mapping[str, Any]) -> str:
    """When the engine runs its next health check: an interval after the start, or after the end of the last check."""
    interval_ns = ((document.get("Config") or {}).get("Healthcheck") or {}).get("Interval") or 0
    state = document.get("State") or {}
    started = str(state.get("StartedAt") or "")
    log = (state.get("Health") or {}).get("Log") or []
    last = str(log[-1].get("End") or "") if log else ""
    since = last if (seconds_between(started, last) or 0) > 0 else started
    try:
        return (_moment(since) + datetime.timedelta(microseconds=interval_ns / 1000)).isoformat() if interval_ns else ""
    except (TypeError, ValueError):
        return ""


def first_success(log: Sequence[Mapping[str, Any]], started_at: str) -> str:
    """End of the first health check that passed since the start; "" if the engine's log may no longer contain it.

    The log survives a restart of the container, so it may begin with checks from before the restart.
    """
    since = [entry for entry in log if (seconds_between(started_at, str(entry.get("Start") or "")) or 0) >= 0]
    complete = len(since) < len(log) or len(log) < HEALTH_LOG_ENTRIES
    for position, entry in enumerate(since):
        if entry.get("ExitCode") == 0:
            return str(entry.get("End") or "") if complete or position > 0 else ""
    return ""


def classify(container: Container, restarts_before: int) -> tuple[Phase, str]:
    """Whether to continue waiting, and the reason. `restarts_before` is the count when waiting began."""
    if container.status == "restarting" and container.restarts >= LOOP_RESTARTS:
        return Phase.FAILED, f"restarts in a loop ({container.restarts} times, last with {_exit(container)})"
    if container.restarts - restarts_before >= LOOP_RESTARTS:
        return (
            Phase.FAILED,
            f"restarts in a loop ({container.restarts - restarts_before} times while this run waited)",
        )
    if container.status in ("exited", "dead"):
        return Phase.FAILED, f"has stopped with {_exit(container)}"
    if container.status == "created":
        return Phase.FAILED, f"was created but never started{f': {container.error}' if container.error else ''}"
    if container.status in ("paused", "removing"):
        return Phase.FAILED, f"is {container.status}"
    if container.status != "running":
        return Phase.STARTING, f"is {container.status}"
    if container.health == "unhealthy":
        last = f"; its last check: {container.health_log[-1]}" if container.health_log else ""
        return Phase.FAILED, f"is unhealthy{last}"
    if container.health in ("healthy", ""):
        return Phase.HEALTHY, "is healthy" if container.health else "is running (it has no health check)"
    return Phase.STARTING, f"is not healthy yet ({container.health})"


def inspect(docker: Docker, name: str) -> Container | None:
    """The container, or None if there is none; raises DockerError."""
    code, out, err = docker.attempt("container", "inspect", name, timeout_s=DOCKER_TIMEOUT_S)
    if code == 0:
        return parse(name, json.loads(out)[0])
    if "no such container" in err.lower():
        return None
    if code in NOT_RUN:
        raise DockerError(
            f"`docker` cannot be run ({err.strip()}). Install the Docker engine, or run `make setup` here."
        )
    why = f"no answer within {DOCKER_TIMEOUT_S} s" if code == TIMED_OUT else err.strip()
    raise DockerError(f"`docker container inspect {name}` failed: {why}")


@dataclass(frozen=True)
class Log:
    """The end of a container's log, and when the newest line was written; "" if that is not known."""

    lines: tuple[str, ...] = ()
    newest: str = ""

    @property
    def age_s(self) -> float | None:
        """Seconds since the newest line; None if that is not known."""
        return seconds_between(self.newest, datetime.datetime.now(datetime.UTC).isoformat())


def read_log(docker: Docker, name: str, count: int) -> Log:
    """The last `count` lines of the container's log, both streams in the order of time."""
    if count <= 0:
        return Log()
    code, out, err = docker.attempt("logs", "--timestamps", "--tail", str(count), name, timeout_s=DOCKER_TIMEOUT_S)
    if code != 0:
        return Log((f"(the log cannot be read: {err.strip() or f'exit code {code}'})",))
    stamped = sorted(line for line in [*out.splitlines(), *err.splitlines()] if line)[-count:]
    return Log(tuple(line.partition(" ")[2] for line in stamped), stamped[-1].partition(" ")[0] if stamped else "")


def seconds_until(moment: str) -> float | None:
    """Seconds from now until one of Docker's timestamps, negative if it has passed; None if it is not a time."""
    return seconds_between(datetime.datetime.now(datetime.UTC).isoformat(), moment)


def seconds_between(start: str, end: str) -> float | None:
    """Seconds between two of Docker's timestamps; None if one is not a time."""
    try:
        return round((_moment(end) - _moment(start)).total_seconds(), 1)
    except (TypeError, ValueError):
        return None


def _moment(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(FRACTION.sub(r".\1", text).replace("Z", "+00:00"))


def _exit(container: Container) -> str:
    if container.out_of_memory:
        return f"exit code {container.exit_code}, killed because memory ran out"
    return f"exit code {container.exit_code}{f' ({container.error})' if container.error else ''}"
