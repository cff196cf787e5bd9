# SPDX-License-Identifier: GPL-3.0-or-later
"""Work in child processes: the answers come back, and so do errors."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest
from ansible.module_utils.shared.children import run_in_children


def test_each_piece_of_work_runs_in_its_own_process_at_the_same_time() -> None:
    first, second = os.pipe(), os.pipe()

    def meet(own: tuple[int, int], other: tuple[int, int]) -> dict[str, Any]:
        os.write(own[1], b"here")
        return {"pid": os.getpid(), "met": os.read(other[0], 4).decode()}

    answers = run_in_children({"a": lambda: meet(first, second), "b": lambda: meet(second, first)})
    assert list(answers) == ["a", "b"]
    assert [one["met"] for one in answers.values()] == ["here", "here"]
    assert len({os.getpid(), *(one["pid"] for one in answers.values())}) == 3


def test_an_answer_may_be_longer_than_a_pipe_holds() -> None:
    text = "x" * 1_000_000
    assert run_in_children({"a": lambda: {"text": text}, "b": lambda: {"text": text}})["b"]["text"] == text


@pytest.mark.parametrize("error", [ValueError("no such port"), SystemExit(1)], ids=["error", "exit"])
def test_an_error_is_an_answer_and_the_others_go_on(error: BaseException) -> None:
    def fails() -> dict[str, Any]:
        raise error

    answers = run_in_children({"valkey": fails, "opa": lambda: {"changed": True}})
    assert answers["opa"] == {"changed": True}
    assert answers["valkey"] == {"failed": True, "msg": f"valkey: {type(error).__name__}: {error}"}


def test_a_killed_process_is_an_answer() -> None:
    def killed() -> dict[str, Any]:
        os.kill(os.getpid(), signal.SIGKILL)
        return {}

    assert run_in_children({"valkey": killed}) == {"valkey": {"failed": True, "msg": "valkey: its process ended early"}}
