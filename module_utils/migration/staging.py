"""Writing a file whole or not at all: beside, noted in the journal, then renamed into place."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
from collections.abc import Callable, Iterator
from typing import TypeVar

from ansible.module_utils.migration import state
from ansible.module_utils.migration.contents import Result, result_of
from ansible.module_utils.migration.errors import MigrationError
from ansible.module_utils.migration.file_access import FILE_MODE, backup_name, file_system_of, write_all
from ansible.module_utils.migration.job import Job
from ansible.module_utils.migration.tree import Entry

Written = TypeVar("Written")


def link_digest(target: bytes) -> bytes:
    """How the journal knows a symlink with this target."""
    return b"L" + hashlib.sha256(target).hexdigest().encode()


class Stager:
    """Writes the files and symlinks of one process, a directory of the destination at a time.

    `backup` tells that what stands at the place is to be kept beside.
    """

    def __init__(self, job: Job) -> None:
        self._job = job
        self._count = 0
        self._prefix = b"%d-" % os.getpid()
        self._file_system = file_system_of(job.staging) if job.writes else None
        self._dest = -1
        self._across = False

    def enter(self, dest: int) -> None:
        """What follows is for this directory. It may be on another file system than the staging folder."""
        self._dest = dest
        self._across = file_system_of(dest) != self._file_system

    def write(
        self, descriptor: int, entry: Entry, name: bytes, result: Result | None, backup: bool
    ) -> tuple[Result, bytes]:
        """Write the result of a file, which is computed on the way where it is not known; returns it, and the new
        `stat_key`."""

        def write() -> tuple[Result, bytes]:
            with self._staged(entry.path) as (staged, place):
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
                target = os.open(staged, flags, entry.mode & FILE_MODE, dir_fd=place)
                try:
                    done = self._fill(target, descriptor, entry, name, result)
                    state.note(self._job.journal, done.digest, entry.path)
                    self._put(staged, place, name, backup)
                    return done, state.stat_key_of(os.fstat(target))
                finally:
                    os.close(target)

        return self._on_its_file_system(write)

    def link(self, entry: Entry, name: bytes, first: bytes, beside: int, digest: bytes, backup: bool) -> None:
        """Make `name` another name of the file `first` in the directory `beside`."""

        def link() -> None:
            with self._staged(entry.path) as (staged, place):
                os.link(first, staged, src_dir_fd=beside, dst_dir_fd=place, follow_symlinks=False)
                state.note(self._job.journal, digest, entry.path)
                self._put(staged, place, name, backup)

        self._on_its_file_system(link)

    def symlink(self, entry: Entry, name: bytes, target: bytes, backup: bool) -> None:
        """Make `name` a symlink to `target`."""

        def symlink() -> None:
            with self._staged(entry.path) as (staged, place):
                os.symlink(target, staged, dir_fd=place)
                os.utime(staged, ns=(entry.mtime_ns, entry.mtime_ns), dir_fd=place, follow_symlinks=False)
                state.note(self._job.journal, link_digest(target), entry.path)
                self._put(staged, place, name, backup)

        self._on_its_file_system(symlink)

    def _on_its_file_system(self, write: Callable[[], Written]) -> Written:
        """Write; once more where only the rename tells that the directory is apart, as quotas make it."""
        try:
            return write()
        except OSError as exc:
            if exc.errno != errno.EXDEV or self._across:
                raise
        self._across = True
        return write()

    @contextlib.contextmanager
    def _staged(self, path: bytes) -> Iterator[tuple[bytes, int]]:
        """A name for what is to become `path`, and the directory for it; what fails leaves nothing there.

        On another file system that is the directory of `path` itself, and a pointer among the staged files tells the
        next run what to remove if this one is killed.
        """
        self._count += 1
        staged = self._prefix + b"%d" % self._count
        name, place, pointer = staged, self._job.staging, None
        if self._across:
            name, place, pointer = state.beside(staged), self._dest, staged
            directory = path.rpartition(b"/")[0]
            os.symlink(directory + b"/" + name if directory else name, pointer, dir_fd=self._job.staging)
        try:
            yield name, place
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name, dir_fd=place)
            raise
        finally:
            if pointer is not None:
                os.unlink(pointer, dir_fd=self._job.staging)

    def _put(self, staged: bytes, place: int, name: bytes, backup: bool) -> None:
        """Rename into place. The old file stays until that very moment: a backup is another name of it."""
        if not backup:
            os.rename(staged, name, src_dir_fd=place, dst_dir_fd=self._dest)
            return
        dest = self._dest
        spare = backup_name(name, dest, self._job.stamp)
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

    def _fill(self, target: int, descriptor: int, entry: Entry, name: bytes, known: Result | None) -> Result:
        done = known
        if done is None or done.new is None:
            kind = known.document.kind if known else None
            done = result_of(self._job, descriptor, entry, name, target, kind)
            if known and done.digest != known.digest:
                raise MigrationError("changes while it is read; stop what writes to the source and run again")
        if done.new is not None:
            write_all(target, done.new)
        os.utime(target, ns=(entry.mtime_ns, entry.mtime_ns))
        return done
