# SPDX-License-Identifier: GPL-3.0-or-later
"""Apply a plan: write each file to a temporary file, journal it, then rename it into place."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeVar

from ansible.module_utils.migration import process_pool
from ansible.module_utils.migration.content import Content, Reading, read_content
from ansible.module_utils.migration.context import Context, MigrationError, OpenDirectories, stopped
from ansible.module_utils.migration.manifest import (
    entry_key,
    file_record,
    link_digest,
    note,
    parse_file_record,
    stat_key_of,
    temporary_name,
)
from ansible.module_utils.migration.plan import (
    DIRECTORY_MODE,
    FILE_MODE,
    KEEP,
    REPLACE,
    SAME,
    TOUCH,
    UPDATE,
    WRITES,
    DirectoryPlan,
    Failed,
    FilePlan,
    LinkPlan,
    Plan,
    directory_record,
    file_mode,
    is_ours,
    show_change,
)
from ansible.module_utils.shared import fs

Written = TypeVar("Written")
_CHANGED = "changed in the destination while the migration ran"


class Applied(NamedTuple):
    """A file that is as planned: its content, the manifest's next record for it, and what changed as a diff."""

    content: Content
    record: bytes
    diff: str


def apply(context: Context, plan: Plan, records: dict[bytes, bytes]) -> dict[bytes, bytes]:
    """Apply the whole plan, and add to it the content of files that were not read before.

    Args:
        context: the migration, with everything open for writing.
        plan: what to do.
        records: path → its record from the scan; empty for paths that are planned.

    Returns:
        The manifest's next records.

    Raises:
        MigrationError: an operation failed; what was written until then is complete.
        OSError: the same, for directories and symlinks.
    """
    records = dict(records)
    for directory in plan.directories:
        _apply_directory(context, directory)
        records[directory.entry.path] = directory_record(directory.entry)
    writer = Writer(context)
    for link in plan.links:
        if link.action in WRITES:
            _apply_link(context, writer, link)
        records[link.entry.path] = b"L" + link.target
    _apply_files(context, plan, records)
    if plan.names:
        _apply_names(context, plan, records)
    for pruned in plan.prunes:
        if not pruned.is_directory:
            _check_ours(context, pruned.path)
        parent, name = context.dest_parent(pruned.path)
        try:
            (os.rmdir if pruned.is_directory else os.unlink)(name, dir_fd=parent)
        finally:
            os.close(parent)
    _finish_directories(context, plan)
    return records | plan.carried


def backup_name(name: bytes, directory: int, stamp: str) -> bytes:
    """A free name for a backup of `name` in the same directory, short enough for any file system."""
    ending = f".{stamp}.bak".encode()
    for number in range(1000):
        candidate = name[: 255 - len(ending) - 4] + (b"-%d" % number if number else b"") + ending
        try:
            os.stat(candidate, dir_fd=directory, follow_symlinks=False)
        except FileNotFoundError:
            return candidate
    raise MigrationError("there are already a thousand backups of the same second; remove some")


# Directories.


def _apply_directory(context: Context, plan: DirectoryPlan) -> None:
    path, mode = plan.entry.path, plan.entry.mode & DIRECTORY_MODE
    if plan.action == SAME:
        return
    if not path:
        # The destination itself was created when it was opened.
        note(context.journal, b"D", path)
        return
    parent, name = context.dest_parent(path)
    try:
        if plan.action == TOUCH:
            os.chmod(name, mode, dir_fd=parent)
            return
        if plan.action == REPLACE and context.on_conflict == "backup":
            os.rename(name, backup_name(name, parent, context.stamp), src_dir_fd=parent, dst_dir_fd=parent)
        elif plan.action in (REPLACE, UPDATE):
            if plan.action == UPDATE:
                _check_ours(context, path)
            os.unlink(name, dir_fd=parent)
        note(context.journal, b"D", path)
        os.mkdir(name, mode | 0o700, dir_fd=parent)
    finally:
        os.close(parent)


def _written_into(plan: Plan) -> set[bytes]:
    """The directories whose time changes with what is written into them."""
    paths = {item.entry.path for item in plan.directories if item.action != SAME or item.unfinished}
    inside = {path for path in paths if path}
    inside |= {link.entry.path for link in plan.links if link.action in WRITES}
    inside |= {file.entry.path for file in (*plan.files, *plan.names) if file.action in WRITES}
    inside |= {pruned.path for pruned in plan.prunes}
    return paths | {path.rpartition(b"/")[0] for path in inside}


