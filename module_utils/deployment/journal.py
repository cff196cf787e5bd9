# SPDX-License-Identifier: GPL-3.0-or-later
"""The journal of a machine: which plan is under way, by whom, since when, and which operations are done; and its lock.

ROOT/.trade2026/journal.jsonl              one line for each run that ended (audit.py)
ROOT/.trade2026/journal/lock               the run that is under way, as JSON
ROOT/.trade2026/journal/guard              empty; held while the lock is taken or released
ROOT/.trade2026/journal/current.jsonl      what it planned, and each operation that is done
ROOT/.trade2026/journal/previous.jsonl     the same of the last run that ended
ROOT/.trade2026/journal/interrupted.jsonl  the same of the last run that was killed
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ansible.module_utils.deployment import FOLDER, audit
from ansible.module_utils.deployment.model import Operation, digest
from ansible.module_utils.shared.fs import explain, located, write_all

# What a user types to take over a lock that cannot be read.
DAMAGED = "damaged-lock"
# File systems without hard links.
NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK}

# File systems without advisory locks.
NO_FLOCK = {errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL}


class JournalError(Exception):
    """Another run is under way, or the journal cannot be read; the text is a message for the user."""


@dataclass(frozen=True)
class Owner:
    """The run that holds a lock: a process of the controller, with its start time to detect a reused process id."""

    run: str
    user: str
    controller: str
    # Identifies the controller's current boot; empty where its system does not say.
    boot: str
    pid: int
    # Clock ticks between boot and the process's start; empty where its system does not say.
    started: str
    since: str
    # Identifies the controller's installation, because two controllers may have the same name; empty if unknown.
    machine: str = ""

    @property
    def text(self) -> str:
        """As text, for messages."""
        return f"{self.user} on {self.controller} (process {self.pid}) since {self.since}"


def read_owner(content: Any) -> Owner:
    """The owner that a lock file names; raises JournalError."""
    try:
        owner = Owner(**content)
    except TypeError:
        raise JournalError("it does not name its owner") from None
    texts = (owner.run, owner.user, owner.controller, owner.boot, owner.started, owner.since, owner.machine)
    if not owner.run or not isinstance(owner.pid, int) or not all(isinstance(text, str) for text in texts):
        raise JournalError("it does not name its owner")
    return owner


def this_run(run: str, user: str, pid: int, proc: Path = Path("/proc")) -> Owner:
    """The owner to write for the process `pid` of this machine."""
    return Owner(
        run=run,
        user=user,
        controller=os.uname().nodename,
        boot=_boot(proc),
        pid=pid,
        started=_start_time(pid, proc),
        since=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        machine=_installation(),
    )


def is_alive(owner: Owner, proc: Path = Path("/proc")) -> bool:
    """Whether the run still exists, as far as this machine knows: one of another controller counts as alive."""
    if not is_local(owner):
        return True
    if owner.boot and owner.boot != _boot(proc):
        return False
    if owner.started:
        return _start_time(owner.pid, proc) == owner.started
    try:
        os.kill(owner.pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def is_local(owner: Owner) -> bool:
    """Whether the run was started on this controller, so that its process can be looked for."""
    return owner.controller == os.uname().nodename and (not owner.machine or owner.machine == _installation())


def _installation(file: Path = Path("/etc/machine-id")) -> str:
    """A hash, because the machine id itself is confidential."""
    with contextlib.suppress(OSError, UnicodeDecodeError):
        text = file.read_text(encoding="ascii").strip()
        return digest(text)[:16] if text else ""
    return ""


def _boot(proc: Path) -> str:
    with contextlib.suppress(OSError):
        return (proc / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return ""


def _start_time(pid: int, proc: Path) -> str:
    """Field 22 of /proc/PID/stat; the name before it may hold blanks and parentheses. A zombie has ended."""
    with contextlib.suppress(OSError, IndexError):
        fields = (proc / str(pid) / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        return "" if fields[0] == "Z" else fields[19]
    return ""


@dataclass(frozen=True)
class Progress:
    """What a run planned and how far it came, from its journal."""

    owner: Owner | None
    # deploy, stop, purge or rollback.
    action: str
    planned: tuple[tuple[str, str], ...]
    done: tuple[tuple[str, str], ...]
    # Services of which the plan does not know everything.
    unpredictable: frozenset[str]
    # Hash of the plan, and seconds between the machine's boot and the start of the run.
    plan: str
    uptime: float

    @property
    def open(self) -> tuple[tuple[str, str], ...]:
        """What was planned and not done."""
        return tuple(row for row in self.planned if row not in set(self.done))

    @property
    def text(self) -> str:
        """How far it came, as a sentence."""
        last = f", the last {self.done[-1][0]}: {self.done[-1][1]}" if self.done else ""
        return f"{len(self.done)} of {len(self.planned)} operations are done{last}"


def read_progress(entries: Iterable[Mapping[str, Any]]) -> Progress:
    """The progress that the entries of a journal record; entries that this project did not write are ignored."""
    progress = Progress(None, "deploy", (), (), frozenset(), "", 0.0)
    for entry in entries:
        if entry.get("event") == "begin":
            progress = _begun(progress, entry)
        elif entry.get("event") == "done" and "service" in entry and "what" in entry:
            progress = replace(progress, done=(*progress.done, (str(entry["service"]), str(entry["what"]))))
    return progress


def _begun(progress: Progress, entry: Mapping[str, Any]) -> Progress:
    """The progress with the content of a journal's first entry."""
    owner = None
    with contextlib.suppress(JournalError):
        owner = read_owner(entry.get("owner"))
    rows = [row for row in _list(entry.get("operations")) if isinstance(row, dict) and {"service", "what"} <= set(row)]
    uptime = entry.get("uptime")
    return replace(
        progress,
        owner=owner,
        action=str(entry.get("action", "deploy")),
        planned=tuple((str(row["service"]), str(row["what"])) for row in rows),
        unpredictable=frozenset(str(name) for name in _list(entry.get("unpredictable"))),
        plan=str(entry.get("plan", "")),
        uptime=float(uptime) if isinstance(uptime, int | float) else 0.0,
    )


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


