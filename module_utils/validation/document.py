# SPDX-License-Identifier: GPL-3.0-or-later
"""The result document: docs/report.schema.json describes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

MEASUREMENTS = ("reachability", "performance", "durability", "host_findings")


def assemble(document: Mapping[str, Any], slices: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The document of the plan with the results of all slices."""
    found = {
        **document,
        # Validation changes nothing, so all operations of the plan are still to do.
        "operations": [{**row, "status": "not_done"} for row in document["operations"]],
        "tests": [result for answer in slices for result in answer["tests"]],
        "floor": {key: value for answer in slices for key, value in answer["floor"].items()},
    }
    for key in MEASUREMENTS:
        found[key] = [row for answer in slices for row in answer[key]]
    return found


def summary(tests: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """One row per service and one column per kind: passed tests of all that were not skipped."""
    kinds = list(dict.fromkeys(str(test["kind"]) for test in tests))
    rows = [["SERVICE", *(kind.upper() for kind in kinds)]]
    for service in dict.fromkeys(str(test["service"]) for test in tests):
        row = [service]
        for kind in kinds:
            own = [test["status"] for test in tests if test["service"] == service and test["kind"] == kind]
            counted = [status for status in own if status != "skipped"]
            row.append(f"{counted.count('passed')}/{len(counted)}" if counted else "skipped" if own else "-")
        rows.append(row)
    return rows


def failure_text(test: Mapping[str, Any]) -> str:
    """A failed test as text: what, where, why, what to do."""
    parts = [f"{test['id']}: {test['message'].rstrip('.')}."]
    if test.get("cause"):
        parts.append(f"Likely cause: {test['cause'].rstrip('.')}.")
    if test.get("remedy"):
        parts.append(f"Do: {test['remedy'].rstrip('.')}.")
    return " ".join(parts)
