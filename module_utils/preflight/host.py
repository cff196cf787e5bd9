# SPDX-License-Identifier: GPL-3.0-or-later
"""Ports, memory and kernel settings of the machine."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible.module_utils.preflight.result import Result, failed, passed

LISTEN = "0A"
CAP_SYS_RESOURCE = 1 << 24
LAST_PORT = 65535
# ::ffff:0:0/96 as the kernel writes it: the address of a Java server that listens on an IPv4 address.
IPV4_MAPPED = "0000000000000000FFFF0000"


@dataclass(frozen=True)
class Listener:
    """A listening TCP socket of the machine."""

    address: str
    port: int
    inode: str


def listeners(tables: Iterable[str]) -> list[Listener]:
    """Listening sockets, from the texts of /proc/net/tcp and /proc/net/tcp6."""
    found = []
    for table in tables:
        for line in table.splitlines()[1:]:
            fields = line.split()
            if fields[3] == LISTEN:
                address, port = fields[1].rsplit(":", 1)
                found.append(Listener(_address(address), int(port, 16), fields[9]))
    return found


def check_ports(
    services: Sequence[Mapping[str, Any]], bind: str, listening: Sequence[Listener], published: Mapping[int, str]
) -> list[Result]:
    """No two services use the same port, and no other process uses one of the ports.

    `published` says which container publishes a port, so that a service's own container does not count as a conflict.
    """
    results = []
    wanted: dict[int, str] = {}
    for service in services:
        for port in service["ports"]:
            name = f"port {port}"
            if not 1 <= port <= LAST_PORT:
                results.append(
                    failed(
                        name, f"{service['name']} publishes it, but it is not a valid port", f"choose 1 to {LAST_PORT}"
                    )
                )
                continue
            if port in wanted:
                other = wanted[port]
                results.append(
                    failed(
                        name,
                        f"{service['name']} publishes it twice"
                        if other == service["name"]
                        else f"{other} and {service['name']} both publish it",
                        f"set another port for {service['name']}",
                    )
                )
                continue
            wanted[port] = service["name"]
            if published.get(port) in {service["container"], *service.get("own_containers", [])}:
                continue
            for listener in listening:
                if listener.port == port and _overlap(listener.address, bind):
                    holder = f"the container {published[port]}" if port in published else process_of(listener.inode)
                    results.append(
                        failed(
                            name,
                            f"{service['name']} publishes it, but {holder} listens there",
                            "stop that (Trade2025 still running?), or set another port or core_port_offset",
                        )
                    )
                    break
    return results or [passed("ports", f"{len(wanted)} ports on {bind} are free or used by their own service")]


def process_of(inode: str, proc: Path = Path("/proc")) -> str:
    """The process that holds a socket, as `name (pid N)`, if this user may see it."""
    target = f"socket:[{inode}]"
    for folder in proc.glob("[0-9]*/fd"):
        try:
            if any(str(link.readlink()) == target for link in folder.iterdir()):
                name = (folder.parent / "comm").read_text(encoding="utf-8").strip()
                return f"{name} (pid {folder.parent.name})"
        except OSError:
            # Ended meanwhile, or another user's.
            continue
    return "another process"


def check_memory(services: Sequence[Mapping[str, Any]], total_bytes: int, share: float) -> list[Result]:
    """The limits of all services fit into the machine."""
    wanted = sum(int(service["memory"]) for service in services)
    message = (
        f"the limits of {len(services)} services are {wanted / 2**30:.1f} GiB together, "
        f"the machine has {total_bytes / 2**30:.1f} GiB"
    )
    if wanted <= total_bytes * share:
        return [passed("memory", message)]
    return [
        failed(
            "memory",
            message,
            "set core_size: small, lower the services' *_memory_limit, or raise trade2026_memory_share "
            "if you accept the risk",
        )
    ]


def check_processors(services: Sequence[Mapping[str, Any]], available: int) -> list[Result]:
    """No service may take more processors than the machine has: Docker refuses to create such a container."""
    results = [
        failed(
            f"processors of {service['name']}",
            f"its limit is {service['cpus']:g}, the machine has {available}; Docker would refuse the container",
            f"set {service['name']}_cpu_limit to at most {available}, or a smaller core_size",
        )
        for service in services
        if float(service["cpus"]) > available
    ]
    return results or [passed("processors", f"no service may take more than the machine's {available}")]


def check_bounds(services: Sequence[Mapping[str, Any]]) -> list[Result]:
    """No variable exceeds another one that limits it."""
    results = [
        failed(
            f"settings of {service['name']}",
            f"{bound['setting']}={bound['value']} exceeds {bound['max_setting']}={bound['max']}",
            f"lower {bound['setting']} or raise {bound['max_setting']}",
        )
        for service in services
        for bound in service["bounds"]
        if bound["amount"] > bound["max_amount"]
    ]
    return results or [passed("settings", "none contradicts another")]


def check_map_count(services: Sequence[Mapping[str, Any]], current: int) -> list[Result]:
    """vm.max_map_count, which a container cannot set for itself."""
    wanted = max((int(service["max_map_count"]) for service in services), default=0)
    message = f"vm.max_map_count is {current}, {wanted} wanted"
    if current >= wanted:
        return [passed("kernel", message)]
    return [
        failed(
            "kernel",
            message,
            f"sysctl -w vm.max_map_count={wanted}, and put it into /etc/sysctl.d/ so that it survives a restart",
        )
    ]


def check_nofile(services: Sequence[Mapping[str, Any]], hard_limit: int | None) -> list[Result]:
    """File descriptors: the engine cannot give more than its own hard limit (None: not known, or no limit)."""
    results = []
    for service in services:
        if hard_limit is not None and int(service["nofile"]) > hard_limit:
            results.append(
                failed(
                    f"file descriptors of {service['name']}",
                    f"{service['nofile']} needed, but the engine's hard limit is {hard_limit}: it would not start",
                    f"start the engine with a higher limit (LimitNOFILE), or set {service['name']}_nofile",
                )
            )
    return results or [passed("file descriptors", "within the engine's limit")]


def engine_nofile(proc: Path = Path("/proc")) -> int | None:
    """Hard limit of file descriptors of the engine's process; None if it may exceed it or the limit cannot be read."""
    for folder in proc.glob("[0-9]*"):
        try:
            if (folder / "comm").read_text(encoding="utf-8").strip() != "dockerd":
                continue
            status = (folder / "status").read_text(encoding="utf-8")
            limits = (folder / "limits").read_text(encoding="utf-8")
        except OSError:
            continue
        capabilities = re.search(r"^CapEff:\s*([0-9a-f]+)$", status, re.MULTILINE)
        if capabilities and int(capabilities[1], 16) & CAP_SYS_RESOURCE:
            return None
        found = re.search(r"^Max open files\s+\S+\s+(\d+)", limits, re.MULTILINE)
        return int(found[1]) if found else None
    return None


