# SPDX-License-Identifier: GPL-3.0-or-later
"""Who has open connections to a container, and which container has which port of the host."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.module_utils.deployment.engine import clients_of, connections, published_ports
from core_stop import batch_size
from docker.errors import NotFound

# Captured from a Valkey container with one client, its health check and its listening socket.
TABLE = """  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:18EB 00000000:0000 0A 00000000:00000000 00:00000000 00000000   999        0 93211 1
   1: 0201D50A:18EB 0301D50A:D2F0 01 00000000:00000000 00:00000000 00000000   999        0 93455 1
   2: 0201D50A:18EB 0301D50A:D2F2 01 00000000:00000000 00:00000000 00000000   999        0 93456 1
   3: 0100007F:18EB 0100007F:D2F4 01 00000000:00000000 00:00000000 00000000   999        0 93457 1
   4: 0201D50A:18EB 0101D50A:D2F6 06 00000000:00000000 00:00000000 00000000     0        0 0 3
   5: 0201D50A:9C40 0401D50A:1F90 01 00000000:00000000 00:00000000 00000000   999        0 93458 1
"""
TABLE6 = """  sl  local_address                         remote_address                        st
   0: 0000000000000000FFFF00000201D50A:18EB 0000000000000000FFFF00000501D50A:D2F0 01 0 0
"""


def test_open_connections_to_the_port_are_found_and_health_checks_are_not() -> None:
    assert connections(TABLE, {6379}) == ["10.213.1.3", "10.213.1.3"]
    assert connections(TABLE6, {6379}) == ["10.213.1.5"]
    assert connections(TABLE, {6380}) == []


class Client:
    """Replaces the Docker SDK's client."""

    def inspect_container(self, _name: str) -> dict[str, Any]:
        return {"Config": {"ExposedPorts": {"6379/tcp": {}}}, "State": {"Pid": 7}}

    def containers(self) -> list[dict[str, Any]]:
        return [{"Names": ["/gateway"], "NetworkSettings": {"Networks": {"backend": {"IPAddress": "10.213.1.3"}}}}]


def test_clients_are_named_by_their_container(tmp_path: Any) -> None:
    (tmp_path / "7/net").mkdir(parents=True)
    (tmp_path / "7/net/tcp").write_text(TABLE, encoding="ascii")
    (tmp_path / "7/net/tcp6").write_text(TABLE6, encoding="ascii")
    assert clients_of(Client(), "x", tmp_path) == ["2 connections of gateway", "1 connection of 10.213.1.5"]


def test_an_engine_on_another_machine_shows_no_connections(tmp_path: Any) -> None:
    assert clients_of(Client(), "x", tmp_path) == []


@pytest.mark.parametrize(
    ("batch", "count", "size"), [("100%", 8, 8), ("50%", 8, 4), ("10%", 8, 1), ("1", 8, 1), ("3", 8, 3), ("100%", 1, 1)]
)
def test_a_batch_is_counted_as_a_plays_serial(batch: str, count: int, size: int) -> None:
    assert batch_size(batch, count) == size


class Restarting:
    """An engine with a container that runs, one between two restarts, and one that is removed meanwhile."""

    def containers(self) -> list[dict[str, Any]]:
        return [
            {"Id": "1", "Names": ["/nats"], "Ports": [{"PublicPort": 4222, "PrivatePort": 4222}, {"PrivatePort": 1}]},
            {"Id": "2", "Names": ["/valkey"], "Ports": []},
            {"Id": "3", "Names": ["/gone"], "Ports": []},
        ]

    def inspect_container(self, identifier: str) -> dict[str, Any]:
        if identifier == "3":
            raise NotFound("No such container: 3")
        assert identifier == "2"
        bindings = {
            "6379/tcp": [{"HostIp": "127.0.0.1", "HostPort": "6379"}],
            "1/tcp": [{"HostPort": ""}],
            "2/tcp": None,
        }
        return {"HostConfig": {"PortBindings": bindings}}


def test_a_container_that_restarts_keeps_its_ports() -> None:
    """Otherwise the engine's proxy, which listens again a moment later, would be a stranger."""
    assert published_ports(Restarting()) == {4222: "nats", 6379: "valkey"}
