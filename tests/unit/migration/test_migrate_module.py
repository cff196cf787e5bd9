# SPDX-License-Identifier: GPL-3.0-or-later
"""The module's parameters: a refusal says what to write instead, and the documentation matches the options."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trade_migrate
import yaml
from ansible.module_utils.migration import options
from ansible.module_utils.migration.context import ON_CONFLICT, Context, MigrationError
from ansible.module_utils.migration.globs import Excluder
from ansible.module_utils.rewriting.path_map import MapError
from migration_case import DOCUMENTED

PARAMS: dict[str, Any] = {
    name: spec.get("default") for name, spec in options.ARGUMENTS.items() if not spec.get("required")
} | {"src": "/old/trade2025", "dest": "/new"}


def context(**params: Any) -> Context:
    return options.context_from(PARAMS | params, check_mode=True, with_diff=False)


def test_encodings_are_taken_by_the_first_glob_that_matches() -> None:
    made = context(
        encoding=[
            {"glob": "old/*.bat", "encoding": "CP437"},
            {"glob": "*.bat", "encoding": "shift_jis"},
            {"glob": "*.txt", "encoding": "UTF-16"},
        ]
    )
    wanted = {b"old/a.bat": "cp437", b"a.bat": "shift_jis", b"x/a.bat": "shift_jis", b"a.txt": "utf-16", b"a": None}
    assert {path: made.encoding_of(path) for path in wanted} == wanted


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"src": "old"}, "src=old is not absolute"),
        ({"state_dir": "state"}, "state_dir=state is not absolute"),
        ({"workers": -1}, "write 0 for one per processor"),
        ({"mentions": [" "]}, "mentions contains an empty text"),
        ({"encoding": [{"glob": "*.bat", "encoding": "cp9320"}]}, r"encoding\[0\].encoding='cp9320' is not a text enc"),
        ({"encoding": [{"glob": "*.bat", "encoding": "base64"}]}, "is not a text encoding"),
        ({"encoding": [{"glob": "[z-a]", "encoding": "cp932"}]}, r"encoding\[0\].glob: .*is not a valid glob"),
        ({"exclude": ["[z-a]"]}, "exclude: .*is not a valid glob"),
        ({"network_map": {"trade2025-backend": None}}, "is not text; write it in quotes"),
        ({"network_map": {"trade2025-backend": 7}}, "is not text; write it in quotes"),
        ({"on_conflict": "keep"}, "on_conflict=keep: write fail, backup or overwrite"),
    ],
)
def test_what_cannot_be_used_is_refused(params: dict[str, Any], message: str) -> None:
    with pytest.raises((MapError, MigrationError), match=message):
        context(**params)


def test_only_the_folders_that_are_named_are_copied(tmp_path: Path) -> None:
    for name in ("authn", "oms", "a*b?[c]", "authn/oms"):
        (tmp_path / name).mkdir()
    (tmp_path / "file").touch()
    made = Excluder(context(src=str(tmp_path), only=["authn"], exclude_clutter=False).exclude)
    left_out = {b"oms": True, b"a*b?[c]": True, b"authn": False, b"file": False, b"authn/oms": False}
    assert {path: made.match(path.decode().split("/")[-1], path) is not None for path in left_out} == left_out


def test_a_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    (tmp_path / "authn").touch()
    with pytest.raises(MigrationError, match=f"{tmp_path} has no folder authn, oms; add it"):
        context(src=str(tmp_path), only=["authn", "oms"])


def test_the_documentation_names_the_options_that_there_are() -> None:
    documented = yaml.safe_load(trade_migrate.DOCUMENTATION)["options"]
    assert documented.keys() == options.ARGUMENTS.keys()
    for name, spec in options.ARGUMENTS.items():
        assert documented[name]["type"] == spec["type"], name
        assert documented[name].get("default") == spec.get("default"), name
        assert documented[name].get("required", False) == spec.get("required", False), name
        assert documented[name].get("suboptions", {}).keys() == spec.get("options", {}).keys(), name
    assert documented["on_conflict"]["choices"] == list(ON_CONFLICT)


def test_the_documentation_names_the_results_that_there_are(tmp_path: Any) -> None:
    from migration_case import migrate

    (tmp_path / "trade2025").mkdir()
    result = migrate(tmp_path / "trade2025", tmp_path / "dest", DOCUMENTED).as_dict()
    documented = yaml.safe_load(trade_migrate.RETURN)
    assert documented.keys() == (result.keys() | {"relative_base"}) - {"changed"}
