# SPDX-License-Identifier: GPL-3.0-or-later
"""The variables of a role: specification, defaults and use agree."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils.controller.variables import SWITCHES, read_variables
from local_inventory import SERVICES

ROOT = Path(__file__).resolve().parents[3]
ROLES = sorted(folder for folder in (ROOT / "roles").iterdir() if folder.is_dir())


def load(file: Path) -> dict[str, Any]:
    return dict(yaml.safe_load(file.read_text(encoding="utf-8")) or {}) if file.is_file() else {}


def options(role: Path) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for entry in load(role / "meta/argument_specs.yml").get("argument_specs", {}).values():
        found.update(entry.get("options", {}))
    return found


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_specs_and_defaults_name_the_same_variables_with_the_same_values(role: Path) -> None:
    variables = read_variables(role / "defaults/main.yml")
    defaults = {
        name: variable.by_switch.get(SWITCHES.get(variable.switch, ""), load(role / "defaults/main.yml")[name])
        for name, variable in variables.items()
    }
    specs = options(role)
    optional = {name for name, spec in specs.items() if not spec.get("required")}
    # A required variable has no default, only a hint that says what to set.
    hints = {name for name, value in defaults.items() if "undef(hint=" in str(value)}
    assert hints <= set(specs) - optional
    assert optional == set(defaults) - hints
    for name, spec in specs.items():
        # A long structure is written only once, in the defaults.
        if "default" in spec:
            assert spec["default"] == defaults[name], name


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_a_boolean_is_converted_where_it_is_used(role: Path) -> None:
    """`-e valkey_auth_enabled=false` passes a string, which Jinja treats as true."""
    switches = {name for each in ROLES for name, spec in options(each).items() if spec.get("type") == "bool"}
    assert switches
    bare = re.compile(rf"\b({'|'.join(sorted(switches))})\b(?! \| bool\b)")
    for pattern in ("defaults/*.yml", "vars/*.yml", "tasks/*.yml", "templates/**/*.j2"):
        for file in role.glob(pattern):
            expressions = re.findall(r"\{\{.*?\}\}|\{%.*?%\}|when: .*", file.read_text(encoding="utf-8"), re.DOTALL)
            found = [match[1] for text in expressions for match in bare.finditer(text.split("\n\n")[0])]
            assert found == [], file


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_every_variable_starts_with_the_roles_name_and_has_a_reason(role: Path) -> None:
    file = role / "defaults/main.yml"
    if not file.exists():
        assert not options(role)
        return
    comment, found = False, set()
    for line in file.read_text(encoding="utf-8").splitlines():
        if match := re.match(r"([A-Za-z]\w*):", line):
            assert match[1].startswith(f"{role.name}_"), match[1]
            assert comment, f"{match[1]} has no reason above it"
            found.add(match[1])
        elif line.startswith("#"):
            comment = True
        elif not line.strip():
            comment = False
    assert found == set(yaml.safe_load(file.read_text(encoding="utf-8")) or {})


def test_every_variable_is_used() -> None:
    used: set[str] = set()
    for pattern in ("roles/*/vars/*.yml", "roles/*/tasks/**/*.yml", "playbooks/**/*.yml", "roles/*/defaults/*.yml"):
        for file in sorted(ROOT.glob(pattern)):
            used |= words_in_values(yaml.safe_load(file.read_text(encoding="utf-8")))
    for file in sorted(ROOT.glob("roles/*/templates/**/*.j2")):
        used |= words_in_expressions(file.read_text(encoding="utf-8"))
    declared = {name for role in ROLES for name in options(role)}
    assert len(declared) > 100
    assert declared - used == set()


def words_in_values(document: Any) -> set[str]:
    """The words in the values of a YAML document, without comments and keys, which do not use a variable."""
    if isinstance(document, dict):
        return set().union(*map(words_in_values, document.values()))
    if isinstance(document, list):
        return set().union(*map(words_in_values, document))
    return set(re.findall(r"\w+", document)) if isinstance(document, str) else set()


def words_in_expressions(template: str) -> set[str]:
    """The words of all expressions and statements of a template: no comments and no plain text."""
    without_comments = re.sub(r"\{#.*?#\}", "", template, flags=re.DOTALL)
    return set(re.findall(r"\w+", " ".join(re.findall(r"\{\{.*?\}\}|\{%.*?%\}", without_comments, re.DOTALL))))


def test_comments_and_keys_do_not_count_as_use() -> None:
    assert words_in_values(yaml.safe_load("a: 1  # b\nc: '{{ d }}'\ne: [f]\n")) == {"d", "f"}
    assert words_in_expressions("# a {# {{ b }} #} {{ c }} {% if d %}") == {"c", "if", "d"}


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_role_has_all_required_keys(name: str) -> None:
    service = load(ROOT / f"roles/{name}/vars/main.yml")[f"{name}_service"]
    needed = {
        "title",
        "image",
        "user",
        "networks",
        "ports",
        "volumes",
        "healthcheck",
        "limits",
        "stop",
        "ready_timeout_s",
        "probes",
        "migration_notes",
    }
    assert needed <= set(service)
    assert (ROOT / f"roles/{name}/tasks/main.yml").is_file()
    assert service["user"]["uid"] != 0
    assert set(service["limits"]) == {"memory", "cpus", "pids"}
    for entry in service.get("config", []):
        assert (ROOT / f"roles/{name}/templates" / entry["template"]).is_file()


def test_the_reference_is_up_to_date() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts/generate-reference"), "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def dependencies(role: str) -> set[str]:
    """The roles whose defaults a role sees: itself and the roles that it depends on."""
    named = [entry["role"] for entry in load(ROOT / f"roles/{role}/meta/main.yml").get("dependencies", [])]
    return {role}.union(*(dependencies(name) for name in named))


@pytest.mark.parametrize("name", ["image", "core", *SERVICES])
def test_an_included_role_sees_every_default_that_it_uses(name: str) -> None:
    """A play or an extra variable that sets the value would hide a missing dependency."""
    owner = {option: role.name for role in ROLES for option in load(role / "defaults/main.yml")}
    text = "\n".join(
        # A variable of another service that the site may have set is not a default of a role.
        re.sub(r"#.*|hostvars\.\w+\.\w+ \| default\(", "", file.read_text(encoding="utf-8"))
        for pattern in ("defaults/*.yml", "vars/*.yml", "tasks/*.yml", "templates/**/*.j2")
        for file in sorted((ROOT / "roles" / name).glob(pattern))
    )
    used = {word for word in re.findall(r"\b[a-z]\w+\b", text) if word in owner}
    unseen = sorted(word for word in used if owner[word] not in dependencies(name))
    assert unseen == []
