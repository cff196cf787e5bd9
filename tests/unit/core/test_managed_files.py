# SPDX-License-Identifier: GPL-3.0-or-later
"""`managed_files` writes what it predicted, atomically, and keeps copies of what it replaces."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.core.files import PENDING_SECRET, FilesError, ManagedFiles
from ansible.module_utils.shared.docker import Docker


class FakeDocker:
    """Replaces `run_command`: returns fixed answers and records the commands."""

    def __init__(self, code: int = 0, err: str = "", image_there: bool = True) -> None:
        self.code, self.err, self.image_there = code, err, image_there
        self.calls: list[list[str]] = []

    def __call__(self, command: list[str], **_: Any) -> tuple[int, str, str]:
        self.calls.append(command)
        if "inspect" in command:
            return (0, '[{"Id": "sha256:1"}]', "") if self.image_there else (1, "[]", "Error: No such image: x")
        return self.code, "", self.err


def work(
    root: Path, files: list[dict[str, Any]], check_mode: bool = False, docker: FakeDocker | None = None, **more: Any
) -> ManagedFiles:
    params = {"root": str(root), "secrets_root": str(root / "secrets"), "files": files, **more}
    return ManagedFiles(params, Docker(docker or FakeDocker()), check_mode=check_mode)


def run(managed: ManagedFiles) -> tuple[Any, list[str]]:
    plan = managed.plan()
    return plan, managed.apply(plan)


def secret(root: Path, path: str, value: str) -> None:
    file = root / "secrets" / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(value + "\n", encoding="utf-8")


CONF = {"dest": "config/a.conf", "content": "one\n", "mode": "0640"}
VALIDATE = {
    "image": "x",
    "command": ["check"],
    "entrypoint": None,
    "user": "0:0",
    "environment": {},
    "tmpfs": [],
    "mounts": [{"source": "config", "target": "/etc/x", "kind": "config"}],
    "timeout_s": 5,
}


def test_the_dry_run_predicts_what_the_real_run_writes_and_the_second_run_finds_nothing(tmp_path: Path) -> None:
    arguments = {"directories": [{"path": "data/a", "mode": "0750"}]}
    predicted, _ = run(work(tmp_path / "r", [CONF], check_mode=True, **arguments))
    assert not (tmp_path / "r").exists()
    done, copies = run(work(tmp_path / "r", [CONF], **arguments))
    assert predicted.changes == done.changes
    assert predicted.diff == done.diff
    assert copies == []
    again, _ = run(work(tmp_path / "r", [CONF], **arguments))
    assert again.changes == []
    file = tmp_path / "r/config/a.conf"
    assert file.read_text() == "one\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert stat.S_IMODE((tmp_path / "r/data/a").stat().st_mode) == 0o750


def test_a_file_changed_by_hand_is_kept_as_a_copy(tmp_path: Path) -> None:
    run(work(tmp_path, [CONF]))
    (tmp_path / "config/a.conf").write_text("by hand\n", encoding="utf-8")
    plan, copies = run(work(tmp_path, [CONF]))
    assert plan.changes[0]["why"] == "differs from the declared text"
    assert [Path(copy).read_text() for copy in copies] == ["by hand\n"]
    assert (tmp_path / "config/a.conf").read_text() == "one\n"


def test_the_copy_is_on_the_disk_before_the_file_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a power failure the edit by hand would be lost otherwise."""
    run(work(tmp_path, [CONF]))
    (tmp_path / "config/a.conf").write_text("by hand\n", encoding="utf-8")
    synced: list[Path] = []
    real, rename = os.fsync, os.rename

    def sync(handle: int) -> None:
        synced.append(Path(f"/proc/self/fd/{handle}").readlink())
        real(handle)

    def renamed(*names: Any, **more: Any) -> None:
        (copy,) = tmp_path.glob(".trade2026/replaced/*/config/a.conf")
        expected = {copy, *copy.parents} - {*tmp_path.parents}
        assert expected <= set(synced)
        rename(*names, **more)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(os, "rename", renamed)
    run(work(tmp_path, [CONF]))
    assert (tmp_path / "config/a.conf").read_text() == "one\n"


def test_a_mode_changed_by_hand_is_corrected_without_rewriting(tmp_path: Path) -> None:
    run(work(tmp_path, [CONF]))
    file = tmp_path / "config/a.conf"
    inode = file.stat().st_ino
    file.chmod(0o666)
    plan, _ = run(work(tmp_path, [CONF]))
    assert plan.changes == [{"path": str(file), "what": "owner", "why": "mode 0666 instead of 0640"}]
    assert file.stat().st_ino == inode
    assert stat.S_IMODE(file.stat().st_mode) == 0o640


