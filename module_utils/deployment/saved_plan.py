# SPDX-License-Identifier: GPL-3.0-or-later
"""A plan in a file: what it was made for, how long it is valid, and whether it is stale. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from ansible.module_utils.deployment.model import digest

SCHEMA = 1
DEFAULT_HOURS = 24
# By how much the clocks of two controllers may differ.
CLOCK_TOLERANCE = timedelta(minutes=5)

# What each part of a fingerprint means, for the message of a refusal.
PARTS = {
    "variables": "its variables, templates or definition",
    "files": "its files on the machine",
    "image": "its image",
    "container": "its container",
    "secrets": "its secrets",
    "networks": "the networks",
    "source": "the applications to migrate",
}


class StalePlanError(Exception):
    """The plan must not be applied; the text names every reason."""


def save(
    machines: Mapping[str, Mapping[str, Any]],
    version: str,
    services: Sequence[str],
    hours: float = DEFAULT_HOURS,
    now: datetime | None = None,
) -> dict[str, Any]:
    """The content of a plan file.

    `machines` is machine → {site, services, operations, unpredictable, fingerprint}.
    """
    moment = (now or datetime.now(UTC)).replace(microsecond=0)
    content: dict[str, Any] = {
        "schema": SCHEMA,
        "created": moment.isoformat(),
        "expires": (moment + timedelta(hours=hours)).isoformat(),
        "project_version": version,
        "services": sorted(services),
        "machines": {name: dict(machine) for name, machine in machines.items()},
    }
    return {**content, "sha256": digest(content)}


def machine_of(
    content: Any,
    machine: str,
    site: Mapping[str, Any],
    version: str,
    services: Sequence[str],
    now: datetime | None = None,
) -> dict[str, Any]:
    """A machine's part of a plan file; raises StalePlanError with every reason found without inspecting the machine."""
    if not isinstance(content, dict) or "sha256" not in content:
        raise StalePlanError("the file is not a plan that playbooks/plan.yml wrote")
    if content.get("schema") != SCHEMA:
        raise StalePlanError(f"it has schema {content.get('schema')!r}, not {SCHEMA}; make the plan again")
    if digest({key: value for key, value in content.items() if key != "sha256"}) != content["sha256"]:
        raise StalePlanError("it was edited: its content does not match its checksum; make the plan again")
    reasons = []
    if datetime.fromisoformat(content["created"]) > (now or datetime.now(UTC)) + CLOCK_TOLERANCE:
        reasons.append(f"it was made at {content['created']}, which is in the future; check the controllers' clocks")
    if datetime.fromisoformat(content["expires"]) < (now or datetime.now(UTC)):
        reasons.append(f"it expired at {content['expires']}")
    if content["project_version"] != version:
        reasons.append("it was made with another version of this project")
    part: dict[str, Any] = content["machines"].get(machine, {})
    if not part:
        reasons.append(f"it was made for another site: it has no machine {machine}")
    else:
        reasons += [
            f"it was made for another site: {key} was {part['site'].get(key)}, is {site.get(key)}"
            for key in sorted({*site, *part["site"]})
            if part["site"].get(key) != site.get(key)
        ]
        if list(part["services"]) != sorted(services):
            reasons.append(
                f"it was made for {', '.join(part['services'])}, and this run is for {', '.join(sorted(services))}"
            )
    if reasons:
        raise StalePlanError("; ".join(reasons))
    return part


def check_machine(saved: Mapping[str, Any], looked: Mapping[str, Any]) -> None:
    """Raise StalePlanError with what changed, for each service, since the plan was made."""
    before, after = saved["fingerprint"], looked["fingerprint"]
    reasons = []
    for name in sorted({*before, *after}):
        old, new = before.get(name, {}), after.get(name, {})
        moved = [PARTS.get(part, part) for part in sorted({*old, *new}) if old.get(part) != new.get(part)]
        if moved:
            reasons.append(f"{name}: {', '.join(moved)} changed since the plan was made")
    if not reasons and _keys(saved) != _keys(looked):
        reasons.append("the operations that follow from the same observation are others; make the plan again")
    if reasons:
        raise StalePlanError("\n".join(reasons))


def _keys(machine: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    return [(row["service"], row["what"], row["action"]) for row in machine["operations"]]
