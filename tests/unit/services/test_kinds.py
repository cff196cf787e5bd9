# SPDX-License-Identifier: GPL-3.0-or-later
"""Every kind of value accepts what its program accepts, and reports everything else."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.module_utils.services.kinds import KINDS, KindError, fault, parse

NETWORKS = {
    "frontend": {"name": "front", "subnet": "10.1.0.0/16"},
    "lowlatency": {"name": "low", "subnet": "10.2.0.0/16"},
    "backend": {"name": "back", "subnet": "10.3.0.0/16"},
}

KEY = "-----BEGIN PUBLIC KEY-----\nMFkw\n-----END PUBLIC KEY-----"

# Kind → values that it accepts, each with the parsed value.
MEANING: dict[str, list[tuple[Any, Any]]] = {
    "any": [({"a": 1}, {"a": 1})],
    "text": [("a b", "a b"), ("", "")],
    "word": [("a b", "a b"), (True, "true"), (1024, "1024")],
    "command": [(["systemctl", "restart", "docker"], ["systemctl", "restart", "docker"]), (["wait", 5], ["wait", "5"])],
    "hooks": [
        ({"on_failure": ["mail", 1], "after_deploy": "a.yml"}, {"on_failure": ["mail", "1"], "after_deploy": "a.yml"})
    ],
    "image_signatures": [
        (
            {
                "nats": {"key": KEY},
                "a.b:5000/c:1": {"key": "awskms://k", "transparency_log": "no"},
                "*": {"unsigned": 1},
            },
            {
                "nats": {"key": KEY},
                "a.b:5000/c:1": {"key": "awskms://k", "transparency_log": False},
                "*": {"unsigned": True},
            },
        ),
        ({"*": {"identity": "^a", "issuer": "https://b"}}, {"*": {"identity": "^a", "issuer": "https://b"}}),
    ],
    "boolean": [(True, True), ("no", False), ("True", True), (0, False)],
    "port": [(1, 1), ("65535", 65535), (6379.0, 6379)],
    "port_or_0": [(0, 0), ("9327", 9327)],
    "port_offset": [(0, 0), ("15000", 15000)],
    "count": [(1, 1), ("4096", 4096)],
    "count_or_0": [(0, 0)],
    "user_id": [(1, 1), ("999", 999)],
    "bytes": [(1048576, 1048576)],
    "mebibytes": [(1, 1)],
    "mebibytes_or_0": [(0, 0)],
    "gibibytes": [(0, 0), ("0.5", 0.5)],
    "seconds": [(1, 1), ("60", 60)],
    "seconds_or_0": [(0, 0)],
    "delay": [(0, 0), (0.5, 0.5)],
    "days": [(14, 14)],
    "factor": [(0.5, 0.5), ("3", 3)],
    "share": [(0.3, 0.3), (1, 1)],
    "processors": [(0.5, 0.5), ("2", 2), (2.0, 2)],
    "batch": [(1, "1"), ("25%", "25%"), ("100%", "100%")],
    "compose_memory": [("6m", 6 * 2**20), ("1.5g", 3 * 2**29), ("2GB", 2**31), ("512MiB", 2**29)],
    "compose_size": [("10m", 10 * 2**20), ("500k", 500 * 1024), ("100", 100)],
    # valkey.conf: "1k => 1000 bytes, 1kb => 1024 bytes"
    "valkey_size": [("2gb", 2**31), ("1g", 10**9), ("3G", 3 * 10**9), ("100MB", 100 * 2**20), (1048576, 2**20)],
    "nats_size": [("1MB", 2**20), ("1m", 10**6), ("2GiB", 2**31), (1024, 1024)],
    "go_size": [("820MiB", 820 * 2**20), ("1GiB", 2**30), ("1048576", 2**20)],
    "jvm_size": [("512m", 2**29), ("2G", 2**31), ("2048k", 2**21)],
    "questdb_size": [("1g", 2**30), ("512M", 2**29)],
    "clickhouse_size": [("1GB", 2**30), ("2560MB", 2560 * 2**20), ("1GiB", 2**30)],
    "opensearch_size": [("50mb", 50 * 2**20), ("1g", 2**30)],
    "opensearch_share": [("85%", 85), ("10gb", 10 * 2**30)],
    "seaweedfs_free": [(5, 5), ("10", 10), ("50GiB", 50 * 2**30)],
    "nats_duration": [("10s", "10s"), ("1m30s", "1m30s"), ("500ms", "500ms")],
    "nats_sync_interval": [("10s", "10s"), ("2m", "2m"), ("always", "always")],
    "questdb_duration": [("1s", "1s"), ("60s", "60s"), ("500ms", "500ms")],
    "path": [("/srv/trade2026", "/srv/trade2026")],
    "paths": [([], []), (["/a"], ["/a"])],
    "path_in_files": [("C:/Trade2026", "C:/Trade2026"), ("/srv", "/srv"), ("D:\\x", "D:\\x")],
    "relative_path": [("data/valkey", "data/valkey")],
    "relative_paths": [(["docker-compose.core.yml"], ["docker-compose.core.yml"])],
    "path_map": [([{"from": "a", "to": "b"}], [{"from": "a", "to": "b"}])],
    "name": [("trade2026", "trade2026"), ("a-b.c_d", "a-b.c_d")],
    "identifier": [("trade2026", "trade2026"), ("_x", "_x")],
    "compose_project": [("trade2026-core", "trade2026-core")],
    "container_prefix": [("", ""), ("m-valkey-", "m-valkey-")],
    "secret": [("", ""), ("correct-horse", "correct-horse"), (12345678, "12345678")],
    "ipv4_address": [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "0.0.0.0")],
    "ip_networks": [(["::/0", "10.0.0.0/8"], ["::/0", "10.0.0.0/8"])],
    "host_port": [("127.0.0.1:8080", "127.0.0.1:8080"), ("files.example:80", "files.example:80")],
    "url": [("http://authn:8114/.well-known/jwks.json", "http://authn:8114/.well-known/jwks.json")],
    "url_or_empty": [("", ""), ("https://mirror.example/debian", "https://mirror.example/debian")],
    "claim": [("authn", "authn"), ("http://127.0.0.1:8114", "http://127.0.0.1:8114")],
    "image": [
        ("valkey/valkey:8.1.8-alpine", "valkey/valkey:8.1.8-alpine"),
        ("mirror.example:5000/hub/nats:2.10.29", "mirror.example:5000/hub/nats:2.10.29"),
        ("nats:2.10.29@sha256:" + "0" * 64, "nats:2.10.29@sha256:" + "0" * 64),
    ],
    "image_prefix": [
        ("", ""),
        ("mirror.example:5000/hub", "mirror.example:5000/hub"),
        ("mirror.example/", "mirror.example/"),
    ],
    "version": [("20.10.0", "20.10.0"), (28, "28")],
    "timezone": [("UTC", "UTC"), ("Europe/Berlin", "Europe/Berlin"), ("Etc/GMT+5", "Etc/GMT+5")],
    "names": [([], []), (["authn", "opa_authorizer"], ["authn", "opa_authorizer"])],
    "name_map": [({}, {}), ({"opa": "opa-server"}, {"opa": "opa-server"})],
    "budgets": [({}, {}), ({"valkey.get": "5"}, {"valkey.get": 5.0})],
    "folder_map": [({}, {}), ({"nats": "trading/nats"}, {"nats": "trading/nats"})],
    "environment": [({"TAG": 1}, {"TAG": "1"}), ({"EMPTY": ""}, {"EMPTY": ""})],
    "networks": [(NETWORKS, NETWORKS)],
    "s3_actions": [(["Admin", "Read:bucket"], ["Admin", "Read:bucket"])],
    "clients": [({"srv:oms": {"scopes": ["orders:submit"]}}, {"srv:oms": ["orders:submit"]})],
    "client_secrets": [({}, {}), ({"srv:oms": "correct-horse"}, {"srv:oms": "correct-horse"})],
    "index_patterns": [("true", "true"), ("+logs-*,-*", "+logs-*,-*")],
    "words": [("", ""), ("-XX:+UseZGC -Da=b", "-XX:+UseZGC -Da=b")],
    "rule_path": [("example/allow", "example/allow")],
}

# Kind → invalid values, most of them of the right type.
NONSENSE: dict[str, list[Any]] = {
    "command": ["systemctl restart docker", [], [""], [["a"]], {}, 5],
    "hooks": ["notify", [], {"before": ["true"]}, {"before_deploy": []}, {"on_failure": "notify"}, {"on_failure": {}}],
    "boolean": ["perhaps", "", 2, [], {}],
    "port": [0, -1, 65536, "many", "", "80 80", 1.5, True, [], {}],
    "port_or_0": [-1, 65536, "none", "", True],
    "port_offset": [-1, 1.5, "many", "", True],
    "count": [0, -1, "ten", "", 1.5, "1e3", "1_000", True, []],
    "count_or_0": [-1, "ten", "", 1.5, True],
    "user_id": [0, -1, "root", "", True],
    "bytes": [0, -1, "1m", "", True],
    "mebibytes": [0, -1, "1g", "", True],
    "mebibytes_or_0": [-1, "fast", "", True],
    "gibibytes": [-1, "5g", "", "nan", "inf", True],
    "seconds": [0, -1, "1m", "soon", "", 0.5, True],
    "seconds_or_0": [-1, "5s", "", True],
    "delay": [-1, "5s", "", "inf", True],
    "days": [0, -1, "two weeks", "", True],
    "factor": [0, -1, "much", "", "nan", True],
    "share": [0, -0.1, 1.1, "30%", "", "nan", True],
    "processors": [0, -1, "all", "", "inf", True],
    "batch": ["lots", "-3", 0, "0%", "101%", "", 1.5, True, []],
    "compose_memory": ["lots", "0", "512", "5m", "2 GBB", "-1g", "", "2x", True],
    "compose_size": ["ten", "0", "-1m", "10 MBB", "", True],
    "valkey_size": ["2 GBB", "2 gb", "1.5gb", "0", "-1gb", "gb", "2gib", "", "10%", True],
    "nats_size": ["1 MB", "1.5MB", "big", "0", "-1MB", "", True],
    "go_size": ["820mib", "820M", "820 MiB", "1.5GiB", "0", "", True],
    "jvm_size": ["512 m", "512mb", "1.5g", "1m", "0", "", "half", True],
    "questdb_size": ["1gb", "1 g", "0", "", "half", True],
    "clickhouse_size": ["1 GBB", "1.5GB", "0", "", "half", "10%", True],
    "opensearch_size": ["50", "50 mb", "1.5gb", "0mb", "", True],
    "opensearch_share": ["101%", "-1%", "85", "half", "", "10 gb", True],
    "seaweedfs_free": ["101", "-1", "half", "", "5%", "10 GBB", True],
    "nats_duration": ["10", "soon", "10 s", "1d", "-1s", "", True],
    "nats_sync_interval": ["10", "never", "10 s", "1d", "-1s", "", True],
    "questdb_duration": ["10", "soon", "1.5s", "10 s", "-1s", "", True],
    "path": ["srv/x", "", "C:/x", "/a\nb", True, []],
    "paths": ["/a", ["srv"], [""], {}],
    "path_in_files": ["srv/x", "", "trade2026", "C:x", True],
    "relative_path": ["/a", "../a", "a/../../b", "", "C:/x", True],
    "relative_paths": ["a.yml", ["/a.yml"], ["../a.yml"], [""], {}],
    "path_map": [[], {}, "a", ["a"], [{"from": "a"}], [{"from": "a", "to": "b", "by": "c"}], [{"from": "", "to": "b"}]],
    "name": ["no ! such", "", "a b", "-a", "a\nb", True, []],
    "identifier": ["no ! such", "", "1a", "a-b", "a.b", True],
    "compose_project": ["no ! such", "", "Upper", "-a", "a.b", True],
    "container_prefix": ["no ! such", "-a", "a/b", True],
    "secret": ["short", "with blank", 'with"quote', "with\\backslash", "line\nbreak-in-it", True, []],
    "ipv4_address": ["localhost", "", "256.0.0.1", "::1", "127.0.0.1:80", True],
    "ip_networks": ["10.0.0.0/8", ["10.0.0.0/33"], ["somewhere"], [""], {}],
    "host_port": ["localhost", "", ":8080", "a:0", "a:65536", "a b:1", "http://a:1", True],
    "url": ["authn:8114", "", "ftp://a/b", "http://", "http://a b", True],
    "url_or_empty": ["mirror", "ftp://a/b", "http://", True],
    "claim": ["two words", "", 'a"b', True],
    "image": [
        "no ! such",
        "",
        "valkey",
        "valkey/valkey",
        "valkey/valkey:latest",
        "Valkey:8",
        "valkey: 8",
        "valkey:8@sha256:0",
        True,
    ],
    "image_signatures": [
        "nats",
        {"nats": {}},
        {"Nats!": {"unsigned": True}},
        {"nats": {"key": "cosign.pub"}},
        {"nats": {"key": KEY, "identity": "a"}},
        {"nats": {"identity": "a"}},
        {"nats": {"unsigned": False}},
        {"nats": {"unsigned": True, "transparency_log": False}},
        {"nats": {"key": KEY, "tlog": False}},
        {"nats": {"key": KEY, "trusted_root": "root.json"}},
    ],
    "image_prefix": ["no ! such", "http://mirror.example", "-a", True],
    "version": ["newest", "", "v1", "1..2", True],
    "timezone": ["no ! such", "", "berlin", "UTC+", "Europe/", True],
    "names": ["authn", ["a b"], [""], {}, ["../a"]],
    "name_map": ["a", [], {"a": "b c"}, {"a b": "c"}, {"a": ""}],
    "budgets": ["a", [], {"valkey.get": 0}, {"valkey.get": "soon"}, {"a b": 5}],
    "folder_map": ["a", [], {"nats": "/abs"}, {"nats": "../x"}, {"a b": "c"}],
    "environment": ["a=b", [], {"a b": "c"}, {"1A": "c"}, {"A": []}],
    "networks": [
        {},
        [],
        "backend",
        {"backend": NETWORKS["backend"]},
        {**NETWORKS, "backend": {"name": "back"}},
        {**NETWORKS, "backend": {"name": "back", "subnet": "no"}},
        {**NETWORKS, "backend": {"name": "back", "subnet": "10.3.0.1/16"}},
        {**NETWORKS, "backend": {"name": "ba ck", "subnet": "10.3.0.0/16"}},
        {**NETWORKS, "backend": {"name": "front", "subnet": "10.3.0.0/16"}},
        {**NETWORKS, "backend": {"name": "back", "subnet": "10.1.2.0/24"}},
    ],
    "s3_actions": ["Admin", ["Everything"], ["admin"], [""], {}],
    "clients": ["srv", [], {"srv": []}, {"srv": {"scope": []}}, {"srv": {"scopes": "a"}}, {"a b": {"scopes": []}}],
    "client_secrets": ["srv", [], {"srv": "short"}, {"srv": "line\nbreak-in-it"}, {"a b": "correct-horse"}],
    "index_patterns": ["", "no ! such", "+", "Logs", []],
    "words": ["a\nb", "'a'", '"a"', "$(a)", "`a`", []],
    "rule_path": ["allow", "", "/a/b", "a/b/", "a.b", "a b/c", True],
}
# Every value of these is valid: a playbook or a role sets them, not a site.
NOT_FOR_SITES = {"any", "text", "word"}


def test_every_kind_has_examples() -> None:
    assert set(MEANING) == set(KINDS)
    assert set(NONSENSE) == set(KINDS) - NOT_FOR_SITES


@pytest.mark.parametrize(("kind", "value", "meaning"), [(kind, *pair) for kind in MEANING for pair in MEANING[kind]])
def test_a_value_of_its_kind_is_parsed(kind: str, value: Any, meaning: Any) -> None:
    assert parse(kind, "x", value) == meaning


@pytest.mark.parametrize(("kind", "value"), [(kind, value) for kind in NONSENSE for value in NONSENSE[kind]])
def test_an_invalid_value_is_reported(kind: str, value: Any) -> None:
    message = fault(kind, "some_variable", value)
    assert message.startswith("some_variable: ")
    assert f"is not {KINDS[kind].noun}" in message
    assert message.endswith(KINDS[kind].advice)


@pytest.mark.parametrize("kind", sorted(set(KINDS) - NOT_FOR_SITES))
def test_an_empty_value_is_not_a_value(kind: str) -> None:
    assert fault(kind, "x", None)


@pytest.mark.parametrize(
    ("kind", "value", "message"),
    [
        ("valkey_size", "2 GBB", "x: '2 GBB' is not a size; write a number with kb, mb or gb"),
        ("port", 70000, "x: 70000 is not a port; choose 1 to 65535"),
        ("compose_project", "no ! such", "x: 'no ! such' is not a Compose project name; use lower-case letters,"),
        (
            "image",
            "valkey/valkey:latest",
            "x: 'valkey/valkey:latest' is not an image reference (the tag latest moves); ",
        ),
        ("networks", {}, "x: {} is not a set of networks (without backend, frontend, lowlatency); "),
    ],
)
def test_a_message_says_what_is_wrong_and_what_to_do(kind: str, value: Any, message: str) -> None:
    assert fault(kind, "x", value).startswith(message)


def test_no_message_shows_a_secret() -> None:
    for kind, value in (("secret", "hunter2"), ("client_secrets", {"srv": "hunter2"})):
        with pytest.raises(KindError) as caught:
            parse(kind, "x_password", value)
        assert "hunter2" not in str(caught.value)
        assert "x_password" in str(caught.value)


def test_every_kind_of_size_takes_what_it_advises() -> None:
    sizes = [kind for kind in KINDS.values() if kind.name.endswith(("_size", "_memory"))]
    assert len(sizes) == 9
    for kind in sizes:
        for unit in kind.advice.removeprefix("write a number with ").replace(" or ", ", ").split(", ")[:3]:
            assert parse(kind.name, "x", f"8192{unit.split()[0]}") >= 8192 * 1024
