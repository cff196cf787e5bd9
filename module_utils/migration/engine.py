"""The migration of a tree: look, decide, write. A dry run is the same without the writing."""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

from ansible.module_utils.migration import state, tree, workers
from ansible.module_utils.migration.errors import MigrationError, stopped
from ansible.module_utils.migration.file_worker import Worker
from ansible.module_utils.migration.hard_links import name_again, renew_keys
from ansible.module_utils.migration.outcomes import CONFLICT, FAILED, KEPT, REPLACE, TOUCH, Outcome
from ansible.module_utils.migration.pruning import Pruner
from ansible.module_utils.migration.report import Report, failure_of
from ansible.module_utils.migration.run import Run
from ansible.module_utils.migration.settings import Settings, check_places
from ansible.module_utils.migration.structure import finish_directories, make_directories, make_links
from ansible.module_utils.migration.survey import Found, look
from ansible.module_utils.migration.tree import Entry
from ansible.module_utils.rewriting.mentions import Mentions, printable
from ansible.module_utils.rewriting.rewriter import Rules

# Raise when the result for an unchanged file may differ from what earlier code gave.
_RESULTS_VERSION = 2
_PIECE_FILES, _PIECE_BYTES = 256, 16 * 1024 * 1024
# Below this a second process costs more than it gains.
_PARALLEL_FILES, _PARALLEL_BYTES = 400, 16 * 1024 * 1024


