# SPDX-License-Identifier: GPL-3.0-or-later
"""Each preflight check finds its fault, names it and gives a remedy; a correct state passes."""

from __future__ import annotations

import os
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.deployment.model import DesiredNetwork, ObservedContainer, ObservedNetwork
from ansible.module_utils.preflight import engine, host, python, tree
from ansible.module_utils.preflight.result import Result, report

NETWORK = DesiredNetwork("trade2026-backend", "172.21.0.0/16")
TCP = """  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:18EB 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1
   1: 0100007F:18EC 0100007F:1F90 01 00000000:00000000 00:00000000 00000000     0        0 4712 1
   2: 00000000:2328 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4713 1
"""
# A Java server that listens on an IPv4 address: in the other table, with that table's header.
TCP6 = (
    TCP.splitlines()[0]
    + "\n   0: 0000000000000000FFFF00000100007F:1F90 00000000000000000000000000000000:0000 0A"
    + " 00000000:00000000 00:00000000 00000000     0        0 4714 1\n"
)


def service(name: str, *ports: int, **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "container": name,
        "ports": list(ports),
        "memory": 2**30,
        "cpus": 1.5,
        "nofile": 1024,
        "max_map_count": 0,
        "bounds": [],
        "unauthenticated": True,
        **more,
    }


def one(results: list[Result]) -> Result:
    assert len(results) == 1
    result = results[0]
    assert result.ok or result.remedy
    return result


def test_a_service_with_more_processors_than_the_machine_is_refused() -> None:
    assert one(host.check_processors([service("a", cpus=2.0)], 2)).ok
    too_many = one(host.check_processors([service("a", cpus=2.0), service("b", cpus=2.5)], 2))
    assert not too_many.ok
    assert too_many.name == "processors of b"
    assert "b_cpu_limit" in too_many.remedy


def test_a_complete_tree_passes_and_a_gap_is_named(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    assert one(tree.check_tree(tmp_path, ["data"], [], will_create=False)).ok
    gap = one(tree.check_tree(tmp_path, ["data", "config"], ["D.md"], will_create=False))
    assert not gap.ok
    assert "config" in gap.message
    assert "D.md" in gap.message
    assert one(tree.check_tree(tmp_path, ["data", "config"], [], will_create=True)).ok


def test_a_file_where_a_directory_should_be_fails_even_when_missing_ones_are_created(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("", encoding="utf-8")
    assert not one(tree.check_tree(tmp_path, ["data"], [], will_create=True)).ok


def test_too_little_disk_space_is_reported(tmp_path: Path) -> None:
    assert one(tree.check_disk(tmp_path / "not/yet", 0.001)).ok
    assert not one(tree.check_disk(tmp_path, 10**9)).ok


@pytest.mark.parametrize(
    ("found", "ok"), [("20.10.24+dfsg1", True), ("20.9.1", False), ("v28.0.0", True), ("", False), ("dev", False)]
)
def test_versions_compare_as_numbers(found: str, ok: bool) -> None:
    assert one(engine.check_version("engine", found, "20.10.0")).ok is ok


def network(**changes: Any) -> ObservedNetwork:
    seen = ObservedNetwork("n1", ("172.21.0.0/16",), "bridge", internal=False, ipv6=False, options={})
    return replace(seen, **changes)


@pytest.mark.parametrize(
    ("existing", "will_create", "ok"),
    [({"trade2026-backend": network()}, False, True), ({}, True, True), ({}, False, False)],
)
def test_a_missing_network_passes_only_if_it_will_be_created(
    existing: dict[str, ObservedNetwork], will_create: bool, ok: bool
) -> None:
    assert one(engine.check_networks([NETWORK], existing, will_create)).ok is ok


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"subnets": ("172.21.0.0/24",)}, "subnet is 172.21.0.0/24, 172.21.0.0/16 is declared"),
        ({"subnets": ()}, "subnet is none"),
        ({"driver": "macvlan"}, "driver is macvlan, bridge is declared"),
        ({"internal": True}, "internal is on, off is declared"),
        ({"ipv6": True}, "IPv6 is on, off is declared"),
        ({"options": {"com.docker.network.driver.mtu": "9000"}}, "options is com.docker.network.driver.mtu=9000"),
    ],
)
def test_a_network_with_another_property_is_refused_with_its_name(changes: dict[str, Any], says: str) -> None:
    result = one(engine.check_networks([NETWORK], {"trade2026-backend": network(**changes)}, True))
    assert not result.ok
    assert says in result.message


@pytest.mark.parametrize(
    ("subnet", "ok"), [("172.21.4.0/24", False), ("172.16.0.0/12", False), ("10.0.0.0/8", True), ("fd00::/64", True)]
)
def test_a_network_that_would_overlap_with_another_one_is_named(subnet: str, ok: bool) -> None:
    """Otherwise the engine would refuse it in the middle of a run."""
    result = one(engine.check_networks([NETWORK], {"another": network(subnets=(subnet,))}, True))
    assert result.ok is ok
    assert ok or f"172.21.0.0/16 overlaps with the network another ({subnet})" in result.message


@pytest.mark.parametrize(
    ("labels", "ok"),
    [
        (
            {
                "com.docker.compose.project": "trade2026-core",
                "com.docker.compose.project.working_dir": "/srv/t/infrastructure",
            },
            True,
        ),
        (
            {
                "com.docker.compose.project": "trade2026-core",
                "com.docker.compose.project.working_dir": "/srv/t2/infrastructure",
            },
            False,
        ),
        ({"com.docker.compose.project": "trade2025"}, False),
        ({}, False),
    ],
)
def test_a_container_name_taken_by_another_deployment_is_refused(labels: dict[str, str], ok: bool) -> None:
    seen = ObservedContainer("c1", "nats", "nats:2", "i1", "running", "healthy", 1.0, labels, {}, 0, 0, 0, 0)
    assert one(engine.check_containers([service("nats")], [seen], "trade2026-core", "/srv/t")).ok is ok


