# SPDX-License-Identifier: GPL-3.0-or-later
"""The migration: what is kept, what is refused, what a second run does, and that a dry run predicts correctly."""

from __future__ import annotations

import fcntl
import gzip
import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible.module_utils.migration.context import MigrationError
from migration_case import check_then_run, listed, migrate, rules_of, snapshot, summary


@pytest.fixture
def src(tmp_path: Path) -> Path:
    root = tmp_path / "trade2025"
    (root / "trading" / "empty").mkdir(parents=True)
    (root / "trading" / "start.ps1").write_bytes(b'\xef\xbb\xbf$d = "C:\\trade2025\\trading\\nats\\x"\r\n\tend \xff')
    (root / "trading" / "run").write_bytes(b"")
    (root / "trading" / "conf.json").write_text('{"p": "C:\\\\trade2025\\\\trading\\\\x", "password": "hunter2"}')
    (root / "trading" / "wide.txt").write_bytes("\ufeffC:\\trade2025\\trading\\a\r\n".encode("utf-16-be"))
    (root / "trading" / "data.bin").write_bytes(b"\x00\x01\x02")
    (root / "trading" / "a name\nof two lines \udcff").write_text("x")
    (root / "trading" / "run").chmod(0o4751)
    (root / "trading" / "empty").chmod(0o711)
    os.utime(root / "trading" / "run", ns=(1_600_000_000_123_456_789, 1_600_000_000_123_456_789))
    return root


def test_the_first_run_rewrites_and_the_second_changes_nothing(src: Path, tmp_path: Path) -> None:
    before = snapshot(src)
    dest = tmp_path / "dest"
    first = check_then_run(src, dest)
    assert (first.files_total, first.files_rewritten, first.files_copied, first.replacements) == (6, 3, 3, 3)
    assert (
        dest / "trading" / "start.ps1"
    ).read_bytes() == b'\xef\xbb\xbf$d = "/srv/trade2026/data/nats/x"\r\n\tend \xff'
    assert (dest / "trading" / "wide.txt").read_bytes() == "\ufeff/srv/trade2026/a\r\n".encode("utf-16-be")
    second = check_then_run(src, dest)
    assert not second.changed
    assert second.leftovers == first.leftovers
    assert snapshot(src) == before
    assert snapshot(dest).keys() == before.keys()


def test_modes_times_and_empty_directories_are_kept(src: Path, tmp_path: Path) -> None:
    migrate(src, tmp_path / "dest")
    old, new = snapshot(src), snapshot(tmp_path / "dest")
    assert old
    for path in old:
        mode = int(old[path][0], 8)
        assert int(new[path][0], 8) == (mode & ~0o6000 if stat.S_ISREG(mode) else mode), path
        assert new[path][1] == old[path][1], path


def test_a_secret_is_not_in_the_diff(src: Path, tmp_path: Path) -> None:
    diff = migrate(src, tmp_path / "dest", with_diff=True).as_dict()["diff"][0]["prepared"]
    assert "/srv/trade2026/x" in diff
    assert "hunter2" not in diff


