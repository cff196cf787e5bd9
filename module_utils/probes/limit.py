# SPDX-License-Identifier: GPL-3.0-or-later
"""A hard limit on the time a piece of code may take.

Timeouts of client libraries hold for one read, so an answer that drips in never ends. An alarm ends it, in the same
thread, so that `finally` still runs.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType


class LimitReached(BaseException):
    """The time is up. Not an Exception: client libraries catch those and try again."""


@contextlib.contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Raise LimitReached in the body after `seconds`. Outside the main thread there are no signals, and no limit."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.signal(signal.SIGALRM, _expired)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


@contextlib.contextmanager
def renewed(seconds: float) -> Iterator[None]:
    """Inside `limited`: give the body `seconds` of its own, then what was left before."""
    if signal.getsignal(signal.SIGALRM) is not _expired or threading.current_thread() is not threading.main_thread():
        yield
        return
    left, _interval = signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, left)


def _expired(_signum: int, _frame: FrameType | None) -> None:
    raise LimitReached("no answer in time")
