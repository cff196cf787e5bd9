# SPDX-License-Identifier: GPL-3.0-or-later
"""The result of a run, as docs/report.schema.json describes it: its parts, its verdict, and its line in the history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

FORMAT = 1
KINDS = ("preflight", "component", "integration", "performance", "persistence", "network")
BAD = ("failed", "error")
# Optional parts.
LISTS = (
    "services",
    "networks",
    "reachability",
    "tests",
    "performance",
    "durability",
    "host_findings",
    "choices",
    "operations",
    "history",
)

Document = dict[str, Any]


class DocumentError(Exception):
    """The document is not one of this format; the text is a message for the user."""


def complete(document: Mapping[str, Any]) -> Document:
    """The document with every part, and its verdict; raises DocumentError."""
    if document.get("format") != FORMAT:
        raise DocumentError(f"document: format is {document.get('format')!r}, but this project writes {FORMAT}")
    missing = [name for name in ("run", "machine", "services", "tests") if name not in document]
    if missing:
        raise DocumentError(f"document: {', '.join(missing)} is missing; docs/report.schema.json describes it")
    whole = {**document, **{name: list(document.get(name) or []) for name in LISTS}}
    whole["floor"] = dict(document.get("floor") or {})
    whole["verdict"] = verdict(whole)
    return whole


def verdict(document: Mapping[str, Any]) -> dict[str, Any]:
    """Passed, failed or incomplete, with a sentence and the counts."""
    tests = document["tests"]
    failed = [test for test in tests if test["status"] in BAD]
    skipped = sum(1 for test in tests if test["status"] == "skipped")
    passed = len(tests) - len(failed) - skipped
    undone = [row for row in document["operations"] if row.get("status") == "not_done"]
    run = document["run"]
    if run.get("failed_before_deploy"):
        status, sentence = "failed", "Nothing was deployed"
    elif failed or undone:
        status, sentence = "failed", _failure(document, failed, undone, len(tests))
    elif not passed:
        status, sentence = "incomplete", "Nothing was tested"
    else:
        count = len(document["services"])
        what = "The service works" if count == 1 else f"All {count} services work" if count else "All tests passed"
        status, sentence = "passed", what
    return {
        "status": status,
        "sentence": sentence,
        "passed": passed,
        "failed": len(failed),
        "skipped": skipped,
    }


def _failure(document: Mapping[str, Any], failed: Sequence[Any], undone: Sequence[Any], count: int) -> str:
    titles = {service["name"]: service["title"] for service in document["services"]}
    names = dict.fromkeys(row["service"] for row in [*failed, *undone])
    listed = [titles.get(name, name) for name in names]
    where = ", ".join(listed[:3]) + (f" and {len(listed) - 3} more" if len(listed) > 3 else "")
    if not failed:
        return f"Not deployed: {where}"
    return f"{len(failed)} of {count} tests failed: {where}"


def history_entry(document: Mapping[str, Any], folder: str = "") -> dict[str, Any]:
    """The document's entry in the history that later reports show."""
    run, judged = document["run"], document["verdict"]
    entry = {
        "id": run["id"],
        "playbook": run["playbook"],
        "started": run["started"],
        "duration_s": duration(run),
        **{name: judged[name] for name in ("status", "passed", "failed", "skipped")},
    }
    return entry | ({"folder": folder} if folder else {})


def duration(run: Mapping[str, Any]) -> float:
    """Seconds from the start to the end of a run."""
    start, end = (datetime.fromisoformat(str(run[name]).replace("Z", "+00:00")) for name in ("started", "ended"))
    return round((end - start).total_seconds(), 1)
