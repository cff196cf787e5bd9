#!/usr/bin/python
"""Check everything that must hold before the services are deployed."""

from __future__ import annotations

DOCUMENTATION = r"""
module: trade_gate
short_description: Check every precondition of a deployment and report all failures at once
version_added: 1.0.0
description:
  - Looks at the directory tree, the networks and their subnets, the container names and host ports, the memory and
    disk, the kernel setting and file descriptor limit that services need, the versions of the engine and of Compose,
    and variables that contradict each other.
  - Runs a container on a network that reads and writes the data directory, and removes what it wrote.
options:
  root:
    description: Folder of the new tree.
    type: path
    required: true
  secrets_root:
    description: Folder of the secrets.
    type: path
    required: true
  foundation:
    description: With V(ensure), what a dry run would still create is no failure. With V(verify) it is.
    type: str
    choices: [ensure, verify]
    default: ensure
  directories:
    description: Directories that must exist below O(root).
    type: list
    elements: str
    required: true
  documents:
    description: Files that must exist below O(root).
    type: list
    elements: str
    default: []
  networks:
    description: Networks that must exist, each with exactly its subnet.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the network.
        type: str
        required: true
      subnet:
        description: Its subnet in CIDR form.
        type: str
        required: true
  project:
    description: Name of the Compose project; its own containers are no clash.
    type: str
    required: true
  services:
    description: What each service of this machine needs.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the service.
        type: str
        required: true
      container:
        description: Name of its container.
        type: str
        required: true
      ports:
        description: Host ports that it publishes.
        type: list
        elements: int
        default: []
      memory:
        description: Memory limit in Compose units.
        type: str
        required: true
      nofile:
        description: File descriptors that its container asks for.
        type: int
        default: 0
      max_map_count:
        description: Least value of the kernel's vm.max_map_count.
        type: int
        default: 0
      open:
        description: Whether anybody who reaches its port may use it.
        type: bool
        default: false
      at_most:
        description: Settings that must not exceed another one, as numbers or sizes.
        type: list
        elements: dict
        default: []
        suboptions:
          name:
            description: Variable that is bounded.
            type: str
            required: true
          value:
            description: Its value.
            type: str
            required: true
          limit_name:
            description: Variable that bounds it.
            type: str
            required: true
          limit:
            description: The bound.
            type: str
            required: true
  bind_address:
    description: Host address on which ports are published.
    type: str
    required: true
  accept_open_services:
    description: Publish services without credentials on other addresses than loopback.
    type: bool
    default: false
  accept_readable_secrets:
    description: Keep secrets on a drive that keeps no owners.
    type: bool
    default: false
  min_engine:
    description: Oldest version of the Docker engine.
    type: str
    required: true
  min_compose:
    description: Oldest version of Compose.
    type: str
    required: true
  collection:
    description:
      - Version of the collection community.docker on the controller, which reads what Compose prints.
    type: str
    required: true
  min_collection:
    description: Oldest version of that collection.
    type: str
    required: true
  min_free_gib:
    description: Free disk space wanted under O(root), in GiB.
    type: float
    required: true
  memory_share:
    description: Share of the machine's memory that all limits may add up to.
    type: float
    default: 1.0
  probe_image:
    description: Small image with a shell, for the integration test.
    type: str
    required: true
  probe_network:
    description: Network that the integration test's container joins.
    type: str
    required: true
  probe_directory:
    description: Directory below O(root) that the container must read and write.
    type: str
    default: data
attributes:
  check_mode:
    description: The same checks, but for one.
    details: The integration test starts a container, so it is only announced.
    support: partial
  diff_mode:
    description: Changes nothing that could be shown.
    support: none
author: [Trade2026 founders (@trade2026)]
"""

