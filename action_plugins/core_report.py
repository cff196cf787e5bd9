# SPDX-License-Identifier: GPL-3.0-or-later
"""Write the report of a run: the document is completed on the machine, rendered here, and stored on the machine.

A run that stopped before anything was deployed may have no folder on the machine. Its report stays on the controller.
"""

from __future__ import annotations

import getpass
import json
import os
import re
import socket
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import ansible.module_utils
from ansible.errors import AnsibleActionFail
from ansible.release import __version__ as ansible_version

# Ansible ships the project's module_utils with each module. A plugin runs on the controller and finds them here.
ansible.module_utils.__path__.append(str(Path(__file__).resolve().parent.parent / "module_utils"))

from ansible.module_utils.controller.action import ServicesAction, display, run_pid
from ansible.module_utils.controller.services import project_version
from ansible.module_utils.preflight.result import failed_checks
from ansible.module_utils.report import drawing, junit, page
from ansible.module_utils.report.core_run import CoreRun, command_line, document_of
from ansible.module_utils.report.document import DocumentError, complete
from ansible.module_utils.report.drawing import DrawingError
from ansible.module_utils.report.store import DATA, JUNIT, PAGE, Store, StoreError
from ansible.module_utils.services.kinds import plain
from ansible.module_utils.shared.masking import mask_text, mask_tree

PROJECT = Path(__file__).resolve().parent.parent
TEMPLATES = PROJECT / "roles/core/templates/report"


