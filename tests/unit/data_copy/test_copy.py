# SPDX-License-Identifier: GPL-3.0-or-later
"""Live data is copied completely, verified and only once, and nothing else is touched."""

from __future__ import annotations

import fcntl
import hashlib
import os
import random
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.data_copy import content, copier
from ansible.module_utils.data_copy.copier import Copier
from ansible.module_utils.data_copy.journal import Journal
from ansible.module_utils.data_copy.plan import DataSet, Plan, holds_files, make_plan, space_problems
from ansible.module_utils.data_copy.tree import DataCopyError, allocated, place_of, scan
from ansible.module_utils.shared.fs import is_mount_point
from hypothesis import given
from hypothesis import strategies as st

NEVER = float("inf")
MIB = 1024 * 1024


@pytest.fixture
def data(tmp_path: Path) -> DataSet:
    source = tmp_path / "old" / "valkey"
    (source / "sub/empty").mkdir(parents=True)
    (source / "a").write_bytes(b"alpha")
    (source / "sub/b").write_bytes(random.Random(1).randbytes(3 * MIB))
    (source / "zero").write_bytes(b"")
    os.link(source / "a", source / "sub/also-a")
    (source / "link").symlink_to("/var/lib//clickhouse/store/")
    Path(os.fsdecode(os.fsencode(source) + b"/bytes-\xff\n")).write_bytes(b"odd")
    (source / "sub/b").chmod(0o640)
    os.utime(source / "a", ns=(1_600_000_000_123_456_789, 1_600_000_000_123_456_789))
    return DataSet("valkey", str(source), str(tmp_path / "new/data/valkey"), os.getuid(), os.getgid())


def _nothing() -> None:
    """Nobody uses the data."""


def _copy(data: DataSet, deadline: float = NEVER, on_conflict: str = "fail") -> Copier:
    made = make_plan(data, on_conflict)
    assert made.state == "copy"
    assert not made.blocked
    worker = Copier(made, deadline, _nothing)
    worker.finished = worker.run()  # type: ignore[attr-defined]
    return worker


def _tree(root: str) -> dict[bytes, tuple[object, ...]]:
    """Everything that a copy must keep."""
    found: dict[bytes, tuple[object, ...]] = {}
    tree = scan(root)
    for entry in tree.entries:
        body: object = tree.targets.get(entry.path)
        if entry.is_file:
            body = hashlib.sha256(Path(os.fsdecode(place_of(root, entry.path))).read_bytes()).hexdigest()
        found[entry.path] = (stat.S_IFMT(entry.mode), entry.mtime_ns, entry.links if entry.is_file else 0, body)
    return found


def _stamps(root: str) -> list[tuple[object, ...]]:
    """What changes when a file is touched, including the access time."""
    found = []
    for path in [Path(root), *sorted(Path(root).rglob("*"))]:
        seen = path.lstat()
        found.append((str(path), seen.st_mtime_ns, seen.st_ctime_ns, seen.st_mode, seen.st_uid, seen.st_size))
        if stat.S_ISREG(seen.st_mode):
            found.append((str(path), seen.st_atime_ns))
    return found


def test_everything_arrives_as_it_was(data: DataSet) -> None:
    before = _tree(data.source)
    _copy(data)
    assert _tree(data.dest) == before


def test_the_source_is_not_touched_not_even_its_access_times(data: DataSet) -> None:
    for path in Path(data.source).rglob("*"):
        if path.is_file() and not path.is_symlink():
            seen = path.stat()
            os.utime(path, ns=(1, seen.st_mtime_ns))
    before = _stamps(data.source)
    _copy(data)
    assert _stamps(data.source) == before


def test_others_get_no_rights(data: DataSet) -> None:
    Path(data.source, "a").chmod(0o777)
    _copy(data)
    assert not [entry for entry in scan(data.dest).entries if not entry.is_link and entry.mode & 0o007]
    assert stat.S_IMODE(Path(data.dest, "a").stat().st_mode) == 0o770


@pytest.mark.skipif(os.getuid() != 0, reason="only root may give files away")
def test_everything_belongs_to_the_service(data: DataSet) -> None:
    given_to = DataSet(data.service, data.source, data.dest, 999, 1000)
    _copy(given_to)
    owners = {(path.lstat().st_uid, path.lstat().st_gid) for path in [Path(data.dest), *Path(data.dest).rglob("*")]}
    assert owners == {(999, 1000)}


