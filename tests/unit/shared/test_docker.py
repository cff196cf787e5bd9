# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages for errors of the Docker command line."""

from __future__ import annotations

import json
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


def test_the_output_of_docker_is_passed_on() -> None:
    with pytest.raises(DockerError) as caught:
        docker("permission denied\n").inspect("image", "a")
    assert str(caught.value) == "`docker image inspect` failed: permission denied"


# Three wordings of engine 20.10: an image, an image without a tag, a network.
@pytest.mark.parametrize(
    "said",
    [
        "Error response from daemon: no such image: {name}:1: No such image: {name}:1",
        "Error response from daemon: no such image: {name}: No such image: {name}:latest",
        "Error response from daemon: network {name} not found",
        "Error: No such object: {name}",
    ],
)
def test_what_exists_is_read_with_one_command_when_others_are_missing(said: str) -> None:
    asked: list[list[str]] = []
    suffix = ":1" if ":1" in said else ""

    def command(words: list[str], **_more: Any) -> tuple[int, str, str]:
        asked.append(words)
        return 1, json.dumps([{"Id": "first"}, {"Id": "third"}]), said.format(name="second")

    names = [name + suffix for name in ("first", "second", "third")]
    found = Docker(command).inspect("image", *names)
    assert found == {names[0]: {"Id": "first"}, names[2]: {"Id": "third"}}
    assert len(asked) == 1


def test_names_are_inspected_one_by_one_if_the_errors_do_not_name_what_is_missing() -> None:
    def command(words: list[str], **_more: Any) -> tuple[int, str, str]:
        if words[3:] == ["here"]:
            return 0, json.dumps([{"Id": "here"}]), ""
        return 1, json.dumps([{"Id": "here"}] if "here" in words else []), "No such image"

    assert Docker(command).inspect("image", "gone", "here") == {"here": {"Id": "here"}}
