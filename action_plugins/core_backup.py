# SPDX-License-Identifier: GPL-3.0-or-later
"""Show what is backed up, then call the module `core_backup` for one service after the other, and probe each.

A module has no output before it ends. With one call per service, the result of each is shown at once.
"""

from __future__ import annotations

import getpass
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ansible.module_utils
from ansible.errors import AnsibleActionFail

# Ansible ships the project's module_utils with each module. A plugin runs on the controller and finds them here.
ansible.module_utils.__path__.append(str(Path(__file__).resolve().parent.parent / "module_utils"))

from ansible.module_utils.controller.action import ServicesAction, display, run_pid, show_operations
from ansible.module_utils.controller.services import restore_subject
from ansible.module_utils.deployment.journal import this_run
from ansible.module_utils.services.kinds import plain


class ActionModule(ServicesAction):
    """`core_backup: {root, secrets_root, backups_dir, project, services, forbidden, keep, take_over}`."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        task_vars = task_vars or {}
        args = dict(plain(self._task.args))
        consent, secrets_root = str(args.pop("take_over", "") or ""), args.pop("secrets_root")
        describer = self.describer(task_vars)
        subjects = {
            name: plain(restore_subject(self.describe(name, describer, {}, task_vars)))
            for name in self.names(args.pop("services"))
        }
        args["services"] = list(subjects.values())
        before = self.call("core_backup", args, task_vars)
        show_operations(before["operations"], "  Nothing to do: none of the services has data.")
        for name, reason in before["left_out"].items():
            display.display(f"  {name} is skipped: {reason}.")
        if before["problems"]:
            raise AnsibleActionFail("\n".join([*before["problems"], "Nothing was backed up, and nothing was stopped."]))
        if self._task.check_mode or not before["operations"]:
            return {**result, **before, "changed": bool(before["operations"])}
        begin = vars(this_run(uuid.uuid4().hex, getpass.getuser(), run_pid()))
        begun = self.call_with_lock("core_backup", {**args, "begin": begin}, consent, task_vars)
        names = [str(row["service"]) for row in begun["operations"]]
        failed: dict[str, str] = {}
        taken: dict[str, Any] = {}
        for name in names:
            arguments = {**args, "services": [subjects[name]], "run": begin["run"]}
            failure, taken[name] = self._back_up(name, arguments, str(secrets_root), task_vars)
            if failure:
                failed[name] = failure
                break
        # The services after the one that failed were not touched.
        not_done = names[names.index(next(iter(failed))) :] if failed else []
        ended = {"root": args["root"], "end_run": begin["run"], "failed": not_done}
        unrecorded = self.call("core_journal", ended, task_vars)["unrecorded"]
        if failed:
            rest = f"\nNot backed up either: {', '.join(not_done[1:])}." if not_done[1:] else ""
            raise AnsibleActionFail("\n".join(f"{name}: {why}" for name, why in failed.items()) + rest)
        if unrecorded:
            raise AnsibleActionFail("\n".join(["The backups were taken, but:", *unrecorded]))
        return {**result, "changed": True, "operations": begun["operations"], "backups": taken}

    def _back_up(
        self, name: str, arguments: Mapping[str, Any], secrets_root: str, task_vars: dict[str, Any]
    ) -> tuple[str, dict[str, Any]]:
        """Back up one service and probe it; returns the reason for a failure, and the backup."""
        answer = self._execute_module("core_backup", dict(arguments), task_vars=task_vars)
        failure = str(answer.get("msg") or answer.get("exception") or "") if answer.get("failed") else ""
        backup = dict(answer.get("backup") or {})
        if backup:
            pruned = ", ".join(map(str, answer["pruned"]))
            stopped = f"; stopped for {answer['interrupted_s']} s" if answer["started"] else "; it was not running"
            display.display(
                f"  {name}: {backup['folder']} holds {backup['size']} "
                f"(archive {backup['archive_size']}){stopped}" + (f"; removed: backup {pruned}" if pruned else "")
            )
            for skipped in backup["skipped"]:
                display.display(f"  {name}: {skipped} holds no data (a socket, pipe or device), and was skipped")
        if answer.get("started"):
            probing = {"services": [answer["probe"]], "secrets_root": secrets_root, "patient": True}
            probed = self._execute_module("service_probe", probing, task_vars=task_vars)
            if probed.get("failed"):
                failure = f"{failure}\nAfter the backup: {probed.get('msg') or probed.get('exception')}".strip()
            else:
                display.display(f"  {name}: runs again, is healthy and passes its probes")
        return failure, backup
