# SPDX-License-Identifier: GPL-3.0-or-later
"""Run several pieces of work at once, each in its own process."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

Work = Callable[[], dict[str, Any]]


def run_in_children(work: Mapping[str, Work]) -> dict[str, dict[str, Any]]:
    """Name → answer of its work, which has to be plain data for JSON.

    A thread would not do: an alarm works in the main thread only, and `run_command` of a module is not made for several
    threads. Work that raises, or whose process is killed, is answered with `failed` and `msg`.
    """
    children = {}
    for name, one in work.items():
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reader)
            _answer(name, one, writer)
        os.close(writer)
        children[name] = (child, reader)
    answers = {}
    for name, (child, reader) in children.items():
        with os.fdopen(reader, encoding="utf-8") as pipe:
            text = pipe.read()
        os.waitpid(child, 0)
        answers[name] = json.loads(text) if text else {"failed": True, "msg": f"{name}: its process ended early"}
    return answers


def _answer(name: str, work: Work, writer: int) -> NoReturn:
    """Do the work of a child, write the answer to the pipe, and end."""
    try:
        try:
            answer = work()
        except BaseException as error:
            # Any error must be reported in the result of the run, not only end the child.
            answer = {"failed": True, "msg": f"{name}: {type(error).__name__}: {error}"}
        with os.fdopen(writer, "w", encoding="utf-8") as pipe:
            json.dump(answer, pipe)
    finally:
        os._exit(0)
