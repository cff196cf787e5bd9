# SPDX-License-Identifier: GPL-3.0-or-later
"""The JMESPath query by which a probe of type http checks a JSON answer."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.module_utils.probes.base import ProbeError
from ansible.module_utils.probes.generic import query_difference

ANSWER = {"nodes": [{"status": "green", "shards": 3}], "count": 1}


@pytest.mark.parametrize(
    ("query", "equals"),
    [("nodes[0].status", "green"), ("count", 1), ("nodes[].shards", [3]), ("nodes[1].status", None)],
)
def test_what_is_expected_holds(query: str, equals: Any) -> None:
    assert query_difference({"query": query, "equals": equals}, ANSWER) == ""


def test_a_difference_is_named_with_both_values() -> None:
    found = query_difference({"query": "nodes[0].status", "equals": "red"}, ANSWER)
    assert found == "nodes[0].status is 'green', 'red' is expected"


@pytest.mark.parametrize(
    ("expect", "says"),
    [
        ({"query": "nodes[", "equals": 1}, "not a JMESPath query"),
        ({"query": "count"}, "needs `query` and `equals`"),
        ({"query": "count", "equals": 1, "equal": 2}, "nothing else"),
    ],
)
def test_a_wrong_declaration_is_named(expect: dict[str, Any], says: str) -> None:
    with pytest.raises(ProbeError, match=says):
        query_difference(expect, ANSWER)
