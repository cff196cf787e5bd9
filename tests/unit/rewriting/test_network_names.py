# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of networks are rewritten if the text means the network, and left if it may mean something else."""

from __future__ import annotations

import pytest
from ansible.module_utils.rewriting.document import plan_document
from ansible.module_utils.rewriting.mentions import Mentions
from ansible.module_utils.rewriting.path_map import MapError
from rewriting_case import DOCUMENTED, codes, rules_of

OLD, NEW = "trade2025-backend", "trade2026-backend"
MENTIONS = Mentions(["trade2025"])


@pytest.mark.parametrize(
    "text",
    [
        "networks:\n  {}:\n    external: true\n",
        "    networks:\n      - {}\n",
        "networks: [{}]",
        '{{"Networks": {{"{}": {{}}}}}}',
        "external: {{name: {}}}",
        "name: {}",
        "NETWORK={}",
        "docker network create {}",
        "docker network rm {} other",
        "docker network connect --alias x {} nats",
        "docker run --network {} nats",
        "docker run --net={} nats",
        "docker run --network name={},alias=x nats",
        "podman run -d --network={} nats",
        "nats://nats.{}:4222",
        "http://opa.{}/v1/data",
        "GET /v1.43/networks/{}/connect",
        "curl http://localhost/networks/{}",
        '"first line\\n{}"',
        '"{}\\n"',
        "\\u0027{}\\u0027",
        "the network {}, internal",
        "`{}`",
        "--filter network={}",
        "?network={}&x=1",
    ],
)
def test_the_text_means_the_network(text: str) -> None:
    data = text.format(OLD).encode()
    document = plan_document(data, DOCUMENTED, MENTIONS)
    assert document.new.decode() == text.format(NEW)
    assert document.leftovers == []


@pytest.mark.parametrize(
    "text",
    [
        ". ../config/{}/app.conf",
        "C:\\x\\{}\\app.conf",
        "{}/app.conf",
        "x%2F{}%2Fy",
        '"{}\\nats"',
        "image: registry.local/{}:1.4",
        "image: {}",
        '"image": "{}"',
        "FROM {}",
        "FROM --platform=linux/amd64 {} AS x",
        "container_name: {}",
        "hostname: {}",
        "docker run -d {}",
        "docker run --network other {}",
        "docker exec -it {} sh",
        "docker build -t {} .",
        "docker pull {}",
        "docker volume rm {}",
        "docker compose -p {} up",
        "- {}:/data",
        "-v {}:/data:ro",
        "{}:1.4",
        "http://{}/x",
        "root@{}",
        "cd {}",
        "mkdir -p {}",
        "services:\n  {}:\n    image: x\n",
        "volumes:\n\n  # comment\n  {}:\n",
        "depends_on: [{}]",
        "    depends_on:\n    - {}\n",
        '{{"services": {{\n  "{}": {{}}\n}}}}',
        "networks:\n  other:\n    aliases:\n      - {}\n",
        "networks: {{other: {{aliases: [{}]}}}}",
        "extra_hosts:\n  {}: 10.0.0.1\n",
    ],
)
def test_the_text_may_mean_something_else(text: str) -> None:
    data = text.format(OLD).encode()
    document = plan_document(data, DOCUMENTED, MENTIONS)
    assert document.new == data
    assert codes(document) == ["not-the-network"]


@pytest.mark.parametrize(
    "text",
    [
        "networks:\n  {}:\n    external: true\n",
        "networks:\n  default:\n    external: true\n    name: {}\n",
        "services:\n  a:\n    networks:\n    - {}\n",
        "networks: [other, {}]",
        '{{\n "Networks": {{\n  "{}": {{}}\n }}\n}}',
        "docker_network: {{name: {}}}",
        "NETWORK_NAME={}",
        "docker network connect --alias x {} nats",
        "docker run --net={} nats",
        "nats://nats.{}:4222",
        "GET /networks/{}/connect",
        "the network {}, internal",
    ],
)
def test_a_word_is_a_network_where_the_text_is_about_networks(text: str) -> None:
    document = plan_document(text.format("edge").encode(), rules_of({}, {"edge": "outer"}), MENTIONS)
    assert document.new.decode() == text.format("outer")
    assert document.leftovers == []


@pytest.mark.parametrize(
    "text",
    [
        "the {} of the world",
        "the network ends at the {} of the world",
        "const {} = 1;",
        "graph.{}(1)",
        "from {} import x",
        "{} = 'x'",
        "{}:\n  x: y\n",
        "networks:\n  other: {{}}\n{}: x\n",
        "networks:\n  other:\n    aliases: [{}]\n",
        "proxy_pass http://{};",
    ],
)
def test_a_word_that_may_be_any_word_stays(text: str) -> None:
    data = text.format("edge").encode()
    document = plan_document(data, rules_of({}, {"edge": "outer"}), MENTIONS)
    assert document.new == data
    assert codes(document) == ["not-the-network"]


def test_a_reference_without_a_mention_is_reported_too() -> None:
    rules = rules_of({"C:/old/apps": "/srv/apps"}, {"edge": "outer"})
    document = plan_document(b'image: edge\n"C:\\old\\apps (2)"\n\nC:\\old\\apps', rules, MENTIONS)
    assert document.new == b'image: edge\n"C:\\old\\apps (2)"\n\n/srv/apps'
    assert [(item.line, item.reason.partition(":")[0]) for item in document.leftovers] == [
        (1, "not-the-network"),
        (2, "name-goes-on"),
    ]


@pytest.mark.parametrize(
    ("networks", "named"),
    [
        ({"edge": "core", "core": "data"}, ("edge to core", "core to data")),
        ({"edge": "core", "core": "edge"}, ("edge to core", "core to edge")),
        ({"edge": None}, ("edge", "None")),
        ({"edge": 5}, ("edge", "5")),
        ({5: "edge"}, ("edge", "5")),
        ({"edge": ["core"]}, ("edge", "core")),
        ({True: "core"}, ("True", "core")),
    ],
)
def test_a_network_map_that_is_refused(networks: dict[str, str], named: tuple[str, str]) -> None:
    with pytest.raises(MapError) as caught:
        rules_of({}, networks)
    assert all(name in str(caught.value) for name in named)


def test_a_network_that_keeps_its_name_is_not_a_chain() -> None:
    rules = rules_of({}, {"edge": "core", "core": "core"})
    assert rules.plan(b"net: edge core").new == b"net: core core"
