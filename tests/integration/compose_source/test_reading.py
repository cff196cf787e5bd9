# SPDX-License-Identifier: GPL-3.0-or-later
"""What `trade_source_info` returns: values and findings, but no secrets and nothing of its own environment."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.compose_source.compose import SourceError
from ansible.module_utils.compose_source.report import read

ROOT = Path(__file__).resolve().parents[3]
MASK = "*" * 8

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
    networks: [backend]
    environment:
      UNSET: "x${NOWHERE}"
      CLICKHOUSE_PASSWORD: hunter2-click
      OTHER: "prefix hunter2-click suffix"
    healthcheck: {<<: *check, test: ["CMD-SHELL", "curl -f -u x:hunter2-click http://127.0.0.1:8123/ping || exit 1"]}
  app:
    build: {context: ./trading/apps/app, args: {API_TOKEN: build-secret-1}}
    image: localhost/app:latest
    command: ["serve", "--password=cli-secret-9", "postgres://bob:url-secret-7@db/x"]
    env_file: app.env
    environment:
      DB_PASSWORD: ${DB_PASSWORD}
      DEFAULTED_SECRET: ${NOPE:-default-secret-3}
      SECRET_FILE: /run/secrets/x
      TOKEN_TTL: "3600"
      EMPTY_PASSWORD: ""
    volumes: ["data:/data", "D:/elsewhere:/e", "/mnt/c/trade2025/trading/x:/x", "~/mine:/m"]
    networks: [backend]
    depends_on: [clickhouse]
    links: [questdb]
networks:
  backend: {external: {name: trade2025-backend}}
volumes: {data: {}}
"""

ENV_FILES = {".env": "DB_PASSWORD=from-env-file-5\n", "app.env": "OWN_TOKEN=from-app-env-6\n"}


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    root = tmp_path_factory.mktemp("tree")
    (root / "docker-compose.core.yml").write_text(CORE)
    for name, text in ENV_FILES.items():
        (root / name).write_text(text)
    return read(str(root), ["docker-compose.core.yml"], ["C:/trade2025"], [], {})


@pytest.mark.parametrize(
    ("kind", "service", "line", "words"),
    [
        ("obsolete_key", "", 1, "`version`"),
        ("obsolete_key", "", 38, "external: true"),
        ("obsolete_key", "app", 36, "`links`"),
        ("unset_variable", "", 18, "NOWHERE"),
        ("unset_variable", "", 33, "HOME"),
        ("port_clash", "clickhouse", 14, "9000/tcp for 9000 is also published by questdb (docker-compose.core.yml:6)"),
        ("unpinned_tag", "questdb", 5, "`latest`"),
        ("unpinned_tag", "clickhouse", 11, "24.9 line"),
        ("healthcheck_tool", "questdb", 9, "calls wget"),
        ("healthcheck_address", "questdb", 9, "127.0.0.1"),
        ("healthcheck_tool", "clickhouse", 21, "calls curl"),
        ("no_healthcheck", "app", 23, "not defined"),
        ("literal_secret", "clickhouse", 19, "CLICKHOUSE_PASSWORD"),
        ("literal_secret", "clickhouse", 21, "`test`"),
        ("literal_secret", "app", 23, "API_TOKEN"),
        ("literal_secret", "app", 25, "`command`"),
        ("literal_secret", "app", 29, "DEFAULTED_SECRET"),
        ("mount_outside", "clickhouse", 15, "root on the machine"),
        ("mount_outside", "app", 33, "D:/elsewhere"),
        ("mount_outside", "app", 33, "~/mine"),
    ],
)
def test_a_finding_names_service_kind_place_and_remedy(
    result: dict[str, Any], kind: str, service: str, line: int, words: str
) -> None:
    where = f"docker-compose.core.yml:{line}"
    same_kind = [row for row in result["findings"] if (row["kind"], row["service"]) == (kind, service)]
    assert [row for row in same_kind if words in row["message"] and row["where"] == where], same_kind


def test_nothing_else_is_found(result: dict[str, Any]) -> None:
    assert result["summary"] == {
        "healthcheck_address": 1,
        "healthcheck_tool": 2,
        "literal_secret": 5,
        "mount_outside": 3,
        "no_healthcheck": 1,
        "obsolete_key": 3,
        "port_clash": 1,
        "unpinned_tag": 2,
        "unset_variable": 2,
    }


