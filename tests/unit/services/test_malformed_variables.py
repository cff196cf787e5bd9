# SPDX-License-Identifier: GPL-3.0-or-later
"""200 malformed variable files, generated from a seed: each results in one list of messages, never in an exception."""

from __future__ import annotations

import math
import random
import string
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.controller import validation
from ansible.module_utils.services import kinds

ROOT = Path(__file__).resolve().parents[3]
ROLES = [validation.read_role(folder) for folder in sorted((ROOT / "roles").iterdir()) if folder.is_dir()]
VARIABLES = {name: variable for role in ROLES for name, variable in role.variables.items()}
SEED = 20261126
FILES = 200

# Values that are valid YAML but invalid for almost every variable.
NONSENSE: list[Any] = [
    None,
    "",
    " ",
    "\t",
    "\x00",
    "\x1b[31m",
    "nul\x00byte",
    "two\nlines",
    "no ! such",
    "-",
    "--",
    "../../etc/passwd",
    "/",
    "//",
    "~",
    "$(reboot)",
    "`reboot`",
    "'; drop table",
    "{{ 7 * 7 }}",
    "{% raw %}",
    "NaN",
    "inf",
    "1e999",
    "0x10",
    "1_000",
    "\N{FULLWIDTH DIGIT ONE}",
    "\N{ARABIC-INDIC DIGIT THREE}",
    "\N{MINUS SIGN}1",
    "²",
    "🚀",
    "é" * 300,
    "x" * 100_000,
    "9" * 400,
    -1,
    0,
    2**63,
    2**64,
    -(2**63),
    10**400,
    0.1,
    -0.0,
    math.nan,
    math.inf,
    -math.inf,
    True,
    False,
    b"bytes",
    [],
    [None],
    [[]],
    [[[[]]]],
    {},
    {"": ""},
    {None: None},
    {"a": {"b": {"c": []}}},
    {1: 2},
    {True: False},
    [{"name": None}],
    {"frontend": None},
    {"frontend": {"name": "x", "subnet": "999.0.0.0/99"}},
    [{"from": None, "to": None}],
    {"before_deploy": None},
    {"before_deploy": [None]},
    {"client": {"scopes": "x"}},
]


def file_of(number: int) -> dict[str, Any]:
    """One variable file: known names with invalid values, and misspelt names."""
    source = random.Random(SEED + number)
    content: dict[str, Any] = {}
    for name in source.sample(sorted(VARIABLES), source.randint(1, 6)):
        content[name] = source.choice(NONSENSE)
    for name in source.sample(sorted(VARIABLES), 2):
        place = source.randrange(len(name))
        content[name[:place] + source.choice(string.ascii_lowercase + "_") + name[place + 1 :]] = source.choice(
            NONSENSE
        )
    return content


def messages(content: dict[str, Any]) -> list[str]:
    values = {name: value for name, value in content.items() if name in VARIABLES}
    lines = validation.unknown_names(content, ROLES, {})
    lines += validation.wrong_values(values, ROLES)
    for role in ROLES:
        lines += validation.ports_beyond_the_last(role.name, values, role)
    return lines + validation.inside_the_source({"trade2025_root": "/srv/trade2025", **values}, ROLES)


@pytest.mark.parametrize("number", range(FILES))
def test_a_malformed_variable_file_is_answered_with_messages(number: int) -> None:
    content = file_of(number)
    lines = messages(content)
    for line in lines:
        assert line.partition(":")[0] in {*content, *VARIABLES}, line
        assert "Traceback" not in line
        assert "object at 0x" not in line
    assert validation.numbered({line: ["valkey"] for line in lines})
    for name, value in content.items():
        if name in VARIABLES and value is None:
            assert any(line.startswith(f"{name}: ") for line in lines), name


@pytest.mark.parametrize("name", sorted(VARIABLES))
def test_nonsense_never_raises_whatever_the_kind(name: str) -> None:
    variable = VARIABLES[name]
    for value in NONSENSE:
        message = variable.fault(value)
        if message:
            assert message.startswith(f"{name}: ")
            assert len(message) < 2000
        elif not variable.choices:
            kinds.parse(variable.kind, name, value)


def test_most_nonsense_is_refused() -> None:
    refused = sum(bool(variable.fault(value)) for variable in VARIABLES.values() for value in NONSENSE)
    assert refused > 0.75 * len(VARIABLES) * len(NONSENSE)
