# SPDX-License-Identifier: GPL-3.0-or-later
"""Which services can reach each other, tested from inside the containers, and who can reach the published ports."""

from __future__ import annotations

import ipaddress
import json
import math
import subprocess
from collections.abc import Iterator
from typing import Any

from ansible.module_utils.validation import bridge, namespace
from ansible.module_utils.validation.kernel import CHANGED, REDEPLOY
from ansible.module_utils.validation.model import FailedError, Passed, SkippedError
from ansible.module_utils.validation.namespace import OPEN, REFUSED, connect, inside, resolve
from ansible.module_utils.validation.stack import Service, Stack

# Seconds that a required connection may take, and seconds to wait for one that must not succeed.
REACH_S = 3.0
ISOLATED_S = 0.5
DEFAULT_MTU = 1500
ROUND_TRIPS = 200


def shared_networks(one: Service, other: Service) -> list[str]:
    """Names of the networks that both services were declared on."""
    return sorted(set(one.networks.values()) & set(other.networks.values()))


def others(stack: Stack, service: Service) -> Iterator[Service]:
    """All services but this one."""
    return (other for other in stack.services.values() if other.name != service.name)


def note(stack: Stack, source: str, target: Service, port: int, expected: str, actual: str, **more: Any) -> None:
    """Record a connection that was tried."""
    row = {"source": source, "target": target.name, "port": port, "expected": expected, "actual": actual, **more}
    stack.reachability.append(row)


def reaches(stack: Stack, service: Service) -> Passed:
    """Every service on one of its networks is reachable by its Docker DNS name, on every port."""
    wanted = [other for other in others(stack, service) if shared_networks(service, other)]
    if not wanted:
        raise SkippedError(f"no other service is on the networks of {service.name}")
    pid = service.pid
    ports = {other.name: [int(port["container"]) for port in other.record["ports"]] for other in wanted}

    def work() -> dict[str, Any]:
        found: dict[str, Any] = {}
        for other in wanted:
            addresses = resolve(other.name)
            tried = connect([(addresses[0], port) for port in ports[other.name]], REACH_S) if addresses else []
            found[other.name] = [addresses, tried]
        return found

    problems, slowest, count = [], 0.0, 0
    for name, (addresses, tried) in inside(pid, work).items():
        other = stack.services[name]
        network = shared_networks(service, other)[0]
        if not addresses:
            for port in ports[name]:
                note(stack, service.name, other, port, OPEN, "closed", network=network)
            problems.append(f"the name {name} is unknown on {network}")
            continue
        results = dict(zip(ports[name], tried, strict=True))
        for port, (result, latency) in results.items():
            # A port may be closed inside the container on purpose, such as that of OpenSearch's analyzer.
            optional = result == REFUSED and not port_is_used(other, port)
            state = OPEN if result == OPEN else "closed"
            note(
                stack, service.name, other, port, "closed" if optional else OPEN, state,
                network=network, latency_ms=round(latency, 3),
            )  # fmt: skip
            if result != OPEN and not optional:
                problems.append(f"{name}:{port} ({addresses[0]}) gives {result}")
            elif result == OPEN:
                slowest, count = max(slowest, latency), count + 1
    if problems:
        raise FailedError(f"from inside {service.name}: {'; '.join(problems)}", *why_unreachable(stack, service))
    return Passed(
        f"{len(wanted)} services answer by name on {count} ports",
        {"connections": count, "slowest_ms": round(slowest, 3)},
    )


def port_is_used(service: Service, port: int) -> bool:
    """Whether something should listen on a port; unknown if the container does not run, so that counts as yes."""
    status = service.seen.status if service.seen else ""
    return status != "running" or bool(inside(service.pid, lambda: namespace.listening(port)))


def why_unreachable(stack: Stack, service: Service) -> tuple[str, str]:
    """Cause and remedy: a container is disconnected from a network, or does not run."""
    for one in stack.services.values():
        if one.document and (lost := sorted(set(one.networks.values()) - set(one.addresses))):
            state = str((one.document.get("State") or {}).get("Status"))
            if state == "running":
                return (
                    f"the container {one.container} is not connected to {', '.join(lost)}",
                    f"`docker network connect --alias {one.name} {lost[0]} {one.container}`, or run the deployment",
                )
            return f"the container {one.container} is {state}", "run the deployment, which starts it again"
    return "a firewall of the machine, or the service listens on another address", "see `iptables -L DOCKER-USER -n`"


