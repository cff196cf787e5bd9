# SPDX-License-Identifier: GPL-3.0-or-later
"""One run at a time: a live one is respected, the lock of a dead one is taken over, and operations are compared."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import stat
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import core_journal
import core_plan
import pytest
from ansible.module_utils.deployment import audit
from ansible.module_utils.deployment.journal import DAMAGED, Journal, JournalError, is_alive, this_run
from ansible.module_utils.deployment.model import Operation
from ansible.module_utils.testing import patch_module_args

OPERATIONS = (
    Operation("machine", "directory data", "create", "", "as declared", "it does not exist"),
    Operation("valkey", "container", "start", "absent", "running", "it does not exist"),
)


def owner(run: str = "r1") -> object:
    return this_run(run, "somebody", os.getpid())


def begun(root: Path, run: str = "r1") -> Journal:
    journal = Journal(root)
    journal.begin(this_run(run, "somebody", os.getpid()), OPERATIONS)
    return journal


def test_a_second_run_is_refused_with_who_since_when_and_how_far(tmp_path: Path) -> None:
    journal = begun(tmp_path)
    journal.done("r1", [("machine", "directory data")])
    with pytest.raises(JournalError) as refused:
        Journal(tmp_path).begin(this_run("r2", "another", os.getpid()), OPERATIONS)
    text = str(refused.value)
    assert f"somebody on {os.uname().nodename} (process {os.getpid()}) since 20" in text
    assert "1 of 2 operations are done, the last machine: directory data" in text
    holder = journal.owner()
    assert holder is not None
    assert holder.run == "r1"


def test_a_run_that_does_everything_has_no_problems_and_leaves_no_lock(tmp_path: Path) -> None:
    journal = begun(tmp_path)
    journal.done("r1", [(row.service, row.what) for row in OPERATIONS])
    assert journal.finish("r1") == []
    assert journal.owner() is None
    assert journal.finished_run() == "r1"


def test_what_was_not_planned_and_what_was_not_done_are_named(tmp_path: Path) -> None:
    journal = begun(tmp_path)
    journal.done("r1", [("machine", "directory data"), ("nats", "image")])
    assert journal.finish("r1") == [
        "valkey: container was planned and not done",
        "nats: image was done and not planned",
    ]


def test_a_service_that_failed_is_not_reported_a_second_time(tmp_path: Path) -> None:
    journal = begun(tmp_path)
    journal.done("r1", [("machine", "directory data")])
    assert journal.finish("r1", ["valkey"]) == []


def test_what_was_done_without_a_plan_is_in_the_audit_log(tmp_path: Path) -> None:
    journal = begun(tmp_path)
    journal.done("r1", [("machine", "directory data"), ("valkey", "data of backup 3")])
    assert journal.finish("r1", ["valkey"]) == []
    (line,) = audit.read(tmp_path).lines
    assert [(row["what"], row["done"]) for row in line["operations"]] == [
        ("directory data", True),
        ("container", False),
        ("data of backup 3", True),
    ]


def test_a_run_without_the_lock_neither_records_nor_ends_anything(tmp_path: Path) -> None:
    journal = begun(tmp_path)
    journal.done("r2", [("machine", "directory data")])
    assert journal.finish("r2") == []
    assert [entry["event"] for entry in journal.entries()] == ["begin"]
    assert journal.owner() is not None


def test_a_dead_runs_lock_is_taken_over_once(tmp_path: Path) -> None:
    begun(tmp_path, "dead")
    journal = Journal(tmp_path)
    journal.begin(this_run("r2", "another", os.getpid()), OPERATIONS, take_over="dead")
    holder = journal.owner()
    assert holder is not None
    assert holder.run == "r2"
    # A third run that found the same dead owner comes too late.
    with pytest.raises(JournalError):
        journal.begin(this_run("r3", "third", os.getpid()), OPERATIONS, take_over="dead")
    left = sorted(path.name for path in journal.folder.iterdir())
    assert left == ["current.jsonl", "guard", "head", "interrupted.jsonl", "lock"]
    assert [(line["run"], line["result"]) for line in audit.read(tmp_path).lines] == [("dead", "interrupted")]


def test_a_torn_last_line_is_left_out(tmp_path: Path) -> None:
    journal = begun(tmp_path)
    with journal.current.open("a", encoding="utf-8") as file:
        file.write('{"event": "do')
    assert [entry["event"] for entry in journal.entries()] == ["begin"]


def test_a_damaged_lock_is_named(tmp_path: Path) -> None:
    journal = begun(tmp_path)
    for damage in (b"{}", b"", b"[1]", b"\xff\xfe", b'{"run": "r1"', b"null"):
        journal.lock.write_bytes(damage)
        with pytest.raises(JournalError, match=r"is damaged: .* -e core_take_over=damaged-lock"):
            journal.owner()
        with pytest.raises(JournalError, match="is damaged"):
            journal.begin(this_run("r2", "another", os.getpid()), OPERATIONS)
    journal.begin(this_run("r2", "another", os.getpid()), OPERATIONS, take_over=DAMAGED)
    holder = journal.owner()
    assert holder is not None
    assert holder.run == "r2"


def test_a_lock_appears_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that is killed while it writes its lock leaves none."""
    journal = Journal(tmp_path)

    def killed(*_args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", killed)
    with pytest.raises(KeyboardInterrupt):
        journal.begin(this_run("r1", "somebody", os.getpid()), OPERATIONS)
    monkeypatch.undo()
    assert journal.owner() is None
    journal.begin(this_run("r2", "somebody", os.getpid()), OPERATIONS)
    assert not list(journal.folder.glob("lock.new-*"))


def test_locking_works_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_args: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refused)
    journal = begun(tmp_path)
    holder = journal.owner()
    assert holder is not None
    assert holder.run == "r1"
    with pytest.raises(JournalError, match="another run is under way"):
        Journal(tmp_path).begin(this_run("r2", "another", os.getpid()), OPERATIONS)


