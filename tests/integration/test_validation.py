# SPDX-License-Identifier: GPL-3.0-or-later
"""The tests of a deployed stack pass, and find what is broken; `make test-validation` has the other faults."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from ansible.module_utils.probes.base import new_token
from leftovers import KINDS, leave, left, remove, table
from local_inventory import SERVICES
from site_under_test import Site, docker
from validating import Validation, assert_valid, validate

# Leftovers of runs that were killed two days and an hour ago, and a name that no test of the project uses.
OLD, YOUNG = (f"trade2026-probe-{new_token(time.time() - age_s)}-kill" for age_s in (48 * 3600, 3600))
OTHER = "trade2026-probe-notes"


@pytest.fixture(scope="module")
def quick(deployed: Site) -> Iterator[Validation]:
    """The kinds that put no load on the services and interrupt none."""
    leave(deployed, OLD, YOUNG, OTHER)
    yield validate(deployed, ["component", "integration", "network"])
    remove(deployed, YOUNG, OTHER)


def test_the_quick_kinds_pass(quick: Validation) -> None:
    assert quick.failures == {}
    assert quick.run.code == 0, quick.run.errors
    statuses = [test["status"] for test in quick.tests.values()]
    assert statuses.count("passed") > 150


def test_the_document_is_valid_and_holds_no_secret(quick: Validation, deployed: Site, tmp_path: Path) -> None:
    assert_valid(quick.document, tmp_path)
    assert [service["name"] for service in quick.document["services"]] == list(SERVICES)
    text = str(quick.document) + quick.run.output
    assert [secret for secret in deployed.secrets() if secret in text] == []


def test_reachability_is_recorded_for_open_and_closed_pairs(quick: Validation) -> None:
    rows = quick.document["reachability"]
    assert {row["expected"] for row in rows} == {"open", "closed"}
    assert [row for row in rows if row["expected"] != row["actual"]] == []
    pairs = {(row["source"], row["target"]) for row in rows}
    assert {(one, other) for one in SERVICES for other in SERVICES if one != other} <= pairs


def test_the_objects_of_tests_and_of_killed_runs_are_removed(quick: Validation, deployed: Site) -> None:
    assert quick.failures == {}
    assert left(deployed) == {service: {table(YOUNG), table(OTHER)} for service in KINDS}
    for service in KINDS:
        found = quick.tests[f"component.{service}.leftovers"]
        assert found["evidence"] == {"removed": 1}
        assert table(found["message"]).endswith(f": {table(OLD)}")


@contextmanager
def paused(container: str) -> Iterator[None]:
    docker("pause", container)
    try:
        yield
    finally:
        docker("unpause", container)


def test_a_paused_service_is_found(deployed: Site) -> None:
    container = f"{deployed.prefix}nats"
    with paused(container):
        found = validate(deployed, ["component"], "--limit", "nats")
    first, text = next(iter(found.failures.items()))
    assert first == "component.nats.running"
    assert f"docker unpause {container}" in text
    assert found.run.code != 0


@contextmanager
def without_network(site: Site, service: str, network: str) -> Iterator[None]:
    name, container = site.networks[network]["name"], f"{site.prefix}{service}"
    docker("network", "disconnect", name, container)
    try:
        yield
    finally:
        docker("network", "connect", "--alias", service, name, container)


def test_a_dropped_network_is_found(deployed: Site) -> None:
    with without_network(deployed, "authn", "frontend"):
        found = validate(deployed, ["network"], "--limit", "authn,opa")
    name = deployed.networks["frontend"]["name"]
    assert "network.authn.memberships" in found.failures
    assert f"it is not on {name}" in found.failures["network.authn.memberships"]
    assert f"not connected to {name}" in found.failures["network.opa.reaches"]
    assert found.run.code != 0
