# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the module `core_restore`; a rollback by hand takes the lock of the machine for this run."""

from __future__ import annotations

import getpass
import uuid
from pathlib import Path
from typing import Any

import ansible.module_utils

# Ansible ships the project's module_utils with each module. A plugin runs on the controller and finds them here.
ansible.module_utils.__path__.append(str(Path(__file__).resolve().parent.parent / "module_utils"))

from ansible.module_utils.controller.action import ServicesAction, display, run_pid
from ansible.module_utils.deployment.journal import this_run
from ansible.module_utils.services.kinds import plain


class ActionModule(ServicesAction):
    """The module's arguments; `begin` and `take_over` are added on the controller."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        args = dict(plain(self._task.args))
        consent = str(args.pop("take_over", "") or "")
        if args.get("state") == "begun":
            names = [str(service["name"]) for service in args["services"]]
            off = set(self.disabled(names, self.describer(task_vars or {}), task_vars or {}))
            for name in [name for name in names if name in off]:
                display.display(f"  {name} is skipped: it is switched off (core_enabled: false).")
            args["services"] = [service for service in args["services"] if service["name"] not in off]
            args["begin"] = vars(this_run(uuid.uuid4().hex, getpass.getuser(), run_pid()))
            result.update(self.call_with_lock("core_restore", args, consent, task_vars or {}))
            return result
        answer: dict[str, Any] = self._execute_module("core_restore", args, task_vars=task_vars)
        result.update(answer)
        return result
