#!/usr/bin/python
"""Say what differs between a Compose definition and what runs."""

from __future__ import annotations

DOCUMENTATION = r"""
module: compose_drift
short_description: Say what differs between a service's Compose definition and its container
version_added: 1.0.0
description:
  - Read only. Compares the definition, given as text so that it need not be on the disk yet, with the
    running container.
  - Compared are the state, the health, the image's name and content, the configuration files (by the hash in the label
    C(com.trade2026.config.sha256)), the networks, the memory, processor and process limits, and the rest of the
    definition (by Compose's own hash).
options:
  definition:
    description: Text of the Compose fragment.
    type: str
    required: true
  service:
    description: Name of the service in the fragment.
    type: str
    required: true
  project:
    description: Name of the Compose project.
    type: str
    required: true
  project_src:
    description: Folder against which Compose resolves the fragment's relative paths. It need not exist.
    type: path
    required: true
  edited:
    description: Configuration files that were not as last written, so that the service may have read something else.
    type: list
    elements: path
    default: []
attributes:
  check_mode:
    description: Changes nothing in either mode.
    support: full
  diff_mode:
    description: The differences are the result itself.
    support: none
author: [Trade2026 founders (@trade2026)]
"""

EXAMPLES = r"""
- name: Look for drift of Valkey
  compose_drift:
    definition: "{{ lookup('ansible.builtin.file', 'services/valkey.yml') }}"
    service: valkey
    project: trade2026-core
    project_src: /srv/trade2026/infrastructure/docker/services
  register: valkey_drift
"""

RETURN = r"""
differences:
  description: What differs; empty when the service runs as declared.
  returned: success
  type: list
  elements: dict
  sample: [{what: state, current: exited, desired: running}]
recreate:
  description: Whether the container must be made anew although Compose would not see a reason.
  returned: success
  type: bool
reason:
  description: The differences in one line.
  returned: success
  type: str
  sample: "state: exited -> running"
health:
  description: Health of the running container, empty without one.
  returned: success
  type: str
started_at:
  description: When the running container started (RFC 3339), empty without one.
  returned: success
  type: str
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.core import drift
from ansible.module_utils.shared.docker import Docker, DockerError


def compose_hash(docker: Docker, definition: str, service: str, project: str, project_src: str) -> str:
    """Compose's own hash of the service, which it also puts on the container that it makes."""
    out = docker.call(
        "compose",
        "--project-name",
        project,
        "--project-directory",
        project_src,
        "--file",
        "-",
        "config",
        "--hash",
        service,
        stdin=definition,
    )
    return out.split()[-1]


def main() -> None:
    """Ask docker, compare, report."""
    module = AnsibleModule(
        argument_spec={
            "definition": {"type": "str", "required": True},
            "service": {"type": "str", "required": True},
            "project": {"type": "str", "required": True},
            "project_src": {"type": "path", "required": True},
            "edited": {"type": "list", "elements": "path", "default": []},
        },
        supports_check_mode=True,
    )
    try:
        import yaml
    except ImportError as error:
        module.fail_json(
            msg=f"the Python package {error.name} is missing; run `make setup`, or install it on this machine"
        )
    params: dict[str, Any] = module.params
    docker = Docker(module.run_command)
    try:
        content = yaml.safe_load(params["definition"])
        service = content["services"][params["service"]]
        container = service.get("container_name", params["service"])
        inspected = docker.inspect("container", container).get(container)
        image = docker.inspect("image", service["image"]).get(service["image"], {})
        want = drift.declared(
            service,
            content.get("networks") or {},
            str(image.get("Id", "")),
            compose_hash(docker, params["definition"], params["service"], params["project"], params["project_src"]),
        )
        have = drift.running(inspected) if inspected else None
    except (yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        module.fail_json(
            msg=f"the Compose definition of {params['service']} cannot be read: {type(error).__name__}: {error}. "
            "It is rendered from roles/core/templates/compose.yml.j2 and the role's vars."
        )
    except DockerError as error:
        module.fail_json(msg=str(error))
    differences = drift.compare(want, have, params["edited"])
    module.exit_json(
        changed=False,
        differences=differences,
        recreate=drift.recreates(differences),
        reason="; ".join(
            f"{row['what']}: {row['current'] or 'none'} -> {row['desired'] or 'none'}" for row in differences
        ),
        health=have.health if have else "",
        started_at=have.started_at if have else "",
    )


if __name__ == "__main__":
    main()
