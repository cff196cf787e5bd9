# SPDX-License-Identifier: GPL-3.0-or-later
"""scripts/molecule with a stand-in for Molecule itself: order, locks, output, and the clean-up after a signal."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from script_loader import ROOT, load

MOLECULE = load("molecule")
DEADLINE_S = 20

# Replaces Molecule. A scenario named `broken…` fails; one named `slow…` starts a process in a new session, as Ansible
# does, and waits for it.
STAND_IN = """\
#!/usr/bin/env bash
set -eu
echo "$1 ${@: -1}" >>"$LOG"
if [[ $1 == test ]]; then
    [[ ! -e $MOLECULE_EPHEMERAL_DIRECTORY ]] || { echo "state of an earlier run"; exit 4; }
    mkdir -p "$MOLECULE_EPHEMERAL_DIRECTORY"
    case ${@: -1} in
        broken*) echo "task failed"; exit 3 ;;
        slow*) setsid sleep 600 & echo "$!" >"$LOG.pid"; wait ;;
    esac
fi
echo "end ${@: -1}" >>"$LOG"
"""


class Project:
    """A copy of the script in a project with the given scenarios, whose names no other test run has."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.suffix = uuid.uuid4().hex[:12]
        self.log = root / "log"
        self.log.touch()
        (root / "scripts").mkdir(parents=True)
        for name in ("molecule", "run-quietly"):
            shutil.copy(ROOT / "scripts" / name, root / "scripts" / name)
        (root / "bin").mkdir()
        self.program("molecule", STAND_IN)
        self.program("docker", "#!/bin/sh\n")
        lookup = root / "roles/image/lookup_plugins/image_recipes.py"
        lookup.parent.mkdir(parents=True)
        lookup.write_text(
            "class LookupModule:\n    def run(self, terms):\n        return [{'base': {'tag': 'base:1'}}]\n",
            encoding="utf-8",
        )

    def program(self, name: str, text: str) -> None:
        (self.root / "bin" / name).write_text(text, encoding="utf-8")
        (self.root / "bin" / name).chmod(0o755)

    def scenario(self, name: str) -> str:
        """Add a scenario; returns its full name."""
        full = f"{name}-{self.suffix}"
        (self.root / "molecule" / full).mkdir(parents=True)
        (self.root / "molecule" / full / "molecule.yml").touch()
        return full

    def lock_file(self, scenario: str) -> Path:
        return MOLECULE.LOCKS / f"trade2026-molecule-{scenario}"

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        path = os.pathsep.join([str(self.root / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]])
        return subprocess.Popen(
            [self.root / "scripts/molecule", *arguments],
            env={**os.environ, "PATH": path, "LOG": str(self.log), **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *arguments: str, **environment: str) -> tuple[int, str]:
        process = self.start(*arguments, **environment)
        output, _ = process.communicate(timeout=DEADLINE_S)
        return process.returncode, output

    def logged(self) -> list[str]:
        return self.log.read_text(encoding="utf-8").splitlines()


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    project = Project(tmp_path)
    yield project
    for file in MOLECULE.LOCKS.glob(f"trade2026-molecule-*-{project.suffix}"):
        file.unlink()


def wait_until(condition: Callable[[], bool]) -> None:
    limit = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.01)


def runs(pid: int) -> bool:
    """Whether a process runs; an orphan that init has not reaped yet does not."""
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def test_the_longest_scenario_starts_first() -> None:
    names = MOLECULE.scenario_names()
    assert names[0] == "default"
    assert set(names) == {file.parent.name for file in (ROOT / "molecule").glob("*/molecule.yml")}


def test_several_scenarios_print_a_line_each_and_the_output_of_those_that_fail(project: Project) -> None:
    good, broken = project.scenario("good"), project.scenario("broken")
    code, output = project.run()
    assert code == 1
    assert [line for line in output.splitlines() if line.startswith(f"ok    {good}")]
    assert [line for line in output.splitlines() if line.startswith(f"FAIL  {broken}")]
    assert "task failed\n" in output
    assert output.endswith(f"error: failed: {broken}\n")


def test_a_single_scenario_prints_its_output_as_it_is(project: Project) -> None:
    broken = project.scenario("broken")
    code, output = project.run(broken)
    assert (code, output) == (1, f"task failed\nerror: failed: {broken}\n")


def test_an_unknown_scenario_is_refused_with_the_names_that_exist(project: Project) -> None:
    good = project.scenario("good")
    code, output = project.run(good, "nothing")
    assert (code, output) == (1, f"error: no scenario nothing; choose from: {good}\n")
    assert project.logged() == []


def test_jobs_limits_how_many_run_at_a_time(project: Project) -> None:
    names = [project.scenario(name) for name in ("a", "b", "c")]
    assert project.run(JOBS="1")[0] == 0
    assert project.logged() == [line for name in names for line in (f"test {name}", f"end {name}")]


def test_one_scenario_runs_alone_while_images_are_missing(project: Project) -> None:
    names = [project.scenario(name) for name in ("a", "b", "c")]
    project.program("docker", "#!/bin/sh\nexit 1\n")
    assert project.run(JOBS="3")[0] == 0
    assert project.logged() == [line for name in names for line in (f"test {name}", f"end {name}")]


def test_the_state_of_a_killed_run_is_removed(project: Project) -> None:
    good = project.scenario("good")
    (project.root / ".cache/molecule" / good).mkdir(parents=True)
    code, output = project.run(good)
    assert (code, output) == (0, "")


def test_a_scenario_of_another_clone_is_waited_for(project: Project) -> None:
    good = project.scenario("good")
    with project.lock_file(good).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        process = project.start(good)
        assert process.stdout
        assert process.stdout.readline() == f"==> {good} is running in another clone; waiting for it to finish\n"
        assert project.logged() == []
    assert process.wait(DEADLINE_S) == 0
    process.stdout.close()
    assert project.logged() == [f"test {good}", f"end {good}"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_all_processes_and_removes_what_they_created(project: Project, number: signal.Signals) -> None:
    slow = project.scenario("slow")
    process = project.start(slow)
    descendant = project.log.with_name("log.pid")
    wait_until(lambda: descendant.exists() and descendant.read_text(encoding="utf-8").endswith("\n"))
    process.send_signal(number)
    output, _ = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 128 + number
    assert f"{slow}: stopped; removing what it created" in output
    assert not runs(int(descendant.read_text(encoding="utf-8")))
    assert project.logged() == [f"test {slow}", f"destroy {slow}", f"end {slow}"]


def test_a_stopped_run_leaves_the_scenario_of_another_clone_alone(project: Project) -> None:
    good = project.scenario("good")
    with project.lock_file(good).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        process = project.start(good)
        assert process.stdout
        process.stdout.readline()
        process.terminate()
        output, _ = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 128 + signal.SIGTERM
    assert output == ""
    assert project.logged() == []


def test_the_lock_is_held_while_processes_of_a_killed_run_continue(project: Project) -> None:
    slow = project.scenario("slow")
    process = project.start(slow)
    descendant = project.log.with_name("log.pid")
    wait_until(lambda: descendant.exists() and descendant.read_text(encoding="utf-8").endswith("\n"))
    family = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.wait(DEADLINE_S)
    with project.lock_file(slow).open("w") as lock:
        with pytest.raises(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        for member in family:
            member.kill()
        psutil.wait_procs(family, DEADLINE_S)
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert process.stdout
    process.stdout.close()
