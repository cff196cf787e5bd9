# SPDX-License-Identifier: GPL-3.0-or-later
"""Decide which image a service runs. Pure: the state of the machine is passed in as data."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible.module_utils.images.signature import Signer, signer_of

SOURCES = ("registry", "packages", "archive", "auto")
# Label of an image that was built by this project: what it, or its base, was built from.
SOURCE_LABEL = "com.trade2026.image.source"


class ImageError(Exception):
    """An image cannot be provided; the text is a message for the user."""


def source_of(image: Mapping[str, Any]) -> str:
    """Where an image of the engine came from, from its `docker inspect`; empty for an image that is not there."""
    if not image:
        return ""
    labels = (image.get("Config") or {}).get("Labels") or {}
    # An image that was loaded has no digest of a registry.
    return str(labels.get(SOURCE_LABEL) or ("registry" if image.get("RepoDigests") else "archive"))


@dataclass(frozen=True)
class Context:
    """A folder that an image is built from: hash of its content (hex), and whether it has Python requirements."""

    hash: str
    requirements: bool = False


@dataclass(frozen=True)
class Base:
    """An image that is pulled or built from a recipe.

    reference: empty while its digest is not known yet. difference: how it differs from the declared image, or empty.
    unverified: who must have signed it, while that was not verified.
    """

    official: str
    recipe: str
    source: str
    reference: str
    version: str
    difference: str = ""
    unverified: Signer | None = None


@dataclass(frozen=True)
class Choice:
    """The image of one service.

    kind: pull, recipe, build or load. reference: empty while it cannot be known.
    """

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
class Archived:
    """One image of a bundle, for image_source=archive.

    reference: the tag that it is saved and runs under. official: the declared image; for an application, its base.
    source: where it came from. digest: that of the registry. context_hash: the sources that an application was built
    from. verified_by: mark of the signer, if its signature was verified.
    """

    reference: str
    official: str
    source: str
    version: str
    built_from: str
    difference: str
    fingerprint: str
    size: int
    digest: str = ""
    context_hash: str = ""
    verified_by: str = ""


@dataclass(frozen=True)
class State:
    """What the choice depends on.

    prefix: registry or mirror in front of official names, may be empty. lock: official name → digest.
    recipes: recipe → its description from the lookup image_recipes. contexts: path of a build context → its state.
    archive: service → its image in the bundle. signatures: image_signatures. verified: official name → mark of the
    signer whose signature was verified.
    """

    prefix: str = ""
    lock: Mapping[str, str] = field(default_factory=dict)
    recipes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    contexts: Mapping[str, Context] = field(default_factory=dict)
    archive: Mapping[str, Archived] = field(default_factory=dict)
    signatures: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    verified: Mapping[str, str] = field(default_factory=dict)


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


def is_version(tag: str, version: str) -> bool:
    """Whether an official tag names this version: `8.1.1-alpine` and `8.1.1` are version 8.1.1."""
    return tag == version or tag.startswith(f"{version}-")


def recipe_difference(official: str, recipe: Mapping[str, Any]) -> str:
    """How a recipe's image differs from the declared one, or an empty text.

    Raises ImageError if a site declares another version than the one that the recipe stands in for: the image built
    here would be a version that nobody declared.
    """
    version = str(recipe["version"])
    _repository, tag = split_tag(official)
    if is_version(tag, version):
        return ""
    stands_in_for = str(recipe.get("official") or "")
    if stands_in_for and official != stands_in_for:
        raise ImageError(
            f"image {official}: image_source=packages builds {recipe['title']} {version} only, which stands in for "
            f"{stands_in_for}. Remove the setting of this image, or set image_source to registry or archive."
        )
    return f"{recipe['title']} {version} in place of {official}"


def choose_base(image: Mapping[str, Any], source: str, state: State) -> Base:
    """The image that is pulled or built from a recipe, for `{official, recipe}`."""
    official, recipe = str(image.get("official", "")), str(image.get("recipe", ""))
    if source == "packages":
        if recipe not in state.recipes:
            known = ", ".join(sorted(state.recipes)) or "none"
            raise ImageError(
                f"image {official}: there is no recipe `{recipe}` for image_source=packages (valid: {known}); "
                "set image_source=registry, or add the recipe as docs/images.md says"
            )
        found = state.recipes[recipe]
        difference = recipe_difference(official, found)
        return Base(official, recipe, source, str(found["tag"]), str(found["version"]), difference)
    _repository, tag = split_tag(official)
    digest = state.lock.get(official, "")
    reference = f"{prefixed(state.prefix, official)}@{digest}" if digest else ""
    signer = signer_of(state.signatures, official)
    verified = signer is None or state.verified.get(official) == signer.mark
    return Base(official, recipe, source, reference, tag, unverified=None if verified else signer)


def choose_archived(service: str, image: Mapping[str, Any], state: State) -> Choice:
    """The image of a service in the bundle; raises ImageError if the bundle was made for another declaration."""
    again = "Write it again with playbooks/bundle.yml and this site's variables"
    if service not in state.archive:
        raise ImageError(f"{service}: the bundle has no image for it, only for {', '.join(state.archive)}. {again}")
    archived = state.archive[service]
    build = image.get("build") or {}
    declared = build["base"] if build else image
    official = str(declared["official"])
    if archived.official != official:
        raise ImageError(f"{service}: {official} is declared, and the bundle was made for {archived.official}. {again}")
    signer = signer_of(state.signatures, official)
    if signer and archived.verified_by != signer.mark:
        raise ImageError(
            f"{service}: image_signatures requires a signature of {official} by {signer}, which was not verified when "
            f"the bundle was written. {again}"
        )
    context = state.contexts.get(str(build.get("context", "")), Context(""))
    if context.hash and context.hash != archived.context_hash:
        raise ImageError(
            f"{service}: {build['context']} on this machine differs from what its image in the bundle was built from. "
            f"{again}"
        )
    base = Base(official, "", "archive", archived.reference, archived.version, archived.difference)
    return Choice(service, "load", "archive", archived.reference, base)


def choose(wanted: Mapping[str, Mapping[str, Any]], source: str, state: State) -> list[Choice]:
    """One choice per service, all from the same source (registry, packages or archive)."""
    choices = []
    for service, image in wanted.items():
        if source == "archive":
            choices.append(choose_archived(service, image, state))
            continue
        build = image.get("build")
        if not build:
            base = choose_base(image, source, state)
            kind = "recipe" if source == "packages" else "pull"
            choices.append(Choice(service, kind, source, base.reference, base))
            continue
        base = choose_base(build["base"], source, state)
        path = str(build["context"])
        context = state.contexts.get(path, Context(""))
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
    """The source that `auto` keeps without asking a registry, or an empty text if one has to be asked.

    A machine stays with the source that it has: an image must not be swapped because a network became reachable or not.
    """
    if complete(registry, present):
        return "registry"
    if complete(packages, present):
        return "packages"
    return ""


def missing_recipes(choice: Choice, recipes: Mapping[str, Mapping[str, Any]], present: Collection[str]) -> list[str]:
    """Recipes to build for a missing image, each after those that it is built on."""
    order: list[str] = []

    def visit(recipe: str) -> None:
        if recipe in order or recipes[recipe]["tag"] in present:
            return
        for below in recipes[recipe].get("stands_on", ()):
            visit(below)
        order.append(recipe)

    if choice.source == "packages" and choice.reference not in present:
        visit(choice.base.recipe)
    return order


def describe(choice: Choice, state: State, present: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """One service's image as plain data."""
    base = choice.base
    recipe = state.recipes.get(base.recipe, {}) if choice.source == "packages" else {}
    by_tag = prefixed(state.prefix, base.official)
    reference, version = choice.reference or by_tag, base.version
    built_from = str(recipe.get("built_from") or by_tag)
    if choice.kind == "build":
        reference = choice.reference or f"localhost/{choice.service}:not-built-yet"
        # The hash of the sources is their only version.
        version = reference.rpartition(":")[2]
        built_from = f"{choice.context} on {base.reference or by_tag}"
    if choice.kind == "load":
        archived = state.archive[choice.service]
        built_from = f"bundle, {archived.source}: {archived.built_from}"
    needs = missing_recipes(choice, state.recipes, present)
    return {
        "kind": choice.kind,
        "source": choice.source,
        "reference": reference,
        "present": choice.reference in present and base.unverified is None,
        "id": str(present.get(choice.reference, {}).get("Id", "")),
        "version": version,
        "built_from": built_from,
        "difference": base.difference,
        "unverified": str(base.unverified or ""),
        "context_hash": choice.context_hash,
        "needs": needs,
    }


def number_missing(images: Mapping[str, dict[str, Any]]) -> None:
    """Number the images that a run has to provide, for its progress: `image 3 of 9`."""
    missing = [image for image in images.values() if not image["present"]]
    for number, image in enumerate(missing, start=1):
        image["progress"] = f"image {number} of {len(missing)}"
