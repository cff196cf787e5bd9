# SPDX-License-Identifier: GPL-3.0-or-later
"""The results of preflight checks."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Result:
    """The result of one check: what was checked, whether it passed, and what to do if not."""

    name: str
    ok: bool
    message: str
    remedy: str = ""

    def as_dict(self) -> dict[str, str | bool]:
        """The result as the module returns it."""
        return asdict(self)


def passed(name: str, message: str) -> Result:
    """The result of a check that passed."""
    return Result(name, True, message)


def failed(name: str, message: str, remedy: str) -> Result:
    """The result of a check that failed, and what to do."""
    return Result(name, False, message, remedy)


def report(results: list[Result]) -> str:
    """All failures in one numbered list, each with its remedy."""
    failures = [result for result in results if not result.ok]
    lines = [f"{len(failures)} of {len(results)} preflight checks failed. Nothing was deployed."]
    for number, result in enumerate(failures, 1):
        lines += [f"{number}. {result.name}: {result.message}", f"   Do: {result.remedy}"]
    return "\n".join(lines)


def failed_checks(text: str) -> list[dict[str, str | bool]]:
    """The failures in a text that `report` wrote; empty for any other text."""
    return [
        failed(match["name"], match["message"], match["remedy"]).as_dict()
        for match in re.finditer(
            r"^\d+\. (?P<name>[^:\n]+): (?P<message>(?:.|\n(?!   Do: ))*)\n   Do: (?P<remedy>(?:.|\n(?!\d+\. ))*)",
            text,
            re.MULTILINE,
        )
    ]
