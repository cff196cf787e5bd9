# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules image_plan and image_ensure on one machine: the plan, its execution and the result."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import image_ensure
import image_plan
import pytest
from ansible.module_utils.images.plan import ImageError
from ansible.module_utils.shared.docker import Docker

DIGEST = "sha256:" + "a" * 64
PYTHON = "python:3.12.13-slim"
AUTHN = {
    "build": {
        "context": "backend/apps/authn",
        "base_arg": "PYTHON_IMAGE",
        "base": {"official": PYTHON, "recipe": "python"},
    }
}
VALKEY = {"official": "valkey/valkey:8.1.8-alpine", "recipe": "valkey"}


def recipe(name: str, *below: str, **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "title": name.title(),
        "version": "8.1.1",
        "built_from": f"source of {name}",
        "tag": f"localhost/trade2026/{name}:1-abc",
        "fetch": [],
        "build_from": {f"BASE{number}": other for number, other in enumerate(below)},
        "stands_on": list(below),
        "files": {"Dockerfile": "FROM scratch\n"},
        **more,
    }


RECIPES = {
    "debian": recipe("debian", fetch=["debootstrap"]),
    "python": recipe("python", "debian"),
    "valkey": recipe("valkey", "debian", official=VALKEY["official"]),
}


class Engine:
    """An engine with a registry: pulls result in DIGEST, builds in a tag."""

    def __init__(self, registry: bool = True) -> None:
        self.registry = registry
        self.images: set[str] = set()
        self.commands: list[list[str]] = []
        self.signed = True
        self.verified: list[list[str]] = []

    def run(self, words: list[str], **_: Any) -> tuple[int, str, str]:
        if words[0] == "cosign":
            self.verified.append(words)
            return (0, "", "") if self.signed else (10, "", "Error: no signatures found")
        words = words[words.index("docker") + 1 :] if "docker" in words else words
        if words[:2] == ["image", "inspect"]:
            names = words[2:]
            if any(name not in self.images for name in names):
                return 1, "[]", "Error: No such image"
            digests = [f"{name.partition('@')[0].rpartition(':')[0]}@{DIGEST}" for name in names]
            return (
                0,
                json.dumps(
                    [
                        {"Id": f"id of {name}", "RepoDigests": [digest]}
                        for name, digest in zip(names, digests, strict=True)
                    ]
                ),
                "",
            )
        self.commands.append(words)
        if words[0] == "manifest":
            return (0, "{}", "") if self.registry else (1, "", "connection refused")
        if words[0] == "pull":
            self.images |= {words[-1], f"{words[-1].partition('@')[0]}@{DIGEST}"}
        if words[0] == "build":
            self.images.add(words[words.index("--tag") + 1])
        if words[0] == "debootstrap":
            Path(words[3], "etc/apt").mkdir(parents=True)
        return 0, "bookworm main http://mirror/" if words[0] == "apt-get" else "", ""


class Machine:
    """One machine with its lock file and the migrated sources of authn."""

    def __init__(self, folder: Path, engine: Engine) -> None:
        self.engine = engine
        self.root = folder / "root"
        self.params = {
            "recipes": RECIPES,
            "prefix": "",
            "signatures": {},
            "cosign": "cosign",
            "lock": str(folder / "images.lock.json"),
            "root": str(self.root),
            "cache": str(folder / "cache"),
            "build_network": "host",
            "debian_mirror": "",
            "debian_security_mirror": "",
            "retries": 1,
            "delay_s": 0,
            "title": None,
            "registry_answers": None,
        }

    def migrate(self) -> None:
        (self.root / "backend/apps/authn").mkdir(parents=True)
        (self.root / "backend/apps/authn/Dockerfile").write_text("FROM scratch\n")

    def plan(self, source: str, **wanted: Any) -> dict[str, Any]:
        return image_plan.plan(Docker(self.engine.run), {**self.params, "wanted": wanted, "source": source})

    def ensure(self, source: str, name: str, image: dict[str, Any], check: bool = False) -> dict[str, Any]:
        ensure = image_ensure.Ensure(self.engine.run, {**self.params, "name": name, "image": image, "source": source})
        return ensure.predict() if check else ensure.apply()


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path, Engine())


