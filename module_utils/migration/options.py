# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of a migration, which `trade_migrate` and the option `migration` of `trade_source_info` share."""

from __future__ import annotations

import codecs
import glob
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible.module_utils.migration.context import ON_CONFLICT, Context, MigrationError, infer_base
from ansible.module_utils.migration.engine import migrate
from ansible.module_utils.migration.globs import Excluder, Glob
from ansible.module_utils.migration.report import Report
from ansible.module_utils.migration.scan import DEFAULT_EXCLUDES
from ansible.module_utils.rewriting.path_map import PathMap, check_network_map, parse_location
from ansible.module_utils.rewriting.rewriter import Rules

ARGUMENTS: dict[str, dict[str, Any]] = {
    "src": {"type": "path", "required": True},
    "dest": {"type": "path", "required": True},
    "path_map": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {"from": {"type": "str", "required": True}, "to": {"type": "str", "required": True}},
    },
    "network_map": {"type": "dict", "default": {}},
    "only": {"type": "list", "elements": "str", "default": []},
    "exclude": {"type": "list", "elements": "str", "default": []},
    "exclude_clutter": {"type": "bool", "default": True},
    "encoding": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {"glob": {"type": "str", "required": True}, "encoding": {"type": "str", "required": True}},
    },
    "strict": {"type": "bool", "default": False},
    "mentions": {"type": "list", "elements": "str", "default": ["trade2025"]},
    "on_conflict": {"type": "str", "choices": list(ON_CONFLICT), "default": "fail"},
    "prune": {"type": "bool", "default": False},
    "source_path": {"type": "str"},
    "state_dir": {"type": "path"},
    "workers": {"type": "int", "default": 0},
}


def run(params: Mapping[str, Any], check_mode: bool, with_diff: bool) -> tuple[Report, dict[str, Any]]:
    """Migrate; the report, and the result of the module.

    Raises:
        MapError: a map cannot be used.
        MigrationError: another option cannot be used, or the migration cannot begin.
    """
    context = context_from(params, check_mode, with_diff)
    report = migrate(context)
    base = context.compose_base
    return report, {**report.as_dict(), "relative_base": str(base) if base else None}


def context_from(params: Mapping[str, Any], check_mode: bool, with_diff: bool) -> Context:
    """Turn the options into the context of a migration.

    Raises:
        MapError: a map cannot be used.
        MigrationError: another option cannot be used.
    """
    for name in ("src", "dest", "state_dir"):
        if params[name] and not Path(params[name]).is_absolute():
            raise MigrationError(f"{name}={params[name]} is not absolute; write a path that begins with a slash")
    if params["workers"] < 0:
        raise MigrationError(f"workers={params['workers']} is negative; write 0 for one per processor")
    if not all(name.strip() for name in params["mentions"]):
        raise MigrationError("mentions contains an empty text, which matches everything; remove it")
    rules = Rules(PathMap.parse(params["path_map"]), check_network_map(params["network_map"]))
    src = os.path.normpath(params["src"])
    base = infer_base(src, rules.path_map)
    if params["source_path"]:
        base = parse_location(params["source_path"], "source_path")
    exclude = (
        *(DEFAULT_EXCLUDES if params["exclude_clutter"] else ()),
        *params["exclude"],
        *_other_folders(src, params["only"]),
    )
    try:
        Excluder(exclude)
    except ValueError as exc:
        raise MigrationError(f"exclude: {exc}") from exc
    return Context(
        src=src,
        dest=os.path.normpath(params["dest"]),
        rules=rules,
        mentions=tuple(params["mentions"]),
        exclude=exclude,
        encodings=encodings_from(params["encoding"]),
        strict=params["strict"],
        on_conflict=params["on_conflict"],
        prune=params["prune"],
        compose_base=base,
        state_dir=os.path.normpath(params["state_dir"]) if params["state_dir"] else None,
        check_mode=check_mode,
        with_diff=with_diff,
        workers=params["workers"],
    )


def _other_folders(src: str, only: Sequence[str]) -> list[str]:
    """Globs for the folders in `src` that `only` does not name; none if it is empty.

    Raises:
        MigrationError: a folder is missing, or `src` cannot be listed.
    """
    if not only:
        return []
    try:
        folders = {entry.name for entry in os.scandir(src) if entry.is_dir()}
    except OSError as exc:
        raise MigrationError(f"{src} cannot be listed: {exc.strerror}; correct src, or make it readable") from exc
    if missing := [name for name in only if name not in folders]:
        raise MigrationError(
            f"{src} has no folder {', '.join(missing)}; add it to the source, or remove it from `only` "
            "(trade2025_apps of a site)"
        )
    # With a leading slash, the glob matches only this folder, and none of the same name below it.
    return ["/" + glob.escape(name) for name in sorted(folders - set(only))]


def encodings_from(entries: list[dict[str, str]]) -> tuple[tuple[Glob, str], ...]:
    """Check the option `encoding`.

    Raises:
        MigrationError: a glob or an encoding cannot be used.
    """
    encodings = []
    for number, entry in enumerate(entries):
        try:
            # `encode` rejects codecs that are not text encodings, such as base64.
            " ".encode(entry["encoding"])
            encodings.append((Glob(entry["glob"]), codecs.lookup(entry["encoding"]).name))
        except LookupError as exc:
            raise MigrationError(
                f"encoding[{number}].encoding={entry['encoding']!r} is not a text encoding that Python knows; "
                "write one such as cp932, cp1252 or gb18030"
            ) from exc
        except ValueError as exc:
            raise MigrationError(f"encoding[{number}].glob: {exc}") from exc
    return tuple(encodings)