class Migration:
    """One run. Use `run` once."""

    def __init__(self, settings: Settings) -> None:
        self._run = Run(
            settings,
            paths_only=Rules(settings.rules.path_map, {}),
            mentions=Mentions(list(settings.mentions)),
            stamp=time.strftime("%Y%m%dT%H%M%S"),
            manifest=state.Manifest(""),
        )
        self._state_path = os.fsencode(settings.state_dir or Path(settings.dest, os.fsdecode(tree.STATE_NAME)))
        self._descriptors: list[int] = []
        # Of files with several names: those whose first name is handled like any file, and what came of it.
        self._firsts: set[bytes] = set()
        self._first_outcomes: dict[bytes, Outcome] = {}
        # The manifest's records of what vanished from the source and stays.
        self._carry: dict[bytes, bytes] = {}

    def run(self) -> Report:
        """Migrate. A report with `failure` set means that nothing was changed, and says why.

        Raises:
            MigrationError: nothing was done, or it stopped half-way with whole files only.
        """
        settings = self._run.settings
        check_places(settings.src, settings.dest, settings.state_dir)
        umask = os.umask(0)
        try:
            return self._migrate()
        except state.LockedError as exc:
            raise MigrationError(
                f"another migration into {settings.dest} is under way ({exc}); wait until it has ended and run again"
            ) from exc
        except workers.WorkerError as exc:
            raise MigrationError(str(exc)) from exc
        except OSError as exc:
            what = printable(os.fsencode(exc.filename)) if exc.filename is not None else settings.dest
            raise MigrationError(stopped(f"{os.strerror(exc.errno or 0)}: {what}")) from exc
        finally:
            os.umask(umask)
            for descriptor in self._descriptors:
                os.close(descriptor)

    def _migrate(self) -> Report:
        settings = self._run.settings
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
        self._run.source = self._keep_open(os.open(settings.src, flags))
        self._open_dest()
        self._open_state(create=False)
        self._load_manifest()
        report = Report()
        found = look(self._run, report)
        if settings.dry or self._may_be_refused(found):
            rehearsal = deepcopy(report)
            rehearsal.failures += self._run.unreadable
            # Where nothing stands yet, nothing can be in the way.
            rehearsed = found.candidates if settings.dry or settings.strict else found.existing
            self._pass(found, rehearsed, rehearsal, write=False)
            rehearsal.failure = failure_of(rehearsal, settings)
            if settings.dry or rehearsal.failure:
                return rehearsal.without_changes() if rehearsal.failure else rehearsal
            self._first_outcomes.clear()
        self._open_for_writing()
        self._pass(found, found.candidates, report, write=True)
        report.failure = failure_of(report, settings)
        if not report.failure:
            self._save(report)
        return report

    # Opening.

    def _keep_open(self, descriptor: int) -> int:
        self._descriptors.append(descriptor)
        return descriptor

    def _open_dest(self) -> None:
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        with contextlib.suppress(FileNotFoundError):
            self._run.dest = self._keep_open(os.open(self._run.settings.dest, flags))

    def _open_state(self, create: bool) -> None:
        self._run.state_dir = state.open_state(self._state_path, create)
        if self._run.state_dir is not None:
            self._keep_open(self._run.state_dir)
            held = state.lock(self._run.state_dir, exclusive=not self._run.settings.dry)
            if held is not None:
                self._keep_open(held)

    def _open_for_writing(self) -> None:
        """Make the destination and its state directory where they are missing."""
        settings = self._run.settings
        if self._run.dest is None:
            self._make_dest(Path(settings.dest))
            self._open_dest()
        if self._run.dest is None:
            raise MigrationError(f"dest={settings.dest} vanished; run the migration again")
        if self._run.state_dir is None:
            self._open_state(create=True)
            if self._run.state_dir is not None and state.is_used(self._run.state_dir):
                raise MigrationError(_overtaken(settings.dest))
        if self._run.state_dir is None:
            raise MigrationError(f"state directory {printable(self._state_path)} vanished; run the migration again")
        self._run.staging = self._keep_open(state.open_staging(self._run.state_dir, self._run.dest))
        self._run.journal = self._keep_open(state.open_journal(self._run.state_dir))

    def _make_dest(self, dest: Path) -> None:
        """Make the destination, and the parents that it lacks with the usual mode, since the umask is off."""
        missing = [parent for parent in dest.parents if not parent.exists()]
        for parent in reversed(missing):
            parent.mkdir(0o755)
        try:
            dest.mkdir(0o700)
        except FileExistsError as exc:
            raise MigrationError(_overtaken(self._run.settings.dest)) from exc

    def _load_manifest(self) -> None:
        settings = self._run.settings
        base = settings.compose_base.key if settings.compose_base else None
        text = repr((_RESULTS_VERSION, settings.rules.fingerprint_text, settings.mentions, base))
        fingerprint = hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
        try:
            self._run.manifest = state.Manifest.load(self._run.state_dir, fingerprint)
        except ValueError as exc:
            where = printable(self._state_path)
            raise MigrationError(
                f"{where}/manifest cannot be used: {exc}; move {where} away and run again with on_conflict=backup"
            ) from exc

    def _may_be_refused(self, found: Found) -> bool:
        """Whether only a rehearsal can tell that the run must change nothing."""
        settings = self._run.settings
        if settings.strict or self._run.unreadable:
            return True
        actions = {item.action for item in found.directories} | {item.action for item in found.links}
        return settings.on_conflict != "backup" and bool(found.existing or found.further or CONFLICT in actions)

    # One pass over everything: a rehearsal, which only decides, or the real one.

    def _pass(self, found: Found, candidates: list[Entry], report: Report, write: bool) -> None:
        self._firsts = {first for _entry, first in found.further}
        make_directories(self._run, found, report, write)
        make_links(self._run, found, report, write)
        for outcomes in self._handle(candidates, write):
            for values in outcomes:
                self._take(Outcome(*values), report, write)
        self._further(found, report, write)
        pruner = Pruner(self._run)
        pruner.prune(report, write)
        self._carry = pruner.carry
        if write:
            finish_directories(self._run, found)

    def _handle(self, candidates: list[Entry], write: bool) -> Iterator[list[Any]]:
        """Outcomes of the candidates, from as many processes as serve."""
        job = self._run.job(write)

        def make() -> Callable[[range], list[Any]]:
            worker = Worker(job)
            return lambda piece: [tuple(worker.handle(candidates[index])) for index in piece]

        sizes = [entry.size for entry in candidates]
        count = self._run.settings.workers or min(4, len(os.sched_getaffinity(0)))
        if len(candidates) < _PARALLEL_FILES and sum(sizes) < _PARALLEL_BYTES:
            count = 1
        yield from workers.run(workers.split(sizes, _PIECE_FILES, _PIECE_BYTES), make, count)

    def _take(self, outcome: Outcome, report: Report, write: bool) -> None:
        """Enter a file's outcome into the report and the next manifest."""
        path = outcome.path
        name = printable(path)
        if outcome.action == FAILED:
            if write:
                raise MigrationError(stopped(f"{name}: {outcome.message}"))
            report.failures.append((name, outcome.message))
            return
        if path in self._firsts:
            self._first_outcomes[path] = outcome
        if outcome.action in (CONFLICT, REPLACE):
            report.conflicts.append((name, outcome.message, self._run.settings.on_conflict))
        elif outcome.action == KEPT:
            report.kept.append(name)
        elif outcome.action == TOUCH:
            report.files_touched += 1
        if outcome.written:
            if outcome.replacements:
                report.files_rewritten += 1
            else:
                report.files_copied += 1
            report.replacements += outcome.replacements
            self._run.written_into.add(path.rpartition(b"/")[0])
        if outcome.leftovers is not None:
            report.add_content_leftovers(path, outcome.mentions, [list(item) for item in outcome.leftovers])
        elif outcome.mentions:
            count, lines = self._run.manifest.leftovers.get(os.fsdecode(path), (0, []))
            report.add_content_leftovers(path, count, lines)
        if outcome.diff:
            report.add_diff(name, outcome.diff)
        if write:
            self._run.records[path] = outcome.record

    # Further names of a file.

    def _further(self, found: Found, report: Report, write: bool) -> None:
        if not found.further:
            return
        worker = Worker(self._run.job(write))
        try:
            for entry, first in found.further:
                self._take(name_again(self._run, worker, entry, first, self._first_outcomes.get(first)), report, write)
        finally:
            worker.close()
        if write:
            renew_keys(self._run, found.further)

    # The end.

    def _save(self, report: Report) -> None:
        """Write the next manifest, where it says something else than the last one."""
        records = {path: record for path, record in self._run.records.items() if record} | self._carry
        manifest = self._run.manifest
        leftovers = dict(report.content_leftovers)
        same = manifest.same_rules and not manifest.journal and records == manifest.records
        same = same and self._run.compose.keys == manifest.compose
        if same and leftovers == manifest.leftovers and not report.changed:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(b"journal", dir_fd=self._run.state_dir)
            return
        manifest.records, manifest.leftovers, manifest.compose = records, leftovers, self._run.compose.keys
        if self._run.state_dir is not None:
            manifest.save(self._run.state_dir)


def _overtaken(dest: str) -> str:
    return f"another migration into {dest} began in the meantime; when it has ended, run this one again"
