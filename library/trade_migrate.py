#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
"""Copy a Trade2025 tree, with its paths and network names rewritten."""

from __future__ import annotations

DOCUMENTATION = r"""
module: trade_migrate
version_added: 1.0.0
short_description: Copy a Trade2025 tree, with its paths and network names rewritten
description:
  - Copies the directory O(src) to O(dest) on the machine that the task runs on. References to a mapped path or network
    in text files are rewritten in their own spelling; every other byte stays as it is.
  - A reference is rewritten whole, or it stays whole and is reported in RV(leftovers). The tables in
    C(docs/migration.md), which the tests read, show what is a reference and what is not.
  - O(src) is only read. Every file in O(dest) is either the old or the new one at any moment, even if the run is
    killed; the next run completes the work.
  - A manifest in O(state_dir) records what was written. It shows which files the site changed by hand, and a run
    with nothing to do only compares file status (C(stat)) with it.
  - Mode, modification time, symlinks, hard links and holes are kept. Owner, group, access control lists, extended
    attributes, set-user-id and set-group-id are not. Names of one file (hard links) stay together unless their results
    differ, because one is a Compose file and the other is not, or because O(encoding) names only one of them.
  - The module scans both trees, plans, and applies the plan. If the plan has a conflict that O(on_conflict) does not
    resolve, a file that cannot be read, or anything that O(strict) forbids, nothing at all is changed.
requirements:
  - PyYAML on the machine that the task runs on, for the relative paths in Compose files. Without it they are reported.
attributes:
  check_mode:
    support: full
    description: Stops at the plan, which is the one that a real run applies. Nothing is created or changed.
  diff_mode:
    support: full
    description: Shows unified diffs of text files. Long diffs are cut, and secrets are masked.
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
    description: Absolute path of the directory to copy to. It is created with its parents if it is missing.
    type: path
    required: true
  path_map:
    description:
      - The new location of each path. The longest O(path_map[].from) that a path begins with applies, regardless of the
        order of the list.
    type: list
    elements: dict
    default: []
    suboptions:
      from:
        description: An absolute path, such as C(C:/trade2025/trading/nats). It matches in every spelling of that path.
        type: str
        required: true
      to:
        description: An absolute path, of Unix or of Windows. It is written in the spelling that it replaces.
        type: str
        required: true
  network_map:
    description: Names of Docker networks, old to new. A name matches as a whole word.
    type: dict
    default: {}
  only:
    description:
      - Names of the folders in O(src) that are copied; all of them if it is empty. Files in O(src) itself are copied in
        any case.
      - A folder that is missing is an error.
    type: list
    elements: str
    default: []
  exclude:
    description:
      - Globs for what is not copied, in addition to O(exclude_clutter).
      - A glob without a slash matches a name at any depth. A glob with a slash matches a path below O(src), and
        C(**) spans directories. Paths are written with slashes, also for a tree from Windows.
      - A glob that matches nothing gives a warning that names it.
    type: list
    elements: str
    default: []
  exclude_clutter:
    description:
      - Whether to leave out logs and what tools create again,
        C(.git .svn .hg __pycache__ *.pyc node_modules .venv venv .tox .mypy_cache .pytest_cache .ruff_cache .DS_Store
        Thumbs.db logs *.log).
    type: bool
    default: true
  encoding:
    description:
      - The encoding of text files that are neither UTF-8 nor marked by a byte order mark. The first entry whose glob
        matches a file is used.
      - It is needed if a byte may mean two things, such as C(0x5C) in code page 932, which is a backslash or the second
        half of a character. Without it such a reference stays and is reported.
    type: list
    elements: dict
    default: []
    suboptions:
      glob:
        description: Which files, as in O(exclude).
        type: str
        required: true
      encoding:
        description: A text encoding that Python knows, such as V(cp932), V(cp1252) or V(gb18030).
        type: str
        required: true
  strict:
    description: Whether to fail, with nothing changed, if anything would be left over.
    type: bool
    default: false
  mentions:
    description:
      - Names that must not be left over. They match in any case, and with a space, dot, dash or underscore before the
        digits.
    type: list
    elements: str
    default: [trade2025]
  on_conflict:
    description:
      - What to do with a file in O(dest) that the migration would replace although a migration did not write it, or
        although it was changed by hand since.
      - V(fail) changes nothing at all and lists the conflicts. V(backup) renames the old file to C(NAME.TIME.bak) and
        writes the new one. V(overwrite) replaces the old file; it never replaces a directory.
      - A file that was changed by hand is not a conflict while its source does not change. It stays, and is listed in
        RV(kept).
    type: str
    choices: [fail, backup, overwrite]
    default: fail
  prune:
    description:
      - Whether to remove from O(dest) what no longer exists in O(src), if a migration wrote it and it was not changed
        since.
    type: bool
    default: false
  source_path:
    description:
      - How the files of the tree name O(src), for instance C(C:/trade2025/trading). Relative paths in Compose files are
        resolved against it.
      - The default is derived from O(path_map) and the path of O(src), as C(docs/migration.md) describes. If that
        is not possible, relative paths stay, and those that may name a mapped location are reported.
    type: str
  state_dir:
    description:
      - Absolute path of the directory for manifest, journal and lock. The default is C(.trade_migrate) in O(dest).
      - Set it to a directory beside O(dest), on the same file system, if O(dest) must not contain anything else, as for
        a build context.
    type: path
  workers:
    description: Number of worker processes. V(0) means one per processor, at most four.
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

- name: Show what a migration of the whole tree would do
  trade_migrate:
    src: /mnt/c/trade2025
    dest: /srv/trade2026
    path_map:
      - {from: "C:/trade2025/trading/nats", to: /srv/trade2026/data/nats}
      - {from: "C:/trade2025", to: /srv/trade2026}
    network_map: {trade2025-backend: trade2026-backend}
    exclude: [trading/nats, "*.iso"]
    encoding:
      - {glob: "*.bat", encoding: cp932}
  check_mode: true
  diff: true
"""

