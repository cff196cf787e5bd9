"""What `trade_source_info` finds, on a Trade2025 file as the source text describes it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ansible.module_utils.compose_source.findings import split_image
from ansible.module_utils.compose_source.report import read

CORE = """\
version: '3.8'
x-check: &check {interval: 30s, timeout: 10s, retries: 3}
services:
  questdb:
    image: questdb/questdb:latest
    ports: ["9000:9000", "8812:8812"]
    volumes: ["C:/trade2025/trading/questdb:/var/lib/questdb"]
    networks: [backend]
    healthcheck: {<<: *check, test: ["CMD", "wget", "--spider", "-q", "http://localhost:9000/"]}
  clickhouse:
    image: clickhouse/clickhouse-server:24.9
    ports:
      - "8123:8123"
      - "9000:9000"
    volumes: ['C:\\Trade2025\\trading\\clickhouse:/var/lib/clickhouse', "/var/run/docker.sock:/s"]
    networks: [backend, missing]
    environment:
      CLICKHOUSE_PASSWORD: hunter2-click
      OTHER: "prefix hunter2-click suffix"
    healthcheck: {<<: *check, test: ["CMD-SHELL", "curl -f -u x:hunter2-click http://127.0.0.1:8123/ping || exit 1"]}
  app:
    build: {context: ./trading/apps/app, args: {API_TOKEN: build-secret-1}}
    image: localhost/app:latest
    command: ["serve", "--password=cli-secret-9", "postgres://bob:url-secret-7@db/x"]
    env_file: gone.env
    environment:
      DB_PASSWORD: ${DB_PASSWORD}
      DEFAULTED_SECRET: ${NOPE:-default-secret-3}
      SECRET_FILE: /run/secrets/x
      TOKEN_TTL: "3600"
      EMPTY_PASSWORD: ""
    volumes: ["data:/data", "undefined:/u", "D:/elsewhere:/e", "/mnt/c/trade2025/trading/x:/x"]
    networks: [backend]
    depends_on: [clickhouse, nobody]
    secrets: [s]
networks:
  backend: {external: {name: trade2025-backend}}
