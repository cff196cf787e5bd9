# SPDX-License-Identifier: GPL-3.0-or-later
"""Texts generated from the variables of a role: `meta/argument_specs.yml`, and its variables in the reference."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml
from ansible.module_utils.controller.variables import SWITCHES, Variable, read_variables
from ansible.module_utils.services import kinds

NOTE = "# Options with a default are written by `make docs` from defaults/main.yml. The rest is written by hand.\n"
# Lines of argument_specs.yml, and the length from which a text is folded.
LINE = 116
FOLDED = 80


def argument_specs(folder: Path) -> str:
    """The text of a role's meta/argument_specs.yml: its entry points as they are, its options from defaults/main.yml.

    The first entry point has every variable of the role. An option without a default is a parameter that a caller
    passes, and is described in the file itself.
    """
    text = yaml.dump(_specs(folder), Dumper=_Dumper, sort_keys=False, width=LINE, allow_unicode=True)
    return f"---\n{NOTE}{text}"


def documented_specs(folder: Path) -> dict[str, Any]:
    """The entry points of a role for the reference: each variable has its kind in words."""
    entries = dict(_specs(folder)["argument_specs"])
    variables = read_variables(folder / "defaults/main.yml")
    for spec in entries.values():
        for name, option in (spec.get("options") or {}).items():
            variable = variables.get(name)
            if variable is None:
                continue
            option.pop("elements", None)
            if variable.kind:
                option["type"] = _in_words(variable)
    return entries


def kinds_table() -> str:
    """The kinds of values as a Markdown table, for `# kind:` in a role's defaults/main.yml."""
    lines = ["| kind | type | what it takes |", "|---|---|---|"]
    for kind in kinds.KINDS.values():
        noun = kind.noun[0].upper() + kind.noun[1:]
        lines.append(f"| `{kind.name}` | {kind.type} | {noun}: {kind.advice}. |")
    return "\n".join(lines) + "\n"


def with_fragments(documentation: dict[str, Any], fragments: Path) -> dict[str, Any]:
    """A module's documentation with the options and attributes of its fragments, as `ansible-doc` shows it."""
    from ansible.plugins.loader import fragment_loader
    from ansible.utils.plugin_docs import add_fragments

    fragment_loader.add_directory(str(fragments))
    add_fragments(documentation, str(fragments), fragment_loader=fragment_loader, is_module=True)
    return documentation


def _specs(folder: Path) -> dict[str, Any]:
    file = folder / "meta/argument_specs.yml"
    found: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    variables = read_variables(folder / "defaults/main.yml")
    for number, spec in enumerate(found["argument_specs"].values()):
        options = {name: option for name, option in (spec.get("options") or {}).items() if name not in variables}
        if number == 0:
            options.update({name: _option(variable) for name, variable in variables.items()})
        spec["options"] = options
    return found


def _option(variable: Variable) -> dict[str, Any]:
    """A variable as argument_specs has it."""
    option: dict[str, Any] = {"type": variable.type}
    kind = kinds.KINDS.get(variable.kind)
    if kind is not None and kind.elements:
        option["elements"] = kind.elements
    if variable.choices:
        option["choices"] = list(variable.choices)
    if variable.required:
        option["required"] = True
    else:
        option["default"] = variable.by_switch.get(SWITCHES.get(variable.switch, ""), variable.default)
    if kind is not None and kind.secret:
        option["no_log"] = True
    text = re.sub(r"`([^`()]*)`", r"C(\1)", variable.text)
    if variable.by_switch:
        values = ", ".join(f"{word} V({value})" for word, value in variable.by_switch.items())
        text += f" By C({variable.switch}): {values}."
    option["description"] = text
    return option


def _in_words(variable: Variable) -> str:
    """The kind of a variable, with its units."""
    kind = kinds.KINDS[variable.kind]
    noun = re.sub(r"^an? ", "", kind.noun)
    units = re.search(r"with ((?:[A-Za-z]+, )*[A-Za-z]+ or [A-Za-z]+)", kind.advice)
    return f"{noun} ({units[1]})" if units else noun


class _Dumper(yaml.SafeDumper):
    """YAML as the project writes it: lists indented, long texts folded, no anchors."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = ">" if len(text) > FOLDED and not text.startswith("{{") else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)
