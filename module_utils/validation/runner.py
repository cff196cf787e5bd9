# SPDX-License-Identifier: GPL-3.0-or-later
"""Run tests, and explain each failure with its likely cause and the service's last log lines."""

from __future__ import annotations

import time
from pathlib import Path

from ansible.module_utils.shared.docker import DockerError
from ansible.module_utils.validation.bridge import (
    NO_ANSWER,
    Kind,
    LimitReached,
    Log,
    ProbeError,
    Strain,
    likely_cause,
    limited,
    notes,
    read_log,
)
from ansible.module_utils.validation.model import PLATFORM, Case, FailedError, Group, Passed, Result, SkippedError, now
from ansible.module_utils.validation.stack import Service, Stack

LOG_LINES = 20
MESSAGE_LENGTH = 800


def run_group(stack: Stack, group: Group, progress: Path | None = None) -> list[Result]:
    """The results of a group, in order. The file `progress` names the current test."""
    results = []
    for case in group.cases:
        if progress:
            progress.write_text(case.id, encoding="utf-8")
        results.append(run_case(stack, case))
    return results


def run_case(stack: Stack, case: Case) -> Result:
    """The result of one test; only exceptions that end the process leave it."""
    service = stack.platform if case.service == PLATFORM else stack.services[case.service]
    started, begun = now(), time.monotonic()
    kind: Kind | None = None
    failure, status = FailedError(""), "failed"
    try:
        if reason := cannot_answer(case, service):
            # The test `running` reports the reason, if it is part of the run; the others would only wait.
            explained_here = found_by(case).partition(".")[0] in stack.settings.kinds
            raise SkippedError(reason) if explained_here else FailedError(reason)
        with limited(case.limit_s):
            passed = case.run(stack, service)
        return _result(case, "passed", started, begun, passed)
    except FailedError as error:
        failure = error
    except ProbeError as error:
        failure, kind = FailedError("; and ".join([error.message, *notes(error)])), error.kind
    except SkippedError as reason:
        return _result(case, "skipped", started, begun, Passed(str(reason)))
    except LimitReached:
        failure, kind = FailedError(f"no answer within {case.limit_s:g} s"), NO_ANSWER
    except DockerError as error:
        failure, status = (
            FailedError(str(error), "the engine does not answer", "see `systemctl status docker`"),
            "error",
        )
    # A client library raised an error of its own; whatever it is, the test failed.
    except Exception as error:
        text = " ".join(str(error).split())
        failure = FailedError("; and ".join([f"{type(error).__name__}: {text}", *notes(error)]))
        kind = kind_of(error)
    result = _result(case, status, started, begun, Passed(failure.message, failure.evidence))
    return explained(result, failure, kind, service)


def kind_of(error: Exception) -> Kind | None:
    """Why a client library raised an error, as far as the error's type shows."""
    if isinstance(error, ConnectionRefusedError):
        return Kind.REFUSED
    return NO_ANSWER if isinstance(error, OSError) else None


def cannot_answer(case: Case, service: Service) -> str:
    """Why a test of a service cannot be run; empty if it can."""
    if case.service == PLATFORM or case.id == found_by(case):
        return ""
    status = service.seen.status if service.seen else "missing"
    return "" if status == "running" else f"the container {service.container} is {status}; see {found_by(case)}"


def found_by(case: Case) -> str:
    """Id of the test that says why the service of this one does not answer."""
    return case.found_by or f"component.{case.service}.running"


def explained(result: Result, failure: FailedError, kind: Kind | None, service: Service) -> Result:
    """The result with cause, remedy and log lines."""
    from dataclasses import replace

    log = Log()
    cause, remedy = failure.cause, failure.remedy
    if result.service != PLATFORM and not cause:
        try:
            service.refresh()
            log = read_log(service.docker, service.container, LOG_LINES) if service.seen else Log()
        except DockerError:
            log = Log()
        if service.seen and service.seen.status == "paused":
            cause, remedy = "somebody paused it", f"`docker unpause {service.container}`"
        elif service.seen is None:
            cause, remedy = "it was never deployed, or somebody removed it", "run the deployment"
        else:
            likely = likely_cause(kind, result.message, service.seen, log.lines, strain=Strain.now(log.age_s))
            cause, remedy = likely.what, likely.remedy
    return replace(result, cause=cause, remedy=remedy, log=log.lines)


def _result(case: Case, status: str, started: str, begun: float, found: Passed) -> Result:
    message = found.message if len(found.message) <= MESSAGE_LENGTH else f"{found.message[:MESSAGE_LENGTH]}…"
    return Result(
        case.id, case.kind, case.service, case.title, ", ".join(case.source), status, message,
        started, round(time.monotonic() - begun, 3), evidence=dict(found.evidence),
    )  # fmt: skip
