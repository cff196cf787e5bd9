"""What the tests of the migration share: the map of the documentation, a tree, and a run."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import Any

import yaml
from ansible.module_utils.migration.engine import Migration
from ansible.module_utils.migration.report import Report
from ansible.module_utils.migration.settings import Settings, infer_base
from ansible.module_utils.rewriting.path_map import PathMap, check_network_map
from ansible.module_utils.rewriting.rewriter import Rules

DOCUMENT = (Path(__file__).resolve().parents[3] / "docs" / "migration.md").read_text()


def rules_of(paths: dict[str, str] | list[dict[str, str]], networks: dict[str, str] | None = None) -> Rules:
    """Rules from a plain mapping of old to new places."""
    entries = paths if isinstance(paths, list) else [{"from": old, "to": new} for old, new in paths.items()]
    return Rules(PathMap.parse(entries), check_network_map(networks or {}))


def documented_map() -> dict[str, Any]:
    """The map that docs/migration.md shows."""
    block = re.search(r"```yaml\n(.*?)```", DOCUMENT, re.S)
    assert block
    loaded: dict[str, Any] = yaml.safe_load(block.group(1))
    return loaded


DOCUMENTED = rules_of(documented_map()["path_map"], documented_map()["network_map"])


def documented_rows(heading: str) -> list[tuple[str, ...]]:
    """The rows of the first table below a text of docs/migration.md, code spans without their marks."""
    lines = DOCUMENT[DOCUMENT.index(heading) :].splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("|---"))
    rows = []
    for line in lines[start + 1 :]:
        if not line.startswith("|"):
            break
        rows.append(tuple(cell.strip().removeprefix("`").removesuffix("`") for cell in line.strip("|").split(" | ")))
    return [tuple(cell.strip().strip("`") for cell in row) for row in rows]


def migrate(src: Path, dest: Path, rules: Rules = DOCUMENTED, **options: Any) -> Report:
    """One run of the engine."""
    options.setdefault("compose_base", infer_base(str(src), rules.path_map))
    return Migration(Settings(str(src), str(dest), rules, **options)).run()


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


def told(report: Report) -> dict[str, Any]:
    result = report.as_dict()
    return {name: result[name] for name in COUNTS} | {"failure": report.failure}


def check_then_run(src: Path, dest: Path, **options: Any) -> Report:
    """Dry run, real run: the dry one made nothing and told what the real one did."""
    before = snapshot(dest) if dest.exists() else None
    dry = migrate(src, dest, dry=True, with_diff=True, **options)
    assert (snapshot(dest) if dest.exists() else None) == before
    real = migrate(src, dest, with_diff=True, **options)
    assert told(real) == told(dry)
    return real
