# SPDX-License-Identifier: GPL-3.0-or-later
"""Render the files of services and let the module `managed_files` validate and write what the plan lists."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import ansible.module_utils

# Ansible ships the project's module_utils with each module. A plugin runs on the controller and finds them here.
ansible.module_utils.__path__.append(str(Path(__file__).resolve().parent.parent / "module_utils"))

from ansible.module_utils.controller import services as described
from ansible.module_utils.controller.action import ServicesAction
from ansible.module_utils.services.kinds import plain


class ActionModule(ServicesAction):
    """`core_files: {services: [{name, role, image, expected, owners}], root, secrets_root, run, fail}`."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        task_vars = task_vars or {}
        args = self._task.args
        describer = self.describer(task_vars)
        arguments = {
            "root": args["root"],
            "secrets_root": args["secrets_root"],
            "services": [self._service(one, describer, task_vars) for one in args["services"]],
            "run": args.get("run") or "",
            "fail": args.get("fail", True),
        }
        if not self._task.check_mode:
            self.next_modules = ["community.docker.docker_compose_v2"]
        result.update(self._execute_module("managed_files", plain(arguments), task_vars=task_vars))
        return result

    def _service(
        self, args: Mapping[str, Any], describer: described.Describer, task_vars: dict[str, Any]
    ) -> dict[str, Any]:
        """One service as the module expects it."""
        role = str(args.get("role") or "")
        service = self.describe(str(args["name"]), describer, dict(args["image"]), task_vars, role)
        user = service.record.user
        return {
            "service": service.name,
            "directories": [asdict(directory) for directory in service.record.directories],
            "files": self.render_files(service, describer),
            "watch": [secret.path for secret in service.record.secrets],
            "validate": described.validate_command(service, str(args["image"]["reference"])),
            "owners": [{"path": path, "uid": user.uid, "gid": user.gid} for path in args.get("owners") or []],
            "expected": args.get("expected"),
            "restore": described.restore_subject(service),
        }
