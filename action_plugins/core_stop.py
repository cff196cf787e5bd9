# SPDX-License-Identifier: GPL-3.0-or-later
"""Let the module `core_stop` stop services while it holds the lock, and show what that interrupts."""

from __future__ import annotations

import getpass
import uuid
from pathlib import Path
from typing import Any

import ansible.module_utils

# Ansible ships the project's module_utils with each module. A plugin runs on the controller and finds them here.
ansible.module_utils.__path__.append(str(Path(__file__).resolve().parent.parent / "module_utils"))

from ansible.module_utils.controller.action import ServicesAction, display, run_pid, show_operations
from ansible.module_utils.deployment.journal import this_run
from ansible.module_utils.services.kinds import plain


class ActionModule(ServicesAction):
    """`core_stop: {root, project, services, batch, run, take_over}`."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        task_vars = task_vars or {}
        arguments = dict(plain(self._task.args))
        arguments["services"] = self.names(arguments["services"])
        consent = str(arguments.pop("take_over", ""))
        if arguments.get("run"):
            # A run that also deploys holds the lock already and has shown its plan.
            result.update(self.call("core_stop", arguments, task_vars))
            return result
        before = self.call("core_stop", arguments, task_vars)
        show_operations(before["operations"], "  Nothing to do: none of the services is running.")
        if self._task.check_mode or not before["operations"]:
            result.update(before)
            return result
        arguments["begin"] = vars(this_run(uuid.uuid4().hex, getpass.getuser(), run_pid()))
        answer = self.call_with_lock("core_stop", arguments, consent, task_vars)
        result.update(answer)
        names = ", ".join(sorted({str(row["service"]) for row in answer["operations"]}))
        display.display(f"  Stopped: {names}. Everything else is kept; `ansible-playbook core.yml` starts them again.")
        return result
