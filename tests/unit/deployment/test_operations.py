# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan that follows from the declared and the observed state, compared as text; empty if they are equal."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ansible.module_utils.deployment.model import (
    MACHINE,
    DesiredMachine,
    DesiredNetwork,
    DesiredService,
    Observed,
    ObservedContainer,
    ObservedEndpoint,
    ObservedFile,
    ObservedNetwork,
    ObservedOwners,
    ObservedSecret,
    ObservedService,
    Operation,
    Plan,
    plan_from_dict,
)
from ansible.module_utils.deployment.plan import (
    COMPOSE_HASH_LABEL,
    CONFIG_HASH_LABEL,
    LIVE_FILES,
    PROJECT_LABEL,
    SERVICE_LABEL,
    needs_recreate,
    plan,
)

NETWORK = "trade2026-backend"
VALKEY = DesiredService(
    name="valkey",
    container="p-valkey",
    uid=999,
    image="valkey:8",
    image_kind="pull",
    image_from="valkey/valkey:8",
    image_id="sha256:1",
    image_known=True,
    config_hash="f1",
    compose_hash="c1",
    networks=frozenset({NETWORK}),
    memory=3 * 2**30,
    memory_swap=3 * 2**30,
    nano_cpus=2_000_000_000,
    pids=512,
)
CONTAINER = ObservedContainer(
    id="k1",
    name="p-valkey",
    image="valkey:8",
    image_id="sha256:1",
    status="running",
    health="healthy",
    started=1000.0,
    labels={CONFIG_HASH_LABEL: "f1", COMPOSE_HASH_LABEL: "c1", PROJECT_LABEL: "core", SERVICE_LABEL: "valkey"},
    networks={NETWORK: ObservedEndpoint("n1", ("p-valkey", "valkey", "k1"))},
    memory=3 * 2**30,
    memory_swap=3 * 2**30,
    nano_cpus=2_000_000_000,
    pids=512,
)
SEEN_NETWORK = ObservedNetwork("n1", ("172.21.0.0/16",), "bridge", internal=False, ipv6=False, options={})
CONFIG = "config/infrastructure/valkey/valkey.conf"
FRAGMENT = "infrastructure/docker/services/valkey.yml"


def planned(
    want: DesiredService = VALKEY,
    containers: tuple[ObservedContainer, ...] = (CONTAINER,),
    network: ObservedNetwork | None = SEEN_NETWORK,
    machine: dict[str, Any] | None = None,
    **service: Any,
) -> Plan:
    desired = DesiredMachine("core", (DesiredNetwork(NETWORK, "172.21.0.0/16"),), (want,))
    seen = Observed(
        services={"valkey": ObservedService(containers=containers, newest_file=CONFIG, **service)},
        networks={NETWORK: network} if network else {},
        **(machine or {}),
    )
    return plan(desired, seen)


def test_what_is_as_declared_gives_an_empty_plan() -> None:
    assert planned().text == ""


def test_a_container_that_is_starting_is_as_declared() -> None:
    assert planned(containers=(replace(CONTAINER, health="starting"),)).text == ""


def test_on_an_empty_machine_everything_is_planned() -> None:
    missing = ObservedFile(CONFIG, "content", "missing", exists=False)
    secret = ObservedSecret("valkey/password", "", "present", "it does not exist", "create")
    directory = ObservedFile("data", "directory", "missing", exists=False)
    found = planned(
        want=replace(VALKEY, image_id=""),
        containers=(),
        network=None,
        files=(missing,),
        machine={"files": (directory,), "secrets": (secret,)},
    )
    assert found.text.splitlines() == [
        "machine: create directory data: none -> as declared (it does not exist)",
        "machine: create network trade2026-backend: none -> 172.21.0.0/16 (it does not exist)",
        "machine: create secret valkey/password: none -> present (it does not exist)",
        "valkey: fetch image: none -> valkey:8 (it is not present; valkey/valkey:8)",
        f"valkey: write file {CONFIG}: none -> as declared (it does not exist)",
        "valkey: start container: absent -> running (it does not exist, restarts)",
    ]