def _finish_directories(context: Context, plan: Plan) -> None:
    """Set the source's time on the directories that were created or written into, children first.

    Then flush every file system that was written to, except that of the manifest, which is flushed with it.
    """
    flushed = {os.fstat(context.state_fd).st_dev}
    others: list[int] = []
    written_into = _written_into(plan)
    for item in reversed(plan.directories):
        entry = item.entry
        if entry.path not in written_into:
            continue
        descriptor = fs.open_directory(context.dest_fd, entry.path)
        try:
            if item.action != SAME:
                os.fchmod(descriptor, entry.mode & DIRECTORY_MODE)
            os.utime(descriptor, ns=(entry.mtime_ns, entry.mtime_ns))
            device = os.fstat(descriptor).st_dev
            if device not in flushed:
                flushed.add(device)
                others.append(os.dup(descriptor))
        finally:
            os.close(descriptor)
    for descriptor in others:
        try:
            fs.sync_file_system(descriptor)
        finally:
            os.close(descriptor)


# Symlinks and files.


def _apply_link(context: Context, writer: Writer, plan: LinkPlan) -> None:
    parent, name = context.dest_parent(plan.entry.path)
    try:
        writer.enter(parent)
        writer.symlink(plan, name)
    except MigrationError as exc:
        raise MigrationError(stopped(str(exc))) from exc
    finally:
        os.close(parent)


def _check_ours(context: Context, path: bytes) -> None:
    """Raise MigrationError if the destination's `path` is no longer what a migration wrote."""
    if not is_ours(context, path):
        raise MigrationError(stopped(f"{fs.display_name(path)}: {_CHANGED}"))


def _check_unchanged(path: bytes, name: bytes, directory: int, key: bytes) -> None:
    """Raise MigrationError if the destination of a file is no longer as it was when the plan was made.

    The change time does not count, because adding a hard link changes it.
    """
    try:
        status = os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        # A file that vanished is not in the way.
        return
    size, mtime, _ctime, mode = key.split(b" ") if key else (b"", b"", b"", b"")
    if (b"%d" % status.st_size, b"%d" % status.st_mtime_ns, b"%o" % status.st_mode) != (size, mtime, mode):
        raise MigrationError(f"{fs.display_name(path)}: {_CHANGED}")


def _apply_files(context: Context, plan: Plan, records: dict[bytes, bytes]) -> None:
    """Write the files, in as many processes as are worth starting."""
    number_of = {}
    writes: list[FilePlan] = []
    for number, file in enumerate(plan.files):
        if file.action in (SAME, KEEP):
            records[file.entry.path] = _unwritten_record(file)
        else:
            number_of[file.entry.path] = number
            writes.append(file)

    @contextlib.contextmanager
    def start() -> Iterator[Callable[[FilePlan], Applied | Failed]]:
        with OpenDirectories(context) as directories:
            yield FileWriter(context, directories).write

    sizes = [file.entry.size for file in writes]
    for file, done in process_pool.run(writes, sizes, start, context.workers):
        path = file.entry.path
        plan.files[number_of[path]] = _completed(plan, file, done)
        records[path] = done.record if isinstance(done, Applied) else b""


def _completed(plan: Plan, file: FilePlan, done: Applied | Failed) -> FilePlan:
    """The plan of a file with its content; raises MigrationError when it could not be written."""
    if isinstance(done, Failed):
        raise MigrationError(stopped(f"{fs.display_name(file.entry.path)}: {done.message}"))
    plan.diffs.add(file.entry.path, done.diff)
    return file._replace(content=done.content)


def _unwritten_record(file: FilePlan) -> bytes:
    """The manifest's record for a file that stays as it is."""
    if file.content is None:
        raise ValueError("a file that stays was read when it was planned")
    return file_record(entry_key(file.entry), file.dest_key, file.content.digest, file.content.mentions)


def _apply_names(context: Context, plan: Plan, records: dict[bytes, bytes]) -> None:
    """Create the hard links to files, which are all in place by now."""
    wanted = {name.first for name in plan.names}
    contents = {file.entry.path: file.content for file in plan.files if file.entry.path in wanted}
    with OpenDirectories(context) as directories:
        writer = FileWriter(context, directories)
        for number, name in enumerate(plan.names):
            content = name.content or (contents.get(name.first) if name.first else None)
            if content is not None and name.first:
                content = content._replace(replacements=0)
            file = name._replace(content=content)
            path = name.entry.path
            if file.action in (SAME, KEEP):
                records[path] = _unwritten_record(file)
            elif file.first is None or content is None:
                done = writer.write(file)
                file = _completed(plan, file, done)
                records[path] = done.record if isinstance(done, Applied) else b""
            else:
                linked = writer.link(file, content)
                if linked is None:
                    # Only the attempt shows that the names are on different file systems.
                    file = file._replace(content=None, first=None)
                    linked = writer.write(file)
                file = _completed(plan, file, linked)
                records[path] = linked.record if isinstance(linked, Applied) else b""
            contents[path] = file.content
            plan.names[number] = file
    _renew_keys(context, plan, records)


