#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
"""Remove what a deployment created on a machine."""

from __future__ import annotations

DOCUMENTATION = r"""
module: core_purge
short_description: Remove containers, networks and configuration that a deployment created, and data if asked to
version_added: 1.1.0
description:
  - Removes the containers of the project's services, then the networks that the project created and no other
    container uses, then the files that the project wrote. Data and secrets are removed only with O(data).
  - A configuration file that was edited by hand is copied to C(.trade2026/replaced) first. Files that the project did
    not write stay, and so do the directories that hold them, the images, and the audit log.
  - A directory that is a symlink, that has another file system mounted in it, or that is not below O(root) or
    O(secrets_root), is left as it is and named. O(forbidden) is never touched.
  - The action plugin of the same name describes the services, requires the consent and shows what is removed.
options:
  project:
    description: Compose project. Containers and networks of another project are not touched.
    type: str
    required: true
  services:
    description: The services, each with C(name), C(fragment), C(files), C(edited), C(data), C(directories), C(secrets).
    type: list
    elements: dict
    required: true
  networks:
    description: Names of the declared networks.
    type: list
    elements: str
    default: []
  machine:
    description:
      - What belongs to the machine as a whole and is removed with its last service, as C(files), C(edited),
        C(directories) and C(applications).
    type: dict
    default: {}
  forbidden:
    description: Folders that are only read, such as the Trade2025 tree.
    type: list
    elements: path
    default: []
  data:
    description: Remove the data and the secrets of the services too.
    type: bool
    default: false
  restore_points:
    description: Remove the restore points of the services too.
    type: bool
    default: false
  begin:
    description: The run that takes the lock, as the action plugin passes it. Without it nothing is removed.
    type: dict
attributes:
  check_mode:
    description: Reports what would be removed, and how much data there is.
    support: full
extends_documentation_fragment:
  - deployment
  - deployment.secrets
  - deployment.lock
  - attributes.no_diff
author: [Trade2026 founders (@trade2026)]
"""

EXAMPLES = r"""
- name: Ensure Valkey's container and configuration are absent
  core_purge:
    root: /srv/trade2026
    secrets_root: /srv/trade2026/secrets
    project: trade2026-core
    services:
      - name: valkey
        fragment: infrastructure/docker/services/valkey.yml
        files: [config/infrastructure/valkey/valkey.conf]
        edited: []
        data: [data/valkey]
        directories: [config/infrastructure/valkey]
        secrets: [valkey/password]
"""

RETURN = r"""
operations:
  description: What was or would be removed, in this order.
  returned: success
  type: list
  elements: dict
data:
  description: Service to its data directories, each with C(path), C(bytes), C(files), C(text) and C(kept).
  returned: success
  type: dict
kept:
  description: What is kept, with the reason.
  returned: success
  type: dict
copies:
  description: Copies of files that were edited by hand.
  returned: success
  type: list
  elements: str
locked:
  description: Who holds the lock, if another run does.
  returned: success
  type: dict
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.deployment import engine
from ansible.module_utils.deployment.journal import Journal, JournalError, locked_by, read_owner
from ansible.module_utils.deployment.purge import Purge, PurgeError
from ansible.module_utils.shared.fs import explain


def apply(module: AnsibleModule, purge: Purge, journal: Journal) -> list[str]:
    """Remove what was planned, while holding the lock; return the errors."""
    params = module.params
    run = params["begin"]["run"]
    journal.begin(read_owner(params["begin"]), purge.operations, params["take_over"], action="purge")
    try:
        for service, what in purge.apply():
            journal.done(run, [(service, what)])
            # Another run may have taken over, and deploy what this one would remove next.
            journal.require(run)
    except (OSError, JournalError, engine.EngineError) as error:
        purge.errors.append(explain(error))
    # The audit log always stays.
    failed = {service for service, _what in journal.progress().open}
    return [*purge.errors, *journal.finish(run, failed)]


def main() -> None:
    """Plan, then remove."""
    module = AnsibleModule(
        argument_spec={
            "root": {"type": "path", "required": True},
            # The folder's name is not secret.
            "secrets_root": {"type": "path", "required": True, "no_log": False},
            "project": {"type": "str", "required": True},
            "services": {"type": "list", "elements": "dict", "required": True},
            "networks": {"type": "list", "elements": "str", "default": []},
            "machine": {"type": "dict", "default": {}},
            "forbidden": {"type": "list", "elements": "path", "default": []},
            "data": {"type": "bool", "default": False},
            "restore_points": {"type": "bool", "default": False},
            "begin": {"type": "dict"},
            "take_over": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    params: dict[str, Any] = module.params
    journal = Journal(Path(params["root"]))
    acts = bool(params["begin"]) and not module.check_mode
    errors: list[str] = []
    try:
        locked = locked_by(journal, params["begin"], params["take_over"]) if acts else {}
        if locked:
            module.exit_json(changed=False, operations=[], data={}, kept={}, copies=[], locked=locked)
        purge = Purge(params, engine.connect())
        purge.plan()
        if acts and purge.operations:
            errors = apply(module, purge, journal)
    except (JournalError, PurgeError, engine.EngineError) as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=explain(error))
    answer = {
        "operations": [operation.to_dict() for operation in purge.operations],
        "data": {name: [size.to_dict() for size in sizes] for name, sizes in purge.data.items()},
        "kept": purge.kept,
        "copies": purge.copies,
        "locked": {},
    }
    if errors:
        module.fail_json(msg="\n".join(errors), **answer)
    module.exit_json(changed=bool(purge.operations), **answer)


if __name__ == "__main__":
    main()
