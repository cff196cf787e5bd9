"""One file of the source: what it becomes, whether that may be written, and writing it whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
from dataclasses import dataclass
from typing import Any, NamedTuple

from ansible.module_utils.migration import compose_references, diffs, state
from ansible.module_utils.migration.documents import Document, DocumentStream, kind_of, plan_document
from ansible.module_utils.migration.leftovers import Mentions
from ansible.module_utils.migration.rewrite import Rules
from ansible.module_utils.migration.roots import Root
from ansible.module_utils.migration.tree import Entry, open_directory

# Up to this size a file is handled in one piece.
WHOLE_MAX = 4 * 1024 * 1024
_PIECE = 1024 * 1024
_ZEROS = bytes(_PIECE)
# Set-user-id and set-group-id are not kept: the copy has another owner.
FILE_MODE = 0o777
DIRECTORY_MODE = 0o1777

# What was decided about a file.
# `REPLACE` is a conflict that the site said how to settle, `CONFLICT` one that is open.
SAME, TOUCH, KEPT, FAILED = "same", "touch", "kept", "failed"
CREATE, UPDATE, REPLACE, CONFLICT = "create", "update", "replace", "conflict"
DIRECTORY_THERE = "a directory stands where the source has a file"


class MigrationError(Exception):
    """Something that stops a migration; the message says what, where and what to do."""


class Outcome(NamedTuple):
    """What was decided about one file, and done unless it was a dry pass.

    `record` is the manifest's next record for the file, meaningful after a real pass. All values are plain, so that
    they can be sent between processes.
    """

    path: bytes
    action: str
    record: bytes
    digest: bytes
    replacements: int
    mentions: int
    leftovers: tuple[tuple[int, str], ...] | None
    diff: str
    message: str

    @property
    def in_place(self) -> bool:
        """Whether the destination holds the file's result afterwards."""
        return self.action in (SAME, TOUCH, CREATE, UPDATE, REPLACE)

    @property
    def written(self) -> bool:
        """Whether bytes were, or would be, written."""
        return self.action in (CREATE, UPDATE, REPLACE)


@dataclass(frozen=True, slots=True)
class Job:
    """What the handling of every file shares. Descriptors are of open directories; `staging` and `journal` are -1 in a
    dry pass."""

    source: int
    dest: int | None
    staging: int
    journal: int
    rules: Rules
    mentions: Mentions
    compose_base: Root | None
    on_conflict: str
    with_diff: bool
    stamp: str
    manifest: state.Manifest

    @property
    def writes(self) -> bool:
        """False in a dry pass, which decides and computes the same and writes nothing."""
        return self.staging >= 0


class _Result(NamedTuple):
    """A file's result. `old` and `new` are None where the file is not held in memory."""

    digest: bytes
    document: Document
    old: bytes | None
    new: bytes | None
    sparse: bool = False


def link_digest(target: bytes) -> bytes:
    """How the journal knows a symlink with this target."""
    return b"L" + _digest(target)


def digest_at(name: bytes, directory: int) -> bytes:
    """SHA-256 of a file's content, in hexadecimal."""
    descriptor = open_source(name, directory)
    try:
        digest = hashlib.sha256()
        while piece := os.read(descriptor, _PIECE):
            digest.update(piece)
        return digest.hexdigest().encode()
    finally:
        os.close(descriptor)


def backup_name(name: bytes, directory: int, stamp: str) -> bytes:
    """A name beside `name` that is still free, within what a file system takes."""
    ending = f".{stamp}.bak".encode()
    for number in range(1000):
        candidate = name[: 255 - len(ending) - 4] + (b"-%d" % number if number else b"") + ending
        try:
            os.stat(candidate, dir_fd=directory, follow_symlinks=False)
        except FileNotFoundError:
            return candidate
    raise MigrationError("a thousand backups of one second stand beside it; remove some")


def _digest(data: bytes) -> bytes:
    return hashlib.sha256(data).hexdigest().encode()