def _renew_keys(context: Context, plan: Plan, records: dict[bytes, bytes]) -> None:
    """Update the recorded change times, because linking changes them."""
    for path in {path for name in plan.names for path in (name.entry.path, name.first) if path is not None}:
        record = parse_file_record(records.get(path))
        if record is None:
            continue
        parent, name = context.dest_parent(path)
        try:
            key = stat_key_of(os.stat(name, dir_fd=parent, follow_symlinks=False))
        finally:
            os.close(parent)
        # A file that the site changed keeps the key of what was written, so that it still counts as changed.
        if record.dest.rsplit(b" ", 2)[0] == key.rsplit(b" ", 2)[0]:
            records[path] = file_record(record.source, key, record.digest, record.mentions)


class FileWriter:
    """Carries out the plans of files, one after the other."""

    def __init__(self, context: Context, directories: OpenDirectories) -> None:
        self._context = context
        self._directories = directories
        self._writer = Writer(context)

    def _enter(self, path: bytes) -> bytes:
        directory, _slash, name = path.rpartition(b"/")
        if self._directories.enter(directory):
            self._writer.enter(self._directories.dest)
        return name

    def write(self, plan: FilePlan) -> Applied | Failed:
        """Write a file, or give it the source's mode and time."""
        try:
            name = self._enter(plan.entry.path)
            if plan.action == TOUCH and plan.content is not None:
                return self._touch(plan, name, plan.content)
            return self._write(plan, name)
        except OSError as exc:
            return Failed(os.strerror(exc.errno) if exc.errno else str(exc))
        except MigrationError as exc:
            return Failed(str(exc))

    def _touch(self, plan: FilePlan, name: bytes, content: Content) -> Applied:
        entry, dest = plan.entry, self._directories.dest
        _check_unchanged(entry.path, name, dest, plan.dest_key)
        os.chmod(name, self._writer.mode(plan), dir_fd=dest)
        os.utime(name, ns=(entry.mtime_ns, entry.mtime_ns), dir_fd=dest, follow_symlinks=False)
        key = stat_key_of(os.stat(name, dir_fd=dest, follow_symlinks=False))
        return Applied(content, file_record(entry_key(entry), key, content.digest, content.mentions), "")

    def _write(self, plan: FilePlan, name: bytes) -> Applied:
        entry = plan.entry
        descriptor = fs.open_for_reading(name, self._directories.source)
        try:
            reading, key = self._writer.write(descriptor, plan, name)
        finally:
            os.close(descriptor)
        content = reading.content
        # A file that was read for the plan has its diff already.
        shown = show_change(self._context, entry, reading) if plan.content is None else ""
        return Applied(content, file_record(entry_key(entry), key, content.digest, content.mentions), shown)

    def link(self, plan: FilePlan, content: Content) -> Applied | Failed | None:
        """Create a file as a hard link to `plan.first`; None if that is on another file system."""
        first_directory, _slash, first_name = (plan.first or b"").rpartition(b"/")
        try:
            name = self._enter(plan.entry.path)
            dest = self._directories.dest
            beside = fs.open_directory(self._context.dest_fd, first_directory)
            try:
                self._writer.link(plan, name, first_name, beside, content.digest)
            except OSError as exc:
                if exc.errno != errno.EXDEV:
                    raise
                return None
            finally:
                os.close(beside)
            key = stat_key_of(os.stat(name, dir_fd=dest, follow_symlinks=False))
        except OSError as exc:
            return Failed(os.strerror(exc.errno or 0))
        except MigrationError as exc:
            return Failed(str(exc))
        return Applied(content, file_record(entry_key(plan.entry), key, content.digest, content.mentions), "")


