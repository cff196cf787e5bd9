"""Which image a service runs, decided without a machine."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.module_utils.images.plan import (
    Context,
    ImageError,
    World,
    build_tag,
    choose,
    prefixed,
    recipes_to_make,
    settle_auto,
    shared_recipes,
    split_tag,
)

VALKEY = {"official": "valkey/valkey:8.1.4-alpine", "recipe": "valkey"}
AUTHN = {
    "build": {
        "context": "backend/apps/authn",
        "base_arg": "PYTHON_IMAGE",
        "base": {"official": "python:3.12-slim", "recipe": "python"},
    }
}
DIGEST = "sha256:" + "a" * 64
TAGS = {"valkey": "localhost/trade2026/valkey:8-1", "python": "localhost/trade2026/python:3-1", "base": "localhost/b:1"}
STANDS_ON = {"valkey": ["base"], "python": ["base"], "base": []}


def one(image: dict[str, Any], source: str, world: World) -> Any:
    return choose({"service": image}, source, world)[0]


@pytest.mark.parametrize(
    ("reference", "parts"),
    [
        ("valkey/valkey:8.1", ("valkey/valkey", "8.1")),
        ("mirror:5000/valkey/valkey:8.1", ("mirror:5000/valkey/valkey", "8.1")),
    ],
)
def test_a_port_is_not_a_tag(reference: str, parts: tuple[str, str]) -> None:
    assert split_tag(reference) == parts


@pytest.mark.parametrize("reference", ["valkey", "mirror:5000/valkey", f"valkey@{DIGEST}", "valkey:", ":8"])
def test_an_image_without_a_released_version_is_refused(reference: str) -> None:
    with pytest.raises(ImageError, match="released version"):
        split_tag(reference)


@pytest.mark.parametrize(
    ("prefix", "expected"), [("", "a/b:1"), ("m.example/hub", "m.example/hub/a/b:1"), ("m/", "m/a/b:1")]
)
def test_a_mirror_stands_before_the_official_name(prefix: str, expected: str) -> None:
    assert prefixed(prefix, "a/b:1") == expected


def test_registry_runs_by_the_locked_digest_behind_the_mirror() -> None:
    choice = one(VALKEY, "registry", World(prefix="m", lock={VALKEY["official"]: DIGEST}))
    assert (choice.kind, choice.reference) == ("pull", f"m/valkey/valkey:8.1.4-alpine@{DIGEST}")


def test_registry_without_a_lock_does_not_know_its_reference_yet() -> None:
    assert one(VALKEY, "registry", World()).reference == ""


def test_packages_runs_the_recipe() -> None:
    choice = one(VALKEY, "packages", World(tags=TAGS))
    assert (choice.kind, choice.reference) == ("recipe", TAGS["valkey"])


def test_an_unknown_recipe_names_those_there_are() -> None:
    with pytest.raises(ImageError, match=r"no recipe `valkey`.*there are: base, python"):
        one(VALKEY, "packages", World(tags={"python": "p", "base": "b"}))


def test_a_built_image_changes_with_its_context_and_with_its_base() -> None:
    world = World(tags=TAGS, contexts={"backend/apps/authn": Context("c" * 64, True)})
    choice = one(AUTHN, "packages", world)
    assert choice.kind == "build"
    assert choice.reference == build_tag("service", "c" * 64, TAGS["python"])
    assert choice.requirements
    others = {build_tag("service", "d" * 64, TAGS["python"]), build_tag("service", "c" * 64, TAGS["valkey"])}
    assert choice.reference not in others
    assert len(others) == 2


@pytest.mark.parametrize(
    "world",
    [
        pytest.param(World(contexts={"backend/apps/authn": Context("c" * 64)}), id="base never pulled"),
        pytest.param(World(lock={"python:3.12-slim": DIGEST}), id="not migrated yet"),
    ],
)
def test_a_built_image_is_not_known_before_its_parts_are(world: World) -> None:
    assert one(AUTHN, "registry", world).reference == ""


def both(present: set[str]) -> str:
    world = World(lock={VALKEY["official"]: DIGEST}, tags=TAGS)
    wanted = {"valkey": VALKEY}
    return settle_auto(choose(wanted, "registry", world), choose(wanted, "packages", world), present)


def test_auto_stays_with_what_the_machine_has() -> None:
    assert both({TAGS["valkey"]}) == "packages"
    assert both({f"valkey/valkey:8.1.4-alpine@{DIGEST}"}) == "registry"


def test_auto_asks_only_when_neither_source_is_complete() -> None:
    assert both(set()) == ""


def test_auto_is_not_complete_with_unknown_references() -> None:
    wanted = {"valkey": VALKEY}
    assert (
        settle_auto(choose(wanted, "registry", World(tags=TAGS)), choose(wanted, "packages", World(tags=TAGS)), {""})
        == ""
    )


def test_recipes_are_made_after_those_they_stand_on() -> None:
    choices = choose({"valkey": VALKEY}, "packages", World(tags=TAGS))
    assert recipes_to_make(choices, STANDS_ON, set(), TAGS) == ["base", "valkey"]


def test_what_is_there_is_not_made_again() -> None:
    choices = choose({"valkey": VALKEY}, "packages", World(tags=TAGS))
    assert recipes_to_make(choices, STANDS_ON, {TAGS["base"]}, TAGS) == ["valkey"]
    assert recipes_to_make(choices, STANDS_ON, {TAGS["valkey"]}, TAGS) == []


def test_a_recipe_below_a_built_image_is_made_for_it() -> None:
    world = World(tags=TAGS, contexts={"backend/apps/authn": Context("c" * 64)})
    choices = choose({"authn": AUTHN}, "packages", world)
    assert recipes_to_make(choices, STANDS_ON, set(), TAGS) == ["base", "python"]


def test_only_what_several_stand_on_is_made_beforehand() -> None:
    choices = choose({"valkey": VALKEY, "cache": VALKEY}, "packages", World(tags=TAGS))
    assert shared_recipes(["base", "valkey"], choices, STANDS_ON) == ["base", "valkey"]
    single = choose({"valkey": VALKEY}, "packages", World(tags=TAGS))
    assert shared_recipes(["base", "valkey"], single, STANDS_ON) == ["base"]
