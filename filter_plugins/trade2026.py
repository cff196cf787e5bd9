# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters of the role `trade2026`."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any


def trade2026_directory(path: str) -> dict[str, str]:
    """A directory of the tree as `managed_files` expects it.

    A service's data directory belongs to its user, which the service's own role sets; here it is only created.
    """
    return {"path": path}


def trade2026_data_folders(path_map: Sequence[Mapping[str, str]], root_in_files: str) -> list[str]:
    """The folders of data, relative to the root of the new tree, that the path map leads to."""
    targets = [row["to"].removeprefix(f"{root_in_files.rstrip('/')}/") for row in path_map]
    return [target for target in targets if target.startswith("data/")]


def trade2026_collection_version(name: str) -> str:
    """The version of an installed collection; empty if it is not installed or has no version."""
    try:
        package = importlib.import_module(f"ansible_collections.{name}")
    except ImportError:
        return ""
    manifests = [Path(folder) / "MANIFEST.json" for folder in package.__path__]
    found = [json.loads(manifest.read_text(encoding="utf-8")) for manifest in manifests if manifest.is_file()]
    return str(found[0]["collection_info"]["version"]) if found else ""


class FilterModule:
    """The filters, for Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {
            "trade2026_collection_version": trade2026_collection_version,
            "trade2026_data_folders": trade2026_data_folders,
            "trade2026_directory": trade2026_directory,
        }
