# SPDX-License-Identifier: GPL-3.0-or-later
"""A purge removes only what the project created, and reports beforehand how much that is."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import core_purge
import core_stop
import pytest
from ansible.module_utils.deployment.journal import Journal, this_run
from ansible.module_utils.deployment.plan import SERVICE_LABEL
from ansible.module_utils.deployment.purge import NETWORK_LABEL, Purge, PurgeError
from ansible.module_utils.deployment.teardown import in_batches, measure, without_fragments
from ansible.module_utils.testing import patch_module_args

PROJECT = "trade2026-test"
CONFIG = "config/infrastructure/valkey/valkey.conf"
FRAGMENT = "infrastructure/docker/services/valkey.yml"
CORE_FILE = "infrastructure/docker/docker-compose.core.yml"


class Engine:
    """Replaces the Docker SDK's client: containers and networks, and the recorded calls."""

    def __init__(self) -> None:
        self.containers_left = {"valkey": PROJECT, "foreign": "another-project"}
        self.networks_left = {"backend": PROJECT, "theirs": ""}
        self.users: dict[str, list[str]] = {}
        self.log: list[str] = []
        self.fails = False

    def info(self) -> dict[str, Any]:
        return {}

    def networks(self) -> list[Any]:
        return []

    def containers(self, all: bool = False, filters: dict[str, str] | None = None) -> list[dict[str, Any]]:
        names = list(self.containers_left) if filters is None else self.users.get(filters["network"], [])
        return [{"Id": name, "Names": [f"/{name}"], "Labels": self._labels(name)} for name in names]

    def _labels(self, name: str) -> dict[str, str]:
        return {
            "com.docker.compose.project": self.containers_left.get(name, ""),
            "com.docker.compose.service": "valkey",
        }

    def inspect_container(self, name: str) -> dict[str, Any]:
        return {
            "Id": name,
            "Name": f"/{name}",
            "Image": "sha256:1",
            "Config": {"Image": "valkey", "Labels": self._labels(name), "StopTimeout": 7},
            "HostConfig": {},
            "State": {"Status": "running"},
        }

    def inspect_network(self, name: str) -> dict[str, Any]:
        from docker.errors import NotFound

        if name not in self.networks_left:
            raise NotFound("no such network")
        return {"Labels": {NETWORK_LABEL: self.networks_left[name]}, "Containers": {}}

    def stop(self, name: str, timeout: int) -> None:
        from docker.errors import APIError

        if self.fails:
            raise APIError("it does not stop")
        self.log.append(f"stop {name} within {timeout}")

    def remove_container(self, name: str, v: bool, force: bool) -> None:
        self.log.append(f"remove container {name}")

    def images(self, name: str) -> list[Any]:
        raise OSError(f"the engine stopped before it listed {name}")

    def remove_network(self, name: str) -> None:
        self.log.append(f"remove network {name}")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A deployment, with files that the project did not write."""
    for name, text in {
        CONFIG: "maxmemory 1gb\n",
        "config/infrastructure/valkey/mine.txt": "by hand\n",
        FRAGMENT: "name: x\n",
        CORE_FILE: "include:\n  - path: services/valkey.yml\n",
        "data/valkey/dump.rdb": "12345",
        "data/valkey/dir/more": "123",
        "secrets/valkey/password": "s",
        "secrets/opa/token": "s",
        "unrelated/file": "x",
    }.items():
        path = tmp_path / "root" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return tmp_path / "root"


def purge(root: Path, engine: Engine, **changes: Any) -> Purge:
    params = {
        "root": str(root),
        "secrets_root": str(root / "secrets"),
        "project": PROJECT,
        "services": [
            {
                "name": "valkey",
                "fragment": FRAGMENT,
                "files": [CONFIG],
                "edited": [],
                "data": ["data/valkey"],
                "directories": ["data/valkey", "config/infrastructure/valkey"],
                "secrets": ["valkey/password"],
            }
        ],
        "networks": ["backend", "theirs", "missing"],
        "machine": {"files": [CORE_FILE], "directories": ["config", "config/infrastructure", "data"]},
        "forbidden": [],
        "data": False,
        "restore_points": False,
        **changes,
    }
    work = Purge(params, engine)
    work.plan()
    return work


def left(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


def test_containers_are_removed_first_then_networks_then_files_and_data_stays(root: Path) -> None:
    engine = Engine()
    work = purge(root, engine)
    assert left(root) >= {CONFIG, FRAGMENT}
    done = list(work.apply())
    assert work.errors == []
    assert engine.log == ["stop valkey within 7", "remove container valkey", "remove network backend"]
    assert [what.partition(" ")[0] for _service, what in done] == ["container", "network", "file", "file", "file"]
    assert set(done) == {operation.key for operation in work.operations}
    assert left(root) == {
        "config/infrastructure/valkey/mine.txt",
        "data/valkey/dump.rdb",
        "data/valkey/dir/more",
        "secrets/valkey/password",
        "secrets/opa/token",
        "unrelated/file",
    }
    assert work.kept == {
        "network theirs": "not created by this project; `docker network rm theirs` removes it",
        "config/infrastructure/valkey": "it holds files that this project did not write",
    }


def test_it_reports_beforehand_how_much_data_there_is(root: Path) -> None:
    work = purge(root, Engine())
    assert [(size.bytes, size.files, size.text) for size in work.data["valkey"]] == [(8, 2, "8 B in 2 files")]


def test_a_file_that_disappears_meanwhile_does_not_hide_the_others(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The service still runs when the data is measured."""
    listing = os.scandir

    class Listing:
        def __init__(self, folder: Path) -> None:
            self.entries = list(listing(folder))
            (folder / "0-temporary").unlink(missing_ok=True)

        def __enter__(self) -> list[os.DirEntry[str]]:
            return sorted(self.entries, key=lambda entry: entry.name)

        def __exit__(self, *_error: object) -> None:
            """Nothing to close."""

    (root / "data/valkey/0-temporary").touch()
    monkeypatch.setattr(os, "scandir", Listing)
    assert measure(root / "data/valkey", root).text == "8 B in 2 files"


