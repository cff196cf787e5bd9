# SPDX-License-Identifier: GPL-3.0-or-later
"""Data that was stored in Trade2025's services is copied and can be read from Trade2026's, with real services."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from site_under_test import PROJECT_ROOT, Run, Site, kill_with_children, listing
from stored_data import STORED, Endpoint, read_back, retry, store_in
from trade2025_platform import FOLDERS, Trade2025

BASE = Path("/var/tmp/trade2026-test-data")
SERVICES = ("--limit", ",".join(STORED))
COPY = "playbooks/migrate_data.yml"

# The service that still runs at first; it can be stopped quickly.
STILL_RUNNING = "valkey"
# Six of the steps in which a large file is copied and verified, so that a run can be killed between two of them.
LARGE = "questdb/import/quotes.csv"
LARGE_BYTES = 6 * 64 * 1024 * 1024
# Until the copy has reached the large file.
KILL_DEADLINE_S = 120


@dataclass(frozen=True)
class Attempt:
    """A run, with the new tree before and after it."""

    run: Run
    before: list[Any]
    after: list[Any]


def attempt(site: Site, *args: str) -> Attempt:
    before = listing(site.root)
    run = site.play(*SERVICES, *args, playbook=COPY)
    return Attempt(run, before, listing(site.root))


def contents(folder: Path) -> list[tuple[str, int, str]]:
    """Every path with size and hash. Modes are left out, because the copy sets them."""
    return [(name, size, digest) for name, _mode, size, digest in listing(folder)]


@pytest.fixture(scope="module")
def trade2026() -> Iterator[Site]:
    """The new site, empty at first and removed at the end."""
    site = Site(root=BASE / "root", number=7, variables={"trade2025_root": str(BASE / "trade2025")})
    site.remove()
    BASE.mkdir(parents=True, exist_ok=True)
    yield site
    site.remove()
    shutil.rmtree(BASE, ignore_errors=True)


@pytest.fixture(scope="module")
def trade2025(trade2026: Site) -> Iterator[Trade2025]:
    """The old platform with running services, in each of which clients have stored data."""
    platform = Trade2025(BASE, "trade2025-test7", subnet="172.31.70.0/24")
    platform.remove()
    written = BASE / "images.json"
    run = trade2026.play(*SERVICES, playbook="tests/integration/core_images.yml", written_to=str(written))
    assert run.code == 0, run.errors
    try:
        platform.lay_out(json.loads(written.read_text(encoding="utf-8")))
        platform.start()
        with ThreadPoolExecutor(len(STORED)) as clients:
            list(clients.map(lambda service: store_in(service, platform.endpoint(service)), STORED))
        large = platform.root / "trading" / LARGE
        large.parent.mkdir(parents=True, exist_ok=True)
        large.write_bytes(os.urandom(LARGE_BYTES))
        yield platform
    finally:
        platform.remove()


@pytest.fixture(scope="module")
def refused(trade2025: Trade2025, trade2026: Site) -> Attempt:
    """A run while one of the old services still runs."""
    trade2025.stop(*(service for service in STORED if service != STILL_RUNNING))
    return attempt(trade2026)


@pytest.fixture(scope="module")
def source(trade2025: Trade2025, refused: Attempt) -> list[Any]:
    """The old tree after all services were stopped."""
    trade2025.stop()
    return listing(trade2025.root)


@pytest.fixture(scope="module")
def dry(trade2026: Site, source: list[Any]) -> Attempt:
    """The dry run of a copy that is possible."""
    return attempt(trade2026, "--check")


@pytest.fixture(scope="module")
def killed(trade2026: Site, dry: Attempt) -> dict[str, list[tuple[str, int, str]]]:
    """The data of each service after a run that was killed in the middle of the large file."""
    journal = trade2026.root / "data/.trade2025/questdb/journal.jsonl"
    limit = time.monotonic() + KILL_DEADLINE_S
    process = trade2026.begin(*SERVICES, playbook=COPY)
    try:
        while not (journal.exists() and '"step"' in journal.read_text(encoding="utf-8")):
            assert process.poll() is None, "the run ended before it could be killed"
            assert time.monotonic() < limit, "the run did not reach the large file"
            time.sleep(0.005)
    finally:
        kill_with_children(process)
    data = trade2026.root / "data"
    return {service: contents(data / folder) for service, folder in FOLDERS.items() if (data / folder).exists()}


@pytest.fixture(scope="module")
def copied(trade2026: Site, killed: dict[str, Any]) -> Run:
    """The run after the killed one."""
    return trade2026.play(*SERVICES, playbook=COPY)


@pytest.fixture(scope="module")
def again(trade2026: Site, copied: Run) -> Attempt:
    """A further run."""
    return attempt(trade2026)


@pytest.fixture(scope="module")
def target(trade2026: Site, again: Attempt) -> Site:
    """The new site after the main job, with the copied data."""
    run = trade2026.play(*SERVICES)
    assert run.code == 0, run.errors
    return trade2026


def test_nothing_is_copied_while_a_service_of_trade2025_runs(trade2025: Trade2025, refused: Attempt) -> None:
    assert refused.run.code != 0
    container = trade2025.container(STILL_RUNNING)
    assert f"container {container} is running: it mounts {trade2025.data(STILL_RUNNING)} of Trade2025" in (
        " ".join(refused.run.output.split())
    )
    stopped = [trade2025.container(service) for service in STORED if service != STILL_RUNNING]
    assert not [name for name in stopped if name in refused.run.output]
    assert refused.after == refused.before == []


def test_a_dry_run_lists_what_would_be_copied_and_creates_nothing(dry: Attempt, copied: Run) -> None:
    assert dry.run.code == 0, dry.run.errors
    assert dry.run.changed_hosts == copied.changed_hosts
    assert copied.changed_hosts
    for service in STORED:
        assert f"{service}: would copy" in dry.run.output
    assert dry.after == dry.before == []


def test_after_a_kill_a_service_has_all_of_its_data_or_none(trade2025: Trade2025, killed: dict[str, Any]) -> None:
    # In the order of the inventory: services before the large file are complete.
    assert set(killed) == {"nats", "valkey"}
    for service, found in killed.items():
        assert found == contents(trade2025.data(service))


def test_the_next_run_copies_only_what_is_missing(
    trade2025: Trade2025, trade2026: Site, killed: dict[str, Any], copied: Run, again: Attempt
) -> None:
    assert copied.code == 0, copied.errors
    for service, folder in FOLDERS.items():
        assert f"{service}: {'current' if service in killed else 'copied'}" in copied.output
        name = f"data/{folder}/"
        found = [
            (path.removeprefix(name), size, digest)
            for path, _mode, size, digest in again.before
            if path.startswith(name)
        ]
        assert found
        assert found == contents(trade2025.data(service))


def test_copied_files_belong_to_the_service_and_others_cannot_read_them(trade2026: Site, copied: Run) -> None:
    for service, folder in FOLDERS.items():
        role = yaml.safe_load((PROJECT_ROOT / f"roles/{service}/vars/main.yml").read_text(encoding="utf-8"))
        user = role[f"{service}_service"]["user"]
        paths = list((trade2026.root / "data" / folder).rglob("*"))
        assert paths, service
        for path in paths:
            seen = path.lstat()
            assert (seen.st_uid, seen.st_gid) == (user["uid"], user["gid"]), path
            assert not seen.st_mode & 0o007, path


def test_a_further_run_changes_nothing(again: Attempt) -> None:
    assert again.run.code == 0, again.run.errors
    assert not again.run.changed_hosts
    assert again.after == again.before


@pytest.mark.parametrize("service", STORED)
def test_the_new_service_returns_the_data_of_the_old_one(target: Site, service: str) -> None:
    port = {"nats": 4222, "valkey": 6379, "questdb": 8812, "clickhouse": 9100, "seaweedfs": 8333, "opensearch": 9200}
    secrets = {
        "questdb": "questdb/password",
        "clickhouse": "clickhouse/password",
        "seaweedfs": "seaweedfs/s3_secret",
    }
    password = target.secret(secrets[service]) if service in secrets else ""
    endpoint = Endpoint(target.port(port[service]), user="trade2026" if password else "", password=password)
    retry(lambda: read_back(service, endpoint), 30)


def test_nothing_is_copied_while_a_service_of_trade2026_runs(target: Site) -> None:
    started = target.started()
    refused = target.play(*SERVICES, playbook=COPY)
    assert refused.code != 0
    output = " ".join(refused.output.split())
    for service in STORED:
        assert f"container {target.prefix}{service} is running: it belongs to the Compose project" in output
    assert target.started() == started


def test_the_source_is_not_modified(trade2025: Trade2025, source: list[Any], target: Site) -> None:
    assert source
    assert listing(trade2025.root) == source
