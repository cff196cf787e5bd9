# SPDX-License-Identifier: GPL-3.0-or-later
"""The variables of a role, read from `defaults/main.yml`: each with the comment above it and the kind declared there.

    # Memory for data. At this size keys are evicted.
    # kind: valkey_size
    valkey_maxmemory: 2gb

`# kind: one of a, b` declares choices. `meta/argument_specs.yml` and the reference are written from this.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible.module_utils.services import kinds
from ansible.module_utils.shared.yaml_text import load_yaml

SIZES = ("small", "standard", "production")
_CHOICES = "one of "
# A switch for many variables at once → its default.
SWITCHES = {"core_size": "standard", "core_durability": "balanced"}
# A default that depends on a switch: "{{ {'small': '1g', 'standard': '3g', 'production': '6g'}[core_size] }}"
_BY_SWITCH = re.compile(r"\{\{ (\{.*\})\[(\w+)\] \}\}")


class VariablesError(ValueError):
    """A defaults/main.yml that cannot be read; the text says where and why."""


@dataclass(frozen=True)
class Variable:
    """One variable that a site may set."""

    name: str
    # Name of a kind in kinds.py; empty where there are choices.
    kind: str
    choices: tuple[str, ...]
    # As written, templates unresolved; None for a variable that a site must set.
    default: Any
    required: bool
    # What it sets, with reason and unit.
    text: str

    @property
    def type(self) -> str:
        """Type in argument_specs."""
        return "str" if self.choices else kinds.KINDS[self.kind].type

    @property
    def switch(self) -> str:
        """The switch that the default depends on; empty for others."""
        match = _BY_SWITCH.fullmatch(str(self.default))
        return match[2] if match and match[2] in SWITCHES else ""

    @property
    def by_switch(self) -> dict[str, Any]:
        """Value of the switch → default; empty for a default that depends on none."""
        match = _BY_SWITCH.fullmatch(str(self.default))
        return dict(ast.literal_eval(match[1])) if match and self.switch else {}

    def fault(self, value: Any) -> str:
        """The message for a value that is not of the variable's kind; empty for one that is."""
        if self.choices:
            word = str(value).lower() if isinstance(value, bool) else str(value)
            # YAML reads a bare `no` as false.
            if word in self.choices or (value is False and "no" in self.choices):
                return ""
            return f"{self.name}: {kinds.display(value)} is not one of the choices; choose {_either(self.choices)}"
        return kinds.fault(self.kind, self.name, value)


def read_variables(file: Path) -> dict[str, Variable]:
    """Variable name → variable, in the order of the file; empty where there is no such file."""
    if not file.is_file():
        return {}
    text = file.read_text(encoding="utf-8")
    defaults: Mapping[str, Any] = load_yaml(text) or {}
    found: dict[str, Variable] = {}
    comment: list[str] = []
    kind = ""
    for number, line in enumerate(text.splitlines(), 1):
        if match := re.fullmatch(r"# kind: (.+)", line):
            kind = match[1].strip()
        elif line.startswith("#"):
            comment.append(line.lstrip("# ").rstrip())
        elif match := re.match(r"([A-Za-z]\w*):", line):
            found[match[1]] = _variable(match[1], kind, defaults[match[1]], " ".join(comment), f"{file}:{number}")
            kind = ""
        elif not line.strip():
            comment = []
    return found


def _variable(name: str, kind: str, default: Any, text: str, where: str) -> Variable:
    if not kind:
        raise VariablesError(f"{where}: {name} has no kind; write `# kind: NAME` above it")
    choices: tuple[str, ...] = ()
    if kind.startswith(_CHOICES):
        choices, kind = tuple(choice.strip() for choice in kind.removeprefix(_CHOICES).split(",")), ""
    elif kind not in kinds.KINDS:
        raise VariablesError(f"{where}: {kind!r}, the kind of {name}, is not one of {', '.join(kinds.KINDS)}")
    required = "undef(hint=" in str(default)
    return Variable(name, kind, choices, None if required else default, required, text)


def _either(words: tuple[str, ...]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"
