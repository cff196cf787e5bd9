# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the options by which modules work on a deployment, its journal and its lock."""

from __future__ import annotations


class ModuleDocFragment:
    """`deployment`, and its parts `project`, `secrets`, `journal`, `fail` and `lock`."""

    DOCUMENTATION = r"""
options:
  root:
    description: Folder of the deployment.
    type: path
    required: true
"""

    PROJECT = r"""
options:
  project:
    description: Compose project. Containers of another project are not touched.
    type: str
    required: true
"""

    SECRETS = r"""
options:
  secrets_root:
    description: Folder of the secrets.
    type: path
    required: true
"""

    JOURNAL = r"""
options:
  run:
    description: The run whose journal records what was done; empty for none.
    type: str
    default: ""
"""

    FAIL = r"""
options:
  fail:
    description: Whether the task fails if a service fails. With V(false) the caller reads C(failed) and C(msg) of each.
    type: bool
    default: true
"""

    LOCK = r"""
options:
  take_over:
    description: The run that holds the lock and is known to have ended, or C(damaged-lock) for a lock that names none.
    type: str
    default: ""
"""
