# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan: a pure function from the declared and the observed state to an ordered list of operations.

It compares identities and the live state: network and image ids, labels, and the time of a file's last change with the
start of the container. Comparing names alone, or what an earlier run recorded, would miss differences.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ansible.module_utils.deployment.model import (
    KINDS_OF_FILES,
    MACHINE,
    DesiredMachine,
    DesiredService,
    Observed,
    ObservedBackup,
    ObservedContainer,
    ObservedFile,
    ObservedNetwork,
    ObservedService,
    Operation,
    Plan,
)
from ansible.module_utils.restore.classes import RollbackClass, rollback_class

CONFIG_HASH_LABEL = "com.trade2026.config.sha256"
COMPOSE_HASH_LABEL = "com.docker.compose.config-hash"
PROJECT_LABEL = "com.docker.compose.project"
SERVICE_LABEL = "com.docker.compose.service"

CONFIG_FILES = "configuration files"
LIVE_FILES = "configuration that the container read"
ROLLBACK = "rollback"


def plan(desired: DesiredMachine, seen: Observed) -> Plan:
    """The operations that bring the machine to its declared state."""
    operations = [*_machine(desired, seen)]
    unpredictable = []
    for service in desired.services:
        operations += _service(service, seen.services.get(service.name, ObservedService()), desired, seen)
        if not service.image_known:
            unpredictable.append(f"{service.name}: the image's tag, which follows from its migrated sources")
    return Plan(tuple(operations), tuple(unpredictable))


def class_of_change(want: DesiredService, have: ObservedService) -> RollbackClass | None:
    """What going back from the change of the image takes; None if nothing ran before."""
    if not have.containers or not want.image_known:
        return None
    if not want.has_data:
        return RollbackClass("image_only", "the service keeps no data", "the service's role")
    return rollback_class(want.role, have.version, want.version)


def relies_on(found: RollbackClass | None, have: ObservedService) -> ObservedBackup | None:
    """The backup that a rollback of this change would use: a fresh one, if the data has to go back too."""
    if found is None or found.kind not in ("image_and_data", "unknown") or not have.backup or have.backup.stale:
        return None
    return have.backup


def needs_recreate(operations: tuple[Operation, ...]) -> bool:
    """Whether the container must be created again even where Compose sees no reason for it.

    A paused container counts as unhealthy for a while after it is resumed, because its checks failed meanwhile.
    """
    return any(
        operation.action in ("recreate", "unpause") or (operation.action == "own" and operation.restarts)
        for operation in operations
    )


def stop_operation(service: str, container: ObservedContainer, cause: str, clients: Sequence[str]) -> Operation:
    """Stop a container; the cause names who has open connections to it."""
    interrupted = f"; interrupts {', '.join(clients)}" if clients else ""
    return Operation(service, "state", "stop", container.status, "stopped, everything kept", f"{cause}{interrupted}")


def _machine(desired: DesiredMachine, seen: Observed) -> list[Operation]:
    operations = [_file(MACHINE, file) for file in seen.files]
    for network in desired.networks:
        if network.name not in seen.networks:
            operations.append(
                Operation(MACHINE, f"network {network.name}", "create", "", network.subnet, "it does not exist")
            )
    operations += seen.other
    operations += [
        Operation(MACHINE, f"secret {secret.path}", secret.action, secret.current, secret.desired, secret.cause)
        for secret in seen.secrets
    ]
    return operations


def _file(service: str, file: ObservedFile) -> Operation:
    """The operation for a file or directory that differs."""
    what = f"{KINDS_OF_FILES[file.what]} {file.path}"
    if file.what == "owner":
        # The container may not have been able to read it.
        return Operation(service, what, "own", file.why, "as declared", "another owner or mode", restarts=file.at_start)
    action = "write" if file.what == "content" else "create"
    cause = "it differs from the declared text" if file.exists else "it does not exist"
    return Operation(service, what, action, "changed" if file.exists else "", "as declared", cause, diff=file.diff)


def _service(want: DesiredService, have: ObservedService, desired: DesiredMachine, seen: Observed) -> list[Operation]:
    operations = []
    if not want.image_id:
        action = {"pull": "fetch", "recipe": "build", "build": "build"}.get(want.image_kind, "fetch")
        cause = "it is not present" if want.image_known else "its sources are migrated first, and decide its tag"
        operations.append(Operation(want.name, "image", action, "", want.image, f"{cause}; {want.image_from}"))
    elif want.image_unverified:
        cause = f"it must be signed by {want.image_unverified}"
        operations.append(Operation(want.name, "image", "verify", "not verified", want.image, cause))
    operations += [_file(want.name, file) for file in have.files]
    for owners in have.owners:
        operations.append(
            Operation(
                want.name,
                f"owners below {owners.path}",
                "own",
                f"{owners.wrong} of {owners.examined} entries have another owner, "
                f"such as {owners.example} ({owners.owner})",
                f"all belong to {want.uid}",
                "the service can neither read nor write them",
                restarts=True,
            )
        )
    return [*operations, *_rollback(want, have), *_container(want, have, desired, seen.networks)]