def test_a_second_run_has_nothing_to_do_although_the_service_wrote(data: DataSet) -> None:
    _copy(data)
    Path(data.dest, "a").write_bytes(b"written by the service")
    assert make_plan(data, "fail").state == "current"


def test_a_source_that_changed_later_is_a_conflict(data: DataSet) -> None:
    _copy(data)
    Path(data.source, "a").write_bytes(b"trade2025 went on")
    assert "changed since it was copied" in make_plan(data, "fail").blocked


def test_data_of_the_target_is_never_overwritten(data: DataSet) -> None:
    Path(data.dest).mkdir(parents=True)
    Path(data.dest, "own").write_bytes(b"precious")
    assert "already holds data" in make_plan(data, "fail").blocked


def test_with_backup_the_targets_data_is_moved_aside(data: DataSet) -> None:
    Path(data.dest).mkdir(parents=True)
    Path(data.dest, "own").write_bytes(b"precious")
    worker = _copy(data, on_conflict="backup")
    assert Path(worker.kept, "own").read_bytes() == b"precious"
    assert not Path(data.dest, "own").exists()


def test_empty_folders_that_an_engine_left_do_not_count_as_data(data: DataSet) -> None:
    Path(data.dest, "conf").mkdir(parents=True)
    _copy(data)
    assert not Path(data.dest, "conf").exists()


def test_data_written_to_the_target_during_the_copy_is_not_lost(data: DataSet) -> None:
    def write() -> None:
        Path(data.dest).mkdir(parents=True)
        Path(data.dest, "late").write_bytes(b"precious")

    worker = Copier(make_plan(data, "fail"), NEVER, write)
    with pytest.raises(DataCopyError, match="written there while copying"):
        worker.run()
    assert Path(data.dest, "late").read_bytes() == b"precious"


def test_data_written_at_the_last_moment_is_not_lost(data: DataSet, monkeypatch: pytest.MonkeyPatch) -> None:
    """The service starts after the last look at its folder, which held only folders and a socket then."""
    late = Path(data.dest, "conf/late")
    late.parent.mkdir(parents=True)
    os.mkfifo(Path(data.dest, "fifo"))
    made = make_plan(data, "fail")

    def look(folder: str) -> bool:
        found = holds_files(folder)
        late.write_bytes(b"precious")
        return found

    monkeypatch.setattr(copier, "holds_files", look)
    with pytest.raises(DataCopyError, match="written there while copying"):
        Copier(made, NEVER, _nothing).run()
    assert late.read_bytes() == b"precious"
    late.unlink()
    monkeypatch.undo()
    _copy(data)
    assert _tree(data.dest) == _tree(data.source)


def test_holes_stay_holes_and_are_not_read(data: DataSet) -> None:
    with Path(data.source, "sparse").open("wb") as file:
        file.truncate(1 << 40)
        file.seek(5 * content.STEP + 12345)
        file.write(b"data")
        file.seek((1 << 40) - 3)
        file.write(b"end")
    began = time.monotonic()
    # One TiB of zeros would take many minutes to read or to hash.
    first = content.hole_digest(content.STEP)
    _copy(data)
    assert time.monotonic() - began < 60
    copied = Path(data.dest, "sparse")
    assert (copied.stat().st_size, copied.stat().st_blocks * 512 < MIB) == (1 << 40, True)
    with copied.open("rb") as file:
        file.seek(5 * content.STEP + 12345)
        assert file.read(4) == b"data"
        file.seek(-3, os.SEEK_END)
        assert file.read() == b"end"
    assert first == hashlib.sha256(bytes(content.STEP)).digest()


def test_holes_do_not_count_as_used_space(data: DataSet) -> None:
    with Path(data.source, "sparse").open("wb") as file:
        file.truncate(1 << 40)
    assert 3 * MIB < allocated(scan(data.source)) < 4 * MIB


def test_too_little_space_is_reported_before_anything_is_written(data: DataSet) -> None:
    made = make_plan(data, "fail")
    assert space_problems([made], 0) == []
    (problem,) = space_problems([made], 1 << 60)
    assert "Free some space" in problem
    assert not Path(data.dest).parent.exists()


