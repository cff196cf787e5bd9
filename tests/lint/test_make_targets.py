# SPDX-License-Identifier: GPL-3.0-or-later
"""Make targets, and the checks that run before a commit."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MAKEFILE = (ROOT / "Makefile").read_text()
DOCUMENTED = re.findall(r"^([a-z-]+):.*## ", MAKEFILE, re.MULTILINE)


def test_help_lists_every_documented_target() -> None:
    listed = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert DOCUMENTED
    assert [target for target in DOCUMENTED if not re.search(rf"^  make {target} +\S", listed, re.MULTILINE)] == []


def test_pages_name_only_targets_that_exist() -> None:
    existing = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))
    found = 0
    # The change log names removed targets too.
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/*.md")]:
        # In code only: in a sentence, make is a word.
        code = re.findall(r"^```.*?^```|`[^`]+`", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
        named = set(re.findall(r"\bmake ([a-z][a-z-]+)", "\n".join(code)))
        assert named <= existing, page.name
        found += len(named)
    assert found > 20


def test_the_checks_before_a_commit_are_well_formed() -> None:
    subprocess.run([Path(sys.executable).with_name("pre-commit"), "validate-config"], cwd=ROOT, check=True)
