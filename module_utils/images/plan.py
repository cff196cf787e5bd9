"""Decide which image a service runs. Pure: what is on the machine comes in as data."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

SOURCES = ("registry", "packages", "auto")


class ImageError(Exception):
    """An image cannot be had; the text is fit for people."""


@dataclass(frozen=True)
class Context:
    """A folder that an image is built from: hash of its content (hex), and whether it has Python requirements."""

    hash: str
    requirements: bool = False


@dataclass(frozen=True)
class Base:
    """An image that is pulled or made from a recipe. `reference` is empty while its digest is not known yet."""

    official: str
    recipe: str
    source: str
    reference: str


@dataclass(frozen=True)
class Choice:
    """The image of one service. `reference` is empty while it cannot be known; `kind` is pull, recipe or build."""

    service: str
    kind: str
    source: str
    reference: str
    base: Base
    context: str = ""
    context_hash: str = ""
    base_arg: str = ""
    requirements: bool = False


@dataclass(frozen=True)
class World:
    """What the choice depends on.

    prefix: registry or mirror that stands before official names, may be empty.
    lock: official name -> digest. tags: recipe -> tag of its image. contexts: build context path -> its state.
    """

    prefix: str = ""
    lock: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    contexts: Mapping[str, Context] = field(default_factory=dict)


def prefixed(prefix: str, official: str) -> str:
    """The official name behind a mirror: `mirror/` and `valkey/valkey:8` make `mirror/valkey/valkey:8`."""
    return f"{prefix.rstrip('/')}/{official}" if prefix else official


def split_tag(reference: str) -> tuple[str, str]:
    """Repository and tag of `host:5000/repo:tag`; ImageError without a tag, which would mean a moving `latest`."""
    repository, colon, tag = reference.rpartition(":")
    if not colon or not repository or not tag or "/" in tag or "@" in reference:
        raise ImageError(f"image {reference}: write repository:tag with a released version, without a digest")
    return repository, tag


def build_tag(service: str, context_hash: str, base_reference: str) -> str:
    """Tag of an image built from sources: changes with any file of the context and with the base."""
    digest = hashlib.sha256(f"{context_hash} {base_reference}".encode()).hexdigest()
    return f"localhost/{service}:{digest[:12]}"


def choose_base(image: Mapping[str, Any], source: str, world: World) -> Base:
    """The image that is pulled or made from a recipe, for `{official, recipe}`."""
    official, recipe = str(image.get("official", "")), str(image.get("recipe", ""))
    if source == "packages":
        if recipe not in world.tags:
            known = ", ".join(sorted(world.tags)) or "none"
            raise ImageError(
                f"image {official}: there is no recipe `{recipe}` for image_source=packages (there are: {known}); "
                "set image_source=registry, or add the recipe as docs/images.md says"
            )
        return Base(official, recipe, source, world.tags[recipe])
    split_tag(official)
    digest = world.lock.get(official, "")
    return Base(official, recipe, source, f"{prefixed(world.prefix, official)}@{digest}" if digest else "")


def choose(wanted: Mapping[str, Mapping[str, Any]], source: str, world: World) -> list[Choice]:
    """One choice a service, all from the same source (registry or packages)."""
    choices = []
    for service, image in wanted.items():
        build = image.get("build")
        if not build:
            base = choose_base(image, source, world)
            kind = "recipe" if source == "packages" else "pull"
            choices.append(Choice(service, kind, source, base.reference, base))
            continue
        base = choose_base(build["base"], source, world)
        path = str(build["context"])
        context = world.contexts.get(path, Context(""))
        reference = build_tag(service, context.hash, base.reference) if context.hash and base.reference else ""
        choices.append(
            Choice(
                service,
                "build",
                source,
                reference,
                base,
                path,
                context.hash,
                str(build["base_arg"]),
                context.requirements,
            )
        )
    return choices


def complete(choices: Sequence[Choice], present: Collection[str]) -> bool:
    """Whether every image is known and on the machine."""
    return all(choice.reference and choice.reference in present for choice in choices)


def settle_auto(registry: Sequence[Choice], packages: Sequence[Choice], present: Collection[str]) -> str:
    """The source that `auto` keeps without asking anybody, or an empty text when the registry has to be asked.

    A machine stays with what it has: an image must not be swapped because a network came or went.
    """
    if complete(registry, present):
        return "registry"
    if complete(packages, present):
        return "packages"
    return ""


def recipes_to_make(
    choices: Sequence[Choice], stands_on: Mapping[str, Sequence[str]], present: Collection[str], tags: Mapping[str, str]
) -> list[str]:
    """Recipes whose images are missing, each after those that it stands on."""
    order: list[str] = []

    def visit(recipe: str) -> None:
        if recipe in order or tags[recipe] in present:
            return
        for below in stands_on.get(recipe, ()):
            visit(below)
        order.append(recipe)

    for choice in choices:
        if choice.source == "packages" and choice.reference not in present:
            visit(choice.base.recipe)
    return order


def shared_recipes(
    to_make: Sequence[str], choices: Sequence[Choice], stands_on: Mapping[str, Sequence[str]]
) -> list[str]:
    """Those of `to_make` that several images stand on: made once, before the services work side by side."""
    users: dict[str, set[str]] = {recipe: set() for recipe in to_make}
    for choice in choices:
        if choice.base.recipe in users:
            users[choice.base.recipe].add(choice.service)
    for recipe in to_make:
        for below in stands_on.get(recipe, ()):
            if below in users:
                users[below].add(f"recipe {recipe}")
    own = {choice.base.recipe for choice in choices}
    return [recipe for recipe in to_make if recipe not in own or len(users[recipe]) > 1]
