# SPDX-License-Identifier: GPL-3.0-or-later
"""Queries to the Docker engine through the SDK, over one connection. Only `remove_helpers` changes anything."""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
import os
import re
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible.module_utils.deployment.model import ObservedContainer, ObservedEndpoint, ObservedNetwork
from ansible.module_utils.shared.docker import NEVER

FRACTION = re.compile(r"\.(\d{1,6})\d*")
PROJECT_LABEL = "com.docker.compose.project"
# States of a container in which it has processes.
RUNNING = ("running", "restarting", "paused")
# State of a connection in /proc/net/tcp.
ESTABLISHED = "01"


class EngineError(Exception):
    """The engine does not answer; the text is a message for the user."""


@dataclass(frozen=True)
class ObservedEngine:
    """Everything that one inspection asks of the engine."""

    version: str
    # Whether the kernel can limit swap; where it cannot, the engine drops the setting.
    swap_limit: bool
    networks: Mapping[str, ObservedNetwork] = field(default_factory=dict)
    containers: tuple[ObservedContainer, ...] = ()
    # Reference → id of the requested images that exist.
    images: Mapping[str, str] = field(default_factory=dict)


def connect(timeout_s: int = 30) -> Any:
    """A client for the engine that the operator's own `docker` would use; raises EngineError.

    Like the command line it obeys DOCKER_HOST, then DOCKER_CONTEXT, then the current context.
    """
    try:
        from docker.api.client import APIClient
        from docker.context import ContextAPI
        from docker.errors import DockerException
        from docker.utils import kwargs_from_env
    except ImportError as error:
        raise EngineError(
            f"the Python package {error.name} is missing; run `make setup`, or install requirements/run.txt there"
        ) from error
    try:
        arguments = kwargs_from_env() if os.environ.get("DOCKER_HOST") else ContextAPI.kwargs_from_context()
        return APIClient(version="auto", timeout=timeout_s, **arguments)
    except (DockerException, OSError, ValueError) as error:
        raise EngineError(f"Docker does not answer: {_first_line(error)}") from error


def observe_engine(client: Any, project: str, names: Sequence[str], images: Sequence[str]) -> ObservedEngine:
    """Networks, the containers of the project or with one of `names`, and the images; raises EngineError."""
    from docker.errors import APIError, DockerException

    try:
        info = client.info()
        networks = {entry["Name"]: _network(entry) for entry in client.networks()}
        wanted = [
            entry["Id"]
            for entry in client.containers(all=True)
            if (entry.get("Labels") or {}).get(PROJECT_LABEL) == project
            or {name.lstrip("/") for name in entry.get("Names") or []} & set(names)
        ]
        containers = []
        for identifier in wanted:
            try:
                containers.append(parse_container(client.inspect_container(identifier)))
            except APIError as error:
                # Another run may have removed it since the listing.
                if error.status_code != 404:
                    raise
        found = {}
        for reference in dict.fromkeys(images):
            try:
                found[reference] = str(client.inspect_image(reference)["Id"])
            except APIError as error:
                if error.status_code != 404:
                    raise
        return ObservedEngine(
            version=str(info.get("ServerVersion", "")),
            swap_limit=bool(info.get("SwapLimit")),
            networks=networks,
            containers=tuple(sorted(containers, key=lambda container: container.name)),
            images=found,
        )
    except (DockerException, OSError) as error:
        raise EngineError(f"Docker does not answer: {_first_line(error)}") from error


def published_ports(client: Any) -> dict[int, str]:
    """Host port → name of the container that publishes it, or will when the engine has restarted it."""
    found: dict[int, str] = {}
    for entry in client.containers():
        name = (entry.get("Names") or [""])[0].lstrip("/")
        published = [int(port["PublicPort"]) for port in entry.get("Ports") or [] if port.get("PublicPort")]
        # A container that restarts in a loop has its ports at one moment and not at the next.
        found.update(dict.fromkeys(published or _declared_ports(client, entry["Id"]), name))
    return found


def _declared_ports(client: Any, identifier: str) -> list[int]:
    """The host ports in a container's definition; none if the container is gone."""
    from docker.errors import NotFound

    try:
        bindings = client.inspect_container(identifier)["HostConfig"].get("PortBindings") or {}
    except NotFound:
        return []
    ports = [str(one.get("HostPort") or "") for binding in bindings.values() for one in binding or []]
    return [int(port) for port in ports if port.isdigit()]


