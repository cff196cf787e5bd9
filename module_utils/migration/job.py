"""What the handling of every file shares, in whichever process it happens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ansible.module_utils.migration import state
from ansible.module_utils.rewriting.compose_paths import ComposeContext
from ansible.module_utils.rewriting.mentions import Mentions
from ansible.module_utils.rewriting.rewriter import Rules


@dataclass(frozen=True, slots=True)
class Job:
    """Descriptors are of open directories; `staging` and `journal` are -1 in a dry pass."""

    source: int
    dest: int | None
    staging: int
    journal: int
    rules: Rules
    mentions: Mentions
    compose: Mapping[bytes, ComposeContext | None]
    on_conflict: str
    with_diff: bool
    stamp: str
    manifest: state.Manifest
    # Directories of the source without a counterpart in the destination, for a dry pass: symlinks count as none.
    absent: set[bytes]

    @property
    def writes(self) -> bool:
        """False in a dry pass, which decides and computes the same and writes nothing."""
        return self.staging >= 0
