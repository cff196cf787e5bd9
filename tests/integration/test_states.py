# SPDX-License-Identifier: GPL-3.0-or-later
"""States that operators and crashes leave behind: each is detected, predicted, and corrected or refused.

A separate site with two services, so that a run takes seconds. What happens to one service must not affect the other.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from site_under_test import Run, Site, docker, kill_with_children

ONLY = ("--limit", "nats,valkey")
CONFIG = "config/infrastructure/valkey/valkey.conf"


@pytest.fixture(scope="module")
def small() -> Iterator[Site]:
    """A site with two services."""
    site = Site(root=Path("/var/tmp/trade2026-test-states/root"), number=4)
    site.remove()
    run = site.play(*ONLY)
    assert run.code == 0, run.errors
    yield site
    site.remove()
    shutil.rmtree(site.root.parent, ignore_errors=True)


def pause(site: Site, service: str = "valkey") -> None:
    docker("pause", f"{site.prefix}{service}")


def stop(site: Site, service: str = "valkey") -> None:
    docker("stop", f"{site.prefix}{service}")


def kill_the_container(site: Site, service: str = "valkey") -> None:
    docker("rm", "--force", f"{site.prefix}{service}")


def rename(site: Site, service: str = "valkey") -> None:
    docker("rename", f"{site.prefix}{service}", f"{site.prefix}old")


def reconnect(site: Site) -> None:
    """`docker network connect` gives no alias: under a prefix the service's name does not resolve."""
    network = site.networks["backend"]["name"]
    docker("network", "disconnect", network, f"{site.prefix}valkey")
    docker("network", "connect", network, f"{site.prefix}valkey")


def join_another_network(site: Site, service: str = "valkey") -> None:
    other = "frontend" if service == "valkey" else "backend"
    docker("network", "connect", site.networks[other]["name"], f"{site.prefix}{service}")


def raise_the_memory(site: Site) -> None:
    docker("update", "--memory", "4g", "--memory-swap", "4g", f"{site.prefix}valkey")


def copy_data_in_as_root(site: Site) -> None:
    for path in [site.root / "data/valkey", *(site.root / "data/valkey").rglob("*")]:
        os.chown(path, 0, 0)
    docker("restart", f"{site.prefix}valkey")


def edit_restart_and_put_back(site: Site) -> None:
    """The container runs with the planted text, and the disk shows the declared one."""
    file = site.root / CONFIG
    declared = file.read_bytes()
    file.write_bytes(declared + b"\nmaxclients 777\n")
    docker("restart", f"{site.prefix}valkey")
    file.write_bytes(declared)


def edit(site: Site) -> None:
    file = site.root / CONFIG
    file.write_bytes(file.read_bytes() + b"\n# by hand\n")


def prune_the_network(site: Site) -> None:
    stop(site)
    docker("network", "rm", site.networks["backend"]["name"])


def make_the_network_again(site: Site) -> None:
    network = site.networks["backend"]
    stop(site)
    docker("network", "rm", network["name"])
    docker("network", "create", "--subnet", network["subnet"], network["name"])


def lose_the_labels_hash(site: Site) -> None:
    """Another definition under the same names, as after `docker compose up` with an edited fragment."""
    fragment = site.root / "infrastructure/docker/services/valkey.yml"
    text = fragment.read_text(encoding="utf-8")
    fragment.write_text(text.replace("stop_signal: SIGTERM", "stop_signal: SIGINT"), encoding="utf-8")
    subprocess.run(
        ["docker", "compose", "--project-name", site.project, "--file", str(fragment), "up", "--detach"],
        check=True,
        capture_output=True,
    )
    fragment.write_text(text, encoding="utf-8")


@dataclass(frozen=True)
class Round:
    """What happens to Valkey, and perhaps also to NATS, and the operations that the plan must list."""

    happens: Callable[[Site], None]
    says: str
    to_nats: Callable[[Site, str], None] | None = None
    says_of_nats: str = ""
    # A dry run of every round would take a minute more, so there is one for a container, a file and a network.
    dry_run: bool = False

    @property
    def name(self) -> str:
        return self.happens.__name__ + (f"-and-{self.to_nats.__name__}" if self.to_nats else "")


