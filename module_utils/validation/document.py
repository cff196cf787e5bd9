# SPDX-License-Identifier: GPL-3.0-or-later
"""The result document: docs/report.schema.json describes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible.module_utils.validation.bridge import seconds_between
from ansible.module_utils.validation.network import DEFAULT_MTU
from ansible.module_utils.validation.stack import Service, Stack

FORMAT = 1
MEASUREMENTS = ("reachability", "performance", "durability")


def service_entry(service: Service) -> dict[str, Any]:
    """A service as the engine has it."""
    document = service.document
    state = document.get("State") or {}
    seen = service.seen
    healthy = seen.first_healthy_at if seen else ""
    bindings = ((document.get("NetworkSettings") or {}).get("Ports") or {}).items()
    names = {int(port["container"]): port["name"] for port in service.record["ports"]}
    networks = ((document.get("NetworkSettings") or {}).get("Networks") or {}).items()
    image = {
        key: str(service.image.get(key) or "")
        for key in ("reference", "source", "version", "id", "built_from", "difference")
    }
    if official := (service.record["image"] or {}).get("official"):
        image["official"] = str(official)
    started = state.get("StartedAt") if state else None
    timeline = {"started": started}
    if started and healthy and (seconds_between(str(started), healthy) or 0) >= 0:
        timeline["healthy"] = healthy
    return {
        "name": service.name,
        "title": str(service.record["title"]),
        "image": image,
        "state": str(state.get("Status") or "absent"),
        "health": seen.health if seen else "",
        "started_at": started,
        "ports": [
            {
                "name": names.get(int(inner.partition("/")[0]), ""), "host_ip": str(one["HostIp"]),
                "host": int(one["HostPort"]), "container": int(inner.partition("/")[0]),
            }
            for inner, published in sorted(bindings)
            for one in published or []
        ],
        "networks": [
            {"name": name, "ip": str(one.get("IPAddress") or ""), "aliases": sorted(one.get("Aliases") or [])}
            for name, one in sorted(networks)
        ],
        "timeline": timeline,
    }  # fmt: skip


def network_entry(name: str, document: Mapping[str, Any]) -> dict[str, Any]:
    """A network as the engine has it."""
    options = document.get("Options") or {}
    config = (document.get("IPAM") or {}).get("Config") or [{}]
    return {
        "name": name,
        "id": str(document.get("Id") or ""),
        "subnet": str(config[0].get("Subnet") or ""),
        "mtu": int(options.get("com.docker.network.driver.mtu") or DEFAULT_MTU),
        "internal": bool(document.get("Internal")),
    }


def facts(stack: Stack) -> dict[str, Any]:
    """Services and networks as they are now."""
    stack.refresh()
    stack.__dict__.pop("network_documents", None)
    return {
        "services": [service_entry(service) for service in stack.services.values()],
        "networks": [network_entry(name, document) for name, document in stack.network_documents.items()],
    }


def assemble(run: Mapping[str, Any], slices: Sequence[Mapping[str, Any]], more: Mapping[str, Any]) -> dict[str, Any]:
    """The document from the answers of all slices; the last one has the facts of the machine."""
    last = slices[-1]
    document: dict[str, Any] = {
        "format": FORMAT,
        "run": dict(run),
        "machine": last["machine"],
        "services": last["services"],
        "networks": last["networks"],
        "tests": [result for answer in slices for result in answer["tests"]],
        "floor": {key: value for answer in slices for key, value in answer["floor"].items()},
        "host_findings": [*last["host_findings"], *(row for answer in slices for row in answer["findings"])],
        **more,
    }
    for key in MEASUREMENTS:
        document[key] = [row for answer in slices for row in answer[key]]
    return document


def summary(tests: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """One row for each service, one column for each kind: passed of all that were not skipped."""
    kinds = list(dict.fromkeys(str(test["kind"]) for test in tests))
    rows = [["SERVICE", *(kind.upper() for kind in kinds)]]
    for service in dict.fromkeys(str(test["service"]) for test in tests):
        row = [service]
        for kind in kinds:
            own = [test["status"] for test in tests if test["service"] == service and test["kind"] == kind]
            counted = [status for status in own if status != "skipped"]
            row.append(f"{counted.count('passed')}/{len(counted)}" if counted else "skipped" if own else "-")
        rows.append(row)
    return rows


def failure_text(test: Mapping[str, Any]) -> str:
    """A failed test for people: what, where, why, what to do."""
    parts = [f"{test['id']}: {test['message'].rstrip('.')}."]
    if test.get("cause"):
        parts.append(f"Likely cause: {test['cause'].rstrip('.')}.")
    if test.get("remedy"):
        parts.append(f"Do: {test['remedy'].rstrip('.')}.")
    return " ".join(parts)
