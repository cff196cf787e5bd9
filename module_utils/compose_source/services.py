# SPDX-License-Identifier: GPL-3.0-or-later
"""Describe the parts of a Compose model in the terms that the migration needs."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible.module_utils.shared.windows_paths import is_below


def describe(
    name: str, model: Mapping[str, Any], active: bool, tree: Sequence[str], home: bool = False
) -> dict[str, Any]:
    """A service of the model as plain data. `tree`: names in the tree's root folder. `home`: whether HOME is known."""
    service = model["services"][name]
    networks = model.get("networks") or {}
    deploy = service.get("deploy") or {}
    return {
        "active": active,
        "profiles": service.get("profiles") or [],
        "image": service.get("image") or "",
        "build": _build(service.get("build")),
        "container_name": service.get("container_name") or "",
        "command": service.get("command"),
        "entrypoint": service.get("entrypoint"),
        "ports": [_port(port) for port in service.get("ports") or []],
        "volumes": [_mount(mount, tree, home) for mount in service.get("volumes") or []],
        "networks": [
            {"key": key, "name": (networks.get(key) or {}).get("name") or key} for key in service.get("networks") or {}
        ],
        "network_mode": service.get("network_mode") or "",
        "environment": dict(sorted((service.get("environment") or {}).items())),
        "healthcheck": _healthcheck(service.get("healthcheck")),
        "limits": _limits(service, (deploy.get("resources") or {}).get("limits") or {}),
        "restart": service.get("restart") or "",
        "user": str(service.get("user") or ""),
        "rights": {
            **{key: bool(service.get(key)) for key in ("privileged", "read_only")},
            **{key: service.get(key) or [] for key in ("cap_add", "cap_drop", "security_opt")},
        },
        "stop": {"signal": service.get("stop_signal") or "", "grace_s": _optional(service, "stop_grace_period")},
        "labels": service.get("labels") or {},
        "depends_on": list(service.get("depends_on") or {}),
    }


def describe_section(model: Mapping[str, Any], section: str) -> dict[str, dict[str, Any]]:
    """The networks or volumes that services use."""
    return {
        key: {
            "name": entry.get("name") or key,
            "external": bool(entry.get("external")),
            "driver": entry.get("driver") or "",
            "subnets": [part["subnet"] for part in (entry.get("ipam") or {}).get("config") or [] if part.get("subnet")],
        }
        for key, entry in ((key, entry or {}) for key, entry in (model.get(section) or {}).items())
    }


def _build(build: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if build is None:
        return None
    return {
        "context": build.get("context") or "",
        "dockerfile": build.get("dockerfile") or "",
        "target": build.get("target") or "",
        "args": build.get("args") or {},
    }


def _port(port: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "host_ip": port.get("host_ip") or "",
        "published": str(port.get("published") or ""),
        "target": int(port["target"]),
        "protocol": port.get("protocol") or "tcp",
    }


def _mount(mount: Mapping[str, Any], tree: Sequence[str], home: bool) -> dict[str, Any]:
    source = mount.get("source") or ""
    if mount["type"] == "bind" and not home:
        # Without HOME Compose takes `~` for the name of a folder in the project.
        source = re.sub(r"^.*/(?=~(?:/|$))", "", source)
    return {
        "type": mount["type"],
        "source": source,
        "target": mount.get("target") or "",
        "read_only": bool(mount.get("read_only")),
        "in_tree": mount["type"] == "bind" and is_below(source, tree),
    }


def _healthcheck(check: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if check is None:
        return None
    test = list(check.get("test") or [])
    return {
        "test": test,
        "disable": bool(check.get("disable")) or test[:1] == ["NONE"],
        **{f"{key}_s": _optional(check, key) for key in ("interval", "timeout", "start_period", "start_interval")},
        "retries": None if check.get("retries") is None else int(check["retries"]),
    }


def _limits(service: Mapping[str, Any], deployed: Mapping[str, Any]) -> dict[str, Any]:
    """Memory in bytes, processors, processes and ulimits; `deploy` wins over the older short names, as in Compose."""
    names: tuple[tuple[str, str, Callable[[Any], float]], ...] = (
        ("memory", "mem_limit", int),
        ("cpus", "cpus", float),
        ("pids", "pids_limit", int),
    )
    limits: dict[str, Any] = {}
    for key, old, convert in names:
        value = deployed.get(key) or service.get(old)
        limits[key] = convert(value) if value else None
    limits["ulimits"] = service.get("ulimits") or {}
    return limits


_UNITS_S = {"ns": 1e-9, "us": 1e-6, "\u00b5s": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


def _optional(values: Mapping[str, Any], key: str) -> float | None:
    return seconds(values[key]) if values.get(key) else None


def seconds(duration: str) -> float:
    """A duration in Go's form, `1m30s`."""
    parts = re.findall(r"([0-9.]+)(ns|us|\u00b5s|ms|s|m|h)", duration)
    return float(round(sum(float(number) * _UNITS_S[unit] for number, unit in parts), 9))
