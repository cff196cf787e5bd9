# SPDX-License-Identifier: GPL-3.0-or-later
"""Image builds with a fake engine that records what was built."""

from __future__ import annotations

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.images.build import ImageBuilder, Settings, write_recipe
from ansible.module_utils.images.plan import Base, Choice, ImageError

RECIPES: dict[str, dict[str, Any]] = {
    name: {
        "name": name,
        "title": name.title(),
        "version": "1",
        "built_from": f"source of {name}",
        "tag": f"localhost/trade2026/{name}:1-abc",
        "fetch": [],
        "build_from": {"BASE_IMAGE": below} if below else {},
        "stands_on": [below] if below else [],
        "files": {"Dockerfile": "FROM scratch\n", "bin/start.sh": "#!/bin/sh\n"},
        "python": "3.13",
    }
    for name, below in (("base", ""), ("left", "base"), ("right", "base"))
}


class Engine:
    """A fake engine that records the tags and arguments of builds."""

    def __init__(self, fails: str = "", says: str = "the compiler says why\n") -> None:
        self.fails = fails
        self.says = says
        self.built: list[str] = []
        self.words: list[list[str]] = []
        self.contexts: list[dict[str, int]] = []

    def run(self, words: list[str], **_: Any) -> tuple[int, str, str]:
        if words[:3] == ["docker", "image", "inspect"]:
            missing = [name for name in words[3:] if name not in self.built]
            if missing:
                return 1, "[]", f"Error: No such image: {missing[0]}"
            return 0, json.dumps([{"Id": f"id of {name}"} for name in words[3:]]), ""
        assert words[:2] == ["docker", "build"], words
        self.words.append(words)
        folder = Path(words[-1])
        self.contexts.append(
            {str(path.relative_to(folder)): path.stat().st_mode & 0o777 for path in folder.rglob("*") if path.is_file()}
        )
        tag = words[words.index("--tag") + 1]
        if self.fails and self.fails in tag:
            return 1, "Step 1/2\n", self.says
        self.built.append(tag)
        return 0, "Successfully built\n", ""


def builder(engine: Engine, tmp_path: Path) -> ImageBuilder:
    return ImageBuilder(engine.run, Settings(root=tmp_path / "root", cache=tmp_path / "cache"), RECIPES)


def test_a_recipe_is_built_after_its_base_and_says_what_it_is(tmp_path: Path) -> None:
    engine = Engine()
    assert builder(engine, tmp_path).ensure_recipe("left") == ["base", "left"]
    words = engine.words[-1]
    assert "BASE_IMAGE=localhost/trade2026/base:1-abc" in words
    assert "com.trade2026.image.built-from=source of left" in words
    assert "org.opencontainers.image.version=1" in words
    assert engine.contexts[-1] == {"Dockerfile": 0o644, "bin/start.sh": 0o755}


def test_an_existing_image_is_not_built_again(tmp_path: Path) -> None:
    engine = Engine()
    builder(engine, tmp_path).ensure_recipe("left")
    assert builder(engine, tmp_path).ensure_recipe("left") == []
    assert builder(engine, tmp_path).ensure_recipe("right") == ["right"]


def test_recipes_built_in_parallel_build_their_base_once(tmp_path: Path) -> None:
    engine = Engine()
    with ThreadPoolExecutor(4) as pool:
        results = list(
            pool.map(lambda name: builder(engine, tmp_path).ensure_recipe(name), ["left", "right", "left", "right"])
        )
    assert sorted(engine.built) == sorted(recipe["tag"] for recipe in RECIPES.values())
    assert sorted(name for result in results for name in result) == ["base", "left", "right"]


def test_a_failed_build_names_the_log_and_ends_with_its_output(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"left:1-abc could not be built(.|\n)*log/left\.log(.|\n)*compiler says why"):
        builder(Engine(fails="left"), tmp_path).ensure_recipe("left")
    assert "Step 1/2" in (tmp_path / "cache/log/left.log").read_text()
    assert list((tmp_path / "cache/build").iterdir()) == []


def test_a_full_disk_is_named_with_what_to_do_and_without_colours(tmp_path: Path) -> None:
    engine = Engine("left", "\x1b[91mdd: error writing '/x': No space left on device\n\x1b[0mRemoving container\n")
    with pytest.raises(ImageError, match=r"No space left on device\n(.|\n)*Do: free some space on the disk") as error:
        builder(engine, tmp_path).ensure_recipe("left")
    assert "\x1b" not in str(error.value)


