# SPDX-License-Identifier: GPL-3.0-or-later
"""File systems that store no owners are recognized by their type."""

from __future__ import annotations

from pathlib import Path

import pytest
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


def test_a_drive_mounted_with_metadata_keeps_owners() -> None:
    assert "metadata" in mount_of(Path("/mnt/d"), MOUNTS)[1]


def test_only_declared_attributes_count(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    assert Ownership().missing(tmp_path) == {}
    assert Ownership(mode=0o755).missing(tmp_path) == {}
    assert Ownership(mode=0o750).missing(tmp_path) == {"mode": ("0755", "0750")}
    assert Ownership(mode=0o750).apply(tmp_path)
    assert not Ownership(mode=0o750).apply(tmp_path)