class Writer:
    """Writes files and symlinks into the destination, one directory at a time."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._count = 0
        self._prefix = b"%d-" % os.getpid()
        self._file_system = fs.file_system_of(context.staging_fd)
        self._dest = -1
        self._across = False

    def enter(self, dest: int) -> None:
        """Make this the current directory. It may be on another file system than the staging folder."""
        self._dest = dest
        self._across = fs.file_system_of(dest) != self._file_system

    def write(self, descriptor: int, plan: FilePlan, name: bytes) -> tuple[Reading, bytes]:
        """Write the result of a file; returns it, and the new `stat_key`.

        Raises:
            MigrationError: the result differs from the planned one, if that is known, or what it replaces changed.
        """
        entry, planned, mode = plan.entry, plan.content, self.mode(plan)

        def write() -> tuple[Reading, bytes]:
            with self._staged(entry.path) as (staged, place):
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
                target = os.open(staged, flags, mode, dir_fd=place)
                try:
                    reading = read_content(self._context, descriptor, entry, target, planned.kind if planned else None)
                    if planned and reading.content.digest != planned.digest:
                        raise MigrationError("changes while it is read; stop what writes to the source and run again")
                    if reading.new is not None:
                        fs.write_all(target, reading.new)
                    os.utime(target, ns=(entry.mtime_ns, entry.mtime_ns))
                    note(self._context.journal, reading.content.digest, entry.path)
                    self._put(staged, place, name, plan)
                    return reading, stat_key_of(os.fstat(target))
                finally:
                    os.close(target)

        return self._on_its_file_system(write)

    def mode(self, plan: FilePlan) -> int:
        """The mode that a file gets."""
        if plan.action not in (UPDATE, TOUCH):
            return plan.entry.mode & FILE_MODE
        record = parse_file_record(self._context.manifest.records.get(plan.entry.path))
        return file_mode(plan.entry, record, plan.dest_key)

    def link(self, plan: FilePlan, name: bytes, first: bytes, beside: int, digest: bytes) -> None:
        """Make `name` a hard link to the file `first` in the directory `beside`."""

        def link() -> None:
            with self._staged(plan.entry.path) as (staged, place):
                os.link(first, staged, src_dir_fd=beside, dst_dir_fd=place, follow_symlinks=False)
                note(self._context.journal, digest, plan.entry.path)
                self._put(staged, place, name, plan)

        self._on_its_file_system(link)

    def symlink(self, plan: LinkPlan, name: bytes) -> None:
        """Make `name` a symlink."""
        entry, target = plan.entry, plan.target

        def symlink() -> None:
            with self._staged(entry.path) as (staged, place):
                os.symlink(target, staged, dir_fd=place)
                os.utime(staged, ns=(entry.mtime_ns, entry.mtime_ns), dir_fd=place, follow_symlinks=False)
                note(self._context.journal, link_digest(target), entry.path)
                self._put(staged, place, name, plan)

        self._on_its_file_system(symlink)

    def _on_its_file_system(self, write: Callable[[], Written]) -> Written:
        """Write; retry if the rename fails because the directory counts as another file system, as with quotas."""
        try:
            return write()
        except OSError as exc:
            if exc.errno != errno.EXDEV or self._across:
                raise
        self._across = True
        return write()

    @contextlib.contextmanager
    def _staged(self, path: bytes) -> Iterator[tuple[bytes, int]]:
        """A temporary name for what will become `path`, and its directory; it is removed after a failure.

        On another file system that is the directory of `path` itself, and a pointer among the staged files names what
        the next run has to remove if this one is killed.
        """
        self._count += 1
        staged = self._prefix + b"%d" % self._count
        name, place, pointer = staged, self._context.staging_fd, None
        if self._across:
            name, place, pointer = temporary_name(staged), self._dest, staged
            directory = path.rpartition(b"/")[0]
            os.symlink(directory + b"/" + name if directory else name, pointer, dir_fd=self._context.staging_fd)
        try:
            with fs.removed_on_error(name, place):
                yield name, place
        finally:
            if pointer is not None:
                os.unlink(pointer, dir_fd=self._context.staging_fd)

    def _put(self, staged: bytes, place: int, name: bytes, plan: FilePlan | LinkPlan) -> None:
        """Rename into place. The old file stays until then: its backup is a hard link to it.

        Raises:
            MigrationError: the old file changed after the plan was made, perhaps while a large file was written.
        """
        dest = self._dest
        _check_unchanged(plan.entry.path, name, dest, plan.dest_key)
        if plan.action != REPLACE or self._context.on_conflict != "backup":
            os.rename(staged, name, src_dir_fd=place, dst_dir_fd=dest)
            return
        spare = backup_name(name, dest, self._context.stamp)
        try:
            os.link(name, spare, src_dir_fd=dest, dst_dir_fd=dest, follow_symlinks=False)
            moved = False
        except OSError:
            # A directory, or a file system without hard links.
            os.rename(name, spare, src_dir_fd=dest, dst_dir_fd=dest)
            moved = True
        try:
            os.rename(staged, name, src_dir_fd=place, dst_dir_fd=dest)
        except OSError:
            if moved:
                os.rename(spare, name, src_dir_fd=dest, dst_dir_fd=dest)
            else:
                os.unlink(spare, dir_fd=dest)
            raise
