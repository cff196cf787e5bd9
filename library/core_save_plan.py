#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action plugin of this name: it runs on the controller, and there is no module to run."""

from __future__ import annotations

DOCUMENTATION = r"""
module: core_save_plan
short_description: Save the plans of all machines in one file on the controller
version_added: 1.0.0
description:
  - Writes what C(core_plan) returned for each machine, with the expiry time, the project's version and a checksum.
    C(docs/plan.schema.json) describes the file. No secret is in it.
options:
  dest:
    description: The file, on the controller.
    type: path
    required: true
  hours:
    description: Hours for which the plan may be applied.
    type: float
    default: 24
  services:
    description: Names of the services of the run.
    type: list
    elements: str
    required: true
  plans:
    description: Machine to the result of C(core_plan).
    type: dict
    required: true
attributes:
  check_mode:
    description: Writes the file in check mode too, because a plan is itself a dry run.
    support: full
extends_documentation_fragment:
  - attributes.no_diff
author: [Trade2026 founders (@trade2026)]
"""

EXAMPLES = r"""
- name: Save the plan
  core_save_plan:
    dest: plan.json
    services: [valkey]
    plans: {core-1: "{{ core_planned }}"}
  run_once: true
"""

RETURN = r"""
sha256:
  description: Checksum of the plan.
  returned: success
  type: str
"""
