"""Looking: source, destination and manifest are compared by what `stat` says."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from dataclasses import dataclass, field

from ansible.module_utils.migration import tree
from ansible.module_utils.migration.compose_tree import scan_compose_files
from ansible.module_utils.migration.file_access import DIRECTORY_MODE
from ansible.module_utils.migration.outcomes import CONFLICT, CREATE, DIRECTORY_THERE, KEPT, SAME, TOUCH, UPDATE
from ansible.module_utils.migration.report import Report
from ansible.module_utils.migration.run import Run
from ansible.module_utils.migration.staging import link_digest
from ansible.module_utils.migration.tree import Entry
from ansible.module_utils.rewriting.mentions import printable
from ansible.module_utils.rewriting.reasons import describe
from ansible.module_utils.shared.masking import mask_line


@dataclass(slots=True)
class Link:
    """A symlink of the source and what is to become of it."""

    entry: Entry
    target: bytes
    action: str
    reason: str = ""


@dataclass(slots=True)
class Directory:
    """A directory of the source; `action` is same, create, touch (its mode follows) or conflict (something else is
    there)."""

    entry: Entry
    action: str
    reason: str = ""


@dataclass(slots=True)
class Found:
    """What the look at the source and the destination gave."""

    directories: list[Directory] = field(default_factory=list)
    links: list[Link] = field(default_factory=list)
    candidates: list[Entry] = field(default_factory=list)
    # Candidates at whose place something stands.
    existing: list[Entry] = field(default_factory=list)
    # Further names of a file, with the path of its first name.
    further: list[tuple[Entry, bytes]] = field(default_factory=list)


def look(run: Run, report: Report) -> Found:
    """Compare source, destination and manifest by what `stat` says; no file is opened."""
    found = Found()
    manifest, records, stat_at = run.manifest.records, run.records, os.stat
    same_rules, in_name = run.manifest.same_rules, run.mentions.in_name
    excluder = tree.Excluder(list(run.settings.exclude))
    firsts: dict[tuple[int, int], bytes] = {}
    for directory, files, links, skipped in tree.walk(run.source, excluder):
        report.directories_total += 1
        report.files_total += len(files)
        report.skipped += [(printable(item.path), item.reason) for item in skipped if item.reason]
        run.unreadable += [(printable(item.path), "Permission denied") for item in skipped if not item.reason]
        _look_at_name(run, directory.path, report)
        dest = _open_dest_directory(run, directory, found)
        start = len(directory.path) + 1 if directory.path else 0
        try:
            for entry in files:
                path, size, mtime, ctime, mode, link = entry
                name = path[start:]
                if in_name(name):
                    _look_at_name(run, path, report)
                if link is not None:
                    first = firsts.setdefault(link, path)
                    if first != path:
                        found.further.append((entry, first))
                        records[path] = b""
                        continue
                if dest >= 0:
                    try:
                        status = stat_at(name, dir_fd=dest, follow_symlinks=False)
                    except FileNotFoundError:
                        pass
                    else:
                        record = manifest.get(path, b"")
                        if same_rules and record.startswith(
                            b"F%d %d %d %o\t%d %d %d %o\t"
                            % (
                                size,
                                mtime,
                                ctime,
                                mode,
                                status.st_size,
                                status.st_mtime_ns,
                                status.st_ctime_ns,
                                status.st_mode,
                            )
                        ):
                            records[path] = record
                            continue
                        found.existing.append(entry)
                records[path] = b""
                found.candidates.append(entry)
            for entry in links:
                _look_at_link(run, entry, entry.path[start:], dest, found, report)
        finally:
            if dest >= 0:
                os.close(dest)
    _find_compose_files(run, found)
    for name_text, (count, lines) in run.manifest.leftovers.items():
        if records.get(os.fsencode(name_text)):
            report.add_content_leftovers(os.fsencode(name_text), count, lines)
    return found


def _find_compose_files(run: Run, found: Found) -> None:
    """Find the Compose files; those that another file says something new about are read again."""
    settings, manifest = run.settings, run.manifest
    last_records = manifest.records if manifest.same_rules else None
    run.compose = scan_compose_files(
        run.source, run.records, last_records, manifest.compose, settings.compose_base, settings.rules.path_map
    )
    for path in run.compose.again:
        run.records[path] = b""
        entry = tree.entry_at(run.source, path)
        found.candidates.append(entry)
        found.existing.append(entry)


def _look_at_name(run: Run, path: bytes, report: Report) -> None:
    if run.mentions.in_name(path.rpartition(b"/")[2]):
        report.add_leftovers(printable(path), 1, [[0, "the name itself", describe("name")]])


def _open_dest_directory(run: Run, entry: Entry, found: Found) -> int:
    """Open the destination's counterpart of a directory and note what it needs; -1 where there is none."""
    path = entry.path
    mode = entry.mode & DIRECTORY_MODE
    record = run.manifest.records.get(path)
    run.records[path] = b"D%o" % mode
    action, reason, dest = CREATE, "", -1
    parent = path.rpartition(b"/")[0] if path else None
    if run.dest is not None and not (parent is not None and parent in run.absent):
        try:
            dest = tree.open_directory(run.dest, path)
            action = SAME
        except FileNotFoundError:
            pass
        except OSError as exc:
            if exc.errno not in (errno.ENOTDIR, errno.ELOOP):
                raise
            if not run.is_unchanged(path):
                action, reason = CONFLICT, "something that is no directory stands at its place"
            else:
                action = UPDATE
    if dest < 0:
        run.absent.add(path)
    elif b"D" in run.manifest.journal.get(path, ()):
        # An interrupted run made it and had not come to its mode and time.
        action = TOUCH if stat.S_IMODE(os.fstat(dest).st_mode) != mode else SAME
        run.written_into.add(path)
    elif record and record != run.records[path] and record == b"D%o" % stat.S_IMODE(os.fstat(dest).st_mode):
        action = TOUCH
    found.directories.append(Directory(entry, action, reason))
    return dest