class Journal:
    """The journal below the root of one deployment."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = root / FOLDER / "journal"
        self.lock = self.folder / "lock"
        self.guard = self.folder / "guard"
        self.current = self.folder / "current.jsonl"
        self.previous = self.folder / "previous.jsonl"
        self.interrupted = self.folder / "interrupted.jsonl"

    def owner(self) -> Owner | None:
        """Who holds the lock; None when nobody does."""
        try:
            return read_owner(json.loads(self.lock.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None
        except (ValueError, JournalError) as error:
            raise JournalError(
                f"the lock {self.lock} is damaged: {error}. If no run is under way, run again with "
                f"-e core_take_over={DAMAGED}"
            ) from None

    def entries(self) -> list[dict[str, Any]]:
        """What the run under way, or the last one that did not finish, wrote. A torn last line is left out."""
        return _entries(self.current)

    def progress(self) -> Progress:
        """What the run in the current journal planned and did."""
        return read_progress(self.entries())

    def finished_run(self) -> str:
        """The last run that finished; empty before the first."""
        owner = read_progress(_entries(self.previous)).owner
        return owner.run if owner else ""

    def begin(
        self,
        owner: Owner,
        operations: Iterable[Operation],
        take_over: str = "",
        unpredictable: Iterable[str] = (),
        action: str = "deploy",
    ) -> None:
        """Take the lock and write the plan; raises JournalError while another run holds it.

        `take_over` names the run whose owner the controller has found dead, or is DAMAGED for a lock that cannot be
        read. `unpredictable` names the services of which the plan does not know everything.
        """
        self._ensure_folders()
        operations = tuple(operations)
        begun = {
            "event": "begin",
            "owner": asdict(owner),
            "action": action,
            "plan": digest([operation.to_dict() for operation in operations]),
            "operations": [{"service": entry.service, "what": entry.what} for entry in operations],
            "unpredictable": sorted(unpredictable),
            "uptime": uptime(),
        }
        with self._alone():
            if take_over and self._holder() == take_over:
                self.lock.rename(self.folder / f"lock.dead-{owner.run}")
            if not self._take(owner):
                raise JournalError(self.refusal(self.owner()))
            for left in [*self.folder.glob("lock.dead-*"), *self.folder.glob("lock.new-*")]:
                left.unlink(missing_ok=True)
            try:
                if self.current.exists():
                    self._record_interrupted()
                self._append(begun)
            except BaseException:
                # Nothing has begun, so nobody has to take this lock over.
                if not self.entries():
                    self.current.unlink(missing_ok=True)
                self.lock.unlink(missing_ok=True)
                raise

    def require(self, run: str) -> None:
        """Raise JournalError if `run` no longer holds the lock: another run took over and changes the same things."""
        if run and self._holder() != run:
            raise JournalError(
                f"this run has lost its lock {self.lock}: another run took over. Nothing more was changed; wait until "
                "that run has ended, then run again"
            )

    def done(self, run: str, rows: Iterable[tuple[str, str]]) -> None:
        """Record that operations (service, what) are done; does nothing if `run` does not hold the lock."""
        with self._held_by(run) as held:
            for service, what in rows if held else ():
                self._append({"event": "done", "service": service, "what": what, "at": _now()})

    def finish(self, run: str, failed: Iterable[str] = ()) -> list[str]:
        """Write the line of the audit log and release the lock; returns where done and planned operations differ."""
        with self._held_by(run) as held:
            return self._finish(sorted(failed)) if held else []

    def _finish(self, failed: list[str]) -> list[str]:
        problems = []
        try:
            self._append({"event": "end", "failed": failed, "at": _now()})
            problems = self.problems(set(failed))
            self._audit(self.progress(), "failed" if failed or problems else "ok", failed)
        except (OSError, audit.AuditError) as error:
            # The lock is released anyway: otherwise the next run would assume that this one is still under way.
            problems.append(f"machine: the end of the run could not be recorded: {explain(error, self.current)}")
        with contextlib.suppress(FileNotFoundError):
            self.current.replace(self.previous)
        self.lock.unlink()
        return problems

    def release(self, run: str) -> None:
        """Release the lock of a run that has done nothing, without a line in the audit log."""
        with self._held_by(run) as held:
            if held:
                self.current.unlink(missing_ok=True)
                self.lock.unlink()

    def record_run(self, owner: Owner, since_boot: float, failed: Iterable[str] = ()) -> None:
        """Write the line of the audit log for a run that had nothing to do and took no lock; raises AuditError."""
        self._ensure_folders()
        progress = replace(read_progress([]), owner=owner, plan=digest([]), uptime=since_boot)
        self._audit(progress, "failed" if failed else "ok", sorted(failed))

    def problems(self, failed: set[str]) -> list[str]:
        """Where what was done differs from what was planned, leaving out services that failed or were unpredictable."""
        progress = self.progress()
        if progress.owner is None:
            return [f"machine: {self.current} was damaged during the run, so done and planned cannot be compared"]
        planned, done = set(progress.planned), set(progress.done)
        missing = [f"{service}: {what} was planned and not done" for service, what in sorted(planned - done)]
        extra = [f"{service}: {what} was done and not planned" for service, what in sorted(done - planned)]
        left_out = failed | progress.unpredictable
        return [line for line in [*missing, *extra] if line.partition(":")[0] not in left_out]

    def refusal(self, owner: Owner | None) -> str:
        """Why a run may not begin."""
        who = owner.text if owner else "another run"
        controller = owner.controller if owner else "CONTROLLER"
        return (
            f"another run is under way on this machine: {who}; {self.progress().text}. Wait until it has ended. "
            f"If that controller is gone for good, run again with -e core_take_over={controller}"
        )

    @contextlib.contextmanager
    def _held_by(self, run: str) -> Iterator[bool]:
        """Whether `run` holds the lock, which nobody takes over meanwhile. Without a lock, nothing is created."""
        if not run or self._holder() != run:
            yield False
            return
        with self._alone():
            yield self._holder() == run

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other processes from taking or releasing the lock between looking at it and changing it."""
        handle = os.open(self.guard, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX)
            except OSError as error:
                # Creating the lock is one step anyway, so such a file system only lacks the protection of a take-over.
                if error.errno not in NO_FLOCK:
                    raise
            yield
        finally:
            os.close(handle)

    def _ensure_folders(self) -> None:
        for folder in (self.folder.parent, self.folder):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.chmod(0o700)

    def _holder(self) -> str:
        """The run that holds the lock; empty for none, DAMAGED for a lock that cannot be read."""
        try:
            owner = self.owner()
        except JournalError:
            return DAMAGED
        return owner.run if owner else ""

    def _take(self, owner: Owner) -> bool:
        """Create the lock with its content in one step, so that a killed run leaves a whole lock or none."""
        new = self.folder / f"lock.new-{owner.run}"
        try:
            handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with located(new), os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(json.dumps(asdict(owner)) + "\n")
                file.flush()
                os.fsync(file.fileno())
            os.link(new, self.lock)
        except (FileExistsError, FileNotFoundError):
            # If two runs try at once, the winner also removes what the loser wrote.
            return False
        except OSError as error:
            if error.errno not in NO_LINKS:
                raise
            with contextlib.suppress(FileExistsError):
                os.close(os.open(self.lock, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
                new.replace(self.lock)
                return True
            return False
        finally:
            new.unlink(missing_ok=True)
        return True

    def _record_interrupted(self) -> None:
        """Keep the journal of a killed run, with a line in the audit log."""
        progress = self.progress()
        self.current.replace(self.interrupted)
        # A run that was killed while it released its lock has its line already.
        if progress.owner and not any(line.get("run") == progress.owner.run for line in audit.read(self.root).lines):
            with contextlib.suppress(audit.AuditError):
                self._audit(progress, "interrupted", sorted({service for service, _what in progress.open}))

    def _audit(self, progress: Progress, result: str, failed: list[str]) -> None:
        owner = progress.owner
        done = set(progress.done)
        # The clock may have been set in between; the time since boot is not. After a reboot the duration is unknown.
        spent = uptime() - progress.uptime
        known = result != "interrupted" and spent >= 0
        audit.append(
            self.root,
            {
                "at": _now(),
                "since": owner.since if owner else "",
                "user": owner.user if owner else "",
                "controller": owner.controller if owner else "",
                "run": owner.run if owner else "",
                "action": progress.action,
                "plan": progress.plan,
                "operations": [
                    {"service": service, "what": what, "done": (service, what) in done}
                    # What was done without a plan is named too: a failed service may have got its older data back.
                    for service, what in dict.fromkeys([*progress.planned, *progress.done])
                ],
                "result": result,
                "failed": failed,
                "duration_s": round(spent, 1) if known else None,
            },
        )

    def _append(self, entry: Mapping[str, Any]) -> None:
        handle = os.open(self.current, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            size = os.fstat(handle).st_size
            try:
                with located(self.current):
                    write_all(handle, json.dumps(entry).encode() + b"\n")
                    os.fsync(handle)
            except OSError:
                # A full disk takes a part of a line, which would spoil the next one.
                os.ftruncate(handle, size)
                raise
        finally:
            os.close(handle)


def locked_by(journal: Journal, begin: Mapping[str, Any] | None, take_over: str) -> dict[str, Any]:
    """The owner of the lock that keeps a run from beginning, with the refusal; empty if it may begin.

    Raises JournalError for a lock that cannot be read, unless `take_over` is DAMAGED.
    """
    if not begin:
        return {}
    try:
        holder = journal.owner()
    except JournalError:
        if take_over == DAMAGED:
            return {}
        raise
    if holder is None or holder.run == take_over:
        return {}
    return {**asdict(holder), "refusal": journal.refusal(holder), "left": journal.progress().text}


def uptime() -> float:
    """Seconds since the machine's boot, which setting the clock does not change."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _entries(file: Path) -> list[dict[str, Any]]:
    try:
        lines = file.read_bytes().splitlines()
    except FileNotFoundError:
        return []
    found = []
    for line in lines:
        # The line that a killed run was writing, or what somebody else wrote.
        with contextlib.suppress(ValueError):
            content = json.loads(line)
            if isinstance(content, dict):
                found.append(content)
    return found


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