def _rollback(want: DesiredService, have: ObservedService) -> list[Operation]:
    """The rollback that a killed run left: complete it, unless another definition is declared now."""
    if not have.rollback_to:
        return []
    if have.failed_is_declared:
        cause = "a rollback of it was interrupted; the state that failed is still declared"
        return [
            Operation(want.name, ROLLBACK, "restore", "interrupted", f"restore point {have.rollback_to}", cause, True)
        ]
    cause = f"a rollback to restore point {have.rollback_to} was interrupted; another state has been declared since"
    return [Operation(want.name, ROLLBACK, "start", "interrupted", "as declared", cause, restarts=True)]


def _container(
    want: DesiredService, have: ObservedService, desired: DesiredMachine, networks: Mapping[str, ObservedNetwork]
) -> list[Operation]:
    """What differs at the container, and what to do with others of the same service."""
    ours = [
        container
        for container in have.containers
        if container.labels.get(PROJECT_LABEL) == desired.project and container.labels.get(SERVICE_LABEL) == want.name
    ]
    named = [container for container in ours if container.name == want.container]
    operations = []
    main = named[0] if named else ours[0] if ours else None
    for container in ours:
        if container is not main:
            operations.append(
                Operation(
                    want.name,
                    f"container {container.name}",
                    "remove",
                    container.status,
                    "",
                    "a second container of the service, left by an interrupted run",
                )
            )
    if main is None:
        return [
            *operations,
            Operation(want.name, "container", "start", "absent", "running", "it does not exist", restarts=True),
        ]
    return [*operations, *_differences(want, have, main, networks)]


def _differences(
    want: DesiredService, have: ObservedService, container: ObservedContainer, networks: Mapping[str, ObservedNetwork]
) -> list[Operation]:
    """Every difference between the declared and the existing container."""
    found: list[Operation] = []

    def note(what: str, action: str, current: object, desired: object, cause: str) -> None:
        if current != desired:
            found.append(Operation(want.name, what, action, str(current), str(desired), cause, restarts=True))

    note("container name", "recreate", container.name, want.container, "its labels say that it is this service's")
    if container.status == "paused":
        note("state", "unpause", "paused", "running", "somebody paused it")
    elif container.status == "running" or container.status == "restarting":
        note("state", "recreate", container.status, "running", "it restarts in a loop")
    else:
        note("state", "start", container.status, "running", "it does not run")
    # The engine calls a container that was stopped unhealthy as well.
    if container.status == "running" and container.health == "unhealthy":
        note("health", "recreate", "unhealthy", "healthy", "its health check fails")
    if want.image_known:
        cause = "another image is declared"
        if taken_back := class_of_change(want, have):
            cause += f"; going back: {taken_back.kind.replace('_', ' ')}, {taken_back.reason}"
            if backup := relies_on(taken_back, have):
                cause += f"; relies on {backup.text}"
        note("image", "start", container.image, want.image, cause)
    if want.image_known and container.image == want.image and want.image_id:
        note("image content", "recreate", container.image_id, want.image_id, "the name now means another image")
    label = container.labels.get(CONFIG_HASH_LABEL, "")
    note(CONFIG_FILES, "start", label[:12], want.config_hash[:12], "the container was created with other files")
    # If it was restarted after an edit, it runs with the edited text, even if the file has been restored since.
    written = [file for file in have.files if file.what == "content" and file.exists and not _is_fragment(file.path)]
    if label == want.config_hash and container.status != "exited":
        if written:
            note(LIVE_FILES, "recreate", ", ".join(file.path for file in written), "as declared", "edited on the disk")
        elif container.started and have.newest_change > container.started:
            note(
                LIVE_FILES,
                "recreate",
                f"{have.newest_file} changed after the container's start",
                "as declared",
                "the container may have read another version of it",
            )
    note(
        "networks",
        "recreate",
        ", ".join(sorted(container.networks)),
        ", ".join(sorted(want.networks)),
        "it is connected to other networks",
    )
    for name in sorted(want.networks & set(container.networks)):
        endpoint, network = container.networks[name], networks.get(name)
        if network is None or endpoint.network_id != network.id:
            current = endpoint.network_id[:12] or "unknown"
            desired = network.id[:12] if network else "created by this run"
            note(f"network {name}", "recreate", current, desired, "the network was created again")
        elif want.name not in endpoint.aliases:
            note(
                f"aliases on {name}",
                "recreate",
                ", ".join(endpoint.aliases) or "none",
                want.name,
                "its name does not resolve on that network",
            )
    # Compose compares definitions. It leaves a container alone whose limits were changed after it was created.
    compose_label = container.labels.get(COMPOSE_HASH_LABEL, "")
    limit = "recreate" if compose_label and compose_label == want.compose_hash else "start"
    note("memory limit (bytes)", limit, container.memory, want.memory, "another limit is set")
    if want.memory_swap is not None:
        note("memory and swap (bytes)", limit, container.memory_swap, want.memory_swap, "another limit is set")
    note("processor limit", limit, container.nano_cpus / 1e9, want.nano_cpus / 1e9, "another limit is set")
    note("process limit", limit, container.pids, want.pids, "another limit is set")
    explained = {operation.what for operation in found} - {"state", "health", "image content", "container name"}
    if not explained and want.compose_hash and want.image_known:
        note(
            "Compose definition", "start", compose_label[:12], want.compose_hash[:12], "created from another definition"
        )
    return found


def _is_fragment(path: str) -> bool:
    return path.startswith("infrastructure/docker/services/")
