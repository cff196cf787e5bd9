"""What a site may get wrong in its variables: found before anything runs, said in a line each."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]
SPEC = importlib.util.spec_from_file_location("validation", ROOT / "action_plugins/validate_variables.py")
assert SPEC
assert SPEC.loader
PLUGIN = importlib.util.module_from_spec(SPEC)
# Dataclasses look their module up.
sys.modules["validation"] = PLUGIN
SPEC.loader.exec_module(PLUGIN)
ROLES = [PLUGIN.read_role(folder) for folder in sorted((ROOT / "roles").iterdir())]


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("valkey_maxmemroy", "valkey_maxmemroy is no variable of the role valkey: did you mean valkey_maxmemory?"),
        ("nats_xyzzy", "nats_xyzzy is no variable of the role nats: docs/reference/nats.md lists what there is"),
        ("nats_service", "nats_service is derived by the role nats and cannot be set"),
        ("valkey_old", "valkey_old no longer exists: set valkey_new"),
    ],
)
def test_a_name_that_is_no_variable(name: str, line: str) -> None:
    assert PLUGIN.unknown_names([name], ROLES, {"valkey_old": "set valkey_new"}) == [line]


def test_names_of_others_and_right_ones_pass() -> None:
    assert PLUGIN.unknown_names(["ansible_host", "company_ntp", "valkey_port"], ROLES, {}) == []


def test_the_removed_variables_are_no_variables_any_more() -> None:
    known = {option for role in ROLES for option in role.options}
    removed = PLUGIN._yaml(ROOT / "playbooks/vars/removed_variables.yml")["removed_variables"]
    assert removed
    assert not known & set(removed)


@pytest.mark.parametrize(
    "values",
    [
        {"core_port_offset": "many"},
        {"image_source": "somewhere"},
        {"authn_clients": "srv"},
        {"nats_auth_enabled": "perhaps"},
    ],
)
def test_a_value_of_the_wrong_type_or_out_of_its_choices(values: dict[str, Any]) -> None:
    lines = PLUGIN.wrong_values(values, ROLES)
    assert len(lines) == 1
    assert next(iter(values)) in lines[0]


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"valkey_port": -1}, "valkey_port=-1 is no port; choose 1 to 65535"),
        ({"valkey_port": "70000"}, "valkey_port=70000 is no port; choose 1 to 65535"),
        (
            {"valkey_port": 60000, "core_port_offset": "10000"},
            "valkey_port=60000 and core_port_offset=10000 are no port together; choose a lower one",
        ),
        ({"nats_max_connections": -1}, "nats_max_connections=-1 is below zero; choose 0 or more"),
        ({"trade2026_root": "srv/x"}, "trade2026_root=srv/x is not absolute; begin it with a slash"),
        ({"trade2026_root": ""}, "trade2026_root= is not absolute; begin it with a slash"),
        (
            {"nats_memory_limit": "lots"},
            "nats_memory_limit=lots is no size; write a number with b, k, m or g, as 512m",
        ),
    ],
)
def test_a_value_that_means_nothing(values: dict[str, Any], line: str) -> None:
    assert PLUGIN.senseless_values(values, ROLES) == [line]


@pytest.mark.parametrize(
    "values",
    [
        {"valkey_port": 65535, "nats_memory_limit": "1.5G", "trade2026_root": "/x", "core_ready_timeout_factor": 0.5},
        # Of the wrong type: said elsewhere.
        {"valkey_port": "many"},
    ],
)
def test_values_that_mean_something_pass(values: dict[str, Any]) -> None:
    assert PLUGIN.senseless_values(values, ROLES) == []


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"trade2025_root": "/data/old", "trade2026_root": "/data/old"}, ["trade2026_root"]),
        ({"trade2025_root": "/data/old/", "trade2026_root": "/data/x/../old/new"}, ["trade2026_root"]),
        ({"trade2025_root": "/data", "trade2026_root": "/new", "image_cache": "/data/c"}, ["image_cache"]),
        ({"trade2025_root": "/srv/trade2026/old"}, ["trade2026_root"]),
        ({"trade2025_root": "/data/old", "trade2026_root": "/data/older"}, []),
        ({"trade2026_root": "/data/old"}, []),
    ],
)
def test_nothing_of_ours_lies_in_the_source(values: dict[str, Any], named: list[str]) -> None:
    lines = PLUGIN.written_into_the_source(values, ROLES)
    assert len(lines) == len(named)
    for line, name in zip(lines, named, strict=True):
        assert name in line
