"""What was decided about a file, in plain values that processes can send each other."""

from __future__ import annotations

from typing import NamedTuple

# What was decided about a file.
# `REPLACE` is a conflict that the site said how to settle, `CONFLICT` one that is open.
SAME, TOUCH, KEPT, FAILED = "same", "touch", "kept", "failed"
CREATE, UPDATE, REPLACE, CONFLICT = "create", "update", "replace", "conflict"
DIRECTORY_THERE = "a directory stands where the source has none"


class Outcome(NamedTuple):
    """What was decided about one file, and done unless it was a dry pass.

    `record` is the manifest's next record for the file, meaningful after a real pass. All values are plain, so that
    they can be sent between processes.
    """

    path: bytes
    action: str
    record: bytes
    digest: bytes
    replacements: int
    mentions: int
    leftovers: tuple[tuple[int, str, str], ...] | None
    diff: str
    message: str

    @property
    def in_place(self) -> bool:
        """Whether the destination holds the file's result afterwards."""
        return self.action in (SAME, TOUCH, CREATE, UPDATE, REPLACE)

    @property
    def written(self) -> bool:
        """Whether bytes were, or would be, written."""
        return self.action in (CREATE, UPDATE, REPLACE)
