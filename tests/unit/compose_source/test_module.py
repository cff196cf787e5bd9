# SPDX-License-Identifier: GPL-3.0-or-later
"""The module on machines without a usable Docker Compose, and with a missing project."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import trade_source_info
from ansible.module_utils.testing import patch_module_args


def _call(capsys: pytest.CaptureFixture[str], check: bool, **args: object) -> dict[str, Any]:
    with patch_module_args({**args, "_ansible_check_mode": check}), pytest.raises(SystemExit):
        trade_source_info.main()
    answer: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert "Traceback" not in json.dumps(answer)
    return answer


def migration(tree: Path) -> dict[str, Any]:
    """The options of a migration of the tree's applications."""
    return {"src": str(tree / "trading/apps"), "dest": str(tree.parent / "new/apps"), "only": ["authn"]}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "tree/trading/apps/authn").mkdir(parents=True)
    (tmp_path / "tree/trading/apps/authn/app.py").write_text("x = 1\n")
    (tmp_path / "tree/docker-compose.core.yml").write_text("services: {a: {image: x}}\n")
    return tmp_path / "tree"


MACHINES = [
    (None, "docker cannot be run"),
    ("echo \"docker: 'compose' is not a docker command.\" >&2; exit 1", "'compose' is not a docker command"),
    ("echo \"unknown shorthand flag: 'f' in -f\" >&2; exit 125", "unknown shorthand flag"),
    ("echo v2.19.1", "2.19.1 is too old"),
    ("echo 1.29.2", "1.29.2 is too old"),
    ("echo", "`docker compose version` fails"),
]


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """A machine whose `docker` is the script of the parameter, or that has none; and the expected message."""
    script, reason = request.param
    binaries = tmp_path / "bin"
    binaries.mkdir()
    if script is not None:
        (binaries / "docker").write_text(f"#!/bin/sh\n{script}\n")
        (binaries / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", str(binaries))
    return str(reason)


@pytest.mark.parametrize("machine", MACHINES, indirect=True)
def test_a_dry_run_without_compose_says_what_is_not_known(
    tree: Path, machine: str, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = _call(capsys, True, root=str(tree), migration=migration(tree))
    assert (answer["available"], answer["changed"]) == (False, False)
    assert machine in answer["reason"]
    assert answer["migration"]["files_copied"] == 1
    assert answer["services"] == {}
    assert answer["summary"] == {"not_read": 1}
    assert machine in answer["findings"][0]["message"]
    assert "are not known" in answer["report"][0]


@pytest.mark.parametrize("machine", MACHINES, indirect=True)
def test_a_real_run_without_compose_fails_with_the_remedy(
    tree: Path, machine: str, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = _call(capsys, False, root=str(tree))
    assert answer["failed"] is True
    assert machine in answer["msg"]
    assert "Install Docker Compose 2.20 or newer" in answer["msg"]


@pytest.mark.parametrize("check", [False, True])
@pytest.mark.parametrize(
    ("args", "message"),
    [
        ({"files": ["no.yml"]}, "no.yml: there is no such file"),
        ({"files": ["trading"]}, "trading: there is no such file"),
        ({"files": []}, "no Compose file is named"),
        ({"root": "/nowhere"}, "/nowhere: there is no such folder. Set trade2025_root"),
        ({"migration": {"src": "/nowhere"}}, "migration: missing required arguments: dest"),
        (
            {"migration": {"src": "/nowhere", "dest": "/new", "only": ["oms"]}},
            "/nowhere cannot be listed: No such file",
        ),
    ],
)
def test_what_is_missing_is_reported_in_one_message(
    tree: Path, capsys: pytest.CaptureFixture[str], check: bool, args: dict[str, object], message: str
) -> None:
    answer = _call(capsys, check, **{"root": str(tree), **args})
    assert answer["failed"] is True
    assert str(answer["msg"]).startswith(message)