def clients_of(client: Any, container: str, proc: Path = Path("/proc")) -> list[str]:
    """Who has open connections to the container's ports, by container name where it is one; raises EngineError."""
    from docker.errors import DockerException

    try:
        document = client.inspect_container(container)
        names = {
            str(end.get("IPAddress")): (entry.get("Names") or [""])[0].lstrip("/")
            for entry in client.containers()
            for end in ((entry.get("NetworkSettings") or {}).get("Networks") or {}).values()
        }
    except (DockerException, OSError) as error:
        raise EngineError(f"Docker does not answer: {_first_line(error)}") from error
    ports = {int(port.partition("/")[0]) for port in document["Config"].get("ExposedPorts") or {}}
    tables = []
    for family in ("tcp", "tcp6"):
        with contextlib.suppress(OSError):
            tables.append((proc / str(document["State"].get("Pid")) / "net" / family).read_text(encoding="ascii"))
    remotes = [remote for table in tables for remote in connections(table, ports)]
    return [
        f"{remotes.count(remote)} {'connection' if remotes.count(remote) == 1 else 'connections'} "
        f"of {names.get(remote) or remote}"
        for remote in sorted(set(remotes))
    ]


def connections(table: str, ports: Container[int]) -> list[str]:
    """Remote IPv4 addresses of the open connections to `ports`, from the text of /proc/PID/net/tcp or tcp6."""
    found = []
    for line in table.splitlines()[1:]:
        _number, local, remote, state, *_rest = line.split()
        address = remote.partition(":")[0][-8:]
        if state == ESTABLISHED and int(local.partition(":")[2], 16) in ports:
            found.append(str(ipaddress.IPv4Address(bytes.fromhex(address)[::-1])))
    # The health check connects from inside the container.
    return [address for address in found if not ipaddress.IPv4Address(address).is_loopback]


def _network(entry: Mapping[str, Any]) -> ObservedNetwork:
    pools = (entry.get("IPAM") or {}).get("Config") or []
    return ObservedNetwork(
        id=str(entry["Id"]),
        subnets=tuple(str(pool.get("Subnet", "")) for pool in pools),
        driver=str(entry.get("Driver", "")),
        internal=bool(entry.get("Internal")),
        ipv6=bool(entry.get("EnableIPv6")),
        options=dict(entry.get("Options") or {}),
    )


def parse_container(document: Mapping[str, Any]) -> ObservedContainer:
    """Parse what the engine reports about one container."""
    state, config, host = document["State"], document["Config"], document["HostConfig"]
    settings = document.get("NetworkSettings") or {}
    bindings = (host.get("PortBindings") or {}).values()
    return ObservedContainer(
        id=str(document["Id"]),
        name=str(document["Name"]).lstrip("/"),
        image=str(config["Image"]),
        image_id=str(document["Image"]),
        status="paused" if state.get("Paused") else str(state["Status"]),
        health=str((state.get("Health") or {}).get("Status", "")),
        started=moment(str(state.get("StartedAt") or "")),
        labels=dict(config.get("Labels") or {}),
        networks={
            name: ObservedEndpoint(str(end.get("NetworkID") or ""), tuple(end.get("Aliases") or ()))
            for name, end in (settings.get("Networks") or {}).items()
        },
        memory=int(host.get("Memory") or 0),
        memory_swap=int(host.get("MemorySwap") or 0),
        nano_cpus=int(host.get("NanoCpus") or 0),
        pids=int(host.get("PidsLimit") or 0),
        host_ports=tuple(
            sorted(int(one["HostPort"]) for binding in bindings for one in binding or [] if one.get("HostPort"))
        ),
    )


def moment(text: str) -> float:
    """Seconds since the epoch of one of the engine's timestamps; 0 for none."""
    if not text or text.startswith(NEVER):
        return 0.0
    return datetime.datetime.fromisoformat(FRACTION.sub(r".\1", text).replace("Z", "+00:00")).timestamp()


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__


def helpers(client: Any, label: str, root: str) -> list[tuple[str, str]]:
    """Name and status of the containers with the label, which a killed run leaves."""
    found = client.containers(all=True, filters={"label": f"{label}={root}"})
    return [((entry.get("Names") or [entry["Id"]])[0].lstrip("/"), str(entry.get("State", ""))) for entry in found]


def remove_helpers(label: str, root: str, names: Sequence[tuple[str, str]]) -> None:
    """Remove those containers; raises EngineError."""
    if not names:
        return
    from docker.errors import APIError, DockerException

    client = connect()
    try:
        for name, _status in helpers(client, label, root):
            client.remove_container(name, force=True, v=True)
    except APIError as error:
        if error.status_code != 404:
            raise EngineError(f"a leftover container cannot be removed: {_first_line(error)}") from error
    except (DockerException, OSError) as error:
        raise EngineError(f"Docker does not answer: {_first_line(error)}") from error