def isolated(stack: Stack, service: Service) -> Passed:
    """Services without a common network: their names are unknown, and their addresses do not answer."""
    wanted = [other for other in others(stack, service) if not shared_networks(service, other)]
    if not wanted:
        raise SkippedError(f"{service.name} shares a network with every other service")
    targets = [
        (other, address, int(port["container"]))
        for other in wanted
        for address in other.addresses.values()
        for port in other.record["ports"]
    ]

    def work() -> list[Any]:
        # One request per name: the server answers at once if it does not know the name.
        names = {other.name: resolve(other.name, ISOLATED_S) for other in wanted}
        return [names, connect([(address, port) for _other, address, port in targets], ISOLATED_S)]

    names, results = inside(service.pid, work)
    problems = [f"the name {name} resolves to {found[0]}" for name, found in names.items() if found]
    for (other, address, port), (result, _latency) in zip(targets, results, strict=True):
        note(stack, service.name, other, port, "closed", OPEN if result == OPEN else "closed")
        if result == OPEN:
            problems.append(f"{other.name}:{port} answers at {address}")
    if problems:
        raise FailedError(
            f"from inside {service.name}, without a common network: {'; '.join(problems)}",
            "a container was connected to a network that it was not declared on, or the engine's isolation is off",
            "compare `docker network inspect` with the declared networks; " + REDEPLOY,
        )
    return Passed(f"{len(wanted)} services are unknown by name and closed at {len(targets)} ports")


def memberships(_stack: Stack, service: Service) -> Passed:
    """The container is on its declared networks and on no other."""
    declared, actual = set(service.networks.values()), set(service.addresses)
    service_pid = service.pid
    problems = [f"it is not on {name}" for name in sorted(declared - actual)]
    problems += [f"it is on {name}, which was not declared" for name in sorted(actual - declared)]
    if problems:
        raise FailedError(
            f"{'; '.join(problems)} (process {service_pid})",
            "somebody connected or disconnected the container after the deployment",
            REDEPLOY,
        )
    return Passed(f"on {', '.join(sorted(actual))}", {name: service.addresses[name] for name in actual})


def mtu(stack: Stack, service: Service) -> Passed:
    """Every interface of the container has the MTU of its network."""
    wanted = {
        int((stack.network_documents[name].get("Options") or {}).get("com.docker.network.driver.mtu") or DEFAULT_MTU)
        for name in service.addresses
        if name in stack.network_documents
    }
    actual: dict[str, int] = inside(service.pid, namespace.interface_mtus)
    if wrong := {name: value for name, value in actual.items() if value not in wanted}:
        raise FailedError(
            f"interfaces have the MTU {wrong}, their networks {sorted(wanted)}",
            "the MTU was changed after the container was created",
            "set com.docker.network.driver.mtu on the network and run the deployment again",
        )
    return Passed(f"{len(actual)} interfaces with MTU {', '.join(map(str, sorted(wanted)))}", dict(actual))


def subnets(stack: Stack, _service: Service) -> Passed:
    """The three networks have their subnets, and the containers their addresses in them."""
    problems, count = [], 0
    for network in stack.settings.networks.values():
        document = stack.network_documents.get(network["name"])
        if document is None:
            problems.append(f"the network {network['name']} does not exist")
            continue
        found = [entry.get("Subnet") for entry in document["IPAM"]["Config"] or []]
        if found != [network["subnet"]]:
            problems.append(f"{network['name']} has {found}, not {network['subnet']}")
        for service in stack.services.values():
            if address := service.addresses.get(network["name"]):
                count += 1
                if ipaddress.ip_address(address) not in ipaddress.ip_network(network["subnet"]):
                    problems.append(f"{service.name} has {address} on {network['name']}, outside of its subnet")
    if problems:
        raise FailedError("; ".join(problems), "the network was created by hand or by an older configuration", REDEPLOY)
    return Passed(f"3 networks with their subnets, {count} addresses in them", {"addresses": count})


