"""Describe services and render their templates on the controller, without including their roles.

A role that is included costs a worker process for each of its tasks and each host; eight services need one process
here. The variables have Ansible's own precedence: the roles' defaults, what the inventory and the command line say,
the roles' vars.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.module_utils.deployment.observe import salted
from ansible.template import trust_as_template

SERVICES_DIR = "infrastructure/docker/services"
# Roles whose variables a service's data and templates may use.
SHARED_ROLES = ("trade2026", "image", "core")


@dataclass(frozen=True)
class Service:
    """A service with everything that is derived from its role's data and the site's variables."""

    name: str
    role: str
    role_path: Path
    # The dictionary of the role, templated. No secret is in it.
    definition: dict[str, Any]
    image: dict[str, Any]
    variables: dict[str, Any]

    @property
    def fragment(self) -> str:
        """Path of its Compose fragment, below the root."""
        return f"{SERVICES_DIR}/{self.name}.yml"

    @property
    def container(self) -> str:
        """Name of its container."""
        return f"{self.variables['core_container_prefix']}{self.name}"


class Roles:
    """The roles' variables as files hold them, each read once."""

    def __init__(self, loader: Any, folders: Sequence[str]) -> None:
        self._loader = loader
        self._folders = [Path(folder) for folder in folders]
        self._read: dict[Path, dict[str, Any]] = {}

    def folder(self, role: str) -> Path:
        """Where a role is; raises AnsibleActionFail."""
        for folder in self._folders:
            if (folder / role).is_dir():
                return folder / role
        raise AnsibleActionFail(
            f"there is no role {role!r} in {', '.join(map(str, self._folders))}; name it in core_role of the host"
        )

    def defaults(self, role: str) -> dict[str, Any]:
        """What its defaults/main.yml says."""
        return self._file(self.folder(role) / "defaults/main.yml")

    def vars(self, role: str) -> dict[str, Any]:
        """What its vars/main.yml says."""
        return self._file(self.folder(role) / "vars/main.yml")

    def _file(self, path: Path) -> dict[str, Any]:
        if path not in self._read:
            content = self._loader.load_from_file(str(path), trusted_as_template=True) if path.is_file() else {}
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
        """The role of a service: its host's name, unless core_role says another."""
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
        definition = dict(self.value(variables, f"{role}_service"))
        return Service(
            name=name,
            role=role,
            role_path=self.roles.folder(role),
            definition=definition,
            image=dict(image),
            variables={**variables, "core_service": definition},
        )


def files_of(service: Service, core_templates: Path) -> list[dict[str, Any]]:
    """The service's files as `managed_files` takes them, still with `template`; the fragment comes last."""
    group = service.definition["user"]["gid"]
    files = [
        {
            "template": str(service.role_path / "templates" / file["template"]),
            "dest": file["dest"],
            "uid": 0,
            "gid": group,
            "mode": "0640",
        }
        for file in service.definition.get("config", [])
    ]
    fragment = {"template": str(core_templates / "compose.yml.j2"), "dest": service.fragment, "mode": "0644"}
    return [*files, {**fragment, "reveal": True}]


def directories_of(service: Service) -> list[dict[str, Any]]:
    """Directories to ensure. Data belongs to the container's user; configuration to root, readable by its group alone.

    Where a configuration folder is `writable`, the user owns the folder, though not the files.
    """
    user = service.definition["user"]
    found = []
    for volume in service.definition["volumes"]:
        if volume["kind"] == "data":
            found.append({"path": volume["source"], "uid": user["uid"], "gid": user["gid"], "mode": "0750"})
        elif volume["kind"] == "config":
            owner = user["uid"] if volume.get("writable") else 0
            found.append({"path": volume["source"], "uid": owner, "gid": user["gid"], "mode": "0750"})
    return found


def data_of(service: Service) -> list[str]:
    """The service's data directories."""
    return [volume["source"] for volume in service.definition["volumes"] if volume["kind"] == "data"]


