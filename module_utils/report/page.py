# SPDX-License-Identifier: GPL-3.0-or-later
"""The page of the report: prepare the data of its template, and render one self-contained file."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ansible.module_utils.report import charts
from ansible.module_utils.report.document import BAD, KINDS, duration
from ansible.module_utils.shared.sizes import human

# Pictures of single operations; a site with more has them in the table only, which keeps the file small.
MAX_DETAILED = 16
# Above these numbers, connections are not shown as a matrix, and problems not in full.
MAX_MATRIX = 32
MAX_PROBLEMS = 30
# How many tests are named beside the reason why they were skipped.
MAX_REASONS = 8
# With more choices than these, the page names the file that has them.
MAX_CHOICES = 500
PLATFORM = "platform"
MACHINE = "machine"
# Source of a connection that the machine itself opens.
HOST = "host"
KIND_TITLES = {
    "preflight": "Preflight",
    "component": "Component",
    "integration": "Integration",
    "performance": "Performance",
    "persistence": "Persistence",
    "network": "Network",
}

Row = Mapping[str, Any]


@functools.cache
def template(templates: Path) -> Any:
    """The page's template, compiled."""
    from jinja2 import Environment, FileSystemLoader
    from markupsafe import Markup, escape

    def code(text: object) -> Markup:
        """Text as HTML; what is in backticks, and a command in parentheses, becomes code."""
        parts = re.split(r"`([^`]+)`", str(text))
        marked = [
            Markup("<code>{}</code>").format(part) if place % 2 else escape(part) for place, part in enumerate(parts)
        ]
        return Markup("").join(marked)

    environment = Environment(
        loader=FileSystemLoader(templates),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        when=when, ms=ms, seconds=seconds, number=number, code=code, svg=Markup, anchor=anchor, plural=plural
    )
    return environment.get_template("report.html.j2")


def render(document: Row, templates: Path) -> str:
    """The page of a complete, masked document; raises DrawingError."""
    return without_indentation(template(templates).render(view(document)))


def without_indentation(page: str) -> str:
    """A page without the blanks at the beginning of its lines, which a browser ignores; those of logs are kept."""
    parts = re.split(r"(<pre\b.*?</pre>)", page, flags=re.DOTALL)
    return "".join(part if place % 2 else re.sub(r"\n\s+", "\n", part) for place, part in enumerate(parts))


def view(document: Row) -> dict[str, Any]:
    """Everything that the template shows."""
    tests = document["tests"]
    titles = {**charts.titles_of(document), PLATFORM: "Whole platform", MACHINE: "Machine"}
    kinds = [kind for kind in KINDS if any(test["kind"] == kind for test in tests)]
    problems = [test for test in tests if test["status"] in BAD]
    performance = document["performance"]
    stopped = document["run"].get("failed_before_deploy") or {}
    return {
        "document": document,
        # The failed checks are listed below it.
        "stopped_message": str(stopped.get("message", "")).partition("\n" if problems else "\0")[0],
        "run": document["run"],
        "verdict": document["verdict"],
        "duration_s": duration(document["run"]),
        "titles": titles,
        "kinds": kinds,
        "kind_titles": KIND_TITLES,
        "problems": problems,
        "max_problems": MAX_PROBLEMS,
        "max_reasons": MAX_REASONS,
        "skipped": skipped(tests, titles),
        "undone": {} if document["run"].get("failed_before_deploy") else undone(document["operations"]),
        "logs": [test for test in problems[:MAX_PROBLEMS] if test.get("log")],
        "matrix": matrix(document, kinds, titles),
        "by_service": by_service(tests, document["services"], titles),
        "healthy": sum(1 for service in document["services"] if is_well(service)),
        "map": charts.network_map(document),
        "reach": reach(document),
        "published": published(document),
        "timeline": charts.timeline(document),
        "latencies": charts.latencies(document),
        "details": [
            {"row": row, "histogram": charts.histogram(row), "trend": charts.trend(row, document["run"]["started"])}
            for row in (performance if len(performance) <= MAX_DETAILED else [])
        ],
        "over_budget": {row["service"] + row["operation"]: over_budget(row) for row in performance},
        "durability": durability(document["durability"]),
        "choices": grouped(document["choices"], "service") if len(document["choices"]) <= MAX_CHOICES else {},
        "versions": versions(document),
    }


