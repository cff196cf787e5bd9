"""Copy one service's data into a staged folder, and put that in the place of the service's own when it is whole."""

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
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ansible.module_utils.data_copy import content
from ansible.module_utils.data_copy.journal import Journal
from ansible.module_utils.data_copy.tree import DataCopyError, Entry, Tree, allocated, is_mount_point, scan

# Small files are forced to the disk and journalled together: the first of a batch pays for all.
BATCH_FILES = 128
BATCH_BYTES = 32 * 1024 * 1024
WORKERS = 2

# Below the folder that holds the services' data. On the same file system, so that the end is a rename.
STATE_FOLDER = ".trade2025"


@dataclass(frozen=True, slots=True)
class DataSet:
    """One service's data: from where to where, and whose it is then."""

    service: str
    source: str
    dest: str
    uid: int
    gid: int

    @property
    def state(self) -> Path:
        """The copy's own folder."""
        return Path(self.dest).parent / STATE_FOLDER / Path(self.dest).name

    @property
    def staged(self) -> Path:
        """Where the copy grows."""
        return self.state / "incoming"

    @property
    def record(self) -> Path:
        """What a finished copy leaves behind."""
        return self.state / "done.json"


@dataclass(slots=True)
class Plan:
    """What there is to do for one set. `state` is current, copy or absent; `blocked` says why it cannot be done."""

    data: DataSet
    state: str
    tree: Tree | None = None
    blocked: str = ""
    replaces: bool = False
    wanted: int = 0
    left: list[Entry] = field(default_factory=list)
    journal: Journal | None = None

    @property
    def size(self) -> int:
        return self.tree.size if self.tree else 0

    @property
    def size_left(self) -> int:
        return sum(entry.size for entry in self.left)


def holds_files(folder: str) -> bool:
    """Whether anything but folders is below: an engine leaves empty ones for its mounts."""
    return scan(folder).holds_files


def plan(data: DataSet, on_conflict: str) -> Plan:
    """Compare source, target and journal; reads only. Raises DataCopyError for a place that cannot be read or used."""
    if not Path(data.source).exists():
        return Plan(data, "absent")
    _check_places(data)
    tree = scan(data.source)
    fresh = Plan(data, "copy", tree)
    present = Path(data.dest).exists()
    occupied = present and holds_files(data.dest)
    done = _record(data)
    same = done is not None and done.get("fingerprint") == tree.fingerprint()
    # The record is written just before the rename: while the copy is staged, what is there is not the copy.
    if same and not data.staged.exists() and (occupied or (present and not tree.holds_files)):
        return Plan(data, "current", tree)
    if occupied and done is not None and not same:
        fresh.blocked = (
            f"Trade2025's data changed since it was copied on {done.get('finished_at')}, and {data.dest} is in use"
        )
    elif occupied:
        fresh.blocked = f"{data.dest} already holds data that this migration did not write"
    if fresh.blocked and on_conflict == "backup":
        fresh.blocked, fresh.replaces = "", True
    if fresh.blocked:
        fresh.blocked += ". Set trade2025_data_on_conflict=backup to move it aside and copy"
        return fresh
    journal = Journal(data.state / "journal.jsonl")
    fresh.journal = journal
    fresh.left = [entry for entry in tree.first_names() if not _is_staged(data, entry, journal)]
    fresh.wanted = max(0, allocated(tree) - _allocated_so_far(data))
    return fresh


def _check_places(data: DataSet) -> None:
    source, dest = os.path.realpath(data.source), os.path.realpath(data.dest)
    if Path(data.dest).is_symlink():
        raise DataCopyError(f"{data.dest}: is a symlink. Name its target {dest} as the data folder, or remove it.")
    if f"{dest}/".startswith(f"{source}/") or f"{source}/".startswith(f"{dest}/"):
        raise DataCopyError(f"{data.source} and {data.dest} lie in each other. Set trade2026_root to a folder outside.")
    if is_mount_point(data.dest):
        raise DataCopyError(
            f"{data.dest}: is a mount of its own, so a finished copy cannot be put in its place at once. "
            f"Mount {Path(data.dest).parent} instead, or unmount it while copying."
        )


