# SPDX-License-Identifier: GPL-3.0-or-later
"""Plan a migration: decide what to do with everything that the scan found. Reads both trees and writes nothing."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from ansible.module_utils.migration import diff, process_pool
from ansible.module_utils.migration.content import Content, Reading, read_content
from ansible.module_utils.migration.context import Context, MigrationError, OpenDirectories
from ansible.module_utils.migration.manifest import (
    Record,
    entry_key,
    link_digest,
    parse_file_record,
    stat_key_of,
)
from ansible.module_utils.migration.scan import DirectoryScan, LinkScan, ScanResult
from ansible.module_utils.rewriting.document import kind_of
from ansible.module_utils.shared import fs

# The actions for a path. `REPLACE` is a conflict that `on_conflict` resolves, `CONFLICT` one that stops the run.
SAME, TOUCH, KEEP = "same", "touch", "keep"
CREATE, UPDATE, REPLACE, CONFLICT = "create", "update", "replace", "conflict"
WRITES = frozenset({CREATE, UPDATE, REPLACE})

# Set-user-id and set-group-id are not kept: the copy has another owner.
FILE_MODE = 0o777
DIRECTORY_MODE = 0o1777
DIRECTORY_THERE = "a directory is in its place"


class DirectoryPlan(NamedTuple):
    """The plan for a directory; `unfinished` if an interrupted run created it without its mode and time."""

    entry: fs.Entry
    action: str
    reason: str = ""
    unfinished: bool = False


class LinkPlan(NamedTuple):
    """The plan for a symlink; `target` is the rewritten one, `dest_key` the `stat_key` of what exists there."""

    entry: fs.Entry
    target: bytes
    action: str
    reason: str = ""
    dest_key: bytes = b""


class FilePlan(NamedTuple):
    """The plan for a file.

    `dest_key` is the `stat_key` of what exists in the destination; for `KEEP`, of what a migration wrote there.
    `content` is None for a file that is not read before it is written. `first` is the path of a hard link to it.
    """

    entry: fs.Entry
    action: str
    reason: str = ""
    dest_key: bytes = b""
    content: Content | None = None
    first: bytes | None = None


class PrunePlan(NamedTuple):
    """Removal of something that no longer exists in the source."""

    path: bytes
    is_directory: bool


@dataclass(slots=True)
class Plan:
    """What a migration does, in this order. Check mode stops here."""

    directories: list[DirectoryPlan] = field(default_factory=list)
    links: list[LinkPlan] = field(default_factory=list)
    files: list[FilePlan] = field(default_factory=list)
    # Hard links.
    names: list[FilePlan] = field(default_factory=list)
    prunes: list[PrunePlan] = field(default_factory=list)
    # What no longer exists in the source but stays, because the site changed it.
    kept: list[bytes] = field(default_factory=list)
    # The manifest's records of what no longer exists in the source but stays.
    carried: dict[bytes, bytes] = field(default_factory=dict)
    # Files that cannot be migrated, and why.
    failures: list[tuple[bytes, str]] = field(default_factory=list)
    diffs: diff.Diffs = field(default_factory=diff.Diffs)

    def operations(self) -> Iterator[tuple[str, bytes, str]]:
        """Action, path and reason of everything that has to change."""
        # Files are in the order in which the worker processes finished them.
        files = sorted(self.files, key=lambda plan: plan.entry.path)
        for kind, plans in (("directory", self.directories), ("symlink", self.links), ("file", files)):
            for plan in plans:
                if plan.action != SAME:
                    yield f"{plan.action} {kind}", plan.entry.path, plan.reason
        for name in self.names:
            if name.action != SAME:
                what = f"further name of {fs.display_name(name.first)}" if name.first else "file"
                yield f"{name.action} {what}", name.entry.path, name.reason
        for pruned in self.prunes:
            yield f"remove {'directory' if pruned.is_directory else 'file'}", pruned.path, "vanished from the source"
        for path, reason in self.failures:
            yield "fail", path, reason

    def __str__(self) -> str:
        """The plan, one line per operation."""
        lines = []
        for action, path, reason in self.operations():
            lines.append(f"{action} {fs.display_name(path) or '.'}" + (f": {reason}" if reason else "") + "\n")
        return "".join(lines)


class Failed(NamedTuple):
    """A file that cannot be migrated, and why."""

    message: str


class Decision(NamedTuple):
    """A file's plan as a worker sends it, without the entry, which the parent process has."""

    action: str
    reason: str
    dest_key: bytes
    content: Content
    diff: str


