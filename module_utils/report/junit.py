# SPDX-License-Identifier: GPL-3.0-or-later
"""The tests of a run as JUnit XML, for those who collect such files."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ansible.module_utils.report.document import duration

# XML has no way to write these.
FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def render(document: Mapping[str, Any]) -> str:
    """One suite for each kind, one case for each test. A run that stopped before the deployment is an error."""
    from junitparser import Error, Failure, JUnitXml, Properties, Property, Skipped, TestCase, TestSuite

    run = document["run"]
    whole = JUnitXml(f"{run['project']} {run['playbook']}")
    suites: dict[str, TestSuite] = {}

    def suite(kind: str) -> TestSuite:
        if kind not in suites:
            suites[kind] = TestSuite(kind)
            suites[kind].timestamp = run["started"]
            suites[kind].hostname = document["machine"]["name"]
        return suites[kind]

    if "failed_before_deploy" in run:
        case = TestCase("the run gets as far as the deployment", "machine", duration(run))
        case.result = [Error(_clean(run["failed_before_deploy"]["message"]))]
        suite("preflight").add_testcase(case)
    for test in document["tests"]:
        case = TestCase(_clean(test["title"]), _clean(f"{test['service']}.{test['kind']}"), test.get("duration_s"))
        properties = Properties()
        properties.append(Property("id", _clean(test["id"])))
        if test.get("source"):
            properties.append(Property("source", _clean(test["source"])))
        case.append(properties)
        kind = {"failed": Failure, "error": Error, "skipped": Skipped}.get(test["status"])
        if kind:
            result = kind(_clean(test.get("message", "")))
            lines = [f"{name}: {test[name]}" for name in ("cause", "remedy") if test.get(name)]
            result.text = _clean("\n".join([*lines, *test.get("log", [])]))
            case.result = [result]
        suite(test["kind"]).add_testcase(case)
    for one in suites.values():
        whole.add_testsuite(one)
    text: bytes = whole.tostring()
    return text.decode()


def _clean(text: str) -> str:
    return FORBIDDEN.sub("\ufffd", text)