RENAMED = replace(CONTAINER, name="old-valkey")


@pytest.mark.parametrize(
    ("container", "line", "recreates"),
    [
        (replace(CONTAINER, status="exited"), "start state: exited -> running", False),
        (replace(CONTAINER, status="exited", health="unhealthy"), "start state: exited -> running", False),
        (replace(CONTAINER, status="created"), "start state: created -> running", False),
        (replace(CONTAINER, status="paused"), "unpause state: paused -> running", True),
        (replace(CONTAINER, status="restarting"), "recreate state: restarting -> running", True),
        (replace(CONTAINER, health="unhealthy"), "recreate health: unhealthy -> healthy", True),
        (replace(CONTAINER, image="valkey:7"), "start image: valkey:7 -> valkey:8", False),
        (replace(CONTAINER, image_id="sha256:0"), "recreate image content: sha256:0 -> sha256:1", True),
        (
            replace(CONTAINER, labels={**CONTAINER.labels, CONFIG_HASH_LABEL: "f0"}),
            "start configuration files: f0 -> f1",
            False,
        ),
        (
            replace(CONTAINER, labels={**CONTAINER.labels, COMPOSE_HASH_LABEL: "c0"}),
            "start Compose definition: c0 -> c1",
            False,
        ),
        (replace(CONTAINER, networks={}), f"recreate networks: none -> {NETWORK}", True),
        (
            replace(CONTAINER, networks={**CONTAINER.networks, "other": ObservedEndpoint("n9", ())}),
            f"recreate networks: other, {NETWORK} -> {NETWORK}",
            True,
        ),
        # Created again under its name: Compose's `up` fails for a container that still refers to the old one.
        (
            replace(CONTAINER, networks={NETWORK: ObservedEndpoint("n0", ("valkey",))}),
            f"recreate network {NETWORK}: n0 -> n1",
            True,
        ),
        # `docker network disconnect`, `connect`.
        (
            replace(CONTAINER, networks={NETWORK: ObservedEndpoint("n1", ("k1",))}),
            f"recreate aliases on {NETWORK}: k1 -> valkey",
            True,
        ),
        (replace(CONTAINER, memory=2**30), "recreate memory limit (bytes): 1073741824 -> 3221225472", True),
        (replace(CONTAINER, memory_swap=-1), "recreate memory and swap (bytes): -1 -> 3221225472", True),
        (replace(CONTAINER, nano_cpus=10**9), "recreate processor limit: 1.0 -> 2.0", True),
        (replace(CONTAINER, pids=5), "recreate process limit: 5 -> 512", True),
        (RENAMED, "recreate container name: old-valkey -> p-valkey", True),
    ],
)
def test_each_difference_of_a_container_is_one_operation(
    container: ObservedContainer, line: str, recreates: bool
) -> None:
    found = planned(containers=(container,))
    assert len(found.operations) == 1, found.text
    assert found.text.startswith(f"valkey: {line} (")
    assert found.operations[0].restarts
    assert needs_recreate(found.operations) is recreates


def test_a_limit_whose_declaration_changed_needs_no_forced_recreation() -> None:
    """Compose detects a changed definition, but not a limit that was changed by hand."""
    before = replace(CONTAINER, memory=2**30, labels={**CONTAINER.labels, COMPOSE_HASH_LABEL: "c0"})
    (operation,) = planned(containers=(before,)).operations
    assert (operation.what, operation.action) == ("memory limit (bytes)", "start")


def test_a_network_that_was_pruned_is_created_and_its_containers_are_recreated() -> None:
    stopped = replace(CONTAINER, status="exited")
    lines = planned(containers=(stopped,), network=None).text.splitlines()
    assert [line.partition(" (")[0] for line in lines] == [
        f"machine: create network {NETWORK}: none -> 172.21.0.0/16",
        "valkey: start state: exited -> running",
        f"valkey: recreate network {NETWORK}: n1 -> created by this run",
    ]


