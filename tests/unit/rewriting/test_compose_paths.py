"""Relative paths of Compose files."""

from __future__ import annotations

import pytest
from ansible.module_utils.rewriting.compose_paths import is_compose_file, plan, resolver
from ansible.module_utils.rewriting.path_map import Location
from rewriting_case import rules_of

COMPOSE = rules_of({"C:/t": "/srv/n", "C:/t/nats": "/srv/n/data/nats", "C:/t/far": "/far", "C:/other": "/srv/n/other"})


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("volumes:\n  - ./nats:/data\n", "volumes:\n  - ./data/nats:/data\n"),
        ("volumes: ['./nats/x:/data:ro']\n", "volumes: ['./data/nats/x:/data:ro']\n"),
        ("volumes:\n  - type: bind\n    source: .\\nats\n", "volumes:\n  - type: bind\n    source: .\\data\\nats\n"),
        ("env_file:\n  - ./nats/.env # here\n", "env_file:\n  - ./data/nats/.env # here\n"),
        ("configs:\n  c:\n    file: ./nats/c.conf", "configs:\n  c:\n    file: ./data/nats/c.conf"),
        (
            "build:\n  context: ./nats\n  dockerfile: ./nats/Dockerfile\n",
            "build:\n  context: ./data/nats\n  dockerfile: ./nats/Dockerfile\n",
        ),
        ("build: ../other\n", "build: ./other\n"),
        ("build: ./nats/../nats\n", "build: ./data/nats\n"),
        # Read once more, the new path leads above the drive, where no entry of the map fits.
        ("source: ./far\n", "source: ../../far\n"),
        ("source: ./natsx\n", "source: ./natsx\n"),
        ("command: [run, ./nats]\n", "command: [run, ./nats]\n"),
        ("# volumes: ./nats\n", "# volumes: ./nats\n"),
        ("volumes:\n  - data:./nats\n", "volumes:\n  - data:./nats\n"),
    ],
)
def test_a_relative_path_of_a_compose_file(before: str, after: str) -> None:
    folder = Location("c", ("t",), "C", ("t",))
    once = plan(before.encode(), resolver(folder, COMPOSE.path_map))[0].new.decode()
    assert once == after
    assert plan(once.encode(), resolver(folder, COMPOSE.path_map))[0].new.decode() == once


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        (b"docker-compose.yml", True),
        (b"compose.yaml", True),
        (b"Docker-Compose.Core.YML", True),
        (b"my_compose.yml", True),
        (b"decompose.yml", False),
        (b"compose.json", False),
    ],
)
def test_what_compose_reads(name: bytes, is_one: bool) -> None:
    assert is_compose_file(name) == is_one
