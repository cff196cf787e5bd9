"""The module as Ansible calls it: one answer, no traceback, nothing written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import trade_source_info
from ansible.module_utils.testing import patch_module_args


def _call(capsys: pytest.CaptureFixture[str], check: bool = False, **args: object) -> dict[str, object]:
    with patch_module_args({**args, "_ansible_check_mode": check}), pytest.raises(SystemExit):
        trade_source_info.main()
    answer: dict[str, object] = json.loads(capsys.readouterr().out)
    return answer


@pytest.mark.parametrize("check", [False, True])
def test_it_answers_alike_in_a_dry_run_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], check: bool
) -> None:
    (tmp_path / "trading/apps/authn").mkdir(parents=True)
    (tmp_path / "docker-compose.core.yml").write_text("services: {a: {image: '${IMAGE}'}}\n")
    before = sorted(path.stat().st_mtime_ns for path in [tmp_path, *tmp_path.rglob("*")])
    answer = _call(capsys, check, root=str(tmp_path), env={"IMAGE": "x:1.2.3"}, folders=["trading/apps"])
    assert answer["changed"] is False
    assert answer["services"]["a"]["image"] == "x:1.2.3"  # type: ignore[index]
    assert answer["folders"] == {"trading/apps": ["authn"]}
    assert sorted(path.stat().st_mtime_ns for path in [tmp_path, *tmp_path.rglob("*")]) == before


@pytest.mark.parametrize(
    ("files", "folders", "message"),
    [
        (["no.yml"], [], "no.yml: there is no such file"),
        (["bad.yml"], [], "bad.yml:2:"),
        (["good.yml"], ["trading/apps"], "trading/apps: cannot be listed in"),
    ],
)
def test_a_failure_is_one_message(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], files: list[str], folders: list[str], message: str
) -> None:
    (tmp_path / "bad.yml").write_text("services:\n\ta: b\n")
    (tmp_path / "good.yml").write_text("services: {a: {image: x}}\n")
    answer = _call(capsys, root=str(tmp_path), files=files, folders=folders)
    assert answer["failed"] is True
    assert str(answer["msg"]).startswith(message)
    assert "Traceback" not in json.dumps(answer)
