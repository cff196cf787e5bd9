# SPDX-License-Identifier: GPL-3.0-or-later
"""A saved plan is valid only for what it was made for, and every kind of stale plan is refused with the reason."""

from __future__ import annotations

import copy
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from ansible.module_utils.deployment.model import Operation
from ansible.module_utils.deployment.saved_plan import StalePlanError, check_machine, machine_of, save

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
SITE = {"root": "/srv/trade2026", "project": "trade2026-core"}
OPERATION = Operation("valkey", "state", "start", "exited", "running", "it does not run", restarts=True).to_dict()
PARTS = ("variables", "files", "image", "container", "secrets")


def looked() -> dict[str, Any]:
    return {
        "operations": [dict(OPERATION)],
        "unpredictable": [],
        "fingerprint": {
            "machine": {"networks": "n", "variables": "v", "files": "f", "source": "s"},
            "valkey": {part: part for part in PARTS},
        },
    }


def saved(hours: float = 24) -> dict[str, Any]:
    machines = {"core-1": {"site": SITE, "services": ["valkey"], **looked()}}
    content = save(machines, "version-1", ["valkey"], hours, NOW)
    return dict(json.loads(json.dumps(content)))


def part(content: Any, **changes: Any) -> dict[str, Any]:
    arguments = {
        "machine": "core-1",
        "site": SITE,
        "version": "version-1",
        "services": ["valkey"],
        "now": NOW + timedelta(hours=1),
        **changes,
    }
    return machine_of(content, **arguments)


def test_a_valid_plan_gives_each_machine_its_part() -> None:
    found = part(saved())
    assert found["operations"] == [OPERATION]
    check_machine(found, looked())


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"now": NOW + timedelta(hours=25)}, "it expired at 2026-11-27"),
        ({"now": NOW - timedelta(hours=1)}, "in the future; check the controllers' clocks"),
        ({"version": "version-2"}, "another version of this project"),
        ({"site": {**SITE, "root": "/srv/other"}}, "another site: root was /srv/trade2026, is /srv/other"),
        ({"machine": "core-2"}, "another site: it has no machine core-2"),
        ({"services": ["nats", "valkey"]}, "it was made for valkey, and this run is for nats, valkey"),
    ],
)
def test_a_plan_for_something_else_is_refused(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(StalePlanError, match=says):
        part(saved(), **changes)


def test_an_edited_plan_is_refused() -> None:
    content = saved()
    content["machines"]["core-1"]["operations"][0]["desired"] = "exited"
    with pytest.raises(StalePlanError, match="it was edited"):
        part(content)


@pytest.mark.parametrize("content", [[], {}, "text"])
def test_a_file_that_is_not_a_plan_is_refused(content: Any) -> None:
    with pytest.raises(StalePlanError, match="not a plan"):
        part(content)


def test_a_plan_of_another_schema_is_refused() -> None:
    with pytest.raises(StalePlanError, match="has schema 0"):
        part({**saved(), "schema": 0})


@pytest.mark.parametrize(
    ("service", "moved", "says"),
    [
        ("valkey", "files", "valkey: its files on the machine changed"),
        ("valkey", "image", "valkey: its image changed"),
        ("valkey", "container", "valkey: its container changed"),
        ("valkey", "variables", "valkey: its variables, templates or definition changed"),
        ("valkey", "secrets", "valkey: its secrets changed"),
        ("machine", "networks", "machine: the networks changed"),
        ("machine", "source", "machine: the applications to migrate changed"),
    ],
)
def test_what_changed_since_the_plan_is_named_for_each_service(service: str, moved: str, says: str) -> None:
    now = looked()
    now["fingerprint"][service][moved] = "another"
    with pytest.raises(StalePlanError, match=says):
        check_machine(part(saved()), now)


def test_other_operations_from_the_same_observation_are_refused() -> None:
    now = copy.deepcopy(looked())
    now["operations"][0]["action"] = "recreate"
    with pytest.raises(StalePlanError, match="operations that follow"):
        check_machine(part(saved()), now)
