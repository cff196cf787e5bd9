# SPDX-License-Identifier: GPL-3.0-or-later
"""A failure is reported once, with its cause and a remedy, and changes nothing else.

Failures that need no whole stack are tested by Molecule scenarios: the list of the preflight checks in `trade2026`;
wrong variables, a broken template, a port in use and an image that does not start in `error-messages`.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from site_under_test import PROJECT_ROOT, SOURCE_TREE, Run, Site, docker, listing, report_of


@pytest.fixture
def other(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A second site, for runs that must fail."""
    site = Site(root=Path("/var/tmp/trade2026-test-other/root"), number=2)
    site.remove()
    yield site
    site.remove()
    shutil.rmtree(site.root.parent, ignore_errors=True)


def assert_readable(run: Run) -> None:
    assert run.code != 0
    for unreadable in ("Traceback", "object at 0x", "MODULE FAILURE"):
        assert unreadable not in run.output


@pytest.mark.parametrize(
    ("damage", "facts"),
    [
        ("missing", ["docker-compose.core.yml"]),
        ("malformed", ["docker-compose.core.yml", "line"]),
    ],
)
def test_a_source_file_that_is_missing_or_malformed(other: Site, tmp_path: Path, damage: str, facts: list[str]) -> None:
    source = tmp_path / "trade2025"
    shutil.copytree(SOURCE_TREE, source, symlinks=True)
    compose = source / "docker-compose.core.yml"
    if damage == "missing":
        compose.unlink()
    else:
        compose.write_text("services:\n  nats: [\n", encoding="utf-8")
    run = other.play("--limit", "nats", trade2025_root=str(source))
    assert_readable(run)
    for fact in facts:
        assert fact in run.output, fact
    assert not other.inspect()
    report = report_of(run)
    assert PROJECT_ROOT / ".cache/state" in report.parents
    assert json.loads((report.parent / "report.json").read_text())["verdict"]["sentence"] == "Nothing was deployed"


def test_a_rejected_configuration_does_not_replace_the_live_one(deployed: Site) -> None:
    files = listing(deployed.root / "config")
    started = deployed.started()
    # A duration, as the variable's kind requires. Only the server knows that it is too long for it.
    run = deployed.play("--limit", "nats", nats_write_deadline="9999999999999h")
    assert_readable(run)
    assert run.failed_hosts == {"nats"}
    assert "the validate command rejected the new configuration" in run.output
    assert "write_deadline" in run.output
    report = report_of(run)
    assert deployed.root in report.parents
    document = json.loads((report.parent / "report.json").read_text())
    failed = [test for test in document["tests"] if test["status"] == "failed"]
    assert [test["service"] for test in failed] == ["nats"]
    assert "write_deadline" in failed[0]["message"]
    assert document["verdict"]["status"] == "failed"
    assert listing(deployed.root / "config") == files
    assert deployed.started() == started


def test_a_service_that_does_not_start_fails_alone_with_its_log_and_cause(deployed: Site) -> None:
    manifest = deployed.root / "data/valkey/appendonlydir/appendonly.aof.manifest"
    content = manifest.read_bytes()
    docker("stop", f"{deployed.prefix}valkey")
    manifest.write_bytes(b"damaged\n")
    try:
        run = deployed.play("--limit", "valkey,opa", valkey_maxclients=4000)
    finally:
        manifest.write_bytes(content)
    restored = deployed.play("--limit", "valkey,opa")
    assert restored.code == 0, restored.errors
    assert_readable(run)
    assert run.failed_hosts == {"valkey"}
    for fact in ("Valkey failed verification", "Do:"):
        assert fact in run.output, fact
    # The failed service is the machine's primary; the summary is still printed.
    assert re.search(r"^ *opa .* healthy +5/5", run.output, re.MULTILINE)
    assert re.search(r"^ *valkey .* FAILED ", run.output, re.MULTILINE)


def test_of_services_that_are_started_at_once_only_the_broken_one_fails(deployed: Site) -> None:
    names = ("valkey", "opa", "authn")
    limit = ("--limit", ",".join(names))
    manifest = deployed.root / "data/valkey/appendonlydir/appendonly.aof.manifest"
    docker("stop", *(f"{deployed.prefix}{name}" for name in names))
    content = manifest.read_bytes()
    manifest.write_bytes(b"damaged\n")
    try:
        run = deployed.play(*limit)
    finally:
        manifest.write_bytes(content)
    restored = deployed.play(*limit)
    assert restored.code == 0, restored.errors
    assert_readable(run)
    assert run.failed_hosts == {"valkey"}
    for fact in ("Valkey failed verification", "Likely cause: its data is damaged", "There is nothing to return to"):
        assert fact in run.output, fact
    for name in ("opa", "authn"):
        assert re.search(rf"^ *{name} .* healthy +5/5", run.output, re.MULTILINE)
    # The run has ended: it holds no lock, and the journal has its result.
    assert not list((deployed.root / ".trade2026/journal").glob("lock*"))


def test_a_service_without_operations_that_fails_beside_a_deployed_one_fails_alone(deployed: Site) -> None:
    """Both are probed by the same process."""
    limit = ("--limit", "nats,valkey")
    docker("exec", f"{deployed.prefix}valkey", "valkey-cli", "CONFIG", "SET", "maxmemory", "1500mb")
    try:
        run = deployed.play(*limit, nats_max_connections=4000)
    finally:
        docker("restart", f"{deployed.prefix}valkey")
    lines = (deployed.root / ".trade2026/journal.jsonl").read_text(encoding="utf-8").splitlines()
    restored = deployed.play(*limit)
    assert restored.code == 0, restored.errors
    assert_readable(run)
    assert run.failed_hosts == {"valkey"}
    assert "maxmemory is '1572864000', not 2147483648" in run.output
    assert re.search(r"^ *nats .* healthy +4/4", run.output, re.MULTILINE)
    assert re.search(r"^ *valkey .* FAILED +3/4", run.output, re.MULTILINE)
    assert json.loads(lines[-1])["failed"] == ["valkey"]
    assert not list((deployed.root / ".trade2026/journal").glob("lock*"))


def test_a_registry_that_does_not_answer_is_named(other: Site) -> None:
    run = other.play(
        "--limit", "nats", image_source="registry", image_prefix="127.0.0.1:1/", image_retries=1, image_retry_delay_s=0
    )
    assert_readable(run)
    assert "127.0.0.1:1/" in run.output
    assert not other.inspect()
