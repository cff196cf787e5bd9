# SPDX-License-Identifier: GPL-3.0-or-later
"""The verdict, and the required parts of a document."""

from __future__ import annotations

from typing import Any

import pytest
import sample_documents
from ansible.module_utils.report.document import DocumentError, complete, history_entry


def verdict(document: dict[str, Any]) -> dict[str, Any]:
    """The verdict of a document."""
    return dict(complete(document)["verdict"])


def test_if_every_test_passed_the_verdict_is_passed() -> None:
    found = verdict(sample_documents.sample())
    assert (found["status"], found["sentence"], found["failed"]) == ("passed", "All 8 services work", 0)
    assert found["passed"] == len(sample_documents.sample()["tests"])


def test_failures_are_counted_and_their_services_named() -> None:
    found = verdict(sample_documents.failing())
    assert found["sentence"] == "4 of 87 tests failed: OpenSearch, QuestDB, NATS"
    assert (found["status"], found["failed"], found["skipped"]) == ("failed", 4, 5)


def test_many_services_are_not_all_named() -> None:
    assert verdict(sample_documents.many())["sentence"].endswith("Valkey 00, Valkey 01, Valkey 02 and 61 more")


def test_the_verdict_says_if_nothing_was_deployed() -> None:
    found = verdict(sample_documents.before_deployment())
    assert (found["status"], found["sentence"]) == ("failed", "Nothing was deployed")


def test_a_run_without_a_passed_test_is_not_a_success() -> None:
    document = sample_documents.sample()
    for test in document["tests"]:
        test["status"] = "skipped"
    assert verdict(document)["status"] == "incomplete"
    assert verdict(sample_documents.smallest())["status"] == "incomplete"


def test_an_error_counts_as_a_failure() -> None:
    document = sample_documents.sample()
    document["tests"][0]["status"] = "error"
    assert verdict(document)["status"] == "failed"


def test_an_operation_that_was_not_done_is_a_failure() -> None:
    document = sample_documents.sample()
    document["operations"][0]["status"] = "not_done"
    assert verdict(document)["sentence"] == "Not deployed: NATS"


@pytest.mark.parametrize(
    ("change", "message"),
    [({"format": 2}, "format is 2, but this project writes 1"), ({"tests": None}, "tests is missing")],
)
def test_a_document_of_another_format_is_refused(change: dict[str, Any], message: str) -> None:
    document = {**sample_documents.smallest(), **change}
    document = {key: value for key, value in document.items() if value is not None}
    with pytest.raises(DocumentError, match=message):
        complete(document)


def test_the_history_has_status_failures_and_duration() -> None:
    entry = history_entry(complete(sample_documents.failing()), "2026-11-26T06-30-00Z")
    assert entry["duration_s"] == 412.6
    assert (entry["status"], entry["failed"], entry["folder"]) == ("failed", 4, "2026-11-26T06-30-00Z")
