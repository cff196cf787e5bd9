# SPDX-License-Identifier: GPL-3.0-or-later
"""One run at a time: a living one is respected, a dead one's lock is taken over, and what was done is compared."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from ansible.module_utils.deployment.journal import Journal, JournalError, is_alive, this_run
from ansible.module_utils.deployment.model import Operation

OPERATIONS = (
    Operation("machine", "directory data", "create", "", "as declared", "it does not exist"),
    Operation("valkey", "container", "start", "absent", "running", "there is none"),
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


def test_another_run_neither_notes_nor_ends_anything(tmp_path: Path) -> None:
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
    # A third run that found the same dead one comes too late.
    with pytest.raises(JournalError):
        journal.begin(this_run("r3", "third", os.getpid()), OPERATIONS, take_over="dead")
    assert sorted(path.name for path in journal.folder.iterdir()) == ["current.jsonl", "interrupted.jsonl", "lock"]


def test_a_torn_last_line_is_left_out(tmp_path: Path) -> None:
    journal = begun(tmp_path)
    with journal.current.open("a", encoding="utf-8") as file:
        file.write('{"event": "do')
    assert [entry["event"] for entry in journal.entries()] == ["begin"]


def test_a_damaged_lock_is_named(tmp_path: Path) -> None:
    journal = begun(tmp_path)
    journal.lock.write_text("{}", encoding="utf-8")
    with pytest.raises(JournalError, match="names no owner"):
        journal.owner()
    journal.lock.write_text("", encoding="utf-8")
    with pytest.raises(JournalError, match="not JSON"):
        journal.owner()


def test_the_folders_are_closed_whatever_the_umask(tmp_path: Path) -> None:
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


def test_the_lock_is_json_for_people(tmp_path: Path) -> None:
    content = json.loads(begun(tmp_path).lock.read_text(encoding="utf-8"))
    assert content["user"] == "somebody"
    assert content["pid"] == os.getpid()
