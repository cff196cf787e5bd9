# SPDX-License-Identifier: GPL-3.0-or-later
"""Compose projects whose folders move: the paths in `docker compose config` before and after, or reported leftovers.

`projects.txt` holds the projects. Each is migrated, its folders are moved as the map says, and Compose is run
before and after. Every path that Compose names afterwards is the relocated one from before, or its line was reported.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils.migration.context import Context
from ansible.module_utils.migration.engine import migrate
from ansible.module_utils.rewriting.path_map import PathMap, parse_location
from ansible.module_utils.rewriting.rewriter import Rules

MOVES = {"trading/apps": "backend/apps", "trading/nats": "data/nats", "trading/conf": "config/of nats", "": ""}
TEXT = Path(__file__).with_name("projects.txt").read_text(encoding="utf-8")
# A project with CRLF line ends, which projects.txt must not have.
WITH_CRLF = "windows-line-ends"


@dataclass
class Project:
    """A project of projects.txt."""

    files: dict[str, str] = field(default_factory=dict)
    options: list[str] = field(default_factory=list)
    folder: str = ""
    environment: dict[str, str] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)


def _projects() -> dict[str, Project]:
    found = {}
    for part in re.split(r"^### ", TEXT, flags=re.M)[1:]:
        name, _end, body = part.partition("\n")
        head, *files = re.split(r"^== (.*)\n", body, flags=re.M)
        project = Project(dict(zip(files[::2], (text.rstrip("\n") + "\n" for text in files[1::2]), strict=True)))
        for line in head.splitlines():
            kind, _space, value = line.partition(" ")
            if kind == "%":
                project.options = value.split()
            elif kind == "@":
                project.folder = value
            elif kind == "$":
                variable, _sign, text = value.partition("=")
                project.environment[variable] = text
            elif kind == "!":
                project.left.append(value)
        found[name] = project
    return found


PROJECTS = _projects()


class Place:
    """The location of a project before and after the migration."""

    def __init__(self, base: Path) -> None:
        self.old, self.new = base / "old/tree", base / "new/tree"
        self.copy, self.again = base / "copy", base / "again"
        self.map = PathMap.parse(
            [
                {"from": f"{self.old}/{old}".rstrip("/"), "to": f"{self.new}/{new}".rstrip("/")}
                for old, new in MOVES.items()
            ]
        )

    def relocated(self, path: str) -> str:
        """The location after the migration of an absolute path before it."""
        moved = self.map.relocate("", tuple(part for part in path.split("/") if part))
        return str(moved) if moved else path

    def expected(self, value: Any) -> Any:
        """The output of Compose before the migration, with every path relocated."""
        if isinstance(value, dict):
            return {key: self.expected(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.expected(item) for item in value]
        if isinstance(value, str) and value.startswith(str(self.old)):
            return self.relocated(value)
        if isinstance(value, str):
            return re.sub(rf"{re.escape(str(self.old))}[^:,\s]*", lambda found: self.relocated(found[0]), value)
        return value


def _write(project: Project, root: Path, line_end: str) -> None:
    for name, text in project.files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.replace("\n", line_end).encode())


def _config(folder: Path, options: list[str], environment: dict[str, str]) -> Any:
    """Compose's output for a project, with its relative paths made absolute; None if it rejects the project."""
    folder.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        # Not as JSON, which Compose 2.26 cannot write for SSH keys.
        ["docker", "compose", "-p", "project", *options, "config"],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": "/root", "PWD": str(folder), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if done.returncode:
        return None
    config = {key: value for key, value in yaml.safe_load(done.stdout).items() if not key.startswith("x-")}
    base = folder / Path(options[1]).parent if options else folder
    for service in config["services"].values():
        # Compose does not resolve what nothing refers to.
        for key in [key for key in service if key.startswith("x-")]:
            del service[key]
        build = service.get("build")
        if build and build["context"].startswith("/"):
            build["dockerfile"] = os.path.normpath(Path(build["context"], build.get("dockerfile", "Dockerfile")))
        if build and "ssh" in build:
            # In no particular order.
            build["ssh"] = sorted(build["ssh"])
        for number, option in enumerate(service.get("security_opt", [])):
            profile = re.fullmatch(r"(seccomp[:=])(?!unconfined)(.*)", option)
            if profile:
                service["security_opt"][number] = profile[1] + os.path.normpath(base / profile[2])
    return config


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _leaves(item, f"{path}.{key}")
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _leaves(item, f"{path}.{number}")
    else:
        yield path, value


