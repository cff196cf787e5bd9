#!/usr/bin/python
"""Read a Trade2025 Compose file and say what it holds."""

from __future__ import annotations

DOCUMENTATION = r"""
module: trade_source_info
short_description: Read a Trade2025 Compose project as Compose does, without an engine
version_added: 1.0.0
description:
  - Reads anchors, merge keys, C(extends), several files, C(include), C(.env) and variables, short and long syntax
    and profiles.
  - Returns every service in one form, and findings about what would not work, would not be safe or is not migrated.
  - Secrets are masked in everything that is returned, wherever they stand.
  - Read only. The source tree is never written to.
options:
  root:
    description: Folder of the Trade2025 tree.
    type: path
    required: true
  files:
    description: Compose files, relative to O(root); a later one overrides an earlier one, as with C(docker compose -f).
    type: list
    elements: str
    default: [docker-compose.core.yml]
  windows_roots:
    description: What the tree calls its own place in absolute paths. Mounts from below count as inside of the tree.
    type: list
    elements: str
    default: ["C:/trade2025"]
  profiles:
    description: Active profiles. Empty takes C(COMPOSE_PROFILES) of O(env) or of C(.env).
    type: list
    elements: str
    default: []
  env:
    description: >-
      Variables of the shell that Compose is called from. They win over C(.env). The module's own are not looked at.
    type: dict
    default: {}
  folders:
    description: Folders below O(root) of which the folders inside are returned, to know what there is to migrate.
    type: list
    elements: str
    default: []
attributes:
  check_mode:
    description: Reads in either mode.
    support: full
  diff_mode:
    description: There is nothing that could differ.
    support: none
requirements: [PyYAML]
author: [Trade2026 founders (@trade2026)]
"""

EXAMPLES = r"""
- name: Read the source
  trade_source_info:
    root: /mnt/c/trade2025
  register: source

- name: Read it with an override and a profile
  trade_source_info:
    root: /mnt/c/trade2025
    files: [docker-compose.core.yml, docker-compose.override.yml]
    profiles: [monitoring]
    env: {TAG: "1.2.3"}
"""

RETURN = r"""
project:
  description: The Compose project's name.
  returned: success
  type: str
files:
  description: Every file that was read, relative to O(root).
  returned: success
  type: list
  elements: str
services:
  description: >-
    Service name to its settings: C(active), C(profiles), C(image), C(build), C(container_name), C(command),
    C(entrypoint), C(ports) (C(host_ip), C(published), C(target), C(protocol)), C(volumes) (C(type), C(source),
    C(target), C(read_only), C(in_tree)), C(networks) (C(key), C(name)), C(network_mode), C(environment),
    C(healthcheck) (times in seconds), C(limits) (memory in bytes), C(restart), C(user), C(rights)
    (C(privileged), C(read_only), C(cap_add), C(cap_drop), C(security_opt)), C(stop) (C(signal), C(grace_s)), C(labels),
    C(depends_on), C(where) (file and line).
  returned: success
  type: dict
networks:
  description: "Network key to C(name), C(external), C(driver) and C(subnets)."
  returned: success
  type: dict
volumes:
  description: "Volume key to C(name), C(external) and C(driver)."
  returned: success
  type: dict
folders:
  description: Folder of O(folders) to the names of the folders inside.
  returned: success
  type: dict
  sample: {trading/apps: [authn, opa_authorizer]}
report:
  description: All of it in lines for people.
  returned: success
  type: list
  elements: str
findings:
  description: >-
    What is worth saying. Kinds are V(port_clash), V(unpinned_tag), V(no_image), V(literal_secret), V(obsolete_key),
    V(unset_variable), V(undefined_network), V(undefined_volume), V(undefined_secret), V(undefined_config),
    V(undefined_service), V(missing_env_file), V(mount_outside), V(healthcheck_tool), V(healthcheck_address),
    V(no_healthcheck).
  returned: success
  type: list
  elements: dict
  sample:
    - service: clickhouse
      kind: port_clash
      message: "host port 9000/tcp for 9000 is also published by questdb (docker-compose.core.yml:41) for 9000: …"
      where: "docker-compose.core.yml:61"
summary:
  description: Kind of finding to how often.
  returned: success
  type: dict
  sample: {port_clash: 1, unpinned_tag: 6}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.compose_source.nodes import SourceError
from ansible.module_utils.compose_source.report import read


def main() -> None:
    """Read the arguments, read the project, report."""
    module = AnsibleModule(
        argument_spec={
            "root": {"type": "path", "required": True},
            "files": {"type": "list", "elements": "str", "default": ["docker-compose.core.yml"]},
            "windows_roots": {"type": "list", "elements": "str", "default": ["C:/trade2025"]},
            "profiles": {"type": "list", "elements": "str", "default": []},
            "env": {"type": "dict", "default": {}},
            "folders": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    params = module.params
    try:
        result = read(
            params["root"],
            params["files"],
            params["windows_roots"],
            params["profiles"],
            {str(name): str(value) for name, value in params["env"].items()},
            params["folders"],
        )
    except SourceError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
