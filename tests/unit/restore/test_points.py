# SPDX-License-Identifier: GPL-3.0-or-later
"""Restore points are recorded atomically, verified when they are read, and pruned except for the last good one."""

from __future__ import annotations

import json
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from ansible.module_utils.deployment.journal import Journal, this_run
from ansible.module_utils.deployment.model import Operation
from ansible.module_utils.restore import points as points_module
from ansible.module_utils.restore.points import RestoreError, Subject, image_tag
from ansible.module_utils.restore.record import Keep
from restore_case import CONFIG, FRAGMENT, SECRET, Service


@pytest.fixture
def service(tmp_path: Path) -> Service:
    return Service(tmp_path)


def folder(service: Service, number: int) -> Path:
    return service.points.folder / str(number)


def test_a_point_holds_files_secrets_and_image_for_root_alone(service: Service) -> None:
    point = service.prove()
    assert (point.number, point.status, point.changes) == (1, "good", ("the first restore point",))
    assert (folder(service, 1) / "files" / CONFIG).read_text() == "maxmemory 1gb\n"
    assert (folder(service, 1) / "secrets" / SECRET).read_text() == "a-generated-password\n"
    assert point.image.tag == "localhost/trade2026/restore/trade2026-core/valkey:1"
    assert point.image.tag in service.engine.images["sha256:old"]
    paths = [service.points.folder.parent, *service.points.folder.parent.rglob("*")]
    assert {stat.S_IMODE(path.stat().st_mode) for path in paths if path.is_dir()} == {0o700}
    assert {stat.S_IMODE(path.stat().st_mode) for path in paths if path.is_file()} == {0o600}
    assert service.points.read(1) == point


def test_a_manifest_holds_neither_a_secret_nor_its_plain_hash(service: Service) -> None:
    import hashlib

    service.prove()
    text = (folder(service, 1) / "manifest.json").read_text()
    secret = "a-generated-password\n"
    assert secret.strip() not in text
    assert hashlib.sha256(secret.encode()).hexdigest() not in text


def test_the_run_and_its_plan_are_recorded(service: Service) -> None:
    Journal(service.root).begin(this_run("r1", "ada", 1), [Operation("valkey", "state", "start", "", "", "")])
    point = service.prove()
    assert point.run == "r1"
    assert point.who.startswith("ada@")
    assert len(point.plan) == 64


def test_a_state_that_is_recorded_is_not_recorded_again(service: Service) -> None:
    service.prove()
    assert service.prove().number == 1
    assert service.recorder.before_change() is None
    assert service.points.numbers() == [1]


def test_what_changed_since_the_point_before_is_named(service: Service) -> None:
    service.prove()
    service.write(CONFIG, "maxmemory 2gb\n")
    service.engine.images["sha256:new"] = set()
    assert service.prove("sha256:new").changes == (f"{CONFIG} differs", "the image differs")


def test_an_edit_by_hand_is_recorded_before_it_is_replaced(service: Service) -> None:
    service.prove()
    service.write(CONFIG, "maxmemory 3gb # by hand\n")
    point = service.recorder.before_change()
    assert point is not None
    assert (point.number, point.status) == (2, "recorded")
    assert (folder(service, 2) / "files" / CONFIG).read_text() == "maxmemory 3gb # by hand\n"
    last_good = service.points.newest("good")
    assert last_good is not None
    assert last_good.number == 1


def test_a_secret_that_the_run_has_replaced_does_not_count_as_an_edit_by_hand(service: Service) -> None:
    service.prove()
    service.write(f"secrets/{SECRET}", "another-password\n")
    assert service.recorder.before_change() is None


def test_nothing_is_recorded_before_the_first_deployment(service: Service) -> None:
    assert service.recorder.before_change() is None
    assert service.points.numbers() == []


def test_a_state_from_before_restore_points_is_kept_with_whether_it_was_healthy(service: Service) -> None:
    service.engine.start(health="healthy")
    point = service.recorder.before_change()
    assert point is not None
    assert point.probe["container"] == "valkey"
    service.write(CONFIG, "maxmemory 2gb\n")
    service.engine.start(health="unhealthy")
    point = service.recorder.before_change()
    assert point is not None
    assert point.probe == {}


def test_a_recorded_state_that_passes_its_probes_becomes_good(service: Service) -> None:
    service.engine.start()
    service.recorder.before_change()
    point = service.prove()
    assert (point.number, point.status) == (1, "good")
    assert service.points.read(1).good_at


def test_the_state_that_a_rollback_returned_to_is_the_last_good_one(service: Service) -> None:
    """An older good point that runs again is recorded again, or the next failure would return to the newer one."""
    service.prove()
    service.write(CONFIG, "maxmemory 2gb\n")
    service.prove()
    service.write(CONFIG, "maxmemory 1gb\n")
    assert service.prove().number == 3


