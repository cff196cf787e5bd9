# SPDX-License-Identifier: GPL-3.0-or-later
"""Back up files before they are replaced."""

from __future__ import annotations

import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

from ansible.module_utils.shared.fs import sync


def make_directories(path: Path, mode: int = 0o755) -> None:
    """Create `path` and its missing parents with exactly `mode`, whatever the umask is."""
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    for folder in reversed(missing):
        folder.mkdir(mode=mode, exist_ok=True)
        folder.chmod(mode)


def back_up(path: Path, root: Path, now: datetime | None = None) -> Path:
    """Copy `path` with its owner and mode to `ROOT/.trade2026/replaced/TIME/…` before it is replaced."""
    moment = (now or datetime.now(UTC)).strftime("%Y%m%dT%H%M%S.%fZ")
    inside = path.relative_to(root) if path.is_relative_to(root) else Path(*path.parts[1:])
    base = root / ".trade2026" / "replaced"
    make_directories(base, 0o700)
    copy = base / moment / inside
    make_directories(copy.parent, 0o700)
    shutil.copy2(path, copy)
    seen = path.stat()
    os.chown(copy, seen.st_uid, seen.st_gid)
    # The replaced file is gone for good once its successor is on the disk.
    for written in (copy, *copy.parents):
        sync(written)
        if written == root:
            break
    return copy
