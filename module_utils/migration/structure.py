"""Directories and symlinks of the destination."""

from __future__ import annotations

import os

from ansible.module_utils.migration import state, tree
from ansible.module_utils.migration.file_access import DIRECTORY_MODE
from ansible.module_utils.migration.leftovers import printable
from ansible.module_utils.migration.outcomes import CONFLICT, KEPT, SAME, TOUCH, UPDATE
from ansible.module_utils.migration.report import Report
from ansible.module_utils.migration.run import Run
from ansible.module_utils.migration.staging import link_digest
from ansible.module_utils.migration.survey import Found


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
    """Give the directories that were made or written into the source's time, children first."""
    for item in reversed(found.directories):
        entry = item.entry
        if entry.path not in run.written_into or run.dest is None:
            continue
        descriptor = tree.open_directory(run.dest, entry.path)
        try:
            if item.action != SAME:
                os.fchmod(descriptor, entry.mode & DIRECTORY_MODE)
            os.utime(descriptor, ns=(entry.mtime_ns, entry.mtime_ns))
        finally:
            os.close(descriptor)


def make_links(run: Run, found: Found, report: Report, write: bool) -> None:
    """Count the symlinks that are to be written, and write them where the pass does."""
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
            if item.action == CONFLICT:
                run.move_aside(last, parent)
            state.note(run.journal, link_digest(item.target), path)
            staged = b"link-%d" % report.links_written
            os.symlink(item.target, staged, dir_fd=run.staging)
            times = (item.entry.mtime_ns, item.entry.mtime_ns)
            os.utime(staged, ns=times, dir_fd=run.staging, follow_symlinks=False)
            os.rename(staged, last, src_dir_fd=run.staging, dst_dir_fd=parent)
        finally:
            os.close(parent)
