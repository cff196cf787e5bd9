#!/usr/bin/python
"""Tell which image every service runs, where it comes from, and whether it is on the machine."""

from __future__ import annotations

DOCUMENTATION = r"""
module: image_info
version_added: 1.0.0
short_description: Tell which images the services run and which of them are on the machine
description:
  - Turns the C(image) of every service into one exact reference, for the declared source.
  - Looks all of them up in one go. Changes nothing, and asks the network only for O(source=auto) when the machine
    has the images of neither source.
options:
  wanted:
    description:
      - Service name to its image, either C({official, recipe}) or C({build}) with C(context), C(base_arg) and C(base).
      - A build context is relative to O(root).
    type: dict
    required: true
  source:
    description: Where images come from. With V(auto) the machine keeps what it has, then asks the registry.
    type: str
    choices: [registry, packages, auto]
    required: true
  recipes:
    description:
      - Recipe name to C(tag), C(version), C(built_from) and C(stands_on), as the lookup C(image_recipes) gives them.
    type: dict
    default: {}
  prefix:
    description: Registry or mirror that stands before official names.
    type: str
    default: ""
  lock:
    description: File with the digests of official images.
    type: path
    required: true
  root:
    description: Folder that build contexts are relative to.
    type: path
    required: true
  registry_answers:
    description: What an earlier question to the registry gave, so that a silent one is waited for only once.
    type: bool
attributes:
  check_mode:
    description: Changes nothing, in check mode or otherwise.
    support: full
  diff_mode:
    description: There is nothing to show.
    support: none
author: [Trade2026 founders (@trade2026)]
"""

EXAMPLES = r"""
- name: See which images are there
  image_info:
    wanted:
      valkey: {official: "valkey/valkey:8.1.4-alpine", recipe: valkey}
    source: packages
    recipes:
      valkey: {tag: "localhost/trade2026/valkey:8.0.1-0123456789ab", stands_on: []}
    lock: /srv/trade2026/infrastructure/docker/images.lock.json
    root: /srv/trade2026
"""

RETURN = r"""
source:
  description: The source in force, registry or packages.
  returned: success
  type: str
asked:
  description: Whether the registry was asked, and what came of it; null when it was not.
  returned: success
  type: bool
images:
  description: For every service kind, reference, present, id, digest, version, built_from and base.
  returned: success
  type: dict
to_make:
  description: Recipes whose images are missing, in the order of making.
  returned: success
  type: list
  elements: str
shared:
  description: Those of them that several images stand on.
  returned: success
  type: list
  elements: str
tools:
  description: Which of the host's tools for making images there are, and this module's Python.
  returned: success
  type: dict
mirrors:
  description: The Debian mirrors of the machine's own apt, C(main) and C(security), where something is to be made.
  returned: success
  type: dict
machine:
  description: The machine's architecture, as wheels name it.
  returned: success
  type: str
"""

import importlib.util
import platform
import shutil
import sys
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.core.docker_cli import Docker, DockerError, Runner
from ansible.module_utils.images.context import read_context
from ansible.module_utils.images.lock import read_lock
from ansible.module_utils.images.plan import (
    SOURCES,
    Choice,
    ImageError,
    World,
    choose,
    prefixed,
    recipes_to_make,
    settle_auto,
    shared_recipes,
    split_tag,
)
from ansible.module_utils.images.registry import answers


def world(params: dict[str, Any]) -> World:
    """What the choice depends on, read from the machine."""
    paths = {str(image["build"]["context"]) for image in params["wanted"].values() if image.get("build")}
    return World(
        prefix=params["prefix"],
        lock=read_lock(Path(params["lock"])),
        tags={name: str(recipe["tag"]) for name, recipe in params["recipes"].items()},
        contexts={path: read_context(Path(params["root"], path)) for path in paths},
    )


