# SPDX-License-Identifier: GPL-3.0-or-later
"""A rollback: what is restored, when it is refused, and what an interrupted one leaves behind."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.restore.points import RestoreError, RestorePoint
from ansible.module_utils.restore.rollback import Failed, Rollback, fragment_digest, refuse, runs, unchanged
from restore_case import CONFIG, FRAGMENT, IMAGE, SECRET, Service

NEW_FILE = "config/infrastructure/valkey/extra.conf"


@pytest.fixture
def service(tmp_path: Path) -> Service:
    return Service(tmp_path)


def returned(service: Service, point: RestorePoint) -> Rollback:
    rollback = Rollback(service.root, service.secrets, service.docker, point)
    rollback.carry_out((CONFIG, FRAGMENT, NEW_FILE))
    return rollback


def change(service: Service) -> None:
    """A change of everything."""
    service.write(CONFIG, "maxmemory 2gb\n")
    service.write(FRAGMENT, "image: valkey/valkey:9\n")
    service.write(f"secrets/{SECRET}", "another-password\n")
    service.write(NEW_FILE, "new\n")
    service.engine.images["sha256:new"] = {"valkey/valkey:9"}
    service.engine.start("sha256:new", health="unhealthy")


def test_files_secrets_and_modes_are_restored_and_new_files_moved_away(service: Service) -> None:
    (service.root / CONFIG).chmod(0o640)
    point = service.prove()
    change(service)
    (service.root / CONFIG).chmod(0o600)
    rollback = returned(service, point)
    assert service.read(CONFIG) == "maxmemory 1gb\n"
    assert service.read(FRAGMENT) == f"image: {IMAGE}\n"
    assert service.read(f"secrets/{SECRET}") == "a-generated-password\n"
    assert (service.root / CONFIG).stat().st_mode & 0o777 == 0o640
    assert not (service.root / NEW_FILE).exists()
    assert list(service.root.glob(f".trade2026/replaced/*/{NEW_FILE}"))
    assert rollback.done == [CONFIG, FRAGMENT, f"secret {SECRET}", f"{NEW_FILE} moved to .trade2026/replaced"]
    assert unchanged(service.root, service.secrets, point, {"Image": "sha256:old"})


def test_a_second_rollback_changes_nothing(service: Service) -> None:
    point = service.prove()
    change(service)
    returned(service, point)
    assert returned(service, point).done == []


def test_a_moved_tag_is_set_to_the_old_image_again(service: Service) -> None:
    point = service.prove()
    service.engine.images = {"sha256:old": {point.image.tag}, "sha256:new": {IMAGE}}
    returned(service, point)
    assert IMAGE in service.engine.images["sha256:old"]


def test_an_image_that_was_pruned_is_named_before_anything_is_put_back(service: Service) -> None:
    point = service.prove()
    change(service)
    service.engine.images = {"sha256:new": {IMAGE}}
    with pytest.raises(RestoreError, match="no longer on the machine"):
        returned(service, point)
    assert service.read(CONFIG) == "maxmemory 2gb\n"


def test_a_first_deployment_that_fails_is_stopped(service: Service) -> None:
    refusal = refuse(None, Failed("8.1.8", {}), service.root, by_hand=False)
    assert refusal is not None
    assert refusal.stop
    assert "its data and its log are kept" in refusal.why
    by_hand = refuse(None, Failed("8.1.8", {}), service.root, by_hand=True)
    assert by_hand is not None
    assert not by_hand.stop


def failed(service: Service, version: str) -> Failed:
    """A container of a newer version, which started a moment ago."""
    # The clock of the file system may be a few milliseconds behind.
    moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(time.time() - 2)) + "Z"
    service.engine.start("sha256:new", health="unhealthy", StartedAt=moment)
    return Failed(version, service.engine.container or {})


@pytest.mark.parametrize("by_hand", [False, True])
def test_data_that_a_newer_version_wrote_is_not_given_to_one_that_cannot_read_it(
    service: Service, by_hand: bool
) -> None:
    point = service.prove()
    newer = failed(service, "9.1.0")
    service.write("data/valkey/dump.rdb", "in the new format")
    refusal = refuse(point, newer, service.root, by_hand)
    assert refusal is not None
    assert refusal.stop is not by_hand
    assert "dump.rdb" in refusal.why
    assert "backup of the data" in refusal.why


def test_a_newer_version_that_wrote_nothing_can_be_rolled_back(service: Service) -> None:
    point = service.prove()
    service.write("data/valkey/dump.rdb", "in the old format")
    old = time.time() - 3600
    os.utime(service.root / "data/valkey/dump.rdb", (old, old))
    # It was created and never started.
    service.engine.start("sha256:new", StartedAt="0001-01-01T00:00:00Z")
    assert refuse(point, Failed("9.1.0", service.engine.container or {}), service.root, by_hand=False) is None


def unwritten_since_the_start(service: Service, **state: Any) -> Failed:
    """A newer version whose container started after the last change of the data."""
    service.write("data/valkey/dump.rdb", "written some time ago")
    later = datetime.fromtimestamp((service.root / "data/valkey/dump.rdb").stat().st_ctime + 0.05, UTC)
    while datetime.now(UTC) < later:
        time.sleep(0.01)
    service.engine.start("sha256:new", StartedAt=later.isoformat().replace("+00:00", "Z"), **state)
    return Failed("9.1.0", service.engine.container or {})


def test_a_newer_version_that_was_started_again_may_have_written_before(service: Service) -> None:
    """A backup or a reboot stops and starts the same container, and nothing may have been written since."""
    point = service.prove()
    assert refuse(point, unwritten_since_the_start(service), service.root, by_hand=True) is None
    again = unwritten_since_the_start(service, FinishedAt="2026-11-26T06:30:00Z")
    assert refuse(point, again, service.root, by_hand=True) is not None


def test_a_newer_version_that_passed_its_probes_has_written(service: Service) -> None:
    """Also if its container was created again since, for another change."""
    point = service.prove()
    service.version = "9.1.0"
    service.engine.images["sha256:new"] = {IMAGE}
    service.write(CONFIG, "maxmemory 2gb\n")
    service.prove("sha256:new")
    refusal = refuse(point, unwritten_since_the_start(service), service.root, by_hand=True)
    assert refusal is not None
    assert "has written its data (it passed its probes as restore point 2)" in refusal.why


def test_a_clock_that_was_set_back_does_not_hide_what_a_newer_version_wrote(service: Service) -> None:
    point = service.prove()
    service.engine.start("sha256:new", StartedAt="2099-01-01T00:00:00Z")
    service.write("data/valkey/dump.rdb", "in the new format")
    refusal = refuse(point, Failed("9.1.0", service.engine.container or {}), service.root, by_hand=False)
    assert refusal is not None
    assert "the clock was set back" in refusal.why


def test_a_rollback_to_a_version_that_reads_the_data_is_possible(service: Service) -> None:
    point = service.prove()
    same = failed(service, "8.1.8")
    service.write("data/valkey/dump.rdb", "in the same format")
    assert refuse(point, same, service.root, by_hand=False) is None


def test_running_processes_are_distinguished_from_files(service: Service) -> None:
    point = service.prove()
    container = dict(service.engine.container or {})
    assert runs(service.root, service.secrets, point, container)
    service.points.begin_rollback({"point": 1})
    assert not runs(service.root, service.secrets, point, container)
    service.points.end_rollback()
    service.write(CONFIG, "edited\n")
    assert not runs(service.root, service.secrets, point, container)


def test_an_interrupted_rollback_is_known_and_can_be_completed(service: Service) -> None:
    """The marker is written before the first file, and removed when the service is verified."""
    point = service.prove()
    change(service)
    declared = fragment_digest(service.root, point.subject)
    marker = {
        "point": 1,
        "run": "r1",
        "began": "now",
        "failure": "why",
        "declared": declared,
        "by_hand": False,
        "data": {},
    }
    service.points.begin_rollback(marker)
    # Killed after the first file.
    service.write(CONFIG, "maxmemory 1gb\n")
    assert service.points.rollback() == marker
    returned(service, point)
    assert service.points.rollback() == marker
    assert service.prove().number == 1
    assert service.points.rollback() == {}


def test_a_damaged_marker_is_named_with_what_to_do(service: Service) -> None:
    service.points.begin_rollback({"point": 1})
    with pytest.raises(RestoreError, match=r"rollback.json is damaged.*playbooks/rollback.yml"):
        service.points.rollback()
