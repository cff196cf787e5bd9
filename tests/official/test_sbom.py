# SPDX-License-Identifier: GPL-3.0-or-later
"""playbooks/sbom.yml with the real Syft: predicted, written, kept. With the real Grype, on a database made here."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

from site_under_test import Run, Site

from .releases import default_version

SERVICES = ("nats", "valkey")


# Tables and columns of Grype's database, version 6, as far as a scan reads them. Grype adds the rest at the import.
SCHEMA = """
CREATE TABLE blobs (id integer PRIMARY KEY, value text NOT NULL);
CREATE TABLE db_metadata (build_timestamp datetime NOT NULL, model integer NOT NULL, revision integer NOT NULL,
    addition integer NOT NULL);
CREATE TABLE providers (id text PRIMARY KEY, version text, processor text, date_captured datetime, input_digest text);
CREATE TABLE vulnerability_handles (id integer PRIMARY KEY, name text NOT NULL, status text NOT NULL,
    published_date datetime, modified_date datetime, withdrawn_date datetime, provider_id text NOT NULL,
    blob_id integer);
CREATE TABLE packages (id integer PRIMARY KEY, ecosystem text, name text);
CREATE TABLE operating_systems (id integer PRIMARY KEY, name text, release_id text, major_version text,
    minor_version text, label_version text, codename text, channel text, eol_date datetime, eoas_date datetime);
CREATE TABLE affected_package_handles (id integer PRIMARY KEY, vulnerability_id integer NOT NULL,
    operating_system_id integer, package_id integer, blob_id integer);
INSERT INTO providers VALUES ('test', '1', 'test', '2026-11-20 06:00:00+00:00', '');
INSERT INTO operating_systems VALUES (1, 'debian', 'debian', '13', '', '', '', '', NULL, NULL);
"""


def write_database(path: Path, built: str, *rows: tuple[str, str, str, str, str, str]) -> None:
    """Rows are id, severity, ecosystem, package, affected versions and fixed version."""
    path.unlink(missing_ok=True)
    packages: list[str] = []
    with sqlite3.connect(path) as database:
        database.executescript(SCHEMA)
        database.execute("INSERT INTO db_metadata VALUES (?, 6, 1, 9)", [built])
        for number, (name, severity, ecosystem, package, affected, fixed) in enumerate(rows, start=1):
            rank = [{"scheme": "CHMLN", "value": severity, "rank": 1}]
            fix = {"version": fixed, "state": "fixed" if fixed else "not-fixed"}
            kind = "go" if ecosystem == "go-module" else "dpkg"
            ranges = [{"version": {"type": kind, "constraint": affected}, "fix": fix}]
            blobs = [{"id": name, "severities": rank}, {"ranges": ranges}]
            for offset, blob in enumerate(blobs):
                database.execute("INSERT INTO blobs VALUES (?, ?)", [2 * number + offset, json.dumps(blob)])
            database.execute(
                "INSERT INTO vulnerability_handles VALUES (?, ?, 'active', NULL, NULL, NULL, 'test', ?)",
                [number, name, 2 * number],
            )
            if package not in packages:
                packages.append(package)
                database.execute("INSERT INTO packages VALUES (?, ?, ?)", [len(packages), ecosystem, package])
            system = 1 if ecosystem == "deb" else None
            database.execute(
                "INSERT INTO affected_package_handles VALUES (?, ?, ?, ?, ?)",
                [number, number, system, packages.index(package) + 1, 2 * number + 1],
            )
    database.close()


def run(site: Site, *words: str, **variables: Any) -> Run:
    done = site.play("--limit", ",".join(SERVICES), *words, playbook="playbooks/sbom.yml", **variables)
    assert done.code == 0, done.errors
    return done


def document(site: Site, service: str) -> dict[str, Any]:
    return dict(json.loads((site.root / f"docs/sbom/{service}.cdx.json").read_text(encoding="utf-8")))


def test_the_software_of_each_image_is_listed_once(site: Site) -> None:
    # The image of Syft has to exist before a dry run can predict more than its build.
    first = run(site)
    assert first.changed_hosts
    versions = {name: {one["name"]: one["version"] for one in document(site, name)["components"]} for name in SERVICES}
    assert versions["nats"]["github.com/nats-io/nats-server/v2"] == f"v{default_version('nats')}"
    assert default_version("valkey") in versions["valkey"]["valkey-server"]

    page = (site.root / "docs/sbom/README.md").read_text(encoding="utf-8")
    assert "- nats: not verified" in page
    assert "Not scanned: no database." in first.output
    assert "Not scanned: no database." in (site.root / "docs/sbom/VULNERABILITIES.md").read_text(encoding="utf-8")
    provenance = json.loads((site.root / "docs/sbom/provenance.json").read_text(encoding="utf-8"))["images"]
    assert {image["service"] for image in provenance} >= set(SERVICES)
    assert all(image["inputs"] for image in provenance)

    assert not run(site).changed_hosts
    (site.root / "docs/sbom/valkey.cdx.json").unlink()
    assert "written: valkey" in " ".join(run(site, "--check").output.split())
    assert not (site.root / "docs/sbom/valkey.cdx.json").exists()


def test_known_vulnerabilities_are_found_and_shown_with_the_age_of_the_database(site: Site, tmp_path: Path) -> None:
    server = "github.com/nats-io/nats-server/v2"
    nats = default_version("nats")
    database = tmp_path / "vulnerability.db"
    write_database(
        database,
        "2026-11-20 06:00:00+00:00",
        ("TEST-0001", "critical", "go-module", server, f"<={nats}", "99.0.0"),
        ("TEST-0002", "high", "go-module", server, f"<{nats}", nats),
        ("TEST-0003", "low", "deb", "valkey", "<99", ""),
    )
    found = run(site, image_vulnerability_database=str(database))
    assert "2026-11-20 06:00 UTC" in found.output
    assert "nats: 1 critical" in found.output
    assert "valkey: " in found.output
    page = (site.root / "docs/sbom/VULNERABILITIES.md").read_text(encoding="utf-8")
    assert "old, out of date" in page
    assert f"| TEST-0001 | critical | nats | {server} | v{nats} | 99.0.0 |" in page
    assert "TEST-0002" not in page
    report = json.loads((site.root / "docs/sbom/valkey.vulnerabilities.json").read_text(encoding="utf-8"))
    assert {match["vulnerability"]["id"] for match in report["matches"]} == {"TEST-0003"}
    assert not run(site, image_vulnerability_database=str(database)).changed_hosts

    # A database without anything about these packages.
    write_database(database, "2026-11-21 06:00:00+00:00", ("TEST-0004", "high", "deb", "other", "<99", ""))
    assert "nats: none known" in run(site, image_vulnerability_database=str(database)).output
    assert "TEST-0001" not in (site.root / "docs/sbom/VULNERABILITIES.md").read_text(encoding="utf-8")
