# SPDX-License-Identifier: GPL-3.0-or-later
"""Describe services and render their templates on the controller, without including their roles.

Including a role costs a worker process for each of its tasks on each host; here, one process describes all services.
The variables have Ansible's own precedence: the roles' defaults, the inventory and the command line, the roles' vars.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.module_utils.deployment.observe import salted
from ansible.module_utils.services.record import Record, Secret, Site, build_record, probes_for
from ansible.module_utils.services.schema import SchemaError
from ansible.module_utils.services.schema import parse as parse_definition
from ansible.template import trust_as_template

# Roles whose variables a service's data and templates may use.
SHARED_ROLES = ("trade2026", "image", "core")


@dataclass(frozen=True)
class Service:
    """A service with everything that is derived from its role's data and the site's variables."""

    name: str
    role: str
    role_path: Path
    # The dictionary of the role, templated and with its defaults, and the record. No secret is in them.
    definition: dict[str, Any]
    record: Record
    image: dict[str, Any]
    variables: dict[str, Any]


class Roles:
    """The roles' variables as written in their files; each file is read once."""

    def __init__(self, loader: Any, folders: Sequence[str]) -> None:
        self._loader = loader
        self._folders = [Path(folder) for folder in folders]
        self._read: dict[Path, dict[str, Any]] = {}

    def folder(self, role: str) -> Path:
        """The folder of a role; raises AnsibleActionFail."""
        for folder in self._folders:
            if (folder / role).is_dir():
                return folder / role
        raise AnsibleActionFail(
            f"there is no role {role!r} in {', '.join(map(str, self._folders))}; name it in core_role of the host"
        )

    def defaults(self, role: str) -> dict[str, Any]:
        """The variables in its defaults/main.yml."""
        return self._file(self.folder(role) / "defaults/main.yml")

    def vars(self, role: str) -> dict[str, Any]:
        """The variables in its vars/main.yml."""
        return self._file(self.folder(role) / "vars/main.yml")

    def _file(self, path: Path) -> dict[str, Any]:
        if path not in self._read:
            # `unsafe` only saves a deep copy: nothing here changes the values.
            content = (
                self._loader.load_from_file(str(path), unsafe=True, trusted_as_template=True) if path.is_file() else {}
            )
            self._read[path] = dict(content or {})
        return self._read[path]


