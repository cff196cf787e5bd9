# SPDX-License-Identifier: GPL-3.0-or-later
"""The module `core_restore` as Ansible calls it: listing, the lock, and the return of a service."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import core_restore
import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.deployment.journal import Journal, this_run
from ansible.module_utils.testing import patch_module_args
from restore_case import CONFIG, FRAGMENT, Service

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
            "state": state,
            "services": [
                {"name": "valkey", "container": "valkey", "files": [CONFIG, FRAGMENT], "version": service.version}
            ],
            "run": "r2",
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


def test_a_failed_change_is_returned_to_the_last_good_point_with_both_stories(service: Service, restore: Call) -> None:
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


def test_a_first_deployment_that_fails_is_stopped_and_nothing_else_happens(service: Service, restore: Call) -> None:
    service.engine.start(health="unhealthy")
    answer = restore(failure=FAILURE)
    assert not answer["restored"]
    assert "no good restore point" in answer["refusal"]
    assert service.engine.container
    assert service.engine.container["State"]["Status"] == "exited"
    assert service.read(CONFIG) == "maxmemory 1gb\n"


def test_what_is_the_last_good_point_already_is_left_as_it_is(service: Service, restore: Call) -> None:
    service.prove()
    service.engine.start(health="unhealthy")
    answer = restore(failure=FAILURE)
    assert not answer["restored"]
    assert "There is nothing to return to" in answer["refusal"]
    assert service.engine.container
    assert service.engine.container["State"]["Status"] == "running"


def test_an_interrupted_return_is_completed_to_the_point_that_was_chosen(service: Service, restore: Call) -> None:
    """A rollback by hand to point 1 was killed after the last file, and the last good point is a different one."""
    service.prove()
    service.write(CONFIG, "maxmemory 2gb\n")
    service.prove()
    assert restore(point=1, run="r1")["restored"]
    answer = restore(failure="A rollback by hand was interrupted.", complete=True)
    assert answer["restored"]
    assert answer["point"] == 1
    assert answer["evidence"] == "A rollback by hand was interrupted."


def test_by_hand_what_runs_already_is_not_started_again(service: Service, restore: Call) -> None:
    service.prove()
    answer = restore()
    assert not answer["restored"]
    assert not answer["changed"]
    assert answer["refusal"] == ""


def test_by_hand_a_damaged_point_is_named(service: Service, restore: Call) -> None:
    service.prove()
    (service.points.folder / "1/manifest.json").write_text("{")
    answer = restore(point=1)
    assert answer["failed"]
    assert "restore point 1 of valkey is damaged" in answer["msg"]


def test_the_list_shows_what_each_point_holds_and_what_a_return_means(service: Service, restore: Call) -> None:
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
