"""The migration of a tree: look, decide, write. A dry run is the same without the writing."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from copy import deepcopy
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ansible.module_utils.migration import diffs, state, tree, workers
from ansible.module_utils.migration.files import (
    CONFLICT,
    CREATE,
    DIRECTORY_MODE,
    DIRECTORY_THERE,
    FAILED,
    KEPT,
    REPLACE,
    SAME,
    TOUCH,
    UPDATE,
    Job,
    MigrationError,
    Outcome,
    Worker,
    backup_name,
    digest_at,
    link_digest,
)
from ansible.module_utils.migration.leftovers import Mentions, printable
from ansible.module_utils.migration.rewrite import Rules
from ansible.module_utils.migration.roots import PathRule, Root
from ansible.module_utils.migration.secrets import mask_line
from ansible.module_utils.migration.tree import Entry

# Raise when the result for an unchanged file may differ from what earlier code gave.
_RESULTS_VERSION = 1
_PIECE_FILES, _PIECE_BYTES = 256, 16 * 1024 * 1024
# Below this a second process costs more than it gains.
_PARALLEL_FILES, _PARALLEL_BYTES = 400, 16 * 1024 * 1024
LIST_MAX = 500


@dataclass(frozen=True, slots=True)
class Settings:
    """What to migrate, and how. Paths are absolute; `state` None means a folder in the destination."""

    src: str
    dest: str
    rules: Rules
    mentions: tuple[str, ...] = ("trade2025",)
    exclude: tuple[str, ...] = tree.DEFAULT_EXCLUDES
    strict: bool = False
    on_conflict: str = "fail"
    prune: bool = False
    compose_base: Root | None = None
    state_dir: str | None = None
    dry: bool = False
    with_diff: bool = False
    workers: int = 0


@dataclass(slots=True)
class Report:
    """What a migration did, or would do. Lists are sorted by path and hold everything; `as_dict` caps them."""

    directories_total: int = 0
    directories_created: int = 0
    files_total: int = 0
    files_copied: int = 0
    files_rewritten: int = 0
    files_touched: int = 0
    links_total: int = 0
    links_written: int = 0
    replacements: int = 0
    leftovers: dict[str, list[list[Any]]] = field(default_factory=dict)
    leftovers_total: int = 0
    conflicts: list[tuple[str, str, str]] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    escaping: list[tuple[str, str]] = field(default_factory=list)
    pruned: list[str] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    metadata_changes: int = 0
    diff: list[tuple[str, str]] = field(default_factory=list)
    failures: list[tuple[str, str]] = field(default_factory=list)
    # The part of the leftovers that stands in files, by undecorated path, for the manifest.
    content_leftovers: dict[str, tuple[int, list[list[Any]]]] = field(default_factory=dict)
    failure: str = ""

    def add_leftovers(self, path: str, count: int, lines: list[list[Any]]) -> None:
        """Note `count` mentions at `path`, of which `lines` are listed."""
        self.leftovers.setdefault(path, []).extend(lines)
        self.leftovers_total += count

    def without_changes(self) -> Report:
        """The same findings, for a run that was refused: it changed nothing."""
        return replace(
            self,
            directories_created=0,
            files_copied=0,
            files_rewritten=0,
            files_touched=0,
            links_written=0,
            replacements=0,
            metadata_changes=0,
            pruned=[],
            diff=[],
        )

    @property
    def changed(self) -> bool:
        """Whether anything in the destination is, or would be, another than before."""
        counts = (
            self.directories_created,
            self.files_copied,
            self.files_rewritten,
            self.files_touched,
            self.links_written,
            self.metadata_changes,
            len(self.pruned),
        )
        return any(counts)

    def as_dict(self) -> dict[str, Any]:
        """The report as a module's result."""
        leftovers = [
            {"path": path, "line": line, "text": text}
            for path in sorted(self.leftovers)
            for line, text in self.leftovers[path]
        ]
        return {
            "changed": self.changed,
            "directories_total": self.directories_total,
            "directories_created": self.directories_created,
            "files_total": self.files_total,
            "files_copied": self.files_copied,
            "files_rewritten": self.files_rewritten,
            "files_touched": self.files_touched,
            "links_total": self.links_total,
            "links_written": self.links_written,
            "replacements": self.replacements,
            "leftovers": leftovers[:LIST_MAX],
            "leftovers_total": self.leftovers_total,
            "conflicts": [
                {"path": path, "reason": reason, "action": action}
                for path, reason, action in sorted(self.conflicts)[:LIST_MAX]
            ],
            "conflicts_total": len(self.conflicts),
            "kept": sorted(self.kept)[:LIST_MAX],
            "kept_total": len(self.kept),
            "pruned": sorted(self.pruned)[:LIST_MAX],
            "pruned_total": len(self.pruned),
            "skipped_paths": [{"path": path, "reason": reason} for path, reason in sorted(self.skipped)[:LIST_MAX]],
            "skipped_total": len(self.skipped),
            "escaping_links": [{"path": path, "target": target} for path, target in sorted(self.escaping)[:LIST_MAX]],
            "diff": self._diff(),
        }

    def _diff(self) -> list[dict[str, str]]:
        lines: list[str] = []
        for _path, text in sorted(self.diff):
            lines += text.splitlines(keepends=True)
            if len(lines) > diffs.LINES_IN_ALL:
                lines = [*lines[: diffs.LINES_IN_ALL], "… more files are not shown\n"]
                break
        return [{"prepared": "".join(lines)}] if lines else []