EXAMPLES = r"""
- name: Stop if any precondition fails
  trade_gate:
    root: /srv/trade2026
    secrets_root: /srv/trade2026/secrets
    directories: [data, config]
    networks: [{name: trade2026-backend, subnet: 172.21.0.0/16}]
    project: trade2026-core
    services: [{name: valkey, container: valkey, ports: [6379], memory: 3g}]
    bind_address: 127.0.0.1
    min_engine: 20.10.0
    min_compose: 2.20.3
    collection: 4.8.5
    min_collection: 4.8.5
    min_free_gib: 5
    probe_image: alpine:3.22
    probe_network: trade2026-backend
"""

RETURN = r"""
checks:
  description: Every check with its result, and its remedy where it failed.
  returned: always
  type: list
  elements: dict
  sample: [{name: disk, ok: true, message: "80.1 GiB free under /srv, 5 wanted", remedy: ""}]
fragments:
  description: Services that have a Compose fragment on the disk.
  returned: always
  type: list
  elements: str
"""

import re
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.gate import engine, host, tree
from ansible.module_utils.gate.result import Result, failed, passed, report
from ansible.module_utils.shared.docker import Docker, DockerError

NETWORK = {"name": {"type": "str", "required": True}, "subnet": {"type": "str", "required": True}}
SERVICE = {
    "name": {"type": "str", "required": True},
    "container": {"type": "str", "required": True},
    "ports": {"type": "list", "elements": "int", "default": []},
    "memory": {"type": "str", "required": True},
    "nofile": {"type": "int", "default": 0},
    "max_map_count": {"type": "int", "default": 0},
    "open": {"type": "bool", "default": False},
    "at_most": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "name": {"type": "str", "required": True},
            "value": {"type": "str", "required": True},
            "limit_name": {"type": "str", "required": True},
            "limit": {"type": "str", "required": True},
        },
    },
}
# Seconds for the integration test's container, which needs under two on a slow machine.
INTEGRATION_TIMEOUT_S = 60
INTEGRATION_SCRIPT = """
file=/probe/.gate-$$
ls /probe >/dev/null && echo gate >"$file" && grep -q gate "$file"
code=$?
rm -f "$file"
exit $code
"""


def check_machine(params: dict[str, Any]) -> list[Result]:
    """What can be seen without the engine."""
    root = Path(params["root"])
    ensure = params["foundation"] == "ensure"
    services = params["services"]
    total = re.search(r"^MemTotal:\s+(\d+) kB", Path("/proc/meminfo").read_text(encoding="utf-8"), re.MULTILINE)
    return [
        *tree.check_writable(root),
        *tree.check_tree(root, params["directories"], params["documents"], will_create=ensure),
        *tree.check_disk(root, params["min_free_gib"]),
        *tree.check_secrets(Path(params["secrets_root"]), params["accept_readable_secrets"]),
        *host.check_memory(services, int(total[1]) * 1024 if total else 0, params["memory_share"]),
        *host.check_bounds(services),
        *host.check_map_count(services, int(Path("/proc/sys/vm/max_map_count").read_text(encoding="utf-8"))),
        *host.check_nofile(services, host.engine_nofile()),
        *host.check_bind(params["bind_address"]),
        *host.check_open(services, params["bind_address"], params["accept_open_services"]),
    ]


def published_ports(docker: Docker) -> dict[int, str]:
    """Host port → name of the running container that publishes it."""
    found = {}
    for container in docker.lines("ps"):
        found.update(dict.fromkeys(host.host_ports(container["Ports"]), container["Names"]))
    return found


def check_engine(docker: Docker, params: dict[str, Any]) -> list[Result]:
    """What the engine knows."""
    results = engine.check_version(
        "Docker engine", docker.call("version", "--format", "{{.Server.Version}}"), params["min_engine"]
    )
    code, out, _error = docker.attempt("compose", "version", "--short")
    results += engine.check_version("Docker Compose", out if code == 0 else "", params["min_compose"])
    results += engine.check_version("community.docker", params["collection"], params["min_collection"])
    networks = docker.inspect("network", *(network["name"] for network in params["networks"]))
    results += engine.check_networks(params["networks"], networks, will_create=params["foundation"] == "ensure")
    containers = docker.inspect("container", *(service["container"] for service in params["services"]))
    results += engine.check_containers(params["services"], containers, params["project"], params["root"])
    tables = [
        path.read_text(encoding="utf-8") for path in map(Path, ("/proc/net/tcp", "/proc/net/tcp6")) if path.exists()
    ]
    results += host.check_ports(
        params["services"], params["bind_address"], host.listeners(tables), published_ports(docker)
    )
    return results