def validate_command(service: Service, reference: str) -> dict[str, Any] | None:
    """The service's validate command as `managed_files` takes it; None for a service without one."""
    validate = service.definition.get("validate")
    if not validate:
        return None
    user = service.definition["user"]
    return {
        "image": reference,
        "command": [str(word) for word in validate["command"]],
        "entrypoint": validate.get("entrypoint"),
        "user": f"{user['uid']}:{user['gid']}",
        "environment": validate.get("environment", service.definition.get("environment", {})),
        "tmpfs": [
            folder["path"] + (f":{folder['options']}" if folder.get("options") else "")
            for folder in [*service.definition.get("tmpfs", []), *validate.get("tmpfs", [])]
        ],
        "mounts": [
            {"source": volume["source"], "target": volume["target"], "kind": volume["kind"]}
            for volume in service.definition["volumes"]
            if volume["kind"] in ("config", "secret")
        ],
        "timeout_s": int(validate.get("timeout_s", 60)),
    }


def probe_arguments(service: Service, describer: Describer) -> dict[str, Any]:
    """The service's probes as an entry of `service_probe`."""
    variables, offset = service.variables, int(describer.value(service.variables, "core_port_offset"))
    factor = float(describer.value(variables, "core_ready_timeout_factor"))
    bind = str(describer.value(variables, "core_bind_address"))
    return {
        "name": service.name,
        "service": str(service.definition["title"]),
        "container": str(describer.value(variables, "core_container_prefix")) + service.name,
        "address": "127.0.0.1" if bind == "0.0.0.0" else bind,
        "ports": {port["name"]: int(port["host"]) + offset for port in service.definition["ports"]},
        "deadline_s": float(service.definition["ready_timeout_s"]) * factor,
        "timeout_s": float(describer.value(variables, "core_probe_timeout_s")),
        "checks": service.definition["probes"],
    }


def preflight_of(service: Service, container: str, offset: int) -> dict[str, Any]:
    """What the preflight checks have to know of the service."""
    definition = service.definition
    return {
        "name": service.name,
        "container": container,
        "ports": [int(port["host"]) + offset for port in definition["ports"]],
        "memory": str(definition["limits"]["memory"]),
        "nofile": int(definition.get("ulimits", {}).get("nofile", 0)),
        "max_map_count": int(definition.get("host_requirements", {}).get("max_map_count", 0)),
        "open": bool(definition.get("unauthenticated", False)),
        "at_most": [
            {
                "name": bound["setting"],
                "value": str(bound["value"]),
                "limit_name": bound["max_setting"],
                "limit": str(bound["max"]),
            }
            for bound in definition.get("bounds", [])
        ],
    }


def secrets_of(service: Service, describer: Describer, salt: str) -> list[dict[str, Any]]:
    """The service's declared secrets; a site's own value as a salted digest, never as text."""
    found = []
    for declared in service.definition.get("secrets", []):
        entry = {"service": service.name, "gid": service.definition["user"]["gid"], **declared}
        value = secret_value(service, describer, str(entry.pop("variable", "") or ""))
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
        for declared in service.definition.get("secrets", []):
            entry = {"gid": service.definition["user"]["gid"], **declared}
            value = secret_value(service, describer, str(entry.pop("variable", "") or ""))
            if value:
                entry["value"] = json.dumps(dict(value)) if isinstance(value, Mapping) else str(value)
            found.append(entry)
    return found


def secret_value(service: Service, describer: Describer, variable: str) -> Any:
    """The site's own value of a secret, from the variable that the role names; empty for none."""
    return describer.value(service.variables, variable) if variable and variable in service.variables else ""


def plain(value: Any) -> Any:
    """The value as JSON's own types: tags and lazy containers of the templating stay on the controller."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, bool):
        return bool(value)
    for kind in (int, float, str):
        if isinstance(value, kind):
            return kind(value)
    return value


def project_version(root: Path) -> str:
    """Stands for every file that decides what a run does; another version of the project has another one."""
    import hashlib

    total = hashlib.sha256()
    for folder in ("action_plugins", "filter_plugins", "library", "module_utils", "playbooks", "roles"):
        for path in sorted((root / folder).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts and not path.name.endswith(".pyc"):
                total.update(f"{os.path.relpath(path, root)}\0".encode())
                total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()
