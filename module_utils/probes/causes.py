# SPDX-License-Identifier: GPL-3.0-or-later
"""Likely causes of a failure, and what to do about each."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from ansible.module_utils.probes.base import Kind
from ansible.module_utils.probes.container import Container

# 128 + SIGKILL: what a process killed by the kernel ends with.
KILLED = 137
# Done, or ended by SIGINT or SIGTERM.
ENDED = (0, 130, 143)


@dataclass(frozen=True)
class Cause:
    """What is probably wrong, and the remedy."""

    what: str
    remedy: str


MEMORY = Cause(
    "it ran out of memory", "raise the service's memory limit, or lower what it may use (heap, cache, maxmemory)"
)

# Recognized by a line of the log, by docker's error or by the answer. The first that matches is taken, so what explains
# others comes first: a full disk also makes a file unreadable, never the other way round.
TOLD: tuple[tuple[Cause, tuple[str, ...]], ...] = (
    (
        Cause("the disk is full", "free space where the service's data directory lies, or move the data"),
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
        Cause("its port is taken", "find who listens there (`ss -ltnp`), or give the service another port"),
        (
            r"address (?:already )?in use",
            r"port is already allocated",
            r"failed to bind",
            r"could not bind",
        ),
    ),
    (
        Cause("it may open too few files", "raise the service's nofile limit, and the engine's where that is lower"),
        (r"too many open files", r"max file descriptors \[\d+\].* too low"),
    ),
    (
        Cause("it writes where its container is read-only", "mount a volume or a tmpfs at the path that the log names"),
        (r"read-only file ?system", r"\berofs\b"),
    ),
    (
        Cause(
            "it may not read or write one of its directories or files",
            "run the deployment again, for it gives data and secrets to the service's user; "
            "on a drive that keeps no owners see docs/windows.md",
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
            r"bad file format reading the append only file",
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
            "its configuration is not right",
            "correct the setting that the log names; the rendered file lies under config/ of the target",
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
            "a password is not the one that the service knows",
            "run the deployment again, so that the service gets what lies under the secrets root; "
            "a database may need its password changed from inside",
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
    # Late: services also advise it at every start where it is a little low.
    (
        Cause(
            "the kernel allows too few memory maps",
            "set vm.max_map_count to what the service asks for (sysctl, on the host)",
        ),
        (r"max virtual memory areas.* too low", r"max_map_count.* too low"),
    ),
    (
        Cause(
            "the image cannot run here",
            "look for its platform and its entrypoint (`docker image inspect`), and build or pull it again",
        ),
        (
            r"exec format error",
            r"executable file not found",
            r"no such file or directory: unknown",
            r"exec \S+ failed: no such file",  # tini, which `init: true` puts before the program
        ),
    ),
)

BY_KIND = {
    Kind.AUTH: Cause(
        "the service runs with other credentials than those under the secrets root",
        "run the deployment again so that it reads them, or put the right ones into the file that the check names",
    ),
    Kind.UNEXPECTED_ACCESS: Cause(
        "the service lets in whom it should not",
        "close its port until authentication is on, then run the deployment again",
    ),
    Kind.MISMATCH: Cause(
        "it runs with an older configuration, or something changed it",
        "run the deployment again; if it persists, compare the rendered configuration with the declared value",
    ),
    Kind.CONFIG: Cause("the check cannot be asked", "mend what the message names"),
}

NOBODY = Cause(
    "the service does not run, or listens on another address or port", "start it, or correct address and ports"
)
SILENT = Cause(
    "nobody answers behind the port, or too slowly for the timeout",
    "see whether the service listens on all addresses of its container and is not overloaded (`docker stats`); "
    "on a slow machine raise core_probe_timeout_s",
)
STOPPED = Cause("it was stopped, or ended by itself without an error", "run the deployment, which starts it again")
SLOW = Cause(
    "it starts too slowly for its deadline, or it waits for something",
    "see the log; on a slow machine raise core_ready_timeout_factor",
)
UNKNOWN = Cause("not known", "see the log lines, and `docker logs` for the rest")

_COMPILED = [(re.compile("|".join(patterns), re.IGNORECASE), cause) for cause, patterns in TOLD]


def likely_cause(
    kind: Kind | None, message: str, container: Container | None, log: Iterable[str], *, starting: bool = False
) -> Cause:
    """The best guess.

    `kind` is the failed check's, None when the container itself failed; `starting` says that it was waited for in vain.
    """
    if container and container.out_of_memory:
        return MEMORY
    if kind in BY_KIND:
        return BY_KIND[kind]
    if container and container.status == "exited" and container.exit_code in ENDED:
        return STOPPED
    told = [message, container.error if container else ""]
    heard = [*(container.health_log if container else ()), *log]
    if container and container.status == "running" and container.health == "healthy":
        # What a healthy service logged at its start explains no connection that is refused now.
        heard = [] if kind in (Kind.REFUSED, Kind.TIMEOUT) else heard
    # What was answered just now counts more than a line of the log, which may be about something else.
    for evidence in (told, heard):
        for pattern, cause in _COMPILED:
            if any(pattern.search(line) for line in evidence):
                return cause
    if container and container.status in ("exited", "restarting", "dead") and container.exit_code == KILLED:
        return MEMORY
    if kind is Kind.REFUSED:
        return _refused(container.name) if container else NOBODY
    if kind is Kind.TIMEOUT:
        return SILENT
    return SLOW if starting else UNKNOWN


def _refused(name: str) -> Cause:
    return Cause(
        "the port is not published on this address, or the service listens elsewhere inside of its container",
        f"compare `docker port {name}` with the service's ports and core_bind_address",
    )
