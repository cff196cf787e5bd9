"""Make's verbs, and the checks that run before a commit."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MAKEFILE = (ROOT / "Makefile").read_text()
DOCUMENTED = re.findall(r"^([a-z-]+):.*## ", MAKEFILE, re.MULTILINE)


def test_help_lists_every_documented_verb() -> None:
    listed = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert DOCUMENTED
    assert [verb for verb in DOCUMENTED if not re.search(rf"^  make {verb} +\S", listed, re.MULTILINE)] == []


@pytest.mark.parametrize("page", ["docs/development.md", "docs/dependencies.md"])
def test_a_page_names_only_verbs_that_exist(page: str) -> None:
    named = set(re.findall(r"\bmake ([a-z][a-z-]+)", (ROOT / page).read_text()))
    assert named - set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE)) == set()


def test_the_checks_before_a_commit_are_well_formed() -> None:
    subprocess.run([Path(sys.executable).with_name("pre-commit"), "validate-config"], cwd=ROOT, check=True)
