# SPDX-License-Identifier: GPL-3.0-or-later
"""The content of a folder as one hash."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from ansible.module_utils.images.plan import Context

# What the hash leaves out: caches that Python wrote, and wheels, which the hashes in the requirements identify.
IGNORED = frozenset({"__pycache__", "wheels", ".git"})


def read_context(folder: Path) -> Context:
    """Hash of every file's path, executable bit and content under `folder`; an empty hash if it does not exist."""
    if not folder.is_dir():
        return Context("")
    total = hashlib.sha256()
    for parent, names, files in os.walk(folder):
        # A symlink to a folder counts as a symlink, whether or not its target exists yet.
        links = [name for name in names if Path(parent, name).is_symlink()]
        names[:] = sorted(name for name in names if name not in IGNORED and name not in links)
        for name in sorted(files + links):
            path = Path(parent, name)
            content = os.fsencode(path.readlink()) if path.is_symlink() else path.read_bytes()
            executable = not path.is_symlink() and os.access(path, os.X_OK)
            total.update(
                f"{path.relative_to(folder).as_posix()}\0{int(executable)}\0{hashlib.sha256(content).hexdigest()}\n".encode()
            )
    return Context(total.hexdigest(), (folder / "requirements.txt").is_file())
