# SPDX-License-Identifier: GPL-3.0-or-later
"""Report what a migration did or would do, from its plan."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from typing import Any

from ansible.module_utils.migration.context import Context
from ansible.module_utils.migration.plan import (
    CONFLICT,
    DIRECTORY_THERE,
    KEEP,
    REPLACE,
    TOUCH,
    WRITES,
    FilePlan,
    LinkPlan,
    Plan,
)
from ansible.module_utils.migration.scan import ScanResult
from ansible.module_utils.rewriting.mentions import Leftover
from ansible.module_utils.rewriting.reasons import describe
from ansible.module_utils.shared import fs
from ansible.module_utils.shared.masking import mask_line

LIST_MAX = 500


@dataclass(slots=True)
class Report:
    """What a migration did or would do. The lists are complete, except for the diffs; `as_dict` sorts and caps them."""

    directories_total: int = 0
    directories_created: int = 0
    files_total: int = 0
    files_copied: int = 0
    files_rewritten: int = 0
    files_touched: int = 0
    links_total: int = 0
    links_written: int = 0
    replacements: int = 0
    leftovers: dict[str, list[Leftover]] = field(default_factory=dict)
    leftovers_total: int = 0
    conflicts: list[tuple[str, str, str]] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    escaping: list[tuple[str, str]] = field(default_factory=list)
    pruned: list[str] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    metadata_changes: int = 0
    diff: str = ""
    failures: list[tuple[str, str]] = field(default_factory=list)
    # Why nothing may be written; empty when it may.
    failure: str = ""
    # The plan as text, for display and comparison.
    plan: str = ""
    # The leftovers in files' contents, by path, for the manifest.
    content_leftovers: dict[str, tuple[int, list[list[Any]]]] = field(default_factory=dict)

    @classmethod
    def of(cls, context: Context, scan: ScanResult, plan: Plan) -> Report:
        """The report on a plan, before or after it is applied."""
        report = cls(
            directories_total=len(scan.directories),
            files_total=scan.files_total,
            links_total=len(scan.links),
            skipped=[(fs.display_name(path), reason) for path, reason in scan.skipped],
            warnings=[_unused_exclude(glob) for glob in scan.unused_excludes],
            failures=[(fs.display_name(path), message) for path, message in plan.failures],
            pruned=[fs.display_name(item.path) for item in plan.prunes],
            kept=[fs.display_name(path) for path in plan.kept],
            diff=plan.diffs.text(),
            plan=str(plan),
        )
        report._add_names(context, scan)
        for directory in plan.directories:
            report._add_conflict(context, directory.entry.path, directory.action, directory.reason)
            report.metadata_changes += directory.action == TOUCH
            report.directories_created += directory.action in WRITES
        for link, found in zip(plan.links, scan.links, strict=True):
            report._add_link(context, link, found.target)
        for file in (*plan.files, *plan.names):
            report._add_file(context, file)
        for path, (count, lines) in context.manifest.leftovers.items():
            if scan.records.get(os.fsencode(path)):
                report._add_content_leftovers(os.fsencode(path), count, [Leftover(*line) for line in lines])
        report.failure = _failure(context, report)
        return report

    def _add_names(self, context: Context, scan: ScanResult) -> None:
        in_name = context.mention_finder.in_name
        for path in scan.records:
            if in_name(path) and in_name(path.rpartition(b"/")[2]):
                self._add_leftovers(path, 1, [Leftover(0, "the name itself", describe("name"))])

    def _add_conflict(self, context: Context, path: bytes, action: str, reason: str) -> None:
        if action in (CONFLICT, REPLACE):
            self.conflicts.append((fs.display_name(path), reason, context.on_conflict))
        elif action == KEEP:
            self.kept.append(fs.display_name(path))

    def _add_link(self, context: Context, link: LinkPlan, old: bytes) -> None:
        path, target = link.entry.path, link.target
        rules = context.path_rules
        is_left = context.mention_finder.in_name(target) or any(rules.references(target))
        if is_left and not rules.protected(target):
            text = mask_line(f"symlink to {fs.display_name(target)}")
            self._add_leftovers(path, 1, [Leftover(0, text, describe("link"))])
        if target == old and _escapes(path, old):
            self.escaping.append((fs.display_name(path), fs.display_name(old)))
        self._add_conflict(context, path, link.action, link.reason)
        self.links_written += link.action in WRITES

    def _add_file(self, context: Context, file: FilePlan) -> None:
        self._add_conflict(context, file.entry.path, file.action, file.reason)
        self.files_touched += file.action == TOUCH
        content = file.content
        if file.action in WRITES:
            if content and content.replacements:
                self.files_rewritten += 1
                self.replacements += content.replacements
            else:
                self.files_copied += 1
        if content and content.mentions:
            lines = [Leftover(*line) for line in content.leftovers]
            self._add_content_leftovers(file.entry.path, content.mentions, lines)

    def _add_leftovers(self, path: bytes, count: int, lines: list[Leftover]) -> None:
        """Note `count` mentions at `path`, of which `lines` are listed."""
        self.leftovers.setdefault(fs.display_name(path), []).extend(lines)
        self.leftovers_total += count

    def _add_content_leftovers(self, path: bytes, count: int, lines: list[Leftover]) -> None:
        self.content_leftovers[os.fsdecode(path)] = (count, [list(line) for line in lines])
        self._add_leftovers(path, count, lines)

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
            diff="",
        )

    @property
    def changed(self) -> bool:
        """Whether anything in the destination has changed or would change."""
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
            {"path": path, "line": item.line, "text": item.text, "reason": item.reason}
            for path in sorted(self.leftovers)
            for item in self.leftovers[path]
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
            "diff": [{"prepared": self.diff}] if self.diff else [],
        }


def _unused_exclude(glob: str) -> str:
    """The warning about a glob that excludes nothing."""
    if "\\" in glob:
        slashes = glob.replace("\\", "/")
        return f"exclude: {glob!r} matches nothing in the source; write the path with slashes: {slashes!r}"
    return f"exclude: {glob!r} matches nothing in the source; correct it or remove it"


def _escapes(path: bytes, target: bytes) -> bool:
    """Whether a symlink leads out of the tree, judging by its text."""
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


def _failure(context: Context, report: Report) -> str:
    """Why nothing may be written; empty when it may."""
    reasons = []
    if report.failures:
        listed = "; ".join(f"{path}: {reason}" for path, reason in sorted(report.failures)[:5])
        reasons.append(f"{len(report.failures)} files cannot be migrated: {listed}")
    if context.on_conflict == "fail" and report.conflicts:
        listed = "; ".join(f"{path}: {reason}" for path, reason, _action in sorted(report.conflicts)[:5])
        reasons.append(
            f"{len(report.conflicts)} conflicts in {context.dest}: {listed}. "
            "Set on_conflict (trade2025_on_conflict in the inventory) to backup or overwrite, or bring them in line"
        )
    directories = sorted(path for path, reason, _action in report.conflicts if reason == DIRECTORY_THERE)
    if context.on_conflict == "overwrite" and directories:
        listed = ", ".join(directories[:5])
        reasons.append(f"a directory is never overwritten: {listed}. Remove it, or choose backup")
    if context.strict and report.leftovers_total:
        first = min(path for path, lines in report.leftovers.items() if lines)
        item = report.leftovers[first][0]
        reasons.append(
            f"strict: {report.leftovers_total} mentions of {' or '.join(context.mentions)} would be left, "
            f"the first in {first}, line {item.line}: {item.text!r}"
            + (f" ({item.reason})" if item.reason else "")
            + ". Extend the maps, or exclude the files"
        )
    return "; ".join(reasons)
