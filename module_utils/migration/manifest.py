# SPDX-License-Identifier: GPL-3.0-or-later
"""The state directory of a migration: manifest, journal, lock and the files being written.

The manifest records the last run that finished. The journal records, for a run that is under way or was interrupted,
each file before it is renamed into place, so that the next run recognizes these files.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import time
from pathlib import Path
from typing import Any, NamedTuple

from ansible.module_utils.shared import fs

VERSION = 1
# The state directory's name in the destination.
STATE_NAME = b".trade_migrate"
STAGING = b"staging"
_MANIFEST, _JOURNAL, _LOCK = b"manifest", b"journal", b"lock"
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class LockedError(Exception):
    """Another migration into the same destination is running; the message names it."""


class Record(NamedTuple):
    """What the manifest says about a file: `source` and `dest` are `stat_key`s, `digest` is the result's SHA-256."""

    source: bytes
    dest: bytes
    digest: bytes
    mentions: int


def stat_key(size: int, mtime_ns: int, ctime_ns: int, mode: int) -> bytes:
    """Everything in a file's status that changes with the file, as bytes to compare."""
    return b"%d %d %d %o" % (size, mtime_ns, ctime_ns, mode)


def stat_key_of(status: os.stat_result) -> bytes:
    """`stat_key` of a `stat` result."""
    return stat_key(status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_mode)


def entry_key(entry: fs.Entry) -> bytes:
    """`stat_key` of an entry of the source."""
    return stat_key(entry.size, entry.mtime_ns, entry.ctime_ns, entry.mode)


def file_record(source: bytes, dest: bytes, digest: bytes, mentions: int) -> bytes:
    """A file's record as the manifest stores it."""
    return b"F%s\t%s\t%s\t%d" % (source, dest, digest, mentions)


def parse_file_record(record: bytes | None) -> Record | None:
    """The parts of a file's record; None for other records."""
    if not record or not record.startswith(b"F"):
        return None
    source, dest, digest, mentions = record[1:].split(b"\t")
    return Record(source, dest, digest, int(mentions))


class Manifest:
    """Records by path: `F…` files, `L<target>` symlinks, `D<mode>` directories; the leftovers by path; and for each
    Compose file the key of the context that it was read in."""

    def __init__(self, fingerprint: str) -> None:
        self.fingerprint = fingerprint
        self.same_rules = False
        self.records: dict[bytes, bytes] = {}
        self.leftovers: dict[str, tuple[int, list[list[Any]]]] = {}
        self.compose: dict[str, str] = {}
        self.journal: dict[bytes, set[bytes]] = {}

    @classmethod
    def load(cls, directory: int, fingerprint: str) -> Manifest:
        """Read the manifest and the journal from the state directory; empty if there is none (-1).

        Raises:
            ValueError: the manifest is damaged or of an unknown version.
        """
        manifest = cls(fingerprint)
        if directory < 0:
            return manifest
        data = _read(directory, _MANIFEST)
        if data is not None:
            header_text, _separator, body = data.partition(b"\n")
            try:
                header = json.loads(header_text)
                known = header["version"] == VERSION
                records = _split(body)
            except (ValueError, KeyError, TypeError) as exc:
                raise ValueError("the manifest is damaged") from exc
            if not known or header["count"] != len(records):
                raise ValueError("the manifest is damaged or of another version")
            manifest.records = records
            manifest.same_rules = header["fingerprint"] == fingerprint
            manifest.compose = header.get("compose", {})
            manifest.leftovers = {path: (count, lines) for path, (count, lines) in header["leftovers"].items()}
        for record in fs.read_log(_read(directory, _JOURNAL) or b"", b"\0"):
            digest, _separator, path = record.partition(b"\t")
            manifest.journal.setdefault(path, set()).add(digest)
        return manifest

    def save(self, directory: int) -> None:
        """Write the manifest, after everything that it lists is on the disk, and remove the journal."""
        fs.sync_file_system(directory)
        header = {
            "version": VERSION,
            "fingerprint": self.fingerprint,
            "count": len(self.records),
            "leftovers": self.leftovers,
            "compose": self.compose,
        }
        with fs.atomic_write(os.fsdecode(_MANIFEST), directory) as file:
            file.write(json.dumps(header).encode() + b"\n")
            # Record by record: the whole text would need more memory than the rest of a run.
            file.writelines(b"%s\0%s\0" % item for item in self.records.items())
        end_journal(directory)