def test_data_and_secrets_of_the_service_are_removed_only_with_the_option(root: Path) -> None:
    work = purge(root, Engine(), data=True)
    list(work.apply())
    assert left(root) == {"config/infrastructure/valkey/mine.txt", "secrets/opa/token", "unrelated/file"}
    assert not (root / "secrets/valkey").exists()


def test_a_file_that_was_edited_by_hand_is_copied_first(root: Path) -> None:
    services = purge(root, Engine()).services
    work = purge(root, Engine(), services=[{**services[0], "edited": [CONFIG]}])
    list(work.apply())
    assert not (root / CONFIG).exists()
    assert [Path(copy).read_text(encoding="utf-8") for copy in work.copies] == ["maxmemory 1gb\n"]


def test_a_symlink_is_not_followed(root: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "big-disk"
    (root / "data/valkey").rename(elsewhere)
    (root / "data/valkey").symlink_to(elsewhere)
    work = purge(root, Engine(), data=True)
    list(work.apply())
    assert (elsewhere / "dump.rdb").exists()
    assert work.kept["data/valkey"] == "it is a symlink; what it points to was not created here"
    assert (root / "secrets/valkey/password").exists()


def test_a_parent_that_leads_elsewhere_is_not_followed(root: Path, tmp_path: Path) -> None:
    source = tmp_path / "trade2025"
    (root / "config").rename(source)
    (root / "config").symlink_to(source)
    work = purge(root, Engine(), forbidden=[str(source)])
    list(work.apply())
    assert (source / "infrastructure/valkey/valkey.conf").exists()
    assert work.kept[CONFIG] == f"it is not below {root}"


def test_secrets_that_are_kept_elsewhere_stay(root: Path, tmp_path: Path) -> None:
    """The folder of a service's secrets leads to a vault that others use too."""
    vault = tmp_path / "vault"
    (root / "secrets/valkey").rename(vault)
    (root / "secrets/valkey").symlink_to(vault)
    work = purge(root, Engine(), data=True)
    list(work.apply())
    assert (vault / "password").read_text() == "s"
    assert work.kept["secret valkey/password"] == f"it is not below {root / 'secrets'}"
    assert not (root / "data/valkey").exists()


def test_a_secret_replaced_by_a_directory_does_not_end_the_purge(root: Path) -> None:
    (root / "secrets/valkey/password").unlink()
    (root / "secrets/valkey/password").mkdir()
    work = purge(root, Engine(), data=True)
    list(work.apply())
    assert work.kept["secret valkey/password"] == "it is not a file"
    assert not (root / "data/valkey").exists()


def test_a_root_inside_the_source_tree_is_refused(root: Path) -> None:
    with pytest.raises(PurgeError, match="which is only read; nothing was removed"):
        purge(root, Engine(), forbidden=[str(root.parent)])


def test_a_network_that_others_use_stays(root: Path) -> None:
    engine = Engine()
    engine.users["backend"] = ["valkey", "grafana"]
    work = purge(root, engine)
    list(work.apply())
    assert work.kept["network backend"] == "used by grafana"
    assert "remove network backend" not in engine.log


def test_nothing_else_is_removed_while_a_container_stays(root: Path) -> None:
    engine = Engine()
    engine.fails = True
    before = left(root)
    work = purge(root, engine, data=True)
    assert list(work.apply()) == []
    assert work.errors[-1] == "Nothing else was removed."
    assert left(root) == before


def test_data_in_use_stays(root: Path) -> None:
    work = purge(root, Engine(), data=True)
    with (root / "data/valkey/dump.rdb").open("rb"):
        child = os.fork()
        if child == 0:
            import signal

            signal.pause()
        try:
            list(work.apply())
        finally:
            os.kill(child, 9)
            os.waitpid(child, 0)
    assert "the data is in use, so data and secrets were kept" in work.errors[0]
    assert (root / "data/valkey/dump.rdb").exists()
    assert (root / "secrets/valkey/password").exists()


def test_the_last_service_takes_the_machines_files_with_it(root: Path) -> None:
    (root / "infrastructure/docker/services/nats.yml").write_text("name: x\n", encoding="utf-8")
    (root / CORE_FILE).write_text(
        "include:\n  - path: services/nats.yml\n  - path: services/valkey.yml\n", encoding="utf-8"
    )
    list(purge(root, Engine()).apply())
    assert (root / CORE_FILE).read_text(encoding="utf-8") == "include:\n  - path: services/nats.yml\n"


def test_the_core_file_without_any_service_is_empty() -> None:
    text = "include:\n  - path: services/nats.yml\n"
    assert without_fragments(text, ["valkey"]) == text
    assert without_fragments(text, ["nats"]) == ""


def test_what_was_started_last_is_stopped_first() -> None:
    assert in_batches(["a", "b", "c"], 1) == [["c"], ["b"], ["a"]]
    assert in_batches(["a", "b", "c"], 2) == [["c", "b"], ["a"]]
    assert in_batches([], 2) == []


def carry_out(root: Path, engine: Engine) -> list[str]:
    """The errors of a purge with the module's journal; data and restore points are removed too."""
    (root / ".trade2026/restore_points/valkey/1").mkdir(parents=True)
    work = purge(root, engine, data=True, restore_points=True)
    begin = vars(this_run("r1", "somebody", os.getpid()))
    module = SimpleNamespace(params={"begin": begin, "take_over": ""})
    return core_purge.apply(module, work, Journal(root))


def test_a_purge_that_loses_its_lock_stops(root: Path) -> None:
    """The controller was killed, and another run deploys while this process still runs on the machine."""
    engine = Engine()
    journal = Journal(root)

    def take_over(_name: str) -> None:
        journal.begin(this_run("r2", "somebody", os.getpid()), [], take_over="r1")

    engine.remove_network = take_over  # type: ignore[method-assign]
    before = left(root)
    errors = carry_out(root, engine)
    assert "another run took over. Nothing more was changed" in errors[0]
    assert {name for name in left(root) if not name.startswith(".trade2026")} == before
    journal.require("r2")


def test_what_was_planned_and_kept_is_an_error_and_not_done(root: Path, tmp_path: Path) -> None:
    """Somebody replaced the data and a file after the purge had been planned."""
    work = purge(root, Engine(), data=True)
    for name in ("data/valkey", CONFIG, "secrets/valkey/password"):
        (root / name).rename(tmp_path / Path(name).name)
        (root / name).symlink_to(tmp_path / Path(name).name)
    done = {what for _service, what in work.apply()}
    assert done & {"data data/valkey", f"file {CONFIG}", "secret valkey/password"} == set()
    why = "it is a symlink; what it points to was not created here"
    assert work.errors == [
        f"{CONFIG} was not removed: {why}",
        f"valkey/password was not removed: {why}",
        f"{root / 'data/valkey'} was not removed: {why}",
    ]


def test_a_stop_whose_journal_cannot_be_written_releases_its_lock(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    container = SimpleNamespace(name="valkey", id="1", status="running", labels={SERVICE_LABEL: "valkey"})
    monkeypatch.setattr(core_stop.engine, "connect", Engine)
    monkeypatch.setattr(core_stop.engine, "clients_of", lambda *_arguments: [])
    monkeypatch.setattr(core_stop.teardown, "containers_of", lambda *_arguments: [container])

    def full(*_arguments: object) -> dict[str, str]:
        raise OSError(errno.ENOSPC, "No space left on device", "/journal")

    monkeypatch.setattr(core_stop, "stop", full)
    arguments = {
        "root": str(root),
        "project": PROJECT,
        "services": ["valkey"],
        "begin": vars(this_run("r1", "somebody", os.getpid())),
    }
    with patch_module_args(arguments), pytest.raises(SystemExit):
        core_stop.main()
    assert "/journal: No space left on device" in json.loads(capsys.readouterr().out)["msg"]
    assert Journal(root).owner() is None


def test_an_engine_that_ends_during_a_purge_is_named_and_the_lock_released(root: Path) -> None:
    errors = carry_out(root, Engine())
    assert errors[0].startswith("the images of localhost/trade2026/restore/")
    assert Journal(root).owner() is None
