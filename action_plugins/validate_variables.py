"""Check what a site sets against what the roles say they take, before anything runs: all mistakes in one list.

Runs on the controller and starts no module process. The roles' own `meta/argument_specs.yml` are the only source.
"""

from __future__ import annotations

import difflib
import posixpath
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import yaml
from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.plugins.action import ActionBase

LAST_PORT = 65535
# A size as Compose takes it.
SIZE = re.compile(r"\d+(\.\d+)?[bkmg]b?", re.IGNORECASE)


@dataclass(frozen=True)
class Role:
    """What a role takes and what it keeps to itself."""

    name: str
    options: Mapping[str, Mapping[str, Any]]
    internal: frozenset[str]


def read_role(folder: Path) -> Role:
    """The options of all entry points of a role, and the names that it defines itself."""
    options: dict[str, Mapping[str, Any]] = {}
    for entry in _yaml(folder / "meta/argument_specs.yml").get("argument_specs", {}).values():
        options.update(entry.get("options", {}))
    return Role(folder.name, options, frozenset(_yaml(folder / "vars/main.yml")) | {f"{folder.name}_service"})


def _yaml(file: Path) -> dict[str, Any]:
    return dict(yaml.safe_load(file.read_text(encoding="utf-8")) or {}) if file.is_file() else {}


def unknown_names(names: Iterable[str], roles: Iterable[Role], removed: Mapping[str, str]) -> list[str]:
    """A line for each name that starts like a role's and is none of its variables, with the nearest right one."""
    lines = []
    roles = list(roles)
    known = {option for role in roles for option in role.options}
    for name in sorted(names):
        owners = [role for role in roles if name.startswith(f"{role.name}_")]
        if not owners or name in known:
            continue
        role = max(owners, key=lambda owner: len(owner.name))
        if name in removed:
            lines.append(f"{name} no longer exists: {removed[name]}")
        elif name in role.internal:
            lines.append(f"{name} is derived by the role {role.name} and cannot be set")
        else:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
            hint = f"did you mean {near[0]}?" if near else f"docs/reference/{role.name}.md lists what there is"
            lines.append(f"{name} is no variable of the role {role.name}: {hint}")
    return lines


def wrong_values(values: Mapping[str, Any], roles: Iterable[Role]) -> list[str]:
    """A line for each value of the wrong type or out of its choices."""
    lines = []
    for role in roles:
        given = {name: value for name, value in values.items() if name in role.options}
        spec = {name: _argument(role.options[name]) for name in given}
        # What is not set keeps its default, which the tests check: only what the site gives is judged.
        result = ArgumentSpecValidator(spec).validate(given)
        lines += result.error_messages
    return lines


def senseless_values(values: Mapping[str, Any], roles: Iterable[Role]) -> list[str]:
    """A line for each value that is of its type and means nothing: no port, no size, below zero, not absolute."""
    offset = _number(values.get("core_port_offset", 0)) or 0
    lines = []
    for role in roles:
        for name, option in role.options.items():
            if name in values:
                fault = _fault(name, str(option.get("type", "str")), values[name], offset)
                lines += [f"{name}={values[name]} {fault}"] if fault else []
    return lines


def _fault(name: str, kind: str, value: Any, offset: float) -> str:
    """What is wrong with one value, and what would be right; empty where nothing is."""
    number = _number(value) if kind in ("int", "float") else None
    if name.endswith("_port") and number is not None:
        # 0 closes a port that is not published; of the others the gate knows that they are.
        if not 0 <= number <= LAST_PORT:
            return f"is no port; choose 1 to {LAST_PORT}"
        if number + offset > LAST_PORT:
            return f"and core_port_offset={offset:g} are no port together; choose a lower one"
    elif number is not None and number < 0:
        return "is below zero; choose 0 or more"
    elif kind == "path" and not str(value).startswith("/"):
        return "is not absolute; begin it with a slash"
    elif name.endswith("_memory_limit") and not SIZE.fullmatch(str(value)):
        return "is no size; write a number with b, k, m or g, as 512m"
    return ""


def _number(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def written_into_the_source(values: Mapping[str, Any], roles: Iterable[Role]) -> list[str]:
    """A line for each folder of ours that lies in the Trade2025 tree, which is only read, or holds it."""
    source = str(values.get("trade2025_root", ""))
    if not source.startswith("/"):
        return []
    lines = []
    for role in roles:
        for name, option in role.options.items():
            place = values.get(name, option.get("default"))
            if option.get("type") != "path" or name == "trade2025_root" or not str(place).startswith("/"):
                continue
            if _within(str(place), source):
                lines.append(
                    f"{name}={place} lies in trade2025_root={source}, which is only read; choose a folder beside it"
                )
            elif name == "trade2026_root" and _within(source, str(place)):
                lines.append(f"trade2025_root={source} lies in {name}={place}; choose a new folder for the new tree")
    return lines


def _within(path: str, folder: str) -> bool:
    return PurePosixPath(posixpath.normpath(path)).is_relative_to(posixpath.normpath(folder))


def _argument(option: Mapping[str, Any]) -> dict[str, Any]:
    """An option of argument_specs as the validator takes it."""
    kept = {key: option[key] for key in ("type", "elements", "choices") if key in option}
    if "options" in option:
        kept["options"] = {
            name: {**_argument(sub), "required": sub.get("required", False)} for name, sub in option["options"].items()
        }
    return kept


class ActionModule(ActionBase):
    """`validate_variables: {roles_path, hosts, removed}`."""

    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        task_vars = task_vars or {}
        roles = [
            read_role(folder) for folder in sorted(Path(self._task.args["roles_path"]).iterdir()) if folder.is_dir()
        ]
        removed = dict(self._task.args.get("removed") or {})
        found: dict[str, list[str]] = {}
        for host in self._task.args["hosts"]:
            host_vars = task_vars["hostvars"][host]
            names = [name for name in host_vars if isinstance(name, str)]
            values = self._values(host_vars, roles)
            lines = unknown_names(names, roles, removed) + wrong_values(values, roles)
            lines += senseless_values(values, roles) + written_into_the_source(values, roles)
            for line in lines:
                found.setdefault(line, []).append(host)
        if found:
            count = len(found)
            listed = "\n".join(
                f"{number}. {line}" + ("" if len(hosts) > 1 else f" (host {hosts[0]})")
                for number, (line, hosts) in enumerate(found.items(), 1)
            )
            raise AnsibleActionFail(
                f"{count} variable{'s are' if count > 1 else ' is'} wrong; nothing was done.\n{listed}"
            )
        return result

    @staticmethod
    def _values(host_vars: Mapping[str, Any], roles: Iterable[Role]) -> dict[str, Any]:
        """The site's own values; one that refers to a role's default is judged by the role itself later."""
        values = {}
        for role in roles:
            for name in role.options:
                if name in host_vars:
                    try:
                        values[name] = host_vars[name]
                    except AnsibleError:
                        continue
        return values
