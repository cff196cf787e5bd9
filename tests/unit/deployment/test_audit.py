# SPDX-License-Identifier: GPL-3.0-or-later
"""The audit log: every kind of tampering is reported with its line."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path

import pytest
from ansible.module_utils.deployment import audit
from ansible.module_utils.deployment.journal import Journal, this_run
from ansible.module_utils.deployment.model import Operation

OPERATION = Operation("valkey", "container", "start", "absent", "running", "it does not exist")


def logged(root: Path, runs: int = 4) -> Path:
    """A log of some runs."""
    for number in range(1, runs + 1):
        journal = Journal(root)
        journal.begin(this_run(f"run-{number}", "somebody", os.getpid()), [OPERATION])
        journal.done(f"run-{number}", [OPERATION.key])
        assert journal.finish(f"run-{number}") == []
    return root / audit.FILE


def test_a_log_records_who_did_what_and_is_intact(tmp_path: Path) -> None:
    logged(tmp_path)
    found = audit.read(tmp_path)
    assert found.problems == ()
    assert [line["number"] for line in found.lines] == [1, 2, 3, 4]
    last = found.lines[-1]
    assert (last["user"], last["controller"], last["action"], last["result"]) == (
        "somebody",
        os.uname().nodename,
        "deploy",
        "ok",
    )
    assert last["operations"] == [{"service": "valkey", "what": "container", "done": True}]
    assert len(last["plan"]) == 64
    assert last["duration_s"] >= 0


def test_an_empty_log_is_intact(tmp_path: Path) -> None:
    assert audit.read(tmp_path) == audit.Audit()


def alter(lines: list[bytes]) -> list[bytes]:
    return [lines[0], lines[1].replace(b'"somebody"', b'"somebodx"'), *lines[2:]]


def alter_the_last(lines: list[bytes]) -> list[bytes]:
    return [*lines[:-1], lines[-1].replace(b'"ok"', b'"no"')]


def alter_with_a_right_hash(lines: list[bytes]) -> list[bytes]:
    content = json.loads(lines[1])
    del content["sha256"]
    content["user"] = "another"
    return [lines[0], json.dumps({**content, "sha256": audit.digest(content)}).encode() + b"\n", *lines[2:]]


def remove_one(lines: list[bytes]) -> list[bytes]:
    return [lines[0], *lines[2:]]


def remove_the_first(lines: list[bytes]) -> list[bytes]:
    return lines[1:]


def remove_the_last(lines: list[bytes]) -> list[bytes]:
    return lines[:-1]


def remove_all(lines: list[bytes]) -> list[bytes]:
    return []


def swap(lines: list[bytes]) -> list[bytes]:
    return [lines[0], lines[2], lines[1], lines[3]]


def cut_the_last_off(lines: list[bytes]) -> list[bytes]:
    return [*lines[:-1], lines[-1][:40]]


def replace_with_noise(lines: list[bytes]) -> list[bytes]:
    return [lines[0], b"\xff\xfenoise\n", *lines[2:]]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (alter, "line 2 (run 2) was altered"),
        (alter_the_last, "line 4 (run 4) was altered"),
        (alter_with_a_right_hash, "line 3 (run 3) does not follow the line before it"),
        (remove_one, "line 2 is of run 3, so the line of run 2 is missing"),
        (remove_the_first, "line 1 is of run 2, so the line of run 1 is missing"),
        (remove_the_last, "the log was truncated: it ends with run 3, and run 4 was written"),
        (remove_all, "the log was truncated: it ends with run 0, and run 4 was written"),
        (swap, "line 2 is of run 3"),
        (cut_the_last_off, "the line of run 4 was altered or removed"),
        (replace_with_noise, "line 2 is damaged"),
    ],
)
def test_tampering_with_the_log_is_reported_with_its_line(
    tmp_path: Path, change: Callable[[list[bytes]], list[bytes]], says: str
) -> None:
    path = logged(tmp_path)
    path.write_bytes(b"".join(change(path.read_bytes().splitlines(keepends=True))))
    assert says in "\n".join(audit.read(tmp_path).problems)


def test_a_later_run_does_not_hide_the_damage(tmp_path: Path) -> None:
    path = logged(tmp_path)
    path.write_bytes(b"".join(remove_the_last(path.read_bytes().splitlines(keepends=True))))
    logged(tmp_path, 1)
    found = audit.read(tmp_path)
    assert found.lines[-1]["number"] == 5
    assert "line 4 is of run 5, so the line of run 4 is missing" in found.problems


def test_a_line_that_a_power_failure_cut_off_is_explained(tmp_path: Path) -> None:
    path = logged(tmp_path, 3)
    head = (tmp_path / audit.HEAD).read_bytes()
    logged(tmp_path, 1)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:3]) + lines[3][:60])
    (tmp_path / audit.HEAD).write_bytes(head)
    assert audit.read(tmp_path).problems == ()
    assert audit.read(tmp_path).notes == ("line 4 is cut off: the machine stopped while the line was written",)
    logged(tmp_path, 1)
    found = audit.read(tmp_path)
    assert found.problems == ()
    assert [line["number"] for line in found.lines] == [1, 2, 3, 5]


@pytest.mark.parametrize("damage", [None, b"", b"{}", b"\xff", b'{"number": "x", "sha256": 1}'])
def test_a_damaged_or_missing_head_is_named(tmp_path: Path, damage: bytes | None) -> None:
    logged(tmp_path)
    head = tmp_path / audit.HEAD
    if damage is None:
        head.unlink()
    else:
        head.write_bytes(damage)
    assert str(head) in audit.read(tmp_path).problems[0]
    logged(tmp_path, 1)
    assert audit.read(tmp_path).problems == ()


def test_a_full_disk_leaves_the_log_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = logged(tmp_path)
    before = path.read_bytes()
    real = os.write

    def full(handle: int, data: bytes) -> int:
        real(handle, bytes(data)[:30])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(audit.AuditError, match="No space left on device"):
        audit.append(tmp_path, {"result": "ok"})
    monkeypatch.undo()
    assert path.read_bytes() == before
    assert audit.read(tmp_path).problems == ()


def test_what_a_killed_run_left_beside_the_head_is_removed(tmp_path: Path) -> None:
    logged(tmp_path)
    left = tmp_path / ".trade2026/journal/.head.0123abcd"
    left.touch()
    audit.append(tmp_path, {"result": "ok"})
    assert not left.exists()


def _append(root: Path, name: int) -> None:
    for _count in range(20):
        audit.append(root, {"by": name})


def test_two_simultaneous_runs_write_whole_lines_in_one_chain(tmp_path: Path) -> None:
    logged(tmp_path, 1)
    context = get_context("fork")
    writers = [context.Process(target=_append, args=(tmp_path, number)) for number in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    found = audit.read(tmp_path)
    assert found.problems == ()
    assert len(found.lines) == 81
