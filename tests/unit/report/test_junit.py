# SPDX-License-Identifier: GPL-3.0-or-later
"""JUnit XML, read by another parser."""

from __future__ import annotations

from xml.etree import ElementTree

import sample_documents
from ansible.module_utils.report import junit
from ansible.module_utils.report.document import complete


def test_suites_cases_and_results() -> None:
    document = complete(sample_documents.failing())
    root = ElementTree.fromstring(junit.render(document))
    assert [suite.get("name") for suite in root.iter("testsuite")] == [
        "preflight", "component", "integration", "network", "performance", "persistence",
    ]  # fmt: skip
    cases = list(root.iter("testcase"))
    assert len(cases) == len(document["tests"])
    assert {prop.get("value") for prop in root.iter("property") if prop.get("name") == "id"} == {
        test["id"] for test in document["tests"]
    }
    counts = [sum(1 for case in cases if case.find(kind) is not None) for kind in ("failure", "error", "skipped")]
    assert counts == [4, 0, 5]
    assert sum(int(suite.get("failures", 0)) for suite in root.iter("testsuite")) == 4
    failure = root.find(".//testcase[@name='cluster health']/failure")
    assert failure is not None
    assert "vm.max_map_count [65530] is too low" in str(failure.text)
    assert "remedy: Raise it" in str(failure.text)


def test_a_run_that_stopped_early_is_an_error() -> None:
    root = ElementTree.fromstring(junit.render(complete(sample_documents.before_deployment())))
    errors = list(root.iter("error"))
    assert [error.get("message") for error in errors] == ["2 of 14 preflight checks failed."]


def test_characters_that_xml_forbids_are_replaced() -> None:
    document = complete(sample_documents.failing())
    failed = next(test for test in document["tests"] if test["status"] == "failed")
    failed["log"] = ["\x1b[31mred\x1b[0m \x00 <&>"]
    text = junit.render(document)
    assert ElementTree.fromstring(text) is not None
    assert "\ufffd[31mred\ufffd[0m \ufffd &lt;&amp;&gt;" in text
