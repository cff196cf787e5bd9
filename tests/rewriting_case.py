# SPDX-License-Identifier: GPL-3.0-or-later
"""Shared by the tests of the rewriting: rules, and the map and the tables of docs/migration.md."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml
from ansible.module_utils.rewriting.document import Document
from ansible.module_utils.rewriting.path_map import PathMap, check_network_map
from ansible.module_utils.rewriting.rewriter import Rules

DOCUMENT = (Path(__file__).resolve().parents[1] / "docs" / "migration.md").read_text()


def rules_of(paths: dict[str, str] | list[dict[str, str]], networks: dict[str, str] | None = None) -> Rules:
    """Rules from a plain mapping of old to new locations."""
    entries = paths if isinstance(paths, list) else [{"from": old, "to": new} for old, new in paths.items()]
    return Rules(PathMap.parse(entries), check_network_map(networks or {}))


def documented_map() -> dict[str, Any]:
    """The map that docs/migration.md shows."""
    block = re.search(r"```yaml\n(.*?)```", DOCUMENT, re.S)
    assert block
    loaded: dict[str, Any] = yaml.safe_load(block.group(1))
    return loaded


DOCUMENTED = rules_of(documented_map()["path_map"], documented_map()["network_map"])


def documented_rows(heading: str) -> list[tuple[str, ...]]:
    """The rows of the first table below a text of docs/migration.md, code spans without their marks."""
    lines = DOCUMENT[DOCUMENT.index(heading) :].splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("|---"))
    rows = []
    for line in lines[start + 1 :]:
        if not line.startswith("|"):
            break
        cells = re.split(r"(?<!\\)\|", line.strip("|"))
        rows.append(tuple(re.sub(r"\A`(.*)`\Z", r"\1", cell.strip()).replace("\\|", "|") for cell in cells))
    return rows


def codes(document: Document) -> list[str]:
    """The codes of the reasons of a document's leftovers."""
    return [leftover.reason.partition(":")[0] for leftover in document.leftovers]
