# SPDX-License-Identifier: GPL-3.0-or-later
"""What a process writes that is killed at any system call: the next one finds it whole or not at all, and completes it.

Each test runs its work in a child that is killed at its first call that changes something, then at the second, and so
on until the work ends.
"""

from __future__ import annotations

import contextlib
import functools
import io
import itertools
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import core_restore
import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.core.files import ManagedFiles
from ansible.module_utils.core.secret_store import SecretStore
from ansible.module_utils.deployment import audit
from ansible.module_utils.deployment.journal import Journal, this_run
from ansible.module_utils.testing import patch_module_args
from restore_case import CONFIG, PROJECT, Service

CALLS = ("open", "write", "fsync", "rename", "replace", "link", "unlink", "mkdir", "rmdir")
DUMP = "data/valkey/dump.rdb"


def ends_although_killed(work: Callable[[], object], number: int) -> bool:
    """Run the work in a child that is killed at its call of that number; whether it made fewer calls."""
    child = os.fork()
    if child == 0:
        made = 0

        def killing(real: Callable[..., Any]) -> Callable[..., Any]:
            def call(*arguments: Any, **more: Any) -> Any:
                nonlocal made
                made += 1
                if made == number:
                    os.kill(os.getpid(), signal.SIGKILL)
                return real(*arguments, **more)

            return call

        for name in CALLS:
            setattr(os, name, killing(getattr(os, name)))
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    status = os.waitpid(child, 0)[1]
    assert status in (0, signal.SIGKILL)
    return status == 0


def sites(
    folder: Path, work: Callable[[Path], object], prepare: Callable[[Path], object] = lambda _site: None
) -> Iterator[Path]:
    """A new folder for each call at which the work is killed, and one in which it ends."""
    for number in itertools.count(1):
        site = folder / str(number)
        site.mkdir()
        prepare(site)
        ended = ends_although_killed(functools.partial(work, site), number)
        yield site
        if ended:
            # Each work makes more calls than that.
            assert number > 5
            return


def hidden(folder: Path) -> list[Path]:
    return [path for path in folder.rglob(".*") if path.name != ".trade2026"]


def test_a_backup(tmp_path: Path) -> None:
    def work(site: Path) -> None:
        service = Service(site)
        service.write(DUMP, "dump")
        service.back_up()

    for site in sites(tmp_path, work):
        service = Service(site)
        service.write(DUMP, "dump")
        backups, damaged = service.backups.readable()
        assert damaged == {}
        for backup in [*backups, service.back_up()]:
            service.backups.verify(backup)
        assert hidden(service.backups.folder) == []


def test_a_restore_point(tmp_path: Path) -> None:
    for site in sites(tmp_path, lambda site: Service(site).prove()):
        service = Service(site)
        assert service.points.readable()[1] == {}
        assert service.prove().status == "good"
        assert hidden(service.points.folder) == []


def test_a_run_with_its_journal_and_lock(tmp_path: Path) -> None:
    def run(site: Path, name: str) -> None:
        journal = Journal(site)
        holder = journal.owner()
        journal.begin(this_run(name, "somebody", os.getpid()), [], take_over=holder.run if holder else "")
        journal.done(name, [("valkey", "image")])
        journal.finish(name, ["valkey"])

    for site in sites(tmp_path, lambda site: run(site, "r1")):
        run(site, "r2")
        found = audit.read(site)
        assert (found.problems, found.notes) == ((), ())
        names = [str(line["run"]) for line in found.lines]
        assert names in (["r1", "r2"], ["r2"])
        journal = Journal(site)
        assert not journal.lock.exists()
        left = {path.name for path in journal.folder.iterdir()}
        assert left <= {"guard", "head", "previous.jsonl", "interrupted.jsonl"}


def test_secrets_and_files(tmp_path: Path) -> None:
    clients = {"kind": "clients", "path": "authn/hashes", "plain": "plain", "clients": ["oms"], "gid": os.getgid()}

    def prepare(site: Path) -> None:
        (site / "secrets").mkdir()
        (site / "config").mkdir()
        (site / "config/a").write_text("by hand", encoding="utf-8")

    def work(site: Path) -> list[dict[str, str]]:
        SecretStore(site / "secrets", check_mode=False).ensure(clients)
        files = [{"dest": f"config/{name}", "content": "declared", "mode": "0640"} for name in ("a", "b")]
        managed = ManagedFiles({"root": str(site), "files": files}, None, check_mode=False)
        plan = managed.plan()
        managed.apply(plan)
        return plan.changes

    for site in sites(tmp_path, work, prepare):
        plain = site / "secrets/plain"
        before = plain.read_text(encoding="utf-8") if plain.exists() else ""
        work(site)
        assert before in ("", plain.read_text(encoding="utf-8"))
        assert work(site) == []
        copies = [path.read_text(encoding="utf-8") for path in site.glob(".trade2026/replaced/*/config/a")]
        assert "by hand" in copies
        assert hidden(site / "config") == hidden(site / "secrets") == []


def test_a_return_to_the_data_of_a_backup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def restore(site: Path, **more: Any) -> None:
        service = Service(site)
        service.write(CONFIG, "maxmemory 2gb\n")
        service.engine.start()
        monkeypatch.setattr(AnsibleModule, "run_command", lambda _self, command, **_more: service.engine.run(command))
        arguments = {
            "root": str(site),
            "secrets_root": str(service.secrets),
            "project": PROJECT,
            "backups_dir": str(service.backups_dir),
            "state": "restored",
            "services": [{"name": "valkey", "container": "valkey"}],
            "restore_data": True,
            **more,
        }
        with patch_module_args(arguments), contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
            core_restore.main()

    def prepare(site: Path) -> None:
        service = Service(site)
        service.write(DUMP, "backed up")
        service.prove()
        service.back_up()
        service.write(DUMP, "written since")

    for site in sites(tmp_path, restore, prepare):
        service = Service(site)
        if service.points.rollback():
            restore(site, complete=True, failure="It was interrupted.")
        else:
            restore(site)
        assert service.read(DUMP) == "backed up"
        assert service.read(CONFIG) == "maxmemory 1gb\n"
        kept = [path.read_text(encoding="utf-8") for path in (site / "data").glob("valkey.replaced-*/dump.rdb")]
        assert "written since" in kept
        assert hidden(site / "data") == []
