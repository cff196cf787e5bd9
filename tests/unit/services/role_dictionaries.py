# SPDX-License-Identifier: GPL-3.0-or-later
"""The service dictionaries of the roles, with their templates resolved like in Ansible."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from ansible.module_utils.controller.templates import render
from ansible.module_utils.services.record import Record, Site, build_record
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import filter_loader
from ansible.template import Templar

ROOT = Path(__file__).resolve().parents[3]
filter_loader.add_directory(str(ROOT / "filter_plugins"))
# A service role is one that describes a service.
SERVICES = sorted(
    file.parent.parent.name
    for file in ROOT.glob("roles/*/vars/main.yml")
    if f"\n{file.parent.parent.name}_service:" in file.read_text(encoding="utf-8")
)


def record(role: str, host: str = "", **site: Any) -> Record:
    """The record of a role's service, on a site that sets only `site`."""
    variables = {**_variables(role), "inventory_hostname": host or role, "hostvars": {}, **site}
    templar = Templar(DataLoader(), variables=variables)
    return build_record(
        host or role,
        templar.template(variables[f"{role}_service"]),
        Site.of(templar.template(variables["core_site"])),
        role,
    )


def configuration(role: str, template: str, version: str, **site: Any) -> str:
    """A configuration file of a role for a version of its image, on a site that sets `site` and nothing else."""
    image = {"core_image": {"version": version}}
    variables = {**_variables(role), "inventory_hostname": role, "hostvars": {}, **image, **site}
    loader = DataLoader()
    source = ROOT / "roles" / role / "templates/config" / template
    return render(source, Templar(loader, variables=variables), loader, variables)


@functools.cache
def _variables(role: str) -> dict[str, Any]:
    """The defaults and variables of a role and of those that it depends on."""
    loader = DataLoader()
    found: dict[str, Any] = {}
    for part in ("trade2026", "core", role):
        for file in ("defaults/main.yml", "vars/main.yml"):
            path = ROOT / "roles" / part / file
            if path.is_file():
                found.update(loader.load_from_file(str(path), trusted_as_template=True) or {})
    return found