def make_plan(context: Context, scan: ScanResult) -> Plan:
    """Plan everything. New files are read here only in check mode and for `strict`, else when they are written.

    Raises:
        OSError: a directory cannot be read.
    """
    plan = Plan()
    plan.directories = [_plan_directory(context, item) for item in scan.directories]
    plan.links = [_plan_link(context, item) for item in scan.links]
    plan.failures = [(path, "Permission denied") for path in scan.unreadable]
    read_first = scan.existing
    if context.check_mode or context.strict:
        read_first = [*scan.existing, *scan.new]
    else:
        plan.files = [FilePlan(entry, CREATE) for entry in scan.new]
    for entry, decision in _decide_all(context, read_first, scan.absent):
        _add(plan, plan.files, entry, decision)
    if scan.further_names:
        with OpenDirectories(context, scan.absent) as directories:
            _NamePlanner(context, scan, plan, FilePlanner(context, directories)).run()
    _plan_prunes(context, scan, plan)
    return plan


def _add(plan: Plan, files: list[FilePlan], entry: fs.Entry, decision: Decision | Failed) -> None:
    if isinstance(decision, Failed):
        plan.failures.append((entry.path, decision.message))
        return
    files.append(FilePlan(entry, decision.action, decision.reason, decision.dest_key, decision.content))
    plan.diffs.add(entry.path, decision.diff)


def _decide_all(
    context: Context, entries: list[fs.Entry], absent: set[bytes]
) -> Iterator[tuple[fs.Entry, Decision | Failed]]:
    """Plan the files, in as many processes as are worth starting."""

    @contextlib.contextmanager
    def start() -> Iterator[Callable[[fs.Entry], Decision | Failed]]:
        with OpenDirectories(context, absent) as directories:
            yield FilePlanner(context, directories).decide

    return process_pool.run(entries, [entry.size for entry in entries], start, context.workers)


# What is in the destination.


def is_ours(context: Context, path: bytes) -> bool:
    """Whether the destination's `path` is what a migration wrote, according to manifest or journal."""
    record = context.manifest.records.get(path, b"")
    begun = context.manifest.journal.get(path, set())
    if context.dest_fd < 0 or not (record or begun):
        return False
    try:
        parent, name = context.dest_parent(path)
    except OSError:
        return False
    try:
        status = os.stat(name, dir_fd=parent, follow_symlinks=False)
        if stat.S_ISLNK(status.st_mode):
            target = os.readlink(name, dir_fd=parent)
            return record == b"L" + target or link_digest(target) in begun
        parsed = parse_file_record(record)
        if not stat.S_ISREG(status.st_mode) or not (parsed or begun):
            return False
        if parsed and parsed.dest == stat_key_of(status):
            return True
        digest = fs.hash_at(name, parent)
        return digest in begun or bool(parsed and parsed.digest == digest)
    except FileNotFoundError:
        return False
    finally:
        os.close(parent)


def _exists_below(root: int, path: bytes) -> bool:
    """Whether anything is at `path` below a directory."""
    directory, _slash, name = path.rpartition(b"/")
    try:
        parent = fs.open_directory_strictly(root, directory)
    except OSError:
        return False
    try:
        os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return False
    finally:
        os.close(parent)
    return True


# Directories and symlinks.


def _conflict(context: Context) -> str:
    return CONFLICT if context.on_conflict == "fail" else REPLACE


def directory_record(entry: fs.Entry) -> bytes:
    """A directory's record as the manifest stores it."""
    return b"D%o" % (entry.mode & DIRECTORY_MODE)


def _plan_directory(context: Context, item: DirectoryScan) -> DirectoryPlan:
    entry, path = item.entry, item.entry.path
    if item.found is None:
        return DirectoryPlan(entry, CREATE)
    if not stat.S_ISDIR(item.found):
        if is_ours(context, path):
            return DirectoryPlan(entry, UPDATE)
        return DirectoryPlan(entry, _conflict(context), "something that is not a directory is in its place")
    mode = stat.S_IMODE(item.found)
    if b"D" in context.manifest.journal.get(path, ()):
        action = TOUCH if mode != entry.mode & DIRECTORY_MODE else SAME
        return DirectoryPlan(entry, action, unfinished=True)
    record = context.manifest.records.get(path)
    # A mode that the site changed stays.
    if record and record != directory_record(entry) and record == b"D%o" % mode:
        return DirectoryPlan(entry, TOUCH)
    return DirectoryPlan(entry, SAME)