volumes: {data: {}}
"""


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    root = tmp_path_factory.mktemp("tree")
    (root / "docker-compose.core.yml").write_text(CORE)
    (root / ".env").write_text("DB_PASSWORD=from-env-file-5\n")
    return read(str(root), ["docker-compose.core.yml"], ["C:/trade2025"], [], {})


@pytest.mark.parametrize(
    ("kind", "service", "line", "words"),
    [
        ("obsolete_key", "", 1, "`version`"),
        ("obsolete_key", "", 37, "external: true"),
        ("port_clash", "clickhouse", 14, "9000/tcp for 9000 is also published by questdb (docker-compose.core.yml:6)"),
        ("unpinned_tag", "questdb", 5, "`latest`"),
        ("unpinned_tag", "clickhouse", 11, "24.9 line"),
        ("healthcheck_tool", "questdb", 9, "calls wget"),
        ("healthcheck_address", "questdb", 9, "127.0.0.1"),
        ("healthcheck_tool", "clickhouse", 20, "calls curl"),
        ("no_healthcheck", "app", 22, "not defined"),
        ("literal_secret", "clickhouse", 18, "CLICKHOUSE_PASSWORD"),
        ("literal_secret", "app", 22, "API_TOKEN"),
        ("literal_secret", "app", 24, "`command`"),
        ("literal_secret", "app", 28, "DEFAULTED_SECRET"),
        ("missing_env_file", "app", 25, "gone.env"),
        ("undefined_network", "clickhouse", 16, "missing"),
        ("undefined_volume", "app", 32, "undefined"),
        ("undefined_secret", "app", 35, "secret s"),
        ("undefined_service", "app", 34, "nobody"),
        ("mount_outside", "clickhouse", 15, "root on the machine"),
        ("mount_outside", "app", 32, "D:/elsewhere"),
    ],
)
def test_a_finding_names_service_kind_place_and_remedy(
    result: dict[str, list[dict[str, str]]], kind: str, service: str, line: int, words: str
) -> None:
    where = f"docker-compose.core.yml:{line}"
    same_kind = [row for row in result["findings"] if (row["kind"], row["service"]) == (kind, service)]
    assert [row for row in same_kind if words in row["message"] and row["where"] == where], same_kind


def test_nothing_else_is_found(result: dict[str, dict[str, int]]) -> None:
    assert result["summary"] == {
        "healthcheck_address": 1,
        "healthcheck_tool": 2,
        "literal_secret": 4,
        "missing_env_file": 1,
        "mount_outside": 2,
        "no_healthcheck": 1,
        "obsolete_key": 2,
        "port_clash": 1,
        "undefined_network": 1,
        "undefined_secret": 1,
        "undefined_service": 1,
        "undefined_volume": 1,
        "unpinned_tag": 2,
    }


@pytest.mark.parametrize(
    "secret",
    ["hunter2-click", "build-secret-1", "cli-secret-9", "url-secret-7", "from-env-file-5", "default-secret-3"],
)
def test_no_secret_is_returned_anywhere(result: dict[str, object], secret: str) -> None:
    assert secret in CORE or secret == "from-env-file-5"
    assert secret not in json.dumps(result)


def test_what_is_no_secret_is_returned(result: dict[str, dict[str, dict[str, dict[str, str]]]]) -> None:
    environment = result["services"]["app"]["environment"]
    assert environment["SECRET_FILE"] == "/run/secrets/x"
    assert environment["TOKEN_TTL"] == "3600"
    assert result["services"]["clickhouse"]["environment"]["OTHER"] == "prefix ******** suffix"


def test_mounts_say_whether_they_are_in_the_tree(
    result: dict[str, dict[str, dict[str, list[dict[str, object]]]]],
) -> None:
    volumes = result["services"]["app"]["volumes"] + result["services"]["clickhouse"]["volumes"]
    assert {str(volume["source"]): volume["in_tree"] for volume in volumes} == {
        "data": False,
        "undefined": False,
        "D:/elsewhere": False,
        "/mnt/c/trade2025/trading/x": True,
        "C:\\Trade2025\\trading\\clickhouse": True,
        "/var/run/docker.sock": False,
    }


def _findings(tmp_path: Path, text: str, kind: str) -> list[dict[str, str]]:
    (tmp_path / "c.yml").write_text(text)
    found: list[dict[str, str]] = read(str(tmp_path), ["c.yml"], ["C:/trade2025"], [], {})["findings"]
    return [row for row in found if row["kind"] == kind]


@pytest.mark.parametrize(
    ("one", "other", "clash"),
    [
        ("80:1", "80:2", True),
        ("80:1", "81:1", False),
        ("80:1", "80:2/udp", False),
        ("127.0.0.1:80:1", "80:2", True),
        ("127.0.0.1:80:1", "0.0.0.0:80:2", True),
        ("127.0.0.1:80:1", "127.0.0.1:80:2", True),
        ("127.0.0.1:80:1", "127.0.0.2:80:2", False),
        ("[::1]:80:1", "[0:0:0:0:0:0:0:1]:80:2", True),
        ("[::1]:80:1", "127.0.0.1:80:2", False),
        ("80-82:1-3", "82:9", True),
        ("80-82:1", "82:9", False),
        ("80", "80", False),
    ],
)
def test_host_ports_clash_by_number_protocol_and_address(tmp_path: Path, one: str, other: str, clash: bool) -> None:
    text = f"services:\n  a: {{image: a, ports: ['{one}']}}\n  b: {{image: b, ports: ['{other}']}}\n"
    assert bool(_findings(tmp_path, text, "port_clash")) is clash


def test_a_service_of_an_inactive_profile_clashes_with_nothing(tmp_path: Path) -> None:
    text = "services:\n  a: {image: a, ports: ['80:1']}\n  b: {image: b, ports: ['80:1'], profiles: [off]}\n"
    assert not _findings(tmp_path, text, "port_clash")


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
def test_a_tag_is_pinned_when_it_names_one_release(tmp_path: Path, image: str, pinned: bool) -> None:
    found = _findings(tmp_path, f"services:\n  a: {{image: '{image}'}}\n", "unpinned_tag")
    assert (not found) is pinned


def test_an_image_reference_is_split_at_the_right_colons() -> None:
    assert split_image("host:5000/a/b:tag@sha256:x") == ("host:5000/a/b", "tag", "sha256:x")
    assert split_image("host:5000/a") == ("host:5000/a", "", "")


@pytest.mark.parametrize(
    ("image", "test", "tools"),
    [
        ("nats:2.10.1", "[CMD, wget, x]", []),
        ("nats:2.10.1", "[CMD, curl, x]", ["curl"]),
        ("questdb/questdb:9.0.0", "[CMD, bash, -c, 'curl -f x || exit 1']", ["curl"]),
        ("questdb/questdb:9.0.0", "[CMD, bash, -c, 'exec 3<>/dev/tcp/127.0.0.1/9003']", []),
        ("mirror.example:5000/openpolicyagent/opa:1.0.0", "wget x", ["wget", "sh"]),
        ("openpolicyagent/opa:1.0.0", "[CMD, /opa, eval, 'curl']", []),
        ("opensearchproject/opensearch:2.19.1", "test $$(wget -q x) = y", ["wget"]),
        ("clickhouse/clickhouse-server:24.9.3", "wget -q x && ! curl y", ["curl"]),
        ("someone/else:1.0.0", "curl x", []),
    ],
)
def test_a_health_check_tool_that_the_image_lacks_is_found(
    tmp_path: Path, image: str, test: str, tools: list[str]
) -> None:
    found = _findings(
        tmp_path, f"services:\n  a: {{image: '{image}', healthcheck: {{test: {test}}}}}\n", "healthcheck_tool"
    )
    assert [row["message"].split("calls ")[1].split(",")[0] for row in found] == tools
