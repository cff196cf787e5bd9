# SPDX-License-Identifier: GPL-3.0-or-later
"""The boundaries of the tree: other file systems, symlinked folders, manual changes, and unreadable files."""

from __future__ import annotations

import errno
import functools
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.module_utils.migration import apply, engine
from ansible.module_utils.migration import manifest as state
from ansible.module_utils.migration.context import MigrationError
from ansible.module_utils.shared import fs
from migration_case import check_then_run, migrate, snapshot, summary

# Makes a file too large to be handled in one piece.
FILLER = ("x" * 99 + "\n") * 50_000


@pytest.fixture
def src(tmp_path: Path) -> Path:
    root = tmp_path / "trade2025"
    (root / "data" / "deep").mkdir(parents=True)
    (root / "a").write_text("C:/trade2025/trading/a")
    (root / "data" / "deep" / "b").write_text("C:/trade2025/trading/b")
    (root / "data" / "large").write_text("C:/trade2025/trading/c\n" + FILLER)
    (root / "data" / "link").symlink_to("deep/b")
    os.link(root / "data" / "deep" / "b", root / "data" / "again")
    os.link(root / "a", root / "data" / "of-a")
    return root


@pytest.fixture
def other_file_system(tmp_path: Path) -> Iterator[Path]:
    """A folder on another file system than `tmp_path`."""
    place = next((p for p in ("/dev/shm", "/var/tmp") if Path(p).stat().st_dev != tmp_path.stat().st_dev), None)
    if place is None:
        pytest.skip("this machine has one file system only")
    folder = tempfile.mkdtemp(dir=place)
    yield Path(folder)
    shutil.rmtree(folder)


def mount(monkeypatch: pytest.MonkeyPatch, known_before: bool) -> None:
    """Make folders named `data`, with everything below, behave as if something else were mounted there."""
    originals = {name: getattr(os, name) for name in ("rename", "link")}

    def mounted(descriptor: int) -> bool:
        return "data" in Path(f"/proc/self/fd/{descriptor}").readlink().parts

    def call(name: str, *args: Any, src_dir_fd: int, dst_dir_fd: int, **kwargs: Any) -> None:
        if mounted(src_dir_fd) != mounted(dst_dir_fd):
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        originals[name](*args, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd, **kwargs)

    for name in originals:
        monkeypatch.setattr(os, name, functools.partial(call, name))
    if known_before:
        monkeypatch.setattr(fs, "file_system_of", lambda descriptor: (mounted(descriptor), 0))


def check_migrated(dest: Path) -> None:
    assert (dest / "data" / "deep" / "b").read_text() == "/srv/trade2026/b"
    assert (dest / "data" / "large").read_text() == "/srv/trade2026/c\n" + FILLER
    assert str((dest / "data" / "link").readlink()) == "deep/b"
    assert (dest / "data" / "again").samefile(dest / "data" / "deep" / "b")
    assert (dest / "data" / "of-a").read_text() == "/srv/trade2026/a"
    assert not list(dest.rglob(".trade_migrate-*"))


def test_the_state_may_be_on_another_file_system(src: Path, tmp_path: Path, other_file_system: Path) -> None:
    dest, beside = tmp_path / "dest", str(other_file_system / "state")
    check_then_run(src, dest, state_dir=beside)
    check_migrated(dest)
    (src / "a").write_text("C:/trade2025/trading/new")
    (src / "data" / "link").unlink()
    (src / "data" / "link").symlink_to("large")
    assert check_then_run(src, dest, state_dir=beside).links_written == 1
    assert not check_then_run(src, dest, state_dir=beside).changed
    assert not list((other_file_system / "state" / "staging").iterdir())


