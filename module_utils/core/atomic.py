"""Replace files whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from ansible.module_utils.shared.ownership import Ownership


def write(path: Path, data: bytes, ownership: Ownership) -> None:
    """Write `data` under a temporary name in the same folder, give it its owner, and rename it over `path`.

    Synced before the rename: after a power failure the file is the old one or the new one.
    """
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        ownership.apply(Path(name))
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


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
