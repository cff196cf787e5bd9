# SPDX-License-Identifier: GPL-3.0-or-later
"""Known vulnerabilities: reports as Grype writes them, the page, the module's four steps. tests/official has Grype."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import image_scan
import pytest
from ansible.module_utils.images.plan import ImageError
from ansible.module_utils.images.vulnerabilities import Database, Vulnerability, counts, page, summary, vulnerabilities
from ansible.module_utils.shared.docker import Docker

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
TOOL = {"reference": "localhost/trade2026/grype:1", "version": "0.119.0", "id": "sha256:1"}


def match(name: str, severity: str, fix: list[str] | None = None) -> dict[str, Any]:
    return {
        "vulnerability": {"id": f"CVE-{name}", "severity": severity, "fix": {"versions": fix, "state": ""}},
        "artifact": {"name": name, "version": "1.0", "type": "deb"},
    }


# Shortened from what Grype 0.119.0 writes.
REPORT = {"matches": [match("b", "Low"), match("a", "Critical", ["1.1"]), match("c", "odd"), match("b", "Low")]}


class Engine:
    """An engine whose Grype has a database of `built`."""

    def __init__(self, cache: Path) -> None:
        self.cache = cache
        self.built = "2026-11-20T06:00:00Z"
        self.valid = True
        self.answer = json.dumps(REPORT)
        self.commands: list[list[str]] = []

    def run(self, words: list[str], **_: Any) -> tuple[int, str, str]:
        command = words[words.index(TOOL["reference"]) + 1 :]
        self.commands.append(command)
        if command[:2] == ["db", "status"]:
            status = {"schemaVersion": "v6.1.9", "built": self.built, "valid": self.valid, "error": "no database"}
            return 0, json.dumps(status), ""
        if command[0] == "db":
            (self.cache / "6").mkdir(exist_ok=True)
            (self.cache / "6/import.json").write_text(self.built)
            return 0, "", ""
        return 0, self.answer, ""

    def scans(self) -> int:
        return sum(command[0].startswith("sbom:") for command in self.commands)


class Machine:
    """A machine with the documents of two services, and a database."""

    def __init__(self, folder: Path) -> None:
        self.sbom = folder / "sbom"
        self.sbom.mkdir()
        self.engine = Engine(folder / "cache")
        self.archive = folder / "database.tar.zst"
        self.archive.write_text("first")
        for name in ("nats", "valkey"):
            (self.sbom / f"{name}.cdx.json").write_text(name)
        self.params = {
            "services": ["nats", "valkey"],
            "tool": TOOL,
            "database": str(self.archive),
            "cache": str(folder / "cache"),
            "folder": str(self.sbom),
        }

    def run(self, check: bool = False, **changes: Any) -> dict[str, Any]:
        params = {**self.params, **changes}
        return image_scan.run(image_scan.Scanner(Docker(self.engine.run), params), params, check)

    def page(self) -> str:
        return (self.sbom / "VULNERABILITIES.md").read_text()


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_a_vulnerability_is_counted_once_and_the_worst_comes_first() -> None:
    found = vulnerabilities(REPORT)
    assert found == (
        Vulnerability("CVE-a", "Critical", "a", "1.0", "1.1"),
        Vulnerability("CVE-b", "Low", "b", "1.0", ""),
        Vulnerability("CVE-c", "Unknown", "c", "1.0", ""),
    )
    assert counts(found) == {"Critical": 1, "High": 0, "Medium": 0, "Low": 1, "Negligible": 0, "Unknown": 1}
    assert summary(found) == "1 critical, 1 low, 1 unknown"
    assert summary(()) == "none known"


@pytest.mark.parametrize(
    ("age", "words"),
    [
        (timedelta(hours=1), "1 hour old"),
        (timedelta(hours=30), "1 day old"),
        (timedelta(days=5), "5 days old"),
        (timedelta(days=6), "6 days old, out of date"),
    ],
)
def test_an_old_database_is_called_out_of_date(age: timedelta, words: str) -> None:
    assert Database(NOW - age, "v6", NOW).age(NOW) == words


def test_the_page_has_counts_the_age_and_the_worst_vulnerabilities() -> None:
    text = page(Database(NOW - timedelta(days=9), "v6.1.9", NOW), {"nats": vulnerabilities(REPORT)}, ["opa"])
    assert "2026-11-17 12:00 UTC (schema v6.1.9), 9 days old, out of date at the scan on 2026-11-26 12:00 UTC" in text
    assert "| nats | 1 | 0 | 0 | 1 | 0 | 1 | [nats.vulnerabilities.json](nats.vulnerabilities.json) |" in text
    assert "| CVE-a | critical | nats | a | 1.0 | 1.1 |" in text
    assert "CVE-b" not in text
    assert "Not scanned with this database: opa." in text


def test_images_are_scanned_once(machine: Machine) -> None:
    assert machine.run(check=True)["scanned"] == ["nats", "valkey"]
    assert not machine.engine.commands
    first = machine.run()
    assert (first["changed"], first["scanned"]) == (True, ["nats", "valkey"])
    assert first["lines"][0].startswith("database of 2026-11-20 06:00 UTC, ")
    assert first["lines"][1] == "nats: 1 critical, 1 low, 1 unknown"
    text = machine.page()
    for check in (True, False):
        again = machine.run(check=check)
        assert (again["changed"], again["scanned"]) == (False, [])
    assert machine.engine.scans() == 2
    assert machine.page() == text


def test_a_changed_image_is_scanned_again(machine: Machine) -> None:
    machine.run()
    (machine.sbom / "valkey.cdx.json").write_text("another")
    assert machine.run(check=True)["scanned"] == ["valkey"]
    assert machine.run()["scanned"] == ["valkey"]


def test_another_database_scans_everything_again_and_replaces_the_old_one(machine: Machine) -> None:
    machine.run()
    machine.archive.write_text("second")
    machine.engine.built = "2026-11-25T06:00:00Z"
    assert machine.run(check=True)["scanned"] == ["nats", "valkey"]
    assert machine.run()["scanned"] == ["nats", "valkey"]
    assert "2026-11-25" in machine.page()


def test_the_page_says_which_images_were_left_out(machine: Machine) -> None:
    machine.run()
    machine.archive.write_text("second")
    machine.engine.built = "2026-11-25T06:00:00Z"
    machine.run(services=["nats"])
    assert "Not scanned with this database: valkey." in machine.page()
    assert "| valkey |" not in machine.page()


def test_a_mirror_is_asked_for_a_newer_database(machine: Machine) -> None:
    address = "https://mirror.example.org/databases/v6/latest.json"
    assert machine.run(database=address)["scanned"] == ["nats", "valkey"]
    assert ["db", "update"] in machine.engine.commands
    assert not machine.run(database=address)["changed"]


def test_a_file_is_imported_again_after_a_mirror_was_asked(machine: Machine) -> None:
    for database in (str(machine.archive), "https://mirror.example.org/latest.json", str(machine.archive)):
        machine.run(database=database)
    assert [
        command[1] for command in machine.engine.commands if command[:2] in (["db", "import"], ["db", "update"])
    ] == [
        "import",
        "update",
        "import",
    ]


def test_without_a_database_nothing_is_scanned_and_the_page_says_so(machine: Machine) -> None:
    machine.run()
    assert machine.run(check=True, database="")["changed"]
    assert (machine.sbom / "nats.vulnerabilities.json").exists()
    result = machine.run(database="", tool={})
    assert (result["changed"], result["lines"]) == (True, ["Not scanned: no database."])
    assert "Not scanned: no database." in machine.page()
    assert sorted(path.name for path in machine.sbom.iterdir()) == [
        "VULNERABILITIES.md",
        "nats.cdx.json",
        "valkey.cdx.json",
    ]
    assert not machine.run(database="", tool={})["changed"]


def test_a_database_that_is_missing_or_unusable_says_what_to_do(machine: Machine) -> None:
    with pytest.raises(ImageError, match="there is no such file on the machine; set image_vulnerability_database"):
        machine.run(database="/nowhere.tar.zst")
    machine.engine.valid = False
    with pytest.raises(ImageError, match="Grype cannot use this database: no database"):
        machine.run()


@pytest.mark.parametrize("answer", ["", "{}", '{"matches": [{}]}'])
def test_a_report_that_cannot_be_read_is_an_error_and_not_a_clean_image(machine: Machine, answer: str) -> None:
    machine.engine.answer = answer
    with pytest.raises(ImageError, match="nats: Grype wrote no report"):
        machine.run()
    assert not (machine.sbom / "nats.vulnerabilities.json").exists()