def test_leftovers_of_a_killed_build_are_not_used(tmp_path: Path) -> None:
    left = tmp_path / "cache/build/base-1-abc"
    left.mkdir(parents=True)
    (left / "half").touch()
    engine = Engine()
    builder(engine, tmp_path).ensure_recipe("base")
    assert "half" not in engine.contexts[0]


def test_an_unknown_kind_of_download_names_the_valid_ones(tmp_path: Path) -> None:
    recipes = {"base": {**RECIPES["base"], "fetch": ["curl"]}}
    wrong = ImageBuilder(Engine().run, Settings(root=tmp_path, cache=tmp_path / "cache"), recipes)
    with pytest.raises(ImageError, match="debootstrap, go, maven, pypi, not curl"):
        wrong.ensure_recipe("base")


def test_a_base_that_was_removed_meanwhile_is_reported(tmp_path: Path) -> None:
    recipes = {"base": {key: value for key, value in RECIPES["base"].items() if key != "files"}}
    wrong = ImageBuilder(Engine().run, Settings(root=tmp_path, cache=tmp_path / "cache"), recipes)
    with pytest.raises(ImageError, match="run again"):
        wrong.ensure_recipe("base")


def application(tmp_path: Path, **changes: Any) -> Choice:
    context = tmp_path / "root/backend/apps/authn"
    (context / "__pycache__").mkdir(parents=True)
    (context / "wheels").mkdir()
    (context / "wheels/old.whl").touch()
    (context / "main.py").write_text("print(1)\n")
    base = Base("python:3.12-slim", "base", "packages", RECIPES["base"]["tag"], "1")
    values = {
        "service": "authn",
        "kind": "build",
        "source": "packages",
        "reference": "localhost/authn:abc",
        "base": base,
    }
    return Choice(**{**values, "context": "backend/apps/authn", "context_hash": "c", "base_arg": "PYTHON", **changes})


def test_an_application_is_built_from_a_copy_of_its_sources(tmp_path: Path) -> None:
    engine = Engine()
    choice = application(tmp_path)
    assert builder(engine, tmp_path).ensure_application(choice, "Tokens")
    assert engine.contexts == [{"main.py": 0o644}]
    assert f"PYTHON={RECIPES['base']['tag']}" in engine.words[0]
    assert "org.opencontainers.image.title=Tokens" in engine.words[0]
    assert not builder(engine, tmp_path).ensure_application(choice, "Tokens")


@pytest.mark.parametrize(
    ("source", "official", "version"),
    [("packages", "python:3.12-slim", "313"), ("registry", "python:3.12-slim", "312")],
)
def test_wheels_are_those_of_the_base_that_is_used(tmp_path: Path, source: str, official: str, version: str) -> None:
    commands: list[list[str]] = []
    engine = Engine()

    def run(words: list[str], **options: Any) -> tuple[int, str, str]:
        if words[0] == "docker":
            return engine.run(words, **options)
        commands.append(words)
        return 0, "", ""

    base = Base(official, "base", source, RECIPES["base"]["tag"], "1")
    choice = application(tmp_path, requirements=True, source=source, base=base)
    settings = Settings(root=tmp_path / "root", cache=tmp_path / "cache")
    ImageBuilder(run, settings, RECIPES).ensure_application(choice, "Tokens")
    assert f"--abi=cp{version}" in commands[-1]


def test_a_base_with_an_unknown_python_is_named(tmp_path: Path) -> None:
    base = Base("python:slim", "base", "registry", "python:slim@sha256:1", "slim")
    choice = application(tmp_path, requirements=True, source="registry", base=base)
    with pytest.raises(ImageError, match="python:slim does not say its version of Python"):
        builder(Engine(), tmp_path).ensure_application(choice, "Tokens")


def test_modes_follow_from_the_content(tmp_path: Path) -> None:
    write_recipe(tmp_path, {"a": "#!/bin/sh\n", "b": "text\n"})
    assert [(tmp_path / name).stat().st_mode & 0o777 for name in "ab"] == [0o755, 0o644]
    shutil.rmtree(tmp_path)