def describe(choice: Choice, state: World, params: dict[str, Any], found: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """One service's image as plain data."""
    inspect = found.get(choice.reference, {})
    base = choice.base
    recipe = params["recipes"].get(base.recipe, {}) if choice.source == "packages" else {}
    by_tag = prefixed(state.prefix, base.official)
    # An official image's own version label is often that of the distribution it stands on, so its tag speaks for it.
    version = str(recipe.get("version") or split_tag(base.official)[1])
    built_from = str(recipe.get("built_from") or by_tag)
    reference = choice.reference or by_tag
    if choice.kind == "build":
        reference = choice.reference or f"localhost/{choice.service}:not-built-yet"
        version = reference.rpartition(":")[2]
        built_from = f"{choice.context} on {base.reference or by_tag}"
    return {
        "kind": choice.kind,
        "source": choice.source,
        "reference": reference,
        "present": bool(inspect),
        "id": inspect.get("Id", ""),
        "digest": choice.reference.partition("@")[2],
        "version": version,
        "built_from": built_from,
        "context": choice.context,
        "context_hash": choice.context_hash,
        "requirements": choice.requirements,
        "base_arg": choice.base_arg,
        "base": {
            "official": base.official,
            "recipe": base.recipe,
            "reference": base.reference,
            "present": base.reference in found,
        },
    }


def mirrors(run: Runner) -> dict[str, str]:
    """The Debian 12 mirrors that the machine's own apt uses; empty where it has none."""
    wording = ["--format", "$(RELEASE) $(COMPONENT) $(REPO_URI)", "Created-By: Packages"]
    try:
        code, out, _err = run(["apt-get", "indextargets", *wording], handle_exceptions=False)
    except (OSError, ValueError):
        return {"main": "", "security": ""}
    lines = [line.split(" ", 2) for line in out.splitlines()] if code == 0 else []
    first = {f"{line[0]} {line[1]}": line[2] for line in reversed(lines) if len(line) == 3}
    return {"main": first.get("bookworm main", ""), "security": first.get("bookworm-security main", "")}


def look(run: Runner, params: dict[str, Any]) -> dict[str, Any]:
    """Everything that this module returns."""
    docker = Docker(run)
    state = world(params)
    sources = ("registry", "packages") if params["source"] == "auto" else (params["source"],)
    choices = {source: choose(params["wanted"], source, state) for source in sources}
    references = {choice.reference for chosen in choices.values() for choice in chosen}
    references |= {choice.base.reference for chosen in choices.values() for choice in chosen}
    references |= {str(recipe["tag"]) for recipe in params["recipes"].values()} if "packages" in choices else set()
    found = docker.inspect("image", *sorted(references - {""}))

    source, asked = params["source"], None
    if source == "auto":
        source = settle_auto(choices["registry"], choices["packages"], found)
        if not source:
            missing = next(choice for choice in choices["registry"] if choice.reference not in found)
            asked = params["registry_answers"]
            if asked is None:
                asked = answers(docker, prefixed(state.prefix, missing.base.official))
            source = "registry" if asked else "packages"

    stands_on = {name: list(recipe.get("stands_on", [])) for name, recipe in params["recipes"].items()}
    missing_recipes = recipes_to_make(choices[source], stands_on, found, state.tags)
    shared = shared_recipes(missing_recipes, choices[source], stands_on)
    to_make = shared + [recipe for recipe in missing_recipes if recipe not in shared]
    return {
        "source": source,
        "asked": asked,
        "images": {choice.service: describe(choice, state, params, found) for choice in choices[source]},
        "to_make": to_make,
        "shared": shared,
        "tools": {
            "python": sys.executable,
            "ensurepip": importlib.util.find_spec("ensurepip") is not None,
            **{tool: shutil.which(tool) is not None for tool in ("debootstrap", "mvn")},
        },
        "machine": platform.machine(),
        "mirrors": mirrors(run) if to_make else {"main": "", "security": ""},
    }


def main() -> None:
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            "wanted": {"type": "dict", "required": True},
            "source": {"type": "str", "choices": list(SOURCES), "required": True},
            "recipes": {"type": "dict", "default": {}},
            "prefix": {"type": "str", "default": ""},
            "lock": {"type": "path", "required": True},
            "root": {"type": "path", "required": True},
            "registry_answers": {"type": "bool"},
        },
        supports_check_mode=True,
    )
    try:
        result = look(module.run_command, module.params)
    except (ImageError, DockerError) as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=f"{error.filename}: cannot be read: {error.strerror}")
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
