# SPDX-License-Identifier: GPL-3.0-or-later
"""The migration of a tree: scan, plan, apply. Check mode stops at the plan."""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

from ansible.module_utils.migration import manifest as state
from ansible.module_utils.migration import process_pool
from ansible.module_utils.migration.apply import apply
from ansible.module_utils.migration.context import Context, MigrationError, check_places, stopped
from ansible.module_utils.migration.manifest import Manifest
from ansible.module_utils.migration.plan import make_plan
from ansible.module_utils.migration.report import Report
from ansible.module_utils.migration.scan import scan
from ansible.module_utils.shared import fs

# Increase this number if the result for an unchanged file may differ from that of earlier code.
_RESULTS_VERSION = 3


def migrate(context: Context) -> Report:
    """Migrate. A report with `failure` set means that nothing was changed, and says why.

    Raises:
        MigrationError: nothing was done, or it stopped midway; every file is complete.
    """
    check_places(context)
    with _errors_explained(context), _no_umask(), contextlib.ExitStack() as opened:
        context = _open(context, opened)
        scanned = scan(context)
        context = context.opened(compose=scanned.compose)
        plan = make_plan(context, scanned)
        report = Report.of(context, scanned, plan)
        if report.failure:
            return report.without_changes()
        if context.check_mode:
            return report
        context = _open_for_writing(context, opened)
        records = apply(context, plan, scanned.records)
        report = Report.of(context, scanned, plan)
        _save(context, report, records)
        return report


@contextlib.contextmanager
def _errors_explained(context: Context) -> Iterator[None]:
    """Turn system errors into an error that says what to do."""
    try:
        yield
    except state.LockedError as exc:
        raise MigrationError(
            f"another migration into {context.dest} is running ({exc}); wait until it has ended and run again"
        ) from exc
    except process_pool.WorkerError as exc:
        raise MigrationError(str(exc)) from exc
    except OSError as exc:
        what = fs.display_name(os.fsencode(exc.filename)) if exc.filename is not None else context.dest
        raise MigrationError(stopped(f"{os.strerror(exc.errno or 0)}: {what}")) from exc


@contextlib.contextmanager
def _no_umask() -> Iterator[None]:
    """Switch the umask off, so that files get exactly the given mode."""
    umask = os.umask(0)
    try:
        yield
    finally:
        os.umask(umask)


# Opening.


def _keep(opened: contextlib.ExitStack, descriptor: int) -> int:
    if descriptor >= 0:
        opened.callback(os.close, descriptor)
    return descriptor


def _state_path(context: Context) -> bytes:
    return os.fsencode(context.state_dir or Path(context.dest, os.fsdecode(state.STATE_NAME)))


def _open(context: Context, opened: contextlib.ExitStack) -> Context:
    """Open what exists, and lock it."""
    source = _keep(opened, os.open(context.src, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
    dest = _open_dest(context, opened)
    state_fd = _open_state(context, opened, create=False)
    context = context.opened(source_fd=source, dest_fd=dest, state_fd=state_fd, stamp=time.strftime("%Y%m%dT%H%M%S"))
    return context.opened(manifest=_load_manifest(context))


def _open_dest(context: Context, opened: contextlib.ExitStack) -> int:
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        return _keep(opened, os.open(context.dest, flags))
    except FileNotFoundError:
        return -1


def _open_state(context: Context, opened: contextlib.ExitStack, create: bool) -> int:
    state_fd = _keep(opened, state.open_state(_state_path(context), create))
    if state_fd >= 0:
        _keep(opened, state.lock(state_fd, exclusive=not context.check_mode))
    return state_fd


def _load_manifest(context: Context) -> Manifest:
    base = context.compose_base.key if context.compose_base else None
    encodings = [(glob.text, encoding) for glob, encoding in context.encodings]
    text = repr((_RESULTS_VERSION, context.rules.fingerprint_text, context.mentions, base, encodings))
    fingerprint = hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
    try:
        return Manifest.load(context.state_fd, fingerprint)
    except ValueError as exc:
        where = fs.display_name(_state_path(context))
        raise MigrationError(
            f"{where}/manifest cannot be used: {exc}; move {where} away and run again with on_conflict=backup"
        ) from exc


def _open_for_writing(context: Context, opened: contextlib.ExitStack) -> Context:
    """Create the destination and its state directory if they are missing, and open the staging folder."""
    if context.dest_fd < 0:
        _create_dest(Path(context.dest))
        context = context.opened(dest_fd=_open_dest(context, opened))
    if context.dest_fd < 0:
        raise MigrationError(f"dest={context.dest} vanished; run the migration again")
    if context.state_fd < 0:
        context = context.opened(state_fd=_open_state(context, opened, create=True))
        if context.state_fd >= 0 and state.is_used(context.state_fd):
            raise MigrationError(_overtaken(context.dest))
    if context.state_fd < 0:
        raise MigrationError(
            f"state directory {fs.display_name(_state_path(context))} vanished; run the migration again"
        )
    journal = state.open_journal(context.state_fd)
    opened.callback(journal.close)
    staging = _keep(opened, state.open_staging(context.state_fd, context.dest_fd))
    return context.opened(staging_fd=staging, journal=journal)


def _create_dest(dest: Path) -> None:
    """Create the destination, and missing parents with the usual mode, because the umask is off."""
    missing = [parent for parent in dest.parents if not parent.exists()]
    for parent in reversed(missing):
        parent.mkdir(0o755)
    try:
        dest.mkdir(0o700)
    except FileExistsError as exc:
        raise MigrationError(_overtaken(str(dest))) from exc


def _overtaken(dest: str) -> str:
    return f"another migration into {dest} began in the meantime; when it has ended, run this one again"


# The end.


def _save(context: Context, report: Report, records: dict[bytes, bytes]) -> None:
    """Write the next manifest, if it differs from the last one."""
    manifest = context.manifest
    same = manifest.same_rules and not manifest.journal and records == manifest.records
    same = same and context.compose.keys == manifest.compose
    if same and report.content_leftovers == manifest.leftovers and not report.changed:
        state.end_journal(context.state_fd)
        return
    manifest.records, manifest.leftovers, manifest.compose = records, report.content_leftovers, context.compose.keys
    manifest.save(context.state_fd)