ROUNDS = [
    Round(rename, "recreate container name", pause, "unpause state", dry_run=True),
    Round(reconnect, "recreate aliases on", stop, "start state"),
    Round(raise_the_memory, "recreate memory limit", kill_the_container, "start container"),
    Round(copy_data_in_as_root, "own owners below data/valkey", join_another_network, "recreate networks"),
    Round(edit_restart_and_put_back, "recreate configuration that the container read"),
    Round(edit, f"write file {CONFIG}", dry_run=True),
    Round(prune_the_network, "recreate network", dry_run=True),
    Round(make_the_network_again, "recreate network"),
    Round(lose_the_labels_hash, "Compose definition"),
]


@pytest.mark.parametrize("states", ROUNDS, ids=lambda states: states.name)
def test_states_are_predicted_and_corrected(small: Site, states: Round) -> None:
    states.happens(small)
    if states.to_nats:
        states.to_nats(small, "nats")
    before = small.started()

    def assert_planned(run: Run) -> None:
        assert run.code == 0, run.errors
        assert re.search(rf"^valkey +.*{re.escape(states.says)}", run.output, re.MULTILINE), run.output
        if states.to_nats:
            assert re.search(rf"^nats +.*{re.escape(states.says_of_nats)}", run.output, re.MULTILINE), run.output

    if states.dry_run:
        assert_planned(small.play("--check", *ONLY))
        assert small.started() == before

    # A run prints the same plan as a dry run, before it changes anything.
    assert_planned(small.play(*ONLY))
    if not states.to_nats:
        assert small.started().get("nats") == before.get("nats")

    again = small.play(*ONLY)
    assert again.code == 0, again.errors
    assert set(again.changed.values()) == {0}, again.output


def test_a_network_with_other_properties_is_refused_with_their_names(small: Site) -> None:
    network = small.networks["frontend"]
    docker("network", "rm", network["name"])
    both = ["--subnet", "fd00:dead:beef::/64", "--ipv6", "--internal"]
    docker("network", "create", *both, "--subnet", network["subnet"], network["name"])
    try:
        run = small.play(*ONLY)
    finally:
        docker("network", "rm", network["name"])
    assert run.code != 0
    assert "internal is on, off is declared" in run.output
    assert "IPv6 is on, off is declared" in run.output
    assert small.play(*ONLY).code == 0


def test_a_second_run_is_refused_at_once_and_says_who_runs_the_first(small: Site) -> None:
    stop(small)
    first = small.begin(*ONLY)
    lock = small.root / ".trade2026/journal/lock"
    assert _wait(lock.exists, first), "the first run took no lock"
    second = small.play(*ONLY)
    output, _ = first.communicate(timeout=600)
    assert first.returncode == 0, output
    assert second.code != 0
    assert f"(process {first.pid}) since" in second.output
    assert "operations are done" in second.output
    assert not lock.exists()


def test_a_killed_runs_lock_is_taken_over_and_its_work_is_completed(small: Site) -> None:
    stop(small)
    edit(small)
    first = small.begin(*ONLY)
    lock = small.root / ".trade2026/journal/lock"
    assert _wait(lock.exists, first), "the run took no lock"
    kill_with_children(first)
    assert lock.exists()
    run = small.play(*ONLY)
    assert run.code == 0, run.errors
    assert "ended without finishing; this run takes over" in run.output
    again = small.play(*ONLY)
    assert set(again.changed.values()) == {0}, again.output
    assert not lock.exists()
    assert not list((small.root / ".trade2026").glob("staging/*"))


def _wait(until: Callable[[], bool], process: subprocess.Popen[str], seconds: float = 120) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end and process.poll() is None:
        if until():
            return True
        time.sleep(0.05)
    return until()


def save(site: Site, file: Path) -> Run:
    run = site.play(*ONLY, playbook="playbooks/plan.yml", core_plan_to_save=str(file))
    assert run.code == 0, run.errors
    return run


