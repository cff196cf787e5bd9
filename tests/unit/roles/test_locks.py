# SPDX-License-Identifier: GPL-3.0-or-later
"""If one of several machines refuses a run, the others, which have taken their locks, release them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

PLAYBOOKS = Path(__file__).resolve().parents[3] / "playbooks"


def takes_the_lock(task: dict[str, Any]) -> bool:
    role = task.get("ansible.builtin.import_role", {})
    return task.get("core_restore", {}).get("state") == "begun" or (role.get("name"), role.get("tasks_from")) == (
        "core",
        "plan",
    )


@pytest.mark.parametrize("playbook", ["plan_machine.yml", "rollback.yml"])
def test_the_locks_of_all_machines_are_released_if_one_of_them_refuses(playbook: str) -> None:
    plays = yaml.safe_load((PLAYBOOKS / playbook).read_text(encoding="utf-8"))
    fatal = [task for play in plays if play.get("any_errors_fatal") for task in play["tasks"]]
    assert not any(takes_the_lock(task) for task in fatal)
    blocks = [task for task in fatal if any(takes_the_lock(inner) for inner in task.get("block", ()))]
    assert len(blocks) == 1
    first = blocks[0]["rescue"][0]
    assert set(first["core_journal"]) == {"root", "end_run", "failed"}
    assert "length > 0" in first["when"]
