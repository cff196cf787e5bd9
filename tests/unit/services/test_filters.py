# SPDX-License-Identifier: GPL-3.0-or-later
"""The filters of `services` and `trade2026`, which pass Ansible's values to the pure functions."""

from __future__ import annotations

import runpy
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from role_dictionaries import ROOT
from test_record import DEFINITION, SITE

FILTERS: dict[str, Any] = {}
for name in ("services", "trade2026"):
    FILTERS.update(runpy.run_path(str(ROOT / f"filter_plugins/{name}.py"))["FilterModule"]().filters())


def test_a_record_comes_as_a_mapping() -> None:
    record = FILTERS["service_record"](DEFINITION, "sessions", SITE, "store")
    assert (record["name"], record["role"], record["ports"][0]["host"]) == ("sessions", "store", 6479)


def test_a_definition_comes_with_its_defaults() -> None:
    assert FILTERS["service_definition"](DEFINITION, "store")["stop"] == {"signal": "SIGTERM", "grace_s": 10}


@pytest.mark.parametrize(
    ("name", "arguments"), [("service_record", ("store", SITE, "store")), ("service_definition", ("store",))]
)
def test_every_fault_of_a_dictionary_is_in_the_error(name: str, arguments: tuple[Any, ...]) -> None:
    with pytest.raises(AnsibleFilterError) as caught:
        FILTERS[name]({**DEFINITION, "tmpf": [], "probs": []}, *arguments)
    assert "store_service.tmpf: unknown key; did you mean tmpfs?" in str(caught.value)
    assert "store_service.probs: unknown key; did you mean probes?" in str(caught.value)


def test_a_size_has_the_units_of_its_program() -> None:
    assert FILTERS["service_bytes"]("1g", "valkey_size") == 10**9
    assert FILTERS["service_bytes"]("1g", "compose_size") == 2**30
    with pytest.raises(AnsibleFilterError, match="is not a size; write a number with kb, mb or gb"):
        FILTERS["service_bytes"]("2 GBB", "valkey_size")


def test_probes_expect_the_version_that_runs() -> None:
    assert FILTERS["service_probes"]([{"type": "x", "expect": "@@image_version@@"}], "9.3.4+dfsg1") == [
        {"type": "x", "expect": "9.3.4"}
    ]


def test_the_path_map_is_absolute_and_names_the_folders_of_data() -> None:
    rows = [{"from": "trading/a", "to": "data/a"}, {"from": "trading", "to": "."}, {"from": "b", "to": "/new/data/b"}]
    assert FILTERS["service_path_map"](rows, "C:/old", "/new") == [
        {"from": "C:/old/trading/a", "to": "/new/data/a"},
        {"from": "C:/old/trading", "to": "/new"},
        {"from": "C:/old/b", "to": "/new/data/b"},
    ]
    assert FILTERS["trade2026_data_folders"](rows, "/new") == ["data/a", "data/b"]