def infer_base(src: str, rules: Iterable[PathRule]) -> Root | None:
    """Where the map's side of the world has `src`: the shortest mapped place whose last name is in the path of `src`.

    `/backup/Trade2025/trading` is `C:/trade2025/trading` for a map with `C:/trade2025`.
    """
    names = [part for part in src.split("/") if part]
    folded = [name.lower() for name in names]
    for rule in sorted(rules, key=lambda rule: len(rule.source.parts)):
        wanted = [part.lower() for part in rule.source.parts]
        for start in range(len(names) - len(wanted), -1, -1):
            if folded[start : start + len(wanted)] == wanted:
                parts = (*rule.source.parts, *names[start + len(wanted) :])
                return Root(rule.source.drive, parts, rule.source.text_drive, parts)
    return None


def check_places(src: str, dest: str) -> None:
    """Refuse a source and a destination between which nothing can be migrated safely.

    Raises:
        MigrationError: what is wrong, and what to do.
    """
    source, target = Path(src), Path(dest)
    if not os.path.lexists(src):
        raise MigrationError(f"src={src} does not exist; set it to the Trade2025 tree")
    if not source.is_dir():
        raise MigrationError(f"src={src} is no directory; set it to the Trade2025 tree")
    if not os.access(src, os.R_OK | os.X_OK):
        raise MigrationError(f"src={src} cannot be read; give this user read permission, or run with become")
    if target.is_symlink():
        raise MigrationError(f"dest={dest} is a symlink to {target.readlink()}; write the directory itself")
    if os.path.lexists(dest) and not target.is_dir():
        raise MigrationError(f"dest={dest} is no directory; remove it or choose another dest")
    real_src, real_dest = os.path.realpath(src), os.path.realpath(dest)
    if real_src == real_dest or (target.is_dir() and target.samefile(source)):
        raise MigrationError(f"src and dest are the same directory {real_src}; choose another dest")
    if real_dest.startswith(real_src.rstrip("/") + "/"):
        raise MigrationError(f"dest={dest} is inside src={src}, which must not be written to; choose another dest")
    if real_src.startswith(real_dest.rstrip("/") + "/"):
        raise MigrationError(f"src={src} is inside dest={dest}; choose a dest beside it")
    parent = target
    while not os.path.lexists(parent):
        parent = parent.parent
    if not parent.is_dir():
        raise MigrationError(f"dest={dest} cannot be made: {parent} is no directory; remove it or choose another dest")


