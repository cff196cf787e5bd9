# SPDX-License-Identifier: GPL-3.0-or-later
"""The module `core_restore` as Ansible calls it: listing, the lock, and the rollback of a service."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import core_restore
import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.deployment.journal import Journal, this_run
from ansible.module_utils.restore.points import is_half_moved
from ansible.module_utils.restore.record import Recorder
from ansible.module_utils.testing import patch_module_args
from restore_case import CONFIG, FRAGMENT, IMAGE, KEEP, PROJECT, Service

Call = Callable[..., dict[str, Any]]
FAILURE = "Valkey failed verification: it restarts in a loop. Likely cause: a. Do: b."


@pytest.fixture
def service(tmp_path: Path) -> Service:
    return Service(tmp_path)


@pytest.fixture
def restore(service: Service, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    monkeypatch.setattr(AnsibleModule, "run_command", lambda _self, command, **_more: service.engine.run(command))

    def call(state: str = "restored", check_mode: bool = False, **changes: Any) -> dict[str, Any]:
        arguments = {
            "root": str(service.root),
            "secrets_root": str(service.secrets),
            "project": PROJECT,
            "backups_dir": str(service.backups_dir),
            "state": state,
            "services": [
                {"name": "valkey", "container": "valkey", "files": [CONFIG, FRAGMENT], "version": service.version}
            ],
            "_ansible_check_mode": check_mode,
            **changes,
        }
        with patch_module_args(arguments), pytest.raises(SystemExit):
            core_restore.main()
        answer: dict[str, Any] = json.loads(capsys.readouterr().out)
        return answer

    return call


def fail_after_a_change(service: Service) -> None:
    service.write(CONFIG, "maxmemory 2gb\n")
    service.write(FRAGMENT, "image: valkey/valkey:9\n")
    service.engine.images["sha256:new"] = {"valkey/valkey:9"}
    service.engine.start("sha256:new", health="unhealthy")


def test_a_failed_change_is_rolled_back_to_the_last_good_point_with_both_results(
    service: Service, restore: Call
) -> None:
    service.prove()
    fail_after_a_change(service)
    planned = restore(failure=FAILURE, check_mode=True)
    assert planned["restored"]
    assert planned["changed"]
    assert service.read(CONFIG) == "maxmemory 2gb\n"
    answer = restore(failure=FAILURE)
    assert answer["restored"]
    assert answer["point"] == 1
    assert answer["done"] == [CONFIG, FRAGMENT]
    # What runs now, for the summary: the image was loaded, as it has neither a label of ours nor a digest.
    assert answer["image"]["source"] == "archive"
    assert "it restarts in a loop" in answer["evidence"]
    assert "Fatal config file error" in answer["evidence"]
    assert answer["probe"]["ready_timeout_s"] == 120
    assert service.read(CONFIG) == "maxmemory 1gb\n"
    assert service.points.rollback()["point"] == 1
    assert "Fatal config file error" in (service.points.folder / "failed.log").read_text()


def test_a_run_that_lost_its_lock_neither_returns_nor_stops_anything(service: Service, restore: Call) -> None:
    """Its service failed because another run has taken over and deploys it."""
    service.prove()
    fail_after_a_change(service)
    Journal(service.root).begin(this_run("r3", "somebody", os.getpid()), [])
    service.engine.commands.clear()
    assert "another run took over. Nothing more was changed" in restore(failure=FAILURE, run="r2")["msg"]
    assert service.read(CONFIG) == "maxmemory 2gb\n"
    assert service.points.rollback() == {}
    assert {command[1] for command in service.engine.commands} <= {"inspect"}


def test_a_first_deployment_that_fails_is_stopped_and_nothing_else_happens(service: Service, restore: Call) -> None:
    service.engine.start(health="unhealthy")
    answer = restore(failure=FAILURE)
    assert not answer["restored"]
    assert "no good restore point" in answer["refusal"]
    assert service.engine.container
    assert service.engine.container["State"]["Status"] == "exited"
    assert service.read(CONFIG) == "maxmemory 1gb\n"


def test_a_state_that_is_the_last_good_point_is_left_as_it_is(service: Service, restore: Call) -> None:
    service.prove()
    service.engine.start(health="unhealthy")
    answer = restore(failure=FAILURE)
    assert not answer["restored"]
    assert "There is nothing to return to" in answer["refusal"]
    assert service.engine.container
    assert service.engine.container["State"]["Status"] == "running"


def test_an_interrupted_rollback_is_completed_to_the_point_that_was_chosen(service: Service, restore: Call) -> None:
    """A rollback by hand to point 1 was killed after the last file, and the last good point is a different one."""
    service.prove()
    service.write(CONFIG, "maxmemory 2gb\n")
    service.prove()
    Journal(service.root).begin(this_run("r1", "somebody", os.getpid()), [])
    assert restore(point=1, run="r1")["restored"]
    answer = restore(failure="A rollback by hand was interrupted.", complete=True)
    assert answer["restored"]
    assert answer["point"] == 1
    assert answer["evidence"] == "A rollback by hand was interrupted."


def test_a_rollback_by_hand_to_what_runs_starts_nothing(service: Service, restore: Call) -> None:
    service.prove()
    answer = restore()
    assert not answer["restored"]
    assert not answer["changed"]
    assert answer["refusal"] == ""


def test_a_rollback_by_hand_to_a_damaged_point_is_refused(service: Service, restore: Call) -> None:
    service.prove()
    (service.points.folder / "1/manifest.json").write_text("{")
    answer = restore(point=1)
    assert answer["failed"]
    assert "restore point 1 of valkey is damaged" in answer["msg"]


def test_the_list_shows_what_each_point_holds_and_what_a_rollback_would_change(service: Service, restore: Call) -> None:
    service.prove()
    service.write(CONFIG, "maxmemory 2gb\n")
    service.prove()
    (service.points.folder / "7").mkdir()
    found = restore("listed")["services"]["valkey"]
    assert [(row["number"], row["status"], row["return"]) for row in found["points"]] == [
        (1, "good", f"{CONFIG} differs"),
        (2, "good", "this is what runs"),
    ]
    assert found["target"] == 2
    assert len(found["damaged"]) == 1


def test_the_list_names_an_image_that_is_gone_and_a_version_that_cannot_read_the_data(
    service: Service, restore: Call
) -> None:
    service.prove()
    service.version = "9.1.0"
    service.engine.images = {"sha256:new": {"valkey/valkey:8.1.8-alpine"}}
    service.prove("sha256:new")
    first = restore("listed")["services"]["valkey"]["points"][0]
    assert "its image is no longer on the machine" in first["return"]
    assert "version 8.1.8 needs a backup of the data" in first["return"]


def begin(restore: Call, **more: Any) -> dict[str, Any]:
    return restore("begun", begin=vars(this_run("r2", "ada", 1)), **more)


def test_a_rollback_by_hand_takes_the_lock_for_what_it_changes(service: Service, restore: Call) -> None:
    service.prove()
    assert begin(restore)["run"] == ""
    fail_after_a_change(service)
    assert begin(restore, check_mode=True)["run"] == ""
    assert begin(restore)["run"] == "r2"
    refused = begin(restore)
    assert refused["locked"]["run"] == "r2"
    assert "another run is under way" in refused["locked"]["refusal"]
    assert Journal(service.root).finish("r2") == ["valkey: restore point 1 was planned and not done"]


def test_files_that_a_later_state_added_are_moved_away_by_hand_too(service: Service, restore: Call) -> None:
    """The older version would read them."""
    added = "config/infrastructure/valkey/extra.conf"
    service.prove()
    service.write(added, "of a later state\n")
    service.write(FRAGMENT, f"image: {IMAGE}\nlabels: another hash\n")
    service.write("config/infrastructure/valkey/mine.conf", "by hand\n")
    newer = replace(service.subject, files=(*service.subject.files, added))
    service.engine.start()
    Recorder(service.root, service.secrets, newer, service.docker).proved(IMAGE, "sha256:old", {"name": "valkey"}, KEEP)
    answer = restore(services=[{"name": "valkey", "container": "valkey"}], point=1)
    assert f"{added} moved to .trade2026/replaced" in answer["done"]
    assert not (service.root / added).exists()
    assert (service.root / "config/infrastructure/valkey/mine.conf").exists()


def test_data_of_a_container_that_was_removed_is_of_the_version_that_passed_its_probes_last(
    service: Service, restore: Call
) -> None:
    """A purge removes the container and keeps data and restore points."""
    service.prove()
    service.version = "9.1.0"
    service.engine.images["sha256:new"] = {"valkey/valkey:9"}
    service.write(CONFIG, "maxmemory 2gb\n")
    service.prove("sha256:new")
    service.engine.container = None
    unnamed = [{"name": "valkey", "container": "valkey"}]
    refusal = restore(services=unnamed, point=1)["refusal"]
    assert "version 9.1.0 has written its data (it passed its probes as restore point 2)" in refusal
    assert restore(services=unnamed, point=2)["restored"]


# The data goes back too.

DUMP = "data/valkey/dump.rdb"
WRITTEN_BY_THE_NEWER = "in the format of 9.1"


@pytest.fixture
def upgraded(service: Service) -> Service:
    """Backed up at 8.1.8; then an upgrade to 9.1.0 wrote its own format and failed."""
    service.write(DUMP, "in the format of 8.1")
    service.prove()
    service.back_up()
    fail_after_a_change(service)
    assert service.engine.container
    service.engine.container["State"]["StartedAt"] = "2020-01-01T00:00:00Z"
    service.write(DUMP, WRITTEN_BY_THE_NEWER)
    return service


def restored(restore: Call, service: Service, **changes: Any) -> dict[str, Any]:
    newer = [{"name": "valkey", "container": "valkey", "files": [CONFIG, FRAGMENT], "version": "9.1.0"}]
    return restore(services=newer, **changes)


def test_after_a_failed_upgrade_the_data_of_the_backup_is_restored(upgraded: Service, restore: Call) -> None:
    planned = restored(restore, upgraded, failure=FAILURE, backup=1, restore_data=True, check_mode=True)
    assert planned["restored"]
    assert upgraded.read(DUMP) == WRITTEN_BY_THE_NEWER
    answer = restored(restore, upgraded, failure=FAILURE, backup=1, restore_data=True)
    assert answer["restored"], answer
    assert upgraded.read(DUMP) == "in the format of 8.1"
    assert answer["data"]["number"] == 1
    (kept,) = answer["data"]["kept"]
    assert (Path(kept) / "dump.rdb").read_text() == WRITTEN_BY_THE_NEWER
    assert answer["done"][0].startswith("data of backup 1 of ")
    # Nothing wrote while the directories were renamed.
    assert ("container", "stop", "valkey") in upgraded.engine.commands


def test_without_the_sites_consent_the_service_is_stopped_and_the_command_is_named(
    upgraded: Service, restore: Call
) -> None:
    answer = restored(restore, upgraded, failure=FAILURE, backup=1)
    assert not answer["restored"]
    assert upgraded.read(DUMP) == WRITTEN_BY_THE_NEWER
    assert upgraded.engine.container
    assert upgraded.engine.container["State"]["Status"] == "exited"
    command = (
        "playbooks/rollback.yml --limit valkey -e core_restore_point=1 -e core_backup=1 -e rollback_data_of=valkey"
    )
    assert command in answer["refusal"]


def test_a_backup_that_the_plan_did_not_rely_on_is_not_used_by_itself(upgraded: Service, restore: Call) -> None:
    answer = restored(restore, upgraded, failure=FAILURE, restore_data=True)
    assert not answer["restored"]
    assert "-e core_backup=1" in answer["refusal"]
    assert upgraded.read(DUMP) == WRITTEN_BY_THE_NEWER


def test_without_an_intact_backup_the_message_says_how_to_go_on(upgraded: Service, restore: Call) -> None:
    upgraded.backups.archive(1).unlink()
    answer = restored(restore, upgraded, failure=FAILURE, backup=1, restore_data=True)
    assert not answer["restored"]
    assert "restore a backup of the data and deploy the older version" in answer["refusal"]


def test_data_that_the_older_version_reads_is_kept(upgraded: Service, restore: Call) -> None:
    same = [{"name": "valkey", "container": "valkey", "files": [CONFIG, FRAGMENT], "version": "8.1.9"}]
    answer = restore(services=same, failure=FAILURE, backup=1, restore_data=True)
    assert answer["restored"]
    assert answer["data"] == {}
    assert upgraded.read(DUMP) == WRITTEN_BY_THE_NEWER


def test_a_damaged_backup_is_named_and_nothing_is_put_back(upgraded: Service, restore: Call) -> None:
    archive = upgraded.backups.archive(1)
    archive.write_bytes(archive.read_bytes()[:-8] + b"damaged!")
    answer = restored(restore, upgraded, failure=FAILURE, backup=1, restore_data=True)
    assert answer["failed"]
    assert "backup 1 of valkey is damaged and is not used" in answer["msg"]
    assert upgraded.read(DUMP) == WRITTEN_BY_THE_NEWER
    assert upgraded.read(CONFIG) == "maxmemory 2gb\n"
    assert upgraded.points.rollback() == {}


def test_data_is_restored_by_hand_even_if_the_same_state_runs(service: Service, restore: Call) -> None:
    service.write(DUMP, "backed up")
    service.prove()
    service.back_up()
    service.write(DUMP, "written since")
    assert not restore()["restored"]
    shown = begin(restore, restore_data=True, check_mode=True)["services"]["valkey"]["target_backup"]
    assert shown["number"] == 1
    answer = restore(restore_data=True)
    assert answer["restored"]
    assert service.read(DUMP) == "backed up"
    assert [Path(kept).joinpath("dump.rdb").read_text() for kept in answer["data"]["kept"]] == ["written since"]


def test_a_rollback_by_hand_to_data_of_another_version_is_refused(service: Service, restore: Call) -> None:
    service.write(DUMP, "backed up")
    service.prove()
    assert "There is no backup of version 8.1.8" in restore(restore_data=True)["refusal"]
    service.version = "9.1.0"
    service.back_up("sha256:new")
    answer = restore(restore_data=True, backup=1)
    assert "backup 1 of valkey is of version 9.1.0, and restore point 1 runs 8.1.8" in answer["msg"]
    assert "There is no backup of version 8.1.8" in restore(restore_data=True)["refusal"]


@pytest.mark.parametrize("moment", ["before the renames", "between them", "after them"])
def test_a_killed_restore_of_data_is_completed(
    upgraded: Service, restore: Call, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    def killed(_moves: object) -> list[str]:
        raise KeyboardInterrupt

    real = core_restore.swap
    monkeypatch.setattr(core_restore, "swap", killed)
    with pytest.raises(KeyboardInterrupt):
        restored(restore, upgraded, failure=FAILURE, backup=1, restore_data=True)
    monkeypatch.setattr(core_restore, "swap", real)
    (move,) = core_restore.Move.of(upgraded.points.rollback()["data"]["moves"])
    if moment != "before the renames":
        Path(move.live).rename(move.aside)
    if moment == "after them":
        Path(move.staged).rename(move.live)
    assert is_half_moved(upgraded.points.rollback()) is (moment != "after them")
    answer = restored(restore, upgraded, failure="It was interrupted.", complete=True)
    assert answer["restored"], answer
    assert upgraded.read(DUMP) == "in the format of 8.1"
    assert (Path(move.aside) / "dump.rdb").read_text() == WRITTEN_BY_THE_NEWER
    assert answer["data"]["kept"] == [move.aside]


def test_half_renamed_data_is_completed_before_a_rollback_to_another_point(service: Service, restore: Call) -> None:
    service.write(DUMP, "backed up")
    service.prove()
    service.write(CONFIG, "maxmemory 2gb\n")
    service.prove()
    backup = service.back_up()
    moves = core_restore.stage(service.backups, backup, service.root)
    Path(moves[0].live).rename(moves[0].aside)
    marker = {"point": 1, "run": "r0", "began": "now", "failure": "", "declared": "", "by_hand": True}
    data = {"number": 1, "taken_at": backup.taken_at, "moves": [vars(move) for move in moves]}
    service.points.begin_rollback({**marker, "data": data})
    refused = restore()
    assert "Complete it first: ansible-playbook playbooks/rollback.yml --limit valkey -e core_restore_point=1" in str(
        refused["msg"]
    )
    assert restore(point=1)["restored"]
    assert service.read(DUMP) == "backed up"


def test_data_that_a_damaged_note_may_speak_of_is_named(service: Service, restore: Call) -> None:
    """Compose would create an empty data directory, and the service would start without its data."""
    service.write(DUMP, "backed up")
    service.prove()
    service.write(FRAGMENT, "another one\n")
    (move,) = core_restore.stage(service.backups, service.back_up(), service.root)
    Path(move.live).rename(move.aside)
    service.points.marker.write_text("{", encoding="utf-8")
    refused = restore(point=1)["msg"]
    assert f"data of a backup is in {move.staged}. It may have to take the place of {move.live}" in refused
    assert service.read(FRAGMENT) == "another one\n"
    Path(move.staged).rename(move.live)
    assert restore(point=1)["restored"]


def test_the_list_verifies_the_backups(service: Service, restore: Call) -> None:
    service.write(DUMP, "backed up")
    service.prove()
    service.back_up()
    service.back_up()
    archive = service.backups.archive(1)
    archive.write_bytes(archive.read_bytes()[:-8] + b"damaged!")
    rows = restore("listed")["services"]["valkey"]["backups"]
    assert [row["damage"] for row in rows] == ["", ""]
    found = restore("listed", verify_backups=True)["services"]["valkey"]
    assert [row["verified"] for row in found["backups"]] == [False, True]
    assert "backup 1 of valkey is damaged" in found["damaged"][0]
