# SPDX-License-Identifier: GPL-3.0-or-later
"""What a report adds on the machine: facts, and containers and networks as the engine reports them."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible.module_utils.shared.docker import NEVER, Docker, DockerError, Process, finish, start

# The default of the bridge driver.
DEFAULT_MTU = 1500
MTU_OPTION = "com.docker.network.driver.mtu"

Row = dict[str, Any]


def add_running_state(document: Mapping[str, Any], containers: Mapping[str, str], docker: Docker) -> Row:
    """The document with facts of the machine, and with the running state if it has none yet.

    `containers` is service → name of its container. An engine that does not answer leaves the parts out.
    """
    compose = start(("docker", "compose", "version", "--short"))
    engine = start(("docker", "version", "--format", "{{.Server.Version}}"))
    running = _running_state(document, containers, docker)
    versions = {"compose": _version(compose), "engine": _version(engine)}
    known = {key: value for key, value in (facts() | versions).items() if value}
    answers = bool(versions["engine"])
    return {**document, **(running if answers else {}), "machine": known | dict(document["machine"])}


def _running_state(document: Mapping[str, Any], containers: Mapping[str, str], docker: Docker) -> Row:
    """The parts `services` and `networks`, as far as they have to be added and the engine answers."""
    if all("state" in service for service in document["services"]) and document.get("networks"):
        return {}
    try:
        seen = docker.inspect("container", *dict.fromkeys(name for name in containers.values() if name))
        services = [_service(seen.get(containers.get(entry["name"], "")), entry) for entry in document["services"]]
        used = {end["name"] for service in services for end in service.get("networks", [])}
        networks = document.get("networks") or [
            _network(entry) for entry in docker.inspect("network", *sorted(used)).values()
        ]
    except DockerError:
        return {}
    return {"services": services, "networks": networks}


def _version(process: Process) -> str:
    code, version, _error = finish(process)
    return version if code == 0 else ""


def facts(root: Path = Path("/")) -> Row:
    """Processor, memory and system; what cannot be found is empty."""
    release = dict(re.findall(r'^(\w+)="?([^"\n]*)', _read(root / "etc/os-release"), re.MULTILINE))
    cpu = re.search(r"^model name\s*:\s*(.+)$", _read(root / "proc/cpuinfo"), re.MULTILINE)
    total = re.search(r"^MemTotal:\s+(\d+) kB", _read(root / "proc/meminfo"), re.MULTILINE)
    return {
        "cpu": cpu[1].strip() if cpu else "",
        "cores": os.cpu_count() or 0,
        "memory_bytes": int(total[1]) * 1024 if total else 0,
        "kernel": platform.release(),
        "distribution": release.get("PRETTY_NAME", ""),
        "python": platform.python_version(),
    }


def _service(seen: Mapping[str, Any] | None, service: Mapping[str, Any]) -> Row:
    """A service with the state and properties of its container, as the engine describes it."""
    if seen is None:
        return {"state": "absent", "health": "", **service}
    state, settings = seen["State"], seen.get("NetworkSettings") or {}
    started = str(state.get("StartedAt") or "")
    running: Row = {
        "state": "paused" if state.get("Paused") else str(state["Status"]),
        "health": str((state.get("Health") or {}).get("Status", "")),
        "started_at": None if not started or started.startswith(NEVER) else started,
        "ports": _ports(service, settings.get("Ports") or {}),
        "networks": [
            {"name": network, "ip": str(end.get("IPAddress") or ""), "aliases": list(end.get("Aliases") or [])}
            for network, end in sorted((settings.get("Networks") or {}).items())
        ],
    }
    image = {**service.get("image", {"reference": str(seen["Config"]["Image"])}), "id": str(seen["Image"])}
    return {**service, **running, "image": image}


def _ports(service: Mapping[str, Any], published: Mapping[str, Any]) -> list[Row]:
    """The published ports, with the names that the service's declaration gives them."""
    names = {port["host"]: port.get("name", "") for port in service.get("ports", [])}
    found: list[Row] = [
        {"host_ip": str(one["HostIp"]), "host": int(one["HostPort"]), "container": int(inside.partition("/")[0])}
        for inside, ends in published.items()
        for one in ends or []
    ]
    return [{"name": names.get(row["host"], ""), **row} for row in sorted(found, key=lambda row: row["host"])]


def _network(entry: Mapping[str, Any]) -> Row:
    pools = (entry.get("IPAM") or {}).get("Config") or [{}]
    return {
        "name": str(entry["Name"]),
        "id": str(entry["Id"]),
        "subnet": str(pools[0].get("Subnet", "")),
        "mtu": int((entry.get("Options") or {}).get(MTU_OPTION, DEFAULT_MTU)),
        "internal": bool(entry.get("Internal")),
    }


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
