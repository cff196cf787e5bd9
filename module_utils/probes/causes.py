# SPDX-License-Identifier: GPL-3.0-or-later
"""Likely causes of a failure, and what to do about each."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass

from ansible.module_utils.probes.base import Kind
from ansible.module_utils.probes.container import Container

# Exit code 128 + SIGKILL, for example of a process that the kernel killed because memory ran out.
KILLED = 137
# Exit codes after success, SIGINT and SIGTERM.
ENDED = (0, 130, 143)
# Processes that wait for each processor, above which a service may only be slow.
BUSY_LOAD = 2.0
# Age in seconds of the newest line of its log up to which a service is at work.
AT_WORK_S = 30.0
HEALTH_TIMEOUT = "exceeded timeout"


@dataclass(frozen=True)
class Cause:
    """A probable cause and its remedy."""

    what: str
    remedy: str


@dataclass(frozen=True)
class Strain:
    """Signs that a machine is too busy: load average, processors, and the age of the newest line of a service's log."""

    load: float
    processors: int
    log_age_s: float | None = None

    @classmethod
    def now(cls, log_age_s: float | None = None) -> Strain:
        """Of this machine."""
        return cls(os.getloadavg()[0], len(os.sched_getaffinity(0)), log_age_s)

    def cause(self, container: Container) -> Cause | None:
        """The cause of a failure of a container that runs; None without a sign."""
        signs = []
        if self.load > BUSY_LOAD * self.processors:
            signs.append(f"the load average is {self.load:.1f} on {self.processors} processors")
        late = sum(HEALTH_TIMEOUT in entry for entry in container.health_log)
        if late and self.log_age_s is not None and self.log_age_s < AT_WORK_S:
            of = len(container.health_log)
            signs.append(f"{late} of its last {of} health checks timed out while it was still writing to its log")
        if not signs:
            return None
        return Cause(
            f"the machine is overloaded, and the service may only be slow: {' and '.join(signs)}",
            "wait until the machine is less busy, or raise core_ready_timeout_factor (time to start) and "
            "core_probe_timeout_s (time for an answer); then run again",
        )


MEMORY = Cause(
    "it ran out of memory", "raise the service's memory limit, or lower what it may use (heap, cache, maxmemory)"
)

# Recognized by a line of the log, by Docker's error or by the answer. The first match counts, so causes of others come
# first: a full disk can make a file unreadable, but not the other way round.
BY_MESSAGE: tuple[tuple[Cause, tuple[str, ...]], ...] = (
    (
        Cause("the disk is full", "free some space where the service's data directory is, or move the data"),
        (
            r"no space left on device",
            r"flood-stage watermark",
            r"disk quota exceeded",
            r"not enough (?:free )?space",
            r"no free volumes left",
        ),
    ),
    (
        MEMORY,
        (
            r"(?<!on)out ?of ?memory",
            r"cannot allocate memory",
            r"can't allocate",
            r"memory_limit_exceeded",
            r"oom[- ]killed",
        ),
    ),
    (
        Cause("its port is in use", "find the process that uses it (`ss -ltnp`), or give the service another port"),
        (
            r"address (?:already )?in use",
            r"port is already allocated",
            r"failed to bind",
            r"could not bind",
        ),
    ),
    (
        Cause(
            "its limit of open files is too low", "raise the service's nofile limit, and the engine's if that is lower"
        ),
        (r"too many open files", r"max file descriptors \[\d+\].* too low"),
    ),
    (
        Cause("it writes to a read-only path of its container", "mount a volume or a tmpfs at the path in the log"),
        (r"read-only file ?system", r"\berofs\b"),
    ),
    (
        Cause(
            "it has no permission to read or write one of its directories or files",
            "run the deployment again, which makes the service's user the owner of data and secrets; "
            "on a drive without owners see docs/windows.md",
        ),
        (
            r"permission denied",
            r"access ?denied ?exception",
            r"operation not permitted",
            r"\beacces\b",
            r"not writable",
            r"could not create storage directory",
        ),
    ),
    (
        Cause(
            "its data is damaged",
            "stop the service, copy its data directory, and repair it with the service's own tool or restore a backup",
        ),
        (
            r"reading the append only file",
            r"aof manifest file (?:error|format)",
            r"wrong signature trying to load",
            r"\bcorrupt",
            r"checksum (?:mismatch|does ?n.t match)",
            r"short read or oom",
            r"unexpected end of file",
            r"truncated (?:file|index)",
            r"bad magic",
        ),
    ),
    (
        Cause(
            "its configuration is invalid",
            "correct the setting in the log message; the rendered file is in config/ below trade2026_root",
        ),
        (
            r"fatal config file error",
            r"bad directive",
            r"unknown (?:setting|field|option|property|directive|flag)",
            r"config(?:uration)?(?: file)? (?:error|is invalid|has errors)",
            r"invalid config",
            r"error parsing",
            r"parse ?error",
            r"saxparseexception",
            r"rego_(?:parse|type)_error",
            r"yaml: ",
            r"unrecognized argument",
        ),
    ),
    (
        Cause(
            "a password differs from the one that the service uses",
            "run the deployment again, so that the service gets the password below the secrets root; "
            "in a database, the password may have to be changed with SQL",
        ),
        (
            r"wrongpass",
            r"\bnoauth\b",
            r"authorization violation",
            r"authentication.?failed",
            r"invalid username/password",
            r"invalidaccesskeyid",
            r"signaturedoesnotmatch",
            r"password is incorrect",
        ),
    ),
    # Near the end, because services log this advice at every start if the value is slightly low.
    (
        Cause(
            "the kernel allows too few memory maps",
            "set vm.max_map_count to the value that the service requires (sysctl, on the host)",
        ),
        (r"max virtual memory areas.* too low", r"max_map_count.* too low"),
    ),
    (
        Cause(
            "the image cannot run here",
            "check its platform and its entrypoint (`docker image inspect`), and build or pull it again",
        ),
        (
            r"exec format error",
            r"executable file not found",
            r"no such file or directory: unknown",
            r"exec \S+ failed: no such file",  # from tini, which `init: true` starts first
        ),
    ),
)

