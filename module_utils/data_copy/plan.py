# SPDX-License-Identifier: GPL-3.0-or-later
"""What there is to copy for a service, and whether that can be done. Reads only."""

from __future__ import annotations

import json
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible.module_utils.data_copy.journal import Journal
from ansible.module_utils.data_copy.tree import DataCopyError, Tree, allocated, place_of, scan
from ansible.module_utils.shared import fs
from ansible.module_utils.shared.sizes import human

# Below the folder that holds the services' data. On the same file system, so that the end is a rename.
STATE_FOLDER = ".trade2025"


@dataclass(frozen=True, slots=True)
class DataSet:
    """One service's data: source, destination, and the owner of the copy."""

    service: str
    source: str
    dest: str
    uid: int
    gid: int

    @property
    def state(self) -> Path:
        """The copy's own folder."""
        return Path(self.dest).parent / STATE_FOLDER / Path(self.dest).name

    @property
    def staged(self) -> Path:
        """Where the copy is staged."""
        return self.state / "incoming"

    @property
    def record(self) -> Path:
        """The record of a finished copy."""
        return self.state / "done.json"


@dataclass(slots=True)
class Plan:
    """What there is to do for one set. `state` is current, copy or absent; `blocked` says why it cannot be done."""

    data: DataSet
    state: str
    tree: Tree | None = None
    blocked: str = ""
    replaces: bool = False
    wanted: int = 0
    left: list[fs.Entry] = field(default_factory=list)
    journal: Journal | None = None

    @property
    def size(self) -> int:
        """Bytes of the source."""
        return self.tree.size if self.tree else 0

    @property
    def size_left(self) -> int:
        """Bytes that are still to be copied."""
        return sum(entry.size for entry in self.left)


def holds_files(folder: str) -> bool:
    """Whether anything but folders is below: an engine leaves empty ones for its mounts."""
    return scan(folder).holds_files


def make_plan(data: DataSet, on_conflict: str) -> Plan:
    """Compare source, target and journal; reads only. Raises DataCopyError for a place that cannot be read or used."""
    if not Path(data.source).exists():
        return Plan(data, "absent")
    _check_places(data)
    tree = scan(data.source)
    fresh = Plan(data, "copy", tree)
    present = Path(data.dest).exists()
    occupied = present and holds_files(data.dest)
    done = _record(data)
    same = done is not None and done.get("fingerprint") == tree.fingerprint()
    # The record is written just before the rename: while the copy is staged, what is there is not the copy.
    if same and not data.staged.exists() and (occupied or (present and not tree.holds_files)):
        return Plan(data, "current", tree)
    if occupied and done is not None and not same:
        fresh.blocked = (
            f"Trade2025's data changed since it was copied on {done.get('finished_at')}, and {data.dest} is in use"
        )
    elif occupied:
        fresh.blocked = f"{data.dest} already holds data that this migration did not write"
    if fresh.blocked and on_conflict == "backup":
        fresh.blocked, fresh.replaces = "", True
    if fresh.blocked:
        fresh.blocked += ". Set trade2025_data_on_conflict=backup to move it aside and copy"
        return fresh
    journal = Journal(data.state / "journal.jsonl")
    fresh.journal = journal
    fresh.left = [entry for entry in tree.first_names() if not _is_staged(data, entry, journal)]
    fresh.wanted = max(0, allocated(tree) - _allocated_so_far(data))
    return fresh


def _check_places(data: DataSet) -> None:
    source, dest = os.path.realpath(data.source), os.path.realpath(data.dest)
    if Path(data.dest).is_symlink():
        raise DataCopyError(f"{data.dest}: is a symlink. Name its target {dest} as the data folder, or remove it.")
    if f"{dest}/".startswith(f"{source}/") or f"{source}/".startswith(f"{dest}/"):
        raise DataCopyError(f"{data.source} and {data.dest} contain each other. Set trade2026_root to another folder.")
    if fs.is_mount_point(data.dest):
        raise DataCopyError(
            f"{data.dest}: is a mount point, so a finished copy cannot replace it atomically. "
            f"Mount {Path(data.dest).parent} instead, or unmount it while copying."
        )


def _record(data: DataSet) -> dict[str, Any] | None:
    try:
        found = json.loads(data.record.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError:
        raise DataCopyError(
            f"{data.record}: is not valid. Remove it; the copy then starts from the beginning."
        ) from None
    return found if isinstance(found, dict) else None


def _is_staged(data: DataSet, entry: fs.Entry, journal: Journal) -> bool:
    if journal.whole(entry) is None:
        return False
    try:
        seen = os.lstat(place_of(str(data.staged), entry.path))
    except OSError:
        return False
    return stat.S_ISREG(seen.st_mode) and (seen.st_size, seen.st_mtime_ns) == (entry.size, entry.mtime_ns)


def _allocated_so_far(data: DataSet) -> int:
    if not data.staged.is_dir():
        return 0
    return sum(entry.blocks * 512 for entry in scan(str(data.staged)).first_names())


def space_problems(plans: list[Plan], margin: int) -> list[str]:
    """One sentence for each file system that the copies would fill. `margin` bytes stay free."""
    wanted: dict[int, tuple[int, int, str]] = {}
    for plan in plans:
        if plan.state != "copy" or plan.blocked:
            continue
        place = Path(plan.data.dest).parent
        while not place.exists():
            place = place.parent
        device = place.stat().st_dev
        bytes_, names, _path = wanted.get(device, (0, 0, ""))
        wanted[device] = (bytes_ + plan.wanted, names + len(plan.left), str(place))
    found = []
    for bytes_, names, where in wanted.values():
        free = os.statvfs(where)
        room = free.f_bavail * free.f_frsize
        if room < bytes_ + margin:
            found.append(
                f"{where}: the copy needs {human(bytes_)} and {human(margin)} must stay free, "
                f"but only {human(room)} are free. Free some space."
            )
        # A file system without a limit of inodes reports 0.
        if free.f_files and free.f_favail < names:
            found.append(
                f"{where}: the copy needs {names} inodes, but only {free.f_favail} are free. Remove some files."
            )
    return found
