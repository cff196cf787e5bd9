# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that uses the data is found, whatever path it uses; everything else is ignored."""

from __future__ import annotations

import json
import mmap
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.data_copy.in_use import Places, containers_using, processes_using, why_in_use
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
def test_a_container_blocks_by_its_mount_network_project_or_folder(container: dict[str, Any], reason: str) -> None:
    why = why_in_use(container, PLACES)
    assert (reason in why) if reason else not why


def test_the_running_containers_are_named() -> None:
    def run(command: list[str], **_: Any) -> tuple[int, str, str]:
        if command[1] == "ps":
            return 0, "1\n2\n", ""
        return 0, json.dumps([_container(name="nats", networks=["trade2025-backend"]), _container(name="web")]), ""

    assert containers_using(Docker(run), PLACES) == [
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
    found = processes_using([(seen.st_dev, seen.st_ino)], proc)
    assert found == ["process 41 (mydb) has files of the data open"]
    assert processes_using([], proc) == []


# By libc: Python's own mmap keeps a descriptor.
MAPS = """
import ctypes, sys
libc = ctypes.CDLL(None)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
with open(sys.argv[1], "r+b") as file:
    memory = libc.mmap(None, 4096, 3, 1, file.fileno(), 0)
print("mapped", flush=True)
sys.stdin.read()
ctypes.memmove(memory, b"new", 3)
"""


def test_a_process_that_mapped_a_file_and_closed_it_is_found(tmp_path: Path) -> None:
    file = tmp_path / "data"
    file.write_bytes(b"old" + bytes(mmap.PAGESIZE))
    (tmp_path / "other").write_bytes(bytes(mmap.PAGESIZE))
    inodes = {name: (tmp_path / name).stat() for name in ("data", "other")}
    wanted = {name: [(seen.st_dev, seen.st_ino)] for name, seen in inodes.items()}
    process = subprocess.Popen(
        [sys.executable, "-c", MAPS, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout
        assert process.stdout.readline() == "mapped\n"
        assert str(file) not in {os.fsdecode(fd.readlink()) for fd in Path(f"/proc/{process.pid}/fd").iterdir()}
        (found,) = processes_using(wanted["data"])
        assert found.startswith(f"process {process.pid} (")
        assert found.endswith("has files of the data mapped into its memory")
        assert processes_using(wanted["other"]) == []
    finally:
        process.communicate("")
    # It was written to anyway.
    assert file.read_bytes().startswith(b"new")


def test_a_mapping_whose_device_number_differs_is_found_by_its_path(tmp_path: Path) -> None:
    file, process = tmp_path / "data", tmp_path / "proc/41"
    file.write_bytes(b"x")
    seen = file.stat()
    for folder in ("fd", "map_files"):
        (process / folder).mkdir(parents=True)
    (process / "comm").write_text("mydb\n")
    (process / "maps").write_text(f"7f00-7f01 rw-s 00000000 00:ff {seen.st_ino}    /elsewhere/data\n")
    assert processes_using([(seen.st_dev, seen.st_ino)], tmp_path / "proc") == []
    (process / "map_files/7f00-7f01").symlink_to(file)
    assert len(processes_using([(seen.st_dev, seen.st_ino)], tmp_path / "proc")) == 1
