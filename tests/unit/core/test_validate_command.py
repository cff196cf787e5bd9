# SPDX-License-Identifier: GPL-3.0-or-later
"""A validate command that cannot start is not a configuration that the service refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.core.validate_command import run_validate_command
from ansible.module_utils.shared.docker import Docker, DockerError

VALIDATE: dict[str, Any] = {
    "image": "localhost/valkey:1",
    "command": ["valkey-server", "--check"],
    "entrypoint": None,
    "user": "999:1000",
    "environment": {},
    "tmpfs": [],
    "mounts": [],
    "timeout_s": 5,
}


def run(tmp_path: Path, code: int, said: str) -> str:
    def command(_words: list[str], **_more: Any) -> tuple[int, str, str]:
        return code, "", said

    return run_validate_command(Docker(command), VALIDATE, tmp_path, None, tmp_path / "staged", [])


@pytest.mark.parametrize("code", [125, 126, 127])
def test_a_validate_command_that_cannot_start_has_its_own_message(tmp_path: Path, code: int) -> None:
    with pytest.raises(DockerError, match=r"No such image: localhost/valkey:1.* Nothing was written"):
        run(
            tmp_path,
            code,
            "docker: No such image: localhost/valkey:1.\nSee docker run --help",
        )


def test_what_the_service_refuses_is_passed_on(tmp_path: Path) -> None:
    assert run(tmp_path, 1, "bad directive") == "exit code 1: bad directive"
    assert run(tmp_path, 124, "") == "not finished within 5 s"
    assert run(tmp_path, 0, "") == ""
