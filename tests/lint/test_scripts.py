# SPDX-License-Identifier: GPL-3.0-or-later
"""The shell scripts that prepare a machine, run on a copy of the project with stand-ins for Docker and apt."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SHEBANG = b"#!/usr/bin/env bash\n"
SHELL_SCRIPTS = [
    path for path in [*(ROOT / "scripts").glob("[!_]*"), ROOT / ".ci" / "run"] if path.read_bytes().startswith(SHEBANG)
]

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with the scripts and what they read, and a `bin` whose programs take precedence over the machine's."""
    for folder in ("scripts", ".ci", "roles/trade2026/defaults"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    (tmp_path / "bin").mkdir()
    return tmp_path


@pytest.fixture
def run(project: Path) -> Run:
    def run_in_project(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("DOCKER_")}
        tools = Path(sys.executable).parent
        path = os.pathsep.join([str(project / "bin"), str(tools), os.environ["PATH"]])
        return subprocess.run(
            command,
            cwd=project,
            env=clean | {"PATH": path} | environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run_in_project


def stand_in(project: Path, name: str, body: str) -> None:
    """Add a program called `name` that takes precedence over the machine's own."""
    program = project / "bin" / name
    program.write_text(f"#!/usr/bin/env bash\n{body}\n")
    program.chmod(0o755)


def no_engine(project: Path, complaint: str = "Cannot connect to the Docker daemon") -> None:
    stand_in(project, "docker", f"echo '{complaint}' >&2; exit 1")
    stand_in(project, "apt-get", "echo 'apt-get must not run' >&2; exit 99")


@pytest.mark.parametrize("path", SHELL_SCRIPTS, ids=lambda path: path.name)
def test_scripts_are_strict_and_executable(path: Path) -> None:
    assert "\nset -euo pipefail\n" in path.read_text()
    assert os.access(path, os.X_OK)


def test_run_quietly_prints_one_line_on_success(run: Run) -> None:
    result = run("scripts/run-quietly", "numbers", "bash", "-c", "echo much; echo '3 passed'")
    assert result.returncode == 0
    assert result.stdout.startswith("ok    numbers")
    assert result.stdout.endswith("3 passed\n")
    assert result.stdout.count("\n") == 1


def test_run_quietly_prints_the_whole_output_on_failure_and_keeps_the_exit_code(run: Run) -> None:
    result = run("scripts/run-quietly", "numbers", "bash", "-c", "echo first; echo second >&2; exit 3")
    assert result.returncode == 3
    assert result.stdout.startswith("FAIL  numbers")
    assert "exit code 3" in result.stdout
    assert "first\nsecond\n" in result.stdout


@pytest.mark.parametrize(
    ("have", "want", "enough"),
    [
        ("2.20.0", "2.20.0", True),
        ("2.26.1-4", "2.20.0", True),
        ("2.9.0", "2.20.0", False),
        ("1.29.2", "2.20.0", False),
        ("5.0.1", "2.20.0", True),
    ],
)
def test_versions_are_compared_by_number(run: Run, have: str, want: str, enough: bool) -> None:
    result = run("bash", "-c", 'source scripts/lib.sh; version_at_least "$@"', "compare", have, want)
    assert result.returncode == (0 if enough else 1)


def test_a_working_machine_is_left_alone(project: Path, run: Run) -> None:
    no_engine(project)
    stand_in(project, "docker", "echo 2.26.1")
    result = run("scripts/ensure-docker")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_no_engine_is_installed_beside_docker_desktop(project: Path, run: Run) -> None:
    no_engine(project)
    stand_in(project, "uname", "echo 5.15.153.1-microsoft-standard-WSL2")
    result = run("scripts/ensure-docker")
    assert result.returncode == 1
    assert "Start Docker Desktop on Windows" in result.stderr
    assert "apt-get must not run" not in result.stderr


def test_an_engine_elsewhere_is_not_replaced_by_one_here(project: Path, run: Run) -> None:
    no_engine(project)
    result = run("scripts/ensure-docker", DOCKER_HOST="tcp://127.0.0.1:1")
    assert result.returncode == 1
    assert "DOCKER_HOST is tcp://127.0.0.1:1" in result.stderr
    assert "apt-get must not run" not in result.stderr


def test_the_message_for_a_user_outside_the_docker_group_says_how_to_join(project: Path, run: Run) -> None:
    no_engine(project, "permission denied while trying to connect to the Docker daemon socket")
    result = run("scripts/ensure-docker")
    assert result.returncode == 1
    assert "usermod -aG docker" in result.stderr


def test_an_old_compose_outside_of_debian_is_reported(project: Path, run: Run) -> None:
    stand_in(project, "docker", "echo 2.3.3")
    # apt-get cannot be removed from PATH without losing the other programs of its folder.
    stand_in(project, "bash-without-apt", 'command() { [[ $2 != apt-get ]] && builtin command "$@"; }; source "$1"')
    result = run("bin/bash-without-apt", "scripts/ensure-compose")
    assert result.returncode == 1
    assert "docker compose is 2.3.3" in result.stderr


def test_stop_docker_stops_only_an_engine_that_was_started_here(project: Path, run: Run) -> None:
    (project / ".cache").mkdir()
    remembered = project / ".cache" / "dockerd.pid"
    with subprocess.Popen(["sleep", "60"]) as other:
        remembered.write_text(f"{other.pid}\n")
        result = run("scripts/stop-docker")
        alive = other.poll() is None
        other.kill()
    assert result.returncode == 0
    assert alive
    assert not remembered.exists()


@pytest.fixture
def map_count(project: Path) -> Path:
    """A file that scripts/ensure-sysctl uses instead of the kernel's setting, with a value that is too low."""
    setting = project / "max_map_count"
    setting.write_text("65530\n")
    script = project / "scripts/ensure-sysctl"
    text = script.read_text()
    assert "/proc/sys/vm/max_map_count" in text
    script.write_text(text.replace("/proc/sys/vm/max_map_count", str(setting)))
    return setting


def test_a_low_map_count_is_raised_by_root_and_reported_to_others(map_count: Path, run: Run) -> None:
    first = run("scripts/ensure-sysctl")
    if os.geteuid() != 0:
        assert "Run as root: sysctl -w vm.max_map_count=262144" in first.stdout
        return
    assert "raised vm.max_map_count from 65530 to 262144" in first.stdout
    assert map_count.read_text() == "262144"
    again = run("scripts/ensure-sysctl")
    assert (again.returncode, again.stdout) == (0, "")


def test_set_sysctl_no_leaves_a_low_map_count(map_count: Path, run: Run) -> None:
    result = run("scripts/ensure-sysctl", SET_SYSCTL="no")
    assert (result.returncode, result.stdout) == (0, "")
    assert map_count.read_text() == "65530\n"


def test_setup_without_a_known_level_prints_its_usage(run: Run) -> None:
    result = run("scripts/setup", "everything")
    assert result.returncode == 1
    assert "scripts/setup run|test" in result.stderr


def test_ci_removes_only_the_containers_that_the_tests_left(project: Path, run: Run) -> None:
    stand_in(project, "make", "touch tested; echo '1 failed'; exit 3")
    # Output of `docker ps`: a container of the project before the tests, one more after them, and a foreign one.
    listing = "echo 'a1 trade2026-core'; echo 'c3 other'; [[ -e tested ]] && echo 'b2 trade2026-test'; exit 0"
    stand_in(project, "docker", f'case $1 in ps) {listing};; rm) echo "$@" >removed; cat >/dev/null;; esac')
    result = run(".ci/run")
    assert result.returncode == 3
    assert result.stdout == "1 failed\n"
    assert (project / "removed").read_text() == "rm --force --volumes b2\n"


def test_a_type_error_is_reported_in_the_file_to_correct(project: Path, run: Run) -> None:
    shutil.copytree(ROOT / "tests" / "lint" / "stubs", project / "tests" / "lint" / "stubs")
    shutil.copy(ROOT / "pyproject.toml", project)
    for name in ("library/thing.py", "action_plugins/thing.py"):
        (project / name).parent.mkdir()
    (project / "module_utils" / "pair").mkdir(parents=True)
    (project / "module_utils" / "pair" / "__init__.py").write_text(
        "def double(number: int) -> int:\n    return number\n"
    )
    (project / "library" / "thing.py").write_text('from ansible.module_utils.pair import double\n\ndouble("one")\n')
    (project / "action_plugins" / "thing.py").write_text("from ansible.plugins.action import ActionBase\n")
    result = run("scripts/typecheck")
    assert result.returncode == 1
    assert 'library/thing.py:3: error: Argument 1 to "double" has incompatible type "str"' in result.stdout
