"""What a migration did, or would do."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from typing import Any

from ansible.module_utils.migration import diffs
from ansible.module_utils.migration.outcomes import DIRECTORY_THERE
from ansible.module_utils.migration.settings import Settings
from ansible.module_utils.rewriting.mentions import printable

LIST_MAX = 500


@dataclass(slots=True)
class Report:
    """What a migration did, or would do. Lists hold everything but the diffs; `as_dict` sorts and caps them."""

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
    diff_lines: int = 0
    failures: list[tuple[str, str]] = field(default_factory=list)
    # The part of the leftovers that stands in files, by undecorated path, for the manifest.
    content_leftovers: dict[str, tuple[int, list[list[Any]]]] = field(default_factory=dict)
    failure: str = ""

    def add_leftovers(self, path: str, count: int, lines: list[list[Any]]) -> None:
        """Note `count` mentions at `path`, of which `lines` are listed."""
        self.leftovers.setdefault(path, []).extend(lines)
        self.leftovers_total += count

    def add_content_leftovers(self, path: bytes, count: int, lines: list[list[Any]]) -> None:
        """Note mentions in a file's content, which the manifest remembers."""
        if count:
            self.content_leftovers[os.fsdecode(path)] = (count, lines)
            self.add_leftovers(printable(path), count, lines)

    def add_diff(self, path: str, text: str) -> None:
        """Note what a file's change looks like. What will not be shown is not kept: a tree has many files."""
        self.diff.append((path, text))
        self.diff_lines += text.count("\n")
        if self.diff_lines > 4 * diffs.LINES_IN_ALL:
            self.diff.sort()
            lines = shown = 0
            while lines <= diffs.LINES_IN_ALL:
                lines += self.diff[shown][1].count("\n")
                shown += 1
            del self.diff[shown:]
            self.diff_lines = lines

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
            {"path": path, "line": line, "text": text, "reason": reason}
            for path in sorted(self.leftovers)
            for line, text, reason in self.leftovers[path]
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


def failure_of(report: Report, settings: Settings) -> str:
    """Why nothing may be written; empty when it may."""
    reasons = []
    if report.failures:
        listed = "; ".join(f"{path}: {reason}" for path, reason in sorted(report.failures)[:5])
        reasons.append(f"{len(report.failures)} files cannot be migrated: {listed}")
    if settings.on_conflict == "fail" and report.conflicts:
        listed = "; ".join(f"{path}: {reason}" for path, reason, _action in sorted(report.conflicts)[:5])
        reasons.append(
            f"{len(report.conflicts)} conflicts in {settings.dest}: {listed}. "
            "Set on_conflict (trade2025_on_conflict in the inventory) to backup or overwrite, or bring them in line"
        )
    directories = sorted(path for path, reason, _action in report.conflicts if reason == DIRECTORY_THERE)
    if settings.on_conflict == "overwrite" and directories:
        listed = ", ".join(directories[:5])
        reasons.append(f"a directory is never overwritten: {listed}. Remove it, or choose backup")
    if settings.strict and report.leftovers_total:
        first = min(report.leftovers)
        line, text, reason = report.leftovers[first][0]
        reasons.append(
            f"strict: {report.leftovers_total} mentions of {' or '.join(settings.mentions)} would be left, "
            f"the first in {first}, line {line}: {text!r} ({reason}). Extend the maps, or exclude the files"
        )
    return "; ".join(reasons)
