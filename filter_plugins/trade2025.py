# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters of the role `trade2025`; what they do is in `module_utils/compose_source/migration_document.py`."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ansible.module_utils

_NAMES = ("cell", "data_report", "data_sets", "migration_report", "old_name", "prose", "rows")
_UTILITIES = str(Path(__file__).resolve().parent.parent / "module_utils")


class FilterModule:
    """The filters, for Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        # Ansible itself finds the project's module_utils only when it packs a module.
        if _UTILITIES not in ansible.module_utils.__path__:
            ansible.module_utils.__path__.append(_UTILITIES)
        document = importlib.import_module("ansible.module_utils.compose_source.migration_document")
        return {f"trade2025_{name}": getattr(document, name) for name in _NAMES}
