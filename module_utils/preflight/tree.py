# SPDX-License-Identifier: GPL-3.0-or-later
"""The directory tree of task 01 in the source text."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from ansible.module_utils.preflight.result import Result, failed, passed
from ansible.module_utils.shared.ownership import keeps_owners


def check_tree(root: Path, directories: list[str], documents: list[str], will_create: bool) -> list[Result]:
    """Every directory and document exists, or will be created (`will_create`)."""
    wrong = [root / name for name in directories if not (root / name).is_dir()]
    wrong += [root / name for name in documents if not (root / name).is_file()]
    name = "directory tree"
    blocked = [path for path in wrong if path.exists()]
    if blocked:
        return [failed(name, f"{_list(blocked)} exists and is of the wrong kind", "move it away; nothing is replaced")]
    if wrong and not will_create:
        return [
            failed(
                name,
                f"missing: {_list(wrong)}",
                "run with trade2026_foundation=ensure, which creates them, or create them by hand",
            )
        ]
    word = "will be created" if wrong else "is there"
    return [
        passed(name, f"{len(directories)} directories and {len(documents)} document(s): {len(wrong) or 'all'} {word}")
    ]


def check_writable(root: Path) -> list[Result]:
    """The user of the run may write to the root, or to the folder in which it will be created."""
    place = root
    while not place.exists():
        place = place.parent
    if os.access(place, os.W_OK | os.X_OK):
        return [passed("permission", f"{place} is writable")]
    if os.statvfs(place).f_flag & os.ST_RDONLY:
        message = f"the file system of {place} is mounted read-only"
        return [failed("permission", message, "mount it for writing, or choose another trade2026_root")]
    return [
        failed(
            "permission", f"{place} is not writable", "run as root or with `--become`, or choose another trade2026_root"
        )
    ]


def check_disk(root: Path, min_free_gib: float) -> list[Result]:
    """Enough free space under the root, in GiB."""
    place = root
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free / 2**30
    message = f"{free:.1f} GiB free under {place}, {min_free_gib:g} wanted"
    if free >= min_free_gib:
        return [passed("disk", message)]
    return [failed("disk", message, "free some space, choose another trade2026_root, or lower trade2026_min_free_gib")]


def check_secrets(root: Path, accept: bool) -> list[Result]:
    """The secrets are on a file system that stores owners and modes."""
    if keeps_owners(root):
        return [passed("secrets", f"{root} keeps owners and modes")]
    message = f"{root} is on a drive without owners and modes: anybody who can read the drive can read the secrets"
    if accept:
        return [passed("secrets", message + " (accepted by trade2026_accept_readable_secrets)")]
    return [
        failed(
            "secrets",
            message,
            "set trade2026_secrets_root to a folder of a Linux file system, "
            "or accept it with trade2026_accept_readable_secrets=true",
        )
    ]


def _list(paths: list[Path]) -> str:
    return ", ".join(map(str, paths))
