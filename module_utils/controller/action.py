# SPDX-License-Identifier: GPL-3.0-or-later
"""The base of the action plugins that work on services."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import ansible.constants
from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.module_utils.controller.services import Describer, Roles, Service, files_of
from ansible.module_utils.controller.templates import rendered
from ansible.module_utils.deployment.journal import DAMAGED, is_alive, is_local, read_owner
from ansible.module_utils.deployment.model import table
from ansible.module_utils.services.kinds import boolean
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

display = Display()


class AheadAction(ActionBase):
    """Builds the payloads of the modules that the run needs next while the current module runs."""

    next_modules: Sequence[str] = ()

    def _configure_module(self, module_name: str, module_args: dict[str, Any], task_vars: dict[str, Any]) -> Any:
        """Build a module's payload; for the next modules, this only fills Ansible's cache of the run."""
        built = super()._configure_module(module_name, module_args, task_vars)
        names, self.next_modules = self.next_modules, ()

        def build() -> None:
            for name in names:
                # An error is raised again when the module is called.
                with contextlib.suppress(AnsibleError):
                    super(AheadAction, self)._configure_module(name, {}, task_vars)

        if names:
            threading.Thread(target=build).start()
        return built


class ServicesAction(AheadAction):
    """Describes the services of one machine."""

    def describer(self, task_vars: Mapping[str, Any]) -> Describer:
        """The describer, which finds the roles of this project and of the run."""
        folders = [str(Path(str(task_vars["playbook_dir"])) / "roles"), *(ansible.constants.DEFAULT_ROLES_PATH or [])]
        return Describer(self._templar, Roles(self._loader, folders))

    def site(self, name: str, task_vars: Mapping[str, Any]) -> dict[str, Any]:
        """The site's variables for the service's host; the task's own variables if the service is not a host."""
        if name in task_vars["groups"].get("all", []):
            own = task_vars["hostvars"].raw_get(name)
            return {**own, "hostvars": task_vars["hostvars"], "groups": task_vars["groups"]}
        return dict(task_vars)

    def describe(
        self,
        name: str,
        describer: Describer,
        image: Mapping[str, Any],
        task_vars: Mapping[str, Any],
        role: str = "",
    ) -> Service:
        """One service, with the image that it will run (empty if the caller does not need it)."""
        site = self.site(name, task_vars)
        role = role or describer.role_of(name, site)
        return describer.service(name, role, describer.variables(name, role, site), image)

    def core_templates(self, describer: Describer) -> Path:
        """The templates of the role `core`."""
        return describer.roles.folder("core") / "templates"

    def render_files(self, service: Service, describer: Describer) -> list[dict[str, Any]]:
        """The service's files with their text."""
        return [
            rendered(file, self._templar, self._loader, service.variables)
            for file in files_of(service, self.core_templates(describer))
        ]

    def call(self, module: str, arguments: Mapping[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """The module's result; raises AnsibleActionFail with its message."""
        answer: dict[str, Any] = self._execute_module(
            module_name=module, module_args=dict(arguments), task_vars=task_vars
        )
        if answer.get("failed") or answer.get("unreachable"):
            # A module that ends with an exception of its own has no message; the exception says where.
            raise AnsibleActionFail(str(answer.get("msg") or answer.get("exception") or f"{module} failed"))
        return answer

    def disabled(self, names: Sequence[str], describer: Describer, task_vars: Mapping[str, Any]) -> list[str]:
        """The services of the site, and of `names`, that `core_enabled` switches off."""
        found = []
        for name in dict.fromkeys([*names, *task_vars["groups"].get("core_services", [])]):
            site = self.site(name, task_vars)
            value = describer.engine({**site, "inventory_hostname": name}).template(site.get("core_enabled", True))
            if not boolean(value):
                found.append(name)
        return found

    def call_with_lock(
        self, module: str, arguments: Mapping[str, Any], consent: str, task_vars: dict[str, Any]
    ) -> dict[str, Any]:
        """The result of a module that takes the lock; raises AnsibleActionFail while another run holds it.

        The lock of a run whose process has ended is taken over. That of another controller is taken over if `consent`
        is the controller's name, and one that cannot be read if it is DAMAGED.
        """
        take_over = DAMAGED if consent == DAMAGED else ""
        answer = self.call(module, {**arguments, "take_over": take_over}, task_vars)
        locked = dict(answer["locked"])
        if "refusal" not in locked:
            return answer
        refusal, left = str(locked.pop("refusal")), str(locked.pop("left"))
        owner = read_owner(locked)
        if is_alive(owner) and (is_local(owner) or consent != owner.controller):
            raise AnsibleActionFail(refusal)
        display.display(f"  The run of {owner.text} ended without finishing; this run takes over. Of that run, {left}.")
        answer = self.call(module, {**arguments, "take_over": owner.run}, task_vars)
        if "refusal" in answer["locked"]:
            raise AnsibleActionFail(str(answer["locked"]["refusal"]))
        return answer

    @staticmethod
    def names(value: Any) -> list[str]:
        """A list of names; raises AnsibleActionFail."""
        if not isinstance(value, Sequence) or isinstance(value, str) or not value:
            raise AnsibleActionFail("services: name at least one")
        return [str(name) for name in value]


def operations_table(operations: Sequence[Mapping[str, Any]]) -> str:
    """A plan as a table to display."""
    rows = [("SERVICE", "OPERATION", "CURRENT", "DESIRED", "CAUSE")]
    for row in operations:
        cause = row["cause"] + (" (restarts)" if row["restarts"] else "")
        what = f"{row['action']} {row['what']}"
        rows.append((row["service"], what, row["current"] or "-", row["desired"] or "-", cause))
    return table(rows)


def show_operations(operations: Sequence[Mapping[str, Any]], nothing: str) -> None:
    """Show a plan, or the line for one without operations."""
    display.display(operations_table(operations) if operations else nothing)


def run_pid() -> int:
    """The process of `ansible-playbook`: a task runs in a worker that it forked."""
    return os.getppid()