def test_a_file_system_without_advisory_locks_has_a_lock_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_args: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refused)
    begun(tmp_path).require("r1")
    with pytest.raises(JournalError, match="another run is under way"):
        Journal(tmp_path).begin(this_run("r2", "another", os.getpid()), OPERATIONS)


@pytest.mark.parametrize(
    "damage", [b"\xff\xfe\x00", b"null\n[]\n7\n", b'{"event": "begin"}\n', b'{"event": "done"}\n', b'{"event"\n']
)
def test_a_damaged_journal_is_read_as_far_as_it_can_be(tmp_path: Path, damage: bytes) -> None:
    journal = begun(tmp_path)
    journal.done("r1", [("machine", "directory data")])
    journal.current.write_bytes(journal.current.read_bytes() + damage)
    assert journal.progress().done == (("machine", "directory data"),)
    journal.current.write_bytes(damage)
    assert journal.progress().text.startswith("0 of 0")
    assert "another run is under way" in journal.refusal(journal.owner())
    journal.previous.write_bytes(damage)
    assert journal.finished_run() == ""
    assert journal.finish("r1", ["valkey"]) != []
    assert journal.owner() is None


def test_a_full_disk_leaves_whole_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = begun(tmp_path)
    before = journal.current.read_bytes()
    real = os.write

    def full(handle: int, data: bytes) -> int:
        real(handle, bytes(data)[:10])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space left"):
        journal.done("r1", [("machine", "directory data")])
    problems = journal.finish("r1")
    monkeypatch.undo()
    assert journal.previous.read_bytes() == before
    assert audit.read(tmp_path).lines == ()
    assert any("No space left" in line for line in problems)
    assert journal.owner() is None


def test_a_full_disk_leaves_no_partial_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        begun(tmp_path)
    assert [path.name for path in (tmp_path / ".trade2026/journal").iterdir()] == ["guard"]


def test_a_run_that_cannot_begin_leaves_no_lock_and_keeps_the_killed_runs_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another controller would have to take the lock over by hand."""
    begun(tmp_path, "dead").done("dead", [("machine", "directory data")])
    journal = Journal(tmp_path)
    kept: list[bytes] = []
    real = os.write

    def full(handle: int, data: bytes) -> int:
        if b'"event": "begin"' not in bytes(data):
            return real(handle, data)
        real(handle, bytes(data)[:10])
        raise OSError(errno.ENOSPC, "No space left on device")

    for take_over in ("dead", ""):
        monkeypatch.setattr(os, "write", full)
        with pytest.raises(OSError, match="No space left"):
            journal.begin(this_run("r2", "another", os.getpid()), OPERATIONS, take_over=take_over)
        monkeypatch.undo()
        assert journal.owner() is None
        kept.append(journal.interrupted.read_bytes())
    assert kept[0] == kept[1] != b""
    journal.begin(this_run("r3", "another", os.getpid()), OPERATIONS)
    assert [(line["run"], line["result"]) for line in audit.read(tmp_path).lines] == [("dead", "interrupted")]


def test_of_two_runs_that_take_over_at_once_only_one_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another run begins while this one is between looking at the dead owner's lock and removing it."""
    begun(tmp_path, "dead")
    journal = Journal(tmp_path)
    refused: list[str] = []
    holder = journal._holder

    def begin_other() -> None:
        try:
            Journal(tmp_path).begin(this_run("other", "one", os.getpid()), OPERATIONS, take_over="dead")
        except JournalError as error:
            refused.append(str(error))

    other = threading.Thread(target=begin_other)

    def looked() -> str:
        found = holder()
        other.start()
        # Ends at once if nothing keeps the other run from beginning.
        other.join(0.3)
        return found

    monkeypatch.setattr(journal, "_holder", looked)
    journal.begin(this_run("r2", "another", os.getpid()), OPERATIONS, take_over="dead")
    other.join()
    assert len(refused) == 1
    monkeypatch.undo()
    journal.require("r2")


