# SPDX-License-Identifier: GPL-3.0-or-later
"""Describe the services, render their templates, and let one module process inspect the machine and plan.

The plugin shows the plan itself, because a separate task for that would cost a worker process.
"""

from __future__ import annotations

import getpass
import json
import secrets as random
import uuid
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import ansible.module_utils
from ansible.errors import AnsibleActionFail

# Ansible ships the project's module_utils with each module. A plugin runs on the controller and finds them here.
ansible.module_utils.__path__.append(str(Path(__file__).resolve().parent.parent / "module_utils"))

from ansible.module_utils.controller import services as described
from ansible.module_utils.controller.action import ServicesAction, display, operations_table, run_pid
from ansible.module_utils.controller.templates import rendered
from ansible.module_utils.deployment.journal import this_run
from ansible.module_utils.deployment.model import MACHINE, image_of_plan, plan_from_dict
from ansible.module_utils.deployment.saved_plan import StalePlanError, machine_of
from ansible.module_utils.services.kinds import plain

# Placeholder in docker-compose.core.yml for every fragment that the machine has.
FRAGMENTS = "@@fragments@@"


# Results of the module that the later phases use.
ANSWERS = (
    "plan",
    "text",
    "fingerprint",
    "preflight_checks",
    "preflight_failures",
    "fragments",
    "rollbacks",
    "backups",
    "latest_report",
)


