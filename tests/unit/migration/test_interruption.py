# SPDX-License-Identifier: GPL-3.0-or-later
"""A run that is killed, or stopped by a disk error, leaves complete files, and the next run completes the migration."""

from __future__ import annotations

import errno
import functools
import os
import random
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.migration.context import MigrationError
from migration_case import migrate, snapshot

# The calls by which a run changes anything; a run is stopped in the middle of one of them.
CALLS = (
    "write",
    "pwrite",
    "rename",
    "mkdir",
    "symlink",
    "link",
    "utime",
    "chmod",
    "fchmod",
    "unlink",
    "rmdir",
    "open",
    "fsync",
)


def make(root: Path, version: int) -> None:
    """A tree; later versions change, add, remove and replace some of it."""
    for number in range(12):
        folder = root / f"d{number % 3}"
        folder.mkdir(parents=True, exist_ok=True)
        kept = number % 2
        text = f"C:\\trade2025\\trading\\v{0 if kept else version}\\{number}\r\n" * (number + 1)
        if not kept or version == 1:
            (folder / f"f{number}").write_bytes(text.encode() + (b"\x00" if number == 4 else b""))
    if version == 1:
        (root / "link").symlink_to("C:/trade2025/trading/nats")
        (root / "turns").write_text("a file")
        (root / "gone").write_text("x")
        os.link(root / "d0" / "f0", root / "second")
    else:
        if (root / "turns").is_file():
            (root / "turns").unlink()
        (root / "turns").mkdir(exist_ok=True)
        (root / "turns" / f"new{version}").write_text("now a directory")
        (root / "gone").unlink(missing_ok=True)
        (root / "link").unlink()
        (root / "link").symlink_to(f"C:/trade2025/trading/v{version}")


def contents(root: Path) -> dict[bytes, Any]:
    return {path: entry[2] for path, entry in snapshot(root).items()}


def count_and(stop_at: int, stop: Callable[[str, tuple[Any, ...]], None], run: Callable[[], object]) -> int:
    """Run with every call of `CALLS` counted; the call number `stop_at` calls `stop` first. Returns the count."""
    count = 0
    originals = {name: getattr(os, name) for name in CALLS}

    def wrap(name: str) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            nonlocal count
            if name != "open" or args[1] & (os.O_CREAT | os.O_TRUNC):
                count += 1
                if count == stop_at:
                    stop(name, args)
            return originals[name](*args, **kwargs)

        return call

    for name in CALLS:
        setattr(os, name, wrap(name))
    try:
        run()
    finally:
        for name, original in originals.items():
            setattr(os, name, original)
    return count


