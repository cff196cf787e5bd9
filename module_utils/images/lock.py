"""The digests of official images, remembered in a JSON file that a person may read and keep under version control."""

from __future__ import annotations

import fcntl
import json
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ansible.module_utils.images.plan import ImageError

DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def read_lock(path: Path) -> dict[str, str]:
    """Official name -> digest; empty where there is no file. ImageError when the file is not one of ours."""
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
            f"{path}: not an image lock file; restore it from a backup, or remove it to record the digests anew"
        ) from error
    for name, digest in lock.items():
        if not DIGEST.fullmatch(digest):
            raise ImageError(f"{path}: the digest of {name} is not sha256: and 64 hex digits; remove that entry")
    return lock


def record(path: Path, official: str, digest: str) -> bool:
    """Remember `digest` for `official`; True when the file changed. Safe beside other writers on the machine."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with _alone(path.parent):
        lock = read_lock(path)
        if lock.get(official) == digest:
            return False
        lock[official] = digest
        images = {name: {"digest": lock[name]} for name in sorted(lock)}
        _replace(path, json.dumps({"images": images}, indent=2) + "\n")
    return True


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the folder's lock: the services' pulls run side by side and write into one file."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _replace(path: Path, text: str) -> None:
    """Write beside the file and rename, so that nobody reads half of it."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
