# SPDX-License-Identifier: GPL-3.0-or-later
"""The services of inventory/local, which the tests deploy."""

from __future__ import annotations

from pathlib import Path

import yaml

HOSTS = Path(__file__).resolve().parents[1] / "inventory/local/hosts.yml"


def services() -> tuple[str, ...]:
    """The hosts of the group `core_services`, in the order of the file."""
    groups = yaml.safe_load(HOSTS.read_text(encoding="utf-8"))["all"]["children"]
    return tuple(groups["core_services"]["hosts"])


SERVICES = services()
