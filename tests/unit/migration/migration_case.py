# SPDX-License-Identifier: GPL-3.0-or-later
"""Shared by the tests of the migration: the map of the documentation, a tree, and a run."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

from ansible.module_utils.migration import engine
from ansible.module_utils.migration.context import Context, infer_base
from ansible.module_utils.migration.report import Report
from ansible.module_utils.migration.scan import DEFAULT_EXCLUDES
from ansible.module_utils.rewriting.rewriter import Rules
from rewriting_case import DOCUMENTED, rules_of

__all__ = ["DOCUMENTED", "check_then_run", "listed", "migrate", "rules_of", "snapshot", "summary"]


def migrate(src: Path, dest: Path, rules: Rules = DOCUMENTED, **options: Any) -> Report:
    """One run of the engine."""
    base = infer_base(str(src), rules.path_map)
    options = {"exclude": DEFAULT_EXCLUDES, "compose_base": base} | options
    return engine.migrate(Context(str(src), str(dest), rules, **options))


def snapshot(root: Path) -> dict[bytes, tuple[Any, ...]]:
    """Everything below a directory by path, without the migration's own state: type, mode, time, content."""
    found: dict[bytes, tuple[Any, ...]] = {}
    for directory, names, files in os.walk(os.fsencode(root)):
        names[:] = sorted(name for name in names if name != b".trade_migrate")
        for name in [*names, *files]:
            path = directory + b"/" + name
            status = os.lstat(path)
            plain = Path(os.fsdecode(path))
            if plain.is_symlink():
                content = str(plain.readlink())
            elif plain.is_dir():
                content = "directory"
            elif plain.is_file():
                content = hashlib.sha256(plain.read_bytes()).hexdigest()
            else:
                content = "special"
            found[os.path.relpath(path, os.fsencode(root))] = (oct(status.st_mode), status.st_mtime_ns, content)
    return found


COUNTS = (
    "changed",
    "directories_created",
    "files_total",
    "files_copied",
    "files_rewritten",
    "files_touched",
    "links_written",
    "replacements",
    "leftovers",
    "leftovers_total",
    "conflicts",
    "kept",
    "pruned",
    "skipped_paths",
    "diff",
)


def summary(report: Report) -> dict[str, Any]:
    result = report.as_dict()
    return {name: result[name] for name in COUNTS} | {"failure": report.failure, "plan": report.plan}


def listed(report: Report) -> dict[str, list[tuple[int, str]]]:
    """Line and text of each leftover by path."""
    return {path: [(item.line, item.text) for item in found] for path, found in report.leftovers.items()}


def check_then_run(src: Path, dest: Path, **options: Any) -> Report:
    """Dry run, then real run: the dry run creates nothing and predicts what the real one does."""
    before = snapshot(dest) if dest.exists() else None
    dry = migrate(src, dest, check_mode=True, with_diff=True, **options)
    assert (snapshot(dest) if dest.exists() else None) == before
    real = migrate(src, dest, with_diff=True, **options)
    done, said = summary(real), summary(dry)
    if real.failure:
        # A refused run has not read the files that it would have created.
        for name in ("leftovers", "leftovers_total"):
            del done[name], said[name]
    assert done == said
    return real
