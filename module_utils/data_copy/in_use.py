# SPDX-License-Identifier: GPL-3.0-or-later
"""What uses the data: containers of the old and the new platform, and processes that have its files open or mapped."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible.module_utils.shared.docker import Docker
from ansible.module_utils.shared.windows_paths import is_below

# A line of /proc/PID/maps: range, rights, offset, device, inode.
_MAPPING = re.compile(rb"(?P<range>\S+) \S+ \S+ (?P<major>[0-9a-f]+):(?P<minor>[0-9a-f]+) (?P<inode>\d+)")


@dataclass(frozen=True, slots=True)
class Places:
    """How to know a container of the old platform (its tree in all spellings, its networks) and of the new one."""

    source_roots: Sequence[str]
    source_networks: Sequence[str]
    target_root: str
    target_project: str


def why_in_use(inspected: Mapping[str, Any], places: Places) -> str:
    """Why a running container keeps the data from being copied; empty if it does not."""
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


def containers_using(docker: Docker, places: Places) -> list[str]:
    """One sentence for each running container that uses the data. Raises DockerError if docker cannot list them."""
    names = docker.call("ps", "--no-trunc", "--quiet").split()
    found = []
    for inspected in docker.inspect("container", *names).values():
        why = why_in_use(inspected, places)
        if why:
            found.append(f"container {str(inspected.get('Name', '')).lstrip('/')} is running: it {why}")
    return sorted(found)


def processes_using(inodes: Iterable[tuple[int, int]], proc: Path = Path("/proc")) -> list[str]:
    """One sentence for each process that has one of the files open or mapped, whatever name it sees the file under.

    A mapping outlives the descriptor that it was made from, and what is written through it changes the file.
    """
    wanted = set(inodes)
    numbers = {number for _device, number in wanted}
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
            found.append(f"process {folder.name} ({name}) has files of the data open")
        elif any(inode in wanted for inode in _mapped(folder, numbers)):
            found.append(f"process {folder.name} ({name}) has files of the data mapped into its memory")
    return found


def _inode(path: Path) -> tuple[int, int] | None:
    try:
        seen = path.stat()
    except OSError:
        return None
    return seen.st_dev, seen.st_ino


def _mapped(process: Path, numbers: AbstractSet[int]) -> Iterator[tuple[int, int]]:
    """The mapped files of a process whose inode numbers are among `numbers`, as (device, inode number).

    On some file systems (btrfs, overlayfs) `maps` names another device than `stat` does, so the targets of the links
    in `map_files` are compared too.
    """
    try:
        lines = (process / "maps").read_bytes().splitlines()
    except OSError:
        return
    for line in lines:
        match = _MAPPING.match(line)
        if match is None or int(match["inode"]) not in numbers:
            continue
        yield os.makedev(int(match["major"], 16), int(match["minor"], 16)), int(match["inode"])
        inode = _inode(process / "map_files" / match["range"].decode())
        if inode is not None:
            yield inode
