"""One file of the source: what is to become of it, whether that may be, and having it done."""

from __future__ import annotations

import errno
import os
import stat

from ansible.module_utils.migration import diffs, state
from ansible.module_utils.migration.contents import Result, result_of
from ansible.module_utils.migration.errors import MigrationError
from ansible.module_utils.migration.file_access import FILE_MODE, digest_at, file_system_of, open_source, read_all
from ansible.module_utils.migration.job import Job
from ansible.module_utils.migration.outcomes import (
    CONFLICT,
    CREATE,
    DIRECTORY_THERE,
    FAILED,
    KEPT,
    REPLACE,
    SAME,
    TOUCH,
    UPDATE,
    Outcome,
)
from ansible.module_utils.migration.staging import Stager, link_digest
from ansible.module_utils.migration.tree import Entry, open_directory
from ansible.module_utils.rewriting.document import kind_of


def _key_of(entry: Entry) -> bytes:
    return state.stat_key(entry.size, entry.mtime_ns, entry.ctime_ns, entry.mode)


class Worker:
    """Handles files one after the other; keeps the directories of the last one open."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self._directory: bytes | None = None
        self._source = self._dest = -1
        self._stager = Stager(job)

    def close(self) -> None:
        """Close the directories."""
        for descriptor in (self._source, self._dest):
            if descriptor >= 0:
                os.close(descriptor)
        self._source = self._dest = -1
        self._directory = None

    def _enter(self, directory: bytes) -> None:
        if directory == self._directory:
            return
        self.close()
        self._source = open_directory(self.job.source, directory)
        if self.job.dest is not None and (self.job.writes or directory not in self.job.absent):
            self._dest = open_directory(self.job.dest, directory)
        if self.job.writes:
            self._stager.enter(self._dest)
        self._directory = directory

    def handle(self, entry: Entry) -> Outcome:
        """Decide about a file, and write it unless the pass is dry. An error becomes an outcome."""
        directory, _sep, name = entry.path.rpartition(b"/")
        try:
            self._enter(directory)
            return self._handle(entry, name)
        except OSError as exc:
            message = f"{os.strerror(exc.errno) if exc.errno else exc}"
            return Outcome(entry.path, FAILED, b"", b"", 0, 0, None, "", message)
        except MigrationError as exc:
            return Outcome(entry.path, FAILED, b"", b"", 0, 0, None, "", str(exc))

    def _dest_status(self, name: bytes) -> os.stat_result | None:
        if self._dest < 0:
            return None
        try:
            return os.stat(name, dir_fd=self._dest, follow_symlinks=False)
        except FileNotFoundError:
            return None

    def _handle(self, entry: Entry, name: bytes) -> Outcome:
        job = self.job
        record = state.parse_file_record(job.manifest.records.get(entry.path))
        status = self._dest_status(name)
        if (
            record
            and job.manifest.same_rules
            and record.source == _key_of(entry)
            and status
            and entry.path not in job.compose
        ):
            return self._unchanged_source(entry, name, record, status)
        descriptor = open_source(name, self._source)
        try:
            if status is None and job.writes:
                # Nothing to compare with: the result is written as it comes, so that a large file is read but once.
                result, key = self._stager.write(descriptor, entry, name, None, backup=False)
                diff = self._diff(entry, name, CREATE, result) if job.with_diff else ""
                return self._outcome(entry, CREATE, key, result, diff, "")
            result = result_of(job, descriptor, entry, name)
            action, message = CREATE, ""
            if status:
                action, message = self._decide(entry, name, record, result.digest, status)
            if action in (SAME, KEPT) and status:
                return self._unwritten(entry, name, action, status, record, result)
            diff = self._diff(entry, name, action, result) if job.with_diff else ""
            if action == CONFLICT:
                return self._outcome(entry, CONFLICT, b"", result, diff, message)
            key = b""
            if job.writes:
                result, key = self._stager.write(descriptor, entry, name, result, self._keeps_backup(action))
            return self._outcome(entry, action, key, result, diff, message)
        finally:
            os.close(descriptor)

    def _unchanged_source(self, entry: Entry, name: bytes, record: state.Record, status: os.stat_result) -> Outcome:
        """The result is what it was, so that the source need not be read: was the destination changed by hand?"""
        key = state.stat_key_of(status)
        untouched = record.dest == key or (
            stat.S_ISREG(status.st_mode) and digest_at(name, self._dest) == record.digest
        )
        text = state.file_record(record.source, key if untouched else record.dest, record.digest, record.mentions)
        action = SAME if untouched else KEPT
        return Outcome(entry.path, action, text, record.digest, 0, record.mentions, None, "", "")

    def _decide(
        self, entry: Entry, name: bytes, record: state.Record | None, new: bytes, status: os.stat_result
    ) -> tuple[str, str]:
        """What to do with what stands in the destination, when the source's result is `new`; and why."""
        job = self.job
        conflict = CONFLICT if job.on_conflict == "fail" else REPLACE
        if stat.S_ISDIR(status.st_mode):
            return CONFLICT if job.on_conflict == "overwrite" else conflict, DIRECTORY_THERE
        if not stat.S_ISREG(status.st_mode):
            if stat.S_ISLNK(status.st_mode):
                target = os.readlink(name, dir_fd=self._dest)
                written = job.manifest.records.get(entry.path) == b"L" + target
                if written or link_digest(target) in job.manifest.journal.get(entry.path, ()):
                    return UPDATE, ""
            return conflict, "something that is no regular file stands at its place"
        untouched = record is not None and record.dest == state.stat_key_of(status)
        current = record.digest if record and untouched else digest_at(name, self._dest)
        if current == new:
            return SAME, ""
        if (record and current == record.digest) or current in job.manifest.journal.get(entry.path, ()):
            return UPDATE, ""
        if record and record.digest == new:
            return KEPT, ""
        if record:
            return conflict, "changed by hand since the last migration, and its source changed too"
        return conflict, "exists with other content, and no migration wrote it"

    def _keeps_backup(self, action: str) -> bool:
        return action == REPLACE and self.job.on_conflict == "backup"

    def _unwritten(
        self,
        entry: Entry,
        name: bytes,
        action: str,
        status: os.stat_result,
        record: state.Record | None,
        result: Result,
    ) -> Outcome:
        """A destination whose content is right or is the site's own: at most its mode and time follow the source."""
        key = state.stat_key_of(status)
        if action == KEPT and record:
            return self._outcome(entry, KEPT, record.dest, result, "", "")
        mode = entry.mode & FILE_MODE
        ours = record is None or record.dest == key
        stale = stat.S_IMODE(status.st_mode) != mode or status.st_mtime_ns != entry.mtime_ns
        if stale and ours:
            action = TOUCH
            if self.job.writes:
                os.chmod(name, mode, dir_fd=self._dest)
                os.utime(name, ns=(entry.mtime_ns, entry.mtime_ns), dir_fd=self._dest, follow_symlinks=False)
                key = state.stat_key_of(os.stat(name, dir_fd=self._dest, follow_symlinks=False))
        return self._outcome(entry, action, key, result, "", "")

    def _outcome(self, entry: Entry, action: str, key: bytes, result: Result, diff: str, message: str) -> Outcome:
        document = result.document
        return Outcome(
            entry.path,
            action,
            state.file_record(_key_of(entry), key, result.digest, document.mentions),
            result.digest,
            document.replacements if action in (CREATE, UPDATE, REPLACE) else 0,
            document.mentions,
            tuple((item.line, item.text, item.reason) for item in document.leftovers),
            diff,
            message,
        )

    def handle_name(self, entry: Entry, first: bytes, digest: bytes, mentions: int, renewed: bool) -> Outcome:
        """Make `entry` another name of the destination's `first`, whose content has `digest`.

        `renewed` tells that `first` was, or would be, written: then a name that is there now is of the old file.
        """
        directory, _sep, name = entry.path.rpartition(b"/")
        first_directory, _sep, first_name = first.rpartition(b"/")
        record = state.parse_file_record(self.job.manifest.records.get(entry.path))
        try:
            if directory != first_directory and self._file_system(directory) != self._file_system(first_directory):
                return self.handle(entry)
            self._enter(directory)
            status = self._dest_status(name)
            beside = -1
            if self.job.dest is not None and (self.job.writes or not renewed):
                beside = open_directory(self.job.dest, first_directory)
            try:
                there = os.stat(first_name, dir_fd=beside, follow_symlinks=False) if beside >= 0 else None
                action, message = CREATE, ""
                if status:
                    linked = there is not None and (there.st_dev, there.st_ino) == (status.st_dev, status.st_ino)
                    action, message = self._decide(entry, name, record, digest, status)
                    if action == SAME and (not linked or (renewed and not self.job.writes)):
                        action = UPDATE
                if action in (CREATE, UPDATE, REPLACE) and self.job.writes:
                    try:
                        self._stager.link(entry, name, first_name, beside, digest, self._keeps_backup(action))
                    except OSError as exc:
                        if exc.errno != errno.EXDEV:
                            raise
                        return self.handle(entry)
            finally:
                if beside >= 0:
                    os.close(beside)
        except OSError as exc:
            return Outcome(entry.path, FAILED, b"", b"", 0, 0, None, "", os.strerror(exc.errno or 0))
        key = record.dest if action == KEPT and record else b""
        if self.job.writes and action not in (KEPT, CONFLICT):
            key = state.stat_key_of(os.stat(name, dir_fd=self._dest, follow_symlinks=False))
        text = state.file_record(_key_of(entry), key, digest, mentions)
        return Outcome(entry.path, action, text, digest, 0, 0, (), "", message)

    def _file_system(self, directory: bytes) -> tuple[bytes, int]:
        """The file system of a directory of the destination; where it is yet to be made, of the one above it."""
        if self.job.dest is None:
            return b"", -1
        while directory and not self.job.writes and directory in self.job.absent:
            directory = directory.rpartition(b"/")[0]
        descriptor = open_directory(self.job.dest, directory)
        try:
            return file_system_of(descriptor)
        finally:
            os.close(descriptor)

    def _diff(self, entry: Entry, name: bytes, action: str, result: Result) -> str:
        if result.old is None or result.new is None or result.document.kind == "binary":
            return ""
        if action == CREATE:
            if not result.document.replacements:
                return ""
            return diffs.unified(entry.path, result.old, result.new, result.document.kind)
        status = self._dest_status(name)
        if not status or not stat.S_ISREG(status.st_mode) or status.st_size > diffs.SIZE_MAX:
            return ""
        descriptor = open_source(name, self._dest)
        try:
            current = read_all(descriptor, status.st_size)
        finally:
            os.close(descriptor)
        kind = kind_of(current, b"\x00" in current)
        return "" if kind == "binary" else diffs.unified(entry.path, current, result.new, result.document.kind)
