# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups of data: what is packed is restored unchanged, and a damaged or incomplete backup is not used."""

from __future__ import annotations

import dataclasses
import errno
import io
import json
import os
import socket
import stat
import subprocess
import tarfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Any

import pytest
import zstandard
from ansible.module_utils.restore import archive, backups
from ansible.module_utils.restore.backups import Backup, refuse_folder, why_not_fresh
from ansible.module_utils.restore.data import Move, stage, swap
from ansible.module_utils.restore.points import RestoreError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from restore_case import CONFIG, Service

DATA = "data/valkey"
MIB = 1024 * 1024


@pytest.fixture
def service(tmp_path: Path) -> Service:
    service = Service(tmp_path)
    service.write(f"{DATA}/appendonlydir/base.rdb", "base")
    service.write(f"{DATA}/dump.rdb", "dump")
    return service


def state(folder: Path) -> dict[str, tuple[Any, ...]]:
    """All that a backup keeps of an entry: kind, mode, owner, time, content or target."""
    found = {}
    for path in [folder, *sorted(folder.rglob("*"))]:
        seen = path.lstat()
        content: Any = path.read_bytes() if path.is_file() and not path.is_symlink() else None
        if path.is_symlink():
            # `Path.readlink` would normalise the text.
            content = os.readlink(path)  # noqa: PTH115
        found[os.fsencode(path.relative_to(folder)).decode("latin-1")] = (
            seen.st_mode,
            seen.st_uid,
            seen.st_gid,
            seen.st_mtime_ns,
            seen.st_nlink if stat.S_ISREG(seen.st_mode) else 0,
            content,
        )
    return found


def returned(service: Service, backup: Backup) -> tuple[Move, ...]:
    moves = stage(service.backups, backup, service.root)
    swap(moves)
    return moves


def test_all_data_is_restored_unchanged(service: Service) -> None:
    folder = service.root / DATA
    (folder / "link").symlink_to("../elsewhere/./file")
    (folder / "dangling").symlink_to("/nowhere")
    (folder / "to_directory").symlink_to("appendonlydir")
    os.link(folder / "dump.rdb", folder / "appendonlydir/same")
    (folder / "empty").touch()
    (folder / "no files").mkdir(mode=0o711)
    (folder / os.fsdecode(b"not \xff utf-8")).write_text("x")
    (folder / ("long" * 60)).write_text("x")
    (folder / "dump.rdb").chmod(0o640)
    (folder / "appendonlydir").chmod(0o2750)
    if os.geteuid() == 0:
        os.chown(folder / "dump.rdb", 999, 1000)
        os.chown(folder, 999, 1000)
        os.lchown(folder / "link", 999, 1000)
    os.utime(folder / "dump.rdb", ns=(1, 1_700_000_000_123_456_789))
    before = state(folder)
    backup = service.back_up()
    service.write(f"{DATA}/dump.rdb", "changed")
    service.write(f"{DATA}/new", "new")
    returned(service, backup)
    assert state(folder) == before


def test_the_manifest_lists_every_file_and_the_user_and_is_readable_by_root_only(service: Service) -> None:
    backup = service.back_up()
    content = json.loads((service.backups.folder / "1/manifest.json").read_text())
    assert [row["path"] for row in content["members"]] == [
        DATA,
        f"{DATA}/appendonlydir",
        f"{DATA}/appendonlydir/base.rdb",
        f"{DATA}/dump.rdb",
    ]
    files = [row for row in content["members"] if row["kind"] == "file"]
    assert all(len(row["sha256"]) == 64 and {"uid", "gid", "mode"} <= set(row) for row in files)
    assert (backup.version, backup.who, backup.size, backup.files) == ("8.1.8", "ada@desk", 8, 2)
    for path in (service.backups_dir, service.backups.folder, *service.backups.folder.rglob("*")):
        assert not path.stat().st_mode & 0o077, path


def test_the_archive_is_an_ordinary_one(service: Service) -> None:
    service.back_up()
    packed = service.backups.archive(1).read_bytes()
    unpacked = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(packed)).read()
    with tarfile.open(fileobj=io.BytesIO(unpacked)) as tar:
        assert f"{DATA}/dump.rdb" in tar.getnames()