def published(stack: Stack, service: Service) -> Passed:
    """The declared ports, on the bind address, and nothing else."""
    bind = stack.settings.bind_address
    declared = {(bind, int(port["host"]), int(port["container"])) for port in service.record["ports"]}
    actual = {
        (str(one["HostIp"]), int(one["HostPort"]), int(inner.partition("/")[0]))
        for inner, bindings in ((service.document.get("NetworkSettings") or {}).get("Ports") or {}).items()
        for one in bindings or []
    }
    service_pid = service.pid
    if actual != declared:
        extra = ", ".join(f"{address}:{host}" for address, host, _inner in sorted(actual - declared)) or "none"
        missing = ", ".join(f"{address}:{host}" for address, host, _inner in sorted(declared - actual)) or "none"
        raise FailedError(
            f"published, but not declared: {extra}; declared, but not published: {missing} (process {service_pid})",
            "the container was created with other ports: its Compose fragment was edited, or core_bind_address changed",
            REDEPLOY,
        )
    hosts = sorted(set(namespace.interface_addresses()))
    outside = [address for address in hosts if address != bind] if bind != "0.0.0.0" else []
    tried = [(address, host) for _bind, host, _inner in sorted(declared) for address in outside]
    answers = dict(zip(tried, connect(tried, ISOLATED_S), strict=True))
    if open_ones := [f"{address}:{host}" for (address, host), (result, _ms) in answers.items() if result == OPEN]:
        raise FailedError(
            f"ports answer on other addresses than {bind}: {', '.join(open_ones)}",
            "another program listens there, or the machine forwards these ports",
            "find it with `ss -ltnp`",
        )
    address = "127.0.0.1" if bind == "0.0.0.0" else bind
    for (host, inner), (result, latency) in zip(
        sorted((host, inner) for _bind, host, inner in declared),
        connect([(address, host) for host in sorted(host for _bind, host, _inner in declared)], REACH_S),
        strict=True,
    ):
        note(stack, "host", service, inner, OPEN, OPEN if result == OPEN else "closed", latency_ms=round(latency, 3))
        if result != OPEN:
            raise FailedError(f"{address}:{host} gives {result}")
    return Passed(
        f"{len(declared)} ports answer on {bind}, none of them on {len(outside)} other addresses of the machine",
        {"ports": len(declared), "other_addresses": len(outside)},
    )


def lowlatency(stack: Stack, service: Service) -> Passed:
    """Round trips of PING on one connection, from a container on the lowlatency network to NATS."""
    probe = service.probe(bridge.nats.RoundTrip)
    network = stack.settings.networks["lowlatency"]["name"]
    address = service.addresses.get(network)
    if not address:
        raise FailedError(f"{service.container} has no address on {network}", CHANGED, REDEPLOY)
    port = next(int(one["container"]) for one in service.record["ports"] if one["name"] == probe.port)
    options = {"verbose": False, "pedantic": False}
    if probe.user:
        options |= {"user": probe.user, "pass": service.target.secret(probe.password_file)}  # type: ignore[dict-item]
    hello = f"CONNECT {json.dumps(options)}\r\n".encode()
    image = stack.settings.probe_image
    code, out, _err = stack.docker.attempt("image", "inspect", "--format", "{{.Id}}", image or "none")
    if code != 0 or not out.strip():
        raise SkippedError(f"the image {image or 'of the test container'} is missing; core.yml builds or pulls it")
    container = stack.docker.call(
        "run", "--detach", "--rm", "--network", network, "--label", f"com.trade2026.validate={stack.settings.project}",
        "--cap-drop", "ALL", "--read-only", "--user", "65534", "--entrypoint", "/bin/sh", image, "-c", "sleep 60",
    ).strip()  # fmt: skip
    try:
        pid = int(stack.docker.inspect("container", container)[container]["State"]["Pid"])
        times = sorted(inside(pid, lambda: namespace.round_trips(address, port, hello, b"PING\r\n", ROUND_TRIPS)))
    finally:
        stack.docker.attempt("rm", "--force", container)
    p50, p99 = times[len(times) // 2], times[math.ceil(len(times) * 0.99) - 1]
    budget = stack.settings.budgets["network.lowlatency"]
    evidence = {"p50_ms": round(p50, 3), "p99_ms": round(p99, 3), "budget_ms": budget, "round_trips": len(times)}
    if p50 > budget:
        raise FailedError(
            f"the median round trip is {p50:.2f} ms, the budget {budget:g} ms",
            delay_of(service) or "the machine is overloaded, or the service is",
            "remove the delay, or see `docker stats`",
            evidence,
        )
    return Passed(f"median {p50:.3f} ms, 99 % within {p99:.3f} ms", evidence)


def delay_of(service: Service) -> str:
    """A queueing discipline on the container's interfaces that delays packets; empty if there is none."""
    try:
        done = subprocess.run(
            ["nsenter", "--target", str(service.pid), "--net", "tc", "qdisc", "show"],
            capture_output=True,
            text=True,
            check=False,
        )
    except (OSError, SkippedError):
        return ""
    slow = [
        line.strip() for line in done.stdout.splitlines() if line.split()[1:2] and line.split()[1] in ("netem", "tbf")
    ]
    return f"a queueing discipline delays the packets of {service.container}: {slow[0]}" if slow else ""