def check_integration(docker: Docker, params: dict[str, Any]) -> Result:
    """A container on the network reads and writes the data directory (the source text's integration test)."""
    name = "integration of directories and networks"
    directory = Path(params["root"]) / params["probe_directory"]
    code, out, err = docker.attempt(
        "run",
        "--rm",
        "--pull",
        "never",
        "--cap-drop",
        "ALL",
        "--security-opt",
        "no-new-privileges",
        "--read-only",
        "--user",
        f"{directory.stat().st_uid}:{directory.stat().st_gid}",
        "--network",
        params["probe_network"],
        "--volume",
        f"{directory}:/probe",
        params["probe_image"],
        "sh",
        "-c",
        INTEGRATION_SCRIPT,
        timeout_s=INTEGRATION_TIMEOUT_S,
    )
    if code == 0:
        return passed(name, f"a container on {params['probe_network']} reads and writes {directory}")
    return failed(
        name,
        f"a container on {params['probe_network']} cannot read and write {directory}: "
        + ((err or out).strip() or f"exit code {code}"),
        "see that the directory may be shared with containers (Docker Desktop: file sharing; SELinux: its label)",
    )


def main() -> None:
    """Run every check, then fail once with all that is wrong."""
    module = AnsibleModule(
        argument_spec={
            "root": {"type": "path", "required": True},
            "secrets_root": {"type": "path", "required": True},
            "foundation": {"type": "str", "choices": ["ensure", "verify"], "default": "ensure"},
            "directories": {"type": "list", "elements": "str", "required": True},
            "documents": {"type": "list", "elements": "str", "default": []},
            "networks": {"type": "list", "elements": "dict", "required": True, "options": NETWORK},
            "project": {"type": "str", "required": True},
            "services": {"type": "list", "elements": "dict", "required": True, "options": SERVICE},
            "bind_address": {"type": "str", "required": True},
            "accept_open_services": {"type": "bool", "default": False},
            "accept_readable_secrets": {"type": "bool", "default": False},
            "min_engine": {"type": "str", "required": True},
            "min_compose": {"type": "str", "required": True},
            "collection": {"type": "str", "required": True},
            "min_collection": {"type": "str", "required": True},
            "min_free_gib": {"type": "float", "required": True},
            "memory_share": {"type": "float", "default": 1.0},
            "probe_image": {"type": "str", "required": True},
            "probe_network": {"type": "str", "required": True},
            "probe_directory": {"type": "str", "default": "data"},
        },
        supports_check_mode=True,
    )
    params: dict[str, Any] = module.params
    docker = Docker(module.run_command)
    results = check_machine(params)
    try:
        results += check_engine(docker, params)
    except DockerError as error:
        results.append(
            failed("Docker engine", str(error), "start the engine (`make setup` does on this machine), then run again")
        )
    if all(result.ok for result in results):
        if module.check_mode:
            results.append(
                passed("integration of directories and networks", "left to the real run: it starts a container")
            )
        else:
            results.append(check_integration(docker, params))
    checks = [result.as_dict() for result in results]
    if not all(result.ok for result in results):
        module.fail_json(msg=report(results), checks=checks)
    fragments = Path(params["root"]) / "infrastructure/docker/services"
    module.exit_json(changed=False, checks=checks, fragments=sorted(path.stem for path in fragments.glob("[!.]*.yml")))


if __name__ == "__main__":
    main()
