# SPDX-License-Identifier: GPL-3.0-or-later
"""The tests of a run as JUnit XML, for CI systems."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ansible.module_utils.report.document import duration

# Characters that XML cannot represent.
FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def render(document: Mapping[str, Any]) -> str:
    """One suite for each kind, one case for each test. A run that stopped before the deployment is an error."""
    import junitparser

    # The library is only partly typed.
    library: Any = junitparser
    run = document["run"]
    whole = library.JUnitXml(f"{run['project']} {run['playbook']}")
    suites: dict[str, Any] = {}

    def suite(kind: str) -> Any:
        if kind not in suites:
            suites[kind] = library.TestSuite(kind)
            suites[kind].timestamp = run["started"]
            suites[kind].hostname = document["machine"]["name"]
        return suites[kind]

    if "failed_before_deploy" in run:
        case = library.TestCase("the run gets as far as the deployment", "machine", duration(run))
        case.result = [library.Error(_clean(run["failed_before_deploy"]["message"]))]
        suite("preflight").add_testcase(case)
    for test in document["tests"]:
        case = library.TestCase(
            _clean(test["title"]), _clean(f"{test['service']}.{test['kind']}"), test.get("duration_s")
        )
        properties = library.Properties()
        properties.append(library.Property("id", _clean(test["id"])))
        if test.get("source"):
            properties.append(library.Property("source", _clean(test["source"])))
        case.append(properties)
        kind = {"failed": library.Failure, "error": library.Error, "skipped": library.Skipped}.get(test["status"])
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