def test_an_existing_directory_without_a_declared_mode_keeps_its_own(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir(mode=0o700)
    plan, _ = run(work(tmp_path, [], directories=[{"path": "data"}]))
    assert plan.changes == []
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700


def test_a_secret_is_written_and_never_shown(tmp_path: Path) -> None:
    secret(tmp_path, "v/password", "hunter2-hunter2")
    entry = {"dest": "c.conf", "content": "pass @@secret:v/password@@\n", "mode": "0640"}
    plan, _ = run(work(tmp_path, [entry]))
    assert (tmp_path / "c.conf").read_text() == "pass hunter2-hunter2\n"
    secret(tmp_path, "v/password", "rotated-rotated")
    rotated, _ = run(work(tmp_path, [entry], check_mode=True))
    assert rotated.changes
    for shown in (plan, rotated):
        assert "hunter2" not in repr(shown.diff) + repr(shown.changes) + repr(shown.texts)
        assert "rotated" not in repr(shown.diff)


def test_a_missing_secret_is_predicted_in_a_dry_run_and_an_error_in_a_real_one(tmp_path: Path) -> None:
    entry = {"dest": "c.conf", "content": "@@secret:no/such@@", "mode": "0640"}
    plan, _ = run(work(tmp_path, [entry], check_mode=True))
    assert plan.changes
    assert PENDING_SECRET not in repr(plan.diff)
    with pytest.raises(FilesError, match="no/such: no such secret"):
        work(tmp_path, [entry]).plan()


def test_a_file_with_a_secret_cannot_be_revealed(tmp_path: Path) -> None:
    secret(tmp_path, "a", "x")
    with pytest.raises(FilesError, match="cannot be revealed"):
        work(tmp_path, [{"dest": "f", "content": "@@secret:a@@", "mode": "0644", "reveal": True}]).plan()


def test_the_configuration_hash_follows_every_file_and_watched_secret(tmp_path: Path) -> None:
    secret(tmp_path, "k", "1")
    fragment = {"dest": "f.yml", "content": "hash: @@config_hash@@\n", "mode": "0644", "reveal": True}

    def hash_of(content: str) -> str:
        plan = work(tmp_path, [{**CONF, "content": content}, fragment], check_mode=True, watch=["k"]).plan()
        assert plan.texts == {"f.yml": f"hash: {plan.config_hash}\n"}
        return plan.config_hash

    first = hash_of("one")
    assert first == hash_of("one")
    assert first != hash_of("two")
    secret(tmp_path, "k", "2")
    assert first != hash_of("one")


def test_a_refused_configuration_leaves_the_live_file_alone(tmp_path: Path) -> None:
    run(work(tmp_path, [CONF], validate=VALIDATE))
    docker = FakeDocker(code=1, err="line 1: no such setting")
    with pytest.raises(FilesError, match="no such setting"):
        run(work(tmp_path, [{**CONF, "content": "broken\n"}], docker=docker, validate=VALIDATE))
    assert (tmp_path / "config/a.conf").read_text() == "one\n"
    assert not list(tmp_path.rglob("*broken*"))


def test_the_output_of_the_validate_command_is_masked(tmp_path: Path) -> None:
    secret(tmp_path, "p", "hunter2-hunter2")
    docker = FakeDocker(code=1, err="bad value hunter2-hunter2")
    entry = {"dest": "config/a.conf", "content": "@@secret:p@@", "mode": "0640"}
    with pytest.raises(FilesError) as caught:
        run(work(tmp_path, [entry], docker=docker, validate=VALIDATE))
    assert "hunter2" not in str(caught.value)
    assert "@@secret:p@@" in str(caught.value)


def test_secrets_that_only_the_validate_command_reads_are_masked_too(tmp_path: Path) -> None:
    """It may show them in JSON or quoted for a URL."""
    secret(tmp_path, "clients.json", '{"oms": "a-clients\\"secret"}')
    docker = FakeDocker(code=1, err='client oms: "a-clients\\"secret" is not a hash: a-clients%22secret')
    with pytest.raises(FilesError) as caught:
        run(work(tmp_path, [CONF], docker=docker, validate=VALIDATE))
    assert "a-clients" not in str(caught.value)
    assert "client oms: " in str(caught.value)


def test_the_validate_command_runs_only_for_changes_and_in_a_dry_run_only_with_the_image(
    tmp_path: Path,
) -> None:
    absent = FakeDocker(image_there=False)
    run(work(tmp_path, [CONF], check_mode=True, docker=absent, validate=VALIDATE))
    assert not [call for call in absent.calls if "run" in call]
    first = FakeDocker()
    run(work(tmp_path, [CONF], docker=first, validate=VALIDATE))
    assert len([call for call in first.calls if "run" in call]) == 1
    second = FakeDocker()
    run(work(tmp_path, [CONF], docker=second, validate=VALIDATE))
    assert second.calls == []


def test_a_dry_run_without_the_secrets_skips_the_validate_command(tmp_path: Path) -> None:
    mounts = [{"source": "v", "target": "/secrets", "kind": "secret"}]
    docker = FakeDocker()
    run(work(tmp_path, [CONF], check_mode=True, docker=docker, validate={**VALIDATE, "mounts": mounts}))
    assert docker.calls == []
    (tmp_path / "secrets/v").mkdir(parents=True)
    run(work(tmp_path, [CONF], check_mode=True, docker=docker, validate={**VALIDATE, "mounts": mounts}))
    assert [call for call in docker.calls if "run" in call]


def test_a_validate_command_that_hangs_is_reported(tmp_path: Path) -> None:
    with pytest.raises(FilesError, match="not finished within 5 s"):
        run(work(tmp_path, [CONF], docker=FakeDocker(code=124), validate=VALIDATE))


@pytest.mark.parametrize("blocker", ["config", "config/a.conf"])
def test_a_path_of_the_wrong_kind_is_never_replaced(tmp_path: Path, blocker: str) -> None:
    if blocker == "config":
        (tmp_path / "config").write_text("a file", encoding="utf-8")
        with pytest.raises(FilesError, match="must be a directory"):
            work(tmp_path, [], directories=[{"path": "config"}]).plan()
    else:
        (tmp_path / blocker).mkdir(parents=True)
        with pytest.raises(FilesError, match="must be a file"):
            work(tmp_path, [CONF]).plan()


def test_a_mode_that_is_not_octal_is_explained(tmp_path: Path) -> None:
    with pytest.raises(FilesError, match="not octal"):
        work(tmp_path, [{**CONF, "mode": "rw-r--r--"}]).plan()
