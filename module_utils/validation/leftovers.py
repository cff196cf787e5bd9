# SPDX-License-Identifier: GPL-3.0-or-later
"""Remove the leftovers of killed runs: what their tests and probes created in a service."""

from __future__ import annotations

import time
from collections.abc import Iterable

from ansible.module_utils.validation.bridge import created_at
from ansible.module_utils.validation.model import FailedError, Passed
from ansible.module_utils.validation.records import STORES
from ansible.module_utils.validation.stack import Service, Stack

# Seconds after which no run uses an object any more: with all interruptions a run takes minutes, or a few hours on a
# machine where every test reaches its limit.
OLD_S = 24 * 3600
# Objects that one run removes from a service.
MOST = 100


def old(names: Iterable[str], now: float) -> list[str]:
    """The names that no running test can use, oldest first."""
    ages = {name: now - made for name in names if (made := created_at(name)) is not None}
    return sorted((name for name, age in ages.items() if age > OLD_S), key=lambda name: -ages[name])


def removed(_stack: Stack, service: Service) -> Passed:
    """Remove streams, keys, tables, buckets and indices that tests and probes created more than a day ago."""
    store = STORES[service.role]
    names = old(store.found(service), time.time())
    problems = []
    for name in names[:MOST]:
        try:
            store(service, name=name).remove()
        # Whatever a library raises, the others are still removed.
        except Exception as error:
            problems.append(f"{name} ({' '.join(str(error).split())[:200] or type(error).__name__})")
    if problems:
        raise FailedError(
            f"what killed runs left cannot be removed: {', '.join(problems)}", remedy="remove it with a client"
        )
    if not names:
        return Passed("killed runs left nothing")
    done = names[:MOST]
    shown = ", ".join(done[:5]) + (f" and {len(done) - 5} more" if len(done) > 5 else "")
    rest = f"; left for the next run: {len(names) - MOST}" if len(names) > MOST else ""
    return Passed(f"removed what killed runs left: {shown}{rest}", {"removed": len(done)})