def killed(src: Path, dest: Path, point: int) -> None:
    """Run in a process that kills itself at its call number `point`, with half of the bytes written if it writes."""

    def stop(name: str, args: tuple[Any, ...]) -> None:
        if name == "write":
            os.pwrite(args[0], bytes(args[1])[: len(args[1]) // 2], os.lseek(args[0], 0, os.SEEK_CUR))
        os.kill(os.getpid(), signal.SIGKILL)

    child = os.fork()
    if not child:
        try:
            count_and(point, stop, lambda: migrate(src, dest, workers=1, prune=True))
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), f"the run came to its end before call {point}"


@pytest.fixture(scope="module")
def versions(tmp_path_factory: pytest.TempPathFactory) -> dict[int, tuple[Path, dict[bytes, Any]]]:
    """Sources by version, and the result of an undisturbed run of each."""
    found = {}
    previous: Path | None = None
    for version in (1, 2, 3):
        src = tmp_path_factory.mktemp(f"v{version}") / "trade2025"
        if previous:
            shutil.copytree(previous, src, symlinks=True)
        make(src, version)
        dest = src.parent / "dest"
        migrate(src, dest)
        found[version] = (src, contents(dest))
        previous = src
    return found


def check_whole(dest: Path, *states: dict[bytes, Any]) -> None:
    """Everything in the destination is as in one of the states."""
    if dest.exists():
        for path, content in contents(dest).items():
            assert content in {state.get(path) for state in states}, path


def points(run: Callable[[], object], number: int, seed: int) -> list[int]:
    """Random places in a run, the first and the last call among them."""
    last = count_and(-1, lambda *_: None, run)
    drawn = random.Random(seed).sample(range(2, last), number - 2)
    return [1, *sorted(drawn), last]


def test_a_first_run_killed_at_25_random_points(versions: dict[int, Any], tmp_path: Path) -> None:
    src, wanted = versions[1]
    chosen = points(lambda: migrate(src, tmp_path / "measure", workers=1, prune=True), 25, 1)
    for point in chosen:
        dest = tmp_path / f"at{point}"
        killed(src, dest, point)
        check_whole(dest, wanted)
        migrate(src, dest)
        assert contents(dest) == wanted
        assert not list((dest / ".trade_migrate" / "staging").iterdir())
        assert not migrate(src, dest).changed


def test_a_later_run_killed_at_25_random_points(versions: dict[int, Any], tmp_path: Path) -> None:
    """Even if the source changes again before the next run, partial work is not a conflict."""
    (first, old), (second, new), (third, last) = versions[1], versions[2], versions[3]
    base = tmp_path / "base"
    migrate(first, base)

    def fresh(name: str) -> Path:
        dest = tmp_path / name
        shutil.copytree(base, dest, symlinks=True)
        return dest

    measure = fresh("measure")
    chosen = points(lambda: migrate(second, measure, workers=1, prune=True), 25, 2)
    new = new.copy()
    for number, point in enumerate(chosen):
        dest = fresh(f"at{point}")
        killed(second, dest, point)
        check_whole(dest, old, new)
        src, wanted = (second, new) if number % 2 else (third, last)
        report = migrate(src, dest, prune=True)
        assert report.failure == ""
        assert {path: content for path, content in contents(dest).items() if path in wanted} == wanted
        assert not migrate(src, dest, prune=True).changed


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EIO])
def test_a_failing_disk_is_reported_and_leaves_whole_files(
    versions: dict[int, Any], tmp_path: Path, number: int
) -> None:
    src, wanted = versions[1]

    def stop(name: str, _args: tuple[Any, ...]) -> None:
        raise OSError(number, os.strerror(number))

    for point in points(lambda: migrate(src, tmp_path / "measure", workers=1), 8, number):
        dest = tmp_path / f"at{point}"
        with pytest.raises(MigrationError, match=os.strerror(number)):
            count_and(point, stop, functools.partial(migrate, src, dest, workers=1))
        check_whole(dest, wanted)
        migrate(src, dest)
        assert contents(dest) == wanted


def test_a_full_disk_is_named(versions: dict[int, Any], tmp_path: Path) -> None:
    def stop(_name: str, _args: tuple[Any, ...]) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(MigrationError, match=r"No space left on device.*run the migration again"):
        count_and(30, stop, functools.partial(migrate, versions[1][0], tmp_path / "dest", workers=1))


@pytest.mark.parametrize("kind", ["file", "directory"])
def test_what_a_staged_symlink_names_is_the_sites_and_stays(tmp_path: Path, kind: str) -> None:
    src, dest, site = tmp_path / "src", tmp_path / "dest", tmp_path / "site"
    src.mkdir()
    (src / "a").write_text("a", encoding="utf-8")
    migrate(src, dest)
    if kind == "file":
        site.write_text("live data", encoding="utf-8")
    else:
        site.mkdir()
    # The state after a kill between staging a symlink of the tree and renaming it.
    (dest / ".trade_migrate/staging/link-1").symlink_to(site)
    migrate(src, dest)
    assert site.exists()
    assert not list((dest / ".trade_migrate/staging").iterdir())


def test_a_temporary_file_on_another_file_system_is_removed_by_the_next_run(tmp_path: Path) -> None:
    src, dest = tmp_path / "src", tmp_path / "dest"
    (src / "folder").mkdir(parents=True)
    (src / "folder/a").write_text("a", encoding="utf-8")
    migrate(src, dest)
    (dest / "folder/.trade_migrate-7").write_text("half", encoding="utf-8")
    (dest / ".trade_migrate/staging/7").symlink_to("folder/.trade_migrate-7")
    migrate(src, dest)
    assert not (dest / "folder/.trade_migrate-7").exists()
    assert (dest / "folder/a").read_text(encoding="utf-8") == "a"
