# SPDX-License-Identifier: GPL-3.0-or-later
"""The image lock file: a JSON file with the digests of official images, which can be kept under version control. An
entry also has the signer whose signature of that digest was verified.
"""

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
    return {name: entry["digest"] for name, entry in _entries(path).items()}


def read_verified(path: Path) -> dict[str, str]:
    """Official name → mark of the signer whose signature of the digest was verified."""
    return {name: entry["verified_by"] for name, entry in _entries(path).items() if "verified_by" in entry}


def _entries(path: Path) -> dict[str, dict[str, str]]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ImageError(f"{path}: the image lock cannot be read: {error.strerror}") from error
    try:
        images = json.loads(text)["images"]
        entries = {
            str(name): {key: str(entry[key]) for key in ("digest", "verified_by") if key == "digest" or entry.get(key)}
            for name, entry in images.items()
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ImageError(
            f"{path}: not an image lock file; restore it from a backup, or remove it to record the digests again"
        ) from error
    for name, entry in entries.items():
        if not DIGEST.fullmatch(entry["digest"]):
            raise ImageError(f"{path}: the digest of {name} is not sha256: and 64 hex digits; remove that entry")
    return entries


def record(path: Path, official: str, digest: str, verified_by: str = "") -> bool:
    """Store `digest` for `official`, and the signer whose signature of it was verified; True if the file changed.

    Without `verified_by`, the stored signer of the same digest is kept. Safe with concurrent writers on the machine.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with exclusive(path.parent):
        entries = _entries(path)
        before = entries.get(official, {})
        kept = before.get("verified_by", "") if before.get("digest") == digest else ""
        mark = verified_by or kept
        entries[official] = {"digest": digest, **({"verified_by": mark} if mark else {})}
        if entries[official] == before:
            return False
        images = {name: entries[name] for name in sorted(entries)}
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