def damage_manifest(place: Path) -> None:
    (place / "manifest.json").write_text("{", encoding="utf-8")


def edit_manifest(place: Path) -> None:
    file = place / "manifest.json"
    content = json.loads(file.read_text())
    content["image"]["id"] = "sha256:other"
    file.write_text(json.dumps(content), encoding="utf-8")


def drop_a_field(place: Path) -> None:
    file = place / "manifest.json"
    content = json.loads(file.read_text())
    del content["subject"]
    file.write_text(json.dumps(content), encoding="utf-8")


def damage_file(place: Path) -> None:
    (place / "files" / CONFIG).write_text("maxmemory 9gb\n", encoding="utf-8")


def remove_file(place: Path) -> None:
    (place / "files" / FRAGMENT).unlink()


def remove_manifest(place: Path) -> None:
    (place / "manifest.json").unlink()


@pytest.mark.parametrize(
    "damage", [damage_manifest, edit_manifest, drop_a_field, damage_file, remove_file, remove_manifest]
)
def test_a_damaged_point_is_named_and_not_used(service: Service, damage: object) -> None:
    service.prove()
    service.write(CONFIG, "maxmemory 2gb\n")
    service.prove()
    assert callable(damage)
    damage(folder(service, 2))
    points, damaged = service.points.readable()
    assert [point.number for point in points] == [1]
    assert list(damaged) == [2]
    newest = service.points.newest("good")
    assert newest is not None
    assert newest.number == 1
    with pytest.raises(RestoreError, match="restore point 2"):
        service.points.read(2)
    # Its number is not used again.
    service.write(CONFIG, "maxmemory 4gb\n")
    assert service.prove().number == 3


def test_a_point_that_does_not_exist_is_refused_with_those_that_do(service: Service) -> None:
    service.prove()
    with pytest.raises(RestoreError, match="valkey has no restore point 7; it has 1"):
        service.points.read(7)


def test_a_point_that_was_half_written_is_ignored_and_removed(service: Service) -> None:
    service.prove()
    half = service.points.folder / ".2.abcd"
    (half / "files").mkdir(parents=True)
    assert service.points.numbers() == [1]
    service.write(CONFIG, "maxmemory 2gb\n")
    assert service.prove().number == 2
    assert not half.exists()


def test_a_full_disk_leaves_no_partial_point(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    service.prove()
    service.write(CONFIG, "maxmemory 2gb\n")
    written = points_module._store

    def full(path: Path, data: bytes) -> None:
        if path.name == "manifest.json":
            raise OSError(28, "No space left on device", str(path))
        written(path, data)

    monkeypatch.setattr(points_module, "_store", full)
    with pytest.raises(OSError, match="No space left"):
        service.prove()
    assert service.points.numbers() == [1]
    assert [path.name for path in service.points.folder.iterdir()] == ["1"]


def test_points_are_pruned_by_count_but_never_the_last_good_one(service: Service) -> None:
    service.prove()
    for number in range(2, 6):
        service.write(CONFIG, f"maxmemory {number}gb\n")
        assert service.recorder.before_change() is not None
    assert service.points.numbers() == [1, 2, 3, 4, 5]
    assert [point.number for point in service.points.superfluous(keep=2, days=90)] == [2, 3]
    service.write(CONFIG, "maxmemory 6gb\n")
    service.prove(keep=Keep(2, 90))
    assert service.points.numbers() == [5, 6]
    tags = service.engine.images["sha256:old"]
    assert {tag.rpartition(":")[2] for tag in tags if "restore" in tag} == {"5", "6"}


def test_points_are_pruned_by_age_but_never_the_last_good_one(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = (datetime.now(UTC) - timedelta(days=100)).strftime("%Y-%m-%dT%H:%M:%SZ")
    monkeypatch.setattr(points_module, "now", lambda: old)
    service.engine.start()
    service.recorder.before_change()
    service.write(CONFIG, "maxmemory 2gb\n")
    service.prove()
    assert service.points.numbers() == [2]


def test_two_projects_do_not_share_a_tag() -> None:
    assert image_tag("trade2026-core", "Valkey", 3) == "localhost/trade2026/restore/trade2026-core/valkey:3"
    assert image_tag("other", "valkey", 3) != image_tag("trade2026-core", "valkey", 3)


@pytest.mark.parametrize("path", ["/etc/passwd", "../outside", "config/../../outside"])
def test_a_point_holds_nothing_outside_of_the_root(service: Service, path: str) -> None:
    with pytest.raises(RestoreError, match="only what is below the root"):
        Subject.of({**vars(service.subject), "files": [path]})
