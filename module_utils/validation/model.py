# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of the deployed stack: their identity, what they prove, and their results."""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from ansible.module_utils.validation.stack import Service, Stack

KINDS = ("component", "integration", "performance", "persistence", "network")
# The subject of tests that concern several services.
PLATFORM = "platform"

# A string, because the sanity tests treat `|` between types as a bit operation.
Value: TypeAlias = "str | float | bool | None"


class FailedError(Exception):
    """The test failed. If cause and remedy are empty, they are derived from the message and the container."""

    def __init__(
        self, message: str, cause: str = "", remedy: str = "", evidence: Mapping[str, Value] | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.cause = cause
        self.remedy = remedy
        self.evidence = dict(evidence or {})


class SkippedError(Exception):
    """The test does not apply, or depends on something that failed; the text is the reason."""


@dataclass(frozen=True)
class Passed:
    """The test passed: what was found, and the values that were measured."""

    message: str
    evidence: Mapping[str, Value] = field(default_factory=dict)


Run = Callable[["Stack", "Service"], Passed]


@dataclass(frozen=True)
class Case:
    """A test as it is declared, for one service or for the platform."""

    id: str
    kind: str
    service: str
    # A sentence: what holds if the test passes.
    title: str
    # Numbers of the criteria (module_utils/validation/criteria.py) that the test covers.
    source: tuple[str, ...]
    run: Run
    # Seconds after which the test is ended and has failed.
    limit_s: float = 60
    # Test that says why the service does not answer; `component.SERVICE.running` if empty.
    found_by: str = ""


@dataclass(frozen=True)
class Group:
    """Tests that run one after the other in one process, because they share what the first of them sets up."""

    key: str
    kind: str
    service: str
    cases: tuple[Case, ...]
    # What the tests interrupt, as a sentence; empty for a group that interrupts nothing.
    interrupts: str = ""


@dataclass(frozen=True)
class Result:
    """The result of a test, as in the report's schema."""

    id: str
    kind: str
    service: str
    title: str
    source: str
    status: str
    message: str
    started: str
    duration_s: float
    cause: str = ""
    remedy: str = ""
    evidence: Mapping[str, Value] = field(default_factory=dict)
    log: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """For the result document; empty fields are left out."""
        document = asdict(self)
        document["log"] = list(self.log)
        return {key: value for key, value in document.items() if value or key not in ("cause", "remedy", "log")}


def now() -> str:
    """The time as RFC 3339, in UTC."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def until(holds: Callable[[], bool], seconds: float, pause_s: float = 0.1) -> bool:
    """Whether a condition becomes true within a time."""
    limit = time.monotonic() + seconds
    while not holds():
        if time.monotonic() >= limit:
            return False
        time.sleep(pause_s)
    return True
