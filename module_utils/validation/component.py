# SPDX-License-Identifier: GPL-3.0-or-later
"""Component tests: each service by itself, with its probes, what it must refuse, its limits and its hardening."""

from __future__ import annotations

from collections.abc import Callable

from ansible.module_utils.validation.bridge import Phase, Probe
from ansible.module_utils.validation.model import FailedError, Passed, Value
from ansible.module_utils.validation.stack import Service, Stack


def running(_stack: Stack, service: Service) -> Passed:
    """The container runs and its health check passes."""
    phase, why = service.state()
    if phase is not Phase.HEALTHY:
        raise FailedError(f"the container {service.container} {why}")
    seen = service.seen
    if seen is None:
        raise FailedError(f"the container {service.container} does not exist")
    evidence: dict[str, Value] = {"restarts": seen.restarts, "started_at": seen.started_at}
    return Passed(f"the container {service.container} {why}", evidence)


def probing(probe: Probe) -> Callable[[Stack, Service], Passed]:
    """A test that runs a declared probe."""

    def run(_stack: Stack, service: Service) -> Passed:
        return Passed(probe.run(service.target))

    return run


def restart_policy(_stack: Stack, service: Service) -> Passed:
    """The engine starts the container again after a failure and after a reboot of the machine."""
    policy = str(service.document["HostConfig"]["RestartPolicy"]["Name"])
    if policy != "unless-stopped":
        raise FailedError(f"the restart policy is {policy!r}, not unless-stopped")
    return Passed("the restart policy is unless-stopped")


def log_is_clean(_stack: Stack, service: Service) -> Passed:
    """No line of the log since the last start reports a fatal error."""
    since = str(service.document["State"]["StartedAt"])
    code, out, err = service.docker.attempt("logs", "--since", since, service.container, timeout_s=30)
    if code != 0:
        raise FailedError(f"the log cannot be read: {err.strip()[-200:]}")
    fatal = [
        line
        for line in [*out.splitlines(), *err.splitlines()]
        if any(word in line for word in ("panic:", "[FTL]", "FATAL", "java.lang.OutOfMemoryError", "Bad file format"))
    ]
    if fatal:
        raise FailedError(f"{len(fatal)} lines of the log report a fatal error; the last: {fatal[-1][:200]}")
    return Passed("no line of the log reports a fatal error")