RETURN = r"""
files_total:
  description: Number of regular files in the source that are not excluded.
  returned: always
  type: int
files_copied:
  description: Number of files that were written without a change to their content, including hard links.
  returned: always
  type: int
files_rewritten:
  description: Number of files that were written with at least one reference rewritten.
  returned: always
  type: int
files_touched:
  description: Number of files with the right content whose mode or time was set to that of the source.
  returned: always
  type: int
replacements:
  description: Number of references that were rewritten in RV(files_rewritten).
  returned: always
  type: int
directories_total:
  description: Number of directories in the source, including the source itself.
  returned: always
  type: int
directories_created:
  description: Number of directories that were created.
  returned: always
  type: int
links_total:
  description: Number of symlinks in the source.
  returned: always
  type: int
links_written:
  description: Number of symlinks that were created or replaced.
  returned: always
  type: int
leftovers:
  description:
    - References that stay because they are in doubt, and mentions of O(mentions) after the migration, sorted by path.
    - At most 500 are listed, and at most 20 for a file. Each occurrence counts. Secrets in the text are masked.
  returned: always
  type: list
  elements: dict
  contains:
    path: {description: Path below O(dest)., type: str}
    line: {description: "Line number from 1; 0 for a name, the target of a symlink, or a binary file.", type: int}
    text: {description: The line or the part of it around the mention., type: str}
    reason: {description: "Why it was left: a code and a sentence, as in C(docs/migration.md).", type: str}
leftovers_total:
  description: Number of leftovers.
  returned: always
  type: int
conflicts:
  description: Conflicts as described at O(on_conflict), sorted by path, at most 500.
  returned: always
  type: list
  elements: dict
  contains:
    path: {description: Path below O(dest)., type: str}
    reason: {description: What is in the way., type: str}
    action: {description: "What was done about it: the value of O(on_conflict).", type: str}
conflicts_total:
  description: Number of conflicts.
  returned: always
  type: int
kept:
  description: Files that were changed by hand and stay as they are, at most 500.
  returned: always
  type: list
  elements: str
kept_total:
  description: Number of such files.
  returned: always
  type: int
pruned:
  description: What was removed because it no longer exists in the source, at most 500.
  returned: always
  type: list
  elements: str
pruned_total:
  description: Number of such paths.
  returned: always
  type: int
skipped_paths:
  description:
    - Excluded paths, sockets, FIFOs and devices, each with the reason. At most 500 are listed.
    - It is not called C(skipped), because Ansible would treat the task as one that did not run.
  returned: always
  type: list
  elements: dict
skipped_total:
  description: Number of such paths.
  returned: always
  type: int
escaping_links:
  description: Symlinks that point out of the tree. They are copied as they are and never followed.
  returned: always
  type: list
  elements: dict
relative_base:
  description: What relative paths of Compose files were resolved against, or null if they stayed as they are.
  returned: always
  type: str
diff:
  description: Unified diffs in diff mode, with secrets masked; empty otherwise.
  returned: always
  type: list
  elements: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.migration.context import MigrationError
from ansible.module_utils.migration.options import ARGUMENTS, run
from ansible.module_utils.rewriting.path_map import MapError


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        report, result = run(module.params, module.check_mode, module._diff)
    except (MapError, MigrationError) as exc:
        module.fail_json(msg=str(exc))
    for warning in report.warnings:
        module.warn(warning)
    if report.failure:
        module.fail_json(msg=f"Nothing was changed. {report.failure}", **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
