"""Who uses the data: containers of the old and the new platform, and processes that hold its files open."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible.module_utils.core.docker_cli import Docker
from ansible.module_utils.shared.windows_paths import is_below


@dataclass(frozen=True, slots=True)
class Places:
    """How to know a container of the old platform (its tree in all spellings, its networks) and of the new one."""

    source_roots: Sequence[str]
    source_networks: Sequence[str]
    target_root: str
    target_project: str


def container_uses(inspected: Mapping[str, Any], places: Places) -> str:
    """Why a running container stands in the way; empty when it does not."""
    labels = (inspected.get("Config") or {}).get("Labels") or {}
    project = labels.get("com.docker.compose.project", "")
    if project == places.target_project:
        return f"belongs to the Compose project {project}"
    for mount in inspected.get("Mounts") or []:
        source = mount.get("Source", "") if mount.get("Type") == "bind" else ""
        if source and is_below(source, places.source_roots):
            return f"mounts {source} of Trade2025"
        if source and is_below(source, [f"{places.target_root}/data"]):
            return f"mounts {source} of Trade2026"
    folder = labels.get("com.docker.compose.project.working_dir", "")
    if folder and is_below(folder, places.source_roots):
        return f"was started from {folder}"
    networks = set((inspected.get("NetworkSettings") or {}).get("Networks") or {})
    for name in places.source_networks:
        if name in networks:
            return f"is on the network {name} of Trade2025"
    return ""


def running_users(docker: Docker, places: Places) -> list[str]:
    """One sentence for each running container that stands in the way. Raises DockerError when docker cannot tell."""
    names = docker.call("ps", "--no-trunc", "--quiet").split()
    found = []
    for inspected in docker.inspect("container", *names).values():
        why = container_uses(inspected, places)
        if why:
            found.append(f"container {str(inspected.get('Name', '')).lstrip('/')} is running: it {why}")
    return sorted(found)


def open_file_users(inodes: Iterable[tuple[int, int]], proc: Path = Path("/proc")) -> list[str]:
    """One sentence for each process that holds one of the files open, whatever name it sees the file under."""
    wanted = set(inodes)
    found = []
    for folder in sorted(proc.iterdir()) if wanted else []:
        if not folder.name.isdigit() or int(folder.name) == os.getpid():
            continue
        try:
            descriptors = list((folder / "fd").iterdir())
            name = (folder / "comm").read_text(encoding="utf-8", errors="replace").strip()
        except OSError:
            # It ended meanwhile, or belongs to another user; then the containers are what can be seen.
            continue
        if any(_inode(descriptor) in wanted for descriptor in descriptors):
            found.append(f"process {folder.name} ({name}) holds files of the data open")
    return found


def _inode(descriptor: Path) -> tuple[int, int] | None:
    try:
        seen = descriptor.stat()
    except OSError:
        return None
    return seen.st_dev, seen.st_ino
