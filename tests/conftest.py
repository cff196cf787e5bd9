"""Make the project's module utilities importable under the name that Ansible gives them."""

from __future__ import annotations

import sys
from pathlib import Path

import ansible.module_utils
from hypothesis import settings

ROOT = Path(__file__).resolve().parent.parent

# Ansible bundles module_utils/ of the project into the package `ansible.module_utils` when it ships a module;
# the tests see the same name by widening that package's search path.
ansible.module_utils.__path__.append(str(ROOT / "module_utils"))
sys.path.insert(0, str(ROOT / "library"))

# On a busy machine the first example pays for imports and a full processor: a time limit there fails what is right.
settings.register_profile("project", deadline=None)
settings.load_profile("project")
