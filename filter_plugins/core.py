"""Filters of the role `core`: small derivations that Jinja says less clearly."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

SERVICES_DIR = "infrastructure/docker/services"


def core_add(number: int, more: int) -> int:
    """The sum, for use with `map`."""
    return int(number) + int(more)


def core_same_machine(hosts: Iterable[str], machine: str, hostvars: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Those services that run on the machine, in the order of the inventory."""
    return [host for host in hosts if hostvars[host]["docker_host"] == machine]


def core_speakers(hostvars: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """For each machine the first service of this run that did not fail, which speaks for all of them at the end."""
    first: dict[str, str] = {}
    for host, facts in hostvars.items():
        proof = facts.get("core_proof")
        if proof is not None and not proof.get("failed"):
            first.setdefault(facts["docker_host"], host)
    return list(first.values())


def core_volume_source(volume: Mapping[str, Any], root: str, secrets_root: str) -> str:
    """A volume's source as a Compose fragment names it: relative below the root, absolute elsewhere."""
    base = secrets_root if volume["kind"] == "secret" else root
    path = os.path.normpath(Path(base, volume["source"]))
    if not Path(path).is_relative_to(os.path.normpath(root)):
        return path
    return os.path.relpath(path, Path(root, SERVICES_DIR))


def core_config_directories(service: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Directories to ensure for a service, with owner and mode as `managed_files` takes them.

    Data belongs to the container's user. Configuration belongs to root and is readable by the container's group alone;
    where it is `writable`, the user owns the folder, though not the files.
    """
    user = service["user"]
    found = []
    for volume in service["volumes"]:
        if volume["kind"] == "data":
            found.append({"path": volume["source"], "uid": user["uid"], "gid": user["gid"], "mode": "0750"})
        elif volume["kind"] == "config":
            owner = user["uid"] if volume.get("writable") else 0
            found.append({"path": volume["source"], "uid": owner, "gid": user["gid"], "mode": "0750"})
    return found


def core_config_files(service: Mapping[str, Any], templates: str) -> list[dict[str, Any]]:
    """Files to render for a service, as `managed_files` takes them."""
    return [
        {
            "template": f"{templates}/{file['template']}",
            "dest": file["dest"],
            "uid": 0,
            "gid": service["user"]["gid"],
            "mode": "0640",
        }
        for file in service.get("config", [])
    ]


def core_checker(service: Mapping[str, Any], image: Mapping[str, Any]) -> dict[str, Any] | None:
    """The service's own configuration check as `managed_files` takes it; None where it has none."""
    checker = service.get("checker")
    if not checker:
        return None
    return {
        "image": image["reference"],
        "command": [str(word) for word in checker["command"]],
        "entrypoint": checker.get("entrypoint"),
        "user": f"{service['user']['uid']}:{service['user']['gid']}",
        "environment": checker.get("environment", service.get("environment", {})),
        "tmpfs": [
            folder["path"] + (f":{folder['options']}" if folder.get("options") else "")
            for folder in [*service.get("tmpfs", []), *checker.get("tmpfs", [])]
        ],
        "mounts": [
            {"source": volume["source"], "target": volume["target"], "kind": volume["kind"]}
            for volume in service["volumes"]
            if volume["kind"] in ("config", "secret")
        ],
        "timeout_s": int(checker.get("timeout_s", 60)),
    }


def core_secrets(service: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The secrets of a service as `trade_secrets` takes them, readable by the service's group."""
    return [{"gid": service["user"]["gid"], **secret} for secret in service.get("secrets", [])]


def core_summary(hosts: Iterable[Mapping[str, Any]], bind: str, offset: int) -> str:
    """A table of the services: image and where it came from, address, health, proof, time to healthy.

    Below it, which images are not the declared version.
    """
    hosts = list(hosts)
    rows = [
        ("SERVICE", "IMAGE", "FROM", "ADDRESS", "HEALTH", "PROVED", "TO HEALTHY"),
        *(_summary_row(host, bind, int(offset)) for host in hosts),
    ]
    images = [(host["inventory_hostname"], host.get("core_image") or {}) for host in hosts]
    differ = [f"{name}: {image['difference']}" for name, image in images if image.get("difference")]
    note = ["", "Not the declared version (docs/images.md says what that means):", *differ] if differ else []
    return "\n".join([table(rows), *note])


def table(rows: Sequence[tuple[str, ...]]) -> str:
    """Rows as aligned columns, the first row being the heading."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def core_drift_report(hosts: Iterable[Mapping[str, Any]]) -> dict[str, list[dict[str, str]]]:
    """Service -> differences between the declared and the running state, from the facts of the hosts.

    A file's own difference comes first: it is usually the cause of the container's.
    """
    report = {}
    for host in hosts:
        files = [
            {"what": change["path"], "current": change["why"], "desired": "as declared"}
            for change in host.get("core_rendered", {}).get("changes", [])
        ]
        report[host["inventory_hostname"]] = files + list(host.get("core_drift", {}).get("differences", []))
    return report


def core_drift_table(report: Mapping[str, Iterable[Mapping[str, str]]]) -> str:
    """The drift report for people."""
    rows = [("SERVICE", "WHAT", "CURRENT", "DECLARED")]
    for service, differences in report.items():
        found = [(service, row["what"], row["current"] or "-", row["desired"] or "-") for row in differences]
        rows += found or [(service, "no drift", "", "")]
    return table(rows)


def _summary_row(host: Mapping[str, Any], bind: str, offset: int) -> tuple[str, ...]:
    image = host.get("core_image") or {}
    proof = host.get("core_proof") or {}
    checks = proof.get("checks") or []
    ports = [str(int(port["host"]) + offset) for port in host["core_service"]["ports"]]
    took = proof.get("healthy_after_s")
    return (
        host["inventory_hostname"],
        str(image.get("reference", "")).partition("@")[0] or "-",
        str(image.get("source", "")) or "-",
        f"{bind}:{','.join(ports)}",
        "healthy" if proof.get("healthy") else "-",
        f"{sum(1 for check in checks if check['ok'])}/{len(checks)}" if checks else "-",
        f"{took:.1f} s" if took is not None else "was running" if proof.get("healthy") else "-",
    )


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {
            "core_add": core_add,
            "core_same_machine": core_same_machine,
            "core_speakers": core_speakers,
            "core_volume_source": core_volume_source,
            "core_config_directories": core_config_directories,
            "core_config_files": core_config_files,
            "core_checker": core_checker,
            "core_secrets": core_secrets,
            "core_summary": core_summary,
            "core_drift_report": core_drift_report,
            "core_drift_table": core_drift_table,
        }
