# SPDX-License-Identifier: GPL-3.0-or-later
"""A role gets what it needs as parameters: it uses no private name of another role, and roles form no circle.

Public are a role's options (`meta/argument_specs.yml`), and what that file names as C(name) in its descriptions: the
parameters and results of its entry points.
"""

from __future__ import annotations

import re
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
ROLES = sorted(folder.name for folder in (ROOT / "roles").iterdir() if (folder / "meta/argument_specs.yml").is_file())
PARTS = ("defaults/*.yml", "vars/*.yml", "tasks/*.yml", "templates/**/*.j2")
NAME = re.compile(r"(?<!@@)\b_?[a-z][a-z0-9]*_\w+\b(?!@@)")
# Words with a role's prefix that are not variables: an application of Trade2025, and a file of policies.
WORDS = {"opa_authorizer", "trade2026_authz"}


def owner(name: str) -> str:
    """The role whose prefix the name has; empty for none."""
    owners = [role for role in ROLES if name.lstrip("_").startswith(f"{role}_")]
    return max(owners, key=len, default="")


def public(role: str) -> set[str]:
    text = (ROOT / "roles" / role / "meta/argument_specs.yml").read_text(encoding="utf-8")
    specs: dict[str, Any] = yaml.safe_load(text)["argument_specs"]
    options = {option for spec in specs.values() for option in spec.get("options") or {}}
    return options | set(re.findall(r"C\((\w+)\)", text))


def plugins() -> set[str]:
    """Names of modules and filters, which belong to no role."""
    modules = {file.stem for folder in ("library", "action_plugins") for file in (ROOT / folder).glob("*.py")}
    filters = set()
    for file in [*(ROOT / "filter_plugins").glob("*.py"), *ROOT.glob("roles/*/lookup_plugins/*.py")]:
        filters |= {file.stem, *re.findall(r"^ *def (\w+)", file.read_text(encoding="utf-8"), re.MULTILINE)}
    return modules | filters | WORDS


def used(role: str) -> dict[str, set[str]]:
    """Other role → its names that the role uses."""
    found: dict[str, set[str]] = {}
    known = plugins()
    for pattern in PARTS:
        for file in sorted((ROOT / "roles" / role).glob(pattern)):
            text = re.sub(r"(^|\s)#.*", "", file.read_text(encoding="utf-8"))
            # A site's variable of another service, with a default, is not a private name of a role.
            text = re.sub(r"hostvars\.\w+\.\w+ \| default\(", "", text)
            for name in NAME.findall(text):
                other = owner(name)
                if other and other != role and name not in known:
                    found.setdefault(other, set()).add(name)
    return found


def test_every_role_is_examined() -> None:
    assert len(ROLES) >= 12
    assert {"core", "image", "trade2025", "trade2026"} <= set(ROLES)
    assert used("core")["image"], "the role core uses the role image"


@pytest.mark.parametrize("role", ROLES)
def test_a_role_uses_public_names_of_others_alone(role: str) -> None:
    private = {name for other, names in used(role).items() for name in names - public(other)}
    assert private == set()


def test_the_roles_form_no_circle() -> None:
    TopologicalSorter({role: set(used(role)) for role in ROLES}).prepare()
