# SPDX-License-Identifier: GPL-3.0-or-later
"""Make module_utils and library importable in tests, under the names that Ansible uses."""

from __future__ import annotations

import sys
from pathlib import Path

import ansible.module_utils
from hypothesis import settings

ROOT = Path(__file__).resolve().parent.parent

# When Ansible sends a module to a machine, it puts the project's module_utils/ into the package `ansible.module_utils`.
# Extending that package's search path has the same effect in tests.
ansible.module_utils.__path__.append(str(ROOT / "module_utils"))
sys.path.insert(0, str(ROOT / "library"))

# No time limit per example: on a busy machine the first one, with its imports, would exceed it.
settings.register_profile("project", deadline=None)
settings.load_profile("project")
