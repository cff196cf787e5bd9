"""Who uses the data is found, whatever name they know it by; others are let be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.data_copy.users import Places, container_uses, open_file_users, running_users
from ansible.module_utils.shared.docker import Docker

PLACES = Places(["/mnt/c/trade2025", "C:/trade2025"], ["trade2025-backend"], "/srv/trade2026", "trade2026-core")


def _container(**more: Any) -> dict[str, Any]:
    return {
        "Name": f"/{more.get('name', 'x')}",
        "Config": {"Labels": more.get("labels")},
        "Mounts": [{"Type": kind, "Source": source} for kind, source in more.get("mounts", [])],
        "NetworkSettings": {"Networks": {name: {} for name in more.get("networks", [])}},
    }


@pytest.mark.parametrize(
    ("container", "reason"),
    [
        (
            _container(mounts=[("bind", "/mnt/c/trade2025/trading/nats")]),
            "mounts /mnt/c/trade2025/trading/nats of Trade2025",
        ),
        (_container(mounts=[("bind", "C:\\Trade2025\\trading\\nats")]), "of Trade2025"),
        (_container(mounts=[("bind", "/run/desktop/mnt/host/c/trade2025/x")]), "of Trade2025"),
        (_container(mounts=[("bind", "/srv/trade2026/data/nats")]), "of Trade2026"),
        (_container(networks=["trade2025-backend"]), "network trade2025-backend"),
        (_container(labels={"com.docker.compose.project": "trade2026-core"}), "project trade2026-core"),
        (_container(labels={"com.docker.compose.project.working_dir": "C:\\trade2025"}), "was started from"),
        (_container(), ""),
        (_container(mounts=[("bind", "/mnt/c/trade2025x")]), ""),
        (_container(mounts=[("volume", "/mnt/c/trade2025/x")]), ""),
        (_container(mounts=[("bind", "/srv/trade2026/config/x")]), ""),
        (_container(networks=["trade2025-backend-v2", "bridge"], labels={"com.docker.compose.project": "web"}), ""),
    ],
)
def test_a_container_stands_in_the_way_by_mount_network_project_or_folder(
    container: dict[str, Any], reason: str
) -> None:
    why = container_uses(container, PLACES)
    assert (reason in why) if reason else not why


def test_the_running_containers_are_named() -> None:
    def run(command: list[str], **_: Any) -> tuple[int, str, str]:
        if command[1] == "ps":
            return 0, "1\n2\n", ""
        return 0, json.dumps([_container(name="nats", networks=["trade2025-backend"]), _container(name="web")]), ""

    assert running_users(Docker(run), PLACES) == [
        "container nats is running: it is on the network trade2025-backend of Trade2025"
    ]


def test_a_process_that_holds_a_file_open_is_found_by_the_file_not_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(b"x")
    (tmp_path / "other-name").hardlink_to(tmp_path / "data")
    proc = tmp_path / "proc"
    for number, target in (("41", "other-name"), ("42", "gone")):
        (proc / number / "fd").mkdir(parents=True)
        (proc / number / "comm").write_text("mydb\n")
        (proc / number / "fd/3").symlink_to(tmp_path / target)
    (proc / "self").mkdir()
    seen = (tmp_path / "data").stat()
    found = open_file_users([(seen.st_dev, seen.st_ino)], proc)
    assert found == ["process 41 (mydb) holds files of the data open"]
    assert open_file_users([], proc) == []
