# SPDX-License-Identifier: GPL-3.0-or-later
"""These tests only read: they need Docker Compose, and no engine or machine of their own."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session", autouse=True)
def machine() -> None:
    """Take the place of the fixture that reserves the machine."""
