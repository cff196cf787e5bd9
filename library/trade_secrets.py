#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
"""Create the services' secrets if they are missing."""

from __future__ import annotations

DOCUMENTATION = r"""
module: trade_secrets
short_description: Create the secrets of the services, once
version_added: 1.0.0
description:
  - Creates each declared secret that does not exist, readable by the group of its service.
  - Never returns or prints a secret; only names are reported.
  - A replaced secret is kept as a copy under C(.trade2026/replaced) of O(root).
options:
  root:
    description: Folder of the secrets. It is created with mode 0711.
    type: path
    required: true
  secrets:
    description: The declared secrets.
    type: list
    elements: dict
    required: true
    suboptions:
      path:
        description: File, relative to O(root).
        type: path
        required: true
      kind:
        description:
          - V(password) is one random line.
          - V(jwks) is a private JWK set with one RSA signing key.
          - V(clients) is a JSON object of client to secret hash, with the plain secrets in O(secrets[].plain).
        type: str
        choices: [password, jwks, clients]
        required: true
      gid:
        description: Numeric group that may read it.
        type: int
        required: true
      value:
        description: The site's own value; empty for a generated one. For V(clients) a JSON object of client to secret.
        type: str
      plain:
        description: File for the clients' plain secrets, readable by root alone. Needed for V(clients).
        type: path
      clients:
        description: Names of the clients. Needed for V(clients).
        type: list
        elements: str
attributes:
  check_mode:
    description: Reports what would be created, and creates nothing.
    support: full
  diff_mode:
    description: Secrets are not shown.
    support: none
author: [Trade2026 founders (@trade2026)]
"""

EXAMPLES = r"""
- name: Ensure the secrets exist
  trade_secrets:
    root: /srv/trade2026/secrets
    secrets:
      - {path: valkey/password, kind: password, gid: 1000}
"""

RETURN = r"""
created:
  description: Names of the secrets that were or would be created.
  returned: always
  type: list
  elements: str
replaced:
  description: Names of the secrets that the site's own value replaced, or that gained a client.
  returned: always
  type: list
  elements: str
reowned:
  description: Names of the secrets whose owner or mode was corrected.
  returned: always
  type: list
  elements: str
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.core.secret_store import SecretError, SecretStore
from ansible.module_utils.shared.fs import explain
from ansible.module_utils.shared.ownership import Ownership


def main() -> None:
    """Read the arguments, create what is missing, return names."""
    module = AnsibleModule(
        argument_spec={
            "root": {"type": "path", "required": True},
            "secrets": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "no_log": False,
                "options": {
                    "path": {"type": "path", "required": True},
                    "kind": {"type": "str", "choices": ["password", "jwks", "clients"], "required": True},
                    "gid": {"type": "int", "required": True},
                    "value": {"type": "str", "no_log": True},
                    "plain": {"type": "path"},
                    "clients": {"type": "list", "elements": "str"},
                },
                "required_if": [("kind", "clients", ("plain", "clients"))],
            },
        },
        supports_check_mode=True,
    )
    root = Path(module.params["root"])
    store = SecretStore(root, check_mode=module.check_mode)
    try:
        if not root.exists() and not module.check_mode:
            root.mkdir(mode=0o711, parents=True)
            # The services' users may pass through the folder, but only root may list it.
            Ownership(mode=0o711).apply(root)
        for entry in module.params["secrets"]:
            store.ensure(entry)
    except SecretError as error:
        module.fail_json(msg=str(error))
    except ImportError as error:
        module.fail_json(
            msg=f"the Python package {error.name} is missing; run `make setup`, or install it on this machine"
        )
    except OSError as error:
        module.fail_json(msg=explain(error))
    outcome = store.outcome
    module.exit_json(
        changed=outcome.changed, created=outcome.created, replaced=outcome.replaced, reowned=outcome.reowned
    )


if __name__ == "__main__":
    main()
