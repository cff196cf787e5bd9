# SPDX-License-Identifier: GPL-3.0-or-later
"""What the base of the action plugins does for the speed of a run."""

from __future__ import annotations

import gc
import threading
from typing import Any

import pytest
from ansible.errors import AnsibleError
from ansible.module_utils.controller.action import AheadAction
from ansible.plugins.action import ActionBase


class Action(AheadAction):
    """An action without a task."""

    def __init__(self) -> None:
        pass

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        return {}


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The modules whose payload was built; `missing` cannot be."""
    names: list[str] = []

    def build(_self: ActionBase, module_name: str, _args: dict[str, Any], _task_vars: dict[str, Any]) -> str:
        names.append(module_name)
        if module_name == "missing":
            raise AnsibleError("not found")
        return f"payload of {module_name}"

    monkeypatch.setattr(ActionBase, "_configure_module", build)
    return names


def configure(action: AheadAction, module: str) -> Any:
    answer = action._configure_module(module, {}, {})
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join()
    return answer


def test_the_next_modules_are_built_once_after_the_current_one(built: list[str]) -> None:
    action = Action()
    action.next_modules = ["core_plan", "service_probe"]
    assert configure(action, "image_plan") == "payload of image_plan"
    assert configure(action, "other") == "payload of other"
    assert built == ["image_plan", "core_plan", "service_probe", "other"]


def test_a_next_module_that_cannot_be_built_does_not_fail_the_current_one(built: list[str]) -> None:
    action = Action()
    action.next_modules = ["missing"]
    assert configure(action, "image_plan") == "payload of image_plan"
    assert built == ["image_plan", "missing"]
    with pytest.raises(AnsibleError):
        configure(action, "missing")


def test_what_is_loaded_is_not_examined_by_garbage_collections() -> None:
    assert gc.get_freeze_count() > 0
