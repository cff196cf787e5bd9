#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stop the containers of services without removing anything."""

from __future__ import annotations

DOCUMENTATION = r"""
module: core_stop
short_description: Stop the containers of services, each with its own grace period
version_added: 1.1.0
description:
  - Stops the running containers of the project's services and reports whose open connections that interrupts.
    Containers, networks, configuration, data and secrets stay; C(core.yml) starts the services again.
  - The action plugin of the same name takes over the lock of a run that has ended, and shows the operations.
options:
  root:
    description: Folder of the deployment, for its journal.
    type: path
    required: true
  services:
    description: Names of the services, in the order in which they were started. The last one is stopped first.
    type: list
    elements: str
    required: true
  batch:
    description: How many are stopped at once, in the format of a play's C(serial).
    type: str
    default: 100%
  run:
    description: The run that holds the lock and whose journal records what was done.
    type: str
    default: ""
  begin:
    description: The run that takes the lock, as the action plugin passes it. Without it and O(run) nothing is stopped.
    type: dict
attributes:
  check_mode:
    description: Reports what would be stopped, and what that would interrupt.
    support: full
extends_documentation_fragment:
  - deployment.project
  - deployment.lock
  - attributes.no_diff
author: [Trade2026 founders (@trade2026)]
"""

EXAMPLES = r"""
- name: Ensure Valkey is stopped
  core_stop:
    root: /srv/trade2026
    project: trade2026-core
    services: [valkey]
"""

RETURN = r"""
operations:
  description: What was or would be stopped.
  returned: success
  type: list
  elements: dict
locked:
  description: Who holds the lock, if another run does.
  returned: success
  type: dict
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.deployment import engine, teardown
from ansible.module_utils.deployment.journal import Journal, JournalError, locked_by, read_owner
from ansible.module_utils.deployment.model import ObservedContainer, Operation
from ansible.module_utils.deployment.plan import SERVICE_LABEL, stop_operation
from ansible.module_utils.shared.fs import explain


def batch_size(batch: str, count: int) -> int:
    """The number of services in a batch, computed like Ansible's `serial`."""
    share = batch.strip().removesuffix("%")
    size = int(float(share) * count / 100) if batch.strip().endswith("%") else int(share)
    return max(1, size)


def stop(journal: Journal, run: str, client: Any, containers: list[ObservedContainer], size: int) -> dict[str, str]:
    """Stop one batch after the other until one fails; return service → error."""
    names = [container.labels[SERVICE_LABEL] for container in containers]
    for batch in teardown.in_batches(list(dict.fromkeys(names)), size):
        journal.require(run)
        errors = teardown.stop_containers(
            client, [container for container in containers if container.labels[SERVICE_LABEL] in batch]
        )
        journal.done(run, [(name, "state") for name in batch if name not in errors])
        if errors:
            return errors
    return {}


def main() -> None:
    """Plan, then stop."""
    module = AnsibleModule(
        argument_spec={
            "root": {"type": "path", "required": True},
            "project": {"type": "str", "required": True},
            "services": {"type": "list", "elements": "str", "required": True},
            "batch": {"type": "str", "default": "100%"},
            "run": {"type": "str", "default": ""},
            "begin": {"type": "dict"},
            "take_over": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    params: dict[str, Any] = module.params
    journal = Journal(Path(params["root"]))
    operations: list[Operation] = []
    errors: list[str] = []
    acts = bool(params["run"] or params["begin"]) and not module.check_mode
    try:
        locked = locked_by(journal, params["begin"], params["take_over"]) if acts else {}
        if locked:
            module.exit_json(changed=False, operations=[], locked=locked)
        client = engine.connect()
        containers = [
            container
            for container in teardown.containers_of(client, params["project"], params["services"])
            if container.status in engine.RUNNING
        ]
        containers.sort(key=lambda container: params["services"].index(container.labels[SERVICE_LABEL]))
        for container in containers:
            name, clients = container.labels[SERVICE_LABEL], engine.clients_of(client, container.id)
            operations.append(stop_operation(name, container, "playbooks/stop.yml", clients))
        if containers and acts:
            run = params["run"]
            if params["begin"]:
                run = params["begin"]["run"]
                journal.begin(read_owner(params["begin"]), operations, params["take_over"], action="stop")
            size = batch_size(params["batch"], len(params["services"]))
            try:
                errors = list(stop(journal, run, client, containers, size).values())
            except (JournalError, OSError) as error:
                errors = [explain(error)]
            if params["begin"]:
                errors += journal.finish(run, {service for service, _what in journal.progress().open})
    except (JournalError, engine.EngineError) as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=explain(error))
    rows = [operation.to_dict() for operation in operations]
    if errors:
        module.fail_json(msg="\n".join(errors), operations=rows, locked={})
    module.exit_json(changed=bool(operations), operations=rows, locked={})


if __name__ == "__main__":
    main()
