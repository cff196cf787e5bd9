# SPDX-License-Identifier: GPL-3.0-or-later
"""Molecule scenarios: every role has one, and no two deployments of the tests share a port or a subnet."""

from __future__ import annotations

import re
from itertools import combinations
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
SCENARIOS = {file.parent.name for file in ROOT.glob("molecule/*/molecule.yml")}
SITE: dict[str, Any] = yaml.safe_load((ROOT / "molecule/shared/site.yml").read_text())
# The first ephemeral port.
EPHEMERAL = 32768


def published() -> set[int]:
    """Default host ports of all services."""
    ports = set()
    for file in [*ROOT.glob("roles/*/defaults/main.yml"), *ROOT.glob("molecule/*/roles/*/defaults/main.yml")]:
        for name, value in (yaml.safe_load(file.read_text()) or {}).items():
            if name.endswith("_port") and isinstance(value, int):
                ports.add(value)
    return ports


def offsets() -> dict[str, int]:
    """Port offset of every site that can exist on a machine that runs the tests."""
    formula = re.search(r"(\d+) \+ (\d+) \* molecule_number", SITE["core_port_offset"])
    assert formula
    found = {"the deployment": 0}
    for number, name in enumerate([*SITE["molecule_scenarios"], "the next scenario"]):
        found[name] = int(formula[1]) + int(formula[2]) * number
    tests = "\n".join(file.read_text() for file in ROOT.glob("tests/integration/**/*.py"))
    formula = re.search(r"offset = (\d+) \+ (\d+) \* self\.number", tests)
    assert formula
    for number in set(re.findall(r"Site\([^)]*number=(\d+)", tests)):
        found[f"integration site {number}"] = int(formula[1]) + int(formula[2]) * int(number)
    for folder in ("tests/official", "tests/validation"):
        own = re.search(r"^PORT_OFFSET = (\d+)$", (ROOT / folder / "conftest.py").read_text(), re.MULTILINE)
        assert own
        found[folder] = int(own[1])
    return found


def test_every_scenario_is_listed_and_every_role_has_a_scenario() -> None:
    assert len(SITE["molecule_scenarios"]) == len(set(SITE["molecule_scenarios"]))
    assert set(SITE["molecule_scenarios"]) == SCENARIOS
    roles = {folder.name for folder in (ROOT / "roles").iterdir() if folder.is_dir()}
    # Every service's scenario runs `core`.
    assert roles - SCENARIOS == {"core"}


def test_no_two_sites_publish_the_same_port() -> None:
    ports = published()
    sites = offsets()
    assert len(ports) >= 16
    assert len(sites) >= 17
    for (one, first), (other, second) in combinations(sites.items(), 2):
        shared = {port + first for port in ports} & {port + second for port in ports}
        assert not shared, f"{one} and {other}"
    assert max(ports) + max(sites.values()) < EPHEMERAL


def test_subnets_of_all_scenarios_fit() -> None:
    assert 3 * len(SITE["molecule_scenarios"]) + 2 < 250, "molecule/trade2026 uses 172.27.250.0/24"