def _look_at_link(run: Run, entry: Entry, name: bytes, dest: int, found: Found, report: Report) -> None:
    report.links_total += 1
    parent = tree.open_directory(run.source, entry.path.rpartition(b"/")[0])
    try:
        old = os.readlink(name, dir_fd=parent)
    finally:
        os.close(parent)
    target = run.paths_only.plan_path(old).new
    _look_at_name(run, entry.path, report)
    if run.mentions.in_name(target) and not run.paths_only.protected(target):
        report.add_leftovers(
            printable(entry.path), 1, [[0, mask_line(f"symlink to {printable(target)}"), describe("link")]]
        )
    if target == old and _escapes(entry.path, old):
        report.escaping.append((printable(entry.path), printable(old)))
    record = run.manifest.records.get(entry.path, b"")
    action, reason = CREATE, ""
    if dest >= 0:
        with contextlib.suppress(FileNotFoundError):
            status = os.stat(name, dir_fd=dest, follow_symlinks=False)
            current = os.readlink(name, dir_fd=dest) if stat.S_ISLNK(status.st_mode) else None
            written = {record[1:]} if record.startswith(b"L") else set()
            if current == target:
                action = SAME
            elif (
                current is not None
                and (current in written or link_digest(current) in run.manifest.journal.get(entry.path, ()))
            ) or (current is None and run.is_unchanged(entry.path)):
                action = UPDATE
            elif record == b"L" + target:
                action = KEPT
            elif stat.S_ISDIR(status.st_mode):
                action, reason = CONFLICT, DIRECTORY_THERE
            else:
                action, reason = CONFLICT, "exists with another target or as something else"
    run.records[entry.path] = b"L" + target
    found.links.append(Link(entry, target, action, reason))


def _escapes(path: bytes, target: bytes) -> bool:
    """Whether a symlink leads out of the tree, as far as its text says."""
    if target.startswith(b"/"):
        return True
    depth = path.count(b"/")
    for step in target.split(b"/"):
        if step == b"..":
            depth -= 1
            if depth < 0:
                return True
        elif step not in (b"", b"."):
            depth += 1
    return False
