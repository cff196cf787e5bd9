# SPDX-License-Identifier: GPL-3.0-or-later
"""The choice of the image that a service runs, without a machine."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.module_utils.images.plan import (
    Context,
    ImageError,
    State,
    build_tag,
    choose,
    describe,
    is_version,
    missing_recipes,
    number_missing,
    prefixed,
    settle_auto,
    source_of,
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
RECIPES: dict[str, dict[str, Any]] = {
    "valkey": {
        "title": "Valkey",
        "version": "8.1.1",
        "official": "valkey/valkey:8.1.4-alpine",
        "tag": TAGS["valkey"],
        "built_from": "Debian",
        "stands_on": ["base"],
    },
    "python": {"title": "Python", "version": "3.12", "tag": TAGS["python"], "built_from": "D", "stands_on": ["base"]},
    "base": {"title": "Debian", "version": "13", "tag": TAGS["base"], "built_from": "D", "stands_on": []},
}


def one(image: dict[str, Any], source: str, state: State) -> Any:
    return choose({"service": image}, source, state)[0]


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
def test_a_mirror_precedes_the_official_name(prefix: str, expected: str) -> None:
    assert prefixed(prefix, "a/b:1") == expected


def test_registry_runs_by_the_locked_digest_behind_the_mirror() -> None:
    choice = one(VALKEY, "registry", State(prefix="m", lock={VALKEY["official"]: DIGEST}))
    assert (choice.kind, choice.reference) == ("pull", f"m/valkey/valkey:8.1.4-alpine@{DIGEST}")


def test_registry_without_a_lock_does_not_know_its_reference_yet() -> None:
    assert one(VALKEY, "registry", State()).reference == ""


def test_packages_runs_the_recipe() -> None:
    choice = one(VALKEY, "packages", State(recipes=RECIPES))
    assert (choice.kind, choice.reference) == ("recipe", TAGS["valkey"])


def test_an_unknown_recipe_names_the_valid_ones() -> None:
    with pytest.raises(ImageError, match=r"no recipe `valkey`.*valid: base, python"):
        one(VALKEY, "packages", State(recipes={name: RECIPES[name] for name in ("python", "base")}))


def test_a_built_image_changes_with_its_context_and_with_its_base() -> None:
    state = State(recipes=RECIPES, contexts={"backend/apps/authn": Context("c" * 64, True)})
    choice = one(AUTHN, "packages", state)
    assert choice.kind == "build"
    assert choice.reference == build_tag("service", "c" * 64, TAGS["python"])
    assert choice.requirements
    others = {build_tag("service", "d" * 64, TAGS["python"]), build_tag("service", "c" * 64, TAGS["valkey"])}
    assert choice.reference not in others
    assert len(others) == 2


@pytest.mark.parametrize(
    "state",
    [
        pytest.param(State(contexts={"backend/apps/authn": Context("c" * 64)}), id="base never pulled"),
        pytest.param(State(lock={"python:3.12-slim": DIGEST}), id="not migrated yet"),
    ],
)
def test_a_built_image_is_not_known_before_its_parts_are(state: State) -> None:
    assert one(AUTHN, "registry", state).reference == ""


def both(present: set[str]) -> str:
    state = State(lock={VALKEY["official"]: DIGEST}, recipes=RECIPES)
    wanted = {"valkey": VALKEY}
    return settle_auto(choose(wanted, "registry", state), choose(wanted, "packages", state), present)


def test_auto_stays_with_what_the_machine_has() -> None:
    assert both({TAGS["valkey"]}) == "packages"
    assert both({f"valkey/valkey:8.1.4-alpine@{DIGEST}"}) == "registry"


def test_auto_asks_only_when_neither_source_is_complete() -> None:
    assert both(set()) == ""


def test_auto_is_not_complete_with_unknown_references() -> None:
    wanted = {"valkey": VALKEY}
    assert (
        settle_auto(
            choose(wanted, "registry", State(recipes=RECIPES)), choose(wanted, "packages", State(recipes=RECIPES)), {""}
        )
        == ""
    )


@pytest.mark.parametrize(
    ("tag", "version", "same"),
    [
        ("8.1.1-alpine", "8.1.1", True),
        ("8.1.1", "8.1.1", True),
        ("8.1.10", "8.1.1", False),
        ("4.44", "4.4", False),
        ("1.22.2-static", "1.22.2", True),
    ],
)
def test_a_tag_names_a_version(tag: str, version: str, same: bool) -> None:
    assert is_version(tag, version) == same


def test_a_stand_in_says_how_it_differs_from_the_default() -> None:
    base = one(VALKEY, "packages", State(recipes=RECIPES)).base
    assert base.difference == "Valkey 8.1.1 in place of valkey/valkey:8.1.4-alpine"


def test_a_stand_in_of_the_declared_version_does_not_differ() -> None:
    assert one({**VALKEY, "official": "valkey/valkey:8.1.1"}, "packages", State(recipes=RECIPES)).base.difference == ""


def test_another_version_than_the_default_is_never_replaced() -> None:
    with pytest.raises(ImageError, match=r"valkey/valkey:9\.9\.9.*Valkey 8\.1\.1 only.*registry or archive"):
        one({**VALKEY, "official": "valkey/valkey:9.9.9"}, "packages", State(recipes=RECIPES))


def test_another_version_is_the_site_s_choice_with_a_registry() -> None:
    image = {**VALKEY, "official": "valkey/valkey:9.9.9"}
    assert one(image, "registry", State(recipes=RECIPES)).base.version == "9.9.9"


def needs(image: dict[str, Any], present: set[str]) -> list[str]:
    state = State(recipes=RECIPES, contexts={"backend/apps/authn": Context("c" * 64)})
    return missing_recipes(one(image, "packages", state), RECIPES, present)


def test_recipes_are_built_after_those_they_are_built_on() -> None:
    assert needs(VALKEY, set()) == ["base", "valkey"]


def test_an_existing_image_is_not_built_again() -> None:
    assert needs(VALKEY, {TAGS["base"]}) == ["valkey"]
    assert needs(VALKEY, {TAGS["valkey"]}) == []


def test_a_recipe_below_an_application_is_built_for_it() -> None:
    assert needs(AUTHN, set()) == ["base", "python"]


def test_a_description_says_all_that_a_run_shows() -> None:
    state = State(recipes=RECIPES)
    choice = one(VALKEY, "packages", state)
    assert describe(choice, state, {}) == {
        "kind": "recipe",
        "source": "packages",
        "reference": TAGS["valkey"],
        "present": False,
        "id": "",
        "version": "8.1.1",
        "built_from": "Debian",
        "difference": "Valkey 8.1.1 in place of valkey/valkey:8.1.4-alpine",
        "unverified": "",
        "context_hash": "",
        "needs": ["base", "valkey"],
    }
    assert describe(choice, state, {TAGS["valkey"]: {"Id": "sha256:1"}})["id"] == "sha256:1"


def test_an_application_that_is_not_known_yet_is_reported_as_such() -> None:
    state = State()
    described = describe(one(AUTHN, "registry", state), state, {})
    assert described["reference"] == "localhost/service:not-built-yet"
    assert not described["present"]


def test_missing_images_are_numbered() -> None:
    images: dict[str, dict[str, Any]] = {
        "a": {"present": False},
        "b": {"present": True},
        "c": {"present": False},
    }
    number_missing(images)
    assert [image.get("progress") for image in images.values()] == ["image 1 of 2", None, "image 2 of 2"]


@pytest.mark.parametrize(
    ("image", "source"),
    [
        ({"Config": {"Labels": {"com.trade2026.image.source": "packages"}}, "RepoDigests": []}, "packages"),
        # Built from migrated sources on a base of a registry.
        ({"Config": {"Labels": {"com.trade2026.image.source": "registry"}}, "RepoDigests": []}, "registry"),
        ({"Config": {"Labels": None}, "RepoDigests": ["valkey/valkey@sha256:1"]}, "registry"),
        ({"Config": {}, "RepoDigests": []}, "archive"),
        ({}, ""),
    ],
)
def test_an_image_says_where_it_came_from(image: dict[str, Any], source: str) -> None:
    assert source_of(image) == source
