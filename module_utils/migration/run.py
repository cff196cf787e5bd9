"""What the parts of one migration share."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field

from ansible.module_utils.migration import state, tree
from ansible.module_utils.migration.compose_tree import ComposeScan
from ansible.module_utils.migration.errors import MigrationError
from ansible.module_utils.migration.file_access import backup_name, digest_at
from ansible.module_utils.migration.job import Job
from ansible.module_utils.migration.settings import Settings
from ansible.module_utils.migration.staging import link_digest
from ansible.module_utils.rewriting.mentions import Mentions
from ansible.module_utils.rewriting.rewriter import Rules


@dataclass(slots=True)
class Run:
    """Open directories, what was known before, and what will be known afterwards; `dest` and `state_dir` are None and
    `staging` and `journal` -1 where they are not there yet."""

    settings: Settings
    paths_only: Rules
    mentions: Mentions
    stamp: str
    manifest: state.Manifest
    source: int = -1
    dest: int | None = None
    state_dir: int | None = None
    staging: int = -1
    journal: int = -1
    # What the next manifest will say; an empty record marks a file that is still to be handled.
    records: dict[bytes, bytes] = field(default_factory=dict)
    written_into: set[bytes] = field(default_factory=set)
    # Files of the source that this user may not read, and what is to be said of them.
    unreadable: list[tuple[str, str]] = field(default_factory=list)
    compose: ComposeScan = field(default_factory=ComposeScan)
    # Directories of the source in whose place no directory stands.
    absent: set[bytes] = field(default_factory=set)

    def at_dest(self, path: bytes) -> tuple[int, bytes]:
        """Descriptor of the directory that holds `path` in the destination, to be closed, and the last name."""
        directory, _sep, name = path.rpartition(b"/")
        if self.dest is None:
            raise MigrationError("the destination vanished; run the migration again")
        return tree.open_strictly(self.dest, directory), name

    def move_aside(self, name: bytes, parent: int) -> None:
        """Make room for a directory: to a backup beside, or away where the site said `overwrite`."""
        if self.settings.on_conflict == "backup":
            os.rename(name, backup_name(name, parent, self.stamp), src_dir_fd=parent, dst_dir_fd=parent)
        else:
            os.unlink(name, dir_fd=parent)

    def is_unchanged(self, path: bytes) -> bool:
        """Whether the destination's `path` is what a migration wrote, as manifest or journal say."""
        record = self.manifest.records.get(path, b"")
        begun = self.manifest.journal.get(path, set())
        if self.dest is None or not (record or begun):
            return False
        directory, _sep, name = path.rpartition(b"/")
        try:
            parent = tree.open_strictly(self.dest, directory)
        except OSError:
            return False
        try:
            status = os.stat(name, dir_fd=parent, follow_symlinks=False)
            if stat.S_ISLNK(status.st_mode):
                target = os.readlink(name, dir_fd=parent)
                return record == b"L" + target or link_digest(target) in begun
            parsed = state.parse_file_record(record)
            if not stat.S_ISREG(status.st_mode) or not (parsed or begun):
                return False
            if parsed and parsed.dest == state.stat_key_of(status):
                return True
            digest = digest_at(name, parent)
            return digest in begun or bool(parsed and parsed.digest == digest)
        except FileNotFoundError:
            return False
        finally:
            os.close(parent)

    def job(self, write: bool) -> Job:
        """What the handling of files needs of it."""
        settings = self.settings
        return Job(
            source=self.source,
            dest=self.dest,
            staging=self.staging if write else -1,
            journal=self.journal if write else -1,
            rules=settings.rules,
            mentions=self.mentions,
            compose=self.compose.contexts,
            on_conflict=settings.on_conflict,
            with_diff=settings.with_diff,
            stamp=self.stamp,
            manifest=self.manifest,
            absent=self.absent,
        )


def stands_below(root: int, path: bytes) -> bool:
    """Whether anything stands at `path` below a directory."""
    directory, _sep, name = path.rpartition(b"/")
    try:
        parent = tree.open_strictly(root, directory)
    except OSError:
        return False
    try:
        os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return False
    finally:
        os.close(parent)
    return True
