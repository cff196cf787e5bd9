# SPDX-License-Identifier: GPL-3.0-or-later
"""Declarations of probes are parsed, and errors in them are reported with the likely intention."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils.probes.base import Probe
from ansible.module_utils.probes.spec import COERCE, WANTED, SpecError, all_types, parse_probes
from local_inventory import SERVICES

ROLES = Path(__file__).parents[3] / "roles"


def problems(*probes: dict[str, Any]) -> str:
    with pytest.raises(SpecError) as caught:
        parse_probes(probes)
    return str(caught.value)


def test_numbers_and_switches_may_come_as_text() -> None:
    (http, health, persistence) = parse_probes(
        [
            {"type": "http", "port": "http", "status": "204"},
            {"type": "opensearch_health", "nodes": "3", "status": "green"},
            {"type": "valkey_persistence", "aof": "no", "name": "the file"},
        ]
    )
    assert (vars(http)["status"], vars(health)["nodes"], vars(health)["status"]) == ([204], 3, ["green"])
    assert (vars(persistence)["aof"], persistence.title, http.title) == (False, "the file", "http")


def test_a_wrong_type_is_reported_with_the_nearest_one() -> None:
    assert (
        problems({"type": "valkey_pong"})
        == "probe 1: 'valkey_pong' is not a valid probe type (do you mean 'valkey_ping'?)"
    )


def test_an_unknown_type_is_reported_with_all_types() -> None:
    assert "valid: authn_health, " in problems({"type": "zzz"})


def test_all_problems_are_reported_at_once() -> None:
    text = problems({"type": "opa_decision", "pth": "a"}, {}, {"type": "opensearch_health", "nodes": "many"})
    assert (
        "probe 1: 'pth' is not a valid key of opa_decision (do you mean 'path'?); opa_decision needs the key 'path'"
        in text
    )
    assert "probe 2: it has no `type`" in text
    assert "probe 3: opensearch_health: nodes='many' is not a whole number" in text


@pytest.mark.parametrize(
    ("key", "value"),
    [("port", None), ("port", ["http"]), ("status", True), ("status", 2.5), ("headers", "x"), ("expect_json", [1])],
)
def test_a_value_of_the_wrong_kind_is_refused(key: str, value: Any) -> None:
    assert f"{key}={value!r} is not a" in problems({"type": "http", "port": "http", key: value})


@pytest.mark.parametrize("probe", all_types().values(), ids=lambda probe: probe.TYPE)
def test_every_type_is_complete(probe: type[Probe]) -> None:
    assert probe.__doc__
    assert probe.run is not Probe.run
    for field in dataclasses.fields(probe):
        assert str(field.type) in COERCE
        assert str(field.type) in WANTED or field.type == "Any"


def declared_probes(document: Any, prefixes: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    """Every mapping in a role's variables that is a probe."""
    if isinstance(document, dict):
        if str(document.get("type", "")).startswith(prefixes):
            yield document
        for value in document.values():
            yield from declared_probes(value, prefixes)
    elif isinstance(document, list):
        for value in document:
            yield from declared_probes(value, prefixes)


@pytest.mark.parametrize("role", SERVICES)
def test_the_roles_declare_their_probes_with_valid_names(role: str) -> None:
    """Only the names: values are templates, and a list may be composed of several variables."""
    types = all_types()
    document = yaml.safe_load((ROLES / role / "vars/main.yml").read_text())
    probes = list(declared_probes(document, (f"{role}_", "http", "tcp")))
    assert probes
    for declared in probes:
        fields = {field.name: field for field in dataclasses.fields(types[declared["type"]])}
        assert set(declared) - {"type"} <= set(fields)
        needed = {
            name for name, field in fields.items() if field.default is field.default_factory is dataclasses.MISSING
        }
        assert needed <= set(declared)
