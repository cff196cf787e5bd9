"""What stops a migration."""

from __future__ import annotations


class MigrationError(Exception):
    """Something that stops a migration; the message says what, where and what to do."""


def stopped(reason: str) -> str:
    """The message for an error in the middle of a run."""
    return (
        f"{reason}; the migration stopped there. Every file in the destination is whole, old or new: "
        "remove the cause and run the migration again, it goes on"
    )
