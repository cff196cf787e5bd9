# SPDX-License-Identifier: GPL-3.0-or-later
"""Render templates on the controller and hand all of them to the module `managed_files` in one call.

One module process writes every file, where `ansible.builtin.template` needs two for each.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ansible.module_utils
from ansible.plugins.action import ActionBase

# Ansible ships the project's module_utils with each module. A plugin runs on the controller and finds them here.
ansible.module_utils.__path__.append(str(Path(__file__).resolve().parent.parent / "module_utils"))

from ansible.module_utils.controller.templates import rendered


class ActionModule(ActionBase):
    """Turns `template` of every file into `content`; all other arguments are passed unchanged."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        task_vars = dict(task_vars or {})
        args = dict(self._task.args)
        args["services"] = [
            {
                **service,
                "files": [
                    rendered(file, self._templar, self._loader, task_vars) for file in service.get("files") or []
                ],
            }
            for service in args["services"]
        ]
        result.update(self._execute_module(module_name="managed_files", module_args=args, task_vars=task_vars))
        return result
