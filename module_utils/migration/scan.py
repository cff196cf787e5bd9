# SPDX-License-Identifier: GPL-3.0-or-later
"""Scan source and destination: compare the status of every file with the manifest. No file is opened."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from dataclasses import dataclass, field
from typing import NamedTuple

from ansible.module_utils.migration.compose_tree import ComposeScan, scan_compose_files
from ansible.module_utils.migration.context import Context
from ansible.module_utils.migration.globs import Excluder
from ansible.module_utils.migration.manifest import STATE_NAME
from ansible.module_utils.shared import fs

# What tools create again, and logs: useless in the migrated tree.
DEFAULT_EXCLUDES = (
    ".git",
    ".svn",
    ".hg",
    "__pycache__",
    "*.pyc",
    "node_modules",
    ".venv",
    "venv",
    ".tox",
    ".mypy_cache",
    ".pytest_cache",
    ".ruff_cache",
    ".DS_Store",
    "Thumbs.db",
    "logs",
    "*.log",
)


class DirectoryScan(NamedTuple):
    """A directory of the source.

    `found` is the mode of what has its path in the destination: None if nothing has, or if a directory above it is a
    symlink or file there.
    """

    entry: fs.Entry
    found: int | None


class LinkScan(NamedTuple):
    """A symlink of the source and its target; `found` is what has its path in the destination."""

    entry: fs.Entry
    target: bytes
    found: os.stat_result | None
    found_target: bytes | None


@dataclass(slots=True)
class ScanResult:
    """The content of the trees, parents before children."""

    directories: list[DirectoryScan] = field(default_factory=list)
    links: list[LinkScan] = field(default_factory=list)
    # Files that the destination does not have.
    new: list[fs.Entry] = field(default_factory=list)
    # Files whose counterpart in the destination does not match the manifest.
    existing: list[fs.Entry] = field(default_factory=list)
    # Hard links, each with the first name that may have the same result.
    further_names: list[tuple[fs.Entry, bytes]] = field(default_factory=list)
    # Path of everything in the source → its record in the manifest, if source and destination match it; empty for what
    # still has to be planned.
    records: dict[bytes, bytes] = field(default_factory=dict)
    # Directories of the source that are not directories in the destination.
    absent: set[bytes] = field(default_factory=set)
    # What is not copied, and why.
    skipped: list[tuple[bytes, str]] = field(default_factory=list)
    # Files that this user may not read.
    unreadable: list[bytes] = field(default_factory=list)
    # Globs of `exclude` that nothing matches.
    unused_excludes: list[str] = field(default_factory=list)
    # The Compose files of the source.
    compose: ComposeScan = field(default_factory=ComposeScan)
    files_total: int = 0


def scan(context: Context) -> ScanResult:
    """Compare source, destination and manifest by file status.

    Raises:
        OSError: a directory cannot be read.
    """
    result = ScanResult()
    excluder = Excluder(context.exclude)
    match, skipped = excluder.match, result.skipped

    def skip(name: str, path: bytes, item: os.DirEntry[str]) -> bool:
        glob = match(name, path)
        if glob is not None:
            skipped.append((path, f"excluded by {glob!r}"))
            return True
        if path == STATE_NAME and item.is_dir(follow_symlinks=False):
            skipped.append((path, "the state of a migration is not copied"))
            return True
        return False

    # The first name of each file with hard links, and its other names.
    firsts: dict[tuple[int, int], bytes] = {}
    later_names: list[fs.Entry] = []
    for directory, source, entries in fs.walk(context.source_fd, skip):
        dest = _open_counterpart(context, directory, result)
        try:
            files = []
            for entry in entries:
                kind = entry.mode & 0o170000
                if kind == stat.S_IFREG:
                    # Checked before anything is written, and only if the mode does not let everybody read the file.
                    if entry.mode & 0o444 != 0o444 and not os.access(
                        entry.path.rpartition(b"/")[2], os.R_OK, dir_fd=source, effective_ids=True
                    ):
                        result.unreadable.append(entry.path)
                    else:
                        files.append(entry)
                elif kind == stat.S_IFLNK:
                    result.links.append(_scan_link(entry, source, dest))
                    result.records[entry.path] = b""
                elif kind != stat.S_IFDIR:
                    skipped.append((entry.path, f"a {_kind(entry.mode)} is not copied"))
            result.files_total += len(files)
            further = [
                entry for entry in files if entry.links > 1 and firsts.setdefault(entry.inode, entry.path) != entry.path
            ]
            if further:
                result.records.update(dict.fromkeys((entry.path for entry in further), b""))
                later_names += further
                names = {entry.path for entry in further}
                files = [entry for entry in files if entry.path not in names]
            _scan_files(context, files, dest, len(directory.path) + 1 if directory.path else 0, result)
        finally:
            if dest >= 0:
                os.close(dest)
    _scan_compose_files(context, result)
    result.further_names = _pair_names(context.opened(compose=result.compose), firsts, later_names)
    result.unused_excludes = [glob for glob in excluder.unused() if glob not in DEFAULT_EXCLUDES]
    return result


def _scan_compose_files(context: Context, result: ScanResult) -> None:
    """Find the Compose files; those that are read differently because another file changed are planned again."""
    manifest = context.manifest
    last_records = manifest.records if manifest.same_rules else None
    result.compose = scan_compose_files(
        context.source_fd,
        result.records,
        last_records,
        manifest.compose,
        context.compose_base,
        context.rules.path_map,
    )
    for path in result.compose.again:
        result.records[path] = b""
        parent = fs.open_directory(context.source_fd, path.rpartition(b"/")[0])
        try:
            status = os.stat(path.rpartition(b"/")[2], dir_fd=parent, follow_symlinks=False)
        finally:
            os.close(parent)
        result.existing.append(fs.entry_of(path, status))


def _pair_names(
    context: Context, firsts: dict[tuple[int, int], bytes], later_names: list[fs.Entry]
) -> list[tuple[fs.Entry, bytes]]:
    """Pair each hard link with the first name that is treated alike, or with the very first one."""
    alike = {(inode, context.treatment(path)): path for inode, path in firsts.items()}
    pairs = []
    for entry in later_names:
        first = alike.setdefault((entry.inode, context.treatment(entry.path)), entry.path)
        pairs.append((entry, first if first != entry.path else firsts[entry.inode]))
    return pairs


def _scan_files(context: Context, files: list[fs.Entry], dest: int, start: int, result: ScanResult) -> None:
    """Compare the files of one directory; `start` is the position at which their names begin in their paths."""
    manifest, same_rules, stat_at = context.manifest.records, context.manifest.same_rules, os.stat
    records, new, existing = result.records, result.new, result.existing
    for entry in files:
        path = entry.path
        if dest < 0:
            records[path] = b""
            new.append(entry)
            continue
        try:
            status = stat_at(path[start:], dir_fd=dest, follow_symlinks=False)
        except FileNotFoundError:
            records[path] = b""
            new.append(entry)
            continue
        record = manifest.get(path, b"")
        if same_rules and record.startswith(
            b"F%d %d %d %o\t%d %d %d %o\t"
            % (
                entry.size,
                entry.mtime_ns,
                entry.ctime_ns,
                entry.mode,
                status.st_size,
                status.st_mtime_ns,
                status.st_ctime_ns,
                status.st_mode,
            )
        ):
            records[path] = record
            continue
        records[path] = b""
        existing.append(entry)


def _open_counterpart(context: Context, directory: fs.Entry, result: ScanResult) -> int:
    """Open a directory's counterpart in the destination and note what is there; -1 if it is not a directory."""
    path, found, dest = directory.path, None, -1
    result.records[path] = b""
    below_absent = path and path.rpartition(b"/")[0] in result.absent
    if context.dest_fd >= 0 and not below_absent:
        try:
            dest = fs.open_directory(context.dest_fd, path)
            found = os.fstat(dest).st_mode
        except FileNotFoundError:
            pass
        except OSError as exc:
            if exc.errno not in (errno.ENOTDIR, errno.ELOOP):
                raise
            parent, name = context.dest_parent(path)
            try:
                found = os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode
            finally:
                os.close(parent)
    if dest < 0:
        result.absent.add(path)
    result.directories.append(DirectoryScan(directory, found))
    return dest


def _scan_link(entry: fs.Entry, source: int, dest: int) -> LinkScan:
    name = entry.path.rpartition(b"/")[2]
    target = os.readlink(name, dir_fd=source)
    if dest >= 0:
        with contextlib.suppress(FileNotFoundError):
            found = os.stat(name, dir_fd=dest, follow_symlinks=False)
            found_target = os.readlink(name, dir_fd=dest) if stat.S_ISLNK(found.st_mode) else None
            return LinkScan(entry, target, found, found_target)
    return LinkScan(entry, target, None, None)


def _kind(mode: int) -> str:
    names = {
        stat.S_IFSOCK: "socket",
        stat.S_IFIFO: "FIFO",
        stat.S_IFBLK: "block device",
        stat.S_IFCHR: "character device",
    }
    return names.get(stat.S_IFMT(mode), "special file")
