# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a site's own command, tasks or playbook on the controller, with the plan and the result as files."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ansible.context
import ansible.module_utils
import yaml
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

# Ansible ships the project's module_utils with each module. A plugin runs on the controller and finds them here.
ansible.module_utils.__path__.append(str(Path(__file__).resolve().parent.parent / "module_utils"))

from ansible.module_utils.services.kinds import plain

# Lines of a failed hook's output that reach the operator.
OUTPUT_LINES = 20

display = Display()


class ActionModule(ActionBase):
    """`core_hook: {event, hook, plan, result, timeout_s}`; `hook` is a command (list) or the path of a YAML file."""

    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        args = plain(self._task.args)
        event, hook = str(args["event"]), args["hook"]
        if self._task.check_mode:
            result.update(changed=False, skipped=True)
            return result
        with tempfile.TemporaryDirectory(prefix="trade2026-hook-") as folder:
            files = {}
            for name in ("plan", "result"):
                files[name] = Path(folder) / f"{name}.json"
                files[name].write_text(json.dumps(args[name], indent=2) + "\n", encoding="utf-8")
            words = (
                [str(word) for word in hook] if isinstance(hook, list) else _playbook(str(hook), files, Path(folder))
            )
            environment = {
                "TRADE2026_EVENT": event,
                "TRADE2026_PLAN": str(files["plan"]),
                "TRADE2026_RESULT": str(files["result"]),
            }
            display.display(f"  Hook {event}: {hook if isinstance(hook, str) else words[0]}")
            refusal = _run(words, environment, float(args["timeout_s"]))
        if refusal:
            raise AnsibleActionFail(f"the hook {event} (core_hooks) failed: {refusal}")
        result.update(changed=True)
        return result


def _run(words: list[str], environment: Mapping[str, str], timeout_s: float) -> str:
    """Run a command with its descendants in a group of their own; returns why it failed, empty if it did not."""
    try:
        process = subprocess.Popen(
            words,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
    except OSError as error:
        return f"{words[0]} cannot be run: {error.strerror}"
    try:
        output, _errors = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, 9)
        process.communicate()
        return f"{words[0]} did not end within {timeout_s:g} s (core_hook_timeout_s), and was killed"
    display.vv(output)
    if process.returncode == 0:
        return ""
    lines = [line for line in output.splitlines() if line.strip()][-OUTPUT_LINES:]
    said = "\n".join(lines) or "nothing"
    return f"{words[0]} ended with exit code {process.returncode}. Its output:\n{said}"


def _playbook(name: str, files: Mapping[str, Path], folder: Path) -> list[str]:
    """The command that runs a playbook, or a file of tasks on the controller; raises AnsibleActionFail."""
    path = Path(name).absolute()
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise AnsibleActionFail(f"core_hooks: {path} cannot be read: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise AnsibleActionFail(f"core_hooks: {path} is not YAML: {error}") from error
    if not isinstance(content, list) or not all(isinstance(entry, dict) for entry in content):
        raise AnsibleActionFail(f"core_hooks: {path} is neither a playbook nor a list of tasks")
    if not any("hosts" in entry or "import_playbook" in entry for entry in content):
        play = {"name": f"Run {path.name}", "hosts": "localhost", "connection": "local", "gather_facts": False}
        tasks = [{"name": f"Include {path.name}", "ansible.builtin.import_tasks": str(path)}]
        path = folder / "hook.yml"
        path.write_text(json.dumps([{**play, "tasks": tasks}]), encoding="utf-8")
    variables = {f"core_hook_{key}_file": str(file) for key, file in files.items()}
    words = [str(Path(sys.executable).with_name("ansible-playbook")), str(path), "--extra-vars", json.dumps(variables)]
    for inventory in ansible.context.CLIARGS.get("inventory") or ():
        words += ["--inventory", str(inventory)]
    return words
