# SPDX-License-Identifier: GPL-3.0-or-later
"""Restore points are recorded atomically, verified when they are read, and pruned except for the last good one."""

from __future__ import annotations

import contextlib
import json
import resource
import shutil
import stat
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
import service_probe
from ansible.module_utils.deployment.journal import Journal, JournalError, this_run
from ansible.module_utils.deployment.model import Operation
from ansible.module_utils.restore import points as points_module
from ansible.module_utils.restore.data import stage
from ansible.module_utils.restore.points import RestoreError, Subject, image_tag
from ansible.module_utils.restore.record import Keep
from ansible.module_utils.shared.fs import explain, write_file
from ansible.module_utils.shared.ownership import Ownership
from restore_case import CONFIG, FRAGMENT, IMAGE, SECRET, Service


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


def replace_manifest_by_a_directory(place: Path) -> None:
    (place / "manifest.json").unlink()
    (place / "manifest.json").mkdir()


def replace_folder_by_a_file(place: Path) -> None:
    shutil.rmtree(place)
    place.touch()


@pytest.mark.parametrize(
    "damage",
    [
        damage_manifest,
        edit_manifest,
        drop_a_field,
        damage_file,
        remove_file,
        remove_manifest,
        replace_manifest_by_a_directory,
        replace_folder_by_a_file,
    ],
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
    assert damaged[2].startswith("restore point 2 of valkey is damaged and is not used: ")
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
    half = service.points.folder / ".2.0123abcd"
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


@contextlib.contextmanager
def no_file_can_be_written() -> Iterator[None]:
    """As on a full disk, real writes fail without the path in the error."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("what", ["point", "rollback", "backup", "return", "lock", "journal", "secret"])
def test_a_write_that_fails_is_reported_with_the_file(service: Service, what: str) -> None:
    service.write("data/valkey/dump.rdb", "dump")
    service.prove()
    service.write(CONFIG, "maxmemory 2gb\n")
    backup = service.back_up()
    journal, owner = Journal(service.root), this_run("r1", "somebody", 1)
    journal.begin(owner, [])
    if what == "lock":
        journal.finish("r1")
    calls: dict[str, tuple[Callable[[], object], str]] = {
        "point": (service.recorder.before_change, f"{CONFIG}: "),
        "rollback": (lambda: service.points.begin_rollback({"point": 1}), "restore_points/valkey/rollback.json: "),
        "backup": (service.back_up, "/data.tar.zst: "),
        "return": (lambda: stage(service.backups, backup, service.root), "/dump.rdb: "),
        "lock": (lambda: journal.begin(owner, []), "journal/lock.new-r1: "),
        "journal": (lambda: journal.done("r1", [("valkey", "image")]), "journal/current.jsonl: "),
        "secret": (lambda: write_file(service.secrets / SECRET, b"secret", Ownership()), f"secrets/{SECRET}: "),
    }
    call, place = calls[what]
    with pytest.raises(OSError, match="File too large") as error, no_file_can_be_written():
        call()
    assert explain(error.value).startswith(f"{service.root}/")
    assert place in explain(error.value)


def test_the_first_change_in_months_can_be_taken_back(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same holds for a clock that is set forward: not all older points are lost."""
    for number in range(3):
        service.write(CONFIG, f"maxmemory {number}gb\n")
        service.prove()
    later = datetime.now(UTC) + timedelta(days=200)
    monkeypatch.setattr(points_module, "datetime", type("Later", (datetime,), {"now": lambda _zone: later}))
    service.write(CONFIG, "maxmemory 9gb\n")
    service.prove(keep=Keep(10, 90))
    assert service.points.numbers() == [3, 4]


def test_a_run_that_lost_its_lock_records_nothing_and_ends_no_rollback(service: Service) -> None:
    service.engine.start()
    service.points.begin_rollback({"point": 1})
    Journal(service.root).begin(this_run("r2", "somebody", 1), [])
    probed = {"name": "valkey", "restore": vars(service.subject), "was_running": False}
    params = {
        "root": str(service.root),
        "secrets_root": str(service.secrets),
        "run": "r1",
        "services": [probed],
        "keep_points": 10,
        "keep_days": 90,
    }
    module = SimpleNamespace(params=params, check_mode=False, run_command=service.engine.run)
    answers = {"valkey": {"image": IMAGE, "image_id": "sha256:old"}}
    with pytest.raises(JournalError, match="has lost its lock"):
        service_probe.record(module, answers)
    assert service.points.numbers() == []
    assert service.points.marker.exists()
    params["run"] = "r2"
    service_probe.record(module, answers)
    assert service.points.numbers() == [1]
    assert not service.points.marker.exists()


def test_a_rollback_has_ended_before_its_point_may_be_pruned(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that is killed in between would leave the note of a rollback to a point that is gone."""

    def killed(_recorder: object, _keep: Keep) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("ansible.module_utils.restore.record.Recorder._prune", killed)
    service.points.begin_rollback({"point": 1})
    with pytest.raises(KeyboardInterrupt):
        service.prove()
    assert not service.points.marker.exists()


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
