"""Writing a file whole or not at all: beside, noted in the journal, then renamed into place."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os

from ansible.module_utils.migration import state
from ansible.module_utils.migration.contents import Result, result_of
from ansible.module_utils.migration.errors import MigrationError
from ansible.module_utils.migration.file_access import FILE_MODE, write_all
from ansible.module_utils.migration.job import Job
from ansible.module_utils.migration.tree import Entry


def link_digest(target: bytes) -> bytes:
    """How the journal knows a symlink with this target."""
    return b"L" + hashlib.sha256(target).hexdigest().encode()


class Stager:
    """Writes the files of one process."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._count = 0
        self._prefix = b"%d-" % os.getpid()

    def write(self, dest: int, descriptor: int, entry: Entry, name: bytes, result: Result) -> bytes:
        """Write the result beside, then rename it into place; returns the new `stat_key`."""
        job = self._job
        self._count += 1
        temporary = self._prefix + b"%d" % self._count
        place, staged = job.staging, temporary
        try:
            target = self._create(staged, place, entry)
            try:
                self._fill(target, descriptor, entry, name, result)
                state.note(job.journal, result.digest, entry.path)
                try:
                    os.rename(staged, name, src_dir_fd=place, dst_dir_fd=dest)
                except OSError as exc:
                    if exc.errno != errno.EXDEV:
                        raise
                    os.unlink(staged, dir_fd=place)
                    os.close(target)
                    target = -1
                    return self._write_across(dest, descriptor, entry, name, result, temporary)
                return state.stat_key_of(os.fstat(target))
            finally:
                if target >= 0:
                    os.close(target)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(staged, dir_fd=place)
            raise

    def _write_across(
        self, dest: int, descriptor: int, entry: Entry, name: bytes, result: Result, temporary: bytes
    ) -> bytes:
        """The same where a part of the destination is another file system: the temporary file stands beside."""
        beside = state.beside(temporary)
        directory = entry.path.rpartition(b"/")[0]
        os.symlink(directory + b"/" + beside if directory else beside, temporary, dir_fd=self._job.staging)
        target = self._create(beside, dest, entry)
        try:
            self._fill(target, descriptor, entry, name, result)
            os.rename(beside, name, src_dir_fd=dest, dst_dir_fd=dest)
            return state.stat_key_of(os.fstat(target))
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(beside, dir_fd=dest)
            raise
        finally:
            os.close(target)
            os.unlink(temporary, dir_fd=self._job.staging)

    def _create(self, name: bytes, directory: int, entry: Entry) -> int:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        return os.open(name, flags, entry.mode & FILE_MODE, dir_fd=directory)

    def _fill(self, target: int, descriptor: int, entry: Entry, name: bytes, result: Result) -> None:
        if result.new is not None:
            write_all(target, result.new)
        else:
            again = result_of(self._job, descriptor, entry, name, target)
            if again.digest != result.digest:
                raise MigrationError("changes while it is read; stop what writes to the source and run again")
        os.utime(target, ns=(entry.mtime_ns, entry.mtime_ns))

    def link(self, dest: int, entry: Entry, name: bytes, first: bytes, beside: int, digest: bytes) -> None:
        """Make `name` in `dest` another name of the file `first` in the directory `beside`."""
        self._count += 1
        staged = self._prefix + b"%d" % self._count
        os.link(first, staged, src_dir_fd=beside, dst_dir_fd=self._job.staging, follow_symlinks=False)
        state.note(self._job.journal, digest, entry.path)
        os.rename(staged, name, src_dir_fd=self._job.staging, dst_dir_fd=dest)
