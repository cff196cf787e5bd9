# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a change of a service's version can be rolled back: does the older version read what the newer one wrote?

FINDINGS has the answers. Those that name an experiment are repeated by `make test-official`; docs/operations.md shows
all of them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Kind = Literal["image_only", "image_and_data", "impossible", "unknown"]

_NUMBERS = re.compile(r"v?(\d+(?:\.\d+)*)")


@dataclass(frozen=True)
class RollbackClass:
    """What going back from the version wanted to the version that ran takes.

    kind: image_only (the older version reads the data), image_and_data (it does not: a backup is needed), impossible,
    or unknown (not tried). source: the experiment with its date, or the documentation.
    """

    kind: Kind
    reason: str
    source: str


@dataclass(frozen=True)
class Finding:
    """What is known about going back from a newer to an older version.

    A version stands for all releases that begin with it: 8.1 for 8.1.1 and 8.1.8. A finding that the data can be read
    holds for all versions between the two; a finding that it cannot holds for every change that overlaps this range.
    experiment: the versions that were run, older and newer. documentation: the source if nothing was run.
    """

    service: str
    older: str
    newer: str
    kind: Kind
    reason: str
    experiment: tuple[str, str] | tuple[()] = ()
    documentation: str = ""

    @property
    def source(self) -> str:
        """The source of the finding."""
        if not self.experiment:
            return self.documentation
        older, newer = self.experiment
        return f"experiment of {EXPERIMENTS_DATE}: {older} → {newer} → {older}"


# When the experiments were last repeated.
EXPERIMENTS_DATE = "2026-11-26"

# Services that keep no data: any earlier version starts again.
WITHOUT_DATA = {
    "authn": "authn keeps no data: keys and clients are files that only the roles write",
    "opa": "OPA keeps no data: policies are files that only the roles write",
}

FINDINGS = (
    Finding(
        "nats",
        "2.10",
        "2.15",
        "image_only",
        "2.10 reads streams and consumers that 2.15 wrote; not tried: streams with features of 2.11 or later",
        ("2.10.29", "2.15.1"),
    ),
    Finding(
        "nats",
        "2.10",
        "2.12",
        "image_only",
        "2.10 reads streams and consumers that 2.12 wrote; not tried: streams with features of 2.11 or later",
        ("2.10.29", "2.12.8"),
    ),
    Finding(
        "valkey",
        "7.2",
        "8.1",
        "image_only",
        "all of these releases write RDB version 11",
        documentation="Valkey, pull request 665",
    ),
    Finding(
        "valkey",
        "8.1",
        "9.1",
        "image_and_data",
        "9.1 writes RDB version 80 when it rewrites the append-only file; 8.1 does not start on it: Bad file format",
        ("8.1.1", "9.1.2"),
    ),
    Finding(
        "questdb",
        "9.3",
        "9.4",
        "image_and_data",
        "9.4.1 migrates the metadata when it starts; QuestDB promises no way back",
        documentation="QuestDB release notes of 9.4.1; 9.4 is not on Maven, so nothing was run",
    ),
    Finding(
        "clickhouse",
        "24.9",
        "24.9",
        "image_only",
        "releases of one line keep the file format",
        documentation="ClickHouse documentation, Update",
    ),
    Finding(
        "clickhouse",
        "24.8",
        "26.9",
        "image_and_data",
        "24.8 does not start on a table that 26.9 created: Unknown mark file extension (run in chdb, the same engine)",
        ("24.8.4.1", "26.9.2.1"),
    ),
    Finding(
        "clickhouse",
        "18.16",
        "24.8",
        "image_and_data",
        "an older release reads the data only within about a year, and only if no new feature was used",
        documentation="ClickHouse documentation, Update",
    ),
    Finding(
        "opensearch",
        "1.0",
        "2.19.3",
        "image_and_data",
        "a node refuses data of a newer release, even within one line",
        documentation="OpenSearch documentation, Rolling upgrade",
    ),
    Finding(
        "opensearch",
        "2.19.3",
        "2.19.6",
        "image_and_data",
        "a node refuses data of a newer release, even within one line: cannot downgrade a node",
        ("2.19.3", "2.19.6"),
    ),
    Finding(
        "opensearch",
        "2.19.3",
        "3.9",
        "image_and_data",
        "Lucene 9 does not open what Lucene 10 wrote: indexCreatedVersionMajor is in the future",
        ("2.19.3", "3.9.0"),
    ),
    Finding(
        "seaweedfs",
        "4.44",
        "4.48",
        "image_only",
        "4.44 reads volumes, the filer's index and the master's log that 4.48 wrote",
        ("4.44", "4.48"),
    ),
)


def rollback_class(service: str, running: str, wanted: str) -> RollbackClass:
    """What a rollback of a change from version `running` to `wanted` requires.

    Both are versions or tags of an image, such as 8.1.8-alpine. A change to an older version has the same class as the
    way back from an upgrade: the older version has to read what the newer one wrote.
    """
    if service in WITHOUT_DATA:
        return RollbackClass("image_only", WITHOUT_DATA[service], "the service's role")
    if running == wanted:
        return RollbackClass("image_only", "the version does not change", "no experiment needed")
    try:
        older, newer = sorted((_parse(running), _parse(wanted)))
    except ValueError as error:
        return RollbackClass("unknown", str(error), "none")
    if older == newer:
        return RollbackClass("image_only", "the version does not change", "no experiment needed")
    findings = [finding for finding in FINDINGS if finding.service == service]
    for finding in findings:
        if finding.kind == "image_only" and _covers(finding, older, newer):
            return RollbackClass(finding.kind, finding.reason, finding.source)
    for finding in findings:
        if finding.kind != "image_only" and _crosses(finding, older, newer):
            return RollbackClass(finding.kind, finding.reason, finding.source)
    return RollbackClass(
        "unknown",
        f"not tried: whether {service} {_text(older)} reads what {_text(newer)} wrote",
        "none",
    )


def _parse(version: str) -> tuple[int, ...]:
    match = _NUMBERS.match(version)
    if not match:
        raise ValueError(f"{version!r} does not begin with a version number, so nothing is known about its data")
    return tuple(int(number) for number in match[1].split("."))


def _text(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


def _before(version: tuple[int, ...], line: str) -> bool:
    """Whether the version is older than all releases of the line."""
    parsed = _parse(line)
    return version[: len(parsed)] < parsed


def _after(version: tuple[int, ...], line: str) -> bool:
    """Whether the version is newer than all releases of the line."""
    parsed = _parse(line)
    return version[: len(parsed)] > parsed


def _crosses(finding: Finding, older: tuple[int, ...], newer: tuple[int, ...]) -> bool:
    return _before(older, finding.newer) and _after(newer, finding.older)


def _covers(finding: Finding, older: tuple[int, ...], newer: tuple[int, ...]) -> bool:
    return not _before(older, finding.older) and not _after(newer, finding.newer)


def table() -> str:
    """All findings as a Markdown table."""
    lines = ["| service | from | to | rolling it back needs | why | known from |", "|---|---|---|---|---|---|"]
    needs = {"image_only": "the image", "image_and_data": "the image and a backup of the data"}
    rows = [(one.service, one.older, one.newer, one.kind, one.reason, one.source) for one in FINDINGS]
    rows += [(service, "any", "any", "image_only", why, "the service's role") for service, why in WITHOUT_DATA.items()]
    lines += [
        f"| {service} | {older} | {newer} | {needs.get(kind, kind)} | {why} | {source} |"
        for service, older, newer, kind, why, source in rows
    ]
    return "\n".join(lines) + "\n"
