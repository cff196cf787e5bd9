# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters of the role `core`: which services are started at once, which are deployed, and what is known of each."""

from __future__ import annotations

import runpy
from typing import Any

import pytest
from role_dictionaries import ROOT

FILTERS: dict[str, Any] = runpy.run_path(str(ROOT / "filter_plugins/core.py"))["FilterModule"]().filters()
NOBODY = ["core_services:!core_services"]
ABSENT = ("container", "start")
STOPPED = ("state", "start")
FILE = ("file config/valkey.conf", "write")


def operations(service: str, *rows: tuple[str, str]) -> list[dict[str, Any]]:
    return [
        {"service": service, "what": what, "action": action, "current": "", "desired": "", "cause": "", "diff": ""}
        for what, action in rows
    ]


def primary(started: dict[str, Any] | None = None, **services: list[tuple[str, str]]) -> dict[str, Any]:
    """The variables of a machine's primary, whose plan has these operations."""
    planned = {
        "run": "r1",
        "by_service": {"machine": [], **{name: operations(name, *rows) for name, rows in services.items()}},
        "images": {name: {"reference": f"{name}:1"} for name in services},
        "disabled": [],
    }
    return {"core_planned": planned, **({"core_started": started} if started is not None else {})}


def test_services_whose_container_only_has_to_run_are_started_at_once() -> None:
    variables = primary(nats=[ABSENT], valkey=[STOPPED], opa=[], questdb=[ABSENT, FILE], authn=[("state", "recreate")])
    assert FILTERS["core_to_start"](variables) == ["nats", "valkey"]
    assert FILTERS["core_machines_to_start"]({"nats": variables, "valkey": {}}) == ["nats"]


@pytest.mark.parametrize(
    "variables",
    [
        {},
        primary(nats=[ABSENT]),
        primary(nats=[ABSENT], valkey=[ABSENT]) | {"core_batch": 1},
        primary(nats=[ABSENT], valkey=[ABSENT]) | {"core_batch": "50%"},
    ],
    ids=["nothing planned", "one service", "one at a time", "half of them"],
)
def test_a_single_service_and_those_of_a_batch_are_deployed_by_themselves(variables: dict[str, Any]) -> None:
    assert FILTERS["core_to_start"](variables) == []
    assert FILTERS["core_machines_to_start"]({"nats": variables}) == NOBODY


def test_a_dry_run_starts_nothing() -> None:
    variables = primary(nats=[ABSENT], valkey=[ABSENT])
    variables["core_planned"]["run"] = ""
    assert FILTERS["core_to_start"](variables) == []


def test_what_was_started_and_passed_is_not_deployed_again() -> None:
    started = {"services": {"nats": {"healthy": True}, "valkey": {"failed": True}}, "failed": True}
    hosts = {
        "nats": primary(started, nats=[ABSENT], valkey=[ABSENT], opa=[FILE], questdb=[]),
        "valkey": {},
        "opa": {},
        "questdb": {},
    }
    assert FILTERS["core_hosts_to_deploy"](hosts) == ["valkey", "opa"]
    planned = hosts["nats"]["core_planned"]
    assert FILTERS["core_unfinished"](hosts, hosts, planned) == ["valkey", "opa"]
    assert FILTERS["core_probed_services"](hosts, hosts, {}) == {"nats": {"healthy": True}}


def test_a_failure_that_no_service_has_is_found_again_by_each_of_them() -> None:
    started = {"services": {"nats": {"healthy": True}, "valkey": {"healthy": True}}, "failed": True}
    hosts = {"nats": primary(started, nats=[ABSENT], valkey=[ABSENT]), "valkey": {}}
    assert FILTERS["core_hosts_to_deploy"](hosts) == ["nats", "valkey"]


def test_what_could_not_be_started_at_once_is_deployed_by_itself() -> None:
    hosts = {"nats": primary({"failed": True, "msg": "a port is taken"}, nats=[ABSENT], valkey=[ABSENT]), "valkey": {}}
    assert FILTERS["core_hosts_to_deploy"](hosts) == ["nats", "valkey"]


def test_results_of_another_machine_stay_there() -> None:
    hosts = {
        "nats": primary({"services": {"nats": {"healthy": True}}}, nats=[ABSENT]),
        "opa": primary({"services": {"opa": {"healthy": True}}}, opa=[ABSENT]),
    }
    assert FILTERS["core_probed_services"](["opa"], hosts, {}) == {"opa": {"healthy": True}}


def test_a_service_that_fails_its_probes_at_the_end_is_a_failure_of_its_own() -> None:
    rest = {"services": {"opa": {"failed": True, "msg": "OPA failed verification"}, "nats": {"healthy": True}}}
    hosts = {
        "nats": {**primary(nats=[], opa=[]), "core_probed_rest": rest},
        "opa": {},
        "valkey": {"core_failure": "no"},
    }
    assert FILTERS["core_failures"](hosts, hosts) == {"opa": "OPA failed verification", "valkey": "no"}
    assert FILTERS["core_failed_hosts"](hosts) == ["opa", "valkey"]
    assert FILTERS["core_hook_result"](hosts)["failed"] == ["opa"]


def test_the_image_in_use_is_the_one_that_was_restored_fetched_or_planned() -> None:
    images = {name: {"reference": f"{name}:2"} for name in ("nats", "valkey")}
    hosts = {
        "nats": {"core_restored_image": images["nats"], "core_fetched_image": {"reference": "nats:3"}},
        "valkey": {"core_fetched_image": images["valkey"]},
        "opa": {},
    }
    planned = primary(nats=[], valkey=[], opa=[])["core_planned"]
    assert FILTERS["core_images"](hosts, hosts, planned) == {**images, "opa": {"reference": "opa:1"}}


def test_the_migration_is_one_operation_with_its_diff() -> None:
    migration = {
        "files_copied": 1,
        "files_rewritten": 2,
        "files_touched": 0,
        "pruned_total": 0,
        "links_written": 0,
        "directories_created": 0,
        "diff": [{"prepared": "--- a\n+++ b\n"}],
    }
    (operation,) = FILTERS["core_migration_operations"](migration, "backend/apps")
    assert (operation["what"], operation["diff"]) == ("applications backend/apps", "--- a\n+++ b\n")
    assert operation["desired"] == "3 files written, 0 removed"
    nothing = dict.fromkeys(migration, 0) | {"diff": []}
    assert FILTERS["core_migration_operations"](nothing, "backend/apps") == []
