# SPDX-License-Identifier: GPL-3.0-or-later
"""Read the state of the machine that the choice of images depends on, and the images that it has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible.module_utils.images.archive import fingerprint, read_manifest
from ansible.module_utils.images.context import read_context
from ansible.module_utils.images.lock import read_lock, read_verified
from ansible.module_utils.images.plan import Archived, Choice, ImageError, State, choose, prefixed, settle_auto
from ansible.module_utils.images.registry import answers
from ansible.module_utils.shared.docker import Docker

# The options that image_plan and image_ensure have in common.
OPTIONS: dict[str, dict[str, Any]] = {
    "recipes": {"type": "dict", "default": {}},
    "prefix": {"type": "str", "default": ""},
    "lock": {"type": "path", "required": True},
    "root": {"type": "path", "required": True},
    "archive": {"type": "path"},
    "archive_sha256": {"type": "str", "default": ""},
    "signatures": {"type": "dict", "default": {}},
}


def read_state(params: Mapping[str, Any], wanted: Mapping[str, Mapping[str, Any]]) -> State:
    """Read the state that the choice of images depends on."""
    paths = {str(image["build"]["context"]) for image in wanted.values() if image.get("build")}
    return State(
        prefix=params["prefix"],
        lock=read_lock(Path(params["lock"])),
        recipes=params["recipes"],
        contexts={path: read_context(Path(params["root"], path)) for path in paths},
        archive=read_archive(params) if params["source"] == "archive" else {},
        signatures=params["signatures"],
        verified=read_verified(Path(params["lock"])) if params["signatures"] else {},
    )


def read_archive(params: Mapping[str, Any]) -> Mapping[str, Archived]:
    """The images of the bundle that the site names."""
    if not params["archive"]:
        raise ImageError("image_source=archive: set image_archive to the folder of a bundle (playbooks/bundle.yml)")
    return read_manifest(Path(params["archive"]), params["archive_sha256"]).images


def find_images(docker: Docker, choices: Sequence[Choice], state: State) -> dict[str, dict[str, Any]]:
    """What the engine reports about the images of these choices and of all recipes, in one call."""
    references = {choice.reference for choice in choices} | {choice.base.reference for choice in choices}
    if any(choice.source == "packages" for choice in choices):
        references |= {str(recipe["tag"]) for recipe in state.recipes.values()}
    found = docker.inspect("image", *sorted(references - {""}))
    # A tag that names another image than the bundle does not count.
    foreign = {
        archived.reference
        for archived in state.archive.values()
        if archived.reference in found and fingerprint(found[archived.reference]) != archived.fingerprint
    }
    return {reference: image for reference, image in found.items() if reference not in foreign}


def choose_auto(
    docker: Docker, wanted: Mapping[str, Mapping[str, Any]], state: State, known: bool | None
) -> tuple[str, bool | None]:
    """The source that `auto` means on this machine, and whether a registry answered (None if none was asked)."""
    registry, packages = (choose(wanted, source, state) for source in ("registry", "packages"))
    present = find_images(docker, [*registry, *packages], state)
    source = settle_auto(registry, packages, present)
    if source:
        return source, None
    if known is None:
        missing = next(choice for choice in registry if choice.reference not in present)
        known = answers(docker, prefixed(state.prefix, missing.base.official))
    return ("registry" if known else "packages"), known