def skipped(tests: Sequence[Row], titles: Mapping[str, str]) -> list[dict[str, Any]]:
    """Why tests were skipped: a row for each reason, with the tests and what they are about."""
    rows = []
    for reason, found in grouped([test for test in tests if test["status"] == "skipped"], "message").items():
        about = dict.fromkeys(f"{titles.get(test['service'], test['service'])}: {test['title']}" for test in found)
        rows.append({"reason": reason, "tests": found, "about": list(about)})
    return rows


def undone(operations: Sequence[Row]) -> dict[str, list[Row]]:
    """Service → its operations that the run did not carry out."""
    return grouped([row for row in operations if row.get("status") == "not_done"], "service")


def is_well(service: Row) -> bool:
    """Whether the container is running, and healthy if it has a health check."""
    return service.get("state") == "running" and service.get("health", "") in ("healthy", "")


def matrix(document: Row, kinds: Sequence[str], titles: Mapping[str, str]) -> list[dict[str, Any]]:
    """A row for each service: passed, failed and skipped tests of each kind."""
    tests = document["tests"]
    used = {test["service"] for test in tests}
    # A run that stopped before the deployment has tested no service.
    stopped = "failed_before_deploy" in document["run"]
    names = [service["name"] for service in document["services"] if service["name"] in used or not stopped]
    names += [name for name in (PLATFORM, MACHINE) if name in used]
    names += sorted(used - set(names))
    rows = []
    for name in names:
        cells = []
        for kind in kinds:
            found = [test["status"] for test in tests if test["service"] == name and test["kind"] == kind]
            failed, skipped = sum(status in BAD for status in found), found.count("skipped")
            state = "none" if not found else "failed" if failed else "skipped" if skipped == len(found) else "passed"
            cells.append(
                {
                    "kind": kind,
                    "state": state,
                    "total": len(found),
                    "ran": len(found) - skipped,
                    "passed": found.count("passed"),
                    "failed": failed,
                    "skipped": skipped,
                }
            )
        rows.append({"name": name, "title": titles.get(name, name), "cells": cells, "tested": name in used})
    return rows


def by_service(tests: Sequence[Row], services: Sequence[Row], titles: Mapping[str, str]) -> list[dict[str, Any]]:
    """The tests of each service, in the order of the services."""
    found = grouped(tests, "service")
    order = [service["name"] for service in services if service["name"] in found]
    return [
        {
            "name": name,
            "title": titles.get(name, name),
            "tests": found[name],
            "failed": sum(test["status"] in BAD for test in found[name]),
        }
        for name in dict.fromkeys([*order, *found])
    ]


