"""Read a Compose project and say what it holds, with every secret masked."""

from __future__ import annotations

import posixpath
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible.module_utils.compose_source.findings import find_all
from ansible.module_utils.compose_source.masking import Mask, all_secrets
from ansible.module_utils.compose_source.nodes import Node, SourceError, scalar_text
from ansible.module_utils.compose_source.project import Project, load
from ansible.module_utils.compose_source.services import Service, services_of
from ansible.module_utils.compose_source.syntax import is_below


def read(
    root: str,
    files: Sequence[str],
    windows_roots: Sequence[str],
    profiles: Sequence[str],
    environment: Mapping[str, str],
    folders: Sequence[str] = (),
) -> dict[str, Any]:
    """Everything that `trade_source_info` returns. Raises SourceError with file, line and remedy."""
    project = load(root, files, environment)
    services = services_of(project, profiles)
    tree = [posixpath.abspath(root), *windows_roots]
    findings = [finding.as_dict() for finding in find_all(project, services, tree)]
    mask = Mask(secrets_in(services))
    networks = _networks(project, services)
    result = {
        "project": project_name(project),
        "files": project.files,
        "services": {name: described(service, networks, tree) for name, service in services.items()},
        "networks": networks,
        "volumes": _section(project, "volumes"),
        "folders": {folder: entries(root, folder) for folder in folders},
        "findings": findings,
        "summary": dict(sorted(Counter(finding["kind"] for finding in findings).items())),
    }
    # A healthcheck or a command often repeats a secret of the environment, so all texts are masked with all secrets.
    masked = {key: mask.data(value) for key, value in result.items()}
    masked["report"] = lines(masked)
    return masked


def entries(root: str, folder: str) -> list[str]:
    """The folders inside of a folder of the tree, sorted. Raises SourceError where it cannot be listed."""
    path = Path(root) / folder
    try:
        return sorted(entry.name for entry in path.iterdir() if entry.is_dir())
    except OSError as error:
        raise SourceError(
            f"{folder}: cannot be listed in {root}: {error.strerror}. Bring it or make it readable."
        ) from None


def lines(result: Mapping[str, Any]) -> list[str]:
    """The result in lines for people: a block for each service, then the findings by kind."""
    told = [f"{', '.join(result['files'])}: {len(result['services'])} services"]
    for name, service in result["services"].items():
        image = service["image"] or "built from its sources"
        told.append(f"{name}{'' if service['active'] else ' (profile not active)'}: {image}")
        ports = [
            ":".join(part for part in (port["host_ip"], port["published"], str(port["target"])) if part)
            + ("" if port["protocol"] == "tcp" else f"/{port['protocol']}")
            for port in service["ports"]
        ]
        check = service["healthcheck"]
        facts = {
            "ports": ", ".join(ports),
            "networks": ", ".join(network["name"] for network in service["networks"]) or service["network_mode"],
            "volumes": ", ".join(
                f"{mount['source'] or 'anonymous'} -> {mount['target']}" for mount in service["volumes"]
            ),
            "environment": ", ".join(service["environment"]),
            "health check": " ".join(check["test"]) if check and check["test"] else "",
        }
        told += [f"  {what}: {value}" for what, value in facts.items() if value]
    told.append(f"{len(result['findings'])} findings" + (":" if result["findings"] else ""))
    for finding in sorted(result["findings"], key=lambda row: str(row["kind"])):
        service_name = f" {finding['service']}:" if finding["service"] else ""
        told.append(f"  {finding['kind']} at {finding['where']}:{service_name} {finding['message']}")
    return told


def secrets_in(services: Mapping[str, Service]) -> list[str]:
    """Every secret value of the services, also those that come from `.env`."""
    found: list[str] = []
    for service in services.values():
        pairs = [(name, scalar_text_of(node)) for name, node in service.environment.items()]
        pairs += list((service.build or {}).get("args", {}).items())
        lines = [" ".join(words) for words in (service.command, service.entrypoint) if words]
        lines += [" ".join(service.healthcheck["test"])] if service.healthcheck else []
        found += all_secrets(pairs, [*lines, *service.labels.values()])
    return found


def scalar_text_of(node: Node) -> str:
    """A scalar node's text; empty for anything else."""
    return "" if isinstance(node.value, dict | list) else scalar_text(node.value)


def project_name(project: Project) -> str:
    """The Compose project's name: COMPOSE_PROJECT_NAME, `name`, or the folder's name made fit."""
    node = project.model.get("name")
    name = project.environment.get("COMPOSE_PROJECT_NAME") or (
        node.text("`name`") if node else posixpath.basename(project.directory)
    )
    return re.sub(r"[^a-z0-9_-]", "", name.lower()).lstrip("_-")


def _networks(project: Project, services: Mapping[str, Service]) -> dict[str, dict[str, Any]]:
    found = _section(project, "networks")
    if any("default" in service.networks for service in services.values()):
        found.setdefault("default", _entry(project, "default", None))
    return found


def _section(project: Project, section: str) -> dict[str, dict[str, Any]]:
    node = project.model.get(section)
    return {name: _entry(project, name, entry) for name, entry in node.items(f"`{section}`")} if node else {}


def _entry(project: Project, name: str, node: Node | None) -> dict[str, Any]:
    external_node = node.get("external") if node else None
    nested = external_node.get("name") if external_node else None
    external = external_node is not None and external_node.value is not False
    name_node = (node.get("name") if node else None) or nested
    driver, ipam = (node.get("driver"), node.get("ipam")) if node else (None, None)
    config = ipam.get("config") if ipam else None
    subnets = [part.get("subnet") for part in config.elements("`ipam.config`")] if config else []
    return {
        "name": name_node.text("`name`") if name_node else (name if external else f"{project_name(project)}_{name}"),
        "external": external,
        "driver": driver.text("`driver`") if driver else "",
        "subnets": [subnet.text("`subnet`") for subnet in subnets if subnet],
    }


def described(service: Service, networks: Mapping[str, Mapping[str, Any]], tree: Sequence[str]) -> dict[str, Any]:
    """A service as plain data, not yet masked."""
    return {
        "active": service.active,
        "profiles": service.profiles,
        "image": service.image.text("`image`") if service.image else "",
        "build": service.build,
        "container_name": service.container_name,
        "command": service.command,
        "entrypoint": service.entrypoint,
        "ports": [
            {"host_ip": port.host_ip, "published": port.published, "target": port.target, "protocol": port.protocol}
            for port, _node in service.ports
        ],
        "volumes": [
            {
                "type": mount.kind,
                "source": mount.source,
                "target": mount.target,
                "read_only": mount.read_only,
                "in_tree": mount.kind == "bind" and is_below(mount.source, tree),
            }
            for mount, _node in service.volumes
        ],
        "networks": [
            {"key": key, "name": networks[key]["name"] if key in networks else key} for key in service.networks
        ],
        "network_mode": service.network_mode,
        "environment": {
            name: None if node.value is None else scalar_text_of(node)
            for name, node in sorted(service.environment.items())
        },
        "healthcheck": service.healthcheck,
        "limits": service.limits,
        "restart": service.restart,
        "user": service.user,
        "rights": service.rights,
        "stop": service.stop,
        "labels": service.labels,
        "depends_on": list(service.depends_on),
        "where": str(service.where),
    }
