# SPDX-License-Identifier: GPL-3.0-or-later
"""Errors in a site's variables are found before anything runs, and reported in one line each."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils.controller import validation
from ansible.module_utils.controller.variables import Variable, VariablesError, read_variables
from ansible.module_utils.services.kinds import KINDS
from test_kinds import NONSENSE

ROOT = Path(__file__).resolve().parents[3]
ROLES = [validation.read_role(folder) for folder in sorted((ROOT / "roles").iterdir()) if folder.is_dir()]
VARIABLES = {name: variable for role in ROLES for name, variable in role.variables.items()}


def nonsense(variable: Variable) -> list[Any]:
    """Invalid values for the variable."""
    return ["no ! such", "", 7, [], {}] if variable.choices else NONSENSE[variable.kind]


FOR_SITES = {name: variable for name, variable in VARIABLES.items() if variable.kind != "any"}


def test_every_variable_is_tried() -> None:
    declared = sum(
        len(re.findall(r"^[a-z]\w*:", file.read_text(encoding="utf-8"), re.MULTILINE))
        for file in ROOT.glob("roles/*/defaults/main.yml")
    )
    assert len(VARIABLES) == declared > 150
    assert len(FOR_SITES) > 150


@pytest.mark.parametrize("name", FOR_SITES)
def test_every_variable_names_itself_for_every_invalid_value(name: str) -> None:
    values = nonsense(FOR_SITES[name])
    assert len(values) >= 2
    for value in values:
        (line,) = validation.wrong_values({name: value}, ROLES)
        assert line.startswith(f"{name}: ")


@pytest.mark.parametrize("name", VARIABLES)
def test_every_default_is_of_its_kind(name: str) -> None:
    variable = VARIABLES[name]
    values = list(variable.by_switch.values()) or [variable.default]
    if not variable.required and "{{" not in str(values):
        assert [variable.fault(value) for value in values] == [""] * len(values)


def test_every_kind_is_used() -> None:
    used = {variable.kind for variable in VARIABLES.values()}
    used |= set(re.findall(r'kind="(\w+)"', (ROOT / "module_utils/services/schema.py").read_text(encoding="utf-8")))
    # Not declared: the default kinds of the schema's types.
    assert set(KINDS) - used <= {"text", "any"}


def test_a_run_names_every_variable_at_once_before_anything_else(tmp_path: Path) -> None:
    """All variables are invalid in one run of the main job: one list, and no task after it."""
    wrong = {name: nonsense(variable)[0] for name, variable in FOR_SITES.items()}
    (tmp_path / "wrong.json").write_text(json.dumps(wrong), encoding="utf-8")
    done = subprocess.run(
        [
            Path(sys.executable).with_name("ansible-playbook"),
            "--inventory=inventory/local",
            f"--extra-vars=@{tmp_path / 'wrong.json'}",
            "core.yml",
        ],
        cwd=ROOT,
        env={**os.environ, "ANSIBLE_NOCOLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 2, said
    assert "Traceback" not in said
    named = set(re.findall(r"\d+\. (\w+):", said))
    assert set(wrong) - named == set()
    assert re.findall(r"TASK \[(.*?)\]", said) == [
        "Fail if a variable is unknown or its value is invalid",
        "Write the report of a run that stops before the deployment",
    ]


def test_a_role_in_another_play_refuses_the_same_variables(tmp_path: Path) -> None:
    """Including variables of the play, which `hostvars` lacks. Names that roles set themselves are not reported."""
    wrong = {
        "valkey_port": 70000,
        "valkey_maxmemory": "2 GBB",
        "valkey_maxmemroy": "1gb",
        "core_check_timeout_s": 4,
        "nats_auth_enabled": "perhaps",
    }
    play = {"hosts": "localhost", "connection": "local", "gather_facts": False, "roles": ["valkey"], "vars": wrong}
    play["vars"] = {**wrong, "trade2026_root": str(tmp_path / "new"), "ansible_python_interpreter": sys.executable}
    (tmp_path / "play.yml").write_text(yaml.safe_dump([play]), encoding="utf-8")
    done = subprocess.run(
        [Path(sys.executable).with_name("ansible-playbook"), "--inventory=localhost,", str(tmp_path / "play.yml")],
        cwd=ROOT,
        env={**os.environ, "ANSIBLE_NOCOLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 2, said
    assert "Traceback" not in said
    assert set(re.findall(r"\d+\. (\w+):", said)) == set(wrong), said
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("valkey_maxmemroy", "valkey_maxmemroy: is not a variable of the role valkey; did you mean valkey_maxmemory?"),
        ("nats_xyzzy", "nats_xyzzy: is not a variable of the role nats; docs/reference/nats.md lists all variables"),
        ("nats_service", "nats_service: the role nats derives it; it cannot be set"),
        ("valkey_old", "valkey_old: no longer exists; set valkey_new"),
    ],
)
def test_an_unknown_name_is_reported(name: str, line: str) -> None:
    assert validation.unknown_names([name], ROLES, {"valkey_old": "set valkey_new"}) == [line]


def test_known_names_and_names_of_others_pass() -> None:
    assert validation.unknown_names(["ansible_host", "company_ntp", "valkey_port"], ROLES, {}) == []


def test_the_removed_variables_are_not_variables_any_more() -> None:
    removed = yaml.safe_load((ROOT / "playbooks/vars/removed_variables.yml").read_text())["removed_variables"]
    assert removed
    assert not set(VARIABLES) & set(removed)


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"valkey_port": -1}, "valkey_port: -1 is not a port; choose 1 to 65535"),
        ({"valkey_maxmemory": "2 GBB"}, "valkey_maxmemory: '2 GBB' is not a size; write a number with kb, mb or gb"),
        ({"nats_auth_enabled": "perhaps"}, "nats_auth_enabled: 'perhaps' is not a boolean; write true or false"),
        (
            {"valkey_appendfsync": "sometimes"},
            "valkey_appendfsync: 'sometimes' is not one of the choices; choose always, everysec or no",
        ),
        ({"trade2026_root": "srv/x"}, "trade2026_root: 'srv/x' is not an absolute path; begin it with a slash"),
    ],
)
def test_an_invalid_value_is_reported(values: dict[str, Any], line: str) -> None:
    assert validation.wrong_values(values, ROLES) == [line]


def test_valid_values_pass() -> None:
    values = {"valkey_port": 65535, "nats_memory_limit": "1.5G", "trade2026_root": "/x", "valkey_appendfsync": False}
    assert validation.wrong_values(values, ROLES) == []


@pytest.mark.parametrize(
    ("service", "values", "lines"),
    [
        (
            "nats",
            {"core_port_offset": "70000"},
            ["core_port_offset: nats would publish port 74222, which is above 65535"],
        ),
        (
            "sessions",
            {"nats_client_port": 60000, "core_port_offset": 10000},
            ["core_port_offset: sessions would publish port 70000, which is above 65535"],
        ),
        ("nats", {"nats_client_port": 1, "nats_monitor_port": 2, "core_port_offset": 65000}, []),
        # The variable itself is reported.
        ("nats", {"nats_client_port": 70000}, []),
        ("nats", {"core_port_offset": "many"}, []),
    ],
)
def test_an_offset_that_exceeds_the_highest_port_is_reported(
    service: str, values: dict[str, Any], lines: list[str]
) -> None:
    (nats,) = (role for role in ROLES if role.name == "nats")
    assert validation.ports_beyond_the_last(service, values, nats) == lines


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"trade2025_root": "/data/old", "trade2026_root": "/data/old"}, ["trade2026_root"]),
        ({"trade2025_root": "/data/old/", "trade2026_root": "/data/x/../old/new"}, ["trade2026_root"]),
        ({"trade2025_root": "/data", "trade2026_root": "/new", "image_cache": "/data/c"}, ["image_cache"]),
        ({"trade2025_root": "/srv/trade2026/old"}, ["trade2026_root"]),
        ({"trade2025_root": "/data/old", "trade2026_root": "/data/older"}, []),
        ({"trade2026_root": "/data/old"}, []),
    ],
)
def test_no_folder_of_the_new_platform_lies_in_the_source(values: dict[str, Any], named: list[str]) -> None:
    lines = validation.inside_the_source(values, ROLES)
    assert [line.partition(":")[0] for line in lines] == named


def test_a_line_names_the_one_host_that_it_concerns() -> None:
    assert validation.numbered({"a: wrong": ["nats"], "b: wrong": ["nats", "valkey"]}) == (
        "2 variables are wrong; nothing was done.\n1. a: wrong (host nats)\n2. b: wrong"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("# Why.\na: 1\n", r"main.yml:2: a has no kind; write `# kind: NAME` above it"),
        ("# Why.\n# kind: prot\na: 1\n", r"main.yml:3: 'prot', the kind of a, is not one of "),
    ],
)
def test_a_variable_without_a_kind_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "main.yml").write_text(text, encoding="utf-8")
    with pytest.raises(VariablesError, match=message):
        read_variables(tmp_path / "main.yml")


def test_a_variable_has_its_comment_and_its_default_for_each_size(tmp_path: Path) -> None:
    (tmp_path / "main.yml").write_text(
        "---\n# Of the file.\n\n# Memory, in\n# Compose units.\n# kind: compose_memory\n"
        "a: \"{{ {'small': '1g', 'standard': '2g', 'production': '4g'}[core_size] }}\"\n",
        encoding="utf-8",
    )
    variable = read_variables(tmp_path / "main.yml")["a"]
    assert variable.text == "Memory, in Compose units."
    assert variable.by_switch == {"small": "1g", "standard": "2g", "production": "4g"}
