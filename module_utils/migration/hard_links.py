"""Further names of a file."""

from __future__ import annotations

import os

from ansible.module_utils.migration import state
from ansible.module_utils.migration.file_worker import Worker
from ansible.module_utils.migration.outcomes import KEPT, Outcome
from ansible.module_utils.migration.run import Run
from ansible.module_utils.migration.tree import Entry


def name_again(run: Run, worker: Worker, entry: Entry, first: bytes, outcome: Outcome | None) -> Outcome:
    """Make `entry` another name of `first`; where that cannot be, it becomes a file of its own."""
    record = state.parse_file_record(run.records.get(first))
    digest = outcome.digest if outcome else record.digest if record else b""
    mentions = outcome.mentions if outcome else record.mentions if record else 0
    renewed = bool(outcome and outcome.written)
    usable = bool(digest) and not (outcome and (outcome.action == KEPT or not outcome.in_place))
    if not usable:
        return worker.handle(entry)
    return worker.handle_name(entry, first, digest, mentions, renewed)


def renew_keys(run: Run, further: list[tuple[Entry, bytes]]) -> None:
    """Linking changes a file's change time: remember what it is at the end."""
    for path in {name for entry, first in further for name in (entry.path, first)}:
        record = state.parse_file_record(run.records.get(path))
        if record is None:
            continue
        parent, name = run.at_dest(path)
        try:
            status = os.stat(name, dir_fd=parent, follow_symlinks=False)
        finally:
            os.close(parent)
        # A file that the site changed keeps the key of what was written, to be known as changed.
        if record.dest.rsplit(b" ", 2)[0] == state.stat_key_of(status).rsplit(b" ", 2)[0]:
            run.records[path] = state.file_record(
                record.source, state.stat_key_of(status), record.digest, record.mentions
            )
