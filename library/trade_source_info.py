#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read a Trade2025 Compose project and describe it."""

from __future__ import annotations

DOCUMENTATION = r"""
module: trade_source_info
short_description: Read a Trade2025 Compose project with Docker Compose
version_added: 1.0.0
description:
  - Asks C(docker compose config) for the project's model, so every valid project is read exactly as Compose reads it.
    The command needs no running engine and no special rights.
  - Returns every service, including those of inactive profiles, and findings about what would not work, would not be
    safe or is not migrated. A finding names the file and line.
  - Fails if Compose refuses the project. The message is Compose's own with the file and line, if known, and a remedy.
  - Fails if the machine has no Docker Compose 2.20 or newer. In check mode it returns RV(available=false) instead.
  - >-
    Secrets are masked in everything that is returned. A password that equals a name (C(CLICKHOUSE_PASSWORD=clickhouse))
    is masked where it is a value; names stay readable.
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
    description: Paths of the tree's root as its own files write them. Mounts from below them count as inside the tree.
    type: list
    elements: str
    default: ["C:/trade2025"]
  profiles:
    description: Active profiles. If empty, C(COMPOSE_PROFILES) of O(env) or of C(.env) applies.
    type: list
    elements: str
    default: []
  env:
    description: >-
      The whole environment of Compose. These variables take precedence over C(.env). The environment of the module
      itself has no effect; C(~) in a path stays as it is unless C(HOME) is one of them.
    type: dict
    default: {}
  migration:
    description:
      - A migration to plan as well, with the options of C(trade_migrate). Nothing is changed.
      - It is planned here because a module process of its own would cost more time than the plan.
    type: dict
attributes:
  check_mode:
    description: Reads in either mode.
    support: full
  diff_mode:
    description: Nothing is changed.
    support: none
requirements: [Docker Compose >= 2.20, PyYAML]
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
available:
  description: Whether the project could be read. It can be false only in check mode.
  returned: success
  type: bool
reason:
  description: Why it could not be read; empty if it was.
  returned: success
  type: str
project:
  description: The Compose project's name.
  returned: success
  type: str
files:
  description: Every Compose file and C(.env) file of the project, relative to O(root).
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
  description: "Key of a network that services use to C(name), C(external), C(driver) and C(subnets)."
  returned: success
  type: dict
volumes:
  description: "Key of a volume that services use to C(name), C(external) and C(driver)."
  returned: success
  type: dict
migration:
  description: What C(trade_migrate) returns in check mode for O(migration).
  returned: if O(migration) is set
  type: dict
report:
  description: The whole result as lines to display.
  returned: success
  type: list
  elements: str
findings:
  description: >-
    The findings. Kinds are V(port_clash), V(unpinned_tag), V(literal_secret), V(obsolete_key),
    V(unset_variable), V(mount_outside), V(healthcheck_tool), V(healthcheck_address), V(no_healthcheck), V(not_read).
  returned: success
  type: list
  elements: dict
  sample:
    - service: clickhouse
      kind: port_clash
      message: "host port 9000/tcp for 9000 is also published by questdb (docker-compose.core.yml:41) for 9000: …"
      where: "docker-compose.core.yml:61"
summary:
  description: Kind of finding to the number of findings.
  returned: success
  type: dict
  sample: {port_clash: 1, unpinned_tag: 6}
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.module_utils.compose_source.compose import SourceError
from ansible.module_utils.compose_source.report import read


def planner(module: AnsibleModule) -> Callable[[], dict[str, Any]]:
    """A function that returns what the migration would do, and ends the module if it could not be planned."""
    # Imported here, because importing them takes as long as Compose needs to read the project.
    from ansible.module_utils.migration.context import MigrationError
    from ansible.module_utils.migration.options import ARGUMENTS, run
    from ansible.module_utils.rewriting.path_map import MapError

    def planned() -> dict[str, Any]:
        options = ArgumentSpecValidator(ARGUMENTS).validate(module.params["migration"])
        if options.error_messages:
            module.fail_json(msg="migration: " + "; ".join(options.error_messages))
        try:
            report, result = run(options.validated_parameters, check_mode=True, with_diff=module._diff)
        except (MapError, MigrationError) as error:
            module.fail_json(msg=str(error))
        for warning in report.warnings:
            module.warn(warning)
        if report.failure:
            module.fail_json(msg=f"Nothing was changed. {report.failure}", migration=result)
        return result

    return planned


def main() -> None:
    """Read the project that the arguments name."""
    module = AnsibleModule(
        argument_spec={
            "root": {"type": "path", "required": True},
            "files": {"type": "list", "elements": "str", "default": ["docker-compose.core.yml"]},
            "windows_roots": {"type": "list", "elements": "str", "default": ["C:/trade2025"]},
            "profiles": {"type": "list", "elements": "str", "default": []},
            "env": {"type": "dict", "default": {}},
            "migration": {"type": "dict"},
        },
        supports_check_mode=True,
    )
    params = module.params
    with ThreadPoolExecutor(max_workers=1) as executor:
        reading = executor.submit(
            read,
            params["root"],
            params["files"],
            params["windows_roots"],
            params["profiles"],
            {str(name): str(value) for name, value in params["env"].items()},
            dry_run=module.check_mode,
        )
        plan_migration = planner(module) if params["migration"] else None
    try:
        result = reading.result()
    except SourceError as error:
        module.fail_json(msg=str(error))
    if plan_migration:
        result["migration"] = plan_migration()
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
