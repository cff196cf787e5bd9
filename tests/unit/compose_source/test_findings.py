# SPDX-License-Identifier: GPL-3.0-or-later
"""Single findings about services: ports, tags and health checks."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.module_utils.compose_source.compose import Compose
from ansible.module_utils.compose_source.findings import (
    Finding,
    Source,
    healthcheck_tools,
    port_clashes,
    split_image,
    unpinned_image,
)
from ansible.module_utils.compose_source.positions import Positions
from ansible.module_utils.compose_source.services import describe


def _source(active: bool = True, **services: dict[str, Any]) -> Source:
    """A source without files, so that every finding is at the project's file."""
    model = {"name": "x", "services": services}
    described = {name: describe(name, model, active or name == "a", ["/tree"]) for name in services}
    compose = Compose("/", ("/tree/c.yml",), {})
    return Source(described, [], ["/tree"], Positions("/tree", str), compose)


def _port(published: str, host_ip: str = "", protocol: str = "tcp") -> dict[str, Any]:
    return {"mode": "ingress", "host_ip": host_ip, "target": 1, "published": published, "protocol": protocol}


@pytest.mark.parametrize(
    ("one", "other", "clash"),
    [
        (_port("80"), _port("80"), True),
        (_port("80"), _port("81"), False),
        (_port("80"), _port("80", protocol="udp"), False),
        (_port("80", "127.0.0.1"), _port("80"), True),
        (_port("80", "127.0.0.1"), _port("80", "0.0.0.0"), True),
        (_port("80", "127.0.0.1"), _port("80", "127.0.0.1"), True),
        (_port("80", "127.0.0.1"), _port("80", "127.0.0.2"), False),
        (_port("80", "::1"), _port("80", "0:0:0:0:0:0:0:1"), True),
        (_port("80", "::1"), _port("80", "127.0.0.1"), False),
        (_port("80-82"), _port("82"), False),
        (_port(""), _port(""), False),
    ],
)
def test_host_ports_clash_by_number_protocol_and_address(
    one: dict[str, Any], other: dict[str, Any], clash: bool
) -> None:
    found = list(port_clashes(_source(a={"ports": [one]}, b={"ports": [other]}), {}))
    assert [(row.service, row.where) for row in found] == ([("b", "c.yml")] if clash else [])


def test_a_service_of_an_inactive_profile_clashes_with_nothing() -> None:
    assert not list(port_clashes(_source(active=False, a={"ports": [_port("80")]}, b={"ports": [_port("80")]}), {}))


@pytest.mark.parametrize(
    ("image", "pinned"),
    [
        ("nats", False),
        ("nats:latest", False),
        ("nats:2", False),
        ("nats:2.10-alpine", False),
        ("nats:2.10.29-alpine", True),
        ("valkey/valkey:8-alpine", False),
        ("registry.example:5000/team/x", False),
        ("registry.example:5000/team/x:1.2.3", True),
        ("x:stable", False),
        ("x:v1.2.3", True),
        ("x:20240101", True),
        ("x:2024-01-31", True),
        ("x:RELEASE.2024-01-31T00-00-00Z", True),
        ("x:0a1b2c3d", True),
        ("x:latest@sha256:" + "a" * 64, True),
        ("chrislusf/seaweedfs:4.03", True),
        ("chrislusf/seaweedfs:4", False),
    ],
)
def test_a_tag_is_pinned_when_it_names_one_release(image: str, pinned: bool) -> None:
    source = _source(a={"image": image})
    assert (not list(unpinned_image(source, "a", source.services["a"]))) is pinned


def test_an_image_reference_is_split_at_the_right_colons() -> None:
    assert split_image("host:5000/a/b:tag@sha256:x") == ("host:5000/a/b", "tag", "sha256:x")
    assert split_image("host:5000/a") == ("host:5000/a", "", "")


@pytest.mark.parametrize(
    ("image", "test", "tools"),
    [
        ("nats:2.10.1", ["CMD", "wget", "x"], []),
        ("nats:2.10.1", ["CMD", "curl", "x"], ["curl"]),
        ("questdb/questdb:9.0.0", ["CMD", "bash", "-c", "curl -f x || exit 1"], ["curl"]),
        ("questdb/questdb:9.0.0", ["CMD", "bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/9003"], []),
        ("mirror.example:5000/openpolicyagent/opa:1.0.0", ["CMD-SHELL", "wget x"], ["wget", "sh"]),
        ("openpolicyagent/opa:1.0.0", ["CMD", "/opa", "eval", "curl"], []),
        ("opensearchproject/opensearch:2.19.1", ["CMD-SHELL", "test $(wget -q x) = y"], ["wget"]),
        ("clickhouse/clickhouse-server:24.9.3", ["CMD-SHELL", "wget -q x && ! curl y"], ["curl"]),
        ("someone/else:1.0.0", ["CMD-SHELL", "curl x"], []),
    ],
)
def test_a_health_check_tool_that_the_image_lacks_is_found(image: str, test: list[str], tools: list[str]) -> None:
    source = _source(a={"image": image, "healthcheck": {"test": test}})
    found: list[Finding] = list(healthcheck_tools(source, "a", source.services["a"]))
    assert [row.message.split("calls ")[1].split(",")[0] for row in found] == tools
