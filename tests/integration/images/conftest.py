# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures for tests of the role `image` alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from image_tools import NAME, Registry, Role, remove


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    """A running registry; its images are removed from the engine afterwards."""
    server = Registry(tmp_path)
    server.start()
    yield server
    server.stop()
    remove(f"{server.host}/{NAME}")


@pytest.fixture
def role(tmp_path: Path) -> Role:
    """The role `image`, writing to the test's folder."""
    return Role(tmp_path)
