# SPDX-License-Identifier: GPL-3.0-or-later
"""Errors of the Docker command line, as people read them."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.module_utils.shared.docker import Docker, DockerError

DOWN = "Cannot connect to the Docker daemon at unix:///run/docker.sock. Is the docker daemon running?"


def docker(said: str) -> Docker:
    def command(_words: list[str], **_more: Any) -> tuple[int, str, str]:
        return 1, "", said

    return Docker(command)


def test_an_engine_that_is_down_is_named_once_with_what_to_do() -> None:
    with pytest.raises(DockerError) as caught:
        docker(f"{DOWN}\n{DOWN}\n").inspect("image", "a", "b")
    assert str(caught.value) == f"Docker does not answer: {DOWN} Start the engine, then run again."


def test_what_docker_said_is_passed_on() -> None:
    with pytest.raises(DockerError) as caught:
        docker("permission denied\n").inspect("image", "a")
    assert str(caught.value) == "`docker image inspect` failed: permission denied"
