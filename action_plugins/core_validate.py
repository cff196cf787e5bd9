# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the module `core_validate` in slices, show progress between them, and assemble the result document.

A module returns nothing before it ends, and all tests together take minutes.
"""

from __future__ import annotations

import getpass
import os
import socket
import tempfile
import threading
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ansible.module_utils
from ansible.release import __version__ as ansible_version

# Ansible ships the project's module_utils with each module. A plugin runs on the controller and finds them here.
ansible.module_utils.__path__.append(str(Path(__file__).resolve().parent.parent / "module_utils"))

from ansible.module_utils.controller.action import ServicesAction, display, run_pid
from ansible.module_utils.controller.services import project_version
from ansible.module_utils.deployment.model import table
from ansible.module_utils.report.core_run import CoreRun, document_of
from ansible.module_utils.services.kinds import plain
from ansible.module_utils.validation import document
from ansible.module_utils.validation.model import now

SLICE_S = 10.0
# The progress line: seconds between two updates, and its width.
REFRESH_S = 0.5
WIDTH = 79
# Arguments of this plugin that the module does not have.
OWN = ("planned", "run", "migration", "collection")


class ActionModule(ServicesAction):
    """`core_validate: {planned, run, migration, ...}`; other arguments are passed to the module."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        task_vars = task_vars or {}
        if self._task.check_mode:
            return {**result, "skipped": True, "msg": "a dry run tests nothing"}
        args = dict(plain(self._task.args))
        planned = args["planned"]
        own = {key: args.pop(key, None) for key in OWN}
        arguments = {**args, "services": services_of(planned), "slice_s": SLICE_S}
        started = now()
        slices = self._slices(arguments, task_vars)
        run = {
            "id": uuid.uuid4().hex, "playbook": "validate.yml", "started": started, "ended": now(),
            "project": args["project"], "root": args["root"], "user": getpass.getuser(),
            "host": socket.gethostname(), "kinds": args["kinds"], "disruptive": args["disruptive"],
            "durability": args["durability"], **(own["run"] or {}),
        }  # fmt: skip
        machine = {
            "name": str(task_vars["docker_host"]),
            "ansible": ansible_version,
            "collection": str(own["collection"] or ""),
            "project_version": project_version(Path(__file__).resolve().parent.parent)[:12],
        }
        planned_run = CoreRun(
            run=run, machine=machine, planned=planned, images=planned["images"], migration=own["migration"] or {}
        )
        found = document.assemble(document_of(planned_run), slices)
        display.display(table([tuple(row) for row in document.summary(found["tests"])]))
        failures = [test for test in found["tests"] if test["status"] in ("failed", "error")]
        containers = {name: record["container"] for name, record in planned["records"].items()}
        result.update(
            changed=False,
            document=found,
            containers=containers,
            failures=[document.failure_text(test) for test in failures],
        )
        return result

    def _slices(self, arguments: dict[str, Any], task_vars: dict[str, Any]) -> list[dict[str, Any]]:
        begun = time.monotonic()
        slices: list[dict[str, Any]] = []
        groups: list[dict[str, Any]] = []
        while True:
            with Progress(self._connection.transport == "local", begun) as progress:
                answer = self.call("core_validate", {**arguments, "progress": progress.file}, task_vars)
            slices.append(answer)
            self._show(answer, time.monotonic() - begun)
            groups = answer["pending"]
            if not groups:
                return slices
            if groups[0]["interrupts"]:
                display.display(f"  {groups[0]['interrupts']}")
            display.display(f"  now: {groups[0]['kind']} tests of {groups[0]['service']}")
            arguments["groups"] = [group["key"] for group in groups]

    @staticmethod
    def _show(answer: Mapping[str, Any], spent: float) -> None:
        """One line for each kind and service, and one for each failure."""
        counts: dict[tuple[str, str], list[str]] = {}
        for test in answer["tests"]:
            counts.setdefault((test["kind"], test["service"]), []).append(test["status"])
        parts = [
            f"{kind} {service} {statuses.count('passed')}/{len(statuses) - statuses.count('skipped')}"
            for (kind, service), statuses in counts.items()
        ]
        display.display(f"  {spent:5.0f} s  {', '.join(parts)}")
        for test in answer["tests"]:
            if test["status"] in ("failed", "error"):
                display.display(f"  {test['status'].upper()}  {document.failure_text(test)}")
        skipped = {test["message"]: test["id"] for test in reversed(answer["tests"]) if test["status"] == "skipped"}
        for reason, test_id in reversed(skipped.items()):
            display.display(f"  skipped  {test_id}: {reason}")


class Progress:
    """A line on the terminal with the running test and its time; none without a terminal, with CI set, or over ssh."""

    def __init__(self, is_local: bool, begun: float) -> None:
        self._begun = begun
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._show, daemon=True)
        self.file: str | None = None
        if is_local and on_terminal():
            descriptor, self.file = tempfile.mkstemp(prefix="trade2026-validate-")
            os.close(descriptor)

    def __enter__(self) -> Progress:
        if self.file:
            self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._ended.set()
        if self.file:
            self._thread.join()
            Path(self.file).unlink(missing_ok=True)

    def _show(self) -> None:
        test, since = "", time.monotonic()
        while not self._ended.wait(REFRESH_S):
            running = Path(str(self.file)).read_text(encoding="utf-8")
            if running != test:
                test, since = running, time.monotonic()
            now_s = time.monotonic()
            line = f"  {now_s - self._begun:5.0f} s  {test}, {now_s - since:.0f} s" if test else ""
            display.display(f"\r{line:<{WIDTH}}\r", newline=False)
        display.display(f"\r{'':<{WIDTH}}\r", newline=False)


def on_terminal() -> bool:
    """Whether the run writes to a terminal. A worker's own output is detached, so its parent's is checked."""
    try:
        target = str(Path(f"/proc/{run_pid()}/fd/1").readlink())
    except OSError:
        return False
    return target.startswith(("/dev/pts/", "/dev/tty")) and not os.environ.get("CI")


def services_of(planned: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The services as the module expects them."""
    probing = {entry["name"]: entry for entry in planned["probes"]}
    return [
        {"record": record, "probing": probing[name], "image": planned["images"][name]}
        for name, record in planned["records"].items()
    ]
