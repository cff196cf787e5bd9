# SPDX-License-Identifier: GPL-3.0-or-later
"""`core_size` sets the limits of all services together: they fit the machine that each size is for, and each other."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.module_utils.controller.variables import SIZES, read_variables
from ansible.module_utils.services.kinds import parse
from role_dictionaries import ROOT, SERVICES, record

GIB = 2**30
# Size → memory of the machine that it is for, and the minimum that is left for the system and the engine.
MACHINES = {"small": (8, 2), "standard": (16, 2), "production": (32, 4)}
# The memory of each size in docs/operations.md.
DOCUMENTED = {"small": 5.75, "standard": 12.5, "production": 27}


def test_there_are_eight_services() -> None:
    assert len(SERVICES) == 8


@pytest.mark.parametrize("size", SIZES)
def test_the_limits_together_fit_the_machine_with_room_for_the_system(size: str) -> None:
    together = sum(record(service, core_size=size).limits.memory_bytes for service in SERVICES)
    machine, room = MACHINES[size]
    assert together <= (machine - room) * GIB
    assert together == DOCUMENTED[size] * GIB
    assert f"{DOCUMENTED[size]} GiB | {machine} GiB" in (ROOT / "docs/operations.md").read_text(encoding="utf-8")


def test_standard_is_the_default_and_keeps_the_values_of_trade2025() -> None:
    records = {service: record(service) for service in SERVICES}
    assert records == {service: record(service, core_size="standard") for service in SERVICES}
    assert sum(each.limits.memory_bytes for each in records.values()) == 12.5 * GIB
    assert value("valkey", "valkey_maxmemory", "standard") == 2 * GIB
    assert value("opensearch", "opensearch_heap", "standard") == GIB // 2


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("service", SERVICES)
def test_the_bounds_of_each_service_hold(service: str, size: str) -> None:
    bounds = record(service, core_size=size).bounds
    assert bounds or service == "authn"
    for bound in bounds:
        assert bound.amount <= bound.max_amount, bound


@pytest.mark.parametrize("size", SIZES)
def test_limits_within_one_container_fit_together(size: str) -> None:
    def limit(service: str) -> int:
        return record(service, core_size=size).limits.memory_bytes

    # Half as much in addition, for buffers and the copy-on-write pages of a rewrite.
    assert 1.5 * value("valkey", "valkey_maxmemory", size) <= limit("valkey")
    # The same amount in addition, outside the heap.
    assert 2 * value("opensearch", "opensearch_heap", size) <= limit("opensearch")
    heap = value("questdb", "questdb_heap_max", size)
    assert heap + value("questdb", "questdb_native_memory_limit", size) <= 0.75 * limit("questdb")
    assert value("clickhouse", "clickhouse_server_memory", size) <= 0.85 * limit("clickhouse")
    for service in ("nats", "seaweedfs", "opa"):
        assert 0.75 <= value(service, f"{service}_go_memory_limit", size) / limit(service) <= 0.82


def test_a_larger_size_never_gives_less() -> None:
    compared = 0
    for service in SERVICES:
        for variable in read_variables(ROOT / "roles" / service / "defaults/main.yml").values():
            if variable.switch == "core_size":
                assert tuple(variable.by_switch) == SIZES, variable.name
                values = [parse(variable.kind, variable.name, given) for given in variable.by_switch.values()]
                assert values == sorted(values), variable.name
                compared += 1
    assert compared >= 24


def test_a_variable_that_the_site_sets_takes_precedence() -> None:
    assert record("valkey", core_size="small", valkey_memory_limit="2g").limits.memory_bytes == 2 * GIB


def value(service: str, name: str, size: str) -> Any:
    """The default of a variable for a size, as the program takes it."""
    variable = read_variables(ROOT / "roles" / service / "defaults/main.yml")[name]
    return parse(variable.kind, name, variable.by_switch[size])
