"""Directories and symlinks of the destination."""

from __future__ import annotations

import os

from ansible.module_utils.migration import state, tree
from ansible.module_utils.migration.file_access import DIRECTORY_MODE
from ansible.module_utils.migration.outcomes import CONFLICT, KEPT, SAME, TOUCH, UPDATE
from ansible.module_utils.migration.report import Report
from ansible.module_utils.migration.run import Run
from ansible.module_utils.migration.staging import Stager
from ansible.module_utils.migration.survey import Found
from ansible.module_utils.rewriting.mentions import printable


def make_directories(run: Run, found: Found, report: Report, write: bool) -> None:
    """Count what directories need, and make them where the pass writes; times come last, by `finish_directories`."""
    for item in found.directories:
        path, name = item.entry.path, printable(item.entry.path)
        if item.action == SAME:
            continue
        if item.action == CONFLICT:
            report.conflicts.append((name, item.reason, run.settings.on_conflict))
        if item.action == TOUCH:
            report.metadata_changes += 1
        else:
            report.directories_created += 1
        if path:
            run.written_into.add(path.rpartition(b"/")[0])
        run.written_into.add(path)
        if not write:
            continue
        mode = item.entry.mode & DIRECTORY_MODE
        if not path:
            state.note(run.journal, b"D", path)
            continue
        parent, last = run.at_dest(path)
        try:
            if item.action == TOUCH:
                os.chmod(last, mode, dir_fd=parent)
                continue
            if item.action in (CONFLICT, UPDATE):
                if item.action == CONFLICT:
                    run.move_aside(last, parent)
                else:
                    os.unlink(last, dir_fd=parent)
            state.note(run.journal, b"D", path)
            os.mkdir(last, mode | 0o700, dir_fd=parent)
        finally:
            os.close(parent)


def finish_directories(run: Run, found: Found) -> None:
    """Give the directories that were made or written into the source's time, children first.

    Then flush every file system that was written to, but for the manifest's own, which is flushed with it.
    """
    flushed = {os.fstat(run.state_dir).st_dev} if run.state_dir is not None else set()
    others: list[int] = []
    for item in reversed(found.directories):
        entry = item.entry
        if entry.path not in run.written_into or run.dest is None:
            continue
        descriptor = tree.open_directory(run.dest, entry.path)
        try:
            if item.action != SAME:
                os.fchmod(descriptor, entry.mode & DIRECTORY_MODE)
            os.utime(descriptor, ns=(entry.mtime_ns, entry.mtime_ns))
            device = os.fstat(descriptor).st_dev
            if device not in flushed:
                flushed.add(device)
                others.append(os.dup(descriptor))
        finally:
            os.close(descriptor)
    for descriptor in others:
        try:
            state.sync_file_system(descriptor)
        finally:
            os.close(descriptor)


def make_links(run: Run, found: Found, report: Report, write: bool) -> None:
    """Count the symlinks that are to be written, and write them where the pass does."""
    stager = Stager(run.job(write))
    for item in found.links:
        path, name = item.entry.path, printable(item.entry.path)
        if item.action == KEPT:
            report.kept.append(name)
        if item.action in (SAME, KEPT):
            continue
        report.links_written += 1
        run.written_into.add(path.rpartition(b"/")[0])
        if item.action == CONFLICT:
            report.conflicts.append((name, item.reason, run.settings.on_conflict))
        if not write:
            continue
        parent, last = run.at_dest(path)
        try:
            stager.enter(parent)
            backup = item.action == CONFLICT and run.settings.on_conflict == "backup"
            stager.symlink(item.entry, last, item.target, backup)
        finally:
            os.close(parent)
