# SPDX-License-Identifier: GPL-3.0-or-later
"""Which upgrades can be rolled back: repeat each experiment that module_utils/restore/classes.py names.

The main job deploys the older release, clients store data, a backup is taken, the main job upgrades (its validate
command and probes verify the configuration for the newer release), clients store more, and the main job goes back.
Where the older release cannot read the data, the service is returned to the backup.
"""

from __future__ import annotations

import re

import pytest
from ansible.module_utils.restore.classes import FINDINGS, Finding, rollback_class
from site_under_test import Run, Site, docker_log
from stored_data import NOT_YET, Endpoint, read_back, retry, store_in

from .conftest import BASE
from .releases import Release
from .stored_later import LATER, read_later, store_later

# ClickHouse runs as chdb, in test_clickhouse.py.
EXPERIMENTS = [finding for finding in FINDINGS if finding.experiment and finding.service != "clickhouse"]
PORTS = {"nats": 4222, "valkey": 6379, "questdb": 8812, "seaweedfs": 8333, "opensearch": 9200}
PASSWORDS = {"questdb": "questdb/password", "seaweedfs": "seaweedfs/s3_secret"}
# Newer release → the older one's error about its data.
REFUSALS = {
    Release("valkey", "9.1.2"): "Bad file format",
    Release("opensearch", "2.19.6"): "cannot downgrade a node",
    Release("opensearch", "3.9.0"): "indexCreatedVersionMajor is in the future",
}
# What a log says about a setting that a release no longer supports.
UNWANTED = re.compile(
    r"deprecat|obsolete|no longer supported|unknown (option|setting|field)|unrecogni[sz]ed", re.IGNORECASE
)


# Other tests may use the machine as well.
PATIENCE = {"core_ready_timeout_factor": 3, "core_probe_timeout_s": 30}


def deploy(site: Site, release: Release, accept: bool = False) -> Run:
    """Run the main job with a release of one service, without rollback; accept: whatever the table says."""
    variables = {"core_auto_rollback": False, "core_accept_no_rollback": [release.service] if accept else []}
    return site.play("--limit", release.service, **PATIENCE, **variables, **release.variables(BASE / "recipes"))


def endpoint(site: Site, service: str) -> Endpoint:
    password = site.secret(PASSWORDS[service]) if service in PASSWORDS else ""
    return Endpoint(site.port(PORTS[service]), user="trade2026" if password else "", password=password)


def complaints(site: Site, service: str) -> list[str]:
    """Lines of the service's log about settings that it no longer supports; docs/images.md lists them."""
    return [line for line in docker_log(f"{site.prefix}{service}").splitlines() if UNWANTED.search(line)]


def everything_is_read(site: Site, service: str) -> bool:
    """Whether the service returns what was stored before and after the upgrade."""
    try:
        retry(lambda: read_back(service, endpoint(site, service)), 30)
        retry(lambda: read_later(service, endpoint(site, service)), 30)
    except (*NOT_YET, LookupError):
        return False
    return True


@pytest.mark.parametrize("finding", EXPERIMENTS, ids=lambda finding: "-".join((finding.service, *finding.experiment)))
def test_a_rollback_needs_what_the_table_says(site: Site, finding: Finding) -> None:
    service = finding.service
    older, newer = (Release(service, version) for version in finding.experiment)

    first = deploy(site, older)
    assert first.code == 0, first.errors
    store_in(service, endpoint(site, service))
    backup = site.play("--limit", service, playbook="playbooks/backup.yml", **PATIENCE)
    assert backup.code == 0, backup.errors

    upgrade = deploy(site, newer)
    assert upgrade.code == 0, upgrade.errors
    assert complaints(site, service) == []
    retry(lambda: read_back(service, endpoint(site, service)), 60)
    store_later(service, endpoint(site, service))
    retry(lambda: read_later(service, endpoint(site, service)), 60)

    back = deploy(site, older, accept=True)
    seen = "image_only" if back.code == 0 and everything_is_read(site, service) else "image_and_data"
    assert seen == finding.kind, back.errors
    assert rollback_class(service, older.version, newer.version).kind == seen

    if seen == "image_and_data":
        assert REFUSALS[newer] in finding.reason
        assert REFUSALS[newer] in docker_log(f"{site.prefix}{service}")
        consent = {"core_restore_point": 1, "rollback_data_of": service}
        restored = site.play("--limit", service, playbook="playbooks/rollback.yml", **PATIENCE, **consent)
        assert restored.code == 0, restored.errors
        retry(lambda: read_back(service, endpoint(site, service)), 60)
        (aside,) = (site.root / "data").glob("*.replaced-*")
        assert any(path.is_file() for path in aside.rglob("*"))


def test_the_newest_opa_accepts_our_configuration(site: Site) -> None:
    run = deploy(site, Release("opa", "1.22.3"))
    assert run.code == 0, run.errors
    assert complaints(site, "opa") == []


def test_every_store_with_an_available_newer_release_has_an_experiment() -> None:
    # QuestDB 9.4 is not on Maven.
    assert {finding.service for finding in EXPERIMENTS} == set(LATER) - {"questdb"}
