# SPDX-License-Identifier: GPL-3.0-or-later
"""Which tests a run has: those of its kinds, and the disruptive ones only with consent."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "services"))

from ansible.module_utils.services.record import probes_for
from ansible.module_utils.validation import catalog
from ansible.module_utils.validation.model import KINDS
from ansible.module_utils.validation.stack import Stack, build_stack
from role_dictionaries import SERVICES, record


def no_docker(*_args: Any, **_more: Any) -> tuple[int, str, str]:
    raise AssertionError("the list of tests asks nothing of the engine")


def stack(**variables: Any) -> Stack:
    """All eight services as their roles describe them."""
    entries = []
    for service in SERVICES:
        described = record(service)
        probing = {
            "address": described.address,
            "ports": {port.name: port.host for port in described.ports},
            "timeout_s": described.probe_timeout_s,
            "probes": probes_for(described.probes, "1.0"),
        }
        entries.append({"record": described.to_dict(), "image": {}, "probing": probing})
    params = {
        "services": entries,
        "root": "/srv/trade2026",
        "secrets_root": "/srv/trade2026/secrets",
        "project": "trade2026-core",
        "bind_address": "127.0.0.1",
        "networks": {},
        "probe_image": "",
        "kinds": list(KINDS),
        "disruptive": False,
        "engine_restart": False,
        "engine_command": ["systemctl", "restart", "docker"],
        "durability": "balanced",
        "records": 10,
        "budgets": {},
        "noise_percent": 100,
        "reports": None,
    }
    return build_stack({**params, **variables}, no_docker)


def test_without_consent_nothing_is_interrupted() -> None:
    for consent in ({}, {"engine_restart": True}):
        found = catalog.groups(stack(**consent), KINDS)
        assert len(catalog.cases(found)) > 200
        assert [group.key for group in found if group.interrupts] == []


def test_with_consent_each_interruption_is_announced() -> None:
    found = [group for group in catalog.groups(stack(disruptive=True), KINDS) if group.interrupts]
    assert [group.key for group in found] == ["persistence.restart", "persistence.kill", "persistence.down"]
    for group in found:
        assert re.match(r"This interrupts all services of this run for .* minutes: ", group.interrupts)


def test_the_engine_is_restarted_only_with_both_consents() -> None:
    found = catalog.groups(stack(disruptive=True, engine_restart=True), ["persistence"])
    assert found[-1].key == "persistence.engine"
    assert "every container of this machine" in found[-1].interrupts


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_by_itself_has_its_tests_alone(kind: str) -> None:
    found = catalog.cases(catalog.groups(stack(), [kind]))
    assert found
    assert {case.kind for case in found} == {kind}


def test_every_test_is_documented() -> None:
    patterns = [
        re.compile(re.escape(identifier).replace(r"\*", r"\w+")) for identifier, _title, _source in catalog.declared()
    ]
    found = catalog.cases(catalog.groups(stack(disruptive=True, engine_restart=True), KINDS))
    identifiers = [case.id for case in found]
    assert len(identifiers) == len(set(identifiers))
    # A role may declare a probe more than once, and give it a name of its own.
    named = [one for one in identifiers if not any(pattern.fullmatch(one) for pattern in patterns)]
    assert {one for one in named if not re.search(r"_\d+$", one)} <= {"component.opa.opa_read_only"}