class ActionModule(ServicesAction):
    """`core_report: {document or core_run or stopped, root, secrets_root, folder, keep, ...}`."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        task_vars = task_vars or {}
        args = dict(plain(self._task.args))
        if self._task.check_mode:
            return {**result, "skipped": True, "msg": "a dry run writes no report"}
        given = [name for name in ("document", "core_run", "stopped") if args.get(name)]
        if len(given) != 1:
            raise AnsibleActionFail("core_report: give exactly one of document, core_run and stopped")
        if given == ["core_run"] and _is_unchanged(args["core_run"]):
            return {**result, "changed": False, "path": self._unchanged(args["core_run"])}
        # Both take half a second of a processor, while this process waits for the machine.
        if given != ["stopped"]:
            # The report of a run that stops before the deployment has no picture.
            drawing.start()
        threading.Thread(target=page.template, args=(TEMPLATES,)).start()
        document, containers = self._document(given[0], args, task_vars)
        where = {key: args[key] for key in ("root", "secrets_root", "folder", "forbid_inside") if args.get(key)}
        completed = self._complete(
            {**where, "document": document, "containers": containers}, given == ["stopped"], task_vars
        )
        try:
            document = complete(completed["document"])
            files = {
                PAGE: page.render(document, TEMPLATES),
                DATA: json.dumps(document, indent=1, ensure_ascii=False) + "\n",
                JUNIT: junit.render(document),
            }
        except (DocumentError, DrawingError) as error:
            raise AnsibleActionFail(str(error)) from None
        stored = self._store(files, document, completed["deployed"], int(args.get("keep", 20)), where, task_vars)
        result.update(changed=True, verdict=document["verdict"], **stored)
        display.display(f"  Report: {stored['path']}")
        if given == ["stopped"]:
            text = args["stopped"].get("failure") or args["stopped"]["message"]
            return {"failed": True, "changed": True, "msg": f"{text}\nReport: {stored['path']}"}
        return result

    def _unchanged(self, facts: Mapping[str, Any]) -> str:
        """The path of the last report, which still describes what runs."""
        latest = str(facts["planned"].get("latest_report") or "")
        if latest:
            display.display(f"  Report: {latest} (nothing has changed since)")
        return latest

    def _document(
        self, kind: str, args: Mapping[str, Any], task_vars: dict[str, Any]
    ) -> tuple[dict[str, Any], dict[str, str]]:
        """The document as far as the controller knows it, and service → container."""
        if kind == "document":
            return dict(args["document"]), dict(args.get("containers") or {})
        facts = dict(args[kind])
        planned = facts.get("planned") or {}
        run = CoreRun(
            run=self._run(args, planned, facts),
            machine={
                "name": str(task_vars.get("docker_host") or task_vars["inventory_hostname"]),
                "ansible": ansible_version,
                "project_version": project_version(PROJECT)[:12],
                **({"collection": str(args["collection"])} if args.get("collection") else {}),
            },
            services=facts.get("services") or [],
            planned=planned,
            probed=facts.get("probed") or {},
            images=facts.get("images") or {},
            failures=facts.get("failures") or {},
            undone=facts.get("undone") or [],
            checks=planned.get("preflight_checks") or failed_checks(str(facts.get("message", ""))),
            migration=self._migration(facts, task_vars),
        )
        return document_of(run), {entry["name"]: entry["container"] for entry in planned.get("probes", [])}

    def _run(self, args: Mapping[str, Any], planned: Mapping[str, Any], facts: Mapping[str, Any]) -> dict[str, Any]:
        ended = datetime.now(UTC)
        started = process_start(run_pid()) or ended
        command = Path(f"/proc/{run_pid()}/cmdline")
        words = command.read_text(encoding="utf-8", errors="replace").split("\0")[:-1] if command.exists() else []
        run = {
            "id": planned.get("run") or f"{started:%Y%m%dT%H%M%SZ}-{run_pid()}",
            "playbook": "core.yml",
            "started": _text(started),
            "ended": _text(ended),
            "site": str(args.get("site") or ""),
            "project": str(args.get("project") or "unknown"),
            "root": str(args.get("root") or "unknown"),
            "command": command_line(words),
            "user": getpass.getuser(),
            "host": socket.gethostname(),
        }
        if "message" in facts:
            run["failed_before_deploy"] = {"phase": str(facts["phase"]), "message": str(facts["message"])}
        return run

    def _migration(self, facts: Mapping[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """What the choices are derived from; the names of the old services are a variable of the role trade2025."""
        migration = dict(facts.get("migration") or {})
        if migration and "names" not in migration:
            describer = self.describer(task_vars)
            variables = {**describer.roles.defaults("trade2025"), **task_vars}
            migration["names"] = plain(describer.value(variables, "trade2025_service_names"))
        return migration

    def _complete(self, arguments: dict[str, Any], stopped: bool, task_vars: dict[str, Any]) -> dict[str, Any]:
        """The document completed on the machine and masked; after a stopped run, unchanged if the machine fails."""
        try:
            if "root" in arguments:
                return self.call("core_report", arguments, task_vars)
        except AnsibleActionFail:
            if not stopped:
                raise
        return {"document": mask_tree(arguments["document"], mask_text), "deployed": False}

    def _store(
        self,
        files: Mapping[str, str],
        document: Mapping[str, Any],
        deployed: bool,
        keep: int,
        where: Mapping[str, Any],
        task_vars: dict[str, Any],
    ) -> dict[str, Any]:
        started = document["run"]["started"]
        if deployed:
            answer = self.call("core_report", {**where, "files": files, "started": started, "keep": keep}, task_vars)
            return {key: answer[key] for key in ("path", "latest", "removed")}
        try:
            # The name has not been validated; it must not lead out of the folder.
            name = re.sub(r"[^A-Za-z0-9_-]", "-", document["run"]["project"])
            stored = Store(state_folder() / name).write(files, started, keep)
        except StoreError as error:
            raise AnsibleActionFail(str(error)) from None
        return {"path": stored.page, "latest": stored.latest, "removed": list(stored.removed)}


def _is_unchanged(facts: Mapping[str, Any]) -> bool:
    """Whether the run had nothing to do and found nothing wrong."""
    planned = facts["planned"]
    probed = (facts.get("probed") or {}).values()
    failed = facts.get("failures") or any(answer.get("failed") for answer in probed)
    return not planned["plan"]["operations"] and not failed


def process_start(pid: int, proc: Path = Path("/proc")) -> datetime | None:
    """When a process started; None if the system does not report it."""
    try:
        fields = (proc / str(pid) / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        lines = (proc / "stat").read_text(encoding="ascii").splitlines()
        boot = next(int(line.split()[1]) for line in lines if line.startswith("btime "))
        return datetime.fromtimestamp(boot + int(fields[19]) / os.sysconf("SC_CLK_TCK"), UTC)
    except (OSError, ValueError, IndexError, StopIteration):
        return None


def state_folder() -> Path:
    """The folder on the controller for reports of runs without a deployment."""
    home = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state")
    return home / "trade2026/reports"


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
