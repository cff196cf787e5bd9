# SPDX-License-Identifier: GPL-3.0-or-later
"""Rollback classes: what is known about a pair of versions, and what is not."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from ansible.module_utils.restore import classes
from ansible.module_utils.restore.classes import FINDINGS, WITHOUT_DATA, Finding, rollback_class

ROOT = Path(__file__).resolve().parents[3]
MADE_UP = (
    Finding("db", "1.2", "1.4", "image_only", "same format", documentation="notes"),
    Finding("db", "1.4", "2.0", "image_and_data", "new format", documentation="notes"),
    Finding("db", "1.7", "1.7", "image_only", "patch releases of a line within the way", documentation="notes"),
    Finding("db", "2.0", "2.1", "image_only", "same format", documentation="notes"),
)


@pytest.fixture
def made_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classes, "FINDINGS", MADE_UP)


@pytest.mark.usefixtures("made_up")
@pytest.mark.parametrize(
    ("running", "wanted", "kind"),
    [
        ("1.2.0", "1.2.0", "image_only"),
        ("1.2.0", "1.2.9", "image_only"),
        ("1.2.0", "1.4.9", "image_only"),
        ("1.3", "1.4", "image_only"),
        ("1.4.9", "2.0.0", "image_and_data"),
        ("1.4.9", "1.5.0", "image_and_data"),
        ("1.9", "2.0", "image_and_data"),
        ("1.3", "2.1", "image_and_data"),
        ("0.9", "3.0", "image_and_data"),
        ("2.0.7", "2.1.3", "image_only"),
        ("2.1.3", "2.1.4", "image_only"),
        ("1.1", "1.2", "unknown"),
        ("2.1", "2.2", "unknown"),
        ("3.0", "3.1", "unknown"),
        ("1.7.1", "1.7.2", "image_only"),
    ],
)
def test_a_finding_holds_for_the_versions_between_and_no_others(running: str, wanted: str, kind: str) -> None:
    assert rollback_class("db", running, wanted).kind == kind
    assert rollback_class("db", wanted, running).kind == kind


@pytest.mark.usefixtures("made_up")
@pytest.mark.parametrize(("running", "wanted"), [("1.4.1-alpine", "v1.4.2"), ("1.4.2-alpine", "1.4.2")])
def test_a_tag_is_read_by_its_number(running: str, wanted: str) -> None:
    assert rollback_class("db", running, wanted).kind == "image_only"


@pytest.mark.usefixtures("made_up")
def test_a_change_that_was_not_tried_names_both_versions() -> None:
    assert rollback_class("db", "3.0.1", "3.1.0-x").reason == "not tried: whether db 3.0.1 reads what 3.1.0 wrote"


@pytest.mark.parametrize("tag", ["latest", "", "not-built-yet"])
def test_a_tag_without_a_number_is_unknown(tag: str) -> None:
    answer = rollback_class("valkey", "8.1.8-alpine", tag)
    assert answer.kind == "unknown"
    assert repr(tag) in answer.reason


def test_a_service_that_was_not_tried_is_unknown() -> None:
    assert rollback_class("pages", "1.0", "1.1").kind == "unknown"
    assert rollback_class("pages", "1.0", "1.0").kind == "image_only"


@pytest.mark.parametrize("service", WITHOUT_DATA)
def test_a_service_without_data_can_always_be_rolled_back(service: str) -> None:
    assert rollback_class(service, "1.0", "not-built-yet").kind == "image_only"
    dictionary = yaml.safe_load((ROOT / f"roles/{service}/vars/main.yml").read_text())[f"{service}_service"]
    assert "data" not in {volume["kind"] for volume in dictionary["volumes"]}


def test_every_service_has_an_answer() -> None:
    services = {path.parents[1].name for path in ROOT.glob("roles/*/vars/main.yml") if _is_service(path)}
    assert len(services) == 8
    assert {finding.service for finding in FINDINGS} | set(WITHOUT_DATA) == services


def _is_service(path: Path) -> bool:
    return f"\n{path.parents[1].name}_service:" in path.read_text()


def test_the_table_has_every_finding_and_every_service() -> None:
    rows = classes.table().splitlines()[2:]
    assert len(rows) == len(FINDINGS) + len(WITHOUT_DATA)
    assert all(row.count("|") == 7 for row in rows)


def test_every_finding_says_where_it_is_known_from() -> None:
    assert [finding for finding in FINDINGS if not finding.reason or not finding.source] == []
    assert [finding for finding in FINDINGS if finding.experiment and finding.documentation] == []


@pytest.mark.parametrize(
    "finding", [one for one in FINDINGS if one.experiment], ids=lambda one: "-".join(one.experiment)
)
def test_the_answer_for_an_experiment_is_what_it_found(finding: Finding) -> None:
    answer = rollback_class(finding.service, *finding.experiment)
    assert answer.kind == finding.kind
