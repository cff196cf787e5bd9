#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action plugin of this name: it runs on the controller and calls the module `managed_files`."""

from __future__ import annotations

DOCUMENTATION = r"""
module: core_files
short_description: Render the files of services, and write those that the plan lists
version_added: 1.0.0
description:
  - Renders the templates of each service's role and its Compose fragment on the controller, and calls
    C(managed_files) once, which runs each service's validate command first and writes on the machine. The results are
    those of C(managed_files).
options:
  services:
    description: The services.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the service.
        type: str
        required: true
      role:
        description: Role that describes it; by default, the one that the service's host names.
        type: str
      image:
        description: The image that the service will run, with C(reference) and C(version).
        type: dict
        required: true
      owners:
        description: Data directories below which every entry is given to the service's user.
        type: list
        elements: str
        default: []
      expected:
        description: The operations in the plan. If any other is needed, the service fails and nothing of it is changed.
        type: list
        elements: str
attributes:
  check_mode:
    description: Runs the validate command and predicts what would be written.
    support: full
  diff_mode:
    description: Shows the files, with placeholders where the secrets are.
    support: full
extends_documentation_fragment:
  - deployment
  - deployment.secrets
  - deployment.journal
  - deployment.fail
author: [Trade2026 founders (@trade2026)]
"""

EXAMPLES = r"""
- name: Ensure the files of Valkey are current
  core_files:
    services:
      - name: valkey
        image: {reference: "valkey/valkey:8.1.8-alpine", version: 8.1.8-alpine}
    root: /srv/trade2026
    secrets_root: /srv/trade2026/secrets
"""

RETURN = r"""
# As the module managed_files.
"""