class Describer:
    """Turns hosts into services."""

    def __init__(self, templar: Any, roles: Roles) -> None:
        self._templar = templar
        self.roles = roles

    def variables(self, name: str, role: str, site: Mapping[str, Any]) -> dict[str, Any]:
        """The variables that the role's data and templates see."""
        merged: dict[str, Any] = {}
        for shared in SHARED_ROLES:
            merged.update(self.roles.defaults(shared))
        merged.update(self.roles.defaults(role))
        merged.update(site)
        for shared in SHARED_ROLES:
            merged.update(
                {key: value for key, value in self.roles.vars(shared).items() if not key.startswith("image_")}
            )
        merged.update(self.roles.vars(role))
        merged["inventory_hostname"] = name
        merged["core_role"] = role
        return merged

    def role_of(self, name: str, site: Mapping[str, Any]) -> str:
        """The role of a service: its host's name, unless core_role names another."""
        role = site.get("core_role", name)
        text = self.engine({**site, "inventory_hostname": name}).template(role)
        return str(text)

    def engine(self, variables: Mapping[str, Any]) -> Any:
        """A templar over the variables."""
        return self._templar.copy_with_new_env(available_variables=dict(variables))

    def value(self, variables: Mapping[str, Any], expression: str) -> Any:
        """A Jinja expression over the variables, as plain data."""
        return self.engine(variables).template(trust_as_template("{{ " + expression + " }}"))

    def image_of(self, role: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        """The image part of the role's dictionary, which does not depend on the image."""
        return dict(self.value(variables, f"{role}_service.image"))

    def service(self, name: str, role: str, variables: dict[str, Any], image: Mapping[str, Any]) -> Service:
        """The service, its data templated with the image that it will run."""
        variables = {**variables, "core_image": dict(image)}
        declared = self.value(variables, f"{role}_service")
        try:
            definition = parse_definition(declared, f"{role}_service")
            record = build_record(name, declared, Site.of(self.value(variables, "core_site")), role)
        except SchemaError as error:
            raise AnsibleActionFail(str(error)) from None
        return Service(
            name=name,
            role=role,
            role_path=self.roles.folder(role),
            definition=definition,
            record=record,
            image=dict(image),
            variables={**variables, "core_record": record.to_dict()},
        )


def files_of(service: Service, core_templates: Path) -> list[dict[str, Any]]:
    """The service's files as `managed_files` takes them, still with `template`; the fragment comes last."""
    files = [
        {**asdict(file), "template": str(service.role_path / "templates" / file.template)}
        for file in service.record.files
    ]
    fragment = {
        "template": str(core_templates / "compose.yml.j2"),
        "dest": service.record.fragment,
        "mode": "0644",
        "reveal": True,
    }
    return [*files, fragment]


def data_of(service: Service) -> list[str]:
    """The service's data directories, below the root."""
    return [volume.source for volume in service.record.volumes if volume.kind == "data"]


def mount_points_of(service: Service) -> list[str]:
    """Where other volumes of the service are mounted inside its data directories, below the root."""
    volumes = service.record.volumes
    return [
        f"{data.source}{other.target.removeprefix(data.target)}"
        for data in volumes
        for other in volumes
        if data.kind == "data" and other.target.startswith(f"{data.target}/")
    ]


def validate_command(service: Service, reference: str) -> dict[str, Any] | None:
    """The service's validate command as `managed_files` takes it; None for a service without one."""
    validate = service.record.validate
    return {"image": reference, **asdict(validate)} if validate else None


def restore_subject(service: Service) -> dict[str, Any]:
    """What a restore point of the service holds, as `Subject` takes it."""
    record = service.record
    secrets = [path for secret in record.secrets for path in (secret.path, secret.plain) if path]
    root = record.fragment_path.removesuffix(record.fragment)
    return {
        "service": service.name,
        "role": service.role,
        "project": record.project,
        "container": record.container,
        "fragment": record.fragment,
        "files": [*(file.dest.removeprefix(root) for file in record.files), record.fragment],
        "secrets": list(dict.fromkeys(secrets)),
        "data": data_of(service),
        "version": str(service.image.get("version", "")),
        "ready_timeout_s": record.ready_timeout_s,
    }


def probe_arguments(service: Service) -> dict[str, Any]:
    """The service's probes as an entry of `service_probe`."""
    record = service.record
    return {
        "name": service.name,
        "title": record.title,
        "container": record.container,
        "address": record.address,
        "ports": {port.name: port.host for port in record.ports},
        "ready_timeout_s": record.ready_timeout_s,
        "timeout_s": float(record.probe_timeout_s),
        "probes": probes_for(record.probes, str(service.image.get("version", ""))),
        "restore": restore_subject(service),
    }


def preflight_of(service: Service) -> dict[str, Any]:
    """What the preflight checks need to know about the service."""
    record = service.record
    return {
        "name": service.name,
        "container": record.container,
        "ports": [port.host for port in record.ports],
        "memory": record.limits.memory_bytes,
        "cpus": record.limits.cpus,
        "nofile": int(record.ulimits.get("nofile", 0)),
        "max_map_count": int(record.host_requirements.get("max_map_count", 0)),
        "unauthenticated": record.unauthenticated,
        "bounds": [asdict(bound) for bound in record.bounds],
    }


def secrets_of(service: Service, describer: Describer, salt: str) -> list[dict[str, Any]]:
    """The service's declared secrets; a site's own value as a salted digest, never as text."""
    found = []
    for secret in service.record.secrets:
        entry = {"service": service.name, **_declared(secret)}
        value = secret_value(service, describer, secret.variable)
        if isinstance(value, Mapping) and value:
            entry["digest"] = {str(name): salted(str(item), salt) for name, item in value.items()}
        elif value:
            entry["digest"] = salted(str(value), salt)
        found.append(entry)
    return found


def secret_arguments(services: Iterable[Service], describer: Describer) -> list[dict[str, Any]]:
    """The declared secrets as `trade_secrets` takes them, with the site's own values."""
    found = []
    for service in services:
        for secret in service.record.secrets:
            entry = _declared(secret)
            value = secret_value(service, describer, secret.variable)
            if value:
                entry["value"] = json.dumps(dict(value)) if isinstance(value, Mapping) else str(value)
            found.append(entry)
    return found


def _declared(secret: Secret) -> dict[str, Any]:
    entry: dict[str, Any] = {"path": secret.path, "kind": secret.kind, "gid": secret.gid}
    return entry | ({"plain": secret.plain, "clients": list(secret.clients)} if secret.kind == "clients" else {})


def secret_value(service: Service, describer: Describer, variable: str) -> Any:
    """The site's own value of a secret, from the variable that the role names; empty for none."""
    return describer.value(service.variables, variable) if variable and variable in service.variables else ""


def site_of(machine: Mapping[str, Any]) -> dict[str, str]:
    """What distinguishes one site from another, for a saved plan."""
    return {"root": str(machine["root"]), "project": str(machine["project"])}


def project_version(root: Path) -> str:
    """A hash of every file that decides what a run does, to tell versions of the project apart."""
    import hashlib

    total = hashlib.sha256()
    for folder in ("action_plugins", "filter_plugins", "library", "module_utils", "playbooks", "roles"):
        for path in sorted((root / folder).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts and not path.name.endswith(".pyc"):
                total.update(f"{os.path.relpath(path, root)}\0".encode())
                total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()
