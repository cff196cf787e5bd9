# SPDX-License-Identifier: GPL-3.0-or-later
"""Hand the declared secrets of the services to the module `trade_secrets`.

A site's own values are read here, in the only task that needs them, so that no fact and no playbook task has them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ansible.module_utils

# Ansible ships the project's module_utils with each module. A plugin runs on the controller and finds them here.
ansible.module_utils.__path__.append(str(Path(__file__).resolve().parent.parent / "module_utils"))

from ansible.module_utils.controller import services as described
from ansible.module_utils.controller.action import ServicesAction
from ansible.module_utils.services.kinds import plain


class ActionModule(ServicesAction):
    """`trade_secrets: {services, root}`; with `secrets`, the arguments are passed to the module unchanged."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        task_vars = task_vars or {}
        args = dict(self._task.args)
        if "services" in args:
            describer = self.describer(task_vars)
            services = [self.describe(name, describer, {}, task_vars) for name in self.names(args.pop("services"))]
            args["secrets"] = plain(described.secret_arguments(services, describer))
        result.update(self._execute_module("trade_secrets", args, task_vars=task_vars))
        return result