@pytest.mark.parametrize("size", [0, 1, content.BLOCK, 4 * MIB + 1])
def test_the_hash_of_a_file_is_the_plain_hash_of_its_content(tmp_path: Path, size: int) -> None:
    body = random.Random(size).randbytes(size)
    (tmp_path / "f").write_bytes(body)
    descriptor = os.open(tmp_path / "f", os.O_RDONLY)
    try:
        digests = [content.copy_step(descriptor, None, *step, "f") for step in content.steps(size)]
    finally:
        os.close(descriptor)
    assert content.file_digest(digests) == hashlib.sha256(body).hexdigest()


@given(
    st.lists(st.tuples(st.integers(0, 300_000), st.binary(min_size=1, max_size=9000)), max_size=6),
    st.integers(5_000, 400_000),
)
def test_any_pattern_of_holes_is_copied_and_hashed_right(
    tmp_path_factory: pytest.TempPathFactory, writes: list[tuple[int, bytes]], step: int
) -> None:
    folder = tmp_path_factory.mktemp("holes")
    source, dest = os.open(folder / "s", os.O_RDWR | os.O_CREAT), os.open(folder / "d", os.O_RDWR | os.O_CREAT)
    try:
        for offset, body in writes:
            os.pwrite(source, body, offset)
        size = os.fstat(source).st_size
        os.ftruncate(dest, size)
        whole = (folder / "s").read_bytes()
        for start in range(0, size, step):
            end = min(start + step, size)
            assert content.copy_step(source, dest, start, end, "s") == hashlib.sha256(whole[start:end]).digest()
        assert (folder / "d").read_bytes() == whole
    finally:
        os.close(source)
        os.close(dest)


def test_data_that_the_disk_returns_wrongly_is_detected(data: DataSet, monkeypatch: pytest.MonkeyPatch) -> None:
    sync_step = content.sync_step

    def bad_disk(descriptor: int, start: int, end: int) -> None:
        sync_step(descriptor, start, end)
        if end - start == 3 * MIB:
            os.pwrite(descriptor, b"\0\0", 1000)

    monkeypatch.setattr(content, "sync_step", bad_disk)
    worker = Copier(make_plan(data, "fail"), NEVER, _nothing)
    with pytest.raises(DataCopyError, match="sub/b: the data read back at byte 0 differs from the data written"):
        worker.run()
    assert not Path(data.dest).exists()


def test_a_file_that_changes_while_it_is_copied_stops_the_copy(data: DataSet) -> None:
    made = make_plan(data, "fail")
    Path(data.source, "sub/b").write_bytes(b"new")
    with pytest.raises(DataCopyError, match="sub/b: changed while it was copied"):
        Copier(made, NEVER, _nothing).run()


def test_a_file_that_appears_while_copying_stops_the_copy(data: DataSet) -> None:
    made = make_plan(data, "fail")
    Path(data.source, "late").write_bytes(b"new")
    with pytest.raises(DataCopyError, match="changed while it was copied"):
        Copier(made, NEVER, _nothing).run()
    _copy(data)
    assert Path(data.dest, "late").read_bytes() == b"new"


def test_verified_files_are_not_copied_again(data: DataSet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copier, "BATCH_FILES", 1)
    monkeypatch.setattr(copier, "WORKERS", 1)
    ended = Copier(make_plan(data, "fail"), NEVER, _interrupt)
    with pytest.raises(KeyboardInterrupt):
        ended.run()
    read: list[bytes] = []
    original = content.open_unchanged
    monkeypatch.setattr(content, "open_unchanged", lambda root, entry: read.append(entry.path) or original(root, entry))
    _copy(data)
    assert read == []
    assert _tree(data.dest) == _tree(data.source)


def _interrupt() -> None:
    raise KeyboardInterrupt


