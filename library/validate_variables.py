#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action plugin of this name: it runs on the controller, and there is no module to run."""

from __future__ import annotations

DOCUMENTATION = r"""
module: validate_variables
short_description: Check the variables of a site against those of the roles, and report all errors at once
version_added: 1.0.0
description:
  - Reads the variables of the roles with their kinds from C(defaults/main.yml) on the controller, and starts no process
    on any machine.
  - Fails with one list of everything that is wrong in the variables of O(hosts) - values that are not of their
    variable's kind, an offset that makes a port exceed 65535, folders of the new tree that lie in the Trade2025
    tree, values that cannot be resolved, unknown names with a role's prefix (with the nearest valid name), names that a
    role derives itself, and names that no longer exist (with what replaced them).
options:
  roles_path:
    description: Folder of the roles, on the controller.
    type: path
    required: true
  hosts:
    description:
      - Names of the hosts whose variables are checked.
      - If omitted, the variables that are visible to the task are checked, including those of the play and of the role.
        A role that is used in another play does this.
    type: list
    elements: str
  removed:
    description: Variables that no longer exist, each with a sentence that says what to set instead.
    type: dict
    default: {}
extends_documentation_fragment:
  - attributes.read_only
  - attributes.no_diff
author: [Trade2026 founders (@trade2026)]
"""

EXAMPLES = r"""
- name: Check the variables of all services before anything runs
  validate_variables:
    roles_path: "{{ playbook_dir }}/roles"
    hosts: "{{ ansible_play_hosts_all }}"
    removed:
      valkey_max_memory: set `valkey_maxmemory`
  run_once: true
"""

RETURN = r"""
# Only what every task returns.
"""
