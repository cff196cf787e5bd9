# SPDX-License-Identifier: GPL-3.0-or-later
"""Replace a service's data by that of a backup. The previous data is renamed and never deleted."""

from __future__ import annotations

import secrets as random
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ansible.module_utils.deployment.teardown import mount_points
from ansible.module_utils.restore.backups import Backup, Backups, require_space
from ansible.module_utils.restore.points import RestoreError
from ansible.module_utils.shared import fs


@dataclass(frozen=True)
class Move:
    """One data directory: where it is, where the data of the backup was unpacked, and where the present data goes."""

    live: str
    staged: str
    aside: str

    @classmethod
    def of(cls, values: Iterable[Mapping[str, Any]]) -> tuple[Move, ...]:
        """From plain data."""
        return tuple(cls(**value) for value in values)


def stage(backups: Backups, backup: Backup, root: Path) -> tuple[Move, ...]:
    """Unpack the backup beside the data directories, and verify it.

    Raises RestoreError or OSError, after removing what was unpacked.
    """
    moves = []
    moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    for name in backup.data:
        live = (root / name).resolve()
        inside = sorted(point for point in mount_points() if point.is_relative_to(live))
        if inside:
            raise RestoreError(
                f"{root / name} cannot be renamed, because a file system is mounted at {inside[0]}. Stop the service, "
                f"empty that directory yourself, and unpack {backups.archive(backup.number)} with tar; nothing was "
                "changed"
            )
        for left in unpacked(live):
            # Left by a run that was killed while it unpacked a backup.
            shutil.rmtree(left)
        staged = live.with_name(f".{live.name}.unpacked-{random.token_hex(4)}")
        moves.append(Move(str(live), str(staged), str(live.with_name(f"{live.name}.replaced-{moment}"))))
    for folder in {Path(move.live).parent for move in moves}:
        require_space(folder, backup.allocated, f"the data of {backup.text}, beside the present data,")
    backups.unpack(backup, dict(zip(backup.data, (Path(move.staged) for move in moves), strict=True)))
    return tuple(moves)


def unpacked(live: Path) -> list[Path]:
    """Data of backups that runs unpacked beside a data directory and did not move to its place."""
    return sorted(live.parent.glob(f".{live.name}.unpacked-*"))


def swap(moves: Sequence[Move]) -> list[str]:
    """Rename the present data, then move the unpacked data to its place; completes what a killed run began.

    Returns the paths of the previous data.
    """
    kept = []
    for move in moves:
        live, staged, aside = Path(move.live), Path(move.staged), Path(move.aside)
        if staged.exists():
            if live.exists():
                # A killed run may have renamed it already, and the engine may have created an empty directory since.
                while aside.exists():
                    aside = aside.with_name(f"{aside.name}-2")
                live.rename(aside)
            staged.rename(live)
            fs.sync(live.parent)
        kept += [str(path) for path in sorted(live.parent.glob(f"{Path(move.aside).name}*"))]
    return kept