def _plan_link(context: Context, item: LinkScan) -> LinkPlan:
    entry, found, there = item.entry, item.found, item.found_target
    target = context.path_rules.plan_path(item.target).new
    if found is None:
        return LinkPlan(entry, target, CREATE)
    key = stat_key_of(found)
    if there == target:
        return LinkPlan(entry, target, SAME)
    record = context.manifest.records.get(entry.path, b"")
    if there is not None:
        ours = record == b"L" + there or link_digest(there) in context.manifest.journal.get(entry.path, ())
    else:
        ours = is_ours(context, entry.path)
    if ours:
        return LinkPlan(entry, target, UPDATE, dest_key=key)
    if record == b"L" + target:
        return LinkPlan(entry, target, KEEP)
    if stat.S_ISDIR(found.st_mode):
        action = CONFLICT if context.on_conflict == "overwrite" else _conflict(context)
        return LinkPlan(entry, target, action, DIRECTORY_THERE, key)
    return LinkPlan(entry, target, _conflict(context), "exists with another target or as something else", key)


# Files.


def file_mode(entry: fs.Entry, record: Record | None, dest_key: bytes) -> int:
    """The mode of a file that a migration wrote before: the source's, unless the site has changed it."""
    if record is not None and dest_key:
        current, written = (int(key.rpartition(b" ")[2], 8) for key in (dest_key, record.source))
        if stat.S_ISREG(current) and current & FILE_MODE != written & FILE_MODE:
            return current & FILE_MODE
    return entry.mode & FILE_MODE


class FilePlanner:
    """Plans files, one after the other."""

    def __init__(self, context: Context, directories: OpenDirectories) -> None:
        self._context = context
        self.directories = directories

    def decide(self, entry: fs.Entry) -> Decision | Failed:
        """The plan for a file."""
        directory, _slash, name = entry.path.rpartition(b"/")
        try:
            self.directories.enter(directory)
            return self._decide(entry, name)
        except OSError as exc:
            return Failed(os.strerror(exc.errno) if exc.errno else str(exc))
        except MigrationError as exc:
            return Failed(str(exc))

    def read(self, entry: fs.Entry) -> Reading:
        """A file's content."""
        directory, _slash, name = entry.path.rpartition(b"/")
        self.directories.enter(directory)
        descriptor = fs.open_for_reading(name, self.directories.source)
        try:
            return read_content(self._context, descriptor, entry)
        finally:
            os.close(descriptor)

    def _decide(self, entry: fs.Entry, name: bytes) -> Decision:
        manifest = self._context.manifest
        record = parse_file_record(manifest.records.get(entry.path))
        status = self.directories.dest_status(name)
        known = manifest.same_rules and entry.path not in self._context.compose.contexts
        if record and known and record.source == entry_key(entry) and status:
            return self._unchanged_source(entry, name, record, status)
        reading = self.read(entry)
        content = reading.content
        if status is None:
            return Decision(CREATE, "", b"", content, show_change(self._context, entry, reading))
        action, reason = self.compare(entry, name, content.digest, status)
        key = stat_key_of(status)
        if action == KEEP and record:
            return Decision(KEEP, reason, record.dest, content, "")
        if action == SAME:
            ours = record is None or record.dest == key
            mode = file_mode(entry, record, key)
            stale = stat.S_IMODE(status.st_mode) != mode or status.st_mtime_ns != entry.mtime_ns
            return Decision(TOUCH if stale and ours else SAME, "", key, content, "")
        return Decision(action, reason, key, content, self._show_change(entry, name, reading, status))

    def _unchanged_source(self, entry: fs.Entry, name: bytes, record: Record, status: os.stat_result) -> Decision:
        """The plan for a file whose source is unchanged and need not be read: was the destination changed by hand?"""
        key = stat_key_of(status)
        content = recorded_content(self._context, entry.path, record)
        if record.dest == key or (
            stat.S_ISREG(status.st_mode) and fs.hash_at(name, self.directories.dest) == record.digest
        ):
            return Decision(SAME, "", key, content, "")
        return Decision(KEEP, "", record.dest, content, "")

    def compare(self, entry: fs.Entry, name: bytes, new: bytes, status: os.stat_result) -> tuple[str, str]:
        """What to do with a file of the destination if the new content has the hash `new`, and why."""
        context = self._context
        conflict = _conflict(context)
        record = parse_file_record(context.manifest.records.get(entry.path))
        begun = context.manifest.journal.get(entry.path, ())
        if stat.S_ISDIR(status.st_mode):
            return CONFLICT if context.on_conflict == "overwrite" else conflict, DIRECTORY_THERE
        if not stat.S_ISREG(status.st_mode):
            if stat.S_ISLNK(status.st_mode):
                target = os.readlink(name, dir_fd=self.directories.dest)
                if context.manifest.records.get(entry.path) == b"L" + target or link_digest(target) in begun:
                    return UPDATE, ""
            return conflict, "something that is not a regular file is in its place"
        untouched = record is not None and record.dest == stat_key_of(status)
        current = record.digest if record and untouched else fs.hash_at(name, self.directories.dest)
        if current == new:
            return SAME, ""
        if (record and current == record.digest) or current in begun:
            return UPDATE, ""
        if record and record.digest == new:
            return KEEP, ""
        if record:
            return conflict, "changed by hand since the last migration, and its source changed too"
        return conflict, "exists with other content, and no migration wrote it"

    def _show_change(self, entry: fs.Entry, name: bytes, reading: Reading, status: os.stat_result) -> str:
        """The diff between a file of the destination and what replaces it."""
        if not self._context.with_diff or reading.new is None or reading.content.kind == "binary":
            return ""
        if not stat.S_ISREG(status.st_mode) or status.st_size > diff.SIZE_MAX:
            return ""
        descriptor = fs.open_for_reading(name, self.directories.dest)
        try:
            current = fs.read_all(descriptor, status.st_size)
        finally:
            os.close(descriptor)
        if kind_of(current, b"\x00" in current) == "binary":
            return ""
        return diff.unified(entry.path, current, reading.new, reading.content.kind)


