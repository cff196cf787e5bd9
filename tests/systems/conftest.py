# SPDX-License-Identifier: GPL-3.0-or-later
"""Machines with other systems than this one, on which nothing of the project is set up yet."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "integration"))

from image_tools import recipe_images
from machine import Machine
from site_under_test import only_one

BASE = Path("/var/tmp/trade2026-test-system")
# Release → the Python that it has.
SYSTEMS = {"bookworm": "3.11", "trixie": "3.13", "noble": "3.12"}


@pytest.fixture(scope="session", autouse=True)
def alone() -> Iterator[None]:
    with only_one(Path("/run/lock/trade2026-systems")):
        yield


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The images that the machines' services need, from this machine's engine."""
    found = recipe_images(tmp_path_factory.mktemp("images"), "nats", "valkey", "opa", "probe")
    return [reference for _official, reference in found.values()]


@pytest.fixture(scope="module", params=SYSTEMS)
def machine(request: pytest.FixtureRequest) -> Iterator[Machine]:
    machine = Machine(BASE, request.param)
    try:
        machine.start()
        yield machine
    finally:
        machine.stop()
