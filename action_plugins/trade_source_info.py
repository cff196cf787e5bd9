# SPDX-License-Identifier: GPL-3.0-or-later
"""Read the source with the module of the same name; meanwhile, build the payloads of the modules that come next."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ansible.module_utils

# Ansible ships the project's module_utils with each module. A plugin runs on the controller and finds them here.
ansible.module_utils.__path__.append(str(Path(__file__).resolve().parent.parent / "module_utils"))

from ansible.module_utils.controller.action import AheadAction


class ActionModule(AheadAction):
    """The module's options, and `next_modules`: the modules that the play calls next."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        self.next_modules = arguments.pop("next_modules", [])
        return result | self._execute_module(module_args=arguments, task_vars=task_vars)