@pytest.mark.parametrize(
    "secret",
    [
        *("hunter2-click", "build-secret-1", "cli-secret-9", "url-secret-7", "default-secret-3"),
        *("from-env-file-5", "from-app-env-6"),
    ],
)
def test_no_secret_is_returned_anywhere(result: dict[str, Any], secret: str) -> None:
    assert secret in CORE + ENV_FILES[".env"] + ENV_FILES["app.env"]
    assert secret not in json.dumps(result)


def test_what_is_not_secret_is_returned(result: dict[str, Any]) -> None:
    environment = result["services"]["app"]["environment"]
    assert environment["SECRET_FILE"] == "/run/secrets/x"
    assert environment["TOKEN_TTL"] == "3600"
    assert environment["OWN_TOKEN"] == MASK
    assert result["services"]["clickhouse"]["environment"]["OTHER"] == f"prefix {MASK} suffix"


def test_mounts_say_whether_they_are_in_the_tree(result: dict[str, Any]) -> None:
    volumes = result["services"]["app"]["volumes"] + result["services"]["clickhouse"]["volumes"]
    assert {volume["source"]: volume["in_tree"] for volume in volumes} == {
        "data": False,
        "D:/elsewhere": False,
        "/mnt/c/trade2025/trading/x": True,
        "~/mine": False,
        "C:\\Trade2025\\trading\\clickhouse": True,
        "/var/run/docker.sock": False,
    }


# --- values ----------------------------------------------------------------------------------------------------------


def _services(root: Path, text: str, **files: str) -> dict[str, Any]:
    (root / "c.yml").write_text(text, encoding="utf-8")
    for name, content in files.items():
        (root / name.replace("_env", ".env")).write_text(content, encoding="utf-8")
    services: dict[str, Any] = read(str(root), ["c.yml"], [], [], {"COMPOSE_PROJECT_NAME": "core"})["services"]
    return services


@pytest.mark.parametrize(
    ("setting", "written", "value"),
    [
        ("container_name", "'${COMPOSE_PROJECT_NAME}-a'", "core-a"),
        ("command", "'x $$HOME \"y z\"'", ["x", "$HOME", "y z"]),
        ("command", "[x, '$$y', 'a && b', 'c\\d']", ["x", "$y", "a && b", "c\\d"]),
        ("environment", "{A: 1.50, B: true, C: 0x1F}", {"A": "1.5", "B": "true", "C": "31"}),
        ("environment", "{2FA_X: '1', GRÖSSE: '2'}", {"2FA_X": "1", "GRÖSSE": "2"}),
        ("depends_on", "[b]", ["b"]),
    ],
)
def test_a_value_is_what_compose_uses(tmp_path: Path, setting: str, written: str, value: object) -> None:
    services = _services(tmp_path, f"services:\n  a: {{image: a, {setting}: {written}}}\n  b: {{image: b}}\n")
    assert services["a"][setting] == value


def test_build_arguments_without_values_take_those_of_the_environment(tmp_path: Path) -> None:
    text = "services: {a: {build: {context: ., args: [A, COMPOSE_PROJECT_NAME, B=1]}}}\n"
    arguments = _services(tmp_path, text)["a"]["build"]["args"]
    assert arguments.get("A") is None
    assert {**arguments, "A": None} == {"A": None, "B": "1", "COMPOSE_PROJECT_NAME": "core"}


def test_a_dependency_that_a_link_implies_is_listed(tmp_path: Path) -> None:
    services = _services(tmp_path, "services: {a: {image: a, links: [b]}, b: {image: b}}\n")
    assert services["a"]["depends_on"] == ["b"]


def test_an_anchor_that_is_defined_twice_has_its_places(tmp_path: Path) -> None:
    text = "x-a: &x {A: '1'}\nx-b: &x {A: '2'}\nservices:\n  a: {image: a:1.0.0, environment: *x}\n"
    services = _services(tmp_path, text)
    assert services["a"]["environment"] == {"A": "2"}
    assert services["a"]["where"] == "c.yml:4"


def test_services_of_every_profile_are_returned(tmp_path: Path) -> None:
    services = _services(tmp_path, "services:\n  a: {image: a}\n  b: {image: b, profiles: [p], networks: [none]}\n")
    assert {name: service["active"] for name, service in services.items()} == {"a": True, "b": False}


