# SPDX-License-Identifier: GPL-3.0-or-later
"""A separate site for faults that stop or damage a service."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "integration"))

from site_under_test import Site, docker, only_one

SERVICES = ("nats", "valkey", "authn", "opa")
FOLDER = Path("/var/tmp/trade2026-validation")
# The offset that is derived from the site's number would be too high.
PORT_OFFSET = 19650
# Size of the file system that the data of Valkey is on, so that it can be filled.
DISK = "48m"


@pytest.fixture(scope="session")
def machine() -> Iterator[None]:
    """A lock on the machine: a second run, from another clone, would remove the site of the first."""
    with only_one(Path("/run/lock/trade2026-validation")):
        yield


@pytest.fixture(scope="session")
def site(machine: None) -> Iterator[Site]:
    """Four services, Valkey with a password and its data on a small file system."""
    site = Site(FOLDER / "root", number=9, variables={"valkey_auth_enabled": True, "core_size": "small"})
    site.offset = PORT_OFFSET
    data = site.root / "data/valkey"

    def remove() -> None:
        names = docker("ps", "--all", "--quiet", "--filter", f"label=com.docker.compose.project={site.project}").split()
        if names:
            docker("rm", "--force", *names)
        if data.is_mount():
            subprocess.run(["umount", str(data)], check=True)
        site.remove()
        shutil.rmtree(FOLDER, ignore_errors=True)

    remove()
    data.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK}", "validation", str(data)], check=True)
    run = site.play("--limit", ",".join(SERVICES))
    assert run.code == 0, run.errors
    yield site
    remove()
