# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a change of a service's version can be taken back: does the older version read what the newer one wrote?

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
    or unknown (nobody has tried). source: the experiment with its date, or the documentation.
    """

    kind: Kind
    reason: str
    source: str


@dataclass(frozen=True)
class Finding:
    """What was found about going back from a newer to an older version.

    A version stands for all releases that begin with it: 8.1 for 8.1.1 and 8.1.8. A finding that the data can be read
    holds for all versions between the two; one that they cannot, for every pair that crosses a part of the way.
    experiment: the exact versions that were run, older and newer; empty when `source` is documentation.
    """

    service: str
    older: str
    newer: str
    kind: Kind
    reason: str
    source: str
    experiment: tuple[str, str] | tuple[()] = ()


# Services that keep no data: whatever version ran before starts again.
WITHOUT_DATA = {
    "authn": "authn keeps no data: keys and clients are files that only the roles write",
    "opa": "opa keeps no data: policies are files that only the roles write",
}

FINDINGS = (
    Finding(
        "nats",
        "2.10",
        "2.10",
        "image_only",
        "patch releases of one line keep the file format",
        "NATS documentation, JetStream",
    ),
    Finding(
        "nats",
        "2.10",
        "2.15",
        "image_and_data",
        "streams with new features are misread by servers before 2.11.9",
        "NATS documentation, What's new in 2.12",
    ),
    Finding(
        "valkey",
        "7.2",
        "8.1",
        "image_only",
        "all releases of these lines write RDB version 11",
        "Valkey source, pull request 665",
    ),
    Finding(
        "valkey",
        "8.1",
        "9.1",
        "image_and_data",
        "9.0 and later write an RDB version (80) that 8.1 refuses",
        "Valkey issues 2888 and 2917",
    ),
    Finding(
        "questdb",
        "9.3",
        "9.4",
        "image_and_data",
        "9.4.1 migrates the metadata when it starts",
        "QuestDB release notes of 9.4.1",
    ),
    Finding(
        "clickhouse",
        "24.9",
        "24.9",
        "image_only",
        "patch releases of one line keep the file format",
        "ClickHouse documentation, Update",
    ),
    Finding(
        "clickhouse",
        "18.16",
        "26.9",
        "image_and_data",
        "an older release reads the data only within a year, and only if no new feature was used",
        "ClickHouse documentation, Update",
    ),
    Finding(
        "opensearch",
        "2.19.3",
        "3.9",
        "image_and_data",
        "a node cannot be downgraded",
        "OpenSearch documentation, Rolling upgrade",
    ),
    Finding(
        "seaweedfs",
        "4.44",
        "4.48",
        "image_and_data",
        "nothing is documented",
        "SeaweedFS documentation",
    ),
)


def rollback_class(service: str, running: str, wanted: str) -> RollbackClass:
    """What taking back a change from version `running` to `wanted` takes.

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
        f"nobody has tried whether {service} {_text(older)} reads what {_text(newer)} wrote",
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
