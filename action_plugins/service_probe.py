# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the module `service_probe` in slices and show between them what is not healthy yet.

A module returns nothing before it ends, and a service may take minutes to start. A run with nothing to do needs one
slice.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import ansible.module_utils

# Ansible ships the project's module_utils with each module. A plugin runs on the controller and finds them here.
ansible.module_utils.__path__.append(str(Path(__file__).resolve().parent.parent / "module_utils"))

from ansible.module_utils.controller.action import AheadAction, display
from ansible.module_utils.services.kinds import boolean, plain

# A cold start of the eight services takes 10 to 14 s, which one slice covers: each further one is a module process.
SLICE_S = 15.0


class ActionModule(AheadAction):
    """Calls the module until every service has a result; each call probes those that have none."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        args = dict(plain(self._task.args))
        args["slice_s"] = float(args.get("slice_s") or SLICE_S)
        fail = boolean(args.get("fail", True))
        waiting = {str(service["name"]): dict(service) for service in args["services"]}
        begun = time.monotonic()
        answers: dict[str, dict[str, Any]] = {}
        errors: list[str] = []
        if args.get("run") and args.get("finish") in ("always", "if_passed"):
            # The run has changed something and ends here, so its report is next.
            self.next_modules = ["core_report"]
        while True:
            spent = time.monotonic() - begun
            args["services"] = [{**service, "spent_s": spent} for service in waiting.values()]
            # Services that failed in an earlier slice are not probed again, but the journal needs their names.
            failed = [name for name, answer in answers.items() if answer.get("failed")]
            answer: dict[str, Any] = self._execute_module(
                "service_probe",
                {**args, "fail": False, "failed_services": [*(args.get("failed_services") or []), *failed]},
                task_vars=task_vars,
            )
            found: dict[str, dict[str, Any]] = dict(answer.get("services") or {})
            answers.update(found)
            if answer.get("failed"):
                errors.append(str(answer.get("msg")))
            waiting = {name: service for name, service in waiting.items() if found.get(name, {}).get("pending")}
            if not waiting:
                break
            lines = [f"{name} {found[name]['pending']}" for name in waiting]
            display.display(f"  waiting {time.monotonic() - begun:.0f} s so far: {', '.join(lines)}")
        result.update(answer)
        if answers:
            result["services"] = answers
        if fail:
            errors = [str(one.get("msg", name)) for name, one in answers.items() if one.get("failed")] + errors
        if errors:
            result.update(failed=True, msg="\n".join(errors))
        return result