def test_a_run_that_was_killed_after_its_line_was_written_has_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = begun(tmp_path)
    journal.done("r1", [(row.service, row.what) for row in OPERATIONS])

    def killed(*_args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        journal.finish("r1")
    monkeypatch.undo()
    journal.begin(this_run("r2", "another", os.getpid()), OPERATIONS, take_over="r1")
    assert [(line["run"], line["result"]) for line in audit.read(tmp_path).lines] == [("r1", "ok")]


def test_a_run_that_lost_its_lock_is_stopped(tmp_path: Path) -> None:
    journal = begun(tmp_path, "first")
    journal.require("first")
    journal.begin(this_run("second", "another", os.getpid()), OPERATIONS, take_over="first")
    with pytest.raises(JournalError, match="has lost its lock"):
        journal.require("first")


def test_the_journal_shows_what_a_killed_run_was_doing(tmp_path: Path) -> None:
    journal = begun(tmp_path)
    journal.done("r1", [("machine", "directory data")])
    progress = journal.progress()
    assert progress.open == (("valkey", "container"),)


def test_the_folders_are_private_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        journal = begun(tmp_path)
    finally:
        os.umask(before)
    for path, mode in ((journal.folder, 0o700), (journal.folder.parent, 0o700), (journal.lock, 0o600)):
        assert stat.S_IMODE(path.stat().st_mode) == mode, path


def test_a_process_is_alive_until_it_ends_and_its_number_means_nothing_to_another_one() -> None:
    child = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    run = this_run("r1", "somebody", child.pid)
    assert is_alive(run)
    assert not is_alive(replace(run, started="1"))
    assert not is_alive(replace(run, boot="another"))
    child.communicate()
    assert not is_alive(run)


def test_a_run_of_another_controller_counts_as_alive() -> None:
    run = replace(this_run("r1", "somebody", 1), controller="elsewhere", boot="another")
    assert is_alive(run)


def test_a_controller_of_the_same_name_is_another_one() -> None:
    run = replace(this_run("r1", "somebody", 1), machine="0" * 16, boot="another")
    assert is_alive(run)


def test_a_plan_whose_run_fails_as_it_begins_releases_its_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def ended(*_arguments: object) -> None:
        raise core_plan.docker_engine.EngineError("Docker does not answer")

    monkeypatch.setattr(core_plan.docker_engine, "remove_helpers", ended)
    module = SimpleNamespace(params={"begin": vars(owner()), "take_over": ""})
    inspection = SimpleNamespace(root=tmp_path, services=[], helpers=[("left", "exited")])
    planned = SimpleNamespace(operations=OPERATIONS)
    with pytest.raises(core_plan.docker_engine.EngineError):
        core_plan.begin(module, inspection, planned, "")
    assert Journal(tmp_path).owner() is None
    (line,) = audit.read(tmp_path).lines
    assert (line["result"], line["failed"]) == ("failed", ["machine", "valkey"])


def test_the_module_reports_that_the_end_of_a_run_could_not_be_recorded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    journal = begun(tmp_path)
    (tmp_path / ".trade2026/journal/head").mkdir()
    arguments = {"root": str(tmp_path), "end_run": "r1", "failed": ["machine", "valkey"]}
    with patch_module_args(arguments), pytest.raises(SystemExit):
        core_journal.main()
    (why,) = json.loads(capsys.readouterr().out)["unrecorded"]
    assert why.startswith(f"machine: the end of the run could not be recorded: {tmp_path}")
    assert journal.owner() is None


def test_the_lock_is_readable_json(tmp_path: Path) -> None:
    content = json.loads(begun(tmp_path).lock.read_text(encoding="utf-8"))
    assert content["user"] == "somebody"
    assert content["pid"] == os.getpid()
