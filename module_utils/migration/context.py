# SPDX-License-Identifier: GPL-3.0-or-later
"""The context that all phases of a migration share, and the check of source and destination."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from pathlib import Path

from ansible.module_utils.migration.compose_tree import ComposeScan
from ansible.module_utils.migration.globs import Glob
from ansible.module_utils.migration.manifest import Manifest
from ansible.module_utils.rewriting.mentions import Mentions
from ansible.module_utils.rewriting.path_map import Location, PathMap
from ansible.module_utils.rewriting.rewriter import Rules
from ansible.module_utils.shared import fs

ON_CONFLICT = ("fail", "backup", "overwrite")


class MigrationError(Exception):
    """An error that stops a migration; the message says what, where and what to do."""


def stopped(reason: str) -> str:
    """The message for an error in the middle of a run."""
    return (
        f"{reason}; the migration stopped there. Every file in the destination is whole, old or new: "
        "remove the cause and run the migration again; it continues there"
    )


@dataclass(frozen=True, slots=True)
class Context:
    """One migration: the module's options, and what `engine` has opened.

    Descriptors are those of open directories, or -1.
    """

    # Absolute path of the tree to copy, which is only read.
    src: str
    # Absolute path of the directory to copy to.
    dest: str
    # The path map and the network map, compiled.
    rules: Rules
    # Names that must not be left over.
    mentions: tuple[str, ...] = ("trade2025",)
    # Globs for what is not copied.
    exclude: tuple[str, ...] = ()
    # Encoding of files by glob; the first match wins. Other files are read as UTF-8, or according to their byte order
    # mark.
    encodings: tuple[tuple[Glob, str], ...] = ()
    # Refuse to change anything if something would be left over.
    strict: bool = False
    # What happens to a file in the way: one of `ON_CONFLICT`.
    on_conflict: str = "fail"
    # Remove files that no longer exist in the source.
    prune: bool = False
    # How the files name `src`. Relative paths in Compose files are resolved against it; if None, they stay.
    compose_base: Location | None = None
    # Absolute path of the state directory; None for `.trade_migrate` in the destination.
    state_dir: str | None = None
    # Plan only.
    check_mode: bool = False
    # Show what changes in text files.
    with_diff: bool = False
    # Number of worker processes; 0 for one per processor, four at most.
    workers: int = 0
    # Names the backups of this run.
    stamp: str = ""

    # The source.
    source_fd: int = -1
    # The destination; -1 while it does not exist.
    dest_fd: int = -1
    # Where the manifest is; -1 while it does not exist.
    state_fd: int = -1
    # Where files are written before they are renamed into place; -1 until something is applied.
    staging_fd: int = -1
    # The journal; None until something is applied.
    journal: fs.AppendLog | None = None
    # The Compose files of the source; empty until it is scanned.
    compose: ComposeScan = field(default_factory=ComposeScan)
    # The manifest of the last run.
    manifest: Manifest = field(default_factory=lambda: Manifest(""))

    # Derived in `__post_init__`.
    mention_finder: Mentions = field(init=False)
    # The path map alone: a symlink's target names no network.
    path_rules: Rules = field(init=False)

    def __post_init__(self) -> None:
        """Compile what is derived."""
        if self.on_conflict not in ON_CONFLICT:
            raise MigrationError(f"on_conflict={self.on_conflict}: write {', '.join(ON_CONFLICT[:-1])} or overwrite")
        object.__setattr__(self, "mention_finder", Mentions(list(self.mentions)))
        object.__setattr__(self, "path_rules", Rules(self.rules.path_map, {}))

    def opened(self, **descriptors: object) -> Context:
        """A copy of this context with more things open."""
        return dataclasses.replace(self, **descriptors)  # type: ignore[arg-type]

    def dest_parent(self, path: bytes) -> tuple[int, bytes]:
        """A descriptor of the destination's directory that holds `path`, to be closed, and the last name."""
        directory, _slash, name = path.rpartition(b"/")
        return fs.open_directory_strictly(self.dest_fd, directory), name

    def encoding_of(self, path: bytes) -> str | None:
        """The encoding that a glob sets for a file; None if no glob matches."""
        for glob, encoding in self.encodings:
            if glob.matches(path):
                return encoding
        return None

    def treatment(self, path: bytes) -> tuple[str | None, str | None]:
        """What decides the result apart from the bytes: hard links of one file with equal treatments stay linked."""
        return self.compose.keys.get(os.fsdecode(path)), self.encoding_of(path)


