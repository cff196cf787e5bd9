"""What differs between a definition and a container is named, and nothing else is."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible.module_utils.core import drift

WANT = drift.Declared(
    image="valkey:8",
    image_id="sha256:1",
    compose_hash="c1",
    config_hash="f1",
    networks=frozenset({"trade2026-backend"}),
    memory=3 * 2**30,
    nano_cpus=2_000_000_000,
    pids=512,
)
HAVE = drift.Running(
    image="valkey:8",
    image_id="sha256:1",
    status="running",
    health="healthy",
    started_at="2026-01-01T00:00:00Z",
    labels={drift.CONFIG_HASH_LABEL: "f1", drift.COMPOSE_HASH_LABEL: "c1"},
    networks=frozenset({"trade2026-backend"}),
    memory=3 * 2**30,
    nano_cpus=2_000_000_000,
    pids=512,
)


def names(want: drift.Declared, have: drift.Running | None) -> list[str]:
    return [row["what"] for row in drift.compare(want, have)]


def test_no_difference_no_drift() -> None:
    assert drift.compare(WANT, HAVE) == []


def test_a_container_that_is_starting_is_no_drift() -> None:
    assert drift.compare(WANT, replace(HAVE, health="starting")) == []


def test_an_absent_container() -> None:
    assert drift.compare(WANT, None) == [{"what": "container", "current": "absent", "desired": "running"}]


@pytest.mark.parametrize(
    ("have", "what", "recreate"),
    [
        (replace(HAVE, status="exited"), "state", False),
        (replace(HAVE, status="exited", health="unhealthy"), "state", False),
        (replace(HAVE, status="paused"), "state", False),
        (replace(HAVE, health="unhealthy"), "health", True),
        (replace(HAVE, image="valkey:7"), "image", False),
        (replace(HAVE, image_id="sha256:0"), "image content", True),
        (replace(HAVE, labels={**HAVE.labels, drift.CONFIG_HASH_LABEL: "f0"}), "configuration files", False),
        (replace(HAVE, labels={**HAVE.labels, drift.COMPOSE_HASH_LABEL: "c0"}), "Compose definition", False),
        (replace(HAVE, networks=frozenset()), "networks", True),
        (replace(HAVE, memory=1), "memory limit (bytes)", False),
        (replace(HAVE, nano_cpus=0), "processor limit", False),
        (replace(HAVE, pids=1), "process limit", False),
    ],
)
def test_each_difference_has_a_name_and_says_whether_compose_would_see_it(
    have: drift.Running, what: str, recreate: bool
) -> None:
    rows = drift.compare(WANT, have)
    assert [row["what"] for row in rows] == [what]
    assert drift.recreates(rows) is recreate


def test_a_file_edited_on_the_disk_makes_the_container_anew_once() -> None:
    rows = drift.compare(WANT, HAVE, ["/srv/a.rego"])
    assert [row["what"] for row in rows] == [drift.EDITED_FILES]
    assert drift.recreates(rows)
    changed = replace(HAVE, labels={**HAVE.labels, drift.CONFIG_HASH_LABEL: "f0"})
    assert [row["what"] for row in drift.compare(WANT, changed, ["/srv/a.rego"])] == [drift.CONFIG_FILES]


def test_an_explained_difference_is_not_told_twice() -> None:
    have = replace(HAVE, labels={drift.CONFIG_HASH_LABEL: "f0", drift.COMPOSE_HASH_LABEL: "c0"})
    assert names(WANT, have) == ["configuration files"]


def test_a_stopped_container_with_another_definition_tells_both() -> None:
    have = replace(HAVE, status="exited", labels={**HAVE.labels, drift.COMPOSE_HASH_LABEL: "c0"})
    assert names(WANT, have) == ["state", "Compose definition"]


def test_a_definition_is_read_with_the_networks_real_names() -> None:
    service = {
        "image": "x",
        "networks": ["backend"],
        "mem_limit": "1g",
        "cpus": 1.5,
        "pids_limit": 10,
        "labels": {drift.CONFIG_HASH_LABEL: "h"},
    }
    read = drift.declared(service, {"backend": {"name": "trade2026-backend"}}, "sha256:9", "c")
    assert read.networks == frozenset({"trade2026-backend"})
    assert (read.memory, read.nano_cpus, read.pids, read.config_hash) == (2**30, 1_500_000_000, 10, "h")
