# SPDX-License-Identifier: GPL-3.0-or-later
"""The image lock: the digests of official images in a JSON file, which a site may keep under version control."""

from __future__ import annotations

import fcntl
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ansible.module_utils.images.plan import ImageError
from ansible.module_utils.shared.fs import atomic_write
from ansible.module_utils.shared.ownership import Ownership

DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def read_lock(path: Path) -> dict[str, str]:
    """Official name → digest; empty if there is no file. Raises ImageError if the file is not an image lock."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ImageError(f"{path}: the image lock cannot be read: {error.strerror}") from error
    try:
        images = json.loads(text)["images"]
        lock = {str(name): str(entry["digest"]) for name, entry in images.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ImageError(
            f"{path}: not an image lock file; restore it from a backup, or remove it to record the digests again"
        ) from error
    for name, digest in lock.items():
        if not DIGEST.fullmatch(digest):
            raise ImageError(f"{path}: the digest of {name} is not sha256: and 64 hex digits; remove that entry")
    return lock


def record(path: Path, official: str, digest: str) -> bool:
    """Record `digest` for `official`; True if the file changed. Safe with concurrent writers on the machine."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with exclusive(path.parent):
        lock = read_lock(path)
        if lock.get(official) == digest:
            return False
        lock[official] = digest
        images = {name: {"digest": lock[name]} for name in sorted(lock)}
        with atomic_write(path, ownership=Ownership(mode=0o644)) as file:
            file.write((json.dumps({"images": images}, indent=2) + "\n").encode())
    return True


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold the lock of a folder, or of a file that is created for it, against the machine's other processes."""
    flags = os.O_RDONLY if path.is_dir() else os.O_RDWR | os.O_CREAT
    descriptor = os.open(path, flags, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
