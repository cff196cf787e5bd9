# SPDX-License-Identifier: GPL-3.0-or-later
"""The base of the action plugins that work on services."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import ansible.constants
from ansible.errors import AnsibleActionFail
from ansible.module_utils.controller.services import Describer, Roles, Service, files_of
from ansible.module_utils.controller.templates import rendered
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

display = Display()


class ServicesAction(ActionBase):
    """Describes the services of one machine."""

    def describer(self, task_vars: Mapping[str, Any]) -> Describer:
        """What describes services, with the roles of this project and of the run."""
        folders = [str(Path(str(task_vars["playbook_dir"])) / "roles"), *(ansible.constants.DEFAULT_ROLES_PATH or [])]
        return Describer(self._templar, Roles(self._loader, folders))

    def site(self, name: str, task_vars: Mapping[str, Any]) -> dict[str, Any]:
        """What the site says for the service's host; the task's own variables if the service is not a host."""
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
        """One service, with the image that it will run (empty where nothing asks for it)."""
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
        """The module's answer; raises AnsibleActionFail with its message."""
        answer: dict[str, Any] = self._execute_module(
            module_name=module, module_args=dict(arguments), task_vars=task_vars
        )
        if answer.get("failed") or answer.get("unreachable"):
            # A module that ends with an exception of its own has no message; the exception says where.
            raise AnsibleActionFail(str(answer.get("msg") or answer.get("exception") or f"{module} failed"))
        return answer

    @staticmethod
    def names(value: Any) -> list[str]:
        """A list of names; raises AnsibleActionFail."""
        if not isinstance(value, Sequence) or isinstance(value, str) or not value:
            raise AnsibleActionFail("services: name at least one")
        return [str(name) for name in value]


def run_pid() -> int:
    """The process of `ansible-playbook`: a task runs in a worker that it forked."""
    return os.getppid()