def four_steps(machine: Machine, source: str, name: str, image: dict[str, Any]) -> dict[str, Any]:
    """Dry run, run, dry run, run: only the first run changes something. Returns its result."""
    before = list(machine.engine.images)
    assert machine.ensure(source, name, image, check=True)["changed"]
    assert list(machine.engine.images) == before
    first = machine.ensure(source, name, image)
    assert first["changed"]
    done = len(machine.engine.commands)
    for check in (True, False):
        again = machine.ensure(source, name, image, check=check)
        assert not again["changed"]
        assert again["image"] == first["image"]
    assert len(machine.engine.commands) == done
    return first


def test_an_official_image_is_pulled_and_remembered(machine: Machine) -> None:
    assert machine.plan("registry", valkey=VALKEY)["missing"] == ["valkey"]
    result = four_steps(machine, "registry", "valkey", VALKEY)
    assert result["image"]["reference"] == f"{VALKEY['official']}@{DIGEST}"
    assert result["image"]["version"] == "8.1.8-alpine"
    planned = machine.plan("registry", valkey=VALKEY)
    assert planned["missing"] == []
    assert planned["images"]["valkey"]["reference"] == result["image"]["reference"]


def test_an_image_from_packages_is_built_with_all_that_it_is_built_on(machine: Machine) -> None:
    planned = machine.plan("packages", valkey=VALKEY)
    assert planned["images"]["valkey"]["needs"] == ["debian", "valkey"]
    result = four_steps(machine, "packages", "valkey", VALKEY)
    assert result["built"] == ["debian", "valkey"]
    assert result["image"]["reference"] == RECIPES["valkey"]["tag"]
    assert "in place of valkey/valkey:8.1.8-alpine" in result["image"]["difference"]


@pytest.mark.parametrize("source", ["registry", "packages"])
def test_an_application_is_built_on_a_base_of_the_same_source(machine: Machine, source: str) -> None:
    machine.migrate()
    result = four_steps(machine, source, "authn", AUTHN)
    planned = machine.plan(source, authn=AUTHN)
    assert planned["images"]["authn"]["present"]
    assert planned["images"]["authn"]["reference"] == result["image"]["reference"]
    base = f"{PYTHON}@{DIGEST}" if source == "registry" else RECIPES["python"]["tag"]
    assert f"PYTHON_IMAGE={base}" in machine.engine.commands[-1]


def test_an_application_before_its_migration_says_what_to_do(machine: Machine) -> None:
    with pytest.raises(ImageError, match="migrate the applications first"):
        machine.ensure("packages", "authn", AUTHN)


def test_all_images_are_planned_at_once_and_numbered(machine: Machine) -> None:
    planned = machine.plan("registry", valkey=VALKEY, authn=AUTHN)
    assert [image["progress"] for image in planned["images"].values()] == ["image 1 of 2", "image 2 of 2"]
    assert machine.engine.commands == []


def test_the_tools_of_what_is_missing_are_named(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert machine.plan("packages", valkey=VALKEY)["missing_tools"] == ["debootstrap"]
    assert machine.plan("registry", valkey=VALKEY)["missing_tools"] == []


@pytest.mark.parametrize(("registry", "source"), [(True, "registry"), (False, "packages")])
def test_auto_asks_a_registry_once(tmp_path: Path, registry: bool, source: str) -> None:
    machine = Machine(tmp_path, Engine(registry))
    planned = machine.plan("auto", valkey=VALKEY)
    assert (planned["source"], planned["asked"]) == (source, registry)
    machine.params["registry_answers"] = planned["asked"]
    machine.engine.commands.clear()
    assert machine.plan("auto", valkey=VALKEY)["source"] == source
    assert machine.engine.commands == []


def test_auto_stays_with_what_the_machine_has(machine: Machine) -> None:
    machine.ensure("packages", "valkey", VALKEY)
    planned = machine.plan("auto", valkey=VALKEY)
    assert (planned["source"], planned["asked"]) == ("packages", None)
