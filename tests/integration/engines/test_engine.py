# SPDX-License-Identifier: GPL-3.0-or-later
"""The life of a site, from the first run to the removal, on other Docker engines than the machine's own.

The tests of one engine build on each other, in the order of this file.
"""

from __future__ import annotations

import json
import subprocess

from ansible.module_utils.images.archive import fingerprint
from image_tools import Registry, docker
from site_under_test import Run, listing

from .conftest import BASE, LIMIT, SERVICES, Target

CONFIG = "config/infrastructure/valkey/valkey.conf"


def play(target: Target, *args: str, **variables: object) -> Run:
    run = target.site.play(LIMIT, *args, **variables)  # type: ignore[arg-type]
    assert run.code == 0, run.errors
    return run


def assert_converged(target: Target, **variables: object) -> None:
    """A run changes and restarts nothing."""
    before = target.site.started()
    assert set(before) == healthy(target) == set(SERVICES)
    assert set(play(target, **variables).changed.values()) == {0}
    assert target.site.started() == before


def healthy(target: Target) -> set[str]:
    return {name for name, seen in target.site.inspect().items() if seen["State"]["Health"]["Status"] == "healthy"}


def docker_collection(target: Target | None) -> str:
    """The version of community.docker that a target's runs use, or those of this machine."""
    command = ["ansible-galaxy", "collection", "list", "community.docker", "--format", "json"]
    environment = target.engine.environment if target else None
    listed = subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout
    # Ansible uses the first one on its path.
    return str(next(iter(json.loads(listed).values()))["community.docker"]["version"])


def test_the_engine_is_the_one_to_test(target: Target) -> None:
    version = json.loads(target.engine.docker("version", "--format", "{{json .}}"))
    compose = target.engine.docker("compose", "version", "--short").strip()
    assert version["Server"]["Version"].startswith(target.release.engine)
    assert version["Client"]["Version"] == version["Server"]["Version"]
    assert compose.removeprefix("v").startswith(target.release.compose)
    store = target.engine.docker("info", "--format", "{{.DriverStatus}}")
    assert ("io.containerd.snapshotter" in store) == bool(target.release.settings)
    collection = docker_collection(target)
    assert (collection != docker_collection(None)) == target.release.newest_collection
    print(f"community.docker {collection}, engine {version['Server']['Version']}, Compose {compose}, {store}")


def test_an_image_has_the_same_fingerprint_on_every_engine(target: Target) -> None:
    """A bundle is checked by fingerprints, and is usually loaded by another engine than the one that saved it."""
    references = [reference for _name, reference in target.official.values()]
    saved = json.loads(docker("image", "inspect", *references))
    loaded = json.loads(target.engine.docker("image", "inspect", *references))
    assert [fingerprint(image) for image in saved] == [fingerprint(image) for image in loaded]


def test_a_dry_run_on_a_fresh_engine_predicts_the_first_run_and_creates_nothing(target: Target) -> None:
    def state() -> tuple[object, ...]:
        names = target.engine.docker("network", "ls", "--format", "{{.Name}}").split()
        return listing(BASE / "root"), sorted(names), target.engine.docker("ps", "--all", "--quiet")

    before = state()
    predicted = play(target, "--check", "--diff")
    assert state() == before
    first = play(target)
    assert predicted.changed_hosts == first.changed_hosts == set(SERVICES)
    assert healthy(target) == set(SERVICES)


def test_a_second_run_changes_nothing(target: Target) -> None:
    assert_converged(target)


def test_a_dry_run_and_compose_by_hand_change_nothing(target: Target) -> None:
    before = target.site.started()
    assert set(play(target, "--check", "--diff").changed.values()) == {0}
    compose = target.site.root / "infrastructure/docker/docker-compose.core.yml"
    target.engine.docker("compose", "--file", str(compose), "up", "--detach", *SERVICES)
    assert target.site.started() == before


def drift(target: Target, expected_code: int) -> dict[str, set[str]]:
    """Service → its differences in the drift report."""
    file = BASE / "drift.json"
    run = target.site.play(LIMIT, playbook="playbooks/drift.yml", drift_fail=True, drift_output=str(file))
    assert run.code == expected_code, run.errors
    report = json.loads(file.read_text())
    assert set(report) >= set(SERVICES)
    return {name: {row["what"] for row in rows} for name, rows in report.items() if rows}


def test_drift_is_reported_and_repaired(target: Target) -> None:
    assert drift(target, 0) == {}
    site = target.site
    config = site.root / CONFIG
    config.write_bytes(config.read_bytes() + b"\n# by hand\n")
    site.docker("update", "--memory", "4g", "--memory-swap", "4g", f"{site.prefix}nats")
    network = site.networks["lowlatency"]["name"]
    site.docker("network", "disconnect", network, f"{site.prefix}nats")
    # Without its alias.
    site.docker("network", "connect", network, f"{site.prefix}nats")
    site.docker("stop", f"{site.prefix}opa")
    assert drift(target, 2) == {
        "valkey": {f"file {CONFIG}", "configuration that the container read"},
        "nats": {"memory limit (bytes)", "memory and swap (bytes)", f"aliases on {network}"},
        "opa": {"state"},
    }
    repaired = play(target)
    assert repaired.changed_hosts == set(SERVICES), repaired.output
    assert_converged(target)


def test_images_of_a_registry_run_by_digest(target: Target, registry: Registry) -> None:
    mirror = {"image_source": "registry", "image_prefix": registry.host}
    play(target, **mirror)
    lock = json.loads((target.site.root / "infrastructure/docker/images.lock.json").read_text())["images"]
    assert set(lock) == {target.official[service][0] for service in SERVICES}
    for service in ("nats", "valkey"):
        name, _reference = target.official[service]
        used = target.site.inspect(service)[service]["Config"]["Image"]
        assert used == f"{registry.host}/{name}@{lock[name]['digest']}"
    assert_converged(target, **mirror)
    # An image that was removed by hand is pulled again, by its digest.
    target.site.docker("rm", "--force", f"{target.site.prefix}valkey")
    target.site.docker("image", "rm", "--force", used)
    before = target.site.started()
    # The primary, nats, may have work for the machine. Neither it nor opa may be restarted.
    assert "valkey" in play(target, **mirror).changed_hosts
    after = target.site.started()
    assert {name for name in SERVICES if after[name] != before.get(name)} == {"valkey"}
    assert target.site.inspect("valkey")["valkey"]["Config"]["Image"] == used
    assert_converged(target, **mirror)


def test_the_removal_leaves_no_container_and_no_network(target: Target) -> None:
    play(target, playbook="playbooks/purge.yml", purge_of=target.site.project)
    assert target.site.inspect() == {}
    names = target.engine.docker("network", "ls", "--format", "{{.Name}}").split()
    assert set(names) == {"bridge", "host", "none"}
    assert (target.site.root / "data/valkey").is_dir()
