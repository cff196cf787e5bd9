# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the module `trade_data_copy` in slices and show its progress between them.

A module returns nothing before it ends, and copying data may take hours.
"""

from __future__ import annotations

import time
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

SLICE_S = 10

display = Display()


class ActionModule(ActionBase):
    """Calls the module until it has finished; each call continues where the last one stopped."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        args = {**self._task.args}
        args["slice_s"] = int(args.get("slice_s") or SLICE_S)
        began = time.monotonic()
        copied: dict[str, dict[str, Any]] = {}
        while True:
            answer: dict[str, Any] = self._execute_module(
                module_name="trade_data_copy", module_args=args, task_vars=task_vars
            )
            for row in answer.get("sets", []):
                # A set that an earlier slice finished is `current` in the later ones; report what was done.
                if row["state"] == "copied":
                    copied[row["service"]] = row
            if answer.get("failed") or answer.get("finished", True):
                break
            display.display(f"  {task_vars['inventory_hostname'] if task_vars else ''}: {_line(answer, began)}")
        answer["sets"] = [copied.get(row["service"], row) for row in answer.get("sets", [])]
        answer["changed"] = bool(answer.get("changed")) or bool(copied)
        result.update(answer)
        return result


def _line(answer: dict[str, Any], began: float) -> str:
    return f"{answer.get('progress', '')}, {time.monotonic() - began:.0f} s"
