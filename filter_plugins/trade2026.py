"""Filters of the role `trade2026`."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any


def trade2026_directory(path: str) -> dict[str, str]:
    """A directory of the tree as `managed_files` takes it.

    A service's data directory belongs to its user, which the service's own role sets: here it is only made.
    """
    return {"path": path}


def trade2026_data_folders(path_map: Sequence[Mapping[str, str]], root_in_files: str) -> list[str]:
    """The folders of data, relative to the root of the new tree, that the path map leads to."""
    targets = [row["to"].removeprefix(f"{root_in_files.rstrip('/')}/") for row in path_map]
    return [target for target in targets if target.startswith("data/")]


def trade2026_gate_service(facts: Mapping[str, Any], prefix: str, offset: int) -> dict[str, Any]:
    """What the gate has to know of a service, from the facts of its host."""
    service = facts["core_service"]
    return {
        "name": facts["inventory_hostname"],
        "container": f"{prefix}{facts['inventory_hostname']}",
        "ports": [int(port["host"]) + int(offset) for port in service["ports"]],
        "memory": str(service["limits"]["memory"]),
        "nofile": int(service.get("ulimits", {}).get("nofile", 0)),
        "max_map_count": int(service.get("host_requirements", {}).get("max_map_count", 0)),
        "open": bool(service.get("unauthenticated", False)),
        "at_most": [
            {
                "name": bound["setting"],
                "value": str(bound["value"]),
                "limit_name": bound["max_setting"],
                "limit": str(bound["max"]),
            }
            for bound in service.get("bounds", [])
        ],
    }


def trade2026_collection_version(name: str) -> str:
    """The version of an installed collection; empty where it is not installed or does not say."""
    try:
        package = importlib.import_module(f"ansible_collections.{name}")
    except ImportError:
        return ""
    manifests = [Path(folder) / "MANIFEST.json" for folder in package.__path__]
    found = [json.loads(manifest.read_text(encoding="utf-8")) for manifest in manifests if manifest.is_file()]
    return str(found[0]["collection_info"]["version"]) if found else ""


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {
            "trade2026_collection_version": trade2026_collection_version,
            "trade2026_data_folders": trade2026_data_folders,
            "trade2026_directory": trade2026_directory,
            "trade2026_gate_service": trade2026_gate_service,
        }
