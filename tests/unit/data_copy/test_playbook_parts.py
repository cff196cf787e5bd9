# SPDX-License-Identifier: GPL-3.0-or-later
"""The parts around the copy: the slices with their progress, the sets, the report."""

from __future__ import annotations

import importlib.util
import runpy
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]
FILTERS = runpy.run_path(str(ROOT / "filter_plugins/trade2025.py"))["FilterModule"]().filters()


@pytest.fixture(scope="module")
def plugin() -> ModuleType:
    """The action plugin, under another name, because the module has the same."""
    spec = importlib.util.spec_from_file_location("data_copy_action", ROOT / "action_plugins/trade_data_copy.py")
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def _row(service: str, state: str, **more: Any) -> dict[str, Any]:
    return {
        "service": service,
        "state": state,
        "files": 2,
        "bytes": 1536,
        "skipped": [],
        "digest": "",
        "kept": "",
        **more,
    }


def _run(
    plugin: ModuleType, monkeypatch: pytest.MonkeyPatch, answers: list[dict[str, Any]]
) -> tuple[dict[str, Any], list[dict[str, Any]], list[str]]:
    """The action's result, the arguments of each call of the module, and what was shown."""
    action = plugin.ActionModule.__new__(plugin.ActionModule)
    action._task = SimpleNamespace(args={"sets": []})
    calls: list[dict[str, Any]] = []
    shown: list[str] = []
    waiting = iter(answers)

    def execute(module_name: str, module_args: dict[str, Any], task_vars: object) -> dict[str, Any]:
        assert module_name == "trade_data_copy"
        calls.append(module_args)
        return next(waiting)

    monkeypatch.setattr(action, "_execute_module", execute, raising=False)
    monkeypatch.setattr(plugin.ActionBase, "run", lambda *_: {})
    monkeypatch.setattr(plugin.display, "display", shown.append)
    result: dict[str, Any] = action.run(None, {"inventory_hostname": "nats"})
    return result, calls, shown


def test_slices_continue_until_it_has_finished_and_show_the_progress(
    plugin: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    result, calls, shown = _run(
        plugin,
        monkeypatch,
        [
            {
                "changed": True,
                "finished": False,
                "progress": "1 of 3",
                "sets": [_row("a", "copied", digest="d"), _row("b", "partial")],
            },
            {
                "changed": True,
                "finished": False,
                "progress": "2 of 3",
                "sets": [_row("a", "current"), _row("b", "partial")],
            },
            {
                "changed": True,
                "finished": True,
                "progress": "3 of 3",
                "sets": [_row("a", "current"), _row("b", "copied")],
            },
        ],
    )
    assert [call["slice_s"] for call in calls] == [plugin.SLICE_S] * 3
    assert [line.split(",")[0].strip() for line in shown] == ["nats: 1 of 3", "nats: 2 of 3"]
    assert [(row["service"], row["state"]) for row in result["sets"]] == [("a", "copied"), ("b", "copied")]
    assert result["sets"][0]["digest"] == "d"


def test_what_an_earlier_slice_copied_counts_as_changed(plugin: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    result, _, _ = _run(
        plugin,
        monkeypatch,
        [
            {"changed": True, "finished": False, "progress": "", "sets": [_row("a", "copied")]},
            {"changed": False, "finished": True, "progress": "", "sets": [_row("a", "current")]},
        ],
    )
    assert result["changed"] is True


def test_a_failure_ends_it_at_once(plugin: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    result, calls, _ = _run(plugin, monkeypatch, [{"failed": True, "msg": "no room"}])
    assert (result["failed"], result["msg"], len(calls)) == (True, "no room", 1)


def test_a_dry_run_is_one_call(plugin: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = {"changed": True, "finished": True, "progress": "", "sets": [_row("a", "would copy")]}
    result, calls, shown = _run(plugin, monkeypatch, [answer])
    assert (result["changed"], len(calls), shown) == (True, 1, [])


def data_record(name: str, *sources: str) -> dict[str, Any]:
    """The record of a service with one folder of data, and the folders that the path map leads to it from."""
    return {
        "name": name,
        "user": {"uid": 5, "gid": 6},
        "volumes": [{"kind": "config", "source": f"config/{name}"}, {"kind": "data", "source": f"data/{name}"}],
        "path_map": [{"source": source, "target": f"data/{name}"} for source in sources],
    }


def test_a_set_for_each_service_whose_data_the_path_map_names() -> None:
    hosts = [
        data_record("valkey", "trading/valkey"),
        data_record("seaweedfs", "c:/Trade2025/trading/seaweed"),
        data_record("moved", "D:/elsewhere"),
        data_record("new"),
    ]
    folders = {"moved": "trading/moved"}
    sets = FILTERS["trade2025_data_sets"](hosts, folders, "C:/trade2025", "/old", "/new")
    assert [(row["service"], row["source"], row["dest"], row["uid"], row["gid"]) for row in sets] == [
        ("valkey", "/old/trading/valkey", "/new/data/valkey", 5, 6),
        ("seaweedfs", "/old/trading/seaweed", "/new/data/seaweedfs", 5, 6),
        ("moved", "/old/trading/moved", "/new/data/moved", 5, 6),
    ]


def test_a_folder_that_this_machine_cannot_find_is_refused() -> None:
    with pytest.raises(ValueError, match="set trade2025_data_folders to"):
        FILTERS["trade2025_data_sets"]([data_record("moved", "D:/elsewhere")], {}, "C:/trade2025", "/old", "/new")


def test_the_report_names_what_was_kept_and_what_was_left_out() -> None:
    result = {
        "sets": [_row("a", "copied", digest="0123456789abcdef00", kept="/d/old", skipped=["sock"]), _row("b", "absent")]
    }
    assert FILTERS["trade2025_data_report"](result) == [
        "a: copied, 2 files, 1.5 KiB, sha256 of all 0123456789abcdef, earlier data kept as /d/old, "
        "not copied (no files): sock",
        "b: absent, 2 files, 1.5 KiB",
    ]