def test_listening_sockets_are_read_from_the_kernels_tables() -> None:
    found = host.listeners([TCP, TCP6])
    assert [(listener.address, listener.port) for listener in found] == [
        ("127.0.0.1", 6379),
        ("0.0.0.0", 9000),
        ("127.0.0.1", 8080),
    ]


def test_two_services_on_one_port_are_named() -> None:
    result = one(host.check_ports([service("questdb", 9000), service("clickhouse", 9000)], "127.0.0.1", [], {}))
    assert "questdb and clickhouse both publish it" in result.message
    assert "it is not a valid port" in one(host.check_ports([service("nats", 0)], "127.0.0.1", [], {})).message
    result = one(host.check_ports([service("nats", 8222, 8222)], "127.0.0.1", [], {}))
    assert "nats publishes it twice" in result.message


@pytest.mark.parametrize(
    ("port", "bind", "ok"),
    [(6379, "127.0.0.1", False), (6379, "10.0.0.1", True), (9000, "10.0.0.1", False), (1, "127.0.0.1", True)],
)
def test_a_port_is_in_use_only_on_the_address_of_its_listener(port: int, bind: str, ok: bool) -> None:
    assert one(host.check_ports([service("x", port)], bind, host.listeners([TCP]), {})).ok is ok


def test_a_services_own_container_is_not_a_clash_and_another_one_is_named() -> None:
    listening = host.listeners([TCP])
    assert one(host.check_ports([service("valkey", 6379)], "127.0.0.1", listening, {6379: "valkey"})).ok
    clash = one(host.check_ports([service("valkey", 6379)], "127.0.0.1", listening, {6379: "old-redis"}))
    assert "old-redis" in clash.message


def test_the_process_that_holds_a_port_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        inode = str(os.fstat(server.fileno()).st_ino)
        assert host.process_of(inode).endswith(f"(pid {os.getpid()})")
    assert host.process_of(inode) == "another process"


def test_too_little_memory_is_reported() -> None:
    assert one(host.check_memory([service("a"), service("b")], 2 * 2**30, 1.0)).ok
    assert not one(host.check_memory([service("a"), service("b")], 2 * 2**30 - 1, 1.0)).ok


@pytest.mark.parametrize(
    ("amount", "most", "fact"), [(2, 3, ""), (4096, 4096, ""), (4, 3, "a_max=4 exceeds a_limit=3")]
)
def test_settings_that_contradict_each_other_are_named(amount: int, most: int, fact: str) -> None:
    bound = {
        "setting": "a_max",
        "value": str(amount),
        "amount": amount,
        "max_setting": "a_limit",
        "max": str(most),
        "max_amount": most,
    }
    result = one(host.check_bounds([service("a", bounds=[bound])]))
    assert result.ok == (fact == "")
    assert fact in result.message


def test_a_kernel_setting_that_is_too_low_is_reported_with_its_remedy() -> None:
    wanting = [service("opensearch", max_map_count=262144)]
    assert one(host.check_map_count(wanting, 262144)).ok
    assert "sysctl -w vm.max_map_count=262144" in one(host.check_map_count(wanting, 65530)).remedy


def test_a_limit_on_open_files_that_is_too_low_is_reported() -> None:
    assert one(host.check_nofile([service("a", nofile=20000)], 20000)).ok
    assert not one(host.check_nofile([service("a", nofile=20001)], 20000)).ok
    assert one(host.check_nofile([service("a", nofile=10**6)], None)).ok


@pytest.mark.parametrize(
    ("bind", "is_open", "accepted", "ok"),
    [
        ("127.0.0.1", True, False, True),
        ("0.0.0.0", True, False, False),
        ("0.0.0.0", False, False, True),
        ("0.0.0.0", True, True, True),
    ],
)
def test_open_services_stay_on_loopback(bind: str, is_open: bool, accepted: bool, ok: bool) -> None:
    assert one(host.check_open([service("nats", unauthenticated=is_open)], bind, accepted)).ok is ok


@pytest.mark.parametrize(("bind", "ok"), [("127.0.0.1", True), ("0.0.0.0", True), ("::1", False), ("core-1", False)])
def test_the_bind_address_is_an_ipv4_address(bind: str, ok: bool) -> None:
    assert one(host.check_bind(bind)).ok is ok


def test_the_report_lists_every_failure_with_its_remedy() -> None:
    text = report(
        [Result("a", True, "fine"), Result("b", False, "bad", "correct b"), Result("c", False, "worse", "correct c")]
    )
    assert text.startswith("2 of 3 preflight checks failed.")
    assert "1. b: bad\n   Do: correct b" in text
    assert "2. c: worse\n   Do: correct c" in text


def test_a_package_that_the_machines_python_lacks_is_named_before_anything_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert one(python.check_packages()).ok
    monkeypatch.setitem(python.PACKAGES, "no_such_module", "no-such-package")
    result = one(python.check_packages())
    assert not result.ok
    assert "no-such-package" in result.message


def test_the_packages_are_those_of_the_requirements() -> None:
    text = (Path(__file__).resolve().parents[3] / "requirements/run.in").read_text(encoding="utf-8")
    declared = {line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")}
    assert set(python.PACKAGES.values()) <= declared
