# SPDX-License-Identifier: GPL-3.0-or-later
"""The requirement files agree with each other, with the code and with docs/dependencies.md."""

from __future__ import annotations

import ast
import json
import re
import sys
from collections.abc import Sequence
from importlib.metadata import packages_distributions
from itertools import chain
from pathlib import Path

import ansible.module_utils
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
REQUIREMENTS = ROOT / "requirements"
COMPILED = sorted(REQUIREMENTS.glob("*.txt"))
PIN = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==(\S+)", re.MULTILINE)
# Tests import modules, lookup plugins and their own helpers by their bare names.
OURS = {path.stem for folder in ("library", "roles", "tests") for path in (ROOT / folder).rglob("*.py")}


def normalized(name: str) -> str:
    """The name of a distribution in the form in which package indexes compare names."""
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(path: Path) -> dict[str, str]:
    """Distribution name to pinned version."""
    return {normalized(name): version for name, version in PIN.findall(path.read_text())}


def direct(path: Path) -> set[str]:
    """The distributions that an `.in` file names."""
    names = re.findall(r"^([A-Za-z0-9][A-Za-z0-9._-]*)", path.read_text(), re.MULTILINE)
    return {normalized(name) for name in names}


def imported(path: Path) -> set[str]:
    """Top-level modules that a Python file imports, anywhere in the file."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.add(str(node.module).split(".")[0])
    return found


@pytest.mark.parametrize("path", COMPILED, ids=lambda path: path.name)
def test_every_requirement_is_exact_and_hashed(path: Path) -> None:
    logical_lines = path.read_text().replace("\\\n", " ").splitlines()
    requirements = [line for line in logical_lines if line and not line.lstrip().startswith("#")]
    assert requirements
    assert [line for line in requirements if not (PIN.match(line) and "--hash=sha256:" in line)] == []


@pytest.mark.parametrize("path", COMPILED, ids=lambda path: path.name)
def test_every_direct_dependency_is_locked(path: Path) -> None:
    assert direct(path.with_suffix(".in")) <= set(pins(path))


def test_tests_use_the_versions_of_run_txt() -> None:
    tested = pins(REQUIREMENTS / "test.txt")
    assert {name: tested.get(name) for name in pins(REQUIREMENTS / "run.txt")} == pins(REQUIREMENTS / "run.txt")


def test_installed_collections_are_the_required_ones() -> None:
    entries = yaml.safe_load((ROOT / "requirements.yml").read_text())["collections"]
    required = {entry["name"]: entry["version"] for entry in entries}
    site_packages = Path(ansible.module_utils.__path__[0]).parents[1]
    manifests = site_packages.glob("ansible_collections/*/*/MANIFEST.json")
    infos = [json.loads(manifest.read_text())["collection_info"] for manifest in manifests]
    assert {f"{info['namespace']}.{info['name']}": info["version"] for info in infos} == required


@pytest.mark.parametrize(
    ("folders", "requirements"),
    [
        (("library", "module_utils", "action_plugins", "filter_plugins"), ("run",)),
        (("tests", "scripts"), ("run", "test")),
    ],
    ids=["project", "tests"],
)
def test_imported_packages_are_direct_dependencies(folders: Sequence[str], requirements: Sequence[str]) -> None:
    modules: set[str] = set()
    for source in chain.from_iterable((ROOT / folder).rglob("*") for folder in folders):
        if source.suffix == ".py" or (source.is_file() and source.read_bytes().startswith(b"#!/usr/bin/env python3\n")):
            modules |= imported(source)
    distributions = packages_distributions()
    required: set[str] = set().union(*(direct(REQUIREMENTS / f"{name}.in") for name in requirements))
    assert modules
    # Run by separate Python environments with their own pins.
    elsewhere = set().union(*(pins(path) for path in (ROOT / "tests/official").glob("chdb-*.txt")))
    unexplained = {
        module
        for module in modules - set(sys.stdlib_module_names) - OURS - elsewhere
        if not {normalized(name) for name in distributions.get(module, ())} & required
    }
    assert unexplained == set()


def test_every_direct_dependency_is_explained() -> None:
    page = (ROOT / "docs" / "dependencies.md").read_text()
    explained = {normalized(name) for name in re.findall(r"`([^`\s]+)`", page)}
    wanted: set[str] = set().union(*(direct(path.with_suffix(".in")) for path in COMPILED))
    assert wanted - explained == set()
