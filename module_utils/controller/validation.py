# SPDX-License-Identifier: GPL-3.0-or-later
"""Find what is wrong with the variables that a site sets: unknown names and invalid values, one line each.

Pure functions from the roles' variables and the site's values. The roles' `defaults/main.yml` declare each kind.
"""

from __future__ import annotations

import difflib
import posixpath
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from ansible.module_utils.controller.variables import Variable, read_variables
from ansible.module_utils.services import kinds
from ansible.module_utils.shared.yaml_text import load_yaml


@dataclass(frozen=True)
class Role:
    """The variables of a role that a site may set, and the names that the role defines itself."""

    name: str
    variables: Mapping[str, Variable]
    internal: frozenset[str]


def read_role(folder: Path) -> Role:
    """The variables of a role, and the names that it defines itself."""
    file = folder / "vars/main.yml"
    defined = load_yaml(file.read_text(encoding="utf-8")) if file.is_file() else None
    internal = frozenset(defined or {}) | {f"{folder.name}_service"}
    return Role(folder.name, read_variables(folder / "defaults/main.yml"), internal)


def names_of_roles(folders: Iterable[Path]) -> frozenset[str]:
    """Every word in the tasks and derived variables of roles: names that a role sets, registers or passes itself."""
    files = [file for folder in folders for part in ("tasks", "vars") for file in (folder / part).rglob("*.yml")]
    return frozenset(word for file in files for word in re.findall(r"\w+", file.read_text(encoding="utf-8")))


def unknown_names(names: Iterable[str], roles: Iterable[Role], removed: Mapping[str, str]) -> list[str]:
    """A line for each name that has a role's prefix and is not one of its variables, with the nearest valid name."""
    lines = []
    roles = list(roles)
    known = {name for role in roles for name in role.variables}
    for name in sorted(names):
        owners = [role for role in roles if name.startswith(f"{role.name}_")]
        if not owners or name in known:
            continue
        role = max(owners, key=lambda owner: len(owner.name))
        if name in removed:
            lines.append(f"{name}: no longer exists; {removed[name]}")
        elif name in role.internal:
            lines.append(f"{name}: the role {role.name} derives it; it cannot be set")
        else:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
            hint = f"did you mean {near[0]}?" if near else f"docs/reference/{role.name}.md lists all variables"
            lines.append(f"{name}: is not a variable of the role {role.name}; {hint}")
    return lines


def wrong_values(values: Mapping[str, Any], roles: Iterable[Role]) -> list[str]:
    """A line for each value that is not of its variable's kind."""
    variables = [variable for role in roles for variable in role.variables.values() if variable.name in values]
    return [message for variable in variables if (message := variable.fault(values[variable.name]))]


def ports_beyond_the_last(service: str, values: Mapping[str, Any], role: Role) -> list[str]:
    """A line if the offset moves a published port of the service above the highest valid port."""
    offset = values.get("core_port_offset", 0)
    if kinds.fault("port_offset", "core_port_offset", offset):
        return []
    for variable in role.variables.values():
        value = values.get(variable.name, variable.default)
        if variable.kind == "port" and not kinds.fault("port", variable.name, value):
            port = int(value) + int(offset)
            if port > kinds.LAST_PORT:
                return [f"core_port_offset: {service} would publish port {port}, which is above {kinds.LAST_PORT}"]
    return []


def inside_the_source(values: Mapping[str, Any], roles: Iterable[Role]) -> list[str]:
    """A line for each folder of the new platform that contains the Trade2025 tree or lies in it: it is only read."""
    source = str(values.get("trade2025_root", ""))
    if not source.startswith("/"):
        return []
    lines = []
    for role in roles:
        for name, variable in role.variables.items():
            folder = str(values.get(name, variable.default))
            if variable.kind != "path" or name == "trade2025_root" or not folder.startswith("/"):
                continue
            if _within(folder, source):
                lines.append(
                    f"{name}: {folder} lies in trade2025_root={source}, which is only read; choose a folder beside it"
                )
            elif name == "trade2026_root" and _within(source, folder):
                lines.append(f"{name}: {folder} holds trade2025_root={source}; choose a new folder for the new tree")
    return lines


def _within(path: str, folder: str) -> bool:
    return PurePosixPath(posixpath.normpath(path)).is_relative_to(posixpath.normpath(folder))


def numbered(found: Mapping[str, list[str]]) -> str:
    """All lines as one numbered list. A line that concerns one host alone names it."""
    lines = [
        f"{number}. {line}" + (f" (host {hosts[0]})" if len(hosts) == 1 else "")
        for number, (line, hosts) in enumerate(found.items(), 1)
    ]
    count = len(lines)
    return f"{count} variable{'s are' if count > 1 else ' is'} wrong; nothing was done.\n" + "\n".join(lines)
