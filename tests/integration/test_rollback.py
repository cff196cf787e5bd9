# SPDX-License-Identifier: GPL-3.0-or-later
"""The rollback drill: services whose new version does not start return to the old one by themselves, with their data.

Four services fail in one run, each in a different way, and the four others must not be touched. `make test` runs two of
the ten rounds, so that every service fails once and every kind of fault occurs; `make drill` runs all ten, 8 services x
5 kinds of faults.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from faults import KINDS, Faults, tags
from site_under_test import SERVICES, Run, Site, docker, kill_with_children, listing
from stored_data import STORED, Endpoint, analytics, read_back, retry, store_in

HALVES = (SERVICES[:4], SERVICES[4:])
ALL_ROUNDS = [(half, shift) for half in range(2) for shift in range(len(KINDS))]
WHOLE = os.environ.get("DRILL") == "all"
ROUNDS = ALL_ROUNDS if WHOLE else [(0, 0), (1, 2)]


@dataclass(frozen=True)
class State:
    """The state of the site that must be the same after a rollback."""

    images: dict[str, str]
    configuration: dict[str, str]
    files: list[tuple[str, int, int, str]]
    started: dict[str, tuple[str, str]]


def state_of(site: Site) -> State:
    containers = site.containers()
    assert {name: seen["State"]["Health"]["Status"] for name, seen in containers.items()} == dict.fromkeys(
        SERVICES, "healthy"
    )
    folders = ("config", "infrastructure/docker/services", "secrets")
    return State(
        images={name: seen["Image"] for name, seen in containers.items()},
        configuration={
            name: seen["Config"]["Labels"]["com.trade2026.config.sha256"] for name, seen in containers.items()
        },
        files=[row for folder in folders for row in listing(site.root / folder) if not row[0].startswith(".trade2026")],
        started=site.started(),
    )


def endpoints(site: Site) -> dict[str, Endpoint]:
    return {
        "nats": Endpoint(site.port(4222)),
        "valkey": Endpoint(site.port(6379)),
        "questdb": Endpoint(site.port(8812), "trade2026", site.secret("questdb/password")),
        "clickhouse": Endpoint(site.port(9100), "trade2026", site.secret("clickhouse/password")),
        "seaweedfs": Endpoint(site.port(8333), "trade2026", site.secret("seaweedfs/s3_secret")),
        "opensearch": Endpoint(site.port(9200)),
    }


@contextlib.contextmanager
def watched(site: Site, events: list[dict[str, Any]]) -> Iterator[None]:
    """Collect when containers of the site end and become healthy; the engine itself keeps only its last 256 events."""
    command = [
        "docker",
        "events",
        f"--filter=label=com.docker.compose.project={site.project}",
        "--filter=event=die",
        "--filter=event=health_status",
        "--format={{json .}}",
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        yield
    finally:
        process.terminate()
        output, _ = process.communicate()
        events += [json.loads(line) for line in output.splitlines()]


def seconds_back(events: list[dict[str, Any]], services: set[str]) -> dict[str, float]:
    """Service → seconds from the end of its old container to the health of the one that it was returned to."""
    found = {}
    for service in sorted(services):
        own = [row for row in events if row["Actor"]["Attributes"]["com.docker.compose.service"] == service]
        ended = [row["timeNano"] for row in own if row["Action"] == "die"]
        healthy = [row["timeNano"] for row in own if row["Action"] == "health_status: healthy"]
        assert ended, service
        assert healthy, service
        found[service] = round((healthy[-1] - ended[0]) / 1e9, 1)
    return found


@pytest.fixture(scope="module")
def stored(deployed: Site) -> Iterator[Site]:
    """The site with data in its six stores. Images of bad versions are removed at the end."""
    before = tags()
    database = analytics(endpoints(deployed)["clickhouse"])
    retry(lambda: database.execute("CREATE DATABASE IF NOT EXISTS trade2025"))
    for service, endpoint in endpoints(deployed).items():
        store_in(service, endpoint)
    run = deployed.play()
    assert run.code == 0, run.errors
    yield deployed
    # Tests that run in parallel build the images of their own applications meanwhile. Tags of restore points belong to
    # their sites, which remove them.
    used = set(docker("ps", "--all", "--format", "{{.Image}}").split())
    for tag in sorted(tags() - before - used):
        if not tag.startswith("localhost/trade2026/restore/"):
            docker("image", "rm", "--force", tag)


def play_with(faults: Faults) -> Run:
    faults.prepare()
    process, taken = faults.begin(core_ready_timeout_factor=0.15)
    try:
        output, _ = process.communicate(timeout=1200)
    finally:
        for listener in taken:
            listener.close()
    return Run(process.returncode, output)


@pytest.mark.parametrize(("half", "shift"), ROUNDS)
def test_services_that_do_not_start_are_rolled_back_with_their_data(
    stored: Site, tmp_path: Path, half: int, shift: int
) -> None:
    failing = {service: KINDS[(place + shift) % len(KINDS)] for place, service in enumerate(HALVES[half])}
    before = state_of(stored)
    events: list[dict[str, Any]] = []
    began = time.monotonic()
    with watched(stored, events):
        run = play_with(Faults(stored, failing, tmp_path))
    print(f"{failing}: {time.monotonic() - began:.0f} s, exit code {run.code}")

    assert run.code != 0
    assert run.failed_hosts == set(failing), run.errors
    for service, kind in failing.items():
        message = run.output.rpartition(f"fatal: [{service}]: FAILED!")[2].partition("\nfatal: ")[0]
        for text in ("Likely cause: ", "Do: ", "It was returned to restore point ", "is healthy and"):
            assert text in message, f"{service}, {kind}: {text!r} is not in {message}"
    after = state_of(stored)
    assert after.images == before.images
    assert after.configuration == before.configuration
    assert after.files == before.files
    untouched = set(SERVICES) - set(failing)
    assert {name: after.started[name] for name in untouched} == {name: before.started[name] for name in untouched}
    assert set(STORED) == set(endpoints(stored))
    for service, endpoint in endpoints(stored).items():
        read_back(service, endpoint)
    print(f"seconds until back: {seconds_back(events, set(failing))}")


@pytest.mark.skipif(not WHOLE, reason="only in `make drill`, for its time")
def test_a_killed_rollback_is_completed_by_the_next_run(stored: Site, tmp_path: Path) -> None:
    before = state_of(stored)
    faults = Faults(stored, {"valkey": "image"}, tmp_path)
    faults.prepare()
    process, _taken = faults.begin(core_ready_timeout_factor=0.15)
    marker = stored.root / ".trade2026/restore_points/valkey/rollback.json"
    while not marker.exists():
        assert process.poll() is None, "the run ended before it returned the service"
        time.sleep(0.05)
    kill_with_children(process)
    assert marker.exists()
    run = stored.play(**faults.variables)
    assert run.failed_hosts == {"valkey"}, run.errors
    assert "restore rollback" in run.output
    assert "It was returned to restore point " in run.output
    assert not marker.exists()
    after = state_of(stored)
    assert (after.images, after.configuration, after.files) == (before.images, before.configuration, before.files)
    read_back("valkey", endpoints(stored)["valkey"])


def test_a_corrected_declaration_is_deployed_after_a_rollback(stored: Site) -> None:
    """The restored state is the declared one: the next run finds nothing to do."""
    before = state_of(stored)
    run = stored.play()
    assert run.code == 0, run.errors
    assert state_of(stored) == before