def recorded_content(context: Context, path: bytes, record: Record) -> Content:
    """The content of a file that matches the manifest."""
    _count, lines = context.manifest.leftovers.get(os.fsdecode(path), (0, []))
    return Content(record.digest, "", 0, record.mentions, tuple(tuple(line) for line in lines))


def show_change(context: Context, entry: fs.Entry, reading: Reading) -> str:
    """The diff between a file of the source and its copy, if they differ."""
    if not context.with_diff or reading.old is None or reading.new is None:
        return ""
    if reading.content.kind == "binary" or not reading.content.replacements:
        return ""
    return diff.unified(entry.path, reading.old, reading.new, reading.content.kind)


# Hard links.


class _NamePlanner:
    """Plans hard links: names of one file stay linked unless their results differ.

    They differ if the name affects the result: one is the name of a Compose file, the other is not.
    """

    def __init__(self, context: Context, scan: ScanResult, plan: Plan, planner: FilePlanner) -> None:
        self._context, self._scan, self._plan, self._planner = context, scan, plan, planner
        wanted = {first for _entry, first in scan.further_names}
        self._first_plans = {plan.entry.path: plan for plan in plan.files if plan.entry.path in wanted}

    def run(self) -> None:
        """Plan all of them."""
        names = self._plan.names
        for entry, first in self._scan.further_names:
            try:
                planned = self._plan_name(entry, first)
            except OSError as exc:
                self._plan.failures.append((entry.path, os.strerror(exc.errno or 0)))
                continue
            except MigrationError as exc:
                self._plan.failures.append((entry.path, str(exc)))
                continue
            if planned is None:
                _add(self._plan, names, entry, self._planner.decide(entry))
            else:
                names.append(planned)
            if names and names[-1].entry is entry:
                self._first_plans[entry.path] = names[-1]

    def _plan_name(self, entry: fs.Entry, first: bytes) -> FilePlan | None:
        """The plan for a hard link to `first`; None if it has to be a separate file."""
        context = self._context
        leader = self._first_plans.get(first)
        content = leader.content if leader else None
        if leader is None:
            record = parse_file_record(self._scan.records.get(first))
            if record is None:
                return None
            content = recorded_content(context, first, record)
        elif leader.action in (KEEP, CONFLICT):
            return None
        if context.treatment(entry.path) != context.treatment(first):
            content = content or self._read(first, entry)
            if self._planner.read(entry).content.digest != content.digest:
                return None
        if not self._same_file_system(entry.path, first):
            return None
        directory, _slash, name = entry.path.rpartition(b"/")
        self._planner.directories.enter(directory)
        status = self._planner.directories.dest_status(name)
        if status is None:
            return FilePlan(entry, CREATE, content=content and content._replace(replacements=0), first=first)
        content = (content or self._read(first, entry))._replace(replacements=0)
        self._planner.directories.enter(directory)
        action, reason = self._planner.compare(entry, name, content.digest, status)
        renewed = leader is not None and leader.action in WRITES
        record = parse_file_record(context.manifest.records.get(entry.path))
        key = stat_key_of(status)
        # What the last run wrote as a separate file, because it could not be linked, stays separate.
        apart = record is not None and record.source == entry_key(entry) and record.dest == key
        if action == SAME and (renewed or not (apart or self._is_linked(first, status))):
            action = UPDATE
        if action == KEEP and record:
            key = record.dest
        return FilePlan(entry, action, reason, key, content, first)

    def _read(self, first: bytes, entry: fs.Entry) -> Content:
        """The content of a file to which `entry` is a hard link."""
        return self._planner.read(entry._replace(path=first)).content

    def _is_linked(self, first: bytes, status: os.stat_result) -> bool:
        """Whether this is the status of the destination's `first`."""
        parent, name = self._context.dest_parent(first)
        try:
            there = os.stat(name, dir_fd=parent, follow_symlinks=False)
        finally:
            os.close(parent)
        return (there.st_dev, there.st_ino) == (status.st_dev, status.st_ino)

    def _same_file_system(self, path: bytes, first: bytes) -> bool:
        directory, first_directory = path.rpartition(b"/")[0], first.rpartition(b"/")[0]
        return directory == first_directory or self._file_system(directory) == self._file_system(first_directory)

    def _file_system(self, directory: bytes) -> tuple[bytes, int]:
        """The file system of a directory of the destination; of its parent if it does not exist yet."""
        if self._context.dest_fd < 0:
            return b"", -1
        while directory and directory in self._scan.absent:
            directory = directory.rpartition(b"/")[0]
        descriptor = fs.open_directory(self._context.dest_fd, directory)
        try:
            return fs.file_system_of(descriptor)
        finally:
            os.close(descriptor)


