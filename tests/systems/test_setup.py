# SPDX-License-Identifier: GPL-3.0-or-later
"""`make core` on a fresh system, by a user who is not root: from an empty machine to running services.

The tests of one machine build on each other, in the order of this file.
"""

from __future__ import annotations

import json
import re
import subprocess

from conftest import SYSTEMS
from machine import USER, Machine

SERVICES = {"nats", "valkey", "opa"}
# Three services, because the images of all of them would take most of the time.
CORE = f'make core ARGS="--limit {",".join(sorted(SERVICES))} --extra-vars image_source=packages"'


def test_the_python_environment_is_set_up_with_the_systems_own_python(machine: Machine) -> None:
    done = machine.user("make venv")
    assert done.returncode == 0, done.stdout
    version = machine.user(".venv/bin/python --version").stdout
    assert version.startswith(f"Python {SYSTEMS[machine.release]}.")
    ansible = machine.user(".venv/bin/ansible --version").stdout
    print(re.findall(r"core \S+", ansible), version)


def test_the_engine_is_installed_and_the_message_says_how_to_use_it(machine: Machine) -> None:
    done = machine.user("make docker")
    assert done.returncode != 0
    assert f"sudo usermod -aG docker {USER}" in done.stdout, done.stdout
    machine.root("usermod", "--append", "--groups", "docker", USER)
    done = machine.user("make docker")
    assert done.returncode == 0, done.stdout
    print(machine.user("docker version --format '{{.Server.Version}}'; docker compose version --short").stdout)


def test_the_main_job_deploys_and_a_second_run_changes_nothing(machine: Machine, images: list[str]) -> None:
    saved = subprocess.run(["docker", "save", *images], check=True, capture_output=True).stdout
    machine.root("docker", "load", stdin=saved)
    first = machine.user(CORE)
    assert first.returncode == 0, first.stdout
    rows = machine.user("docker ps --filter health=healthy --format '{{json .Names}}'").stdout.splitlines()
    assert {json.loads(row) for row in rows} == SERVICES
    again = machine.user(CORE)
    assert again.returncode == 0, again.stdout
    assert set(re.findall(r"changed=(\d+)", again.stdout)) == {"0"}
