# SPDX-License-Identifier: GPL-3.0-or-later
"""Describe services without inspecting any machine: their templated dictionaries, without secrets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ansible.module_utils

# Ansible ships the project's module_utils with each module. A plugin runs on the controller and finds them here.
ansible.module_utils.__path__.append(str(Path(__file__).resolve().parent.parent / "module_utils"))

from ansible.module_utils.controller.action import ServicesAction
from ansible.module_utils.services.kinds import plain


class ActionModule(ServicesAction):
    """`core_describe: {services}`. Values that depend on the image's version are empty."""

    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        task_vars = task_vars or {}
        describer = self.describer(task_vars)
        services = [self.describe(name, describer, {}, task_vars) for name in self.names(self._task.args["services"])]
        result.update(
            changed=False,
            services={service.name: plain(service.definition) for service in services},
            records={service.name: service.record.to_dict() for service in services},
        )
        return result
