# SPDX-License-Identifier: GPL-3.0-or-later
"""Run playbooks/validate.yml on a site, and read its results."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from site_under_test import PROJECT_ROOT, Run, Site

KINDS = ("component", "integration", "performance", "persistence", "network")


@dataclass(frozen=True)
class Validation:
    """A run, and its result document."""

    run: Run
    document: dict[str, Any]

    @property
    def tests(self) -> dict[str, dict[str, Any]]:
        """Id → result."""
        found = {test["id"]: test for test in self.document["tests"]}
        assert len(found) == len(self.document["tests"])
        return found

    @property
    def failures(self) -> dict[str, str]:
        """Id → message with cause and remedy, in the order in which they were found."""
        return {
            test["id"]: f"{test['message']} {test.get('cause', '')} {test.get('remedy', '')}"
            for test in self.document["tests"]
            if test["status"] in ("failed", "error")
        }


def validate(site: Site, kinds: list[str], *arguments: str, **variables: Any) -> Validation:
    """The result of the tests of some kinds."""
    before = reports(site)
    run = site.play(*arguments, playbook="playbooks/validate.yml", core_validate_kinds=kinds, **variables)
    new = reports(site) - before
    assert len(new) == 1, run.errors
    return Validation(run, json.loads(new.pop().read_text(encoding="utf-8")))


def reports(site: Site) -> set[Path]:
    """The results of all runs."""
    files = (site.root / "docs/reports").glob("*/report.json")
    return {file for file in files if not file.parent.is_symlink()}


def assert_valid(document: dict[str, Any], folder: Path) -> None:
    """The document matches its schema."""
    file = folder / "document.json"
    file.write_text(json.dumps(document), encoding="utf-8")
    schema = PROJECT_ROOT / "docs/report.schema.json"
    subprocess.run(["check-jsonschema", "--schemafile", str(schema), str(file)], check=True, capture_output=True)
