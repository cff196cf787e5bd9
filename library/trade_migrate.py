#!/usr/bin/python
"""Ansible module `trade_migrate`; the documentation below says what it does."""

from __future__ import annotations

DOCUMENTATION = r"""
module: trade_migrate
version_added: 1.0.0
short_description: Copy a Trade2025 tree, with its paths and network names rewritten
description:
  - Copies the directory O(src) to O(dest) on the machine that the task runs on. In every text file, references to a
    mapped path or network are rewritten in the spelling that they have; every other byte stays as it is.
  - What is a reference and what is not is a table in C(docs/migration.md), which the tests read.
  - The source is only ever read. A file in the destination is the old one or the new one at any moment, also when the
    run is killed; the next run completes it.
  - A manifest in O(state_dir) remembers what was written, so that a file that the site changed by hand is seen, and so
    that a run with nothing to do only compares what C(stat) says.
  - Owner, group, access control lists, extended attributes, set-user-id and set-group-id are not kept; mode,
    modification time, symlinks, hard links and holes are.
attributes:
  check_mode:
    support: full
    description: Makes nothing, and predicts RV(ignore:changed), the counts and the diff exactly, by the same code.
  diff_mode:
    support: full
    description: Shows unified diffs of text files, capped, with secrets hidden.
  platform:
    support: full
    platforms: posix
    description: Linux on the machine that the task runs on.
options:
  src:
    description: Absolute path of the tree to copy.
    type: path
    required: true
  dest:
    description: Absolute path of the directory to copy to. Made where it is missing, with its parents.
    type: path
    required: true
  path_map:
    description:
      - How a path of the source reads afterwards. The longest O(path_map[].from) that a path begins with wins, whatever
        the order of the list.
    type: list
    elements: dict
    default: []
    suboptions:
      from:
        description: An absolute path, as C(C:/trade2025/trading/nats). It matches in every spelling of that path.
        type: str
        required: true
      to:
        description: An absolute path, of Unix or of Windows. It is written in the spelling that is replaced.
        type: str
        required: true
  network_map:
    description: Names of Docker networks, old to new. A name matches as a whole word.
    type: dict
    default: {}
  exclude:
    description:
      - Globs for what is not copied, besides the usual clutter (O(exclude_clutter)).
      - A glob without a slash is for a name at any depth, one with a slash for a path from O(src);
        C(**) spans directories.
    type: list
    elements: str
    default: []
  exclude_clutter:
    description:
      - Whether to leave out what tools make again, and logs, that is
        C(.git .svn .hg __pycache__ *.pyc node_modules .venv venv .tox .mypy_cache .pytest_cache .ruff_cache .DS_Store
        Thumbs.db logs *.log).
    type: bool
    default: true
  strict:
    description: Whether to fail, with nothing changed, if anything would be left that mentions O(mentions).
    type: bool
    default: false
  mentions:
    description:
      - What must not be left over. Matches in any case, and with a space, dot, dash or underscore before the digits.
    type: list
    elements: str
    default: [trade2025]
  on_conflict:
    description:
      - What to do with a file in O(dest) that differs from what a migration wrote, or that no migration wrote, when the
        source's result differs from it too. V(fail) changes nothing at all, V(backup) keeps the old file beside with a
        time stamp, V(overwrite) replaces it (never a directory).
      - A file that was changed by hand stays without a conflict while its source does not change.
    type: str
    choices: [fail, backup, overwrite]
    default: fail
  prune:
    description:
      - Whether to remove from O(dest) what vanished from O(src), if a migration wrote it and nobody changed it since.
    type: bool
    default: false
  source_path:
    description:
      - How the files of the tree name O(src), for instance C(C:/trade2025/trading). Relative paths in Compose files are
        resolved against it.
      - Without it, the place in O(path_map) is taken whose names the path of O(src) holds. Where there is none,
        relative paths stay.
    type: str
  state_dir:
    description:
      - Absolute path of the directory for manifest, journal and lock. The default is C(.trade_migrate) in O(dest).
      - Set it to a directory beside O(dest), on the same file system, where O(dest) must hold nothing else, as a build
        context.
    type: path
  workers:
    description: Processes that work at once; V(0) is one for each processor, four at most.
    type: int
    default: 0
author: [Trade2026 founders (@trade2026)]
"""

EXAMPLES = r"""
- name: Migrate the applications
  trade_migrate:
    src: "{{ trade2025_root }}/trading/apps"
    dest: "{{ trade2026_root }}/backend/apps"
    path_map: "{{ trade2026_path_map }}"
    network_map: "{{ trade2026_network_map }}"
    strict: true

- name: See what a migration of the whole tree would do
  trade_migrate:
    src: /mnt/c/trade2025
    dest: /srv/trade2026
    path_map:
      - {from: "C:/trade2025/trading/nats", to: /srv/trade2026/data/nats}
      - {from: "C:/trade2025", to: /srv/trade2026}
    network_map: {trade2025-backend: trade2026-backend}
    exclude: [trading/nats, "*.iso"]
  check_mode: true
  diff: true
"""

