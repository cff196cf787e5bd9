# SPDX-License-Identifier: GPL-3.0-or-later
"""Check the variables of a site against those of the roles, before anything runs, and report all errors in one list.

Runs on the controller and starts no module process. The functions are in module_utils/controller/validation.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import ansible.module_utils
from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.plugins.action import ActionBase

# Ansible ships the project's module_utils with each module. A plugin runs on the controller and finds them here.
ansible.module_utils.__path__.append(str(Path(__file__).resolve().parent.parent / "module_utils"))

from ansible.module_utils.controller import validation
from ansible.module_utils.controller.validation import Role


class Templated(Mapping[str, Any]):
    """Variables that are resolved when they are read, like those in `hostvars`."""

    def __init__(self, templar: Any, variables: Mapping[str, Any]) -> None:
        self._templar = templar
        self._variables = variables

    def __getitem__(self, name: str) -> Any:
        return self._templar.template(self._variables[name])

    def __contains__(self, name: object) -> bool:
        return name in self._variables

    def __iter__(self) -> Iterator[str]:
        return iter(self._variables)

    def __len__(self) -> int:
        return len(self._variables)


class ActionModule(ActionBase):
    """`validate_variables: {roles_path, hosts, removed}`; without `hosts`, the task's own variables are checked."""

    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        task_vars = task_vars or {}
        folders = sorted(Path(self._task.args["roles_path"]).iterdir())
        roles = {folder.name: validation.read_role(folder) for folder in folders if folder.is_dir()}
        removed = dict(self._task.args.get("removed") or {})
        by_host: dict[str, Mapping[str, Any]]
        if self._task.args.get("hosts") is None:
            # Inside a role, the variables that roles set themselves are visible too. They are not the site's.
            by_host = {str(task_vars["inventory_hostname"]): Templated(self._templar, task_vars)}
            own = validation.names_of_roles(folders)
        else:
            by_host = {host: task_vars["hostvars"][host] for host in self._task.args["hosts"]}
            own = frozenset()
        found: dict[str, list[str]] = {}
        for host, variables in by_host.items():
            names = [name for name in variables if isinstance(name, str) and name not in own]
            values, lines = self._values(variables, roles.values())
            lines += validation.unknown_names(names, roles.values(), removed)
            lines += validation.wrong_values(values, roles.values())
            role = roles.get(str(values.get("core_role", host)))
            lines += validation.ports_beyond_the_last(host, values, role) if role else []
            lines += validation.inside_the_source(values, roles.values())
            for line in lines:
                found.setdefault(line, []).append(host)
        if found:
            raise AnsibleActionFail(validation.numbered(found))
        return result

    @staticmethod
    def _values(host_vars: Mapping[str, Any], roles: Iterable[Role]) -> tuple[dict[str, Any], list[str]]:
        """The site's own values, and a line for each that cannot be resolved.

        One that refers to a role's default cannot be resolved here; the role itself does it later.
        """
        known = {name for role in roles for name in role.variables}
        values, lines = {}, []
        for name in sorted(known):
            if name in host_vars:
                try:
                    values[name] = host_vars[name]
                except AnsibleError as error:
                    missing = re.search(r"'(\w+)' is undefined", str(error))
                    if missing is None or missing[1] not in known:
                        lines.append(f"{name}: cannot be resolved: {error}")
        return values, lines
