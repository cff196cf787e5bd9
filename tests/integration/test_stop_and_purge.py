# SPDX-License-Identifier: GPL-3.0-or-later
"""Stop, switch off, back up and restore, purge: each keeps what it promises and is in the audit log."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import valkey
from site_under_test import PROJECT_ROOT, SOURCE_TREE, Run, Site, docker, listing

ONLY = ("--limit", "nats,valkey")
CONFIG = "config/infrastructure/valkey/valkey.conf"


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """A site with two services; the tests of this file build on each other, in this order."""
    site = Site(root=Path("/var/tmp/trade2026-test-purge/root"), number=4)
    site.remove()
    run = site.play(*ONLY)
    assert run.code == 0, run.errors
    yield site
    site.remove()
    shutil.rmtree(site.root.parent, ignore_errors=True)


def client(site: Site) -> valkey.Valkey:
    return valkey.Valkey(port=site.port(6379), decode_responses=True)


def state(site: Site, service: str) -> str:
    return str(site.inspect(service)[service]["State"]["Status"])


def audit(site: Site) -> list[dict[str, object]]:
    lines = (site.root / ".trade2026/journal.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def test_stop_reports_what_it_interrupts_and_keeps_everything(site: Site) -> None:
    with client(site) as connection:
        connection.set("kept", "yes")
        before = site.started()
        shown = site.play(*ONLY, "--check", playbook="playbooks/stop.yml")
        assert shown.code == 0, shown.errors
        assert "playbooks/stop.yml; interrupts 1 connection of " in shown.output
        assert site.started() == before
        stopped = site.play(*ONLY, playbook="playbooks/stop.yml", core_batch=1)
    assert stopped.code == 0, stopped.errors
    assert "Stopped: nats, valkey. Everything else is kept" in stopped.output
    # One at a time, in the opposite order of the inventory.
    assert state(site, "valkey") == state(site, "nats") == "exited"
    ended = {name: seen["State"]["FinishedAt"] for name, seen in site.inspect("nats", "valkey").items()}
    assert ended["valkey"] < ended["nats"]
    assert audit(site)[-1]["action"] == "stop"
    started = site.play("--limit", "valkey")
    assert started.code == 0, started.errors
    assert "start state" in started.output
    with client(site) as connection:
        assert connection.get("kept") == "yes"
    assert state(site, "nats") == "exited"


def test_a_service_that_is_switched_off_is_stopped_and_keeps_everything(site: Site, tmp_path: Path) -> None:
    inventory = tmp_path / "hosts.yml"
    inventory.write_text("core_services:\n  hosts:\n    valkey:\n      core_enabled: false\n", encoding="utf-8")
    off = ("-i", str(PROJECT_ROOT / "inventory/local"), "-i", str(inventory))
    assert site.play(*ONLY).code == 0
    planned = site.play(*ONLY, *off, "--check")
    assert planned.code == 0, planned.errors
    assert re.search(r"valkey +stop state +running +stopped, everything kept +core_enabled is false", planned.output)
    assert state(site, "valkey") == "running"

    run = site.play(*ONLY, *off)
    assert run.code == 0, run.errors
    assert state(site, "valkey") == "exited"
    assert state(site, "nats") == "running"
    assert re.search(r"^ *valkey .* off ", run.output, re.MULTILINE)
    core_file = (site.root / "infrastructure/docker/docker-compose.core.yml").read_text(encoding="utf-8")
    assert "services/valkey.yml" not in core_file
    assert "services/nats.yml" in core_file
    # A run that is limited to another service does not start it again.
    again = site.play("--limit", "nats", *off)
    assert again.code == 0, again.errors
    assert again.changed_hosts == set()
    # Neither does a rollback of all services.
    returned = site.play(*ONLY, *off, playbook="playbooks/rollback.yml")
    assert returned.code == 0, returned.errors
    assert "valkey is skipped: it is switched off" in returned.output
    assert state(site, "valkey") == "exited"

    back = site.play(*ONLY)
    assert back.code == 0, back.errors
    with client(site) as connection:
        assert connection.get("kept") == "yes"


def test_data_is_restored_from_a_backup_and_the_previous_data_is_kept(site: Site) -> None:
    folder, backups = ("--limit", "valkey"), site.root / ".trade2026/backups/valkey"
    others = site.started()["nats"]
    with client(site) as connection:
        connection.set("written", "before the backup")
    shown = site.play(*folder, "--check", playbook="playbooks/backup.yml")
    assert shown.code == 0, shown.errors
    assert re.search(r"valkey +create backup 1 +[\d.]+ \w+ in \d+ files, running", shown.output)
    assert not backups.exists()
    taken = site.play(*folder, playbook="playbooks/backup.yml")
    assert taken.code == 0, taken.errors
    assert "valkey: runs again, is healthy and passes its probes" in taken.output

    with client(site) as connection:
        connection.set("written", "after the backup")
    refused = site.play(*folder, playbook="playbooks/rollback.yml", rollback_data_of="nats")
    assert refused.code != 0
    assert "-e rollback_data_of=SERVICE. Nothing was done." in refused.errors
    run = site.play(*folder, playbook="playbooks/rollback.yml", rollback_data_of="valkey")
    assert run.code == 0, run.errors
    with client(site) as connection:
        assert connection.get("written") == "before the backup"
        assert connection.get("kept") == "yes"
    (aside,) = site.root.glob("data/valkey.replaced-*")
    assert any(b"after the backup" in path.read_bytes() for path in aside.rglob("*.aof"))
    assert str(aside) in re.sub(r"\s+", "", run.output)
    listed = site.play(*folder, playbook="playbooks/restore_points.yml", core_verify_backups=True)
    assert listed.code == 0, listed.errors
    assert re.search(rf"valkey +1 .* {backups}/1/data.tar.zst +verified$", listed.output, re.MULTILINE)
    again = site.play(*folder)
    assert again.changed_hosts == set(), again.output
    assert site.started()["nats"] == others


def assert_refused(run: Run) -> list[str]:
    """Assert that the run removed nothing, and return the command that it prints."""
    assert run.code != 0
    assert "Traceback" not in run.output
    command = re.search(r"^ +(ansible-playbook playbooks/purge.yml .*)$", run.output, re.MULTILINE)
    assert command, run.output
    return shlex.split(command[1])


def test_purge_without_consent_removes_nothing_and_prints_the_command_that_does(site: Site) -> None:
    (site.root / CONFIG).write_text((site.root / CONFIG).read_text(encoding="utf-8") + "# by hand\n", encoding="utf-8")
    (site.root / "config/infrastructure/valkey/mine.txt").write_text("mine\n", encoding="utf-8")
    files, source, before = listing(site.root), listing(SOURCE_TREE), site.started()
    shown = site.play(*ONLY, "--check", playbook="playbooks/purge.yml")
    assert shown.code == 0, shown.errors
    assert re.search(r"valkey +\S+/data/valkey +[\d.]+ \w+ in \d+ files +no, without purge_data_of", shown.output)
    refused = site.play(*ONLY, playbook="playbooks/purge.yml", purge_of="another")
    assert f"purge_of must be {site.project}" in refused.output
    words = assert_refused(refused)
    assert listing(site.root) == files
    assert site.started() == before

    # The printed command, as if it were typed; the site's own variables are not part of it.
    done = site.play(*words[2:], playbook=words[1])
    assert done.code == 0, done.errors
    assert site.inspect("nats", "valkey") == {}
    assert site.engine_state()["networks"] == []
    left = {str(path.relative_to(site.root)) for path in site.root.rglob("*") if path.is_file()}
    assert {name for name in left if not name.startswith(("data/", ".trade2026/", "secrets/", "docs/reports/"))} == {
        "config/infrastructure/valkey/mine.txt"
    }
    assert any(name.startswith("data/valkey/") for name in left)
    assert "secrets/valkey/password" in left
    copies = list((site.root / ".trade2026/replaced").rglob("valkey.conf"))
    assert any(path.read_text(encoding="utf-8").endswith("# by hand\n") for path in copies)
    assert listing(SOURCE_TREE) == source


def test_after_a_purge_the_main_job_is_a_first_run_with_the_data(site: Site) -> None:
    run = site.play(*ONLY)
    assert run.code == 0, run.errors
    assert re.search(r"valkey +start container +absent", run.output)
    with client(site) as connection:
        assert connection.get("kept") == "yes"


def test_purge_of_one_service_keeps_the_other(site: Site) -> None:
    before = site.started()["nats"]
    run = site.play(
        "--limit", "valkey", playbook="playbooks/purge.yml", purge_of=site.project, purge_data_of=site.project
    )
    assert run.code == 0, run.errors
    assert not (site.root / "data/valkey").exists()
    assert not (site.root / "secrets/valkey").exists()
    assert (site.root / "secrets/nats/password").exists()
    assert site.started()["nats"] == before
    core_file = site.root / "infrastructure/docker/docker-compose.core.yml"
    docker("compose", "--file", str(core_file), "ps")
    run = site.play(*ONLY)
    assert run.code == 0, run.errors
    assert site.started()["nats"] == before
    with client(site) as connection:
        assert connection.get("kept") is None


def test_the_audit_log_has_every_run_and_an_altered_line_is_reported(site: Site, tmp_path: Path) -> None:
    saved = tmp_path / "journal.json"
    shown = site.play(playbook="playbooks/journal.yml", journal_output=str(saved))
    assert shown.code == 0, shown.errors
    lines = json.loads(saved.read_text(encoding="utf-8"))
    assert [line["number"] for line in lines] == list(range(1, len(lines) + 1))
    assert {line["action"] for line in lines} == {"deploy", "stop", "backup", "rollback", "purge"}
    assert {line["result"] for line in lines} == {"ok"}
    # A run with nothing to do has a line too.
    assert any(not line["operations"] for line in lines)
    for secret in site.secrets():
        assert secret not in saved.read_text(encoding="utf-8")

    file = site.root / ".trade2026/journal.jsonl"
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace('"action": "purge"', '"action": "other"', 1), encoding="utf-8")
    altered = site.play(playbook="playbooks/journal.yml")
    file.write_text(text, encoding="utf-8")
    assert altered.code != 0
    number = next(line["number"] for line in lines if line["action"] == "purge")
    assert f"line {number} (run {number}) was altered" in altered.output


def test_remove_yml_names_the_playbooks_that_replaced_it(site: Site) -> None:
    run = site.play(playbook="playbooks/remove.yml")
    assert run.code != 0
    assert "playbooks/stop.yml" in run.output
    assert "playbooks/purge.yml" in run.output
