# SPDX-License-Identifier: GPL-3.0-or-later
"""Copy one service's data into a staged folder, and replace the service's folder with it when it is complete."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import shutil
import stat
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ansible.module_utils.data_copy import content
from ansible.module_utils.data_copy.journal import Journal
from ansible.module_utils.data_copy.plan import DataSet, Plan, holds_files
from ansible.module_utils.data_copy.tree import DataCopyError, Tree, place_of, scan
from ansible.module_utils.shared import fs

# Small files are forced to the disk and journalled in batches, which costs little more than one file.
BATCH_FILES = 128
BATCH_BYTES = 32 * 1024 * 1024
WORKERS = 2


class Copier:
    """Carries out one plan, until it is done or the deadline (of `time.monotonic`) has passed."""

    def __init__(self, plan: Plan, deadline: float, before_swap: Callable[[], None]) -> None:
        if plan.tree is None or plan.journal is None:
            raise ValueError(f"{plan.data.service}: nothing was planned to copy")
        self._plan = plan
        self._data = plan.data
        self._tree: Tree = plan.tree
        self._journal: Journal = plan.journal
        self._deadline = deadline
        self._before_swap = before_swap
        self._lock = threading.Lock()
        self._failed = threading.Event()
        self.bytes_done = 0
        self.files_done = 0
        self.kept = ""

    def run(self) -> bool:
        """Whether the data is in place; false if time ran out. After a DataCopyError the next run continues."""
        self._data.staged.mkdir(parents=True, exist_ok=True)
        for folder in (self._data.state, self._data.state.parent):
            folder.chmod(0o700)
        with (self._data.state / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise DataCopyError(f"{self._data.service}: another run is copying its data. Wait for it.") from None
            try:
                self._prepare()
                if not self._copy_files():
                    return False
                self._finish()
                return True
            except OSError as error:
                raise _explained(error, self._data) from None
            finally:
                self._journal.close()

    def _prepare(self) -> None:
        """Remove what an earlier run staged and the source no longer has; create the folders."""
        wanted = {entry.path: stat.S_IFMT(entry.mode) for entry in self._tree.entries}
        first = {entry.path for entry in self._tree.first_names()}
        for entry in reversed(scan(str(self._data.staged)).entries):
            path = self._staged_path(entry)
            kind = stat.S_IFMT(entry.mode)
            if wanted.get(entry.path) == kind and (entry.is_directory or entry.path in first):
                continue
            if entry.is_directory:
                shutil.rmtree(path)
            else:
                path.unlink()
        for entry in self._tree.entries:
            if entry.is_directory:
                self._staged_path(entry).mkdir(mode=0o700, exist_ok=True)

    def _staged_path(self, entry: fs.Entry) -> Path:
        return Path(os.fsdecode(place_of(str(self._data.staged), entry.path)))

    def _copy_files(self) -> bool:
        jobs = self._jobs()
        with ThreadPoolExecutor(WORKERS) as pool:
            workers = [pool.submit(self._work, jobs) for _worker in range(WORKERS)]
            done = [worker.result() for worker in workers]
        return all(done)

    def _jobs(self) -> Iterator[list[fs.Entry]]:
        batch: list[fs.Entry] = []
        for entry in self._plan.left:
            if entry.size > BATCH_BYTES:
                yield [entry]
                continue
            batch.append(entry)
            if len(batch) == BATCH_FILES or sum(small.size for small in batch) > BATCH_BYTES:
                yield batch
                batch = []
        if batch:
            yield batch

    def _work(self, jobs: Iterator[list[fs.Entry]]) -> bool:
        """Take jobs until there are none (true), time is over (false), or another worker failed (false)."""
        try:
            while True:
                if self._failed.is_set() or time.monotonic() > self._deadline:
                    with self._lock:
                        return next(jobs, None) is None
                with self._lock:
                    job = next(jobs, None)
                if job is None:
                    return True
                done = self._batch(job) if job[0].size <= BATCH_BYTES else self._large(job[0])
                if not done:
                    return False
        except BaseException:
            self._failed.set()
            raise

    def _count(self, size: int, files: int) -> None:
        with self._lock:
            self.bytes_done += size
            self.files_done += files

    def _batch(self, entries: list[fs.Entry]) -> bool:
        """Copy small files: write all, force all to the disk, read all back, journal all."""
        opened: list[tuple[fs.Entry, int, bytes]] = []
        try:
            for entry in entries:
                source = content.open_unchanged(self._tree.root, entry)
                try:
                    dest = content.open_dest(self._staged_path(entry), fresh=True)
                    opened.append((entry, dest, b""))
                    os.ftruncate(dest, entry.size)
                    digest = content.copy_step(source, dest, 0, entry.size, fs.display_name(entry.path))
                    content.check_unchanged(source, entry)
                finally:
                    os.close(source)
                opened[-1] = (entry, dest, digest)
            for entry, dest, _digest in opened:
                self._own(dest, entry)
                content.sync_step(dest, 0, entry.size)
            for entry, dest, digest in opened:
                content.check_step(dest, 0, entry.size, digest, fs.display_name(entry.path))
        finally:
            for _entry, dest, _digest in opened:
                os.close(dest)
        self._journal.add([(entry, {"whole": content.file_digest([digest])}) for entry, _dest, digest in opened])
        self._count(sum(entry.size for entry in entries), len(entries))
        return True

    def _large(self, entry: fs.Entry) -> bool:
        """Copy a large file step by step, starting where an earlier run stopped."""
        path, name = self._staged_path(entry), fs.display_name(entry.path)
        digests = self._journal.steps(entry) if path.exists() else []
        source = content.open_unchanged(self._tree.root, entry)
        dest = content.open_dest(path, fresh=not digests)
        try:
            os.ftruncate(dest, entry.size)
            lines: list[tuple[fs.Entry, dict[str, Any]]] = []
            for number, (start, end) in enumerate(content.steps(entry.size)):
                if number < len(digests):
                    continue
                if self._failed.is_set() or time.monotonic() > self._deadline:
                    return False
                digest = content.copy_step(source, dest, start, end, name)
                digests.append(digest)
                lines.append((entry, {"step": number, "digest": digest.hex()}))
                self._count(end - start, 0)
                if not content.has_data(dest, start, end):
                    # A hole: nothing was written that had to reach the disk. It is journalled with the next data.
                    content.check_step(dest, start, end, digest, name)
                    continue
                content.sync_step(dest, start, end)
                content.check_step(dest, start, end, digest, name)
                content.check_unchanged(source, entry)
                self._journal.add(lines)
                lines = []
            self._own(dest, entry)
            os.fsync(dest)
        finally:
            os.close(source)
            os.close(dest)
        self._journal.add([(entry, {"whole": content.file_digest(digests)})])
        self._count(0, 1)
        return True

    def _own(self, descriptor: int, entry: fs.Entry) -> None:
        """Give a file to the service: its user, no rights for others, the source's time."""
        os.fchown(descriptor, self._data.uid, self._data.gid)
        os.fchmod(descriptor, stat.S_IMODE(entry.mode) & 0o770 | 0o600)
        os.utime(descriptor, ns=(entry.mtime_ns, entry.mtime_ns))

    def _finish(self) -> None:
        """Create links and folders, check everything once more, then swap."""
        first = {entry.inode: entry.path for entry in reversed(self._tree.first_names())}
        for entry in self._tree.entries:
            path = self._staged_path(entry)
            if entry.is_link:
                fs.symlink(self._tree.targets[entry.path], path)
                os.chown(path, self._data.uid, self._data.gid, follow_symlinks=False)
                os.utime(path, ns=(entry.mtime_ns, entry.mtime_ns), follow_symlinks=False)
            elif entry.is_file and entry.links > 1 and first[entry.inode] != entry.path:
                os.link(place_of(str(self._data.staged), first[entry.inode]), path)
        for entry in reversed(self._tree.entries):
            if entry.is_directory:
                self._own_directory(self._staged_path(entry), entry)
        os.chown(self._data.staged, self._data.uid, self._data.gid)
        self._data.staged.chmod(0o750)
        fs.sync(self._data.staged)
        self._check_whole()
        self._before_swap()
        self._swap()

    def _own_directory(self, path: Path, entry: fs.Entry) -> None:
        os.chown(path, self._data.uid, self._data.gid)
        path.chmod(stat.S_IMODE(entry.mode) & 0o770 | 0o700)
        os.utime(path, ns=(entry.mtime_ns, entry.mtime_ns))
        fs.sync(path)

    def _check_whole(self) -> None:
        """The source is as it was listed, and the staged folder is the same tree."""
        wanted = self._tree.fingerprint()
        if scan(self._data.source).fingerprint() != wanted:
            raise DataCopyError(f"{self._data.source}: changed while it was copied. Stop what writes there, run again.")
        if scan(str(self._data.staged)).fingerprint() != wanted:
            raise DataCopyError(f"{self._data.staged}: is not what was copied: something wrote there. Run again.")

    def digest(self) -> str:
        """One hash over all names and contents of the set, from the verified hashes of its files."""
        whole = {entry.inode: self._journal.whole(entry) for entry in self._tree.first_names()}
        total = hashlib.new(content.ALGORITHM)
        for entry in self._tree.entries:
            digest = (whole.get(entry.inode) or "").encode()
            if not entry.is_file:
                digest = self._tree.targets.get(entry.path, b"")
            total.update(b"%o %s %s\0" % (stat.S_IFMT(entry.mode), digest, entry.path))
        return total.hexdigest()

    def _swap(self) -> None:
        """Replace the service's folder with the staged one, by renames: its content is never a mixture of both."""
        dest = Path(self._data.dest)
        now = datetime.now(UTC)
        if dest.exists():
            if holds_files(self._data.dest):
                if not self._plan.replaces:
                    raise _written_meanwhile(dest)
                aside = self._data.state / f"replaced-{now:%Y%m%dT%H%M%SZ}"
                dest.rename(aside)
                self.kept = str(aside)
            else:
                _remove_folders(dest)
        fs.sync(self._data.state)
        fs.sync(dest.parent)
        # Before the rename: after a crash in between, the next run must recognize the copy as its own.
        self._record(now)
        self._data.staged.rename(dest)
        fs.sync(self._data.state)
        fs.sync(dest.parent)
        (self._data.state / "journal.jsonl").unlink(missing_ok=True)

    def _record(self, now: datetime) -> None:
        """Record what was copied, for later runs."""
        record = {
            "source": self._data.source,
            "fingerprint": self._tree.fingerprint(),
            "digest": self.digest(),
            "algorithm": content.ALGORITHM,
            "files": len(self._tree.files),
            "bytes": self._tree.size,
            "finished_at": f"{now:%Y-%m-%dT%H:%M:%SZ}",
        }
        with fs.atomic_write(self._data.record) as file:
            file.write((json.dumps(record, indent=2) + "\n").encode())


