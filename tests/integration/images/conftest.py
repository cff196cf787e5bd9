# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures for tests of the role `image` alone."""

from __future__ import annotations

from image_tools import registry, role

__all__ = ["registry", "role"]
