# SPDX-License-Identifier: GPL-3.0-or-later
"""Hooks in real runs: when they run, what they get, and what their failure does."""

from __future__ import annotations

import json
from pathlib import Path

from faulty_site import CONFIG, FaultySite, assert_refused
from site_under_test import listing

KEEP = 'cat "$TRADE2026_PLAN" > "$0/$TRADE2026_EVENT.plan"; cat "$TRADE2026_RESULT" > "$0/$TRADE2026_EVENT.result"'


def keep(folder: Path) -> list[str]:
    """A hook that stores the files that it gets."""
    return ["sh", "-c", KEEP, str(folder)]


def edit(site: FaultySite) -> None:
    path = site.root / CONFIG
    path.write_bytes(path.read_bytes() + b"# by hand\n")


def read(file: Path) -> dict[str, object]:
    return dict(json.loads(file.read_text(encoding="utf-8")))


def test_a_failing_hook_before_the_deployment_ends_the_run_before_any_change(site: FaultySite) -> None:
    edit(site)
    before, started = listing(site.root / "config"), site.started_at()
    run = site.play(core_hooks={"before_deploy": ["sh", "-c", "echo no ticket today; exit 4"]})
    assert_refused(
        run, "the hook before_deploy (core_hooks) failed", "exit code 4", "no ticket today", "Nothing was changed"
    )
    assert (listing(site.root / "config"), site.started_at()) == (before, started)
    assert not (site.root / ".trade2026/journal/lock").exists()
    site.converge()


def test_hooks_get_plan_and_result_and_run_only_if_there_is_something_to_do(site: FaultySite, tmp_path: Path) -> None:
    hooks = {event: keep(tmp_path) for event in ("before_deploy", "after_deploy", "on_failure", "after_rollback")}
    converged = site.play(core_hooks=hooks)
    assert converged.code == 0, converged.errors
    assert list(tmp_path.iterdir()) == []
    edit(site)
    checked = site.play("--check", core_hooks=hooks)
    assert checked.code == 0, checked.errors
    assert list(tmp_path.iterdir()) == []
    run = site.play(core_hooks=hooks)
    assert run.code == 0, run.errors
    assert {file.stem for file in tmp_path.iterdir()} == {"before_deploy", "after_deploy"}
    rows = read(tmp_path / "before_deploy.plan")["localhost"]["operations"]  # type: ignore[index]
    assert f"file {CONFIG}" in {row["what"] for row in rows}
    assert read(tmp_path / "before_deploy.result") == {}
    assert read(tmp_path / "after_deploy.result") == {
        "result": "ok",
        "failed": [],
        "services": {"valkey": {"state": "deployed", "message": ""}},
    }
    kept = "".join(file.read_text(encoding="utf-8") for file in tmp_path.iterdir())
    assert not any(secret in kept for secret in site.secrets())


def test_a_hook_may_be_a_file_of_tasks_and_its_failure_is_reported(site: FaultySite, tmp_path: Path) -> None:
    tasks = tmp_path / "tasks.yml"
    tasks.write_text(
        "- name: Read the result\n"
        "  ansible.builtin.fail:\n"
        "    msg: result {{ (lookup('ansible.builtin.file', core_hook_result_file) | from_json).result }}\n",
        encoding="utf-8",
    )
    edit(site)
    run = site.play(core_hooks={"after_deploy": str(tasks)})
    assert_refused(run, "the hook after_deploy (core_hooks) failed", "result ok")
    site.converge()


def test_a_failed_deployment_runs_only_the_on_failure_hook(site: FaultySite, tmp_path: Path) -> None:
    hooks = {event: keep(tmp_path) for event in ("after_deploy", "on_failure")}
    run = site.play(core_hooks=hooks, valkey_extra_nonsense=1)
    assert_refused(run)
    # A run that is refused before it plans has changed nothing, so no hook runs.
    assert list(tmp_path.iterdir()) == []
    manifest = site.root / "data/valkey/appendonlydir/appendonly.aof.manifest"
    content = manifest.read_bytes()
    site.docker("stop", site.container)
    manifest.write_bytes(b"damaged\n")
    failed = site.play(core_hooks=hooks)
    manifest.write_bytes(content)
    assert_refused(failed)
    assert {file.stem for file in tmp_path.iterdir()} == {"on_failure"}
    assert read(tmp_path / "on_failure.result")["failed"] == ["valkey"]
    site.converge()