def test_a_sparse_file_needs_little_space_and_stays_sparse(service: Service) -> None:
    file = service.root / DATA / "sparse"
    with file.open("wb") as content:
        content.truncate(64 * MIB)
        content.seek(40 * MIB)
        content.write(b"in the middle")
    backup = service.back_up()
    assert backup.size > 64 * MIB
    assert backup.allocated < MIB
    assert backup.archive_size < MIB
    expected = file.read_bytes()
    returned(service, backup)
    assert file.read_bytes() == expected
    assert file.stat().st_blocks * 512 < MIB


@given(
    st.dictionaries(
        st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=40).filter(
            lambda name: name not in (".", "..")
        ),
        st.binary(max_size=200_000),
        max_size=6,
    )
)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_names_and_contents_are_restored(tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes]) -> None:
    service = Service(tmp_path_factory.mktemp("any"))
    folder = service.root / DATA
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    before = state(folder)
    backup = service.back_up()
    returned(service, backup)
    assert state(folder) == before


def test_a_socket_is_skipped_and_listed(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(service.root / DATA)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("sock")
        assert service.back_up().skipped == (f"{DATA}/sock",)


# The previous data.


def test_the_previous_data_is_renamed_and_never_deleted(service: Service) -> None:
    backup = service.back_up()
    service.write(f"{DATA}/dump.rdb", "written since")
    (move,) = stage(service.backups, backup, service.root)
    assert service.read(f"{DATA}/dump.rdb") == "written since"
    (kept,) = swap([move])
    assert service.read(f"{DATA}/dump.rdb") == "dump"
    assert (Path(kept) / "dump.rdb").read_text() == "written since"
    assert Path(kept).parent == service.root / "data"


def test_a_restore_killed_between_the_renames_is_completed(service: Service) -> None:
    backup = service.back_up()
    service.write(f"{DATA}/dump.rdb", "written since")
    moves = stage(service.backups, backup, service.root)
    (service.root / DATA).rename(moves[0].aside)
    # A run that ensures the directories may come in between.
    (service.root / DATA).mkdir()
    kept = swap(moves)
    assert service.read(f"{DATA}/dump.rdb") == "dump"
    assert kept == [moves[0].aside, f"{moves[0].aside}-2"]
    assert (Path(moves[0].aside) / "dump.rdb").read_text() == "written since"
    assert swap(moves) == kept
    assert service.read(f"{DATA}/dump.rdb") == "dump"


def test_a_data_directory_on_another_disk_stays_a_symlink(service: Service, tmp_path: Path) -> None:
    other = tmp_path / "disk/valkey"
    other.parent.mkdir()
    (service.root / DATA).rename(other)
    (service.root / DATA).symlink_to(other)
    backup = service.back_up()
    assert backup.files == 2
    (other / "dump.rdb").write_text("written since")
    (move,) = returned(service, backup)
    assert (service.root / DATA).is_symlink()
    assert (other / "dump.rdb").read_text() == "dump"
    assert Path(move.aside).parent == other.parent


def test_what_a_killed_run_unpacked_is_removed_by_the_next_one(service: Service) -> None:
    backup = service.back_up()
    left = stage(service.backups, backup, service.root)
    returned(service, backup)
    assert not Path(left[0].staged).exists()


def test_a_mount_in_the_data_is_refused_before_anything_is_unpacked(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup = service.back_up()
    folder = service.root / DATA
    monkeypatch.setattr("ansible.module_utils.restore.data.mount_points", lambda: [folder])
    with pytest.raises(RestoreError, match=r"a file system is mounted at .*nothing was changed"):
        stage(service.backups, backup, service.root)
    assert [path.name for path in folder.parent.iterdir()] == ["valkey"]


# Damaged backups.


def truncate(place: Path) -> None:
    os.truncate(place / "data.tar.zst", 100)


def truncate_and_record(place: Path) -> None:
    """Cut off the end of the archive, as storage may lose it; the manifest's checksum still matches."""
    truncate(place)
    rewrite(place, archive_size=100)


def alter(place: Path) -> None:
    data = bytearray((place / "data.tar.zst").read_bytes())
    data[len(data) // 2] ^= 0x40
    (place / "data.tar.zst").write_bytes(data)


def another_archive(place: Path) -> None:
    """Record other hashes of files, as if the archive were an intact one with other content."""
    content = json.loads((place / "manifest.json").read_text())
    for member in content["members"]:
        member["sha256"] = member["sha256"] and "0" * 64
    rewrite(place, members=content["members"])


def edit_the_manifest(place: Path) -> None:
    file = place / "manifest.json"
    file.write_text(file.read_text().replace('"8.1.8"', '"9.1.0"', 1))


def cut_the_manifest(place: Path) -> None:
    os.truncate(place / "manifest.json", 50)


def remove_the_archive(place: Path) -> None:
    (place / "data.tar.zst").unlink()


def remove_the_manifest(place: Path) -> None:
    (place / "manifest.json").unlink()


def escape(place: Path) -> None:
    """Record a member that would be written outside the data directory."""
    content = json.loads((place / "manifest.json").read_text())
    content["members"][-1]["path"] = "data/valkey/../../secrets/x"
    rewrite(place, members=content["members"])


def rewrite(place: Path, **changes: Any) -> None:
    content = {**json.loads((place / "manifest.json").read_text()), **changes}
    content["checksum"] = backups._checksum(content)
    (place / "manifest.json").write_text(json.dumps(content))


@pytest.mark.parametrize(
    "damage",
    [
        truncate,
        truncate_and_record,
        alter,
        another_archive,
        edit_the_manifest,
        cut_the_manifest,
        remove_the_archive,
        remove_the_manifest,
        escape,
    ],
)
def test_a_damaged_backup_is_refused_before_anything_is_touched(
    service: Service, damage: Callable[[Path], None]
) -> None:
    service.write(f"{DATA}/large", "a line of some data\n" * 20_000)
    service.back_up()
    damage(service.backups.folder / "1")
    before = state(service.root / DATA)
    with pytest.raises(RestoreError, match=r"backup 1 of valkey is damaged and is not used: .*/valkey/1"):
        stage(service.backups, service.backups.read(1), service.root)
    assert state(service.root / DATA) == before
    assert [path.name for path in (service.root / "data").iterdir()] == ["valkey"]
    with pytest.raises(RestoreError, match="damaged"):
        service.backups.verify(service.backups.read(1))


def test_an_intact_backup_is_verified(service: Service) -> None:
    backup = service.back_up()
    service.backups.verify(service.backups.read(1))
    assert service.backups.read(1) == backup


def test_a_backup_of_another_deployment_is_not_used(service: Service) -> None:
    service.back_up()
    stranger = backups.Backups(service.backups_dir, "another", "valkey")
    with pytest.raises(RestoreError, match="is of valkey of the project trade2026-core, and is not used"):
        stranger.read(1)
    assert stranger.newest() is None


# Backups that fail.


def test_an_unreadable_file_fails_the_backup_and_leaves_nothing(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreadable(path: str) -> int:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)

    monkeypatch.setattr(archive.fs, "open_for_reading", unreadable)
    with pytest.raises(PermissionError, match=r"base\.rdb"):
        service.back_up()
    assert list(service.backups.folder.iterdir()) == []


def test_a_full_disk_is_noticed_before_anything_is_written(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    with (service.root / DATA / "dump.rdb").open("wb") as file:
        file.write(b"x" * MIB)
    usage = type("usage", (), {"free": 1000})
    monkeypatch.setattr(backups.shutil, "disk_usage", lambda _path: usage)
    with pytest.raises(RestoreError, match=r"may need 1\.0 MiB, and 1000 B are free in .*nothing was changed"):
        service.back_up()
    assert not service.backups.folder.exists()


@pytest.mark.parametrize("during", ["backup", "return"])
def test_a_full_disk_leaves_no_partial_backup(service: Service, monkeypatch: pytest.MonkeyPatch, during: str) -> None:
    backup = service.back_up()

    def full(*_arguments: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    before = state(service.root / DATA)
    if during == "backup":
        monkeypatch.setattr(backups.archive, "pack", full)
        with pytest.raises(OSError, match="No space left"):
            service.back_up()
    else:
        monkeypatch.setattr(archive, "_write_sparse", full)
        with pytest.raises(OSError, match="No space left"):
            stage(service.backups, backup, service.root)
    assert state(service.root / DATA) == before
    assert [path.name for path in (service.root / "data").iterdir()] == ["valkey"]
    assert [path.name for path in service.backups.folder.iterdir()] == ["1"]


def test_no_backup_is_kept_if_the_data_changes_meanwhile(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    pack = archive.pack

    def written_meanwhile(root: Path, listing: archive.Listing, stream: IO[bytes]) -> list[archive.Member]:
        members = pack(root, listing, stream)
        service.write(f"{DATA}/dump.rdb", "more data")
        return members

    monkeypatch.setattr(backups.archive, "pack", written_meanwhile)
    with pytest.raises(RestoreError, match="changed while it was copied"):
        service.back_up()
    assert service.backups.numbers() == []


def test_a_partial_backup_of_a_killed_run_is_never_listed(service: Service) -> None:
    service.back_up()
    half = service.backups.folder / ".2.0123abcd"
    half.mkdir()
    (half / "data.tar.zst").write_text("half")
    assert service.backups.numbers() == [1]
    assert service.back_up().number == 2
    assert not half.exists()


def test_a_backup_without_one_of_the_data_directories_is_refused(service: Service) -> None:
    """Its disk may not be mounted, and such a backup could not be restored."""
    service.data = (DATA, "data/valkey-large")
    with pytest.raises(RestoreError, match=r"is incomplete, because .*/data/valkey-large is not a directory"):
        service.back_up()
    assert service.backups.numbers() == []
    service.write("data/valkey-large/file", "x")
    returned(service, service.back_up())
    assert service.read("data/valkey-large/file") == "x"


def test_files_that_a_running_service_removes_meanwhile_are_left_out(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A backup is planned while the service runs."""
    listing = os.scandir

    class Listing:
        def __init__(self, folder: Path) -> None:
            self.entries = list(listing(folder))
            if (service.root / DATA / "segment").exists():
                (service.root / DATA / "temporary").unlink()
                (service.root / DATA / "segment/file").unlink()
                (service.root / DATA / "segment").rmdir()

        def __enter__(self) -> list[os.DirEntry[str]]:
            return self.entries

        def __exit__(self, *_error: object) -> None:
            """Nothing to close."""

    service.write(f"{DATA}/temporary", "x")
    service.write(f"{DATA}/segment/file", "x")
    before = archive.scan(service.root, [DATA])
    monkeypatch.setattr(os, "scandir", Listing)
    seen = archive.scan(service.root, [DATA])
    monkeypatch.undo()
    assert set(before.entries) - set(seen.entries) >= {f"{DATA}/temporary", f"{DATA}/segment/file"}
    assert f"{DATA}/dump.rdb" in seen.entries


def test_data_that_a_process_has_open_is_not_backed_up(service: Service) -> None:
    """A container that was renamed is not the one that was stopped, and writes on."""
    with (service.root / DATA / "dump.rdb").open("ab") as file:
        writer = subprocess.Popen(["sleep", "60"], stdout=file)
    try:
        with pytest.raises(RestoreError, match=rf"still in use: process {writer.pid} \(sleep\) has files"):
            service.back_up()
    finally:
        writer.kill()
        writer.wait()
    assert service.backups.numbers() == []
    assert service.back_up().number == 1


def test_only_the_projects_own_leftovers_are_removed_beside_backups_and_restore_points(service: Service) -> None:
    """A storage system keeps its snapshots in a hidden folder, and an administrator may have one too."""
    service.back_up()
    service.prove()
    folders = [service.backups.folder, service.points.folder]
    for name in (".snapshot", ".removed-3", ".4.0123abcd", ".4.by-hand"):
        for folder in folders:
            (folder / name).mkdir()
            (folder / name / "file").touch()
    service.back_up()
    service.write(CONFIG, "maxmemory 2gb\n")
    service.prove()
    for folder in folders:
        assert sorted(path.name for path in folder.iterdir()) == [".4.by-hand", ".snapshot", "1", "2"]


def test_older_backups_are_pruned_but_never_the_newest_intact_one(service: Service) -> None:
    for _count in range(4):
        service.back_up()
    truncate(service.backups.folder / "4")
    assert service.backups.prune(2) == [1]
    assert service.backups.numbers() == [2, 3, 4]
    assert service.backups.prune(1) == [2]
    assert service.backups.prune(1) == []
    assert service.backups.newest() == service.backups.read(3)


# Which backup may be relied on.

NOW = datetime(2026, 11, 26, 12, 0, 0, tzinfo=UTC)


def taken(service: Service, age: timedelta = timedelta(0), **changes: Any) -> Backup:
    backup = service.back_up()
    return dataclasses.replace(backup, taken_at=(NOW - age).strftime(backups.TIME), **changes)


@pytest.mark.parametrize(
    ("age", "image_id", "why"),
    [
        (timedelta(0), "sha256:old", ""),
        (timedelta(hours=4), "sha256:old", ""),
        (timedelta(hours=4, seconds=1), "sha256:old", "it is 4.0 hours old, and core_backup_fresh_s allows 4.0 hours"),
        (timedelta(hours=30), "sha256:old", "it is 30.0 hours old, and core_backup_fresh_s allows 4.0 hours"),
        (timedelta(hours=-1), "sha256:old", "its time is in the future; check the machine's clock"),
        (timedelta(0), "sha256:new", "it is of version 8.1.8, and another image runs now"),
        (timedelta(0), "", "it is of version 8.1.8, and another image runs now"),
    ],
)
def test_a_backup_is_fresh_if_it_is_recent_and_its_image_still_runs(
    service: Service, age: timedelta, image_id: str, why: str
) -> None:
    assert why_not_fresh(taken(service, age), image_id, 4 * 3600, NOW) == why


def test_a_backup_of_a_service_without_a_container_has_no_version(service: Service) -> None:
    backup = taken(service, image_id="", version="")
    assert why_not_fresh(backup, "", 3600, NOW)
    assert not backup.holds("", "")


def test_the_newest_backup_of_a_version_is_chosen(service: Service) -> None:
    service.back_up()
    service.back_up()
    service.version = "9.1.0"
    service.back_up("sha256:new")
    found = service.backups.newest_of("8.1.8", "sha256:rebuilt")
    assert found is not None
    assert found.number == 2
    assert service.backups.newest_of("7.2.0", "sha256:x") is None


# The folder of the backups.


def test_an_unsuitable_folder_for_backups_is_refused(service: Service, tmp_path: Path) -> None:
    root, other = service.root, tmp_path.with_name(f"{tmp_path.name}-other")
    data, forbidden = {"valkey": [DATA]}, [root / "trade2025"]
    assert refuse_folder(service.backups_dir, root, data, forbidden) == ""
    assert "inside the data" in refuse_folder(root / DATA / "backups", root, data, forbidden)
    assert "which must not be changed" in refuse_folder(root / "trade2025/backups", root, data, forbidden)
    assert "does not exist; mount its disk" in refuse_folder(other, root, data, forbidden)
    other.mkdir()
    assert refuse_folder(other, root, data, forbidden) == ""


def test_backups_are_never_kept_in_the_same_folder_as_the_data(service: Service) -> None:
    """A backup removes what a killed one left beside it, so this would remove live data."""
    root, data = service.root, {"valkey": [DATA]}
    assert f"the backups of valkey would be in {root / DATA}" in refuse_folder(root / "data", root, data, [])
    (root / "mounted").symlink_to("data")
    assert "choose another folder" in refuse_folder(root / "mounted", root, data, [])
    below = {"valkey": ["valkey/data"]}
    (root / "valkey/data").mkdir(parents=True)
    assert "choose another folder" in refuse_folder(root, root, below, [])
    # The folder of a deployment is no problem by itself.
    assert refuse_folder(root, root, data, []) == ""