def test_a_large_file_continues_at_the_step_where_it_stopped(data: DataSet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(content, "STEP", MIB)
    monkeypatch.setattr("ansible.module_utils.data_copy.journal.STEP", MIB)
    monkeypatch.setattr(copier, "BATCH_BYTES", MIB)
    starts: list[int] = []
    original = content.copy_step

    def failing(source: int, dest: int | None, start: int, end: int, name: str) -> bytes:
        if dest is not None and name == "sub/b":
            starts.append(start)
            if starts == [0, MIB, 2 * MIB]:
                raise OSError(28, "No space left on device", "sub/b")
        return original(source, dest, start, end, name)

    monkeypatch.setattr(content, "copy_step", failing)
    with pytest.raises(DataCopyError, match=r"No space left on device\. Free some space; the next run continues"):
        Copier(make_plan(data, "fail"), NEVER, _nothing).run()
    _copy(data)
    assert starts == [0, MIB, 2 * MIB, 2 * MIB]
    assert _tree(data.dest) == _tree(data.source)


def test_a_file_that_changed_after_it_was_staged_is_copied_again(data: DataSet) -> None:
    with pytest.raises(KeyboardInterrupt):
        Copier(make_plan(data, "fail"), NEVER, _interrupt).run()
    Path(data.source, "a").write_bytes(b"omega")
    Path(data.source, "zero").unlink()
    _copy(data)
    assert Path(data.dest, "a").read_bytes() == b"omega"
    assert _tree(data.dest) == _tree(data.source)


def test_a_copy_that_runs_out_of_time_is_completed_by_the_next_one(data: DataSet) -> None:
    worker = _copy(data, deadline=time.monotonic() - 1)
    assert not worker.finished  # type: ignore[attr-defined]
    assert not Path(data.dest).exists()
    _copy(data)
    assert _tree(data.dest) == _tree(data.source)


class Killed(BaseException):
    """A crash of a run, which no handler catches."""


# A backup renames one directory more.
@pytest.mark.parametrize(
    ("on_conflict", "steps"), [*(("fail", steps) for steps in range(3)), *(("backup", steps) for steps in range(4))]
)
def test_a_copy_killed_between_any_steps_of_the_swap_is_completed_by_the_next_one(
    data: DataSet, monkeypatch: pytest.MonkeyPatch, on_conflict: str, steps: int
) -> None:
    left = steps
    own = Path(data.dest) / "own"
    if on_conflict == "backup":
        own.parent.mkdir(parents=True)
        own.write_text("of the new service")

    def mortal(name: str) -> Any:
        real = getattr(os, name)

        def call(*args: Any, **more: Any) -> Any:
            nonlocal left
            if left == 0:
                raise Killed
            left -= 1
            return real(*args, **more)

        return call

    with monkeypatch.context() as patch:
        for name in ("rename", "unlink"):
            patch.setattr(os, name, mortal(name))
        with pytest.raises(Killed):
            _copy(data, on_conflict=on_conflict)
    made = make_plan(data, on_conflict)
    assert not made.blocked
    if made.state == "copy":
        Copier(made, NEVER, _nothing).run()
    assert _tree(data.dest) == _tree(data.source)
    kept = [file.read_text() for file in data.state.glob("replaced-*/own")]
    assert kept == (["of the new service"] if on_conflict == "backup" else [])
    assert make_plan(data, "fail").state == "current"


def test_what_a_service_wrote_before_the_copy_took_its_place_is_a_conflict(
    data: DataSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Path.rename

    def rename(path: Path, target: Path) -> Path:
        if target == Path(data.dest):
            raise Killed
        return real(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", rename)
        with pytest.raises(Killed):
            _copy(data)
    Path(data.dest).mkdir()
    (Path(data.dest) / "own").write_text("of the new service")
    assert "already holds data" in make_plan(data, "fail").blocked


@pytest.mark.parametrize("folder", ["", "empty/deeper"])
def test_a_source_without_files_is_copied_once(tmp_path: Path, folder: str) -> None:
    data = DataSet("x", str(tmp_path / "old"), str(tmp_path / "new/data/x"), os.getuid(), os.getgid())
    (Path(data.source) / folder).mkdir(parents=True)
    _copy(data)
    assert (Path(data.dest) / folder).is_dir()
    assert make_plan(data, "fail").state == "current"


def test_two_runs_at_once_are_refused(data: DataSet) -> None:
    data.staged.mkdir(parents=True)
    with (data.state / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(DataCopyError, match="another run is copying"):
            Copier(make_plan(data, "fail"), NEVER, _nothing).run()


def test_sockets_and_fifos_are_skipped_and_listed(data: DataSet, tmp_path: Path) -> None:
    os.mkfifo(Path(data.source, "fifo"))
    with socket.socket(socket.AF_UNIX) as server:
        os.chdir(data.source)
        server.bind("sock")
        os.chdir(tmp_path)
    made = make_plan(data, "fail")
    assert made.tree is not None
    assert sorted(made.tree.skipped) == ["fifo", "sock"]
    _copy(data)
    assert not Path(data.dest, "fifo").exists()


def test_planning_writes_nothing(data: DataSet, tmp_path: Path) -> None:
    before = _stamps(str(tmp_path))
    make_plan(data, "fail")
    make_plan(data, "backup")
    assert _stamps(str(tmp_path)) == before


def test_nested_folders_and_symlinks_are_refused(data: DataSet, tmp_path: Path) -> None:
    for source, dest in (
        (data.source, data.source),
        (data.source, f"{data.source}/sub/new"),
        (f"{data.source}/sub", data.source),
    ):
        with pytest.raises(DataCopyError, match="contain each other"):
            make_plan(DataSet("x", source, dest, 0, 0), "fail")
    (tmp_path / "ln").symlink_to(tmp_path)
    with pytest.raises(DataCopyError, match="is a symlink"):
        make_plan(DataSet("x", data.source, str(tmp_path / "ln"), 0, 0), "fail")


def test_a_mount_point_is_found_even_if_the_file_system_is_the_same(tmp_path: Path) -> None:
    folder = tmp_path / "with space"
    folder.mkdir()
    table = tmp_path / "mountinfo"
    shown = str(folder).replace(" ", "\\040")
    table.write_text(f"29 1 254:0 / / rw - ext4 /dev/vda rw\n61 29 254:0 /else {shown} rw - ext4 /dev/vda rw\n")
    assert is_mount_point(str(folder), table)
    assert not is_mount_point(str(tmp_path), table)
    assert not is_mount_point(str(folder), tmp_path / "none")


def test_a_missing_source_is_reported_as_absent(tmp_path: Path) -> None:
    made = make_plan(DataSet("x", str(tmp_path / "no"), str(tmp_path / "d"), 0, 0), "fail")
    assert made.state == "absent"


def test_a_torn_last_line_of_the_journal_is_left_out(data: DataSet) -> None:
    with pytest.raises(KeyboardInterrupt):
        Copier(make_plan(data, "fail"), NEVER, _interrupt).run()
    file = data.state / "journal.jsonl"
    text = file.read_bytes().rstrip(b"\n")
    file.write_bytes(text[:-7])
    entries = scan(data.source).first_names()
    known = [entry for entry in entries if Journal(file).whole(entry)]
    assert len(known) == len(entries) - 1
    _copy(data)
    assert _tree(data.dest) == _tree(data.source)


KILLED = """
import sys
sys.path.insert(0, sys.argv[1]); import conftest
from ansible.module_utils.data_copy import copier, content
from ansible.module_utils.data_copy.copier import Copier
from ansible.module_utils.data_copy.plan import DataSet, make_plan
copier.BATCH_FILES = 3
copier.BATCH_BYTES = 200_000
data = DataSet("x", sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5]))
made = make_plan(data, "fail")
print("go", flush=True)
if made.state == "copy":
    Copier(made, float("inf"), lambda: None).run()
"""


def test_killed_anywhere_the_target_is_empty_or_whole_and_the_next_run_completes_it(tmp_path: Path) -> None:
    source, dest = tmp_path / "old/x", tmp_path / "new/x"
    chance = random.Random(7)
    for number in range(120):
        file = source / str(number % 7) / f"f{number}"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(chance.randbytes(chance.choice([10, 5_000, 400_000])))
    wanted = _tree(str(source))
    tests = str(Path(__file__).resolve().parents[2])
    command = [sys.executable, "-c", KILLED, tests, str(source), str(dest), str(os.getuid()), str(os.getgid())]
    killed = 0
    # The first one is killed at once, before a fast disk could finish.
    for delay in [0.0, *(chance.uniform(0.0, 0.12) for _ in range(11))]:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert process.stdout.readline() == "go\n"
        try:
            process.wait(timeout=delay)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            killed += 1
        process.wait()
        process.stdout.close()
        if dest.exists():
            assert _tree(str(dest)) == wanted
            break
    assert killed
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    assert _tree(str(dest)) == wanted


def test_a_plan_has_the_size_that_is_left_to_copy(data: DataSet) -> None:
    made: Plan = make_plan(data, "fail")
    assert made.size == made.size_left == 3 * MIB + len(b"alpha") + len(b"odd")
    assert made.wanted >= 3 * MIB


def test_the_record_names_what_was_copied(data: DataSet) -> None:
    import json

    worker = _copy(data)
    record: dict[str, Any] = json.loads(data.record.read_text())
    assert record["digest"] == worker.digest()
    assert (record["files"], record["algorithm"]) == (5, "sha256")
