# SPDX-License-Identifier: GPL-3.0-or-later
"""A hard time limit for a piece of code.

Timeouts of client libraries apply to one read, so an answer that arrives slowly may never end. An alarm interrupts it
in the same thread, so that `finally` still runs.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType


class LimitReached(BaseException):
    """The time limit is reached. Not an Exception, because client libraries catch those and retry."""


@contextlib.contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Raise LimitReached in the body after `seconds`. Outside the main thread there is no signal, so no limit."""
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
    """Inside `limited`: give the body its own `seconds`, then continue with the remaining time."""
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