def test_a_saved_plan_is_applied_exactly_and_only_once(small: Site, tmp_path: Path) -> None:
    edit(small)
    docker("stop", f"{small.prefix}nats")
    save(small, tmp_path / "plan.json")
    content = json.loads((tmp_path / "plan.json").read_text(encoding="utf-8"))
    planned = {(row["service"], row["what"]) for row in content["machines"]["localhost"]["operations"]}
    assert {service for service, _what in planned} == {"nats", "valkey"}

    run = small.play(*ONLY, core_plan_to_apply=str(tmp_path / "plan.json"))
    assert run.code == 0, run.errors
    journal = (small.root / ".trade2026/journal/previous.jsonl").read_text(encoding="utf-8")
    entries = [json.loads(line) for line in journal.splitlines()]
    assert {(row["service"], row["what"]) for row in entries if row["event"] == "done"} == planned

    stale = small.play(*ONLY, core_plan_to_apply=str(tmp_path / "plan.json"))
    assert stale.code != 0
    assert "The saved plan is stale" in stale.output
    assert "valkey: " in stale.output


def change_a_file(site: Site) -> None:
    edit(site)


def change_a_container(site: Site) -> None:
    docker("restart", f"{site.prefix}nats")


def change_a_secret(site: Site) -> None:
    os.utime(site.root / "secrets/valkey/password")


def change_a_network(site: Site) -> None:
    network = site.networks["frontend"]
    docker("network", "rm", network["name"])
    docker("network", "create", "--subnet", network["subnet"], network["name"])


@pytest.mark.parametrize(
    ("happens", "says"),
    [
        (change_a_file, "valkey: its files on the machine changed"),
        (change_a_container, "nats: its container changed"),
        (change_a_secret, "valkey: its secrets changed"),
        (change_a_network, "machine: the networks changed"),
    ],
)
def test_a_stale_plan_is_refused_with_what_changed(
    small: Site, tmp_path: Path, happens: Callable[[Site], None], says: str
) -> None:
    stop(small)
    save(small, tmp_path / "plan.json")
    happens(small)
    before = small.started()
    run = small.play(*ONLY, core_plan_to_apply=str(tmp_path / "plan.json"))
    assert run.code != 0
    assert says in run.output
    assert small.started() == before


def test_a_plan_for_other_variables_is_refused(small: Site, tmp_path: Path) -> None:
    save(small, tmp_path / "plan.json")
    run = small.play(*ONLY, core_plan_to_apply=str(tmp_path / "plan.json"), valkey_maxmemory="1gb")
    assert run.code != 0
    assert "valkey: its variables, templates or definition changed" in run.output


@pytest.mark.parametrize("talk", ["-v", "-vvvv"])
def test_a_sites_own_secret_is_printed_nowhere_and_in_no_fact(small: Site, talk: str, tmp_path: Path) -> None:
    """From a vault, because Ansible prints the command line itself at -vvvv."""
    secret = f"a-sites-own-secret{talk}"
    (tmp_path / "vault-password").write_text("open sesame\n", encoding="utf-8")
    vault = tmp_path / "vault.yml"
    vault.write_text(f"valkey_password: {secret}\n", encoding="utf-8")
    unlock = f"--vault-password-file={tmp_path / 'vault-password'}"
    subprocess.run(["ansible-vault", "encrypt", unlock, str(vault)], check=True, capture_output=True)
    run = small.play(*ONLY, talk, "--diff", unlock, f"--extra-vars=@{vault}", valkey_auth_enabled=True)
    assert run.code == 0, run.errors
    assert small.secret("valkey/password") == secret
    assert secret not in run.output
    assert _seen_in_files(small, secret) == {"secrets/valkey/password", CONFIG}


def _seen_in_files(site: Site, secret: str) -> set[str]:
    files = [file for file in site.root.rglob("*") if file.is_file()]
    shown = [file for file in files if not {"data", ".trade2026"} & set(file.relative_to(site.root).parts)]
    return {
        str(file.relative_to(site.root))
        for file in shown
        if secret in file.read_text(encoding="utf-8", errors="replace")
    }


def test_created_folders_are_private_whatever_the_umask(small: Site, tmp_path_factory: pytest.TempPathFactory) -> None:
    edit(small)
    before = os.umask(0)
    try:
        assert small.play(*ONLY).code == 0
    finally:
        os.umask(before)
    closed = small.root / ".trade2026"
    wrong: list[Any] = [
        str(path) for path in (closed, *closed.rglob("*")) if path.is_dir() and path.stat().st_mode & 0o077
    ]
    assert wrong == []