def test_an_inactive_service_that_compose_cannot_read_is_a_finding(tmp_path: Path) -> None:
    (tmp_path / "c.yml").write_text(
        "services:\n  a: {image: a}\n  b: {image: b, profiles: [p], env_file: gone.env}\n", encoding="utf-8"
    )
    result = read(str(tmp_path), ["c.yml"], [], [], {})
    assert list(result["services"]) == ["a"]
    assert [row["kind"] for row in result["findings"] if "gone.env" in row["message"]] == ["not_read"]


# --- secrets ---------------------------------------------------------------------------------------------------------

SAME_AS_A_NAME = """\
services:
  clickhouse:
    image: clickhouse/clickhouse-server:24.9.3
    container_name: clickhouse
    volumes: ["C:/trade2025/trading/clickhouse:/var/lib/clickhouse"]
    networks: [backend]
    environment: {CLICKHOUSE_PASSWORD: clickhouse, URL: 'http://u:clickhouse@clickhouse:8123/'}
    command: [serve, --password, clickhouse]
    healthcheck: {test: "clickhouse-client --password clickhouse --query 'SELECT 1'"}
  app:
    image: app:1.0.0
    depends_on: [clickhouse]
    networks: [backend]
    environment: {UPSTREAM: "http://clickhouse:8123/"}
    healthcheck: {test: [NONE]}
networks: {backend: {name: trade2025-backend}}
"""


def test_a_password_that_equals_a_name_leaves_the_names_readable(tmp_path: Path) -> None:
    (tmp_path / "c.yml").write_text(SAME_AS_A_NAME, encoding="utf-8")
    result = read(str(tmp_path), ["c.yml"], ["C:/trade2025"], [], {})
    clickhouse, app = result["services"]["clickhouse"], result["services"]["app"]
    assert clickhouse["image"] == "clickhouse/clickhouse-server:24.9.3"
    assert clickhouse["container_name"] == "clickhouse"
    assert clickhouse["volumes"][0]["source"] == "C:/trade2025/trading/clickhouse"
    assert clickhouse["volumes"][0]["target"] == "/var/lib/clickhouse"
    assert app["depends_on"] == ["clickhouse"]
    assert app["environment"] == {"UPSTREAM": "http://clickhouse:8123/"}
    assert any(line.startswith("clickhouse: clickhouse/clickhouse-server:24.9.3") for line in result["report"])
    assert clickhouse["environment"] == {"CLICKHOUSE_PASSWORD": MASK, "URL": f"http://u:{MASK}@clickhouse:8123/"}
    assert clickhouse["command"] == ["serve", "--password", MASK]
    assert clickhouse["healthcheck"]["test"][1] == f"clickhouse-client --password {MASK} --query 'SELECT 1'"


def test_a_secret_that_a_variable_brings_into_a_name_is_hidden(tmp_path: Path) -> None:
    text = (
        "services:\n  a:\n    image: 'r.example/${API_TOKEN}/x:1.0.0'\n    volumes: ['./${API_TOKEN}:/x']\n"
        "    labels: {url: 'http://h/?q=${API_TOKEN}'}\n    container_name: 'x-${API_TOKEN}'\n"
    )
    (tmp_path / "c.yml").write_text(text, encoding="utf-8")
    (tmp_path / ".env").write_text("API_TOKEN=hunter2-brought\n", encoding="utf-8")
    result = read(str(tmp_path), ["c.yml"], [], [], {})
    assert result["services"]["a"]["image"] == f"r.example/{MASK}/x:1.0.0"
    assert "hunter2" not in json.dumps(result)