@dataclass(slots=True)
class _Link:
    """A symlink of the source and what is to become of it."""

    entry: Entry
    target: bytes
    action: str
    reason: str = ""


@dataclass(slots=True)
class _Directory:
    """A directory of the source; `action` is same, create, touch (its mode follows) or conflict (something else is
    there)."""

    entry: Entry
    action: str
    reason: str = ""


@dataclass(slots=True)
class _Found:
    """What the look at the source and the destination gave."""

    directories: list[_Directory] = field(default_factory=list)
    links: list[_Link] = field(default_factory=list)
    candidates: list[Entry] = field(default_factory=list)
    # Candidates at whose place something stands.
    existing: list[Entry] = field(default_factory=list)
    # Further names of a file, with the path of its first name.
    further: list[tuple[Entry, bytes]] = field(default_factory=list)


class Migration:
    """One run. Use `run` once."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._paths_only = Rules(settings.rules.path_rules, {})
        self._mentions = Mentions(list(settings.mentions))
        self._state_path = os.fsencode(settings.state_dir or Path(settings.dest, os.fsdecode(tree.STATE_NAME)))
        self._stamp = time.strftime("%Y%m%dT%H%M%S")
        self._descriptors: list[int] = []
        self._source = self._staging = self._journal = -1
        self._dest: int | None = None
        self._state: int | None = None
        self._manifest = state.Manifest("")
        # What the next manifest will say; an empty record marks a file that is still to be handled.
        self._records: dict[bytes, bytes] = {}
        self._first_outcomes: dict[bytes, Outcome] = {}
        self._firsts: set[bytes] = set()
        self._pruned: set[bytes] = set()
        self._carry: dict[bytes, bytes] = {}
        self._written_into: set[bytes] = set()

    def run(self) -> Report:
        """Migrate. A report with `failure` set means that nothing was changed, and says why.

        Raises:
            MigrationError: nothing was done, or it stopped half-way with whole files only.
        """
        settings = self._settings
        check_places(settings.src, settings.dest)
        umask = os.umask(0)
        try:
            return self._run()
        except state.LockedError as exc:
            raise MigrationError(
                f"another migration into {settings.dest} is under way ({exc}); wait until it has ended and run again"
            ) from exc
        except workers.WorkerError as exc:
            raise MigrationError(str(exc)) from exc
        except OSError as exc:
            what = printable(os.fsencode(exc.filename)) if exc.filename is not None else settings.dest
            raise MigrationError(_stopped(f"{os.strerror(exc.errno or 0)}: {what}")) from exc
        finally:
            os.umask(umask)
            for descriptor in self._descriptors:
                os.close(descriptor)

    def _run(self) -> Report:
        settings = self._settings
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
        self._source = self._keep_open(os.open(settings.src, flags))
        self._open_dest()
        self._open_state(create=False)
        self._load_manifest()
        report = Report()
        found = self._look(report)
        if settings.dry or self._may_be_refused(found):
            rehearsal = deepcopy(report)
            # Where nothing stands yet, nothing can be in the way.
            rehearsed = found.candidates if settings.dry or settings.strict else found.existing
            self._pass(found, rehearsed, rehearsal, write=False)
            rehearsal.failure = self._failure(rehearsal)
            if settings.dry or rehearsal.failure:
                return rehearsal.without_changes() if rehearsal.failure else rehearsal
            self._first_outcomes.clear()
        self._open_for_writing()
        self._pass(found, found.candidates, report, write=True)
        report.failure = self._failure(report)
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
            self._dest = self._keep_open(os.open(self._settings.dest, flags))

    def _open_state(self, create: bool) -> None:
        self._state = state.open_state(self._state_path, create)
        if self._state is not None:
            self._keep_open(self._state)
            held = state.lock(self._state, exclusive=not self._settings.dry)
            if held is not None:
                self._keep_open(held)

    def _open_for_writing(self) -> None:
        """Make the destination and its state directory where they are missing."""
        settings = self._settings
        if self._dest is None:
            self._make_dest(Path(settings.dest))
            self._open_dest()
        if self._dest is None:
            raise MigrationError(f"dest={settings.dest} vanished; run the migration again")
        if self._state is None:
            self._open_state(create=True)
        if self._state is None:
            raise MigrationError(f"state directory {printable(self._state_path)} vanished; run the migration again")
        self._staging = self._keep_open(state.open_staging(self._state, self._dest))
        self._journal = self._keep_open(state.open_journal(self._state))

    def _make_dest(self, dest: Path) -> None:
        """Make the destination, and the parents that it lacks with the usual mode, since the umask is off."""
        missing = [parent for parent in dest.parents if not parent.exists()]
        for parent in reversed(missing):
            parent.mkdir(0o755)
        dest.mkdir(0o700)

    def _load_manifest(self) -> None:
        settings = self._settings
        base = settings.compose_base.key if settings.compose_base else None
        text = repr((_RESULTS_VERSION, settings.rules.fingerprint_text, settings.mentions, base))
        fingerprint = hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
        try:
            self._manifest = state.Manifest.load(self._state, fingerprint)
        except ValueError as exc:
            where = printable(self._state_path)
            raise MigrationError(
                f"{where}/manifest cannot be used: {exc}; move {where} away and run again with on_conflict=backup"
            ) from exc

    # Looking.

    def _look(self, report: Report) -> _Found:
        """Compare source, destination and manifest by what `stat` says; no file is opened."""
        found = _Found()
        manifest, records, stat_at = self._manifest.records, self._records, os.stat
        same_rules, in_name = self._manifest.same_rules, self._mentions.in_name
        excluder = tree.Excluder(list(self._settings.exclude))
        firsts: dict[tuple[int, int], bytes] = {}
        missing: set[bytes] = set()
        for directory, files, links, skipped in tree.walk(self._source, excluder):
            report.directories_total += 1
            report.files_total += len(files)
            report.skipped += [(printable(item.path), item.reason) for item in skipped]
            self._look_at_name(directory.path, report)
            dest = self._open_dest_directory(directory, missing, found)
            start = len(directory.path) + 1 if directory.path else 0
            try:
                for entry in files:
                    path, size, mtime, ctime, mode, link = entry
                    name = path[start:]
                    if in_name(name):
                        self._look_at_name(path, report)
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
                    self._look_at_link(entry, entry.path[start:], dest, found, report)
            finally:
                if dest >= 0:
                    os.close(dest)
        for name_text, (count, lines) in self._manifest.leftovers.items():
            if records.get(os.fsencode(name_text)):
                self._add_leftovers(report, os.fsencode(name_text), count, lines)
        return found

    def _look_at_name(self, path: bytes, report: Report) -> None:
        if self._mentions.in_name(path.rpartition(b"/")[2]):
            report.add_leftovers(printable(path), 1, [[0, "the name itself"]])

    def _add_leftovers(self, report: Report, path: bytes, count: int, lines: list[list[Any]]) -> None:
        if count:
            report.content_leftovers[os.fsdecode(path)] = (count, lines)
            report.add_leftovers(printable(path), count, lines)

    def _open_dest_directory(self, entry: Entry, missing: set[bytes], found: _Found) -> int:
        """Open the destination's counterpart of a directory and note what it needs; -1 where there is none."""
        path = entry.path
        mode = entry.mode & DIRECTORY_MODE
        record = self._manifest.records.get(path)
        self._records[path] = b"D%o" % mode
        action, reason, dest = CREATE, "", -1
        parent = path.rpartition(b"/")[0] if path else None
        if self._dest is not None and not (parent is not None and parent in missing):
            try:
                dest = tree.open_directory(self._dest, path)
                action = SAME
            except FileNotFoundError:
                pass
            except OSError as exc:
                if exc.errno not in (errno.ENOTDIR, errno.ELOOP):
                    raise
                if not self._is_unchanged(path):
                    action, reason = CONFLICT, "something that is no directory stands at its place"
                else:
                    action = UPDATE
        if dest < 0:
            missing.add(path)
        elif b"D" in self._manifest.journal.get(path, ()):
            # An interrupted run made it and had not come to its mode and time.
            action = TOUCH if stat.S_IMODE(os.fstat(dest).st_mode) != mode else SAME
            self._written_into.add(path)
        elif record and record != self._records[path] and record == b"D%o" % stat.S_IMODE(os.fstat(dest).st_mode):
            action = TOUCH
        found.directories.append(_Directory(entry, action, reason))
        return dest

    def _look_at_link(self, entry: Entry, name: bytes, dest: int, found: _Found, report: Report) -> None:
        report.links_total += 1
        parent = tree.open_directory(self._source, entry.path.rpartition(b"/")[0])
        try:
            old = os.readlink(name, dir_fd=parent)
        finally:
            os.close(parent)
        target = self._paths_only.plan(old).new
        self._look_at_name(entry.path, report)
        if self._mentions.in_name(target) and not self._paths_only.protected(target):
            report.add_leftovers(printable(entry.path), 1, [[0, mask_line(f"symlink to {printable(target)}")]])
        if target == old and _escapes(entry.path, old):
            report.escaping.append((printable(entry.path), printable(old)))
        record = self._manifest.records.get(entry.path, b"")
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
                    and (current in written or link_digest(current) in self._manifest.journal.get(entry.path, ()))
                ) or (current is None and self._is_unchanged(entry.path)):
                    action = UPDATE
                elif record == b"L" + target:
                    action = KEPT
                else:
                    action, reason = CONFLICT, "exists with another target or as something else"
        self._records[entry.path] = b"L" + target
        found.links.append(_Link(entry, target, action, reason))

    def _is_unchanged(self, path: bytes) -> bool:
        """Whether the destination's `path` is what the manifest says that a migration wrote."""
        record = self._manifest.records.get(path, b"")
        if self._dest is None or not record:
            return False
        directory, _sep, name = path.rpartition(b"/")
        try:
            parent = tree.open_directory(self._dest, directory)
        except OSError:
            return False
        try:
            status = os.stat(name, dir_fd=parent, follow_symlinks=False)
            if record.startswith(b"L"):
                return stat.S_ISLNK(status.st_mode) and os.readlink(name, dir_fd=parent) == record[1:]
            parsed = state.parse_file_record(record)
            if not parsed or not stat.S_ISREG(status.st_mode):
                return False
            return parsed.dest == state.stat_key_of(status) or digest_at(name, parent) == parsed.digest
        except FileNotFoundError:
            return False
        finally:
            os.close(parent)

    def _may_be_refused(self, found: _Found) -> bool:
        """Whether only a rehearsal can tell that the run must change nothing."""
        settings = self._settings
        if settings.strict:
            return True
        actions = {item.action for item in found.directories} | {item.action for item in found.links}
        return settings.on_conflict != "backup" and bool(found.existing or found.further or CONFLICT in actions)

    # One pass over everything: a rehearsal, which only decides, or the real one.

    def _pass(self, found: _Found, candidates: list[Entry], report: Report, write: bool) -> None:
        self._carry.clear()
        self._pruned.clear()
        self._firsts = {first for _entry, first in found.further}
        self._directories(found, report, write)
        self._links(found, report, write)
        for outcomes in self._handle(candidates, write):
            for values in outcomes:
                self._take(Outcome(*values), report, write)
        self._further(found, report, write)
        self._prune(report, write)
        if write:
            self._finish_directories(found)

    def _job(self, write: bool) -> Job:
        settings = self._settings
        return Job(
            source=self._source,
            dest=self._dest,
            staging=self._staging if write else -1,
            journal=self._journal if write else -1,
            rules=settings.rules,
            mentions=self._mentions,
            compose_base=settings.compose_base,
            on_conflict=settings.on_conflict,
            with_diff=settings.with_diff,
            stamp=self._stamp,
            manifest=self._manifest,
        )

    def _handle(self, candidates: list[Entry], write: bool) -> Iterator[list[Any]]:
        """Outcomes of the candidates, from as many processes as serve."""
        job = self._job(write)

        def make() -> Callable[[range], list[Any]]:
            worker = Worker(job)
            return lambda piece: [tuple(worker.handle(candidates[index])) for index in piece]

        sizes = [entry.size for entry in candidates]
        count = self._settings.workers or min(4, len(os.sched_getaffinity(0)))
        if len(candidates) < _PARALLEL_FILES and sum(sizes) < _PARALLEL_BYTES:
            count = 1
        yield from workers.run(workers.split(sizes, _PIECE_FILES, _PIECE_BYTES), make, count)

    def _take(self, outcome: Outcome, report: Report, write: bool) -> None:
        """Enter a file's outcome into the report and the next manifest."""
        path = outcome.path
        name = printable(path)
        if outcome.action == FAILED:
            if write:
                raise MigrationError(_stopped(f"{name}: {outcome.message}"))
            report.failures.append((name, outcome.message))
            return
        if path in self._firsts:
            self._first_outcomes[path] = outcome
        if outcome.action in (CONFLICT, REPLACE):
            report.conflicts.append((name, outcome.message, self._settings.on_conflict))
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
            self._written_into.add(path.rpartition(b"/")[0])
        if outcome.leftovers is not None:
            self._add_leftovers(report, path, outcome.mentions, [list(item) for item in outcome.leftovers])
        elif outcome.mentions:
            count, lines = self._manifest.leftovers.get(os.fsdecode(path), (0, []))
            self._add_leftovers(report, path, count, lines)
        if outcome.diff:
            report.diff.append((name, outcome.diff))
        if write:
            self._records[path] = outcome.record

    # Directories and symlinks.

    def _at_dest(self, path: bytes) -> tuple[int, bytes]:
        """Descriptor of the directory that holds `path` in the destination, to be closed, and the last name."""
        directory, _sep, name = path.rpartition(b"/")
        if self._dest is None:
            raise MigrationError("the destination vanished; run the migration again")
        return tree.open_directory(self._dest, directory), name

    def _move_aside(self, name: bytes, parent: int) -> None:
        """Make room: to a backup beside, or away where the site said `overwrite`; a directory is never removed."""
        if self._settings.on_conflict == "backup":
            os.rename(name, backup_name(name, parent, self._stamp), src_dir_fd=parent, dst_dir_fd=parent)
        else:
            os.unlink(name, dir_fd=parent)

    def _directories(self, found: _Found, report: Report, write: bool) -> None:
        for item in found.directories:
            path, name = item.entry.path, printable(item.entry.path)
            if item.action == SAME:
                continue
            if item.action == CONFLICT:
                report.conflicts.append((name, item.reason, self._settings.on_conflict))
            if item.action == TOUCH:
                report.metadata_changes += 1
            else:
                report.directories_created += 1
            if path:
                self._written_into.add(path.rpartition(b"/")[0])
            self._written_into.add(path)
            if not write:
                continue
            mode = item.entry.mode & DIRECTORY_MODE
            if not path:
                state.note(self._journal, b"D", path)
                continue
            parent, last = self._at_dest(path)
            try:
                if item.action == TOUCH:
                    os.chmod(last, mode, dir_fd=parent)
                    continue
                if item.action in (CONFLICT, UPDATE):
                    if item.action == CONFLICT:
                        self._move_aside(last, parent)
                    else:
                        os.unlink(last, dir_fd=parent)
                state.note(self._journal, b"D", path)
                os.mkdir(last, mode | 0o700, dir_fd=parent)
            finally:
                os.close(parent)

    def _finish_directories(self, found: _Found) -> None:
        """Give the directories that were made or written into the source's time, children first."""
        for item in reversed(found.directories):
            entry = item.entry
            if entry.path not in self._written_into or self._dest is None:
                continue
            descriptor = tree.open_directory(self._dest, entry.path)
            try:
                if item.action != SAME:
                    os.fchmod(descriptor, entry.mode & DIRECTORY_MODE)
                os.utime(descriptor, ns=(entry.mtime_ns, entry.mtime_ns))
            finally:
                os.close(descriptor)

    def _links(self, found: _Found, report: Report, write: bool) -> None:
        for item in found.links:
            path, name = item.entry.path, printable(item.entry.path)
            if item.action == KEPT:
                report.kept.append(name)
            if item.action in (SAME, KEPT):
                continue
            report.links_written += 1
            self._written_into.add(path.rpartition(b"/")[0])
            if item.action == CONFLICT:
                report.conflicts.append((name, item.reason, self._settings.on_conflict))
            if not write:
                continue
            parent, last = self._at_dest(path)
            try:
                if item.action == CONFLICT:
                    self._move_aside(last, parent)
                state.note(self._journal, link_digest(item.target), path)
                staged = b"link-%d" % report.links_written
                os.symlink(item.target, staged, dir_fd=self._staging)
                times = (item.entry.mtime_ns, item.entry.mtime_ns)
                os.utime(staged, ns=times, dir_fd=self._staging, follow_symlinks=False)
                os.rename(staged, last, src_dir_fd=self._staging, dst_dir_fd=parent)
            finally:
                os.close(parent)

    # Further names of a file.

    def _further(self, found: _Found, report: Report, write: bool) -> None:
        if not found.further:
            return
        worker = Worker(self._job(write))
        try:
            for entry, first in found.further:
                self._take(self._name_again(worker, entry, first), report, write)
        finally:
            worker.close()
        if write:
            self._renew_keys(found.further)

    def _name_again(self, worker: Worker, entry: Entry, first: bytes) -> Outcome:
        """Make `entry` another name of `first`; where that cannot be, it becomes a file of its own."""
        outcome = self._first_outcomes.get(first)
        record = state.parse_file_record(self._records.get(first))
        digest = outcome.digest if outcome else record.digest if record else b""
        mentions = outcome.mentions if outcome else record.mentions if record else 0
        renewed = bool(outcome and outcome.written)
        usable = bool(digest) and not (outcome and (outcome.action == KEPT or not outcome.in_place))
        if not usable:
            return worker.handle(entry)
        return worker.handle_name(entry, first, digest, mentions, renewed)

    def _renew_keys(self, further: list[tuple[Entry, bytes]]) -> None:
        """Linking changes a file's change time: remember what it is at the end."""
        for path in {name for entry, first in further for name in (entry.path, first)}:
            record = state.parse_file_record(self._records.get(path))
            if record is None:
                continue
            parent, name = self._at_dest(path)
            try:
                status = os.stat(name, dir_fd=parent, follow_symlinks=False)
            finally:
                os.close(parent)
            # A file that the site changed keeps the key of what was written, to be known as changed.
            if record.dest.rsplit(b" ", 2)[0] == state.stat_key_of(status).rsplit(b" ", 2)[0]:
                self._records[path] = state.file_record(
                    record.source, state.stat_key_of(status), record.digest, record.mentions
                )

    # What vanished from the source.

    def _prune(self, report: Report, write: bool) -> None:
        if len(self._manifest.records) <= len(self._records) and self._manifest.records.keys() <= self._records.keys():
            return
        vanished = sorted((path for path in self._manifest.records if path not in self._records), reverse=True)
        for path in vanished:
            record = self._manifest.records[path]
            if self._in_source(path) or not self._settings.prune:
                self._carry[path] = record
            elif record.startswith(b"D"):
                self._prune_directory(path, record, report, write)
            elif self._is_unchanged(path):
                report.pruned.append(printable(path))
                self._pruned.add(path)
                self._written_into.add(path.rpartition(b"/")[0])
                if write:
                    self._remove(path, os.unlink)
            elif self._stands(path):
                report.kept.append(printable(path))
                self._carry[path] = record

    def _prune_directory(self, path: bytes, record: bytes, report: Report, write: bool) -> None:
        """Remove a directory that is empty once its pruned files are gone."""
        if self._dest is None:
            return
        try:
            descriptor = tree.open_directory(self._dest, path)
        except OSError:
            return
        try:
            with os.scandir(descriptor) as entries:
                left = [e.name for e in entries if path + b"/" + os.fsencode(e.name) not in self._pruned]
        finally:
            os.close(descriptor)
        if left:
            self._carry[path] = record
            return
        report.pruned.append(printable(path))
        self._pruned.add(path)
        self._written_into.add(path.rpartition(b"/")[0])
        if write:
            self._remove(path, os.rmdir)

    def _remove(self, path: bytes, remove: Callable[..., None]) -> None:
        parent, name = self._at_dest(path)
        try:
            remove(name, dir_fd=parent)
        finally:
            os.close(parent)

    def _in_source(self, path: bytes) -> bool:
        return _stands_below(self._source, path)

    def _stands(self, path: bytes) -> bool:
        return self._dest is not None and _stands_below(self._dest, path)

    # The end.

    def _failure(self, report: Report) -> str:
        """Why nothing may be written; empty when it may."""
        settings = self._settings
        reasons = []
        if report.failures:
            listed = "; ".join(f"{path}: {reason}" for path, reason in sorted(report.failures)[:5])
            reasons.append(f"{len(report.failures)} files cannot be migrated: {listed}")
        if settings.on_conflict == "fail" and report.conflicts:
            listed = "; ".join(f"{path}: {reason}" for path, reason, _action in sorted(report.conflicts)[:5])
            reasons.append(
                f"{len(report.conflicts)} conflicts in {settings.dest}: {listed}. "
                "Set on_conflict to backup or overwrite, or bring them in line"
            )
        directories = sorted(path for path, reason, _action in report.conflicts if reason == DIRECTORY_THERE)
        if settings.on_conflict == "overwrite" and directories:
            listed = ", ".join(directories[:5])
            reasons.append(f"a directory is never overwritten by a file: {listed}. Remove it, or choose backup")
        if settings.strict and report.leftovers_total:
            first = min(report.leftovers)
            line, text = report.leftovers[first][0]
            reasons.append(
                f"strict: {report.leftovers_total} mentions of {' or '.join(settings.mentions)} would be left, "
                f"the first in {first}, line {line}: {text!r}. Extend the maps, or exclude the files"
            )
        return "; ".join(reasons)

    def _save(self, report: Report) -> None:
        """Write the next manifest, where it says something else than the last one."""
        records = {path: record for path, record in self._records.items() if record} | self._carry
        manifest = self._manifest
        leftovers = dict(report.content_leftovers)
        same = manifest.same_rules and not manifest.journal and records == manifest.records
        if same and leftovers == manifest.leftovers and not report.changed:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(b"journal", dir_fd=self._state)
            return
        manifest.records, manifest.leftovers = records, leftovers
        if self._state is not None:
            manifest.save(self._state)


def _stopped(reason: str) -> str:
    return (
        f"{reason}; the migration stopped there. Every file in the destination is whole, old or new: "
        "remove the cause and run the migration again, it goes on"
    )


def _stands_below(root: int, path: bytes) -> bool:
    directory, _sep, name = path.rpartition(b"/")
    try:
        parent = tree.open_directory(root, directory)
    except OSError:
        return False
    try:
        os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return False
    finally:
        os.close(parent)
    return True


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
