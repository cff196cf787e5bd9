# SPDX-License-Identifier: GPL-3.0-or-later
"""The Docker engine, its networks, and the containers that are already there."""

from __future__ import annotations

import contextlib
import ipaddress
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ansible.module_utils.deployment.model import DesiredNetwork, ObservedContainer, ObservedNetwork
from ansible.module_utils.preflight.result import Result, failed, passed

PROJECT_LABEL = "com.docker.compose.project"


def version(text: str) -> tuple[int, ...]:
    """`20.10.24+dfsg1` → (20, 10, 24)."""
    match = re.match(r"v?(\d+(?:\.\d+)*)", text.strip())
    return tuple(map(int, match[1].split("."))) if match else ()


def check_version(name: str, found: str, minimum: str) -> list[Result]:
    """A program is installed and new enough."""
    if not version(found):
        return [failed(name, "not found", "run `make setup` on this machine, or install it")]
    if version(found) < version(minimum):
        return [failed(name, f"version {found.strip()}, {minimum} or newer is needed", f"update {name}")]
    return [passed(name, f"version {found.strip()}")]


def _overlapping(subnet: str, existing: Mapping[str, ObservedNetwork]) -> str:
    """The existing network whose addresses overlap, with its subnet; empty for none. The engine refuses overlaps."""
    wanted = ipaddress.ip_network(subnet, strict=False)
    for name, network in sorted(existing.items()):
        for other in network.subnets:
            with contextlib.suppress(ValueError, TypeError):
                if wanted.overlaps(ipaddress.ip_network(other, strict=False)):
                    return f"the network {name} ({other})"
    return ""


def check_networks(
    wanted: Sequence[DesiredNetwork], existing: Mapping[str, ObservedNetwork], will_create: bool
) -> list[Result]:
    """Each network exists with exactly its declared properties, or will be created (`will_create`)."""
    results = []
    for network in wanted:
        name = f"network {network.name}"
        found = existing.get(network.name)
        if found is None:
            taken = _overlapping(network.subnet, existing)
            if will_create and taken:
                results.append(
                    failed(
                        name,
                        f"{network.subnet} overlaps with {taken}",
                        "set another subnet in trade2026_networks, or remove that network if it is unused",
                    )
                )
            elif will_create:
                results.append(passed(name, f"will be created with {network.subnet}"))
            else:
                results.append(
                    failed(
                        name,
                        "does not exist",
                        "run with trade2026_foundation=ensure, or: "
                        f"docker network create --subnet {network.subnet} {network.name}",
                    )
                )
            continue
        wrong = [
            f"{what} is {current}, {desired} is declared"
            for what, current, desired in (
                ("subnet", ", ".join(found.subnets) or "none", network.subnet),
                ("driver", found.driver, network.driver),
                ("internal", _word(found.internal), _word(network.internal)),
                ("IPv6", _word(found.ipv6), _word(network.ipv6)),
                ("options", _options(found.options), _options(network.options)),
            )
            if current != desired
        ]
        if not wrong:
            results.append(passed(name, network.subnet))
        else:
            results.append(
                failed(
                    name,
                    "; ".join(wrong),
                    "the project never recreates a network. Stop what uses it and remove it, "
                    "or set trade2026_networks to what exists",
                )
            )
    return results


def check_containers(
    services: Sequence[Mapping[str, Any]], containers: Sequence[ObservedContainer], project: str, root: str
) -> list[Result]:
    """No container of that name belongs to another project, or to the same project deployed from another root."""
    results = []
    by_name = {container.name: container for container in containers}
    for service in services:
        container = by_name.get(service["container"])
        if container is None:
            continue
        owner = container.labels.get(PROJECT_LABEL, "")
        place = container.labels.get("com.docker.compose.project.working_dir", "")
        name = f"container {service['container']}"
        if owner != project:
            results.append(
                failed(
                    name,
                    f"exists and belongs to {'the project ' + owner if owner else 'no Compose project'}",
                    "stop and remove or rename it (Trade2025 still running?), or set core_container_prefix",
                )
            )
        elif place and not place.startswith(root.rstrip("/") + "/"):
            results.append(
                failed(
                    name,
                    f"belongs to {project} deployed from {place}",
                    f"set trade2026_root to that deployment's root, or give this one its own core_project and "
                    f"core_container_prefix; {root} would get other data",
                )
            )
    return results or [passed("containers", "no other project uses one of the names")]


def _word(value: bool) -> str:
    return "on" if value else "off"


def _options(options: Mapping[str, str]) -> str:
    return ", ".join(f"{name}={value}" for name, value in sorted(options.items())) or "none"
