# SPDX-License-Identifier: GPL-3.0-or-later
"""The module `core_backup` as its action plugin calls it: the plan, and the backup of one service."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import core_backup
import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.deployment.journal import Journal, this_run
from ansible.module_utils.restore import backups
from ansible.module_utils.testing import patch_module_args
from restore_case import PROJECT, Service

Call = Callable[..., dict[str, Any]]
DUMP = "data/valkey/dump.rdb"


@pytest.fixture
def service(tmp_path: Path) -> Service:
    service = Service(tmp_path)
    service.write(DUMP, "dump")
    service.prove()
    return service


@pytest.fixture
def call(service: Service, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    monkeypatch.setattr(AnsibleModule, "run_command", lambda _self, command, **_more: service.engine.run(command))

    def call(check_mode: bool = False, **changes: Any) -> dict[str, Any]:
        arguments = {
            "root": str(service.root),
            "backups_dir": str(service.backups_dir),
            "project": PROJECT,
            "services": [asdict(replace(service.subject, version=""))],
            "_ansible_check_mode": check_mode,
            **changes,
        }
        with patch_module_args(arguments), pytest.raises(SystemExit):
            core_backup.main()
        answer: dict[str, Any] = json.loads(capsys.readouterr().out)
        return answer

    return call


def begin(call: Call) -> dict[str, Any]:
    return call(begin=vars(this_run("r1", "ada", 1)))


def status(service: Service) -> str:
    assert service.engine.container
    return str(service.engine.container["State"]["Status"])


def acts(service: Service) -> list[str]:
    return [words[1] for words in service.engine.commands if words[0] == "container" and words[1] != "inspect"]


def test_planning_changes_nothing_and_returns_the_size(service: Service, call: Call) -> None:
    for check_mode in (True, False):
        answer = call(check_mode)
        (row,) = answer["operations"]
        assert (row["service"], row["what"], row["restarts"]) == ("valkey", "backup 1", True)
        assert row["current"] == "4 B in 1 file, running"
        assert answer["problems"] == []
    assert acts(service) == []
    assert not service.backups_dir.exists()


def test_a_running_service_is_stopped_backed_up_and_started(service: Service, call: Call) -> None:
    assert begin(call)["operations"]
    answer = call(run="r1")
    assert answer["changed"]
    assert answer["started"]
    assert answer["backup"]["number"] == 1
    assert answer["probe"]["name"] == "valkey"
    assert acts(service) == ["stop", "start"]
    assert status(service) == "running"
    backup = service.backups.read(1)
    assert (backup.version, backup.image_id) == ("8.1.8", "sha256:old")
    assert (backup.run, backup.who) == ("r1", f"ada@{os.uname().nodename}")
    assert Journal(service.root).finish("r1") == []


def test_a_stopped_service_stays_stopped(service: Service, call: Call) -> None:
    begin(call)
    service.engine.start(Status="exited")
    answer = call(run="r1")
    assert answer["backup"]["number"] == 1
    assert not answer["started"]
    assert acts(service) == []
    assert status(service) == "exited"


def test_a_service_without_a_container_is_backed_up_without_a_version(service: Service, call: Call) -> None:
    begin(call)
    service.engine.container = None
    assert call(run="r1")["backup"]["number"] == 1
    assert service.backups.read(1).version == ""


@pytest.mark.parametrize("failure", ["disk", "interruption"])
def test_the_service_is_started_again_if_the_copy_fails(
    service: Service, call: Call, monkeypatch: pytest.MonkeyPatch, failure: str
) -> None:
    begin(call)

    def fail(*_arguments: Any) -> None:
        assert status(service) == "exited"
        if failure == "interruption":
            core_backup.interrupted(15, None)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/backups/data.tar.zst")

    monkeypatch.setattr(backups.archive, "pack", fail)
    if failure == "disk":
        answer = call(run="r1")
        assert answer["failed"]
        assert "/backups/data.tar.zst: No space left on device; free some space there" in answer["msg"]
        assert answer["started"]
    else:
        with pytest.raises(json.JSONDecodeError):
            call(run="r1")
    assert status(service) == "running"
    assert service.backups.numbers() == []


def test_a_container_that_does_not_start_again_is_named_with_what_to_do(
    service: Service, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(call)
    answer = service.engine.run

    def refuse_to_start(command: list[str], **more: Any) -> tuple[int, str, str]:
        return (1, "", "port is already allocated") if "start" in command else answer(command, **more)

    monkeypatch.setattr(service.engine, "run", refuse_to_start)
    failed = call(run="r1")
    assert (
        "valkey could not be started again: port is already allocated. Do: ansible-playbook core.yml" in failed["msg"]
    )
    # The backup itself is whole.
    assert service.backups.read(1).files == 1


def test_too_little_space_is_noticed_before_the_service_is_stopped(
    service: Service, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(call)
    monkeypatch.setattr(backups.shutil, "disk_usage", lambda _path: type("usage", (), {"free": 100}))
    looked = call()
    assert looked["operations"] == []
    assert "100 B are free" in looked["problems"][0]
    assert "100 B are free" in call(run="r1")["msg"]
    assert acts(service) == []


def test_without_the_lock_nothing_is_stopped(service: Service, call: Call) -> None:
    begin(call)
    assert "this run has lost its lock" in call(run="r2")["msg"]
    assert acts(service) == []
    refused = call(begin=vars(this_run("r2", "eve", 1)))
    assert refused["locked"]["run"] == "r1"


def test_a_container_of_another_project_is_not_touched(service: Service, call: Call) -> None:
    assert service.engine.container
    service.engine.container["Config"]["Labels"] = {}
    assert "belongs to no Compose project" in call()["problems"][0]


def test_a_service_without_data_is_skipped(service: Service, call: Call) -> None:
    without = asdict(replace(service.subject, data=()))
    assert call(services=[without])["left_out"] == {"valkey": "it keeps no data"}
    (service.root / DUMP).unlink()
    assert call()["left_out"] == {"valkey": "data/valkey holds no file"}


def test_older_backups_are_removed_after_the_new_one(service: Service, call: Call) -> None:
    service.back_up()
    begin(call)
    assert call(run="r1", keep=1)["pruned"] == [1]
    assert service.backups.numbers() == [2]
