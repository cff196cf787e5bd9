# SPDX-License-Identifier: GPL-3.0-or-later
"""The journal of a machine: which plan is under way, by whom, since when, and which operations are done; and its lock.

ROOT/.trade2026/journal/lock            the run that is under way, as JSON
ROOT/.trade2026/journal/current.jsonl   what it planned, and each operation that is done
ROOT/.trade2026/journal/previous.jsonl  the same of the run before
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ansible.module_utils.deployment.model import Operation

FOLDER = Path(".trade2026")


class JournalError(Exception):
    """Another run is under way, or the journal cannot be read; the text is fit for people."""


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

    @property
    def text(self) -> str:
        """For people."""
        return f"{self.user} on {self.controller} (process {self.pid}) since {self.since}"


def read_owner(content: Mapping[str, Any]) -> Owner:
    """The owner that a lock file names; raises JournalError."""
    try:
        return Owner(**content)
    except TypeError as error:
        raise JournalError(f"the lock names no owner ({error}); remove the file if no run is under way") from None


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
    )


def is_alive(owner: Owner, proc: Path = Path("/proc")) -> bool:
    """Whether the run still exists, as far as this machine knows: one of another controller counts as alive."""
    if owner.controller != os.uname().nodename:
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


class Journal:
    """The journal below the root of one deployment."""

    def __init__(self, root: Path) -> None:
        self.folder = root / FOLDER / "journal"
        self.lock = self.folder / "lock"
        self.current = self.folder / "current.jsonl"
        self.previous = self.folder / "previous.jsonl"

    def owner(self) -> Owner | None:
        """Who holds the lock; None when nobody does."""
        try:
            text = self.lock.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        try:
            return read_owner(json.loads(text))
        except ValueError as error:
            raise JournalError(f"{self.lock} is not JSON ({error}); remove it if no run is under way") from None

    def entries(self) -> list[dict[str, Any]]:
        """What the run under way, or the last one that did not finish, wrote. A torn last line is left out."""
        return _entries(self.current)

    def finished_run(self) -> str:
        """The last run that finished; empty before the first."""
        begun = [entry for entry in _entries(self.previous) if entry.get("event") == "begin"]
        return str(begun[-1]["owner"]["run"]) if begun else ""

    def progress(self) -> str:
        """How far the run in the current journal is, for people."""
        entries = self.entries()
        planned = sum(len(entry.get("operations", [])) for entry in entries if entry.get("event") == "begin")
        done = [entry for entry in entries if entry.get("event") == "done"]
        last = f", the last {done[-1]['service']}: {done[-1]['what']}" if done else ""
        return f"{len(done)} of {planned} operations are done{last}"

    def begin(
        self, owner: Owner, operations: Iterable[Operation], take_over: str = "", unpredictable: Iterable[str] = ()
    ) -> None:
        """Take the lock and write the plan; raises JournalError while another run holds it.

        `take_over` names the run whose owner the controller has found dead, `unpredictable` the services of which the
        plan does not know everything.
        """
        for folder in (self.folder.parent, self.folder):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.chmod(0o700)
        holder = self.owner()
        if holder is not None and take_over and holder.run == take_over:
            # Of two that found it dead, the one whose rename succeeds goes on.
            with contextlib.suppress(FileNotFoundError):
                self.lock.rename(self.folder / f"lock.dead-{owner.run}")
        try:
            handle = os.open(self.lock, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            raise JournalError(self.refusal(self.owner())) from None
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(json.dumps(asdict(owner)) + "\n")
            file.flush()
            os.fsync(file.fileno())
        (self.folder / f"lock.dead-{owner.run}").unlink(missing_ok=True)
        if self.current.exists():
            self.current.replace(self.folder / "interrupted.jsonl")
        self._append(
            {
                "event": "begin",
                "owner": asdict(owner),
                "operations": [{"service": entry.service, "what": entry.what} for entry in operations],
                "unpredictable": sorted(unpredictable),
            }
        )

    def done(self, run: str, rows: Iterable[tuple[str, str]]) -> None:
        """Note that operations (service, what) are done; does nothing without a run or when another one goes on."""
        holder = self.owner() if run else None
        if holder is None or holder.run != run:
            return
        for service, what in rows:
            self._append({"event": "done", "service": service, "what": what, "at": _now()})

    def finish(self, run: str, failed: Iterable[str] = ()) -> list[str]:
        """Release the lock; returns where what was done differs from what was planned."""
        holder = self.owner()
        if holder is None or holder.run != run:
            return []
        self._append({"event": "end", "failed": sorted(failed), "at": _now()})
        problems = self.problems(set(failed))
        self.current.replace(self.previous)
        self.lock.unlink()
        return problems

    def problems(self, failed: set[str]) -> list[str]:
        """Where what was done differs from what was planned, leaving out services that failed or were unpredictable."""
        planned, done = set(), set()
        left_out = set(failed)
        for entry in self.entries():
            if entry.get("event") == "begin":
                planned |= {(row["service"], row["what"]) for row in entry["operations"]}
                left_out |= set(entry.get("unpredictable", []))
            elif entry.get("event") == "done":
                done.add((entry["service"], entry["what"]))
        missing = [f"{service}: {what} was planned and not done" for service, what in sorted(planned - done)]
        extra = [f"{service}: {what} was done and not planned" for service, what in sorted(done - planned)]
        return [line for line in [*missing, *extra] if line.partition(":")[0] not in left_out]

    def refusal(self, owner: Owner | None) -> str:
        """Why a run may not begin."""
        who = owner.text if owner else "another run"
        return (
            f"another run is under way on this machine: {who}; {self.progress()}. Wait until it has ended. "
            f"If that controller is gone for good, remove {self.lock} and run again."
        )

    def _append(self, entry: Mapping[str, Any]) -> None:
        handle = os.open(self.current, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")
            file.flush()
            os.fsync(file.fileno())


def _entries(file: Path) -> list[dict[str, Any]]:
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    found = []
    for line in lines:
        # The line that a killed run was writing.
        with contextlib.suppress(ValueError):
            found.append(json.loads(line))
    return found


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