def _split(body: bytes) -> dict[bytes, bytes]:
    fields = body.split(b"\0")
    if len(fields) % 2 != 1 or fields[-1]:
        raise ValueError("a record is cut off")
    return dict(zip(fields[:-1:2], fields[1::2], strict=True))


def _read(directory: int, name: bytes) -> bytes | None:
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    except FileNotFoundError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        return file.read()


# The state directory.


def open_state(path: bytes, create: bool) -> int:
    """Open the state directory; -1 if it is missing and not to be created."""
    if create:
        with contextlib.suppress(FileExistsError):
            Path(os.fsdecode(path)).mkdir(0o700)
    try:
        return os.open(path, _DIRECTORY)
    except FileNotFoundError:
        return -1


def lock(directory: int, exclusive: bool) -> int:
    """Take the lock, which the kernel releases when the process ends, and return its descriptor.

    Args:
        directory: the state directory.
        exclusive: false for check mode, which creates no file (-1 then) and only checks that nobody writes.

    Raises:
        LockedError: another process holds it.
    """
    flags = os.O_RDWR | os.O_CREAT if exclusive else os.O_RDONLY
    try:
        descriptor = os.open(_LOCK, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=directory)
    except FileNotFoundError:
        return -1
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except OSError as exc:
        holder = os.pread(descriptor, 200, 0).decode("ascii", "replace").strip()
        os.close(descriptor)
        if exc.errno not in (errno.EWOULDBLOCK, errno.EACCES):
            raise
        raise LockedError(holder or "another process") from exc
    if exclusive:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"process {os.getpid()} since {time.strftime('%Y-%m-%d %H:%M:%S')}".encode(), 0)
    return descriptor


def is_used(directory: int) -> bool:
    """Whether a migration has ever written with this state directory."""
    return any(name in (_MANIFEST, _JOURNAL) for name in map(os.fsencode, os.listdir(directory)))


# Files being written.


def open_staging(directory: int, dest: int) -> int:
    """Open the folder for files being written, and remove what an interrupted run left there.

    If the destination spans file systems, a pointer names a temporary file elsewhere in `dest`, which is removed too.
    Symlinks of the tree are staged here as well: their targets belong to the site and are never touched.
    """
    with contextlib.suppress(FileExistsError):
        os.mkdir(STAGING, 0o700, dir_fd=directory)
    staging = os.open(STAGING, _DIRECTORY, dir_fd=directory)
    with os.scandir(staging) as entries:
        names = [(os.fsencode(entry.name), entry.is_symlink()) for entry in entries]
    for name, is_link in names:
        if is_link:
            target = os.readlink(name, dir_fd=staging)
            if _is_pointer(name, target):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(target, dir_fd=dest)
        os.unlink(name, dir_fd=staging)
    return staging


def temporary_name(staged: bytes) -> bytes:
    """Name of the temporary file for a staged name, in the folder of the final file."""
    return STATE_NAME + b"-" + staged


def _is_pointer(name: bytes, target: bytes) -> bool:
    """Whether a staged symlink is a pointer to a temporary file below the destination."""
    folder, _slash, last = target.rpartition(b"/")
    return last == temporary_name(name) and not target.startswith(b"/") and b".." not in folder.split(b"/")


# The journal.


def open_journal(directory: int) -> fs.AppendLog:
    """Open the journal, to which all processes of a run append."""
    return fs.AppendLog(_JOURNAL, b"\0", directory)


def end_journal(directory: int) -> None:
    """Remove the journal, whose content is in the manifest now."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(_JOURNAL, dir_fd=directory)


def note(journal: fs.AppendLog | None, digest: bytes, path: bytes) -> None:
    """Append to the journal what will be at `path`."""
    if journal is None:
        raise RuntimeError("the journal is open whenever something is written")
    journal.append((b"%s\t%s" % (digest, path),))


def link_digest(target: bytes) -> bytes:
    """The digest by which the journal identifies a symlink with this target."""
    return b"L" + hashlib.sha256(target).hexdigest().encode()
