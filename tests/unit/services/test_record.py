# SPDX-License-Identifier: GPL-3.0-or-later
"""The schema rejects invalid dictionaries; the record has everything that is derived from a valid one."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
from ansible.module_utils.services.record import IMAGE_VERSION, Record, Site, build_record, probes_for, resolve_path_map
from ansible.module_utils.services.schema import SchemaError, parse

SITE: dict[str, Any] = {
    "root": "/srv/trade2026",
    "root_in_files": "C:/Trade2026",
    "secrets_root": "/srv/trade2026/secrets",
    "project": "trade2026-core",
    "container_prefix": "t-",
    "bind_address": "0.0.0.0",
    # A string, as from `-e core_port_offset=100`.
    "port_offset": "100",
    "networks": {"backend": {"name": "trade2026-backend", "subnet": "172.21.0.0/16"}},
    "log_max_size": "10m",
    "log_max_files": "5",
    "ready_timeout_factor": "1.5",
    "probe_timeout_s": "5",
    "path_map": [
        {"from": "trading/store", "to": "data/store"},
        {"from": "D:/keys", "to": "C:/Trade2026/config/infrastructure/store"},
        {"from": "trading", "to": "."},
    ],
}
DEFINITION: dict[str, Any] = {
    "title": "Store",
    "image": {"official": "example/store:1.2.3", "recipe": "store"},
    "user": {"uid": "999", "gid": 1000},
    "networks": ["backend"],
    "ports": [{"name": "client", "host": "6379", "container": 6379}],
    "volumes": [
        {"kind": "data", "source": "data/store", "target": "/data"},
        {"kind": "config", "source": "config/infrastructure/store", "target": "/etc/store"},
        {"kind": "secret", "source": "store", "target": "/secrets"},
    ],
    "tmpfs": [{"path": "/tmp", "options": "size=64m"}],
    "config": [{"template": "config/store.conf.j2", "dest": "config/infrastructure/store/store.conf"}],
    "validate": {"command": ["store", "-t"], "tmpfs": [{"path": "/check"}]},
    "secrets": [{"path": "store/password", "kind": "password", "variable": "store_password"}],
    "healthcheck": {"test": ["CMD-SHELL", " ping "]},
    "limits": {"memory": "1.5g", "cpus": "2", "pids": "64"},
    "bounds": [
        {
            "setting": "store_memory",
            "value": "1g",
            "kind": "valkey_size",
            "max_setting": "store_memory_limit",
            "max": "1.5g",
            "max_kind": "compose_memory",
        }
    ],
    "unauthenticated": "no",
    "probes": [
        {"type": "tcp", "port": "client", "password_file": "store/password"},
        {"type": "store_version", "expect": {"version": IMAGE_VERSION}},
    ],
}


def changed(change: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    definition = copy.deepcopy(DEFINITION)
    change(definition)
    return definition


def record(**site: Any) -> Record:
    return build_record("sessions", DEFINITION, Site.of({**SITE, **site}), "store")


def faults(definition: dict[str, Any]) -> list[str]:
    with pytest.raises(SchemaError) as caught:
        build_record("store", definition, Site.of(SITE))
    return caught.value.faults


def test_what_is_named_after_the_service_follows_the_name_of_the_host() -> None:
    built = record()
    assert (built.name, built.role, built.container) == ("sessions", "store", "t-sessions")
    assert built.fragment == "infrastructure/docker/services/sessions.yml"
    assert built.fragment_path == f"/srv/trade2026/{built.fragment}"


def test_a_port_has_the_offset_and_an_address_that_a_client_can_use() -> None:
    (port,) = record().ports
    assert (port.host, port.container) == (6479, 6379)
    assert port.published == "0.0.0.0:6479:6379"
    assert port.address == "127.0.0.1:6479"
    assert record().address == "127.0.0.1"


def test_a_volume_below_the_root_is_relative_in_the_fragment_and_others_are_absolute() -> None:
    data, config, secret = record(secrets_root="/keys").volumes
    assert (data.path, data.fragment_source) == ("/srv/trade2026/data/store", "../../../data/store")
    assert (secret.path, secret.fragment_source) == ("/keys/store", "/keys/store")
    assert (data.read_only, config.read_only, secret.read_only) == (False, True, True)


def test_directories_and_files_have_their_owners() -> None:
    built = record()
    assert [(folder.path, folder.uid, folder.gid, folder.mode) for folder in built.directories] == [
        ("/srv/trade2026/data/store", 999, 1000, "0750"),
        ("/srv/trade2026/config/infrastructure/store", 0, 1000, "0750"),
    ]
    (file,) = built.files
    assert (file.dest, file.uid, file.gid, file.mode) == (
        "/srv/trade2026/config/infrastructure/store/store.conf",
        0,
        1000,
        "0640",
    )


def test_a_writable_configuration_folder_belongs_to_the_user() -> None:
    definition = changed(lambda keys: keys["volumes"][1].update(writable=True))
    built = build_record("store", definition, Site.of(SITE))
    assert built.directories[1].uid == 999
    assert not built.volumes[1].read_only


def test_the_validate_command_sees_configuration_and_secrets_but_no_data() -> None:
    validate = record().validate
    assert validate is not None
    assert [mount.kind for mount in validate.mounts] == ["config", "secret"]
    assert validate.tmpfs == ("/tmp:size=64m", "/check")
    assert (validate.user, validate.timeout_s) == ("999:1000", 60)


def test_bounds_are_compared_in_the_units_of_each_program() -> None:
    (bound,) = record().bounds
    # Valkey's g is 10^9, Compose's is 2^30.
    assert (bound.amount, bound.max_amount) == (10**9, 3 * 2**29)


def test_the_rows_of_the_path_map_that_lead_to_the_service() -> None:
    assert [(row.source, row.target) for row in record().path_map] == [
        ("trading/store", "data/store"),
        ("D:/keys", "config/infrastructure/store"),
    ]


def test_the_record_is_json_and_names_secrets_without_their_values() -> None:
    built = record().to_dict()
    assert json.loads(json.dumps(built)) == built
    assert built["secrets"] == [
        {
            "path": "store/password",
            "kind": "password",
            "gid": 1000,
            "variable": "store_password",
            "plain": "",
            "clients": [],
        }
    ]
    assert built["credentials"] == ["store/password"]
    assert built["limits"] == {"memory": "1.5g", "memory_bytes": 3 * 2**29, "cpus": 2, "pids": 64}
    assert built["ready_timeout_s"] == 90
    assert built["healthcheck"]["test"] == ["CMD-SHELL", "ping"]
    assert built["unauthenticated"] is False


def test_probes_get_the_version_of_the_image_once_it_is_known() -> None:
    assert probes_for(record().probes, "1.2.3-alpine")[1]["expect"] == {"version": "1.2.3"}
    assert probes_for(record().probes, "")[1]["expect"] == {"version": ""}


def test_a_path_map_of_relative_rows_is_resolved() -> None:
    assert resolve_path_map(SITE["path_map"], "C:/trade2025", "/srv/trade2026") == [
        {"from": "C:/trade2025/trading/store", "to": "/srv/trade2026/data/store"},
        {"from": "D:/keys", "to": "C:/Trade2026/config/infrastructure/store"},
        {"from": "C:/trade2025/trading", "to": "/srv/trade2026"},
    ]


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda keys: keys.update(tmpf=[]), "store_service.tmpf: unknown key; did you mean tmpfs?"),
        (
            lambda keys: keys["volumes"][0].update(kind="dat"),
            "store_service.volumes[0].kind: 'dat' is not one of data, config, secret",
        ),
        (
            lambda keys: keys.pop("limits"),
            "store_service.limits: missing; What the container may take.",
        ),
        (
            lambda keys: keys["limits"].update(memory="lots"),
            "store_service.limits.memory: 'lots' is not a memory limit; write a number with k, m or g, 6m or more",
        ),
        (
            lambda keys: keys["user"].update(uid=0),
            "store_service.user.uid: 0 is not a user id; write a number, 1 or more: 0 is root",
        ),
        (lambda keys: keys.update(ports="6379"), "store_service.ports: '6379' is not a list"),
        (
            lambda keys: keys["ports"].append(keys["ports"][0]),
            "store_service.ports: duplicate port name client",
        ),
        (
            lambda keys: keys["config"][0].update(dest="config/elsewhere/store.conf"),
            "store_service.config[0].dest: config/elsewhere/store.conf is not in a volume of kind config",
        ),
        (
            lambda keys: keys["probes"][0].update(port="clint"),
            "store_service.probes[0].port: 'clint' is not a port of the service; did you mean client?",
        ),
        (
            lambda keys: keys.update(networks=["backnd"]),
            "store_service.networks: 'backnd' is not in trade2026_networks; did you mean backend?",
        ),
        (
            lambda keys: keys["image"].pop("official"),
            "store_service.image: needs either `official` with `recipe`, or `build`",
        ),
        (
            lambda keys: keys["secrets"][0].update(kind="clients"),
            "store_service.secrets[0].plain: missing; kind clients needs it",
        ),
        (
            lambda keys: keys["bounds"][0].update(kind="valkey_sise"),
            "store_service.bounds[0].kind: 'valkey_sise' is not a kind of value; did you mean valkey_size?",
        ),
        (
            lambda keys: keys["volumes"][0].update(source="../data"),
            "store_service.volumes[0].source: '../data' is not a relative path; "
            "name a file or folder below the root, without ..",
        ),
    ],
)
def test_a_fault_is_named_with_its_place(change: Callable[[dict[str, Any]], Any], fault: str) -> None:
    assert fault in faults(changed(change))


def test_all_faults_are_reported_at_once() -> None:
    definition = changed(lambda keys: (keys.update(tmpf=[], probs=[]), keys["user"].update(uid="root")))
    assert len(faults(definition)) == 3


def test_a_port_above_the_highest_one_names_the_offset() -> None:
    with pytest.raises(SchemaError) as caught:
        build_record("nats", DEFINITION, Site.of({**SITE, "port_offset": 70000}), "store")
    assert caught.value.faults == [
        "core_port_offset: nats would publish port 76379, which is above 65535; choose a lower one"
    ]


def test_defaults_complete_a_short_dictionary() -> None:
    short = {key: DEFINITION[key] for key in ("title", "image", "user", "networks", "ports", "healthcheck", "limits")}
    parsed = parse({**short, "unauthenticated": True, "probes": []}, "store_service")
    assert parsed["healthcheck"]["retries"] == 3
    assert parsed["stop"] == {"signal": "SIGTERM", "grace_s": 10}
    assert parsed["volumes"] == []
    assert "validate" not in parsed