def _record(data: DataSet) -> dict[str, Any] | None:
    try:
        found = json.loads(data.record.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError:
        raise DataCopyError(f"{data.record}: cannot be understood. Remove it; the copy then begins anew.") from None
    return found if isinstance(found, dict) else None


def _staged_path(data: DataSet, entry: Entry) -> str:
    return f"{data.staged}/{entry.path}"


def _is_staged(data: DataSet, entry: Entry, journal: Journal) -> bool:
    if journal.whole(entry) is None:
        return False
    try:
        seen = os.lstat(_staged_path(data, entry))
    except OSError:
        return False
    return stat.S_ISREG(seen.st_mode) and (seen.st_size, seen.st_mtime_ns) == (entry.size, entry.mtime_ns)


def _allocated_so_far(data: DataSet) -> int:
    if not data.staged.is_dir():
        return 0
    return sum(entry.blocks * 512 for entry in scan(str(data.staged)).first_names())


def space_problems(plans: list[Plan], margin: int) -> list[str]:
    """One sentence for each file system that the copies would fill. `margin` bytes stay free."""
    wanted: dict[int, tuple[int, int, str]] = {}
    for made in plans:
        if made.state != "copy" or made.blocked:
            continue
        place = Path(made.data.dest).parent
        while not place.exists():
            place = place.parent
        device = place.stat().st_dev
        bytes_, names, _path = wanted.get(device, (0, 0, ""))
        wanted[device] = (bytes_ + made.wanted, names + len(made.left), str(place))
    found = []
    for bytes_, names, where in wanted.values():
        free = os.statvfs(where)
        room = free.f_bavail * free.f_frsize
        if room < bytes_ + margin:
            found.append(
                f"{where}: {human(bytes_)} are to be copied and {human(margin)} to stay free, "
                f"but only {human(room)} are free. Make room."
            )
        # A file system that counts no inodes says 0 for all of them.
        if free.f_files and free.f_favail < names:
            found.append(
                f"{where}: {names} files are to be copied, but only {free.f_favail} inodes are free. Make room."
            )
    return found


def human(size: float) -> str:
    """A size for people."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


class Copier:
    """Carries out one plan, until it is done or the deadline (of `time.monotonic`) is over."""

    def __init__(self, made: Plan, deadline: float, before_swap: Callable[[], None]) -> None:
        if made.tree is None or made.journal is None:
            raise ValueError(f"{made.data.service}: nothing was planned to copy")
        self._plan = made
        self._data = made.data
        self._tree: Tree = made.tree
        self._journal: Journal = made.journal
        self._deadline = deadline
        self._before_swap = before_swap
        self._lock = threading.Lock()
        self._failed = threading.Event()
        self.bytes_done = 0
        self.files_done = 0
        self.kept = ""

    def run(self) -> bool:
        """True when the data is in its place, false when time ran out. Raises DataCopyError; the next run goes on."""
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
        """Take away what an earlier run staged and the source has no more; make the folders."""
        wanted = {entry.path: stat.S_IFMT(entry.mode) for entry in self._tree.entries}
        first = {entry.path for entry in self._tree.first_names()}
        for entry in reversed(scan(str(self._data.staged)).entries):
            path = _staged_path(self._data, entry)
            kind = stat.S_IFMT(entry.mode)
            if wanted.get(entry.path) == kind and (entry.is_directory or entry.path in first):
                continue
            if entry.is_directory:
                shutil.rmtree(path)
            else:
                Path(path).unlink()
        for entry in self._tree.entries:
            if entry.is_directory:
                Path(_staged_path(self._data, entry)).mkdir(mode=0o700, exist_ok=True)

    def _copy_files(self) -> bool:
        jobs = self._jobs()
        with ThreadPoolExecutor(WORKERS) as pool:
            workers = [pool.submit(self._work, jobs) for _worker in range(WORKERS)]
            done = [worker.result() for worker in workers]
        return all(done)

    def _jobs(self) -> Iterator[list[Entry]]:
        batch: list[Entry] = []
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

    def _work(self, jobs: Iterator[list[Entry]]) -> bool:
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

    def _batch(self, entries: list[Entry]) -> bool:
        """Copy small files: write all, force all to the disk, read all back, journal all."""
        opened: list[tuple[Entry, int, bytes]] = []
        try:
            for entry in entries:
                source = content.open_unchanged(self._tree.root, entry)
                try:
                    dest = content.open_dest(_staged_path(self._data, entry), fresh=True)
                    opened.append((entry, dest, b""))
                    os.ftruncate(dest, entry.size)
                    digest = content.copy_step(source, dest, 0, entry.size, entry.path)
                    content.check_unchanged(source, entry)
                finally:
                    os.close(source)
                opened[-1] = (entry, dest, digest)
            for entry, dest, _digest in opened:
                self._own(dest, entry)
                content.settle(dest, 0, entry.size)
            for entry, dest, digest in opened:
                content.check_step(dest, 0, entry.size, digest, entry.path)
        finally:
            for _entry, dest, _digest in opened:
                os.close(dest)
        self._journal.add([(entry, {"whole": content.file_digest([digest])}) for entry, _dest, digest in opened])
        self._count(sum(entry.size for entry in entries), len(entries))
        return True

    def _large(self, entry: Entry) -> bool:
        """Copy a large file step by step, from the step on where an earlier run stopped."""
        path = _staged_path(self._data, entry)
        digests = self._journal.steps(entry) if Path(path).exists() else []
        source = content.open_unchanged(self._tree.root, entry)
        dest = content.open_dest(path, fresh=not digests)
        try:
            os.ftruncate(dest, entry.size)
            lines: list[tuple[Entry, dict[str, Any]]] = []
            for number, (start, end) in enumerate(content.steps(entry.size)):
                if number < len(digests):
                    continue
                if self._failed.is_set() or time.monotonic() > self._deadline:
                    return False
                digest = content.copy_step(source, dest, start, end, entry.path)
                digests.append(digest)
                lines.append((entry, {"step": number, "digest": digest.hex()}))
                self._count(end - start, 0)
                if not content.has_data(dest, start, end):
                    # A hole: nothing was written that had to reach the disk. It is told with the next data.
                    content.check_step(dest, start, end, digest, entry.path)
                    continue
                content.settle(dest, start, end)
                content.check_step(dest, start, end, digest, entry.path)
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

    def _own(self, descriptor: int, entry: Entry) -> None:
        """Give a file to the service: its user, no rights for others, the source's time."""
        os.fchown(descriptor, self._data.uid, self._data.gid)
        os.fchmod(descriptor, stat.S_IMODE(entry.mode) & 0o770 | 0o600)
        os.utime(descriptor, ns=(entry.mtime_ns, entry.mtime_ns))

    def _finish(self) -> None:
        """Links and folders, then a last look at everything, then the swap."""
        first = {entry.inode: entry.path for entry in reversed(self._tree.first_names())}
        for entry in self._tree.entries:
            path = _staged_path(self._data, entry)
            if entry.is_link:
                _link(entry.target, path)
                os.chown(path, self._data.uid, self._data.gid, follow_symlinks=False)
                os.utime(path, ns=(entry.mtime_ns, entry.mtime_ns), follow_symlinks=False)
            elif entry.is_file and entry.links > 1 and first[entry.inode] != entry.path:
                os.link(f"{self._data.staged}/{first[entry.inode]}", path)
        for entry in reversed(self._tree.entries):
            if entry.is_directory:
                self._own_directory(_staged_path(self._data, entry), entry)
        os.chown(self._data.staged, self._data.uid, self._data.gid)
        self._data.staged.chmod(0o750)
        _force(self._data.staged)
        self._check_whole()
        self._before_swap()
        self._swap()

    def _own_directory(self, path: str, entry: Entry) -> None:
        os.chown(path, self._data.uid, self._data.gid)
        Path(path).chmod(stat.S_IMODE(entry.mode) & 0o770 | 0o700)
        os.utime(path, ns=(entry.mtime_ns, entry.mtime_ns))
        _force(path)

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
        told = hashlib.new(content.ALGORITHM)
        for entry in self._tree.entries:
            digest = whole.get(entry.inode) or "" if entry.is_file else entry.target
            told.update(os.fsencode(f"{stat.S_IFMT(entry.mode):o} {digest} {entry.path}\0"))
        return told.hexdigest()

    def _swap(self) -> None:
        """Put the staged folder in the place of the service's own; a rename, so it is either the old or the new one."""
        dest = Path(self._data.dest)
        now = datetime.now(UTC)
        if dest.exists():
            if holds_files(self._data.dest):
                if not self._plan.replaces:
                    raise DataCopyError(f"{dest}: something was written there while copying. Stop it, and run again.")
                aside = self._data.state / f"replaced-{now:%Y%m%dT%H%M%SZ}"
                dest.rename(aside)
                self.kept = str(aside)
            else:
                shutil.rmtree(dest)
        _force(self._data.state)
        _force(dest.parent)
        # Before the rename: a run that ends in between must not take its own copy for a stranger's data.
        self._record(now)
        self._data.staged.rename(dest)
        _force(self._data.state)
        _force(dest.parent)
        (self._data.state / "journal.jsonl").unlink(missing_ok=True)

    def _record(self, now: datetime) -> None:
        """Say what was copied, for the runs that follow."""
        record = {
            "source": self._data.source,
            "fingerprint": self._tree.fingerprint(),
            "digest": self.digest(),
            "algorithm": content.ALGORITHM,
            "files": len(self._tree.files),
            "bytes": self._tree.size,
            "finished_at": f"{now:%Y-%m-%dT%H:%M:%SZ}",
        }
        fresh = self._data.record.with_suffix(".new")
        fresh.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        _force(fresh)
        fresh.replace(self._data.record)
        _force(self._data.state)


def _link(target: str, path: str) -> None:
    """Make a symlink with exactly this text, which `Path` would normalise."""
    folder, _sep, name = path.rpartition("/")
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.symlink(target, name, dir_fd=descriptor)
    finally:
        os.close(descriptor)


def _force(path: str | Path) -> None:
    """Force a file or a folder's names to the disk. Some file systems refuse it for folders: they need none."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
    finally:
        os.close(descriptor)


def _explained(error: OSError, data: DataSet) -> DataCopyError:
    place = str(error.filename or data.dest)
    remedy = {
        errno.ENOSPC: "Make room; the next run goes on where this one stopped.",
        errno.EDQUOT: "Raise the quota; the next run goes on where this one stopped.",
        errno.EPERM: "Run as root: the data is given to the user of the service.",
        errno.EACCES: "Run as root: the data is given to the user of the service.",
        errno.EROFS: "Mount the file system for writing.",
        errno.EIO: "The disk fails: look at dmesg.",
    }.get(error.errno or 0, "Run again when that is mended; the copy goes on where it stopped.")
    return DataCopyError(f"{data.service}: {place}: {error.strerror or error}. {remedy}")