@pytest.mark.parametrize("known_before", [True, False], ids=["mount", "only the rename shows it"])
def test_a_mount_in_the_destination_is_written_to(
    src: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, known_before: bool
) -> None:
    dest = tmp_path / "dest"
    # A dry run finds what is mounted there, unlike for a folder that does not exist yet.
    (dest / "data").mkdir(parents=True)
    mount(monkeypatch, known_before)
    run = check_then_run if known_before else migrate
    run(src, dest)
    check_migrated(dest)
    assert not (dest / "data" / "of-a").samefile(dest / "a")
    assert not run(src, dest).changed
    (dest / "data" / "deep" / "b").unlink()
    (dest / "data" / "deep" / "b").write_text("by hand")
    (src / "data" / "deep" / "b").write_text("new")
    run(src, dest, on_conflict="backup")
    assert [backup.read_text() for backup in (dest / "data" / "deep").glob("b.*.bak")] == ["by hand"]


def test_every_file_system_is_flushed_before_the_manifest_speaks_of_it(
    src: Path, tmp_path: Path, other_file_system: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed = []

    def flush(descriptor: int) -> None:
        flushed.append(os.fstat(descriptor).st_dev)

    monkeypatch.setattr(fs, "sync_file_system", flush)
    migrate(src, tmp_path / "dest", state_dir=str(other_file_system / "state"))
    assert flushed == [tmp_path.stat().st_dev, other_file_system.stat().st_dev]


@pytest.mark.parametrize("on_conflict", ["backup", "overwrite"])
def test_a_folder_that_the_site_moved_away_is_not_searched(src: Path, tmp_path: Path, on_conflict: str) -> None:
    """If a folder is replaced by a symlink, nothing below its target belongs to the destination."""
    dest, elsewhere = tmp_path / "dest", tmp_path / "elsewhere"
    (elsewhere / "deep").mkdir(parents=True)
    (elsewhere / "deep" / "b").write_text("the site's")
    dest.mkdir()
    (dest / "data").symlink_to(elsewhere)
    report = check_then_run(src, dest, on_conflict=on_conflict)
    assert [path for path, _reason, _action in report.conflicts] == ["data"]
    assert (elsewhere / "deep" / "b").read_text() == "the site's"
    check_migrated(dest)


def test_pruning_does_not_follow_a_folder_that_the_site_moved_away(src: Path, tmp_path: Path) -> None:
    dest, elsewhere = tmp_path / "dest", tmp_path / "elsewhere"
    migrate(src, dest)
    (dest / "data").rename(elsewhere)
    (dest / "data").symlink_to(elsewhere)
    before = snapshot(elsewhere)
    shutil.rmtree(src / "data")
    assert check_then_run(src, dest, prune=True).pruned == []
    assert snapshot(elsewhere) == before


@pytest.mark.parametrize("on_conflict", ["backup", "overwrite"])
def test_a_directory_in_place_of_a_symlink_is_a_conflict(src: Path, tmp_path: Path, on_conflict: str) -> None:
    dest = tmp_path / "dest"
    (dest / "data" / "link" / "own").mkdir(parents=True)
    report = check_then_run(src, dest, on_conflict=on_conflict)
    assert ("never overwritten" in report.failure) == (on_conflict == "overwrite")
    assert (dest / "a").exists() == (dest / "data" / "link").is_symlink() == (on_conflict == "backup")


def test_a_full_disk_leaves_the_file_that_was_to_be_backed_up(
    src: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dest = tmp_path / "dest"
    dest.mkdir()
    (dest / "a").write_text("by hand")

    original = state.note

    def fill(journal: fs.AppendLog, digest: bytes, path: bytes) -> None:
        if path == b"a":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        original(journal, digest, path)

    with monkeypatch.context() as patch:
        patch.setattr(apply, "note", fill)
        with pytest.raises(MigrationError, match="No space left"):
            migrate(src, dest, on_conflict="backup")
    assert (dest / "a").read_text() == "by hand"
    assert not list(dest.glob("*.bak"))
    check_then_run(src, dest, on_conflict="backup")
    assert [backup.read_text() for backup in dest.glob("a.*.bak")] == ["by hand"]


@pytest.mark.skipif(os.geteuid() != 0, reason="root becomes another user here")
def test_a_file_that_may_not_be_read_stops_everything_before_anything_is_written() -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        root.chmod(0o777)
        (root / "trade2025").mkdir()
        for number in range(3):
            (root / "trade2025" / f"f{number}").write_text("x")
        (root / "trade2025" / "f1").chmod(0o600)
        os.seteuid(65534)
        try:
            report = check_then_run(root / "trade2025", root / "dest")
        finally:
            os.seteuid(0)
        assert "1 files cannot be migrated: f1: Permission denied" in report.failure
        assert not (root / "dest").exists()


def test_the_state_may_not_be_in_the_source(src: Path, tmp_path: Path) -> None:
    (tmp_path / "way").symlink_to(src)
    before = snapshot(src)
    for place in (src / "state", src, tmp_path / "way" / "state"):
        with pytest.raises(MigrationError, match=r"state_dir=.* is inside src="):
            migrate(src, tmp_path / "dest", state_dir=str(place))
    assert snapshot(src) == before


def test_a_state_in_the_source_is_reported_as_left_out(src: Path, tmp_path: Path) -> None:
    (src / ".trade_migrate").mkdir()
    assert check_then_run(src, tmp_path / "dest").skipped == [
        (".trade_migrate", "the state of a migration is not copied")
    ]


@pytest.mark.parametrize("there", [False, True])
def test_a_first_run_that_another_one_overtook_is_refused(
    src: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    dest, original = tmp_path / "dest", engine.scan
    if there:
        dest.mkdir()

    def scan(*args: Any) -> Any:
        monkeypatch.setattr(engine, "scan", original)
        found = original(*args)
        migrate(src, dest)
        return found

    monkeypatch.setattr(engine, "scan", scan)
    with pytest.raises(MigrationError, match="in the meantime"):
        migrate(src, dest)
    assert not migrate(src, dest).changed


def test_few_blocks_alone_do_not_mean_holes(src: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """File systems that compress or allocate late count fewer blocks than a file has bytes."""
    original = os.fstat

    def status(descriptor: int) -> Any:
        found = original(descriptor)
        fields = {name: getattr(found, name) for name in dir(found) if name.startswith("st_")}
        return SimpleNamespace(**fields | {"st_blocks": 1})

    (src / "data" / "middle").write_text("C:/trade2025/trading/m\n" * 9000)
    monkeypatch.setattr(os, "fstat", status)
    check_then_run(src, tmp_path / "dest", workers=1)
    check_migrated(tmp_path / "dest")
    assert (tmp_path / "dest" / "data" / "middle").read_text() == "/srv/trade2026/m\n" * 9000


def test_a_torn_record_in_the_journal_does_not_swallow_the_next(src: Path, tmp_path: Path) -> None:
    place = tmp_path / "state"
    place.mkdir()
    directory = os.open(place, os.O_RDONLY)
    for path in (b"one", b"two"):
        journal = state.open_journal(directory)
        state.note(journal, b"digest", path)
        os.write(journal.descriptor, b"torn-dig")
        journal.close()
    known = state.Manifest.load(directory, "").journal
    os.close(directory)
    assert known[b"one"] == known[b"two"] == {b"digest"}


@pytest.mark.parametrize("kind", ["file", "directory"])
def test_a_symlink_of_an_interrupted_run_makes_room_for_what_its_source_became(
    src: Path, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    dest = tmp_path / "dest"

    def stop(*_args: Any) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(state.Manifest, "save", stop)
        with pytest.raises(MigrationError):
            migrate(src, dest)
    (src / "data" / "link").unlink()
    if kind == "file":
        (src / "data" / "link").write_text("now a file")
    else:
        (src / "data" / "link").mkdir()
    report = check_then_run(src, dest)
    assert (report.failure, report.conflicts) == ("", [])
    assert summary(migrate(src, dest))["changed"] is False