# What vanished from the source.


def _plan_prunes(context: Context, scan: ScanResult, plan: Plan) -> None:
    """Plan the removal of what is in the manifest and no longer exists in the source."""
    known, seen = context.manifest.records, scan.records
    if len(known) <= len(seen) and known.keys() <= seen.keys():
        return
    pruned: set[bytes] = set()
    written = {link.entry.path for link in plan.links if link.action in WRITES}
    written |= {file.entry.path for file in (*plan.files, *plan.names) if file.action in WRITES}
    for path in sorted((path for path in known if path not in seen), reverse=True):
        record = known[path]
        if any(parent in written for parent in _parents(path)):
            # A file replaces the directory, which is removed with all its content.
            continue
        if not context.prune or _exists_below(context.source_fd, path):
            plan.carried[path] = record
        elif record.startswith(b"D"):
            left = _left_in_directory(context, path, pruned)
            if left:
                plan.carried[path] = record
            elif left is not None:
                plan.prunes.append(PrunePlan(path, True))
                pruned.add(path)
        elif is_ours(context, path):
            plan.prunes.append(PrunePlan(path, False))
            pruned.add(path)
        elif context.dest_fd >= 0 and _exists_below(context.dest_fd, path):
            plan.kept.append(path)
            plan.carried[path] = record


def _parents(path: bytes) -> Iterator[bytes]:
    """The directories above a path, the nearest first."""
    while b"/" in path:
        path = path.rpartition(b"/")[0]
        yield path


def _left_in_directory(context: Context, path: bytes, pruned: set[bytes]) -> list[str] | None:
    """What a directory contains except what is pruned; None if it does not exist."""
    if context.dest_fd < 0:
        return None
    try:
        descriptor = fs.open_directory_strictly(context.dest_fd, path)
    except OSError:
        return None
    try:
        with os.scandir(descriptor) as entries:
            return [entry.name for entry in entries if path + b"/" + os.fsencode(entry.name) not in pruned]
    finally:
        os.close(descriptor)
