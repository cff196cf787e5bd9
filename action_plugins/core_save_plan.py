# SPDX-License-Identifier: GPL-3.0-or-later
"""Write a plan file on the controller."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import ansible.module_utils
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

# Ansible ships the project's module_utils with each module. A plugin runs on the controller and finds them here.
ansible.module_utils.__path__.append(str(Path(__file__).resolve().parent.parent / "module_utils"))

from ansible.module_utils.controller.services import project_version, site_of
from ansible.module_utils.deployment.saved_plan import save
from ansible.module_utils.services.kinds import plain


class ActionModule(ActionBase):
    """`core_save_plan: {dest, hours, services, plans}`; `plans` is machine → the result of `core_plan`."""

    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        args = plain(self._task.args)
        plans: dict[str, dict[str, Any]] = args["plans"]
        machines = {
            name: {
                "site": site_of(planned["machine"]),
                "services": sorted(planned["images"]),
                **planned["plan"],
                "fingerprint": planned["fingerprint"],
            }
            for name, planned in plans.items()
        }
        content = save(
            machines, project_version(Path(__file__).resolve().parent.parent), args["services"], float(args["hours"])
        )
        dest = Path(args["dest"])
        try:
            dest.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(dest, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(json.dumps(content, indent=2) + "\n")
        except OSError as error:
            raise AnsibleActionFail(f"core_plan_to_save={dest} cannot be written: {error.strerror}") from error
        result.update(changed=False, msg=f"{dest} holds the plan until {content['expires']}", sha256=content["sha256"])
        return result
