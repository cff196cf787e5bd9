# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters of the role `core`: which services are deployed together, which by themselves, and what is known of each."""

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


def primary(together: dict[str, Any] | None = None, **services: list[tuple[str, str]]) -> dict[str, Any]:
    """The variables of a machine's primary, whose plan has these operations."""
    planned = {
        "run": "r1",
        "by_service": {"machine": [], **{name: operations(name, *rows) for name, rows in services.items()}},
        "images": {name: {"reference": f"{name}:1", "known": True, "present": True} for name in services},
        "disabled": [],
    }
    return {"core_planned": planned, **({"core_together_probed": together} if together is not None else {})}


def test_services_that_need_only_files_and_a_container_are_deployed_together() -> None:
    variables = primary(
        nats=[ABSENT],
        valkey=[FILE, ("configuration files", "start")],
        opa=[],
        authn=[("image", "start"), ("owners below data/authn", "own"), ("state", "recreate")],
        questdb=[("image", "build"), ABSENT],
        clickhouse=[("image", "verify")],
        seaweedfs=[("state", "unpause")],
        opensearch=[("container x_opensearch", "remove"), STOPPED],
        rolled=[("rollback", "restore")],
        again=[("rollback", "start")],
        off=[("state", "stop")],
    )
    assert FILTERS["core_together"](variables) == ["nats", "valkey", "authn"]
    assert FILTERS["core_machines_together"]({"nats": variables, "valkey": {}}) == ["nats"]


def test_an_image_whose_tag_follows_from_migrated_sources_may_be_present() -> None:
    variables = primary(nats=[ABSENT], authn=[("image", "build"), ABSENT], opa=[("image", "build"), ABSENT])
    planned = variables["core_planned"]
    for name in ("authn", "opa"):
        planned["images"][name].update(known=False, present=False)
    together = FILTERS["core_together"](variables)
    assert together == ["nats", "authn", "opa"]
    assert FILTERS["core_without_image"](together, planned["images"]) == ["authn", "opa"]
    found = {
        "images": {
            "authn": {"reference": "authn:abc", "present": True},
            "opa": {"reference": "opa:def", "present": False},
        }
    }
    images = FILTERS["core_images_now"](planned, found)
    assert FILTERS["core_with_image"](together, images) == ["nats", "authn"]
    written = FILTERS["core_files_to_write"](["nats", "authn"], planned, images)
    assert [(one["name"], one["image"]["reference"], "expected" in one) for one in written] == [
        ("authn", "authn:abc", False)
    ]
    hosts = {"nats": {**variables, "core_images_found": found}, "authn": {}, "opa": {}}
    in_use = FILTERS["core_images"](hosts, hosts, planned)
    assert (in_use["authn"]["reference"], in_use["opa"]["reference"]) == ("authn:abc", "opa:1")


@pytest.mark.parametrize(
    "variables",
    [
        {},
        primary(nats=[], valkey=[("image", "fetch"), ABSENT]),
        primary(nats=[ABSENT], valkey=[ABSENT]) | {"core_batch": 1},
        primary(nats=[ABSENT], valkey=[ABSENT]) | {"core_batch": "50%"},
    ],
    ids=["nothing planned", "without an image", "one at a time", "half of them"],
)
def test_services_without_an_image_and_those_of_a_batch_are_deployed_by_themselves(variables: dict[str, Any]) -> None:
    assert FILTERS["core_together"](variables) == []
    assert FILTERS["core_machines_together"]({"nats": variables}) == NOBODY


def test_a_dry_run_deploys_nothing_together() -> None:
    variables = primary(nats=[ABSENT], valkey=[ABSENT])
    variables["core_planned"]["run"] = ""
    assert FILTERS["core_together"](variables) == []


def test_only_files_of_the_plan_are_written() -> None:
    owners = ("owners below data/valkey", "own")
    planned = primary(nats=[ABSENT], valkey=[FILE, owners])["core_planned"]
    (one,) = FILTERS["core_files_to_write"](["nats", "valkey"], planned, planned["images"], "valkey")
    assert (one["name"], one["role"], one["owners"]) == ("valkey", "valkey", ["data/valkey"])
    assert one["expected"] == [FILE[0], owners[0]]


def test_a_service_whose_files_are_refused_is_not_started_with_the_others() -> None:
    written = {"services": {"valkey": {"failed": True, "msg": "rejected"}, "nats": {"changed": True}}}
    assert FILTERS["core_written_services"](["nats", "valkey", "opa"], written) == ["nats", "opa"]


def test_containers_that_are_created_again_in_any_case_have_a_compose_process_of_their_own() -> None:
    rows = {"nats": [ABSENT], "valkey": [("state", "recreate")], "opa": [STOPPED]}
    planned = primary(**rows)["core_planned"]
    for one in planned["by_service"].values():
        for row in one:
            row["restarts"] = True
    assert FILTERS["core_compose_groups"](rows, planned) == [
        {"services": ["valkey"], "recreate": "always"},
        {"services": ["nats", "opa"], "recreate": "auto"},
    ]
    assert FILTERS["core_compose_groups"](["nats"], planned) == [{"services": ["nats"], "recreate": "auto"}]


def test_services_without_operations_are_verified_with_those_that_have_some() -> None:
    probes = [{"name": name} for name in ("nats", "valkey", "opa")]
    assert FILTERS["core_probes"](probes, ["valkey"], ["nats"]) == [
        {"name": "nats", "was_running": True},
        {"name": "valkey", "was_running": False},
    ]


def test_what_was_deployed_together_and_passed_is_not_deployed_again() -> None:
    answers = {"nats": {"healthy": True}, "valkey": {"failed": True, "msg": "not ready"}}
    hosts = {
        "nats": primary({"services": answers}, nats=[ABSENT], valkey=[ABSENT], opa=[FILE], questdb=[]),
        "valkey": {},
        "opa": {},
        "questdb": {},
    }
    assert FILTERS["core_hosts_to_deploy"](hosts) == ["valkey", "opa"]
    planned = hosts["nats"]["core_planned"]
    assert FILTERS["core_unfinished"](hosts, hosts, planned) == ["valkey", "opa"]
    assert FILTERS["core_probed_services"](hosts, hosts, {}) == answers
    # Its deployment by itself follows, and says whether it failed.
    assert FILTERS["core_failures"](hosts, hosts) == {}


def test_a_service_without_operations_that_fails_beside_others_is_a_failure_of_its_own() -> None:
    answers = {"nats": {"healthy": True}, "opa": {"failed": True, "msg": "OPA failed verification"}}
    hosts = {"nats": primary({"services": answers}, nats=[ABSENT], opa=[]), "opa": {}}
    assert FILTERS["core_hosts_to_deploy"](hosts) == NOBODY
    assert FILTERS["core_failures"](hosts, hosts) == {"opa": "OPA failed verification"}


def test_a_failure_that_no_service_has_is_found_again_by_each_of_them() -> None:
    together = {"services": {"nats": {"healthy": True}, "valkey": {"healthy": True}}, "failed": True}
    hosts = {"nats": primary(together, nats=[ABSENT], valkey=[ABSENT]), "valkey": {}}
    assert FILTERS["core_hosts_to_deploy"](hosts) == ["nats", "valkey"]


def test_what_could_not_be_started_together_is_deployed_by_itself() -> None:
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
    in_use = FILTERS["core_images"](hosts, hosts, planned)
    assert {name: image["reference"] for name, image in in_use.items()} == {
        "nats": "nats:2",
        "valkey": "valkey:2",
        "opa": "opa:1",
    }


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
