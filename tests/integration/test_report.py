# SPDX-License-Identifier: GPL-3.0-or-later
"""The report of the first run: it describes the deployment correctly, and no secret is in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.shared.masking import secrets_below
from jsonschema import Draft202012Validator
from site_under_test import PROJECT_ROOT, SERVICES, Run, Site, report_of


@pytest.fixture(scope="module")
def report(first_run: Run, deployed: Site) -> Path:
    """The folder of the first run's report."""
    page = report_of(first_run)
    assert deployed.root / "docs/reports" in page.parents
    return page.parent


@pytest.fixture(scope="module")
def document(report: Path) -> dict[str, Any]:
    """Its document."""
    return dict(json.loads((report / "report.json").read_text(encoding="utf-8")))


def test_the_document_matches_its_schema(document: dict[str, Any]) -> None:
    schema = json.loads((PROJECT_ROOT / "docs/report.schema.json").read_text(encoding="utf-8"))
    assert [error.message for error in Draft202012Validator(schema).iter_errors(document)] == []


def test_every_service_was_deployed_and_probed(document: dict[str, Any]) -> None:
    assert document["verdict"]["status"] == "passed"
    assert {service["name"] for service in document["services"]} == set(SERVICES)
    assert {service["health"] for service in document["services"]} == {"healthy"}
    assert {test["service"] for test in document["tests"]} == {*SERVICES, "machine"}
    assert {row["service"] for row in document["choices"]} == set(SERVICES)
    for service in document["services"]:
        times = [service["timeline"][name] for name in ("planned", "started", "healthy", "verified")]
        assert all(times), service["name"]
        assert [time[:19] for time in times] == sorted(time[:19] for time in times), service["name"]


def test_networks_ports_and_images_are_those_of_the_engine(document: dict[str, Any], deployed: Site) -> None:
    networks = {network["name"]: network["subnet"] for network in document["networks"]}
    assert networks == {network["name"]: network["subnet"] for network in deployed.networks.values()}
    seen = deployed.inspect(*SERVICES)
    assert set(seen) == set(SERVICES)
    for service in document["services"]:
        settings = seen[service["name"]]["NetworkSettings"]
        assert {end["name"] for end in service["networks"]} == set(settings["Networks"])
        published = {int(one["HostPort"]) for ends in settings["Ports"].values() for one in ends or []}
        assert {port["host"] for port in service["ports"]} == published


def test_no_secret_is_in_the_report(report: Path, deployed: Site) -> None:
    secrets, unreadable = secrets_below(deployed.root / "secrets")
    assert len(secrets) > 8
    assert unreadable == []
    files = {path.name: path.read_text(encoding="utf-8") for path in report.iterdir()}
    assert set(files) == {"report.html", "report.json", "junit.xml"}
    assert [name for name, text in files.items() for secret in secrets if secret in text] == []