@dataclass
class Outcome:
    """Compose's output for a project before (with relocated paths) and after the migration, and what was left over."""

    before: Any
    after: Any
    left: list[str]


def _options_afterwards(project: Project, place: Place) -> list[str]:
    """The options with the files where they are afterwards."""
    return [
        option if option.startswith("-") else os.path.relpath(place.relocated(str(place.old / option)), place.new)
        for option in project.options
    ]


def _move(project: Project, place: Place) -> list[str]:
    """Migrate a project and move its folders; return the lines that were left over."""
    base = parse_location(str(place.old), "base")
    context = Context(str(place.old), str(place.copy), Rules(place.map, {}), ("nothing",), compose_base=base)
    report = migrate(context)
    # Migrating the result again changes nothing.
    again = Context(str(place.copy), str(place.again), context.rules, ("nothing",), compose_base=base)
    migrate(again)
    for file in project.files:
        assert (place.again / file).read_bytes() == (place.copy / file).read_bytes()
    for file in project.files:
        moved = Path(place.relocated(str(place.old / file)))
        moved.parent.mkdir(parents=True, exist_ok=True)
        (place.copy / file).rename(moved)
    return [text for lines in report.leftovers.values() for _line, text, *_more in lines]


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcome]:
    """All projects, with as many Compose processes at once as there are processors."""
    places = {name: Place(tmp_path_factory.mktemp("project")) for name in PROJECTS}
    for name, project in PROJECTS.items():
        _write(project, places[name].old, "\r\n" if name == WITH_CRLF else "\n")

    def before(name: str) -> Any:
        project, place = PROJECTS[name], places[name]
        return place.expected(_config(place.old / project.folder, project.options, project.environment))

    def after(name: str) -> Any:
        project, place = PROJECTS[name], places[name]
        folder = Path(place.relocated(str(place.old / project.folder)))
        return _config(folder, _options_afterwards(project, place), project.environment)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        asked = dict(zip(PROJECTS, pool.map(before, PROJECTS), strict=True))
        left = {name: _move(project, places[name]) for name, project in PROJECTS.items()}
        asked_again = dict(zip(PROJECTS, pool.map(after, PROJECTS), strict=True))
    return {name: Outcome(asked[name], asked_again[name], left[name]) for name in PROJECTS}


def test_there_are_enough_projects() -> None:
    assert len(PROJECTS) >= 60
    assert all(project.files for project in PROJECTS.values())


@pytest.mark.parametrize("name", PROJECTS)
def test_compose_names_the_same_places(name: str, outcomes: dict[str, Outcome]) -> None:
    project, outcome = PROJECTS[name], outcomes[name]
    assert outcome.before is not None, "Compose refuses the project"
    assert sorted(outcome.left) == sorted(project.left)
    if outcome.after is None:
        assert project.left, "Compose refuses the moved project, and nothing was reported"
        return
    wanted, got = dict(_leaves(outcome.before)), dict(_leaves(outcome.after))
    differing = {key for key in wanted.keys() | got.keys() if wanted.get(key) != got.get(key)}
    # A Dockerfile follows its context.
    differing -= {key for key in differing if key.replace(".dockerfile", ".context") in differing - {key}}
    assert len(differing) <= len(project.left), {key: (wanted.get(key), got.get(key)) for key in sorted(differing)}
