#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a container that reads and writes the data directory on a network."""

from __future__ import annotations

DOCUMENTATION = r"""
module: core_container_check
short_description: Run a container that reads and writes a directory on a network
version_added: 1.0.0
description:
  - The integration test of directories and networks from the source text. The container runs as the directory's owner,
    without capabilities, removes what it wrote, and is removed itself. If the run is killed, the next one finds the
    container by its label and removes it.
options:
  directory:
    description: Directory below O(root) that the container must read and write.
    type: str
    default: data
  image:
    description: Small image with a shell.
    type: str
    required: true
  network:
    description: Network that the container joins.
    type: str
    required: true
  timeout_s:
    description: Seconds after which the check fails.
    type: int
    default: 60
attributes:
  check_mode:
    description: Starts no container.
    support: full
extends_documentation_fragment:
  - deployment
  - attributes.no_diff
author: [Trade2026 founders (@trade2026)]
"""

EXAMPLES = r"""
- name: Check that containers can use the data directory
  core_container_check:
    root: /srv/trade2026
    image: alpine:3.22.2
    network: trade2026-backend
"""

RETURN = r"""
message:
  description: What was checked.
  returned: success
  type: str
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.core.validate_command import HELPER_LABEL
from ansible.module_utils.shared.docker import Docker, DockerError

SCRIPT = """
file=/probe/.preflight-$$
ls /probe >/dev/null && echo preflight >"$file" && grep -q preflight "$file"
code=$?
rm -f "$file"
exit $code
"""


def main() -> None:
    """Run the container, and report what it could not do."""
    module = AnsibleModule(
        argument_spec={
            "root": {"type": "path", "required": True},
            "directory": {"type": "str", "default": "data"},
            "image": {"type": "str", "required": True},
            "network": {"type": "str", "required": True},
            "timeout_s": {"type": "int", "default": 60},
        },
        supports_check_mode=True,
    )
    params = module.params
    directory = Path(params["root"]) / params["directory"]
    what = f"a container on {params['network']} reads and writes {directory}"
    if module.check_mode:
        module.exit_json(changed=False, message=f"checked only outside check mode: {what}")
    try:
        owner = directory.stat()
        code, out, err = Docker(module.run_command).attempt(
            *("run", "--rm", "--pull", "never", "--label", f"{HELPER_LABEL}={params['root']}"),
            *("--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--read-only"),
            *("--user", f"{owner.st_uid}:{owner.st_gid}", "--network", params["network"]),
            *("--volume", f"{directory}:/probe", params["image"], "sh", "-c", SCRIPT),
            timeout_s=params["timeout_s"],
        )
    except (DockerError, OSError) as error:
        module.fail_json(msg=str(error))
    if code != 0:
        said = (err or out).strip() or f"exit code {code}"
        module.fail_json(
            msg=f"a container on {params['network']} cannot read and write {directory}: {said}. Do: make sure that the "
            "directory may be shared with containers (Docker Desktop: file sharing; SELinux: its label)"
        )
    module.exit_json(changed=False, message=what)


if __name__ == "__main__":
    main()
