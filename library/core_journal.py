#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read and verify the audit log of a machine, or end a run that fails before its last step."""

from __future__ import annotations

DOCUMENTATION = r"""
module: core_journal
short_description: Read and verify the audit log of a machine, or end a run early
version_added: 1.1.0
description:
  - Reads C(.trade2026/journal.jsonl) below O(root), in which every run has a line. Each line holds the hash of the one
    before it, and a file beside the log names the last one.
  - Every line that was altered, removed or cut off is named.
  - With O(end_run) it writes the line of a run that fails before its last step, and releases the run's lock.
options:
  end_run:
    description: The run to end as failed; empty to only read.
    type: str
    default: ""
  failed:
    description: Services that the run leaves unfinished.
    type: list
    elements: str
    default: []
attributes:
  check_mode:
    description: Only reads.
    support: full
extends_documentation_fragment:
  - deployment
  - attributes.no_diff
author: [Trade2026 founders (@trade2026)]
"""

EXAMPLES = r"""
- name: Read the audit log
  core_journal:
    root: /srv/trade2026
  register: core_audit
"""

RETURN = r"""
lines:
  description: The log, the oldest run first.
  returned: always
  type: list
  elements: dict
problems:
  description: What is wrong with the log; empty if all lines are intact.
  returned: always
  type: list
  elements: str
notes:
  description: What is unusual but explained, such as a line that a power failure cut off.
  returned: always
  type: list
  elements: str
unrecorded:
  description: Why the end of the run with O(end_run) could not be recorded; empty if it was.
  returned: always
  type: list
  elements: str
under_way:
  description: The run that holds the lock, and its progress; empty for none.
  returned: always
  type: str
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.deployment import audit
from ansible.module_utils.deployment.journal import Journal, JournalError
from ansible.module_utils.shared.fs import explain


def under_way(journal: Journal) -> str:
    """The run that holds the lock, as text."""
    try:
        owner = journal.owner()
    except JournalError as error:
        return str(error)
    return f"{owner.text}; {journal.progress().text}" if owner else ""


def main() -> None:
    """Read and verify the log, return it."""
    module = AnsibleModule(
        argument_spec={
            "root": {"type": "path", "required": True},
            "end_run": {"type": "str", "default": ""},
            "failed": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    root = Path(module.params["root"])
    unrecorded: list[str] = []
    try:
        if module.params["end_run"] and not module.check_mode:
            unrecorded = Journal(root).finish(module.params["end_run"], module.params["failed"])
        found = audit.read(root)
        running = under_way(Journal(root))
    except OSError as error:
        module.fail_json(msg=explain(error))
    module.exit_json(
        changed=False,
        lines=list(found.lines),
        problems=list(found.problems),
        notes=list(found.notes),
        unrecorded=unrecorded,
        under_way=running,
    )


if __name__ == "__main__":
    main()
