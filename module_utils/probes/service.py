# SPDX-License-Identifier: GPL-3.0-or-later
"""Wait until one service is healthy, run its probes, and report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NoReturn, Protocol

from ansible.module_utils.probes.base import Probe, Target
from ansible.module_utils.probes.container import Container, Log, Phase, classify, inspect, read_log, seconds_between
from ansible.module_utils.probes.runner import (
    LAST_PAUSE_S,
    Clock,
    RunResult,
    Wait,
    missing_libraries,
    run_probes,
    try_probes,
    wait_healthy,
)
from ansible.module_utils.probes.spec import SpecError, parse_probes
from ansible.module_utils.shared.docker import Docker, DockerError

# Seconds that a service has at least, also in a call after which its time is up.
LEAST_S = 1.0


class Module(Protocol):
    """The part of an Ansible module that a probe needs."""

    params: dict[str, Any]
    check_mode: bool
    run_command: Callable[..., tuple[int, str, str]]

    def exit_json(self, **answer: Any) -> NoReturn: ...

    def fail_json(self, msg: str, **answer: Any) -> NoReturn: ...


class Answered(BaseException):
    """Raised to leave the probing of a service with its result."""

    def __init__(self, answer: dict[str, Any]) -> None:
        super().__init__()
        self.answer = answer


class Recorder:
    """Replaces the module while one of several services is probed."""

    def __init__(self, params: dict[str, Any], check_mode: bool, run_command: Callable[..., Any]) -> None:
        self.params = params
        self.check_mode = check_mode
        self.run_command = run_command

    def exit_json(self, **answer: Any) -> NoReturn:
        """Answer with success."""
        raise Answered(answer)

    def fail_json(self, msg: str, **answer: Any) -> NoReturn:
        """Answer with failure."""
        raise Answered({**answer, "failed": True, "msg": msg})


def probe_service(
    params: dict[str, Any],
    check_mode: bool,
    run_command: Callable[..., Any],
    slice_s: float = 0,
    clock: Clock | None = None,
) -> dict[str, Any]:
    """The result for one service. Only an error in this code raises an exception."""
    recorder = Recorder(params, check_mode, run_command)
    try:
        target = Target(
            params["address"], read_ports(params["ports"]), Path(params["secrets_root"]), params["timeout_s"]
        )
        if params["timeout_s"] <= 0 or params["ready_timeout_s"] <= 0:
            raise ValueError("timeout_s and ready_timeout_s are seconds above 0")
        ServiceProber(recorder, target, clock or Clock(), slice_s).run()
    except Answered as answered:
        return answered.answer
    except (ValueError, DockerError) as error:
        return {**blank_result(), "failed": True, "msg": f"{params['title']} cannot be probed: {error}"}


@dataclass(frozen=True)
class Ready:
    """Every probe passed for the first time while the container was still starting."""

    # The start of that container, as the engine writes it.
    started_at: str
    # When it was, on the prober's clock.
    at: float
    probes: list[dict[str, Any]]


class ServiceProber:
    """Waits for one service, runs its probes, and reports."""

    def __init__(self, module: Module, target: Target, clock: Clock, slice_s: float = 0) -> None:
        self.module = module
        self.params = module.params
        self.target = target
        self.clock = clock
        self.docker = Docker(module.run_command)
        # Earlier calls for the same service have used a part of the time.
        self.spent_s = float(self.params.get("spent_s") or 0)
        left_s = max(LEAST_S, self.params["ready_timeout_s"] - self.spent_s)
        self.until = clock.now() + left_s
        # When to return although the container is still starting, so that the caller can show progress and call again.
        self.pause = clock.now() + slice_s if slice_s and slice_s < left_s else self.until
        self.result = blank_result()
        # The container when it was first seen healthy, and when that was.
        self.healthy: Container | None = None
        self.healthy_since = 0.0
        self.ready: Ready | None = None

    def run(self) -> NoReturn:
        """Wait, run the probes, and return the result."""
        try:
            probes = parse_probes(self.params["probes"])
        except SpecError as error:
            self.module.fail_json(msg=f"the probes of {self.params['title']} are invalid: {error}", **self.result)
        left_out = [probe for probe in probes if probe.WRITES and self.module.check_mode]
        probes = [probe for probe in probes if probe not in left_out]
        if missing := missing_libraries(probes):
            self.module.fail_json(
                msg=f"{self.params['title']} cannot be probed: {'; '.join(missing)}. "
                "Do: run `make setup`, or install it there.",
                **self.result,
            )
        if self.params["container"]:
            self.wait(probes)
        if self.ready is None:
            self.ask(probes, self.until)
        if self.healthy and self.params.get("good_after_s"):
            self.stay(probes, self.healthy, self.params["good_after_s"])
        self.module.exit_json(**{**self.result, "healthy": True}, not_run=[probe.title for probe in left_out])

    def ask(self, probes: list[Probe], until: float) -> None:
        """Run the probes; does not return if one of them fails."""
        run = run_probes(probes, self.target, until, self.inspect_container, self.clock)
        self.result["probes"] = [result.as_dict() for result in run.results]
        if run.failures:
            self.fail(run)

    def stay(self, probes: list[Probe], begun: Container, good_after_s: float) -> None:
        """Watch the container until it has been healthy for `good_after_s` seconds, then run the probes once more.

        A service that ends or restarts soon after it was ready has failed.
        """
        since = self.ready.at if self.ready else self.healthy_since
        until = since + good_after_s
        while (left := until - self.clock.now()) > 0:
            self.clock.sleep(min(left, LAST_PAUSE_S))
            seen = inspect(self.docker, begun.name)
            phase, why = classify(seen, begun.restarts) if seen else (Phase.FAILED, "was removed")
            if seen and phase is Phase.HEALTHY and seen.started_at != begun.started_at:
                phase, why = Phase.FAILED, "has restarted"
            if phase is Phase.STARTING:
                # The engine starts it again: it ended.
                phase = Phase.FAILED
            if phase is Phase.FAILED:
                after = self.clock.now() - since
                self.fail(Wait(phase, f"{why}, {after:.0f} s after it was ready", seen))
        self.ask(probes, self.clock.now() + self.target.timeout_s)
        self.result["good_for_s"] = good_after_s

    def try_early(self, probes: list[Probe], container: Container) -> None:
        """Note when every probe passes for the first time.

        The engine may run its first health check much later than the service is ready.
        """
        if self.ready or container.status != "running":
            return
        results = try_probes(probes, self.target, min(self.until, self.pause), self.clock)
        if results is not None:
            self.ready = Ready(container.started_at, self.clock.now(), [result.as_dict() for result in results])

    def wait(self, probes: list[Probe]) -> None:
        """Wait for the container; leave the module if it does not become healthy."""
        name = self.params["container"]
        begun = self.clock.now()
        patient = bool(self.params.get("patient"))
        waited = wait_healthy(
            self.docker, name, min(self.until, self.pause), self.clock, patient, partial(self.try_early, probes)
        )
        self.result["waited_s"] = round(self.spent_s + self.clock.now() - begun, 1)
        if waited.container is None and self.module.check_mode:
            self.module.exit_json(
                **self.result,
                not_run=[],
                skipped=True,
                msg=f"the container {name} does not exist yet; a real run creates and probes it",
            )
        if waited.container:
            self.result["started_at"] = waited.container.started_at
        if waited.phase is Phase.STARTING and self.pause < self.until:
            self.module.exit_json(**self.result, not_run=[], pending=waited.why)
        if waited.phase is not Phase.HEALTHY or waited.container is None:
            self.fail(waited)
        self.result["healthy"] = True
        seen = self.healthy = waited.container
        self.healthy_since = self.clock.now()
        if self.ready and self.ready.started_at == seen.started_at:
            self.result["probes"] = self.ready.probes
        else:
            # It was not ready before, or has restarted since.
            self.ready = None
        self.result.update(image=seen.image, image_id=seen.image_id)
        self.result["healthy_after_s"] = seconds_between(seen.started_at, seen.first_healthy_at)

    def inspect_container(self) -> tuple[Container | None, str]:
        """The current state of the container, and why it can no longer answer, if it cannot."""
        if not self.params["container"]:
            return None, ""
        container = inspect(self.docker, self.params["container"])
        if container is None:
            return None, "was removed during the probes"
        phase, why = classify(container, container.restarts)
        return container, why if phase is Phase.FAILED else ""

    def fail(self, seen: Wait | RunResult) -> NoReturn:
        """Fail with everything that helps to find the cause, and no secret."""
        from ansible.module_utils.probes import report

        name = self.params["container"]
        if isinstance(seen, Wait):
            failure = report.of_wait(seen, name, self.params["ready_timeout_s"])
        else:
            failure = report.of_run(seen, name)
            self.result["healthy"] = bool(name) and not seen.stopped
        log = read_log(self.docker, name, self.params["log_lines"]) if failure.container else Log()
        self.module.fail_json(
            **report.answer(self.params["title"], failure, log, self.result, self.target.secrets_root)
        )


def blank_result() -> dict[str, Any]:
    """The result before anything is known."""
    return {
        "changed": False,
        "healthy": False,
        "healthy_after_s": None,
        "started_at": "",
        "waited_s": 0.0,
        "probes": [],
    }


def read_ports(declared: dict[str, Any]) -> dict[str, int]:
    """Name -> port; raises ValueError."""
    ports = {}
    for name, value in declared.items():
        try:
            number = int(value)
        except (TypeError, ValueError):
            number = 0
        if not 0 < number < 65536:
            raise ValueError(f"ports: {name}={value!r} is not a port; write a number from 1 to 65535")
        ports[str(name)] = number
    return ports