def grouped(rows: Sequence[Row], key: str) -> dict[str, list[Row]]:
    """Rows by the value of a key, in the order of first occurrence."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(str(row[key]), []).append(row)
    return found


def reach(document: Row) -> dict[str, Any] | None:
    """Which service can reach which: the result of a test, or without one, what the networks allow."""
    services = document["services"]
    if len(services) < 2 or not any(service.get("networks") for service in services):
        return None
    tried: dict[tuple[str, str], list[Row]] = {}
    for row in document["reachability"]:
        tried.setdefault((row["source"], row["target"]), []).append(row)
    connected = {service["name"]: {end["name"] for end in service.get("networks", [])} for service in services}
    rows = []
    for one in services:
        cells = []
        for other in services:
            found = tried.get((one["name"], other["name"]), [])
            shared = bool(connected[one["name"]] & connected[other["name"]])
            wrong = [row for row in found if row["actual"] != row["expected"]]
            if one is other:
                state = "self"
            elif wrong:
                state = f"wrong-{wrong[0]['actual']}"
            elif found:
                state = str(found[0]["actual"])
            else:
                state = "may" if shared else "apart"
            cells.append({"target": other["title"], "state": state})
        rows.append({"source": one["title"], "cells": cells})
    states = {cell["state"] for row in rows for cell in row["cells"]}
    return {
        "rows": rows if len(services) <= MAX_MATRIX else [],
        "targets": [service["title"] for service in services],
        "states": states,
        "wrong": [row for row in document["reachability"] if row["actual"] != row["expected"]],
        "tried": len(document["reachability"]),
    }


def published(document: Row) -> list[dict[str, Any]]:
    """The ports on the host, and whether they answered; none where none was tried, or in a site with many services."""
    services = document["services"] if len(document["services"]) <= MAX_MATRIX else []
    tried = {(row["target"], row["port"]): row for row in document["reachability"] if row["source"] == HOST}
    return [
        {
            "title": service["title"],
            "port": f"{port.get('host_ip', '')}:{port['host']}",
            "name": port.get("name", ""),
            "is_open": row["actual"] == "open",
            "latency_ms": row.get("latency_ms"),
        }
        for service in services
        for port in service.get("ports", [])
        if (row := tried.get((service["name"], port["container"])))
    ]


def over_budget(row: Row) -> list[str]:
    """Names of the measurements that are outside of the budget."""
    budget = row.get("budget") or {}
    return [
        name
        for name, allowed in budget.items()
        if (row[name] < allowed if name == "throughput_per_s" else row[name] > allowed)
    ]


def durability(rows: Sequence[Row]) -> dict[str, Any] | None:
    """A row for each service and setting, a column for each fault."""
    if not rows:
        return None
    faults = list(dict.fromkeys(row["fault"] for row in rows))
    found: dict[tuple[str, str, str], dict[str, Row]] = {}
    for row in rows:
        key = (row["service"], row.get("setting", ""), row.get("profile", ""))
        found.setdefault(key, {})[row["fault"]] = row
    table = [
        {"service": service, "setting": setting, "profile": profile, "cells": [cells.get(fault) for fault in faults]}
        for (service, setting, profile), cells in found.items()
    ]
    lost = sum(row["lost"] for row in rows)
    return {"faults": faults, "rows": table, "lost": lost, "acknowledged": sum(row["acknowledged"] for row in rows)}


def versions(document: Row) -> list[tuple[str, str]]:
    """What the run was made with and on."""
    machine, run = document["machine"], document["run"]
    cores = f"{machine['cores']} x " if machine.get("cores") else ""
    memory = human(machine["memory_bytes"]) if machine.get("memory_bytes") else ""
    rows = [
        ("Project", machine.get("project_version", "")[:12]),
        ("ansible-core", machine.get("ansible", "")),
        ("community.docker", machine.get("collection", "")),
        ("Python", machine.get("python", "")),
        ("Docker engine", machine.get("engine", "")),
        ("Docker Compose", machine.get("compose", "")),
        ("Distribution", machine.get("distribution", "")),
        ("Kernel", machine.get("kernel", "")),
        ("Processor", f"{cores}{machine['cpu']}" if machine.get("cpu") else ""),
        ("Memory", memory),
        ("Machine", machine["name"]),
        ("Compose project", run["project"]),
        ("Folder", run["root"]),
        ("Inventory", run.get("site", "")),
        ("Durability profile", run.get("durability", "")),
        ("Command", run.get("command", "")),
        ("Run by", " on ".join(part for part in (run.get("user", ""), run.get("host", "")) if part)),
        ("Run", run["id"]),
    ]
    return [(name, value) for name, value in rows if value]


def when(text: str, form: str = "%-d %B %Y, %H:%M") -> str:
    """A time to display, in UTC."""
    return datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone(UTC).strftime(form)


def ms(value: float) -> str:
    """Milliseconds with the unit that suits them and three digits."""
    for limit, factor, unit in ((1, 1000, "µs"), (1000, 1, "ms")):
        if value < limit:
            return f"{_digits(value * factor)} {unit}"
    return f"{_digits(value / 1000)} s"


def seconds(value: float) -> str:
    """A duration to display."""
    if value < 1:
        return ms(value * 1000)
    if value < 60:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def number(value: float) -> str:
    """A number with separators between thousands."""
    return f"{value:,.0f}" if value >= 100 or value == int(value) else _digits(value)


def plural(unit: str) -> str:
    """More than one of the unit."""
    if unit.endswith("y"):
        return f"{unit[:-1]}ies"
    return f"{unit}es" if unit.endswith(("ch", "s", "x")) else f"{unit}s"


def anchor(text: str) -> str:
    """Text as the id of an element."""
    return re.sub(r"[^A-Za-z0-9_.-]", "-", text)


def _digits(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"
