# SPDX-License-Identifier: GPL-3.0-or-later
"""`core_durability` sets when the services force writes to the disk, all of them together."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.module_utils.controller.variables import SWITCHES, Variable, read_variables
from role_dictionaries import ROOT, SERVICES, configuration, record

PROFILES = ("fast", "balanced", "durable")


def switched() -> dict[str, Variable]:
    """The variables that depend on the profile."""
    files = [ROOT / "roles" / service / "defaults/main.yml" for service in SERVICES]
    return {
        name: variable
        for file in files
        for name, variable in read_variables(file).items()
        if variable.switch == "core_durability"
    }


def expected(service: str, kind: str, profile: str) -> dict[str, Any]:
    """What a probe of the service expects."""
    [probe] = [probe for probe in record(service, core_durability=profile).probes if probe["type"] == kind]
    return dict(probe["expect"])


def test_four_services_depend_on_it_and_name_all_profiles() -> None:
    found = switched()
    assert {name.partition("_")[0] for name in found} == {"nats", "valkey", "questdb", "clickhouse"}
    for variable in found.values():
        assert tuple(variable.by_switch) == PROFILES
        assert [variable.fault(value) for value in variable.by_switch.values()] == ["", "", ""]


def test_balanced_is_the_default_and_keeps_the_value_of_the_source_text() -> None:
    assert SWITCHES["core_durability"] == "balanced"
    defaults = read_variables(ROOT / "roles/core/defaults/main.yml")["core_durability"]
    assert (defaults.default, defaults.choices) == ("balanced", PROFILES)
    assert switched()["valkey_appendfsync"].by_switch["balanced"] == "everysec"
    assert record("valkey") == record("valkey", core_durability="balanced")


@pytest.mark.parametrize(("profile", "value"), [("fast", "no"), ("balanced", "everysec"), ("durable", "always")])
def test_the_probe_expects_what_the_profile_sets(profile: str, value: str) -> None:
    assert expected("valkey", "valkey_config", profile)["appendfsync"] == value


def test_durable_acknowledges_nothing_before_it_is_on_the_disk() -> None:
    durable = {name: variable.by_switch["durable"] for name, variable in switched().items()}
    assert durable == {
        "nats_jetstream_sync_interval": "always",
        "valkey_appendfsync": "always",
        "questdb_commit_mode": "sync",
        "clickhouse_fsync_after_insert": True,
    }


FORCED = "<fsync_after_insert>1</fsync_after_insert>"


@pytest.mark.parametrize(
    ("profile", "version", "is_forced"),
    [
        ("durable", "24.9.3.128", True),
        ("durable", "21.1.0", True),
        # The release that Debian packages does not know it.
        ("durable", "18.16.1", False),
        ("balanced", "24.9.3.128", False),
        ("fast", "24.9.3.128", False),
    ],
)
def test_clickhouse_gets_its_setting_only_where_it_is_known(profile: str, version: str, is_forced: bool) -> None:
    text = configuration("clickhouse", "server.xml.j2", version, core_durability=profile)
    assert "<mark_cache_size>" in text
    assert (FORCED in text) is is_forced
    assert ("fsync" in text) is is_forced
