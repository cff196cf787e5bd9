# SPDX-License-Identifier: GPL-3.0-or-later
"""One deployment for all integration tests, because the deployment takes most of the time."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from site_under_test import SERVICES, SOURCE_TREE, Run, Site, docker_log, listing, only_one

# Short, because a socket path below it must not exceed 107 bytes.
BASE = Path("/var/tmp/trade2026-test")
LOCK = Path("/run/lock/trade2026-integration")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--every-engine", action="store_true", help="test on all Docker engines, not only on the newest")


@dataclass(frozen=True)
class FreshHost:
    """A dry run on a machine with nothing deployed, and the state before and after it."""

    run: Run
    before: dict[str, Any]
    after: dict[str, Any]


@pytest.fixture(scope="session", autouse=True)
def machine() -> Iterator[None]:
    """A lock on the machine: a second run, from another clone, would remove the sites of the first."""
    with only_one(LOCK):
        yield


@pytest.fixture(scope="session")
def source_before() -> list[tuple[str, int, int, str]]:
    """The source tree before anything ran."""
    return listing(SOURCE_TREE)


@pytest.fixture(scope="session")
def site(source_before: list[Any]) -> Iterator[Site]:
    """The tests' own site, empty at first and removed at the end."""
    BASE.mkdir(parents=True, exist_ok=True)
    site = Site(root=BASE / "root", number=1)
    site.remove()
    yield site
    site.remove()
    shutil.rmtree(BASE, ignore_errors=True)


@pytest.fixture(scope="session")
def fresh_host(site: Site) -> FreshHost:
    """The dry run before the first deployment."""

    def state() -> dict[str, Any]:
        return {"files": listing(BASE), "images": site.images(), **site.engine_state()}

    before = state()
    run = site.play("--check", "--diff")
    return FreshHost(run, before, state())


@pytest.fixture(scope="session")
def first_run(site: Site, fresh_host: FreshHost) -> Run:
    """The first run of the main job."""
    return site.play("--diff", "-vvv")


@pytest.fixture(scope="session")
def first_logs(site: Site, first_run: Run) -> dict[str, str]:
    """The services' logs after the first run. Later tests cause errors in them on purpose."""
    assert first_run.code == 0, first_run.errors
    return {service: docker_log(f"{site.prefix}{service}") for service in SERVICES}


@pytest.fixture(scope="session")
def deployed(site: Site, first_run: Run, first_logs: dict[str, str]) -> Site:
    """The site with its eight services running."""
    assert set(first_logs) == set(SERVICES)
    return site
