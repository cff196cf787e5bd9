#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action plugin of this name, which runs on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: core_hook
short_description: Run a site's own command, tasks or playbook on the controller
version_added: 1.1.0
description:
  - Writes the plan and the result of the run to files and runs the hook. The environment variables C(TRADE2026_EVENT),
    C(TRADE2026_PLAN) and C(TRADE2026_RESULT) name the event and the files; a playbook also gets them as
    C(core_hook_plan_file) and C(core_hook_result_file). No secret is in the files.
  - The files exist while the hook runs, and only the user of the run can read them.
options:
  event:
    description: When the hook runs.
    type: str
    choices: [before_deploy, after_deploy, after_rollback, on_failure]
    required: true
  hook:
    description: A command line as a list, or the path of a playbook or of a file of tasks on the controller.
    type: raw
    required: true
  plan:
    description: Machine to its operations.
    type: dict
    required: true
  result:
    description: The result of each service; empty before the deployment.
    type: dict
    required: true
  timeout_s:
    description: Seconds after which the hook is killed and counts as failed.
    type: float
    default: 300
attributes:
  check_mode:
    description: Runs nothing.
    support: full
extends_documentation_fragment:
  - attributes.no_diff
author: [Trade2026 founders (@trade2026)]
"""

EXAMPLES = r"""
- name: Open a change ticket
  core_hook:
    event: before_deploy
    hook: [/usr/local/bin/open-ticket, trade2026]
    plan: {}
    result: {}
"""

RETURN = r"""
# Only `changed`.
"""
