"""Compare what is declared for a service with what runs. Pure: facts in, differences out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible.module_utils.shared.sizes import parse_size

CONFIG_HASH_LABEL = "com.trade2026.config.sha256"
COMPOSE_HASH_LABEL = "com.docker.compose.config-hash"
CONFIG_FILES = "configuration files"
EDITED_FILES = "configuration files edited on the disk"


@dataclass(frozen=True)
class Declared:
    """What the fragment asks for."""

    image: str
    image_id: str
    compose_hash: str
    config_hash: str
    networks: frozenset[str]
    memory: int
    nano_cpus: int
    pids: int


@dataclass(frozen=True)
class Running:
    """What `docker inspect` says of the container."""

    image: str
    image_id: str
    status: str
    health: str
    started_at: str
    labels: Mapping[str, str] = field(default_factory=dict)
    networks: frozenset[str] = frozenset()
    memory: int = 0
    nano_cpus: int = 0
    pids: int = 0


def declared(service: Mapping[str, Any], networks: Mapping[str, Any], image_id: str, compose_hash: str) -> Declared:
    """Read a service of a Compose definition."""
    limits = service.get("deploy", {}).get("resources", {}).get("limits", {})
    return Declared(
        image=str(service["image"]),
        image_id=image_id,
        compose_hash=compose_hash,
        config_hash=str(_labels(service.get("labels", {})).get(CONFIG_HASH_LABEL, "")),
        networks=frozenset(str((networks.get(name) or {}).get("name", name)) for name in service.get("networks", [])),
        memory=parse_size(service.get("mem_limit", limits.get("memory", 0))),
        nano_cpus=round(float(service.get("cpus", limits.get("cpus", 0))) * 1e9),
        pids=int(service.get("pids_limit", limits.get("pids", 0))),
    )


def running(inspected: Mapping[str, Any]) -> Running:
    """Read one object of `docker container inspect`."""
    state, config, host = inspected["State"], inspected["Config"], inspected["HostConfig"]
    return Running(
        image=config["Image"],
        image_id=inspected["Image"],
        status="paused" if state.get("Paused") else state["Status"],
        health=(state.get("Health") or {}).get("Status", ""),
        started_at=state["StartedAt"],
        labels=config.get("Labels") or {},
        networks=frozenset(inspected["NetworkSettings"]["Networks"]),
        memory=host.get("Memory") or 0,
        nano_cpus=host.get("NanoCpus") or 0,
        pids=host.get("PidsLimit") or 0,
    )


def compare(want: Declared, have: Running | None, edited: Sequence[str] = ()) -> list[dict[str, str]]:
    """Every difference as {what, current, desired}; empty when nothing has to be done.

    `edited` are configuration files that were not as last written: the service may have read them since.
    """
    if have is None:
        return [_row("container", "absent", "running")]
    found: list[dict[str, str]] = []

    def note(what: str, current: object, desired: object) -> None:
        if current != desired:
            found.append(_row(what, current, desired))

    note("state", have.status, "running")
    # The engine calls a container that was stopped unhealthy as well.
    if have.status == "running" and have.health == "unhealthy":
        found.append(_row("health", "unhealthy", "healthy"))
    note("image", have.image, want.image)
    if have.image == want.image and want.image_id:
        note("image content", have.image_id, want.image_id)
    note(CONFIG_FILES, have.labels.get(CONFIG_HASH_LABEL, "")[:12], want.config_hash[:12])
    if edited and not any(row["what"] == CONFIG_FILES for row in found):
        found.append(_row(EDITED_FILES, ", ".join(edited), "as declared"))
    note("networks", ", ".join(sorted(have.networks)), ", ".join(sorted(want.networks)))
    note("memory limit (bytes)", have.memory, want.memory)
    note("processor limit", have.nano_cpus / 1e9, want.nano_cpus / 1e9)
    note("process limit", have.pids, want.pids)
    known = {row["what"] for row in found} - {"state", "health", "image content"}
    if not known and have.labels.get(COMPOSE_HASH_LABEL, "") != want.compose_hash:
        found.append(_row("Compose definition", have.labels.get(COMPOSE_HASH_LABEL, "")[:12], want.compose_hash[:12]))
    return found


def recreates(differences: list[dict[str, str]]) -> bool:
    """Whether the container must be made anew even where Compose sees the same definition.

    Compose compares the definition and the image's name: neither a network that was taken away, nor an unhealthy
    container, nor a file that was edited on the disk is a reason for it.
    """
    return any(row["what"] in {"health", "networks", "image content", EDITED_FILES} for row in differences)


def _row(what: str, current: object, desired: object) -> dict[str, str]:
    return {"what": what, "current": str(current), "desired": str(desired)}


def _labels(labels: Any) -> dict[str, str]:
    if isinstance(labels, list):
        return dict(item.split("=", 1) for item in labels)
    return dict(labels)
