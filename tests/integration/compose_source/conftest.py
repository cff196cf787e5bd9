# SPDX-License-Identifier: GPL-3.0-or-later
"""These tests only read: they need Docker Compose, but no engine and no lock on the machine."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session", autouse=True)
def machine() -> None:
    """Replaces the fixture that reserves the machine."""
