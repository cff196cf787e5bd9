# SPDX-License-Identifier: GPL-3.0-or-later
"""The main job: the first run deploys and verifies eight services, a second run changes nothing."""

from __future__ import annotations

import re
from typing import Any

import yaml
from conftest import FreshHost
from site_under_test import PROJECT_ROOT, SERVICES, SOURCE_TREE, Run, Site, listing


def test_a_dry_run_on_a_fresh_host_predicts_all_services_and_creates_nothing(fresh_host: FreshHost) -> None:
    assert fresh_host.run.code == 0, fresh_host.run.errors
    assert fresh_host.before == fresh_host.after
    assert fresh_host.run.changed_hosts == set(SERVICES)


def test_the_first_run_changes_what_was_predicted(fresh_host: FreshHost, deployed: Site, first_run: Run) -> None:
    assert first_run.changed_hosts == fresh_host.run.changed_hosts


def test_eight_containers_are_healthy(deployed: Site) -> None:
    health = {name: seen["State"]["Health"]["Status"] for name, seen in deployed.containers().items()}
    assert health == dict.fromkeys(SERVICES, "healthy")


def test_the_summary_names_every_service_with_its_image_and_source(deployed: Site, first_run: Run) -> None:
    summary = first_run.output.rpartition("SERVICE")[2]
    for service, seen in deployed.containers().items():
        line = next(line for line in summary.splitlines() if line.strip().startswith(service + " "))
        assert seen["Config"]["Image"].partition("@")[0] in line
        assert "packages" in line.split(), line
        assert "healthy" in line


def test_a_second_run_and_a_dry_run_change_nothing_and_restart_nothing(deployed: Site) -> None:
    before = deployed.started()
    for arguments in ([], ["--check", "--diff"]):
        run = deployed.play(*arguments)
        assert run.code == 0, run.errors
        # Services without an operation take no part in the deploy play. The summary has all of them.
        assert set(run.changed.values()) == {0}, run.errors
        summary = run.output.rpartition("SERVICE")[2]
        assert [name for name in SERVICES if not re.search(rf"^ *{name} .* healthy ", summary, re.MULTILINE)] == []
    assert deployed.started() == before


def test_values_given_as_strings_on_the_command_line_are_converted(deployed: Site) -> None:
    """`-e name=value` passes strings, even for numbers and booleans."""
    values = {}
    for folder in (PROJECT_ROOT / "roles").iterdir():
        spec = yaml.safe_load((folder / "meta/argument_specs.yml").read_text(encoding="utf-8"))["argument_specs"]
        for name, option in [pair for entry in spec.values() for pair in entry.get("options", {}).items()]:
            default = option.get("default")
            if option["type"] in ("bool", "int", "float") and default is not None and "{{" not in str(default):
                values[name] = str(default).lower()
    run = deployed.play("--check", **{**values, "core_port_offset": str(deployed.offset)})
    assert len(values) > 80
    assert run.code == 0, run.errors
    assert set(run.changed.values()) == {0}


def test_a_run_limited_to_one_service_runs_the_preflight_checks_and_changes_no_other(deployed: Site) -> None:
    before = deployed.started()
    run = deployed.play("--limit", "valkey", valkey_maxmemory="1gb")
    assert run.code == 0, run.errors
    assert "run the preflight checks and plan" in run.output
    after = deployed.started()
    assert {name for name in SERVICES if before[name] != after[name]} == {"valkey"}
    assert set(run.changed) == {"valkey"}
    assert deployed.play("--limit", "valkey").code == 0


def test_every_container_is_hardened(deployed: Site) -> None:
    for name, seen in deployed.containers().items():
        host, config = seen["HostConfig"], seen["Config"]
        assert config["User"].partition(":")[0].isdigit(), name
        assert config["User"].partition(":")[0] != "0", name
        assert host["CapDrop"] == ["ALL"], name
        assert host["ReadonlyRootfs"], name
        assert "no-new-privileges:true" in host["SecurityOpt"], name
        assert host["Memory"] > 0, name
        assert host["NanoCpus"] > 0, name
        assert host["PidsLimit"] > 0, name
        assert host["RestartPolicy"]["Name"] == "unless-stopped", name
        assert config["Labels"]["com.trade2026.service"] == name
        assert config["Labels"]["com.trade2026.cpgs.version"] == "1.0"
        assert config["Labels"]["com.trade2026.component"] == "infrastructure"


def test_ports_are_published_on_loopback_only(deployed: Site) -> None:
    for name, seen in deployed.containers().items():
        published = [binding for bindings in seen["NetworkSettings"]["Ports"].values() for binding in bindings or []]
        assert published, name
        assert {binding["HostIp"] for binding in published} == {"127.0.0.1"}, name


def test_services_are_attached_to_their_networks(deployed: Site) -> None:
    expected = {
        "nats": {"lowlatency"},
        "valkey": {"backend"},
        "questdb": {"backend"},
        "clickhouse": {"backend"},
        "seaweedfs": {"backend"},
        "opensearch": {"backend"},
        "authn": {"frontend", "backend"},
        "opa": {"frontend"},
    }
    for name, seen in deployed.containers().items():
        assert set(seen["NetworkSettings"]["Networks"]) == {deployed.networks[key]["name"] for key in expected[name]}


def test_the_migrated_applications_do_not_mention_trade2025(deployed: Site) -> None:
    for application in ("authn", "opa_authorizer"):
        folder = deployed.root / "backend/apps" / application
        assert (folder / "Dockerfile").is_file()
        for file in folder.rglob("*"):
            assert "trade2025" not in file.name.lower()
            if file.is_file():
                assert b"trade2025" not in file.read_bytes().lower().replace(b"\0", b""), file


def test_the_migration_is_documented_for_every_service(deployed: Site) -> None:
    text = (deployed.root / "docs/MIGRATION.md").read_text(encoding="utf-8")
    for service in SERVICES:
        variables = yaml.safe_load((PROJECT_ROOT / f"roles/{service}/vars/main.yml").read_text(encoding="utf-8"))
        assert f"\n## {variables[f'{service}_service']['title']}\n" in text
    for fact in ("trade2025-", deployed.networks["backend"]["name"], "C:/trade2025"):
        assert fact in text


def test_the_source_tree_is_not_modified(deployed: Site, source_before: list[Any]) -> None:
    assert source_before
    assert listing(SOURCE_TREE) == source_before
