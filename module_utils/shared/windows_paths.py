# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare paths that may be Windows paths."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable

_DRIVE = re.compile(r"[A-Za-z]:")
_UNIX_DRIVE = re.compile(r"(?:/host_mnt|/mnt|/run/desktop/mnt/host|/)?/([A-Za-z])(?=/|$)")


def is_windows_path(path: str) -> bool:
    """Whether a path is absolute on Windows and therefore not resolved against a folder on Linux."""
    return path.startswith("\\\\") or bool(_DRIVE.match(path))


def plain_path(path: str) -> str:
    """The canonical spelling of a path: `C:\\x`, `/c/x`, `/mnt/c/x` and `//c/x` are `c:/x`; others are normalised."""
    forward = path.replace("\\", "/") if is_windows_path(path) else path
    match = _UNIX_DRIVE.match(forward)
    if match:
        forward = f"{match[1]}:{forward[match.end() :]}"
    forward = posixpath.normpath(forward)
    return forward.lower() if _DRIVE.match(forward) else forward


def is_below(path: str, folders: Iterable[str]) -> bool:
    """Whether a path, in any spelling, is one of the folders or inside one."""
    plain = plain_path(path)
    return any(plain == folder or plain.startswith(folder.rstrip("/") + "/") for folder in map(plain_path, folders))
