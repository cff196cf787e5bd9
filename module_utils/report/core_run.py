# SPDX-License-Identifier: GPL-3.0-or-later
"""Build the result document of a run of core.yml from the results of its plan, deployments and probes. Pure."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from ansible.module_utils.compose_source.migration_document import NOTHING
from ansible.module_utils.compose_source.migration_document import rows as migration_rows
from ansible.module_utils.report.document import FORMAT
from ansible.module_utils.shared.masking import MASK, is_secret_name, mask_text

Row = dict[str, Any]
IMAGE_KEYS = ("reference", "source", "version", "id", "built_from", "difference")
DEPLOYED = "the service is deployed, healthy, and passes its probes"
LEFT_AS_IT_WAS = "not deployed, because another service failed before it"
CORRECT = "Correct what the message names, and run `ansible-playbook core.yml --limit {name}` again."
OPERATION_KEYS = ("service", "what", "action", "current", "desired", "cause")


@dataclass(frozen=True)
class CoreRun:
    """Everything that is known at the end of a run of core.yml."""

    # The parts `run` and `machine` of the document, as far as the controller knows them.
    run: Mapping[str, Any]
    machine: Mapping[str, Any]
    # Names of the run's services.
    services: Sequence[str] = ()
    # The result of `core_plan`; empty if the run did not get that far.
    planned: Mapping[str, Any] = field(default_factory=dict)
    # Service → result of `service_probe`, image, message of its failure.
    probed: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    images: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    failures: Mapping[str, str] = field(default_factory=dict)
    # Services that the run did not deploy because an earlier batch failed.
    undone: Sequence[str] = ()
    # Results of the preflight checks.
    checks: Sequence[Mapping[str, Any]] = ()
    # What the configuration choices are derived from: {source, names, site}.
    migration: Mapping[str, Any] = field(default_factory=dict)


def document_of(run: CoreRun) -> Row:
    """The document, without the parts that are added on the machine."""
    planned = run.planned
    described = [_service(run, entry) for entry in planned.get("probes", [])]
    return {
        "format": FORMAT,
        "run": dict(run.run),
        "machine": dict(run.machine),
        "services": described or [{"name": name, "title": name} for name in run.services],
        "tests": [*preflight_tests(run.checks), *_service_tests(run)],
        "choices": choices(planned.get("services", {}), run.migration),
        "operations": [_operation(run, row) for row in planned.get("plan", {}).get("operations", [])],
    }


def preflight_tests(checks: Sequence[Mapping[str, Any]]) -> list[Row]:
    """The preflight checks of a machine."""
    found: dict[str, Row] = {}
    for check in checks:
        row: Row = {
            "id": f"machine.preflight.{_slug(check['name'])}",
            "kind": "preflight",
            "service": "machine",
            "title": str(check["name"]),
            "status": "passed" if check["ok"] else "failed",
            "message": str(check["message"]),
        }
        if check.get("remedy"):
            row["remedy"] = str(check["remedy"])
        # Several checks may have the same name.
        number, name = 2, row["id"]
        while row["id"] in found:
            row["id"], number = f"{name}-{number}", number + 1
        found[row["id"]] = row
    return list(found.values())


def choices(services: Mapping[str, Mapping[str, Any]], migration: Mapping[str, Any]) -> list[Row]:
    """Every configuration choice with its value in Trade2025 and its reason, as in docs/MIGRATION.md.

    `services` is service → its dictionary; `migration` has the keys `source` (the result of `trade_source_info`),
    `names` (host → name of the service in Trade2025) and `site`.
    """
    if not migration:
        return []
    source = migration["source"]
    found = []
    for name, definition in services.items():
        old = source["services"].get(migration["names"].get(name, name)) if source["available"] else None
        for row in migration_rows(definition, old, migration["site"], NOTHING if source["available"] else "not known"):
            found.append(
                {
                    "service": name,
                    "setting": str(row["setting"]),
                    "value": str(row["target"]),
                    "trade2025": str(row["source"]),
                    "why": str(row["why"]),
                }
            )
    return found


def _service(run: CoreRun, entry: Mapping[str, Any]) -> Row:
    name = entry["name"]
    image = run.images.get(name) or {}
    official = ((run.planned.get("services", {}).get(name) or {}).get("image") or {}).get("official")
    row: Row = {
        "name": name,
        "title": entry["title"],
        "ports": [
            # The port in the container is added on the machine.
            {"name": port, "host_ip": entry["address"], "host": int(number), "container": int(number)}
            for port, number in entry["ports"].items()
        ],
        "timeline": _timeline(run, name),
    }
    if image.get("reference"):
        row["image"] = {key: str(image.get(key) or "") for key in IMAGE_KEYS} | {"official": str(official or "")}
    return row


def _timeline(run: CoreRun, name: str) -> Row:
    """When the service was planned, started, healthy and verified; only the last if it was not deployed."""
    probed = run.probed.get(name) or {}
    verified = probed.get("verified_at") or None
    if not run.planned.get("by_service", {}).get(name):
        return {"verified": verified}
    started = str(probed.get("started_at") or "")
    times: Row = {"planned": run.planned.get("planned_at"), "started": started or None, "verified": verified}
    after = probed.get("healthy_after_s")
    if started and after is not None:
        # The engine's times have nanoseconds.
        moment = datetime.fromisoformat(re.sub(r"(\.\d{6})\d*", r"\1", started).replace("Z", "+00:00"))
        healthy = (moment + timedelta(seconds=float(after))).astimezone(UTC)
        times["healthy"] = healthy.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return times


def _service_tests(run: CoreRun) -> list[Row]:
    found = []
    for entry in run.planned.get("probes", []):
        name = entry["name"]
        answer = run.probed.get(name) or {}
        rows = _probe_tests(name, answer)
        failed = [row for row in rows if row["status"] == "failed"]
        details = _details(answer)
        if failed:
            # The cause is that of the first failure; the others usually follow from it.
            failed[0].update(details)
        elif name in run.failures or answer.get("failed"):
            message = run.failures.get(name) or str(answer.get("msg", "it failed verification"))
            rows.insert(
                0,
                {
                    **_test(name, "deployment", DEPLOYED),
                    "status": "failed",
                    "message": message,
                    "remedy": CORRECT.format(name=name),
                    **details,
                },
            )
        elif name in run.undone:
            rows = [{**_test(name, "deployment", DEPLOYED), "status": "skipped", "message": LEFT_AS_IT_WAS}]
        found += rows
    return found


def _probe_tests(name: str, answer: Mapping[str, Any]) -> list[Row]:
    rows: dict[str, Row] = {}
    for probe in answer.get("probes") or []:
        row = _test(name, _slug(probe["name"]), str(probe["name"]))
        number, first = 2, row["id"]
        while row["id"] in rows:
            row["id"], number = f"{first}-{number}", number + 1
        row.update(
            status="passed" if probe["ok"] else "failed",
            message=str(probe["message"]),
            duration_s=round(float(probe["latency_ms"]) / 1000, 4),
        )
        rows[row["id"]] = row
    return list(rows.values())


def _details(answer: Mapping[str, Any]) -> Row:
    """Cause, remedy and log of a failed result, as far as it has them."""
    found: Row = {key: str(answer[key]) for key in ("cause", "remedy") if answer.get(key)}
    return found | ({"log": [str(line) for line in answer["log"]]} if answer.get("log") else {})


def _test(service: str, what: str, title: str) -> Row:
    return {
        "id": f"{service}.component.{what}",
        "kind": "component",
        "service": service,
        "title": title,
        "status": "passed",
    }


def _operation(run: CoreRun, row: Mapping[str, Any]) -> Row:
    """An operation of the plan, and what became of it."""
    name = row["service"]
    if run.run.get("failed_before_deploy") or name in run.undone:
        status = "not_done"
    else:
        status = "failed" if name in run.failures else "done"
    return {**{key: str(row[key]) for key in OPERATION_KEYS}, "restarts": bool(row["restarts"]), "status": status}


def command_line(words: Sequence[str]) -> str:
    """The command line to display, without the values of variables that may be secret."""
    shown = [Path(word).name if place < 2 and "/" in word else word for place, word in enumerate(words)]
    if shown and shown[0].startswith("python"):
        shown = shown[1:]
    for place, word in enumerate(shown):
        option, equals, value = word.partition("=")
        if option == "--extra-vars" and equals:
            shown[place] = f"--extra-vars={_variables(value)}"
        elif place and shown[place - 1] in ("-e", "--extra-vars"):
            shown[place] = _variables(word)
    return " ".join(shlex.quote(mask_text(word)) for word in shown)


def _variables(text: str) -> str:
    """Variables as the command line sets them: values of JSON and of secret names are left out."""
    try:
        content = json.loads(text)
    except ValueError:
        content = None
    if isinstance(content, dict):
        return f"{{{', '.join(str(name) for name in content)}}}"
    name, equals, _value = text.partition("=")
    return f"{name}={MASK}" if equals and (is_secret_name(name) or " " in text) else text


def _slug(text: object) -> str:
    return re.sub(r"[^a-z0-9]+", "-", str(text).lower()).strip("-") or "unnamed"
