# SPDX-License-Identifier: GPL-3.0-or-later
"""One engine and one deployed service for all tests of faults."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "integration"))
sys.path.insert(0, str(Path(__file__).parent))

from faulty_site import BASE, KEY, ONLY, VALUE, FaultyEngine, FaultySite
from site_under_test import Site

LOCK = Path("/run/lock/trade2026-faults")
IMAGES = ("localhost/trade2026/valkey", "localhost/trade2026/probe")


@pytest.fixture(scope="session")
def machine() -> Iterator[None]:
    """A lock on the machine: a second run, from another clone, would remove the engine of the first."""
    with LOCK.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pytest.exit(f"Other tests of faults are running and hold {LOCK}. Wait until they end.", returncode=1)
        yield


@pytest.fixture(scope="session")
def engine(machine: None) -> Iterator[FaultyEngine]:
    """The tests' own engine, with the images of the service."""
    built = Site(root=BASE / "images", number=1).play(*ONLY, playbook="playbooks/images.yml")
    assert built.code == 0, built.errors
    engine = FaultyEngine(BASE / "engine")
    engine.create()
    try:
        engine.load(*IMAGES)
        yield engine
    finally:
        engine.remove()
        shutil.rmtree(BASE, ignore_errors=True)


@pytest.fixture(scope="session")
def disk(engine: FaultyEngine) -> Iterator[Path]:
    """A small file system, which the tests fill up and make read-only."""
    folder = BASE / "root"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m,mode=755", "tmpfs", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture(scope="session")
def deployed(engine: FaultyEngine, disk: Path) -> FaultySite:
    """The site with Valkey running and a value in it."""
    site = FaultySite(root=disk, number=1, variables={"trade2026_min_free_gib": 0})
    site.engine = engine
    site.converge()
    assert site.command("SET", KEY, VALUE) == "OK"
    return site


@pytest.fixture
def site(deployed: FaultySite) -> Iterator[FaultySite]:
    """The site as declared; afterwards the value is still in it."""
    yield deployed
    assert deployed.command("GET", KEY) == VALUE
