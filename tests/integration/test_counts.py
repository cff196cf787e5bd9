# SPDX-License-Identifier: GPL-3.0-or-later
"""The processes that a run with nothing to do starts: module processes, worker forks, Docker command lines."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from site_under_test import PROJECT_ROOT, Site

# Ansible starts the interpreter once for each module process.
INTERPRETER = """#!/bin/sh
echo module >> '{count}'
exec '{python}' "$@"
"""
DOCKER = """#!/bin/sh
echo docker >> '{count}'
exec '{docker}' "$@"
"""
# Runs only in ansible-playbook, not in the processes that it starts.
AT_FORK = """
import os, sys
if os.path.basename(sys.argv[0] if hasattr(sys, "argv") and sys.argv else "") == "ansible-playbook" or \\
        "ansible-playbook" in " ".join(getattr(sys, "orig_argv", [])[:3]):
    def note():
        with open({count!r}, "a") as file:
            file.write("fork\\n")
    os.register_at_fork(after_in_parent=note)
"""
CEILINGS = {"module": 8, "fork": 16, "docker": 16}


@pytest.mark.parametrize("arguments", [[], ["--check"]], ids=["run", "check"])
def test_a_run_with_nothing_to_do_starts_few_processes(deployed: Site, tmp_path: Path, arguments: list[str]) -> None:
    count = tmp_path / "count"
    count.touch()
    (tmp_path / "bin").mkdir()
    for name, text in (
        ("python", INTERPRETER.format(count=count, python=sys.executable)),
        ("docker", DOCKER.format(count=count, docker=shutil.which("docker"))),
    ):
        (tmp_path / "bin" / name).write_text(text, encoding="utf-8")
        (tmp_path / "bin" / name).chmod(0o755)
    (tmp_path / "site").mkdir()
    (tmp_path / "site/sitecustomize.py").write_text(AT_FORK.format(count=str(count)), encoding="utf-8")
    extra = {**deployed.extra_vars, "ansible_python_interpreter": str(tmp_path / "bin/python")}
    done = subprocess.run(
        ["ansible-playbook", "core.yml", "--extra-vars", json.dumps(extra), *arguments],
        cwd=PROJECT_ROOT,
        env={
            **os.environ,
            "PATH": f"{tmp_path}/bin:{os.environ['PATH']}",
            "PYTHONPATH": str(tmp_path / "site"),
            "ANSIBLE_NOCOLOR": "1",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert ("(nothing has changed since)" in done.stdout) is (not arguments)
    lines = count.read_text(encoding="utf-8").split()
    seen = {kind: lines.count(kind) for kind in CEILINGS}
    assert all(seen.values()), seen
    assert {kind: number for kind, number in seen.items() if number > CEILINGS[kind]} == {}, seen