@pytest.mark.parametrize(
    ("text", "env"),
    [
        ("services:\n  a: {image: x, environment: {DB_PASSWORD: 'hunter2-secret${'}}\n", ""),
        ("services:\n  a: {image: x, ports: ['${DB_PASSWORD}:80']}\n", "DB_PASSWORD=hunter2-secret\n"),
        ("services:\n  a: {image: x, ports: ['hunter2-secret:80'], environment: ['API_KEY=hunter2-secret']}\n", ""),
        ("services:\n  a: {image: x}\n", "A=1\nwrong line\nDB_PASSWORD=hunter2-secret\n"),
        ("services:\n  a: {image: x}\n", "hunter2-secret is no name=1\n"),
        ("services:\n  a:\n    image: x\n    environment: {DB_PASSWORD: hunter2-secret, A: [}\n", ""),
        ("services: hunter2-secret\nx: &hunter2-secret [\n", ""),
        ("services:\n  a: {image: x, depends_on: ['http://u:hunter2-secret@h']}\n", ""),
    ],
)
def test_no_secret_is_in_a_refusal(tmp_path: Path, text: str, env: str) -> None:
    (tmp_path / "c.yml").write_text(text, encoding="utf-8")
    (tmp_path / ".env").write_text(env, encoding="utf-8")
    with pytest.raises(SourceError) as caught:
        read(str(tmp_path), ["c.yml"], [], [], {})
    assert "Docker Compose refuses the project" in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("${PW}", False),
        ("$PW", False),
        ("${PW:?set it}", False),
        ("${PW-}", False),
        ("${PW:-hunter2-default}", True),
        ("${PW:-${OTHER:-hunter2-deep}}", True),
        ("hunter2-$$x", True),
        ("${PW:?set it}hunter2-tail", True),
    ],
)
def test_a_secret_is_literal_if_the_file_itself_has_it(tmp_path: Path, value: str, found: bool) -> None:
    (tmp_path / "c.yml").write_text(
        f"services:\n  a: {{image: x, environment: ['DB_PASSWORD={value}']}}\n", encoding="utf-8"
    )
    (tmp_path / ".env").write_text("PW=hunter2-env\n", encoding="utf-8")
    result = read(str(tmp_path), ["c.yml"], [], [], {})
    assert (result["summary"].get("literal_secret") == 1) is found
    assert "hunter2" not in json.dumps(result)


# --- surroundings ----------------------------------------------------------------------------------------------------


def test_nothing_of_the_modules_own_environment_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TAG", "COMPOSE_PROJECT_NAME", "COMPOSE_PROFILES", "COMPOSE_FILE"):
        monkeypatch.setenv(name, "leaked")
    settings = "environment: [HOME, PATH, TAG], labels: {h: '${HOME-}${PATH-}${PWD-}'}"
    text = f"services:\n  a: {{image: 'a:${{TAG-none}}', {settings}}}\n"
    (tmp_path / "c.yml").write_text(text, encoding="utf-8")
    result = read(str(tmp_path), ["c.yml"], [], [], {})
    service = result["services"]["a"]
    assert service["image"] == "a:none"
    assert service["environment"] == {"HOME": None, "PATH": None, "TAG": None}
    assert service["labels"] == {"h": ""}
    assert "leaked" not in json.dumps(result)


@pytest.mark.parametrize("gone", [(), ("HOME",), ("HOME", "DOCKER_CONFIG", "PATH")])
def test_it_needs_no_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gone: tuple[str, ...]) -> None:
    docker = shutil.which("docker")
    assert docker is not None
    for name in gone:
        monkeypatch.delenv(name, raising=False)
    if "PATH" in gone:
        monkeypatch.setenv("PATH", str(Path(docker).parent))
    assert _services(tmp_path, "services: {a: {image: x}}\n")["a"]["image"] == "x"


def _hashes(root: Path) -> dict[str, tuple[str, int]]:
    return {
        str(path.relative_to(root)): (
            hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder",
            path.lstat().st_mtime_ns,
        )
        for path in [root, *sorted(root.rglob("*"))]
    }


def _as_nobody(work: Callable[[], str]) -> str:
    """The result of `work` in a process of a user without rights and without HOME."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.environ.pop("HOME", None)
        if os.geteuid() == 0:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
        try:
            os.write(writer, work().encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        answer = pipe.read()
    os.waitpid(child, 0)
    return answer


def test_a_user_without_rights_reads_the_sample_tree_and_changes_nothing() -> None:
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        Path(folder).chmod(0o755)
        root = Path(folder, "trade2025")
        shutil.copytree(ROOT / "examples/trade2025", root, symlinks=True)
        before = _hashes(root)
        answer = _as_nobody(
            lambda: str(len(read(str(root), ["docker-compose.core.yml"], ["C:/trade2025"], [], {})["services"]))
        )
        assert answer == "8"
        assert _hashes(root) == before