RETURN = r"""
files_total:
  description: Regular files of the source that are not excluded.
  returned: always
  type: int
files_copied:
  description: Files that were written as they are, further names of one file included.
  returned: always
  type: int
files_rewritten:
  description: Files that were written with at least one reference rewritten.
  returned: always
  type: int
files_touched:
  description: Files whose content was right and whose mode or time followed the source.
  returned: always
  type: int
replacements:
  description: References that were rewritten in RV(files_rewritten).
  returned: always
  type: int
directories_total:
  description: Directories of the source, itself included.
  returned: always
  type: int
directories_created:
  description: Directories that were made.
  returned: always
  type: int
links_total:
  description: Symlinks of the source.
  returned: always
  type: int
links_written:
  description: Symlinks that were made or renewed.
  returned: always
  type: int
leftovers:
  description:
    - What mentions O(mentions) after the migration, sorted by path, 500 at most, and 20 at most for a file.
    - Line 0 stands for a name, a symlink's target or a binary file. Secrets in the text are hidden.
  returned: always
  type: list
  elements: dict
  contains:
    path: {description: Path below O(dest)., type: str}
    line: {description: Line number from 1, type: int}
    text: {description: The line or the part of it around the mention., type: str}
leftovers_total:
  description: Number of such lines, names and binary mentions.
  returned: always
  type: int
conflicts:
  description: Conflicts as O(on_conflict) describes them, sorted by path, 500 at most.
  returned: always
  type: list
  elements: dict
  contains:
    path: {description: Path below O(dest)., type: str}
    reason: {description: What stands in the way., type: str}
    action: {description: "What was done about it: the value of O(on_conflict).", type: str}
conflicts_total:
  description: Number of conflicts.
  returned: always
  type: int
kept:
  description: Files that were changed by hand and stay as they are, 500 at most.
  returned: always
  type: list
  elements: str
kept_total:
  description: Number of such files.
  returned: always
  type: int
pruned:
  description: What was removed because it vanished from the source, 500 at most.
  returned: always
  type: list
  elements: str
pruned_total:
  description: Number of such paths.
  returned: always
  type: int
skipped_paths:
  description:
    - What is excluded, and sockets, FIFOs and devices, with the reason; 500 at most.
    - It is not called C(skipped), because Ansible takes a task with such a result for one that did not run.
  returned: always
  type: list
  elements: dict
skipped_total:
  description: Number of such paths.
  returned: always
  type: int
escaping_links:
  description: Symlinks that lead out of the tree; they are copied as they are and never followed.
  returned: always
  type: list
  elements: dict
relative_base:
  description: What relative paths of Compose files were resolved against; null when they stayed as they are.
  returned: always
  type: str
diff:
  description: Unified diffs in diff mode, capped, secrets hidden; else empty.
  returned: always
  type: list
  elements: dict
"""

import os
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.migration.engine import Migration
from ansible.module_utils.migration.errors import MigrationError
from ansible.module_utils.migration.settings import Settings, infer_base
from ansible.module_utils.migration.tree import DEFAULT_EXCLUDES
from ansible.module_utils.rewriting.path_map import MapError, check_network_map, parse_path_map, parse_root
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
    "exclude": {"type": "list", "elements": "str", "default": []},
    "exclude_clutter": {"type": "bool", "default": True},
    "strict": {"type": "bool", "default": False},
    "mentions": {"type": "list", "elements": "str", "default": ["trade2025"]},
    "on_conflict": {"type": "str", "choices": ["fail", "backup", "overwrite"], "default": "fail"},
    "prune": {"type": "bool", "default": False},
    "source_path": {"type": "str"},
    "state_dir": {"type": "path"},
    "workers": {"type": "int", "default": 0},
}


def settings_from(params: dict[str, Any], dry: bool, with_diff: bool) -> Settings:
    """Turn the module's parameters into settings.

    Raises:
        MapError: a map cannot be used.
        MigrationError: another parameter cannot be used.
    """
    for name in ("src", "dest", "state_dir"):
        if params[name] and not Path(params[name]).is_absolute():
            raise MigrationError(f"{name}={params[name]} is not absolute; write a path that begins with a slash")
    if params["workers"] < 0:
        raise MigrationError(f"workers={params['workers']} is negative; write 0 for one a processor")
    if not all(name.strip() for name in params["mentions"]):
        raise MigrationError("mentions holds an empty text, which everything mentions; remove it")
    rules = Rules(
        parse_path_map(params["path_map"]),
        check_network_map({str(old): str(new) for old, new in params["network_map"].items()}),
    )
    src = os.path.normpath(params["src"])
    base = infer_base(src, rules.path_rules)
    if params["source_path"]:
        base = parse_root(params["source_path"], "source_path")
    return Settings(
        src=src,
        dest=os.path.normpath(params["dest"]),
        rules=rules,
        mentions=tuple(params["mentions"]),
        exclude=(*(DEFAULT_EXCLUDES if params["exclude_clutter"] else ()), *params["exclude"]),
        strict=params["strict"],
        on_conflict=params["on_conflict"],
        prune=params["prune"],
        compose_base=base,
        state_dir=os.path.normpath(params["state_dir"]) if params["state_dir"] else None,
        dry=dry,
        with_diff=with_diff,
        workers=params["workers"],
    )


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        settings = settings_from(module.params, module.check_mode, module._diff)
        report = Migration(settings).run()
    except (MapError, MigrationError) as exc:
        module.fail_json(msg=str(exc))
    result = report.as_dict()
    result["relative_base"] = str(settings.compose_base) if settings.compose_base else None
    if report.failure:
        module.fail_json(msg=f"Nothing was changed. {report.failure}", **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
