"""One deployment for all integration tests: deploying is what takes the time."""

from __future__ import annotations

import fcntl
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from site_under_test import SERVICES, SOURCE_TREE, Run, Site, docker_log, engine_state, listing

# Where a short name matters: a socket path below it must not exceed 107 bytes.
BASE = Path("/var/tmp/trade2026-test")
LOCK = Path("/run/lock/trade2026-integration")


@dataclass(frozen=True)
class Virgin:
    """A dry run on a machine with nothing deployed, and what was there before and after."""

    run: Run
    before: dict[str, Any]
    after: dict[str, Any]


@pytest.fixture(scope="session", autouse=True)
def machine() -> Iterator[None]:
    """The machine for this run alone: a second one, from another clone, would take away the sites of the first."""
    with LOCK.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pytest.exit(f"The integration tests run already, and hold {LOCK}: wait until they end.", returncode=1)
        yield


@pytest.fixture(scope="session")
def source_before() -> list[tuple[str, int, int, str]]:
    """The source tree before anything ran."""
    return listing(SOURCE_TREE)


@pytest.fixture(scope="session")
def site(source_before: list[Any]) -> Iterator[Site]:
    """The tests' own site, empty at first and taken away at the end."""
    BASE.mkdir(parents=True, exist_ok=True)
    site = Site(root=BASE / "root", number=1)
    site.remove()
    yield site
    site.remove()
    shutil.rmtree(BASE, ignore_errors=True)


@pytest.fixture(scope="session")
def virgin(site: Site) -> Virgin:
    """The dry run that comes before everything."""

    def state() -> dict[str, Any]:
        return {"files": listing(BASE), **engine_state()}

    before = state()
    run = site.play("--check", "--diff")
    return Virgin(run, before, state())


@pytest.fixture(scope="session")
def first_run(site: Site, virgin: Virgin) -> Run:
    """The main job from nothing."""
    return site.play("--diff", "-vvv")


@pytest.fixture(scope="session")
def first_logs(site: Site, first_run: Run) -> dict[str, str]:
    """What the services had logged when they were proved, before any test asked them for what they refuse."""
    assert first_run.code == 0, first_run.errors
    return {service: docker_log(f"{site.prefix}{service}") for service in SERVICES}


@pytest.fixture(scope="session")
def deployed(site: Site, first_run: Run, first_logs: dict[str, str]) -> Site:
    """The site with its eight services running."""
    assert set(first_logs) == set(SERVICES)
    return site
