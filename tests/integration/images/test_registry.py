# SPDX-License-Identifier: GPL-3.0-or-later
"""image_source=registry and auto, with a real registry and a real Docker engine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from image_tools import NAME, Registry, Role, docker

TINY = {"tiny": {"official": f"{NAME}:1.0.0", "recipe": "tiny"}}


def present(registry: Registry) -> list[str]:
    return docker("image", "ls", "--quiet", "--filter", f"reference={registry.host}/{NAME}").split()


def remove_local(registry: Registry) -> None:
    docker("image", "rm", "--force", *set(present(registry)))


def mirror(registry: Registry) -> dict[str, Any]:
    return {"image_source": "registry", "image_prefix": registry.host}


@pytest.fixture
def unknown_recipe(tmp_path: Path) -> str:
    """A folder with a recipe whose image no machine has, so that `auto` must ask the registry."""
    folder = tmp_path / "recipes/probe"
    folder.mkdir(parents=True)
    (folder / "recipe.yml").write_text("title: Tiny\nversion: 1\nbuilt_from: nothing\n", encoding="utf-8")
    return str(folder.parent)


def test_the_first_run_pulls_and_locks_and_later_runs_change_nothing(registry: Registry, role: Role) -> None:
    digest = registry.push("one", "1.0.0")

    check = role.run(TINY, "--check", **mirror(registry))
    assert check.code == 0, check.output
    assert "would be pulled" in " ".join(check.output.split())
    assert not role.root.exists()
    assert present(registry) == []

    first = role.run(TINY, **mirror(registry))
    assert first.code == 0, first.output
    image = first.images["tiny"]
    assert image["reference"] == f"{registry.host}/{NAME}:1.0.0@{digest}"
    assert (image["source"], image["version"]) == ("registry", "1.0.0")
    assert image["id"].startswith("sha256:")
    assert json.loads(role.lock.read_text())["images"] == {f"{NAME}:1.0.0": {"digest": digest}}

    # An existing image is not requested: the registry is down now.
    registry.stop()
    again = role.run(TINY, **mirror(registry))
    assert again.code == 0, again.output
    assert again.images == first.images
    assert "changed: [tiny]" not in again.output
    assert "Ensure image" not in again.output


def test_a_removed_image_is_pulled_again_by_its_digest(registry: Registry, role: Role) -> None:
    registry.push("one", "1.0.0")
    first = role.run(TINY, **mirror(registry))
    remove_local(registry)
    again = role.run(TINY, **mirror(registry))
    assert again.code == 0, again.output
    assert again.images == first.images


def test_a_moved_tag_is_refused(registry: Registry, role: Role) -> None:
    digest = registry.push("one", "1.0.0")
    assert role.run(TINY, **mirror(registry)).code == 0
    remove_local(registry)
    assert registry.push("two", "1.0.0") != digest

    run = role.run(TINY, **mirror(registry))
    output = " ".join(run.output.split())
    assert run.code != 0
    assert "the tag moved" in output
    assert str(role.lock) in output
    assert digest in output
    assert "Traceback" not in output
    assert present(registry) == []
    assert json.loads(role.lock.read_text())["images"][f"{NAME}:1.0.0"]["digest"] == digest


@pytest.mark.parametrize(
    ("down", "message"), [(False, "it has no such image or tag"), (True, "no registry could be reached")]
)
def test_a_missing_image_and_a_registry_that_is_down_have_different_messages(
    registry: Registry, role: Role, down: bool, message: str
) -> None:
    if down:
        registry.stop()
    run = role.run(TINY, **mirror(registry))
    output = " ".join(run.output.split())
    assert run.code != 0
    assert message in output
    assert f"{registry.host}/{NAME}:1.0.0" in output
    assert "Traceback" not in output
    assert not role.lock.exists()


def test_auto_uses_a_registry_that_answers_and_reports_it(registry: Registry, role: Role, unknown_recipe: str) -> None:
    registry.push("one", "1.0.0")
    services = {"tiny": {"official": f"{NAME}:1.0.0", "recipe": "probe"}}
    run = role.run(services, image_source="auto", image_prefix=registry.host, image_recipe_folder=unknown_recipe)
    assert run.code == 0, run.output
    assert run.images["tiny"]["source"] == "registry"
    assert "images come from REGISTRY on this machine, because the registry answers" in " ".join(run.output.split())


def test_auto_uses_packages_if_no_registry_answers(registry: Registry, role: Role, unknown_recipe: str) -> None:
    registry.stop()
    services = {"tiny": {"official": f"{NAME}:1.0.0", "recipe": "probe"}}
    run = role.run(
        services, "--check", image_source="auto", image_prefix=registry.host, image_recipe_folder=unknown_recipe
    )
    assert run.code == 0, run.output
    assert run.images["tiny"]["source"] == "packages"
    assert "images come from PACKAGES on this machine, because no registry answers" in " ".join(run.output.split())
