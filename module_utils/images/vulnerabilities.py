# SPDX-License-Identifier: GPL-3.0-or-later
"""Known vulnerabilities of images, as Grype reports them. Pure: Grype's documents come in as data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

SEVERITIES = ("Critical", "High", "Medium", "Low", "Negligible", "Unknown")
# Those that the page lists one by one.
LISTED = SEVERITIES[:2]
# What was scanned with which database, and the counts; in the folder of the documents.
INDEX = "vulnerabilities.json"
NOT_SCANNED = "Not scanned: no database."
# An older database is out of date for Grype, which then refuses to scan. Here it scans, and the page says so.
MAX_AGE = timedelta(days=5)


@dataclass(frozen=True)
class Database:
    """A database of known vulnerabilities. built: when its publisher made it. scanned: when it was last used."""

    built: datetime
    schema: str
    scanned: datetime

    def age(self, now: datetime) -> str:
        """How old the database is, in words."""
        age = now - self.built
        days, hours = age.days, int(age.total_seconds() // 3600)
        text = f"{days} day{'s' * (days != 1)} old" if days else f"{hours} hour{'s' * (hours != 1)} old"
        return f"{text}, out of date" if age > MAX_AGE else text


@dataclass(frozen=True, order=True)
class Vulnerability:
    """A known vulnerability of one package in an image. `fixed_in` is empty while there is no fix."""

    id: str
    severity: str
    package: str
    version: str
    fixed_in: str


def vulnerabilities(document: Mapping[str, Any]) -> tuple[Vulnerability, ...]:
    """What a document of Grype reports, the worst first. A severity that is not known here counts as unknown."""
    found = set()
    for match in document["matches"]:
        vulnerability, artifact = match["vulnerability"], match["artifact"]
        severity = str(vulnerability.get("severity", "")).capitalize()
        found.add(
            Vulnerability(
                str(vulnerability["id"]),
                severity if severity in SEVERITIES else "Unknown",
                str(artifact["name"]),
                str(artifact["version"]),
                ", ".join(vulnerability.get("fix", {}).get("versions") or ()),
            )
        )
    return tuple(sorted(found, key=lambda one: (SEVERITIES.index(one.severity), one)))


def counts(found: Iterable[Vulnerability]) -> dict[str, int]:
    """Severity → number of vulnerabilities."""
    counter = Counter(one.severity for one in found)
    return {severity: counter[severity] for severity in SEVERITIES}


def summary(found: Iterable[Vulnerability]) -> str:
    """The counts as a text: `1 critical, 3 low`, or `none known`."""
    parts = [f"{count} {severity.lower()}" for severity, count in counts(found).items() if count]
    return ", ".join(parts) or "none known"


def page(
    database: Database | None, results: Mapping[str, Sequence[Vulnerability]], outdated: Sequence[str] = ()
) -> str:
    """The page with the counts of every image, and the worst vulnerabilities one by one.

    outdated: services that were scanned with another database only.
    """
    lines = ["# Known vulnerabilities", "", "Written by `playbooks/sbom.yml`.", ""]
    if database is None:
        lines += [
            f"{NOT_SCANNED} Set `image_vulnerability_database` to a database of Grype, or give the documents to a",
            "scanner on another machine, for example `grype sbom:nats.cdx.json`.",
        ]
        return "\n".join(lines) + "\n"
    lines += [
        f"Grype's database of {database.built:%Y-%m-%d %H:%M} UTC (schema {database.schema}), "
        f"{database.age(database.scanned)} at the scan on {database.scanned:%Y-%m-%d %H:%M} UTC.",
        "",
        f"| service | {' | '.join(severity.lower() for severity in SEVERITIES)} | report |",
        f"|---|{'---|' * len(SEVERITIES)}---|",
    ]
    for service, found in sorted(results.items()):
        numbers = " | ".join(str(count) for count in counts(found).values())
        lines.append(f"| {service} | {numbers} | [{report_name(service)}]({report_name(service)}) |")
    if outdated:
        lines += ["", f"Not scanned with this database: {', '.join(sorted(outdated))}."]
    lines += ["", "## Critical and high", ""]
    rows = [
        f"| {one.id} | {one.severity.lower()} | {service} | {one.package} | {one.version} | {one.fixed_in or '-'} |"
        for service, found in sorted(results.items())
        for one in found
        if one.severity in LISTED
    ]
    table = ["| vulnerability | severity | service | package | version | fixed in |", "|---|---|---|---|---|---|"]
    return "\n".join([*lines, *([*table, *rows] if rows else ["None known."])]) + "\n"


def in_one_line(index: Mapping[str, Any]) -> str:
    """The result of the last scan, for the report of a run. `index` is what image_scan stored."""
    scanned, built = (datetime.fromisoformat(index[key]) for key in ("scanned", "built"))
    parts = [f"{index['counts'][severity]} {severity.lower()}" for severity in SEVERITIES if index["counts"][severity]]
    age = Database(built, index["schema"], scanned).age(scanned)
    return f"{', '.join(parts) or 'none known'} at the scan on {scanned:%Y-%m-%d %H:%M} UTC, with a database {age}."


def report_name(service: str) -> str:
    """The file with Grype's report about the image of a service."""
    return f"{service}.vulnerabilities.json"
