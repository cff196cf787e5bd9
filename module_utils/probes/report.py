# SPDX-License-Identifier: GPL-3.0-or-later
"""Report why a service failed verification: the failing probe, the likely cause, the remedy, and the masked log.

Imported only on failure, so that a healthy service does not spend time on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible.module_utils.probes.base import Kind
from ansible.module_utils.probes.causes import Cause, Strain, likely_cause
from ansible.module_utils.probes.container import Container, Log, Phase
from ansible.module_utils.probes.runner import RunResult, Wait
from ansible.module_utils.shared.masking import Mask, mask_tree, secrets_below


@dataclass(frozen=True)
class Failure:
    """What failed. `cause` is set if it is known; `starting` means that the time was up while the container started."""

    failing: str
    why: str
    container: Container | None
    cause: Cause | None = None
    kind: Kind | None = None
    starting: bool = False


def of_wait(wait: Wait, name: str, ready_timeout_s: float) -> Failure:
    """The container called `name` did not become healthy."""
    container, cause = wait.container, None
    starting = wait.phase is Phase.STARTING
    if container is None:
        cause = Cause("it was never deployed, or it was removed", "run the deployment")
    elif container.status == "paused":
        cause = Cause("it was paused", f"`docker unpause {name}`")
    why = f"{wait.why} after {ready_timeout_s:g} s" if starting else wait.why
    return Failure(f"container {name}", why, container, cause, starting=starting)


def of_run(run: RunResult, name: str) -> Failure:
    """A probe failed, or the container called `name` ended meanwhile."""
    if run.stopped:
        return Failure(f"container {name}", run.stopped, run.container)
    first = run.first_failure
    why = first.message
    if others := [result.name for result in run.failures if result is not first]:
        why += f" (also failing: {', '.join(others)})"
    cause = None
    if run.unpublished and run.container:
        published = ", ".join(map(str, sorted(run.container.host_ports)))
        cause = Cause(
            f"the container publishes {published}, not {', '.join(map(str, run.unpublished))}",
            "run the deployment again, so that the container is recreated with the declared ports",
        )
    return Failure(first.name, why, run.container, cause, first.kind)


def answer(service: str, failure: Failure, log: Log, result: dict[str, Any], secrets_root: Path) -> dict[str, Any]:
    """What the module returns: `result`, the message and the evidence, with every secret masked."""
    container = failure.container
    cause = failure.cause or likely_cause(
        failure.kind, failure.why, container, log.lines, starting=failure.starting, strain=Strain.now(log.age_s)
    )
    known, unreadable = secrets_below(secrets_root)
    lines: Sequence[str] = log.lines
    if unreadable:
        lines = [f"(withheld, because its secrets cannot be masked: {', '.join(unreadable)} cannot be read)"]
    mask = Mask(known)
    # Masked before the probe's name is in front of it: `authn_tokens: ` would look like the name of a secret.
    why = mask.output(failure.why.rstrip("."))
    shown: dict[str, Any] = mask_tree(
        {
            **result,
            "cause": cause.what,
            "remedy": cause.remedy,
            "container": container.state if container else {},
            "health_log": list(container.health_log) if container else [],
            # As one text, so that a secret of several lines is found.
            "log": "\n".join(lines),
        },
        mask.output,
    )
    failed = f"{service} failed verification: {failure.failing}: {why}."
    message = f"{failed} Likely cause: {cause.what}. Do: {cause.remedy}."
    return {**shown, "msg": mask.text(message), "log": shown["log"].splitlines()}