def _written_meanwhile(dest: Path) -> DataCopyError:
    return DataCopyError(f"{dest}: something was written there while copying. Stop it, and run again.")


def _remove_folders(dest: Path) -> None:
    """Remove a folder that holds only folders and sockets. A file that appears in it meanwhile stays."""
    for folder, _folders, names in os.walk(dest, topdown=False):
        for name in names:
            path = Path(folder, name)
            if stat.S_ISREG(path.lstat().st_mode) or path.is_symlink():
                raise _written_meanwhile(dest)
            path.unlink()
        try:
            Path(folder).rmdir()
        except OSError as error:
            if error.errno == errno.ENOTEMPTY:
                raise _written_meanwhile(dest) from None
            raise


def _explained(error: OSError, data: DataSet) -> DataCopyError:
    place = str(error.filename or data.dest)
    remedy = {
        errno.ENOSPC: "Free some space; the next run continues where this one stopped.",
        errno.EDQUOT: "Raise the quota; the next run continues where this one stopped.",
        errno.EPERM: "Run as root: the data is given to the user of the service.",
        errno.EACCES: "Run as root: the data is given to the user of the service.",
        errno.EROFS: "Mount the file system for writing.",
        errno.EIO: "The disk fails: look at dmesg.",
    }.get(error.errno or 0, "Remove the cause and run again; the next run continues where this one stopped.")
    return DataCopyError(f"{data.service}: {place}: {error.strerror or error}. {remedy}")
