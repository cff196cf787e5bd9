#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare the images of services with what their roles assume about them."""

from __future__ import annotations

DOCUMENTATION = r"""
module: image_audit
short_description: Compare images with what the roles assume about them
version_added: "1.0.0"
description:
  - Reads an image's configuration and its file system. For the latter a container is created, exported and removed
    without being started.
options:
  services:
    description: >-
      Service name to C(reference), C(user) (C(uid) and C(gid)), C(mounts) (paths of its volumes and tmpfs) and
      C(stop_signal).
    type: dict
    required: true
  contracts:
    description: Service name to what its role assumes, see C(roles/image/files/contracts.yml).
    type: dict
    required: true
attributes:
  check_mode:
    description: Works in the same way in check mode; the container is removed at once.
    support: full
extends_documentation_fragment:
  - attributes.no_diff
author: [Trade2026 founders (@trade2026)]
"""

EXAMPLES = r"""
- name: Audit Valkey's image
  image_audit:
    services:
      valkey:
        reference: valkey/valkey:8.1.8-alpine
        user: {uid: 999, gid: 1000}
        mounts: [/data]
        stop_signal: SIGTERM
    contracts:
      valkey: {entrypoint: docker-entrypoint.sh, tools: [sh, valkey-cli]}
"""

RETURN = r"""
findings:
  description: Service name to its differences, each with C(what), C(expected), C(found) and C(consequence).
  returned: success
  type: dict
"""

from collections.abc import Mapping
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.images.contract import Contract, Service, as_data, audit, look
from ansible.module_utils.images.plan import ImageError
from ansible.module_utils.shared.docker import Docker, DockerError


def contract(name: str, values: Mapping[str, Any]) -> Contract:
    """The contract of a service; ImageError names unknown keys."""
    unknown = sorted(set(values) - set(Contract.__dataclass_fields__))
    if unknown:
        raise ImageError(
            f"contract of {name}: {', '.join(unknown)} is not one of {', '.join(Contract.__dataclass_fields__)}"
        )
    lists = {key: tuple(value) for key, value in values.items() if isinstance(value, list)}
    return Contract(**{**values, **lists})


def service(values: Mapping[str, Any]) -> Service:
    """What the service's definition adds to the image."""
    user = values["user"]
    return Service(int(user["uid"]), int(user["gid"]), tuple(values["mounts"]), str(values["stop_signal"]))


def audit_all(docker: Docker, params: Mapping[str, Any]) -> dict[str, list[dict[str, str]]]:
    """The findings of every service."""
    references = sorted({str(values["reference"]) for values in params["services"].values()})
    found = docker.inspect("image", *references)
    findings = {}
    for name, values in params["services"].items():
        reference = str(values["reference"])
        if reference not in found:
            raise ImageError(
                f"{name}: image {reference} is not on the machine; run playbooks/images.yml without a dry run"
            )
        declared = contract(name, params["contracts"].get(name, {}))
        findings[name] = as_data(audit(declared, service(values), found[reference], look(docker, reference)))
    return findings


def main() -> None:
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            "services": {"type": "dict", "required": True},
            "contracts": {"type": "dict", "required": True},
        },
        supports_check_mode=True,
    )
    try:
        findings = audit_all(Docker(module.run_command), module.params)
    except (ImageError, DockerError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, findings=findings)


if __name__ == "__main__":
    main()