def open_source(name: bytes, directory: int) -> int:
    """Open a file of the source for reading, without even changing its access time where that is allowed."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    try:
        return os.open(name, flags | os.O_NOATIME, dir_fd=directory)
    except PermissionError:
        return os.open(name, flags, dir_fd=directory)


def _read_all(descriptor: int, size: int) -> bytes:
    data = os.read(descriptor, size + 1)
    if len(data) == size:
        return data
    pieces = [data]
    while piece := os.read(descriptor, _PIECE):
        pieces.append(piece)
    return b"".join(pieces)


def _key_of(entry: Entry) -> bytes:
    return state.stat_key(entry.size, entry.mtime_ns, entry.ctime_ns, entry.mode)


def _write_all(descriptor: int, data: bytes) -> None:
    written = os.write(descriptor, data)
    if written != len(data):
        view = memoryview(data)[written:]
        while view:
            view = view[os.write(descriptor, view) :]


class Worker:
    """Handles files one after the other; keeps the directories of the last one open."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self._directory: bytes | None = None
        self._source = self._dest = -1
        self._count = 0
        self._prefix = b"%d-" % os.getpid()

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
        if self.job.dest is not None:
            try:
                self._dest = open_directory(self.job.dest, directory)
            except OSError as exc:
                if self.job.writes or exc.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
                    raise
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
        if record and job.manifest.same_rules and record.source == _key_of(entry) and status:
            return self._unchanged_source(entry, name, record, status)
        descriptor = open_source(name, self._source)
        try:
            result = self._result(descriptor, entry, name, None)
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
                if action == REPLACE and job.on_conflict == "backup":
                    spare = backup_name(name, self._dest, job.stamp)
                    os.rename(name, spare, src_dir_fd=self._dest, dst_dir_fd=self._dest)
                key = self._write(descriptor, entry, name, result)
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
            known = job.manifest.records.get(entry.path, b"")
            is_link = stat.S_ISLNK(status.st_mode)
            if is_link and known == b"L" + os.readlink(name, dir_fd=self._dest):
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

    def _unwritten(
        self,
        entry: Entry,
        name: bytes,
        action: str,
        status: os.stat_result,
        record: state.Record | None,
        result: _Result,
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

    def _outcome(self, entry: Entry, action: str, key: bytes, result: _Result, diff: str, message: str) -> Outcome:
        document = result.document
        return Outcome(
            entry.path,
            action,
            state.file_record(_key_of(entry), key, result.digest, document.mentions),
            result.digest,
            document.replacements if action in (CREATE, UPDATE, REPLACE) else 0,
            document.mentions,
            tuple((item.line, item.text) for item in document.leftovers),
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
                    self._link(entry, name, first_name, beside, action, digest)
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

    def _link(self, entry: Entry, name: bytes, first: bytes, beside: int, action: str, digest: bytes) -> None:
        if action == REPLACE and self.job.on_conflict == "backup":
            spare = backup_name(name, self._dest, self.job.stamp)
            os.rename(name, spare, src_dir_fd=self._dest, dst_dir_fd=self._dest)
        self._count += 1
        staged = self._prefix + b"%d" % self._count
        os.link(first, staged, src_dir_fd=beside, dst_dir_fd=self.job.staging, follow_symlinks=False)
        state.note(self.job.journal, digest, entry.path)
        os.rename(staged, name, src_dir_fd=self.job.staging, dst_dir_fd=self._dest)

    def _diff(self, entry: Entry, name: bytes, action: str, result: _Result) -> str:
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
            current = _read_all(descriptor, status.st_size)
        finally:
            os.close(descriptor)
        kind = kind_of(current, b"\x00" in current)
        return "" if kind == "binary" else diffs.unified(entry.path, current, result.new, result.document.kind)

    # What a file becomes.

    def _result(self, descriptor: int, entry: Entry, name: bytes, sink: int | None) -> _Result:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or (status.st_size, status.st_mtime_ns) != (entry.size, entry.mtime_ns):
            raise MigrationError("changed while the migration was looking at it; run the migration again")
        job = self.job
        if status.st_size <= WHOLE_MAX and status.st_blocks * 512 >= min(status.st_size, 65536):
            old = _read_all(descriptor, entry.size)
            if len(old) != entry.size:
                raise MigrationError("changes while it is read; stop what writes to the source and run again")
            document = plan_document(old, job.rules, job.mentions, self._resolver(entry.path, name))
            return _Result(_digest(document.new), document, old, document.new)
        if status.st_blocks * 512 < status.st_size:
            return self._sparse_result(descriptor, entry, sink)
        return self._stream_result(descriptor, entry, sink)

    def _resolver(self, path: bytes, name: bytes) -> compose_references.Resolver | None:
        base = self.job.compose_base
        if base is None or not compose_references.is_compose_file(name):
            return None
        folder = path.rpartition(b"/")[0].decode("utf-8", "surrogateescape")
        parts = (*base.parts, *(part for part in folder.split("/") if part))
        return compose_references.resolver(Root(base.drive, parts, base.text_drive, parts), self.job.rules.path_rules)

    def _check_size(self, entry: Entry, seen: int) -> None:
        if seen != entry.size:
            raise MigrationError("changes while it is read; stop what writes to the source and run again")

    def _stream_result(self, descriptor: int, entry: Entry, sink: int | None) -> _Result:
        """A large file: one pass finds out what it is, the second rewrites; memory stays at a few pieces."""
        os.lseek(descriptor, 0, os.SEEK_SET)
        has_nul, head, wide_nul, seen = False, b"", False, 0
        while piece := os.read(descriptor, _PIECE):
            head = head or piece[:4]
            seen += len(piece)
            has_nul = has_nul or b"\x00" in piece
            wide_nul = wide_nul or (len(head) > 1 and kind_of(head, True) != "binary" and _nul_unit(piece))
            if has_nul and (kind_of(head, True) == "binary" or wide_nul):
                break
        else:
            self._check_size(entry, seen)
        kind = "binary" if wide_nul else kind_of(head, has_nul)
        os.lseek(descriptor, 0, os.SEEK_SET)
        digest, seen = hashlib.sha256(), 0
        stream = DocumentStream(kind, self.job.rules, self.job.mentions)
        while True:
            piece = os.read(descriptor, _PIECE)
            seen += len(piece)
            result = stream.feed(piece, final=not piece)
            digest.update(result)
            if sink is not None and result:
                _write_all(sink, result)
            if not piece:
                break
        self._check_size(entry, seen)
        return _Result(digest.hexdigest().encode(), stream.document(), None, None)

    def _sparse_result(self, descriptor: int, entry: Entry, sink: int | None) -> _Result:
        """A file with holes is binary; the holes are kept."""
        digest = hashlib.sha256()
        stream = DocumentStream("binary", self.job.rules, self.job.mentions)
        position = 0
        while position < entry.size:
            try:
                start = os.lseek(descriptor, position, os.SEEK_DATA)
            except OSError as exc:
                if exc.errno != errno.ENXIO:
                    raise
                start = entry.size
            _digest_zeros(digest, start - position)
            if start > position:
                stream.feed(b"\x00", final=False)
            position = start
            end = os.lseek(descriptor, position, os.SEEK_HOLE) if position < entry.size else position
            while position < end:
                piece = os.pread(descriptor, min(_PIECE, end - position), position)
                if not piece:
                    self._check_size(entry, position)
                digest.update(piece)
                stream.feed(piece, final=False)
                if sink is not None:
                    os.pwrite(sink, piece, position)
                position += len(piece)
        stream.feed(b"", final=True)
        if sink is not None:
            os.ftruncate(sink, entry.size)
        return _Result(digest.hexdigest().encode(), stream.document(), None, None, sparse=True)

    # Writing it.

    def _write(self, descriptor: int, entry: Entry, name: bytes, result: _Result) -> bytes:
        """Write the result beside, then rename it into place; returns the new `stat_key`."""
        job = self.job
        self._count += 1
        temporary = self._prefix + b"%d" % self._count
        place, staged = job.staging, temporary
        try:
            target = self._create(staged, place, entry)
            try:
                self._fill(target, descriptor, entry, name, result)
                state.note(job.journal, result.digest, entry.path)
                try:
                    os.rename(staged, name, src_dir_fd=place, dst_dir_fd=self._dest)
                except OSError as exc:
                    if exc.errno != errno.EXDEV:
                        raise
                    os.unlink(staged, dir_fd=place)
                    os.close(target)
                    target = -1
                    return self._write_across(descriptor, entry, name, result, temporary)
                return state.stat_key_of(os.fstat(target))
            finally:
                if target >= 0:
                    os.close(target)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(staged, dir_fd=place)
            raise

    def _write_across(self, descriptor: int, entry: Entry, name: bytes, result: _Result, temporary: bytes) -> bytes:
        """The same where a part of the destination is another file system: the temporary file stands beside."""
        beside = state.beside(temporary)
        directory = entry.path.rpartition(b"/")[0]
        os.symlink(directory + b"/" + beside if directory else beside, temporary, dir_fd=self.job.staging)
        target = self._create(beside, self._dest, entry)
        try:
            self._fill(target, descriptor, entry, name, result)
            os.rename(beside, name, src_dir_fd=self._dest, dst_dir_fd=self._dest)
            return state.stat_key_of(os.fstat(target))
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(beside, dir_fd=self._dest)
            raise
        finally:
            os.close(target)
            os.unlink(temporary, dir_fd=self.job.staging)

    def _create(self, name: bytes, directory: int, entry: Entry) -> int:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        return os.open(name, flags, entry.mode & FILE_MODE, dir_fd=directory)

    def _fill(self, target: int, descriptor: int, entry: Entry, name: bytes, result: _Result) -> None:
        if result.new is not None:
            _write_all(target, result.new)
        else:
            again = self._result(descriptor, entry, name, target)
            if again.digest != result.digest:
                raise MigrationError("changes while it is read; stop what writes to the source and run again")
        os.utime(target, ns=(entry.mtime_ns, entry.mtime_ns))


def _nul_unit(piece: bytes) -> bool:
    position = piece.find(b"\x00\x00")
    while position >= 0:
        if position % 2 == 0:
            return True
        position = piece.find(b"\x00\x00", position + 1)
    return False


def _digest_zeros(digest: Any, count: int) -> None:
    while count > 0:
        digest.update(_ZEROS[: min(count, _PIECE)])
        count -= _PIECE
