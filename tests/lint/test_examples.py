# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation, examples and argument specification of each module agree."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

import pytest
import yaml
from ansible.module_utils.controller.documentation import with_fragments
from ansible.playbook.task import Task

ROOT = Path(__file__).resolve().parents[2]
NAMES = sorted(path.stem for path in (ROOT / "library").glob("*.py"))
# The other files only document an action plugin.
RUNNABLE = [name for name in NAMES if "\ndef main(" in (ROOT / "library" / f"{name}.py").read_text()]
KEYWORDS = set(Task.fattributes)

Options = Mapping[str, Mapping[str, Any]]


class CapturedError(Exception):
    """Ends a module's `main` after it has passed its arguments to AnsibleModule."""

    def __init__(self, arguments: Mapping[str, Any]) -> None:
        super().__init__("captured")
        self.arguments = arguments


def capture(**arguments: Any) -> NoReturn:
    """Stands in for AnsibleModule."""
    raise CapturedError(arguments)


def documentation(name: str) -> dict[str, Any]:
    """A module's DOCUMENTATION, with its fragments."""
    text = importlib.import_module(name).DOCUMENTATION
    return with_fragments(dict(yaml.safe_load(text)), ROOT / "doc_fragments")


def arguments_of(name: str, monkeypatch: pytest.MonkeyPatch) -> Mapping[str, Any]:
    """The arguments that a module passes to AnsibleModule."""
    module = importlib.import_module(name)
    monkeypatch.setattr(module, "AnsibleModule", capture)
    with pytest.raises(CapturedError) as captured:
        module.main()
    return captured.value.arguments


def normalized(options: Options, nested: str) -> dict[str, dict[str, Any]]:
    """Options with Ansible's defaults filled in; `nested` is the key of an option's own options."""
    return {
        name: {
            "type": option.get("type", "str"),
            "required": option.get("required", False),
            "default": option.get("default"),
            "choices": list(option["choices"]) if "choices" in option else None,
            "elements": option.get("elements"),
            "aliases": sorted(option.get("aliases", [])),
            "options": normalized(option.get(nested) or {}, nested),
        }
        for name, option in options.items()
    }


def examples(name: str) -> list[dict[str, Any]]:
    """The tasks of a module's EXAMPLES."""
    return list(yaml.safe_load(importlib.import_module(name).EXAMPLES))


def complaints(given: Mapping[str, Any], options: Options, where: str) -> Iterator[str]:
    """What is wrong with the arguments of an example. Values with a template are not checked."""
    for name in options:
        if options[name].get("required") and name not in given:
            yield f"{where}.{name} is required"
    for name, value in given.items():
        if name not in options:
            yield f"{where}.{name} is not documented"
            continue
        option = options[name]
        choices = option.get("choices")
        parts = value if isinstance(value, list) else [value]
        for part in parts:
            if choices and part not in choices and "{{" not in str(part):
                yield f"{where}.{name} cannot be {part}"
            if isinstance(part, dict) and option.get("suboptions"):
                yield from complaints(part, option["suboptions"], f"{where}.{name}")


@pytest.fixture(scope="module")
def rendered() -> str:
    """The output of `ansible-doc` for all modules, in one call, because starting it takes longest."""
    command = [Path(sys.executable).with_name("ansible-doc"), "-M", "library", "-t", "module", *NAMES]
    environment = os.environ | {"ANSIBLE_NOCOLOR": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout


@pytest.mark.parametrize("name", NAMES)
def test_the_documentation_renders(name: str, rendered: str) -> None:
    _, heading, page = rendered.partition(f"> MODULE {name} (")
    page = page.partition("\n> MODULE ")[0]
    assert heading
    for option in documentation(name)["options"]:
        assert re.search(rf"^[-=] {option}\s", page, re.MULTILINE), option
    for task in examples(name):
        assert f"- name: {task['name']}\n" in page


@pytest.mark.parametrize("name", NAMES)
def test_a_module_says_since_which_version_it_exists(name: str) -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", str(documentation(name)["version_added"]))


@pytest.mark.parametrize("name", RUNNABLE)
def test_the_argument_spec_equals_the_documentation(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = arguments_of(name, monkeypatch)["argument_spec"]
    assert normalized(taken, "options") == normalized(documentation(name)["options"], "suboptions")


@pytest.mark.parametrize("name", RUNNABLE)
def test_support_for_check_mode_is_documented(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    supported = arguments_of(name, monkeypatch).get("supports_check_mode", False)
    assert (documentation(name)["attributes"]["check_mode"]["support"] != "none") is supported


def test_every_file_without_main_documents_an_action_plugin() -> None:
    documented = {name for name in NAMES if (ROOT / "action_plugins" / f"{name}.py").is_file()}
    assert set(NAMES) - set(RUNNABLE) <= documented
    assert {path.stem for path in (ROOT / "action_plugins").glob("*.py")} <= documented


@pytest.mark.parametrize("name", NAMES)
def test_examples_use_documented_options(name: str) -> None:
    tasks = examples(name)
    used = [task for task in tasks if name in task]
    assert used
    for task in tasks:
        assert task["name"]
        unknown = [key for key in task if key not in KEYWORDS | {name} and "." not in key]
        assert unknown == []
    options = documentation(name)["options"]
    assert [line for task in used for line in complaints(task[name], options, name)] == []


def test_a_wrong_example_would_be_found() -> None:
    options: Options = {
        "mode": {"choices": ["a", "b"]},
        "files": {"type": "list", "elements": "dict", "suboptions": {"dest": {"required": True}}},
    }
    given = {"mode": "c", "files": [{"dst": "x"}, {"dest": "{{ y }}"}], "extra": 1}
    assert list(complaints(given, options, "m")) == [
        "m.mode cannot be c",
        "m.files.dest is required",
        "m.files.dst is not documented",
        "m.extra is not documented",
    ]