BY_KIND = {
    Kind.AUTH: Cause(
        "the service uses other credentials than those below the secrets root",
        "run the deployment again so that it reads them, or write the right ones to the file that the probe names",
    ),
    Kind.UNEXPECTED_ACCESS: Cause(
        "the service accepts clients that it should reject",
        "close its port until authentication is on, then run the deployment again",
    ),
    Kind.MISMATCH: Cause(
        "it runs with an older configuration, or something changed it",
        "run the deployment again; if it persists, compare the rendered configuration with the declared value",
    ),
    Kind.CONFIG: Cause("the probe cannot run", "correct what the message names"),
}

NOBODY = Cause(
    "the service is not running, or listens on another address or port", "start it, or correct its address and ports"
)
SILENT = Cause(
    "the service does not answer on its port, or is slower than the timeout",
    "check that the service listens on all addresses of its container and is not overloaded (`docker stats`); "
    "on a slow machine raise core_probe_timeout_s",
)
STOPPED = Cause("it was stopped, or exited without an error", "run the deployment, which starts it again")
SLOW = Cause(
    "it starts more slowly than its ready timeout, or it waits for something",
    "see the log; on a slow machine raise core_ready_timeout_factor",
)
UNKNOWN = Cause("not known", "see the log lines, and `docker logs` for the rest")

_COMPILED = [(re.compile("|".join(patterns), re.IGNORECASE), cause) for cause, patterns in BY_MESSAGE]


def likely_cause(
    kind: Kind | None,
    message: str,
    container: Container | None,
    log: Iterable[str],
    *,
    starting: bool = False,
    strain: Strain | None = None,
) -> Cause:
    """The most likely cause of a failure.

    `kind` is that of the failed probe, or None if the container failed. `starting` means that the time was up before
    the container was healthy. `strain` is that of the machine, if the container is on this one.
    """
    if container and container.out_of_memory:
        return MEMORY
    if kind in BY_KIND:
        return BY_KIND[kind]
    if container and container.status == "exited" and container.exit_code in ENDED:
        return STOPPED
    current = [message, container.error if container else ""]
    logged = [*(container.health_log if container else ()), *log]
    if container and container.status == "running" and container.health == "healthy":
        # The log of a healthy service does not explain why a connection fails now.
        logged = [] if kind in (Kind.REFUSED, Kind.TIMEOUT) else logged
    # The current error takes precedence over the log, which may be about something else.
    for evidence in (current, logged):
        for pattern, cause in _COMPILED:
            if any(pattern.search(line) for line in evidence):
                return cause
    if container and container.status in ("exited", "restarting", "dead") and container.exit_code == KILLED:
        return MEMORY
    if kind is Kind.REFUSED:
        return _refused(container.name) if container else NOBODY
    is_late = kind is Kind.TIMEOUT or (kind is None and container is not None and container.health != "healthy")
    if strain and is_late and container and container.status == "running" and (slow := strain.cause(container)):
        return slow
    if kind is Kind.TIMEOUT:
        return SILENT
    return SLOW if starting else UNKNOWN


def _refused(name: str) -> Cause:
    return Cause(
        "the port is not published on this address, or the service listens on another port inside its container",
        f"compare `docker port {name}` with the service's ports and core_bind_address",
    )
