# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole stack can be deployed to a drive that stores no owners and modes, as a Windows drive does."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from site_under_test import SERVICES, Site

BASE = Path("/var/tmp/trade2026-test-drive")
SIZE = "3G"


@pytest.fixture(scope="module")
def drive(deployed: Site) -> Iterator[Path]:
    """An NTFS file system in a sparse file, mounted without permissions."""
    del deployed
    image, mount = BASE / "drive.img", BASE / "c"
    mount.mkdir(parents=True, exist_ok=True)
    subprocess.run(["truncate", "-s", SIZE, image], check=True)
    subprocess.run(["mkntfs", "-F", "-q", "-Q", image], check=True, capture_output=True)
    subprocess.run(["ntfs-3g", "-o", "loop", image, mount], check=True)
    yield mount
    subprocess.run(["umount", mount], check=True)
    image.unlink()
    mount.rmdir()
    BASE.rmdir()


@pytest.fixture(scope="module")
def windows(drive: Path) -> Iterator[Site]:
    """A site whose root is on the drive and whose secrets are not."""
    site = Site(root=drive / "Trade2026", number=3)
    site.variables = {
        "trade2026_secrets_root": str(BASE / "secrets"),
        "trade2026_root_in_files": "C:/ClaudeDesktop_Projects/Trade2026",
        "trade2026_min_free_gib": 1,
    }
    yield site
    site.remove()
    subprocess.run(["rm", "-rf", BASE / "secrets"], check=True)


def test_preflight_checks_refuse_secrets_that_everybody_can_read(windows: Site) -> None:
    run = windows.play("--limit", "opa", trade2026_secrets_root=f"{windows.root}/secrets")
    assert run.code != 0
    assert "a drive without owners and modes" in run.output
    assert "trade2026_accept_readable_secrets" in run.output


def test_the_whole_stack_is_deployed_and_a_second_run_changes_nothing(windows: Site) -> None:
    first = windows.play()
    assert first.code == 0, first.errors
    assert {name: seen["State"]["Health"]["Status"] for name, seen in windows.inspect().items()} == dict.fromkeys(
        SERVICES, "healthy"
    )
    started = windows.started()
    for arguments in ([], ["--check"]):
        again = windows.play(*arguments)
        assert again.code == 0, again.errors
        assert set(again.changed.values()) == {0}, again.output[:6000]
    assert windows.started() == started


def test_migrated_files_contain_the_windows_path_of_the_root(windows: Site) -> None:
    texts = [
        file.read_text(encoding="utf-8", errors="replace")
        for file in (windows.root / "backend/apps").rglob("*")
        if file.is_file()
    ]
    assert any("ClaudeDesktop_Projects" in text for text in texts)
