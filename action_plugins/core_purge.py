# SPDX-License-Identifier: GPL-3.0-or-later
"""Show what a purge removes and how much data there is, ask for consent, and let the module `core_purge` do it."""

from __future__ import annotations

import getpass
import shlex
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ansible.context
import ansible.module_utils
from ansible.errors import AnsibleActionFail

# Ansible ships the project's module_utils with each module. A plugin runs on the controller and finds them here.
ansible.module_utils.__path__.append(str(Path(__file__).resolve().parent.parent / "module_utils"))

from ansible.module_utils.controller.action import ServicesAction, display, run_pid, show_operations
from ansible.module_utils.deployment.journal import this_run
from ansible.module_utils.deployment.model import table
from ansible.module_utils.services.kinds import plain

# The option with the consent → what is removed.
CONSENTS = {
    "purge_of": "containers, networks and configuration",
    "purge_data_of": "data and secrets",
    "purge_restore_points_of": "restore points",
}


class ActionModule(ServicesAction):
    """`core_purge: {root, secrets_root, project, planned, documents, applications, forbidden, consents, take_over}`."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        task_vars = task_vars or {}
        args = plain(self._task.args)
        project = str(args["project"])
        given = {name: str(value) for name, value in args["consents"].items() if value}
        wrong = sorted(name for name, value in given.items() if value != project)
        arguments = self._arguments(args, given)
        before = self.call("core_purge", arguments, task_vars)
        show_operations(before["operations"], "  Nothing to do: there is nothing to remove.")
        self._show_data(before, with_data="purge_data_of" in given)
        if self._task.check_mode or not before["operations"]:
            result.update(before)
            return result
        if wrong or "purge_of" not in given:
            raise AnsibleActionFail(refusal(project, sorted({"purge_of", *given}), wrong))
        arguments["begin"] = vars(this_run(uuid.uuid4().hex, getpass.getuser(), run_pid()))
        answer = self.call_with_lock("core_purge", arguments, str(args.get("take_over") or ""), task_vars)
        for copy in answer["copies"]:
            display.display(f"  Edited by hand, kept as {copy}")
        for name, reason in answer["kept"].items():
            display.display(f"  Kept: {name}: {reason}")
        result.update(answer)
        return result

    def _arguments(self, args: Mapping[str, Any], given: Mapping[str, str]) -> dict[str, Any]:
        planned = args["planned"]
        machine = planned["by_service"]["machine"]
        return {
            "root": args["root"],
            "secrets_root": args["secrets_root"],
            "project": args["project"],
            "services": [_service(record, planned, Path(args["root"])) for record in planned["records"].values()],
            "networks": [network["name"] for network in planned["machine"]["networks"]],
            "machine": {
                "files": [document["dest"] for document in args["documents"]],
                "edited": [*_edited(machine), *(file["dest"] for file in args["documents"] if file.get("copy"))],
                "directories": [entry["path"] for entry in planned["machine"]["directories"]],
                "applications": args["applications"],
            },
            "forbidden": args["forbidden"],
            "data": "purge_data_of" in given,
            "restore_points": "purge_restore_points_of" in given,
        }

    def _show_data(self, before: Mapping[str, Any], with_data: bool) -> None:
        rows = [("SERVICE", "DATA", "SIZE", "REMOVED")]
        for name, sizes in before["data"].items():
            for size in sizes:
                removed = size["kept"] or ("yes" if with_data else "no, without purge_data_of")
                rows.append((name, size["path"], size["text"], removed))
        if len(rows) > 1:
            display.display(table(rows))
        if not with_data:
            display.display("  Secrets are kept with the data: without them it could not be used.")


def _service(record: Mapping[str, Any], planned: Mapping[str, Any], root: Path) -> dict[str, Any]:
    """What the module needs to know about a service, from its record and the plan; paths are relative to the root."""
    files = [_below(file["dest"], root) for file in record["files"]]
    if record["name"] in planned["disabled"]:
        # The files of a service that is switched off are not compared.
        edited = [*files, record["fragment"]]
    else:
        edited = _edited(planned["by_service"][record["name"]])
    return {
        "name": record["name"],
        "fragment": record["fragment"],
        "files": files,
        "edited": edited,
        "data": [_below(volume["source"], root) for volume in record["volumes"] if volume["kind"] == "data"],
        "directories": [_below(directory["path"], root) for directory in record["directories"]],
        "secrets": [name for secret in record["secrets"] for name in (secret["path"], secret.get("plain")) if name],
    }


def _below(path: str, root: Path) -> str:
    return str(Path(path).relative_to(root)) if Path(path).is_relative_to(root) else path


def _edited(operations: list[dict[str, Any]]) -> list[str]:
    """Files that exist and differ from the declared text."""
    return [
        str(row["what"]).removeprefix("file ")
        for row in operations
        if str(row["what"]).startswith("file ") and row["current"]
    ]


def refusal(project: str, names: list[str], wrong: list[str]) -> str:
    """Why nothing was removed, with the command line that does it."""
    options = [word for name in names for word in ("-e", f"{name}={project}")]
    mistakes = f" {', '.join(wrong)} must be {project}, the name of the project." if wrong else ""
    removed = ", ".join(what for name, what in CONSENTS.items() if name in names)
    others = (
        ""
        if "purge_data_of" in names
        else (f"\nData and secrets are removed only if you add: -e purge_data_of={shlex.quote(project)}")
    )
    return (
        f"Nothing was removed.{mistakes} This removes: {removed}. If that is what you want, run:\n"
        f"{shlex.join([*command_line(), *options])}{others}"
    )


def command_line() -> list[str]:
    """The command of this run without the consents. Values of variables may be secret, so only files are repeated."""
    given = ansible.context.CLIARGS
    words = ["ansible-playbook", *given.get("args", ())]
    for inventory in given.get("inventory") or ():
        words += ["-i", str(inventory)]
    if given.get("subset"):
        words += ["--limit", str(given["subset"])]
    for variables in given.get("extra_vars") or ():
        if str(variables).startswith("@"):
            words += ["-e", str(variables)]
    return [*words, "--become"] if given.get("become") else words
