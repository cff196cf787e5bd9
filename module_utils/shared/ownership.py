# SPDX-License-Identifier: GPL-3.0-or-later
"""Owners and modes, including file systems that store none (a Windows drive under WSL, NTFS)."""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

# Types of file systems, as in /proc/self/mounts, on which chown and chmod succeed without changing anything.
# 9p and drvfs: WSL's Windows drives; fuse and fuseblk: ntfs-3g. With the options below they store owners.
WITHOUT_OWNERS = {"9p", "drvfs", "fuse", "fuseblk", "ntfs", "ntfs3", "vfat", "exfat", "cifs", "smb3", "virtiofs"}
KEPT_BY_OPTION = {"metadata", "permissions", "default_permissions", "acl"}


@dataclass(frozen=True)
class Ownership:
    """The desired owner and mode of a path; None leaves them as they are."""

    uid: int | None = None
    gid: int | None = None
    mode: int | None = None

    def missing(self, path: Path) -> dict[str, tuple[str, str]]:
        """Attribute → (current, desired) for what differs at an existing path."""
        seen = path.stat()
        found: dict[str, tuple[str, str]] = {}
        if self.uid is not None and seen.st_uid != self.uid:
            found["owner"] = (str(seen.st_uid), str(self.uid))
        if self.gid is not None and seen.st_gid != self.gid:
            found["group"] = (str(seen.st_gid), str(self.gid))
        if self.mode is not None and stat.S_IMODE(seen.st_mode) != self.mode:
            found["mode"] = (f"{stat.S_IMODE(seen.st_mode):04o}", f"{self.mode:04o}")
        return found

    def apply(self, path: Path) -> bool:
        """Set them; true if something changed, false if the file system does not store them."""
        before = path.stat()
        if self.uid is not None or self.gid is not None:
            os.chown(path, -1 if self.uid is None else self.uid, -1 if self.gid is None else self.gid)
        if self.mode is not None:
            path.chmod(self.mode)
        after = path.stat()
        return (before.st_uid, before.st_gid, before.st_mode) != (after.st_uid, after.st_gid, after.st_mode)


def mount_of(path: Path, mounts: str) -> tuple[str, set[str]]:
    """File system type and mount options of `path`, from the text of /proc/self/mounts."""
    best, kind, options = "", "", set[str]()
    resolved = str(path.resolve())
    for point, type_, given in mounted(mounts):
        inside = resolved == point or resolved.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):
            best, kind, options = point, type_, set(given.split(","))
    return kind, options


def mounted(table: str) -> list[tuple[str, str, str]]:
    """Mount point, type and options of each line of /proc/self/mounts, as `os.fsdecode` decodes it."""
    # Names may have any character, so only the kernel's own line ends separate lines.
    rows = [line.split(" ") for line in table.split("\n") if line]
    return [(unescaped(fields[1]), fields[2], fields[3]) for fields in rows]


def unescaped(place: str) -> str:
    """A path of the kernel's tables of mounts, which have blanks and the like as octal numbers."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), place)


def keeps_owners(path: Path) -> bool:
    """Whether the file system under `path` (or its nearest existing parent) stores owners and modes, by its type.

    An inspection must not change anything, so it does not try.
    """
    while not path.exists():
        path = path.parent
    kind, options = mount_of(path, os.fsdecode(Path("/proc/self/mounts").read_bytes()))
    return kind not in WITHOUT_OWNERS or bool(options & KEPT_BY_OPTION)


def give_away(folder: Path, uid: int, gid: int) -> int:
    """Give every entry below `folder` that belongs to another user to `uid`; returns how many there were."""
    count = 0
    for parent, folders, names in os.walk(folder):
        for name in [*folders, *names]:
            path = os.path.join(parent, name)  # noqa: PTH118 - a tree of data may have very many entries
            try:
                if os.lstat(path).st_uid != uid:
                    os.lchown(path, uid, gid)
                    count += 1
            except FileNotFoundError:
                # The service removed it meanwhile.
                continue
    return count
