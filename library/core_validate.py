#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
"""Test the deployed services of a machine."""

from __future__ import annotations

DOCUMENTATION = r"""
module: core_validate
short_description: Test the deployed services of a machine
version_added: 1.1.0
description:
  - Runs tests of five kinds against deployed services and returns their results as docs/report.schema.json describes
    them. A failed test is a result; the module fails only if tests cannot be run at all.
  - Tests that write use unique names (C(trade2026-probe-) and random letters) and remove what they create.
  - The action plugin of this name takes C(planned) and calls the module in slices, so that it can show progress.
options:
  services:
    description: The services, each with C(record), C(probing) (as C(service_probe) expects it) and C(image).
    type: list
    elements: dict
    required: true
  secrets_root:
    description: Folder of the secrets. Every secret in it is masked in what the module returns.
    type: path
    required: true
  project:
    description: Compose project of the services.
    type: str
    required: true
  bind_address:
    description: Address on which ports are published.
    type: str
    required: true
  networks:
    description: Key of a network to its name and subnet.
    type: dict
    required: true
  probe_image:
    description: Small image with a shell, for a container on the lowlatency network.
    type: str
    default: ""
  kinds:
    description: Kinds of test to run.
    type: list
    elements: str
    choices: [component, integration, performance, persistence, network]
    default: [component, integration, network]
  groups:
    description: Groups of tests to run, as C(pending) returns them. By default, all of the kinds.
    type: list
    elements: str
  disruptive:
    description: Also run the tests that restart, kill and remove containers.
    type: bool
    default: false
  engine_restart:
    description: Also restart the engine, and with it every container of the machine. Needs O(disruptive).
    type: bool
    default: false
  engine_command:
    description: Command that restarts the engine.
    type: list
    elements: str
    default: [systemctl, restart, docker]
  durability:
    description: Durability profile of the services, for the results.
    type: str
    default: balanced
  records:
    description: Records that the persistence tests store in each service.
    type: int
    default: 100
  budgets:
    description: Operation to milliseconds that its 99th percentile may take.
    type: dict
    default: {}
  noise_percent:
    description: Percentage by which a median may exceed that of earlier runs before it is a finding.
    type: float
    default: 100
  reports:
    description: Folder of earlier reports, to compare with.
    type: path
  slice_s:
    description: Seconds after which the module returns between two groups of tests. V(0) runs all of them.
    type: float
    default: 0
  progress:
    description: File that the name of the running test is written to.
    type: path
attributes:
  check_mode:
    description: Runs no test.
    support: none
extends_documentation_fragment:
  - deployment
  - attributes.no_diff
author: [Trade2026 founders (@trade2026)]
"""

EXAMPLES = r"""
- name: Test the services
  core_validate:
    services: "{{ services }}"
    root: /srv/trade2026
    secrets_root: /srv/trade2026/secrets
    project: trade2026-core
    bind_address: 127.0.0.1
    networks: "{{ trade2026_networks }}"
    kinds: [component, network]
"""

RETURN = r"""
tests:
  description: Results of the tests that ran.
  returned: success
  type: list
  elements: dict
pending:
  description: Groups that have not run yet, each with C(key), C(kind), C(service), C(tests) and C(interrupts).
  returned: success
  type: list
  elements: dict
reachability:
  description: Connections that were tried. This and the other measurements are parts of the result document.
  returned: success
  type: list
  elements: dict
"""

import time
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.shared.masking import Mask, mask_tree, secrets_below
from ansible.module_utils.validation import catalog, host
from ansible.module_utils.validation.bridge import missing_libraries
from ansible.module_utils.validation.model import Group, Result
from ansible.module_utils.validation.runner import run_group
from ansible.module_utils.validation.stack import Stack, build_stack


def run_slice(
    stack: Stack, groups: list[Group], slice_s: float, progress: Path | None
) -> tuple[list[Result], list[Group]]:
    """The results, and the groups that are left when the time is up or the next one interrupts services."""
    begun = time.monotonic()
    results: list[Result] = []
    for place, group in enumerate(groups):
        over = slice_s and time.monotonic() - begun > slice_s
        if place and (over or (slice_s and group.interrupts)):
            return results, groups[place:]
        results += run_group(stack, group, progress)
    return results, []


def pending(groups: list[Group]) -> list[dict[str, Any]]:
    """Groups for the caller."""
    return [
        {
            "key": group.key,
            "kind": group.kind,
            "service": group.service,
            "tests": len(group.cases),
            "interrupts": group.interrupts,
        }
        for group in groups
    ]


def masked(answer: dict[str, Any], secrets_root: Path) -> dict[str, Any]:
    """The result with every secret masked. Log lines are withheld if a secret cannot be read and so cannot be found."""
    known, unreadable = secrets_below(secrets_root)
    for test in answer["tests"] if unreadable else []:
        if test.get("log"):
            test["log"] = [f"(withheld, because its secrets cannot be masked: {', '.join(unreadable)} cannot be read)"]
    shown: dict[str, Any] = mask_tree(answer, Mask(known).output)
    return shown


def main() -> None:
    """Run one slice."""
    module = AnsibleModule(
        argument_spec={
            "services": {"type": "list", "elements": "dict", "required": True},
            "root": {"type": "path", "required": True},
            # The folder's name is not secret.
            "secrets_root": {"type": "path", "required": True, "no_log": False},
            "project": {"type": "str", "required": True},
            "bind_address": {"type": "str", "required": True},
            "networks": {"type": "dict", "required": True},
            "probe_image": {"type": "str", "default": ""},
            "kinds": {
                "type": "list",
                "elements": "str",
                "choices": ["component", "integration", "performance", "persistence", "network"],
                "default": ["component", "integration", "network"],
            },
            "groups": {"type": "list", "elements": "str"},
            "disruptive": {"type": "bool", "default": False},
            "engine_restart": {"type": "bool", "default": False},
            "engine_command": {"type": "list", "elements": "str", "default": ["systemctl", "restart", "docker"]},
            "durability": {"type": "str", "default": "balanced"},
            "records": {"type": "int", "default": 100},
            "budgets": {"type": "dict", "default": {}},
            "noise_percent": {"type": "float", "default": 100},
            "reports": {"type": "path"},
            "slice_s": {"type": "float", "default": 0},
            "progress": {"type": "path"},
        },
    )
    params = module.params
    stack = build_stack(params, module.run_command)
    if missing := missing_libraries([probe for service in stack.services.values() for probe in service.probes]):
        module.fail_json(msg=f"The tests cannot run: {'; '.join(missing)}. Run `make setup`, or install it there.")
    stack.refresh()
    groups = [
        group
        for group in catalog.groups(stack, params["kinds"])
        if params["groups"] is None or group.key in params["groups"]
    ]
    progress = Path(params["progress"]) if params["progress"] else None
    results, left = run_slice(stack, groups, params["slice_s"], progress)
    answer: dict[str, Any] = {
        "tests": [result.to_dict() for result in results],
        "pending": pending(left),
        "reachability": stack.reachability,
        "performance": stack.performance,
        "durability": stack.durability,
        "floor": stack.floor,
        "host_findings": stack.findings + ([] if left else host.findings()),
    }
    module.exit_json(changed=False, **masked(answer, Path(params["secrets_root"])))


if __name__ == "__main__":
    main()
