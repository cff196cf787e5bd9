# SPDX-License-Identifier: GPL-3.0-or-later
"""What is declared for a machine, what was observed there, and the plan that follows: values, no behaviour."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

# Operations on the machine itself: directories, networks, secrets, the migrated applications.
MACHINE = "machine"
# Names of the operations on files, by what differs.
KINDS_OF_FILES = {"content": "file", "directory": "directory", "owner": "owner of"}


@dataclass(frozen=True)
class Operation:
    """One thing that apply will do, and why."""

    # Name of a service, or MACHINE.
    service: str
    # What it concerns, such as `file config/infrastructure/valkey/valkey.conf` or `state`.
    what: str
    # One of create, write, own, remove, migrate, fetch, build, start, stop, unpause, recreate, restore.
    action: str
    current: str
    desired: str
    cause: str
    # Whether the service's container is started again because of it.
    restarts: bool = False
    # Unified diff of a file, with placeholders where the secrets are.
    diff: str = ""

    @property
    def key(self) -> tuple[str, str]:
        """What identifies the operation within a plan."""
        return self.service, self.what

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Plan:
    """The ordered operations of one machine, and what cannot be predicted."""

    operations: tuple[Operation, ...] = ()
    unpredictable: tuple[str, ...] = ()

    def of(self, service: str) -> tuple[Operation, ...]:
        """The operations of one service, or of MACHINE."""
        return tuple(operation for operation in self.operations if operation.service == service)

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return {
            "operations": [operation.to_dict() for operation in self.operations],
            "unpredictable": list(self.unpredictable),
        }

    @property
    def text(self) -> str:
        """One line for each operation; equal for equal plans."""
        lines = []
        for operation in self.operations:
            restart = ", restarts" if operation.restarts else ""
            change = f"{operation.current or 'none'} -> {operation.desired or 'none'}"
            lines.append(
                f"{operation.service}: {operation.action} {operation.what}: {change} ({operation.cause}{restart})"
            )
        lines += [f"not predicted: {line}" for line in self.unpredictable]
        return "\n".join(lines)


def plan_from_dict(content: Mapping[str, Any]) -> Plan:
    """Read what `Plan.to_dict` wrote."""
    return Plan(
        tuple(Operation(**operation) for operation in content["operations"]), tuple(content.get("unpredictable", ()))
    )


@dataclass(frozen=True)
class DesiredNetwork:
    """A network as the site declares it."""

    name: str
    subnet: str
    driver: str = "bridge"
    internal: bool = False
    ipv6: bool = False
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class DesiredService:
    """What the rendered definition of a service asks for."""

    name: str
    container: str
    uid: int
    image: str
    # How a missing image is obtained (pull, recipe or build), and from what.
    image_kind: str
    image_from: str
    image_id: str
    # False when the image's name is known only after the sources of a build were migrated.
    image_known: bool
    config_hash: str
    # Compose's own hash of the definition; empty without Compose.
    compose_hash: str
    networks: frozenset[str]
    memory: int
    # None where the kernel cannot limit it: the engine then drops the setting.
    memory_swap: int | None
    nano_cpus: int
    pids: int
    # The role, and the version of its image: what going back from a change of version takes depends on them.
    role: str = ""
    version: str = ""
    # Whether it has data directories.
    has_data: bool = False
    # Who must have signed the image, while that was not verified.
    image_unverified: str = ""


@dataclass(frozen=True)
class ObservedNetwork:
    """A network as the engine reports it."""

    id: str
    subnets: tuple[str, ...]
    driver: str
    internal: bool
    ipv6: bool
    options: Mapping[str, str]


@dataclass(frozen=True)
class ObservedEndpoint:
    """A container's connection to a network."""

    network_id: str
    aliases: tuple[str, ...]


@dataclass(frozen=True)
class ObservedContainer:
    """A container as the engine reports it."""

    id: str
    name: str
    image: str
    image_id: str
    status: str
    health: str
    # When it started, in seconds since the epoch; 0 when it never did.
    started: float
    labels: Mapping[str, str]
    networks: Mapping[str, ObservedEndpoint]
    memory: int
    memory_swap: int
    nano_cpus: int
    pids: int
    host_ports: tuple[int, ...] = ()


@dataclass(frozen=True)
class ObservedFile:
    """A difference between a declared file or directory and what is on the disk."""

    path: str
    # content, owner or directory
    what: str
    why: str
    exists: bool
    diff: str = ""
    # Whether the container reads it at its start.
    at_start: bool = False


@dataclass(frozen=True)
class ObservedOwners:
    """Entries below a data directory that do not belong to the service's user."""

    path: str
    wrong: int
    examined: int
    example: str
    owner: int


@dataclass(frozen=True)
class ObservedBackup:
    """The newest intact backup of a service's data."""

    number: int
    text: str
    # Why a change of version may not rely on it; empty for a fresh one.
    stale: str


@dataclass(frozen=True)
class ObservedService:
    """What was observed of one service."""

    files: tuple[ObservedFile, ...] = ()
    # The configuration file or secret that changed last, and when (ctime, seconds since the epoch).
    newest_file: str = ""
    newest_change: float = 0.0
    owners: tuple[ObservedOwners, ...] = ()
    # Every container that has the service's labels or the name of its container.
    containers: tuple[ObservedContainer, ...] = ()
    # Version of the image that runs; empty if it is not known.
    version: str = ""
    # Restore point of a rollback that was interrupted; 0 for none. And whether what failed then is still declared.
    rollback_to: int = 0
    failed_is_declared: bool = False
    # Looked for only if another version is declared.
    backup: ObservedBackup | None = None


@dataclass(frozen=True)
class ObservedSecret:
    """A secret that is missing, differs from the site's value, or has another owner."""

    path: str
    current: str
    desired: str
    cause: str
    action: str


@dataclass(frozen=True)
class Observed:
    """Everything that the inspection of a machine found."""

    services: Mapping[str, ObservedService]
    networks: Mapping[str, ObservedNetwork]
    files: tuple[ObservedFile, ...] = ()
    secrets: tuple[ObservedSecret, ...] = ()
    # What other phases plan themselves, such as the migration of the applications.
    other: tuple[Operation, ...] = ()


@dataclass(frozen=True)
class DesiredMachine:
    """What is declared for a machine."""

    project: str
    networks: tuple[DesiredNetwork, ...]
    services: tuple[DesiredService, ...]


def operation_name(path: str, what: str, root: Path) -> str:
    """What a difference of a file is called in a plan; `what` is content, directory or owner."""
    below = str(Path(path).relative_to(root)) if Path(path).is_relative_to(root) else path
    return f"{KINDS_OF_FILES.get(what, 'file')} {below}"


def image_of_plan(found: Mapping[str, Any]) -> dict[str, Any]:
    """The properties of an image that templates and the plan use, from a result of the module `image_plan`."""
    keys = ("reference", "id", "source", "version", "kind", "built_from", "difference", "unverified")
    image = {key: str(found.get(key) or "") for key in keys}
    known = not found.get("follows_from_sources") and not image["reference"].endswith(":not-built-yet")
    return {**image, "known": known, "present": bool(found.get("present"))}


def digest(value: Any) -> str:
    """SHA-256 of plain data, in a canonical form."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def table(rows: Iterable[tuple[str, ...]]) -> str:
    """Rows as aligned columns, the first row being the heading."""
    listed = list(rows)
    widths = [max(len(row[column]) for row in listed) for column in range(len(listed[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in listed
    )