def check_bind(bind: str) -> list[Result]:
    """The bind address is IPv4: the project handles no other kind."""
    try:
        ipaddress.IPv4Address(bind)
    except ValueError:
        return [
            failed(
                "bind address",
                f"core_bind_address={bind} is not an IPv4 address",
                "name one of this machine's, or 0.0.0.0 for all of them",
            )
        ]
    return [passed("bind address", bind)]


def check_open(services: Sequence[Mapping[str, Any]], bind: str, accepted: bool) -> list[Result]:
    """Services without authentication are published on loopback only."""
    if bind.startswith("127."):
        return [passed("exposure", f"published on {bind} only")]
    open_services = [str(service["name"]) for service in services if service["unauthenticated"]]
    if not open_services or accepted:
        return [passed("exposure", f"published on {bind}" + (", open services accepted" if open_services else ""))]
    return [
        failed(
            "exposure",
            f"core_bind_address={bind} would publish without credentials: {', '.join(open_services)}",
            "switch on <service>_auth_enabled where there is one, keep 127.0.0.1, "
            "or set core_accept_open_services=true",
        )
    ]


def _overlap(listening: str, bind: str) -> bool:
    anywhere = {"0.0.0.0", "::"}
    return listening == bind or listening in anywhere or bind in anywhere


def _address(text: str) -> str:
    if len(text) == 8:
        return ".".join(str(int(text[i : i + 2], 16)) for i in (6, 4, 2, 0))
    if text.startswith(IPV4_MAPPED):
        return _address(text[len(IPV4_MAPPED) :])
    # IPv6 listeners cannot conflict with the services' addresses, which are IPv4.
    return "::" if set(text) == {"0"} else "v6"