class ActionModule(ServicesAction):
    """`core_plan: {services, machine, images, preflight, documents, other, apply, plan_file, take_over}`."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        task_vars = task_vars or {}
        args = dict(self._task.args)
        names = self.names(args["services"])
        describer = self.describer(task_vars)
        machine = plain(args["machine"])
        machine["disabled"] = self.disabled(names, describer, task_vars)
        apply = bool(args.get("apply")) and not self._task.check_mode
        saved = self._saved(str(args.get("plan_file") or ""), machine, names, task_vars)

        found, images = self._describe(names, machine["disabled"], describer, args, task_vars)
        on = [service for service in found if service.name not in machine["disabled"]]
        salt = random.token_hex(16)
        declared = [entry for service in on for entry in described.secrets_of(service, describer, salt)]
        services = [self._service(service, describer) for service in on]
        # A directory of a service gets its owner with the service's other files.
        owned = {directory["path"] for service in services for directory in service["directories"]}
        machine["required_directories"] = [entry["path"] for entry in machine["directories"]]
        machine["directories"] = [
            entry for entry in machine["directories"] if str(Path(machine["root"], entry["path"])) not in owned
        ]
        arguments: dict[str, Any] = {
            "machine": {**machine, "documents": self._documents(args, found, task_vars)},
            "services": services,
            "disabled": [
                {"name": service.name, "container": service.record.container} for service in found if service not in on
            ],
            "secrets": [{key: value for key, value in entry.items() if key != "digest"} for entry in declared],
            "digests": {entry["path"]: entry["digest"] for entry in declared if entry.get("digest")},
            "salt": salt,
            "preflight": plain(args["preflight"]),
            "other": plain(args.get("other") or []),
        }
        if saved:
            arguments["expected"] = saved
        owner = this_run(uuid.uuid4().hex, getpass.getuser(), run_pid()) if apply else None
        if owner:
            arguments["begin"] = vars(owner)
        if args.get("apply"):
            self.next_modules = ["service_probe"]
        answer = self.call_with_lock("core_plan", arguments, str(args.get("take_over") or ""), task_vars)
        plan = plan_from_dict(answer["plan"])
        result.update(
            {key: answer[key] for key in ANSWERS},
            changed=False,
            planned_at=datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            run=owner.run if owner and answer["locked"] else "",
            owner=vars(owner) if owner else {},
            uptime=answer["uptime"],
            disabled=[name for name in names if name in machine["disabled"]],
            services={service.name: plain(service.definition) for service in found},
            records={service.name: service.record.to_dict() for service in found},
            images={service.name: service.image for service in found},
            image_wanted=images["wanted"],
            image_planned=images["plan"],
            probes=[plain(described.probe_arguments(service)) for service in on],
            restorable={service.name: plain(described.restore_subject(service)) for service in found},
            by_service={name: [operation.to_dict() for operation in plan.of(name)] for name in [MACHINE, *names]},
            machine=machine,
        )
        self._show(result, plan.text, bool(args.get("show", True)))
        if answer["preflight_failures"] and args.get("enforce", True):
            # The message has every failed check; Ansible would also print the passed ones, above it.
            return {"failed": True, "changed": False, "msg": str(answer["preflight_failures"])}
        return result

    def _describe(
        self,
        names: list[str],
        disabled: list[str],
        describer: described.Describer,
        args: Mapping[str, Any],
        task_vars: dict[str, Any],
    ) -> tuple[list[described.Service], dict[str, Any]]:
        """The services with the images that they will run; one module process plans all images."""
        variables, roles, wanted = {}, {}, {}
        for name in names:
            site = self.site(name, task_vars)
            roles[name] = describer.role_of(name, site)
            variables[name] = describer.variables(name, roles[name], site)
            if name not in disabled:
                wanted[name] = plain(describer.image_of(roles[name], variables[name]))
        wanted["probe"] = plain(args["probe_image"])
        self.next_modules = ["core_plan"]
        planned = self.call("image_plan", {**plain(args["images"]), "wanted": wanted}, task_vars)
        if any(row["action"] == "migrate" for row in args.get("other") or []):
            # The tag of an image that is built from migrated sources depends on files that this run will write.
            for image in planned["images"].values():
                if image["kind"] == "build":
                    image.update(present=False, follows_from_sources=True)
        services = [
            describer.service(name, roles[name], variables[name], image_of_plan(planned["images"].get(name) or {}))
            for name in names
        ]
        keys = ("source", "asked", "images", "missing", "missing_tools")
        return services, {"wanted": wanted, "plan": {key: planned[key] for key in keys}}

    def _service(self, service: described.Service, describer: described.Describer) -> dict[str, Any]:
        """A service as the module expects it."""
        record = service.record
        return dict(
            plain(
                {
                    "name": service.name,
                    "container": record.container,
                    "uid": record.user.uid,
                    "fragment": record.fragment,
                    "directories": [asdict(directory) for directory in record.directories],
                    "files": self.render_files(service, describer),
                    "watch": [secret.path for secret in record.secrets],
                    "data": described.data_of(service),
                    "mount_points": described.mount_points_of(service),
                    "image": service.image,
                    "preflight": described.preflight_of(service),
                    "restore": described.restore_subject(service),
                }
            )
        )

    def _documents(
        self, args: Mapping[str, Any], found: list[described.Service], task_vars: Mapping[str, Any]
    ) -> list[dict[str, Any]]:
        """The files of the machine, with their text."""
        variables = {
            **task_vars,
            "core_fragments": [FRAGMENTS],
            "core_described": {service.name: service.definition for service in found},
        }
        return [
            dict(plain(rendered(document, self._templar, self._loader, variables)))
            for document in args.get("documents") or []
        ]

    def _saved(
        self, file: str, machine: Mapping[str, Any], names: list[str], task_vars: Mapping[str, Any]
    ) -> dict[str, Any]:
        """This machine's part of a saved plan; raises AnsibleActionFail if the plan is not for this run."""
        if not file:
            return {}
        try:
            content = json.loads(Path(file).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise AnsibleActionFail(f"core_plan_to_apply={file} cannot be read: {error}") from error
        version = described.project_version(Path(__file__).resolve().parent.parent)
        try:
            return machine_of(content, str(task_vars["docker_host"]), described.site_of(machine), version, names)
        except StalePlanError as error:
            raise AnsibleActionFail(f"The saved plan {file} is refused; nothing was done: {error}") from error

    def _show(self, result: Mapping[str, Any], text: str, show: bool) -> None:
        if not show:
            return
        if not text:
            display.display("  Nothing to do: everything is as declared.")
            return
        display.display(operations_table(result["plan"]["operations"]))
        for line in result["plan"]["unpredictable"]:
            display.display(f"  not predicted: {line}")
        if self._task.diff:
            for operation in result["plan"]["operations"]:
                if operation["diff"]:
                    display.display(operation["diff"])