def test_an_edited_file_and_the_container_that_may_have_read_it() -> None:
    edited = ObservedFile(CONFIG, "content", "differs", exists=True, diff="-a\n+b")
    found = planned(files=(edited,), newest_change=2000.0)
    assert [(row.what, row.action) for row in found.operations] == [
        (f"file {CONFIG}", "write"),
        (LIVE_FILES, "recreate"),
    ]
    assert found.operations[0].diff == "-a\n+b"


def test_a_file_that_was_put_back_after_the_start_is_found_by_its_time() -> None:
    """The run that restored it was killed before it recreated the container, or somebody restored it by hand."""
    found = planned(newest_change=1000.2)
    assert found.text == (
        f"valkey: recreate {LIVE_FILES}: {CONFIG} changed after the container's start -> as declared "
        "(the container may have read another version of it, restarts)"
    )
    assert planned(newest_change=999.0).text == ""
    assert planned(containers=(replace(CONTAINER, status="exited"),), newest_change=1000.2).text.count("\n") == 0


def test_an_edited_fragment_is_written_and_the_container_stays() -> None:
    edited = ObservedFile(FRAGMENT, "content", "differs", exists=True)
    assert [row.what for row in planned(files=(edited,)).operations] == [f"file {FRAGMENT}"]


def test_owners_below_a_data_directory_are_corrected_and_the_container_is_recreated() -> None:
    owners = ObservedOwners("data/valkey", 3, 10, "data/valkey/dump.rdb", 0)
    found = planned(owners=(owners,))
    assert found.text == (
        "valkey: own owners below data/valkey: 3 of 10 entries have another owner, such as data/valkey/dump.rdb (0) -> "
        "all belong to 999 (the service can neither read nor write them, restarts)"
    )


def test_a_foreign_container_of_the_same_name_is_left_to_the_preflight_checks() -> None:
    stranger = replace(CONTAINER, labels={})
    assert [row.what for row in planned(containers=(stranger,)).operations] == ["container"]


def test_a_second_container_of_the_service_is_removed() -> None:
    """Two simultaneous runs left it."""
    second = replace(CONTAINER, id="k2", name="k2_p-valkey", status="created")
    found = planned(containers=(second, CONTAINER))
    assert [(row.action, row.what) for row in found.operations] == [("remove", "container k2_p-valkey")]


def test_without_swap_accounting_the_swap_limit_is_not_compared() -> None:
    container = replace(CONTAINER, memory_swap=-1)
    assert planned(want=replace(VALKEY, memory_swap=None), containers=(container,)).text == ""


def test_an_image_that_runs_unverified_is_verified_and_not_restarted() -> None:
    found = planned(want=replace(VALKEY, image_unverified="the key x"))
    assert [(row.what, row.action, row.cause) for row in found.operations] == [
        ("image", "verify", "it must be signed by the key x")
    ]
    assert not found.operations[0].restarts


def test_an_image_whose_tag_follows_from_sources_is_not_predicted() -> None:
    want = replace(VALKEY, image="localhost/authn:not-built-yet", image_kind="build", image_id="", image_known=False)
    found = planned(want=want)
    assert [row.action for row in found.operations] == ["build"]
    assert found.unpredictable == ("valkey: the image's tag, which follows from its migrated sources",)


def test_a_plan_survives_json() -> None:
    found = planned(containers=())
    assert plan_from_dict(found.to_dict()) == found


def test_what_other_phases_planned_comes_between_networks_and_secrets() -> None:
    other = Operation(MACHINE, "applications backend/apps", "migrate", "older", "3 files", "the source differs")
    secret = ObservedSecret("valkey/password", "", "present", "it does not exist", "create")
    found = planned(network=None, containers=(), machine={"other": (other,), "secrets": (secret,)})
    assert [row.what for row in found.of(MACHINE)] == [
        f"network {NETWORK}",
        "applications backend/apps",
        "secret valkey/password",
    ]