class OpenDirectories:
    """The directories of the current file in both trees; they stay open while files of the same directory follow."""

    def __init__(self, context: Context, absent: AbstractSet[bytes] = frozenset()) -> None:
        """`absent` are the directories in whose place the destination has none."""
        self._context = context
        self._absent = absent
        self._directory: bytes | None = None
        self.source = self.dest = -1

    def __enter__(self) -> OpenDirectories:
        """Nothing is open yet."""
        return self

    def __exit__(self, *_exc: object) -> None:
        """Close what is open."""
        self.close()

    def enter(self, directory: bytes) -> bool:
        """Open a directory in both trees; false if it is open already."""
        if directory == self._directory:
            return False
        self.close()
        self.source = fs.open_directory(self._context.source_fd, directory)
        if self._context.dest_fd >= 0 and directory not in self._absent:
            self.dest = fs.open_directory(self._context.dest_fd, directory)
        self._directory = directory
        return True

    def dest_status(self, name: bytes) -> os.stat_result | None:
        """The status of the file with this name in the destination's directory."""
        if self.dest < 0:
            return None
        try:
            return os.stat(name, dir_fd=self.dest, follow_symlinks=False)
        except FileNotFoundError:
            return None

    def close(self) -> None:
        """Close the directories."""
        for descriptor in (self.source, self.dest):
            if descriptor >= 0:
                os.close(descriptor)
        self.source = self.dest = -1
        self._directory = None


def infer_base(src: str, path_map: PathMap) -> Location | None:
    """Infer how the files name `src`: below the shortest mapped path whose last name occurs in the path of `src`.

    `/backup/Trade2025/trading` is `C:/trade2025/trading` for a map with `C:/trade2025`.
    """
    names = [part for part in src.split("/") if part]
    folded = [name.lower() for name in names]
    for entry in sorted(path_map.entries, key=lambda entry: len(entry.source.parts)):
        wanted = [part.lower() for part in entry.source.parts]
        for start in range(len(names) - len(wanted), -1, -1):
            if folded[start : start + len(wanted)] == wanted:
                parts = (*entry.source.parts, *names[start + len(wanted) :])
                return Location(entry.source.drive, parts, entry.source.text_drive, parts)
    return None


def check_places(context: Context) -> None:
    """Refuse a source and destination that are unsafe to migrate between.

    Raises:
        MigrationError: what is wrong, and what to do.
    """
    src, dest, state_dir = context.src, context.dest, context.state_dir
    source, target = Path(src), Path(dest)
    if not os.path.lexists(src):
        raise MigrationError(f"src={src} does not exist; set it to the Trade2025 tree")
    if not source.is_dir():
        raise MigrationError(f"src={src} is not a directory; set it to the Trade2025 tree")
    if not os.access(src, os.R_OK | os.X_OK):
        raise MigrationError(f"src={src} cannot be read; give this user read permission, or run with become")
    if target.is_symlink():
        raise MigrationError(f"dest={dest} is a symlink to {target.readlink()}; write the directory itself")
    if os.path.lexists(dest) and not target.is_dir():
        raise MigrationError(f"dest={dest} is not a directory; remove it or choose another dest")
    real_src, real_dest = os.path.realpath(src), os.path.realpath(dest)
    if real_src == real_dest or (target.is_dir() and target.samefile(source)):
        raise MigrationError(f"src and dest are the same directory {real_src}; choose another dest")
    if real_dest.startswith(real_src.rstrip("/") + "/"):
        raise MigrationError(f"dest={dest} is inside src={src}, which must not be written to; choose another dest")
    if real_src.startswith(real_dest.rstrip("/") + "/"):
        raise MigrationError(f"src={src} is inside dest={dest}; choose a dest beside it")
    real_state = os.path.realpath(state_dir) if state_dir else real_dest
    if (real_state + "/").startswith(real_src.rstrip("/") + "/"):
        raise MigrationError(
            f"state_dir={state_dir} is inside src={src}, which must not be written to; choose a directory beside dest"
        )
    parent = target
    while not os.path.lexists(parent):
        parent = parent.parent
    if not parent.is_dir():
        raise MigrationError(
            f"dest={dest} cannot be created: {parent} is not a directory; remove it or choose another dest"
        )
