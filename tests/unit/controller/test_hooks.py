# SPDX-License-Identifier: GPL-3.0-or-later
"""Hooks: which one runs when, what it is given, and that its failure is reported."""

from __future__ import annotations

import importlib.util
import json
import runpy
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from ansible.module_utils.services import kinds

ROOT = Path(__file__).resolve().parents[3]
FILTERS = runpy.run_path(str(ROOT / "filter_plugins/core.py"))["FilterModule"]().filters()
ROW = {"service": "valkey", "what": "state", "action": "start"}


@pytest.fixture(scope="module")
def plugin() -> ModuleType:
    spec = importlib.util.spec_from_file_location("core_hook_action", ROOT / "action_plugins/core_hook.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def hosts(run: str = "r1", **facts: Any) -> dict[str, dict[str, Any]]:
    planned = {
        "run": run,
        "plan": {"operations": [ROW], "unpredictable": []},
        "by_service": {"machine": [], "nats": [], "valkey": [ROW], "opa": []},
        "disabled": ["opa"],
    }
    hooks = {"before_deploy": ["true"], "on_failure": ["true"]}
    return {
        "nats": {"docker_host": "core-1", "core_planned": planned, "core_hooks": hooks},
        "valkey": {"docker_host": "core-1", "core_hooks": hooks, **facts},
        "opa": {"docker_host": "core-1", "core_hooks": hooks},
    }


def test_hooks_run_once_and_only_if_the_run_changes_something() -> None:
    assert FILTERS["core_hook_hosts"](["nats"], hosts(), "before_deploy") == ["nats"]
    assert FILTERS["core_hook_hosts"](["nats"], hosts(), "after_rollback") == ["core_services:!core_services"]
    assert FILTERS["core_hook_hosts"](["nats"], hosts(run=""), "before_deploy") == ["core_services:!core_services"]
    assert FILTERS["core_hook_hosts"]([], {}, "before_deploy") == ["core_services:!core_services"]


@pytest.mark.parametrize(
    ("facts", "events"),
    [
        ({}, ["after_deploy"]),
        ({"core_failure": "it does not start"}, ["on_failure"]),
        ({"core_failure": "it does not start", "core_rolled_back": 3}, ["after_rollback", "on_failure"]),
    ],
)
def test_the_hooks_at_the_end_follow_from_the_result(facts: dict[str, Any], events: list[str]) -> None:
    assert FILTERS["core_hooks_after"](hosts(**facts)) == events


def test_a_hook_gets_the_result_of_each_service() -> None:
    assert FILTERS["core_hook_result"](hosts(core_failure="it does not start")) == {
        "result": "failed",
        "failed": ["valkey"],
        "services": {
            "nats": {"state": "unchanged", "message": ""},
            "valkey": {"state": "failed", "message": "it does not start"},
            "opa": {"state": "off", "message": ""},
        },
    }
    assert FILTERS["core_hook_plan"](hosts()) == {"core-1": {"operations": [ROW], "unpredictable": []}}


def test_the_run_ends_on_every_machine_when_the_hook_before_it_fails() -> None:
    assert FILTERS["core_hosts_refused_by_hook"](["nats"], hosts()) == ["core_services:!core_services"]
    failed = hosts()
    failed["nats"]["core_hook_failure"] = "no ticket"
    assert FILTERS["core_hosts_refused_by_hook"](["nats"], failed) == ["nats"]
    assert FILTERS["core_first"](failed, "core_hook_failure") == "no ticket"


def test_a_failing_command_is_reported_with_its_output(plugin: ModuleType) -> None:
    assert plugin._run(["true"], {}, 5) == ""
    refusal = plugin._run(["sh", "-c", "echo no ticket today >&2; exit 3"], {}, 5)
    assert refusal == "sh ended with exit code 3. Its output:\nno ticket today"
    assert "cannot be run: No such file" in plugin._run(["/no/such/program"], {}, 5)


def test_a_command_that_hangs_is_killed_with_its_children(plugin: ModuleType) -> None:
    refusal = plugin._run(["sh", "-c", "sleep 300 & sleep 300"], {}, 0.2)
    assert refusal == "sh did not end within 0.2 s (core_hook_timeout_s), and was killed"


def test_the_environment_names_event_and_files(plugin: ModuleType, tmp_path: Path) -> None:
    out = tmp_path / "out"
    code = f"import os; open({str(out)!r}, 'w').write(os.environ['TRADE2026_EVENT'])"
    assert plugin._run([sys.executable, "-c", code], {"TRADE2026_EVENT": "on_failure"}, 20) == ""
    assert out.read_text(encoding="utf-8") == "on_failure"


def test_a_file_of_tasks_becomes_a_play_and_a_playbook_stays_one(plugin: ModuleType, tmp_path: Path) -> None:
    tasks, book = tmp_path / "tasks.yml", tmp_path / "book.yml"
    tasks.write_text("- name: A\n  ansible.builtin.debug:\n", encoding="utf-8")
    book.write_text("- hosts: localhost\n  tasks: []\n", encoding="utf-8")
    files = {"plan": tmp_path / "plan.json", "result": tmp_path / "result.json"}
    words = plugin._playbook(str(tasks), files, tmp_path)
    play = json.loads(Path(words[1]).read_text(encoding="utf-8"))[0]
    assert play["hosts"] == "localhost"
    assert play["tasks"][0]["ansible.builtin.import_tasks"] == str(tasks)
    words = plugin._playbook(str(book), files, tmp_path)
    assert words[1] == str(book)
    assert json.loads(words[3]) == {
        "core_hook_plan_file": str(files["plan"]),
        "core_hook_result_file": str(files["result"]),
    }


@pytest.mark.parametrize(
    ("hooks", "fault"),
    [
        ({}, ""),
        ({"before_deploy": ["/bin/true", 1], "on_failure": "/etc/notify.yml"}, ""),
        ({"before": ["true"]}, "there is no hook 'before'"),
        ({"before_deploy": []}, "before_deploy names no command"),
        ({"before_deploy": [""]}, "before_deploy names no command"),
        ({"on_failure": "notify"}, "on_failure is neither a list nor the path of a YAML file"),
        ({"on_failure": {"a": 1}}, "is not a mapping of hooks"),
        (["true"], "is not a mapping of hooks"),
    ],
)
def test_hooks_have_a_kind(hooks: Any, fault: str) -> None:
    found = kinds.fault("hooks", "core_hooks", hooks)
    assert fault in found
    assert bool(found) is bool(fault)
