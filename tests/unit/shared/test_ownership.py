# SPDX-License-Identifier: GPL-3.0-or-later
"""File systems that store no owners are recognized by their type."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible.module_utils.deployment.teardown import mount_points
from ansible.module_utils.shared.fs import is_mount_point
from ansible.module_utils.shared.ownership import Ownership, mount_of

MOUNTS = r"""
/dev/sda1 / ext4 rw,relatime 0 0
C:\134 /mnt/c 9p rw,dirsync,aname=drvfs;path=C:\134 0 0
/dev/loop0 /mnt/my\040drive fuseblk rw,user_id=0 0 0
D:\134 /mnt/d 9p rw,metadata 0 0
""".strip()


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/srv", "ext4"),
        ("/mnt/c/Trade2026", "9p"),
        ("/mnt/c2", "ext4"),
        ("/mnt/my drive/x", "fuseblk"),
        ("/mnt/d/x", "9p"),
    ],
)
def test_the_deepest_mount_counts(path: str, kind: str) -> None:
    assert mount_of(Path(path), MOUNTS)[0] == kind


@pytest.mark.parametrize("name", ["börse", "a\u2028b", "a b\\c", os.fsdecode(b"\xff"), "#1"])
def test_a_mount_point_with_any_name_is_found(name: str, tmp_path: Path) -> None:
    """A purge that misses a mount point would remove the data of another disk."""
    escaped = "".join(rf"\{ord(c):03o}" if c in " \t\n\\#" else c for c in str(tmp_path / name / "data"))
    table = tmp_path / "mounts"
    table.write_bytes(os.fsencode(f"/dev/sda1 / ext4 rw 0 0\n//nas/x {escaped} cifs rw 0 0\n"))
    assert mount_points(table) == [Path("/"), tmp_path / name / "data"]
    assert mount_of(tmp_path / name / "data/valkey", os.fsdecode(table.read_bytes()))[0] == "cifs"
    info = tmp_path / "mountinfo"
    info.write_bytes(os.fsencode(f"61 29 254:0 / {escaped} rw - cifs //nas/x rw\n"))
    assert is_mount_point(str(tmp_path / name / "data"), info)


def test_a_drive_mounted_with_metadata_keeps_owners() -> None:
    assert "metadata" in mount_of(Path("/mnt/d"), MOUNTS)[1]


def test_only_declared_attributes_count(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    assert Ownership().missing(tmp_path) == {}
    assert Ownership(mode=0o755).missing(tmp_path) == {}
    assert Ownership(mode=0o750).missing(tmp_path) == {"mode": ("0755", "0750")}
    assert Ownership(mode=0o750).apply(tmp_path)
    assert not Ownership(mode=0o750).apply(tmp_path)
