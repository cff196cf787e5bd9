#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action plugin of this name: it runs on the controller, and there is no module to run."""

from __future__ import annotations

DOCUMENTATION = r"""
module: core_describe
short_description: Describe services from their roles and the site, without inspecting a machine
version_added: 1.0.0
description:
  - Merges the defaults and vars of a service's role with the variables of the inventory and the command line, and
    builds the record of the service. Starts no process on any machine.
  - No secret is part of the result. Values that depend on the image's version are empty.
options:
  services:
    description: Names of the services, which are hosts of the inventory.
    type: list
    elements: str
    required: true
extends_documentation_fragment:
  - attributes.read_only
  - attributes.no_diff
author: [Trade2026 founders (@trade2026)]
"""

EXAMPLES = r"""
- name: Describe Valkey
  core_describe:
    services: [valkey]
  register: described
"""

RETURN = r"""
services:
  description: Service to its dictionary, with the defaults of the schema.
  returned: success
  type: dict
records:
  description: Service to its record, everything that is derived from the dictionary and the site.
  returned: success
  type: dict
"""
