"""Keep what is replaced."""

from __future__ import annotations

import os
import shutil
from datetime import UTC, datetime
from pathlib import Path


def keep_copy(path: Path, root: Path, now: datetime | None = None) -> Path:
    """Copy `path` with its owner and mode to `ROOT/.trade2026/replaced/TIME/…` before it is replaced."""
    moment = (now or datetime.now(UTC)).strftime("%Y%m%dT%H%M%S.%fZ")
    inside = path.relative_to(root) if path.is_relative_to(root) else Path(*path.parts[1:])
    base = root / ".trade2026" / "replaced"
    base.mkdir(mode=0o700, parents=True, exist_ok=True)
    copy = base / moment / inside
    copy.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    shutil.copy2(path, copy)
    seen = path.stat()
    os.chown(copy, seen.st_uid, seen.st_gid)
    return copy