def test_symlinks_and_hard_links_are_kept_and_mapped_targets_rewritten(src: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").write_text("secret")
    (src / "trading" / "relative").symlink_to("../trading/run")
    (src / "mapped").symlink_to("C:/trade2025/trading/nats/x")
    (src / "escaping").symlink_to("../outside")
    (src / "dangling").symlink_to("missing")
    os.link(src / "trading" / "run", src / "zweite")
    dest = tmp_path / "dest"
    report = check_then_run(src, dest)
    assert str((dest / "trading" / "relative").readlink()) == "../trading/run"
    assert str((dest / "mapped").readlink()) == "/srv/trade2026/data/nats/x"
    assert str((dest / "dangling").readlink()) == "missing"
    assert report.escaping == [("escaping", "../outside")]
    assert (dest / "zweite").samefile(dest / "trading" / "run")
    assert not check_then_run(src, dest).changed
    (src / "zweite").write_text("C:/trade2025/trading/y")
    check_then_run(src, dest)
    assert (dest / "zweite").samefile(dest / "trading" / "run")
    assert (dest / "trading" / "run").read_text() == "/srv/trade2026/y"
    assert not check_then_run(src, dest).changed


def test_a_symlink_to_a_mapped_path_that_is_not_rewritten_is_reported(tmp_path: Path) -> None:
    src = tmp_path / "old"
    src.mkdir()
    (src / "windows").symlink_to("D:\\feeds\\live")
    (src / "mapped").symlink_to("/mnt/d/feeds/live")
    (src / "other").symlink_to("/mnt/d/feeds2/live")
    report = check_then_run(src, tmp_path / "dest", rules=rules_of({"D:/feeds": "/srv/feeds"}))
    assert list(report.leftovers) == ["windows"]
    assert (tmp_path / "dest/mapped").readlink() == Path("/srv/feeds/live")


def test_holes_stay_holes(src: Path, tmp_path: Path) -> None:
    with (src / "image").open("wb") as file:
        file.seek(64 << 20)
        file.write(b"trade2025")
        file.truncate(128 << 20)
    report = check_then_run(src, tmp_path / "dest")
    status = (tmp_path / "dest" / "image").stat()
    assert (status.st_size, status.st_blocks * 512 < 1 << 20) == (128 << 20, True)
    assert listed(report)["image"] == [(0, "binary file: …trade2025…")]
    assert not check_then_run(src, tmp_path / "dest").changed


def test_special_files_and_exclusions_are_reported(src: Path, tmp_path: Path) -> None:
    os.mkfifo(src / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(src / "sock"))
    for name in (".git", "node_modules", "logs", "trading/keep"):
        (src / name).mkdir()
        (src / name / "file.txt").write_text("x")
    (src / "trading" / "x.log").write_text("x")
    report = check_then_run(
        src, tmp_path / "dest", exclude=(".git", "node_modules", "logs", "*.log", "trading/*/file.*")
    )
    assert dict(report.skipped) == {
        "pipe": "a FIFO is not copied",
        "sock": "a socket is not copied",
        ".git": "excluded by '.git'",
        "node_modules": "excluded by 'node_modules'",
        "logs": "excluded by 'logs'",
        "trading/x.log": "excluded by '*.log'",
        "trading/keep/file.txt": "excluded by 'trading/*/file.*'",
    }
    assert (tmp_path / "dest" / "trading" / "keep").is_dir()


def test_a_path_longer_than_the_system_accepts_is_migrated(src: Path, tmp_path: Path) -> None:
    name, depth = "d" * 200, 30
    current = os.open(src, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir(name, dir_fd=current)
        following = os.open(name, os.O_RDONLY, dir_fd=current)
        os.close(current)
        current = following
    with os.fdopen(os.open("deep", os.O_WRONLY | os.O_CREAT, 0o644, dir_fd=current), "w") as file:
        file.write("C:/trade2025/trading/x")
    os.close(current)
    assert migrate(src, tmp_path / "dest", check_mode=True).files_rewritten == 4
    assert migrate(src, tmp_path / "dest").files_rewritten == 4
    assert not migrate(src, tmp_path / "dest").changed


def test_leftovers_name_path_line_and_text(src: Path, tmp_path: Path) -> None:
    (src / "notes.md").write_text("ok\nabout Trade-2025\nTRADE2025 token=abcdef12345\n")
    (src / "trade2025_old").mkdir()
    (src / "blob").write_bytes(b"\x00" + "C:\\trade2025".encode("utf-16-le"))
    (src / "pack.gz").write_bytes(gzip.compress(b"member trade2025/x"))
    (src / "link").symlink_to("C:/other/trade2025")
    report = check_then_run(src, tmp_path / "dest")
    assert listed(report) == {
        "notes.md": [(2, "about Trade-2025"), (3, "TRADE2025 token=********")],
        "trade2025_old": [(0, "the name itself")],
        "blob": [(0, "binary file: …C:\\trade2025…")],
        "pack.gz": [(0, "inside the gzip file: …member trade2025/x…")],
        "link": [(0, "symlink to C:/other/trade2025")],
    }
    assert report.leftovers_total == 6
    assert summary(migrate(src, tmp_path / "dest"))["leftovers"] == summary(report)["leftovers"]
    refused = check_then_run(src, tmp_path / "strict", strict=True)
    assert "6 mentions" in refused.failure
    assert not (tmp_path / "strict").exists()


def test_strict_passes_where_nothing_is_left(src: Path, tmp_path: Path) -> None:
    assert check_then_run(src, tmp_path / "dest", strict=True).changed


def test_a_compose_file_keeps_its_layout(src: Path, tmp_path: Path) -> None:
    text = (
        "# ./trading/nats\nservices:\n  nats: &n   # comment\n    build: './trading/apps'\n"
        "    command: [./trading/nats/run]\n"
        "    volumes:\r\n      - ./trading/nats:/data\n      - {type: bind, source: ./trading/apps, target: /a}\n"
        "    networks: [trade2025-frontend]\n"
    )
    (src / "docker-compose.core.yml").write_bytes(text.encode())
    rules = rules_of(
        {
            "C:/trade2025": "/srv/t",
            "C:/trade2025/trading/nats": "/srv/t/data/nats",
            "C:/trade2025/trading/apps": "/srv/t/apps",
        },
        {"trade2025-frontend": "trade2026-frontend"},
    )
    check_then_run(src, tmp_path / "dest", rules=rules)
    wanted = (
        text.replace("'./trading/apps'", "'./apps'")
        .replace("- ./trading/nats", "- ./data/nats")
        .replace("source: ./trading/apps", "source: ./apps")
        .replace("trade2025", "trade2026")
    )
    assert (tmp_path / "dest" / "docker-compose.core.yml").read_bytes() == wanted.encode()


# Files that changed between two runs: trading/conf.json; `hand` changes the destination, `source` the source.


def _write(text: str) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.write_text(text)

    return write


def test_a_relative_path_that_cannot_follow_its_place_is_left_over(tmp_path: Path) -> None:
    src = tmp_path / "trade2025/trading"
    src.mkdir(parents=True)
    (src / "compose.yml").write_text("services:\n  nats:\n    volumes:\n      - ./nats:/data\n      - ./logs:/logs\n")
    # No relative path leads from one drive to another.
    rules = rules_of({"C:/trade2025/trading": "D:/Trade2026", "C:/trade2025/trading/nats": "E:/nats"})
    report = migrate(src, tmp_path / "dest", rules)
    assert listed(report) == {"compose.yml": [(4, "- ./nats:/data")]}
    assert (tmp_path / "dest/compose.yml").read_bytes() == (src / "compose.yml").read_bytes()


@pytest.mark.parametrize("on_conflict", ["fail", "backup", "overwrite"])
def test_a_file_changed_on_both_sides_is_a_conflict_that_the_option_resolves(
    src: Path, tmp_path: Path, on_conflict: str
) -> None:
    dest = tmp_path / "dest"
    migrate(src, dest)
    file = dest / "trading" / "conf.json"
    file.write_text("by hand")
    (src / "trading" / "conf.json").write_text("C:/trade2025/trading/new")
    (src / "trading" / "other").write_text("new file")
    before = snapshot(dest)
    report = check_then_run(src, dest, on_conflict=on_conflict)
    assert report.conflicts[0][0] == "trading/conf.json"
    backups = list(file.parent.glob("conf.json.*.bak"))
    if on_conflict == "fail":
        assert "trading/conf.json: changed by hand" in report.failure
        assert not report.changed
        assert snapshot(dest) == before
        return
    assert file.read_text() == "/srv/trade2026/new"
    assert [backup.read_text() for backup in backups] == (["by hand"] if on_conflict == "backup" else [])
    assert not check_then_run(src, dest, on_conflict=on_conflict).changed


def test_a_hand_changed_file_stays_while_its_source_does(src: Path, tmp_path: Path) -> None:
    dest = tmp_path / "dest"
    migrate(src, dest)
    (dest / "trading" / "conf.json").write_text("by hand")
    for _ in range(2):
        report = check_then_run(src, dest)
        assert (report.changed, report.kept) == (False, ["trading/conf.json"])
    os.utime(src / "trading" / "conf.json")
    report = check_then_run(src, dest)
    assert report.kept == ["trading/conf.json"]
    assert (dest / "trading" / "conf.json").read_text() == "by hand"


def test_a_foreign_file_is_a_conflict_and_an_equal_one_is_adopted(src: Path, tmp_path: Path) -> None:
    dest = tmp_path / "dest"
    (dest / "trading").mkdir(parents=True)
    (dest / "trading" / "data.bin").write_bytes(b"\x00\x01\x02")
    check_then_run(src, dest)
    other = tmp_path / "other"
    (other / "trading").mkdir(parents=True)
    (other / "trading" / "data.bin").write_bytes(b"else")
    report = check_then_run(src, other)
    assert "no migration wrote it" in report.failure
    assert not (other / "trading" / "run").exists()


def test_a_removed_file_comes_back_and_a_new_mode_follows(src: Path, tmp_path: Path) -> None:
    dest = tmp_path / "dest"
    migrate(src, dest)
    (dest / "trading" / "data.bin").unlink()
    (src / "trading" / "conf.json").chmod(0o640)
    report = check_then_run(src, dest)
    assert (report.files_copied, report.files_touched) == (1, 1)
    assert (dest / "trading" / "conf.json").stat().st_mode & 0o777 == 0o640


def test_a_mode_that_the_site_changed_stays(src: Path, tmp_path: Path) -> None:
    dest = tmp_path / "dest"
    source, copy = src / "trading" / "conf.json", dest / "trading" / "conf.json"
    source.chmod(0o644)
    migrate(src, dest)
    copy.chmod(0o600)
    assert not check_then_run(src, dest).changed
    source.touch()
    check_then_run(src, dest)
    assert copy.stat().st_mode & 0o777 == 0o600
    source.write_text('{"new": 1}')
    assert check_then_run(src, dest).files_copied == 1
    assert copy.stat().st_mode & 0o777 == 0o600
    source.write_text('{"new": 2}')
    check_then_run(src, dest)
    assert copy.stat().st_mode & 0o777 == 0o600
    assert not check_then_run(src, dest).changed


def test_another_map_rewrites_the_files_again(src: Path, tmp_path: Path) -> None:
    dest = tmp_path / "dest"
    migrate(src, dest)
    report = check_then_run(src, dest, rules=rules_of({"C:/trade2025/trading": "/opt/new"}))
    assert report.files_rewritten == 3
    assert b"/opt/new/nats/x" in (dest / "trading" / "start.ps1").read_bytes()


def test_prune_takes_only_what_a_migration_wrote(src: Path, tmp_path: Path) -> None:
    dest = tmp_path / "dest"
    (src / "gone").mkdir()
    for name in ("one", "two"):
        (src / "gone" / name).write_text("x")
    (src / "bare").mkdir()
    (src / "bare" / "three").write_text("x")
    migrate(src, dest)
    (dest / "gone" / "two").write_text("by hand")
    (dest / "own").write_text("the site's")
    for path in (src / "gone" / "one", src / "gone" / "two", src / "bare" / "three"):
        path.unlink()
    (src / "gone").rmdir()
    (src / "bare").rmdir()
    assert not check_then_run(src, dest).changed
    report = check_then_run(src, dest, prune=True)
    assert sorted(report.pruned) == ["bare", "bare/three", "gone/one"]
    assert sorted(path.name for path in dest.iterdir() if path.name != ".trade_migrate") == ["gone", "own", "trading"]
    assert not check_then_run(src, dest, prune=True).changed


@pytest.mark.parametrize("on_conflict", ["fail", "backup", "overwrite"])
def test_an_entry_of_another_type_in_the_way_is_a_conflict(src: Path, tmp_path: Path, on_conflict: str) -> None:
    dest = tmp_path / "dest"
    (dest / "elsewhere").mkdir(parents=True)
    (dest / "trading").symlink_to("elsewhere")
    report = check_then_run(src, dest, on_conflict=on_conflict)
    assert report.conflicts == [("trading", "something that is not a directory is in its place", on_conflict)]
    assert not list((dest / "elsewhere").iterdir())
    assert (dest / "trading").is_symlink() == (on_conflict == "fail")


def test_a_directory_is_never_overwritten(src: Path, tmp_path: Path) -> None:
    dest = tmp_path / "dest"
    (dest / "trading" / "run" / "kept").mkdir(parents=True)
    assert "never overwritten" in check_then_run(src, dest, on_conflict="overwrite").failure
    check_then_run(src, dest, on_conflict="backup")
    assert (dest / "trading" / "run").is_file()


def test_unsuitable_folders_are_refused(src: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(src)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.symlink_to(tmp_path / "real")
    file = tmp_path / "file"
    file.write_text("")
    before = snapshot(tmp_path)
    for source, dest, reason in (
        (src, src, "same directory"),
        (src, src / "x", "is inside src"),
        (src / "trading", src, "is inside dest"),
        (src, link, "is a symlink"),
        (link, src, "same directory"),
        (src, link / "x" / "y", "is inside src"),
        (src, elsewhere, "is a symlink"),
        (tmp_path / "none", tmp_path / "dest", "does not exist"),
        (file, tmp_path / "dest", "not a directory"),
        (src, file, "not a directory"),
        (src, file / "x", "not a directory"),
    ):
        with pytest.raises(MigrationError, match=reason):
            migrate(source, dest)
    assert snapshot(tmp_path) == before


def test_a_second_run_at_once_is_refused(src: Path, tmp_path: Path) -> None:
    dest = tmp_path / "dest"
    migrate(src, dest)
    with (dest / ".trade_migrate" / "lock").open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        for check_mode in (False, True):
            with pytest.raises(MigrationError, match="is running"):
                migrate(src, dest, check_mode=check_mode)
    assert not migrate(src, dest).changed


def test_a_damaged_manifest_is_named(src: Path, tmp_path: Path) -> None:
    dest = tmp_path / "dest"
    migrate(src, dest)
    manifest = dest / ".trade_migrate" / "manifest"
    manifest.write_bytes(manifest.read_bytes()[:-20])
    with pytest.raises(MigrationError, match="manifest cannot be used"):
        migrate(src, dest)


def test_the_state_can_be_outside_of_the_destination(src: Path, tmp_path: Path) -> None:
    dest, beside = tmp_path / "dest", tmp_path / "state"
    migrate(src, dest, state_dir=str(beside))
    assert not (dest / ".trade_migrate").exists()
    assert not migrate(src, dest, state_dir=str(beside)).changed


def test_many_files_by_two_processes_equal_one(tmp_path: Path) -> None:
    src = tmp_path / "trade2025"
    for number in range(900):
        folder = src / f"d{number % 9}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"f{number}").write_text(f"C:\\trade2025\\trading\\{number}\n" * (number % 5))
    reports = [summary(migrate(src, tmp_path / f"dest{count}", workers=count)) for count in (1, 2)]
    assert reports[0] == reports[1]
    assert snapshot(tmp_path / "dest1") == snapshot(tmp_path / "dest2")


def test_a_text_of_an_unknown_encoding_has_a_diff(src: Path, tmp_path: Path) -> None:
    (src / "run.bat").write_bytes("rem \u793a\r\ncd C:\\trade2025\\trading\\nats\r\n".encode("cp932"))
    report = check_then_run(src, tmp_path / "dest")
    assert "+cd /srv/trade2026/data/nats" in report.diff
