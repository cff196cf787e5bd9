# SPDX-License-Identifier: GPL-3.0-or-later
"""The recipes of images built from packages, each with the tag that names its content."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import yaml
from ansible.errors import AnsibleError
from ansible.plugins.lookup import LookupBase

DOCUMENTATION = r"""
name: image_recipes
author: Trade2026
short_description: Read the recipes of a folder
description:
  - Every folder with a C(recipe.yml) is a recipe. Its tag has a hash over all its files and those of the recipes that
    it is built on, so an unchanged recipe reuses its image, and a changed one gets a new tag.
options:
  _terms:
    description: The folder with the recipes, on the controller.
    required: true
    type: list
    elements: path
  files_of:
    description: Recipes whose files are returned as well.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Show the tags
  ansible.builtin.debug:
    msg: "{{ lookup('image_recipes', role_path ~ '/files/packages') }}"
"""

RETURN = r"""
_raw:
  description:
    - One dictionary, from a recipe's name to the content of recipe.yml, with C(tag) and C(stands_on), and with
      C(files), from path to text, for O(files_of).
  type: list
  elements: dict
"""

REQUIRED = ("title", "version", "built_from")


def read_recipe(folder: Path) -> dict[str, Any]:
    """The content of recipe.yml with defaults; AnsibleError if it is not a recipe."""
    path = folder / "recipe.yml"
    try:
        recipe = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise AnsibleError(f"{path}: not a recipe: {error}") from error
    missing = [key for key in REQUIRED if not str((recipe or {}).get(key, ""))]
    if missing:
        raise AnsibleError(f"{path}: {', '.join(missing)} is missing; see docs/images.md")
    build_from = dict(recipe.get("build_from") or {})
    if recipe.get("from"):
        build_from["BASE_IMAGE"] = recipe["from"]
    return {
        **recipe,
        "name": folder.name,
        "version": str(recipe["version"]),
        "fetch": list(recipe.get("fetch") or []),
        "build_from": build_from,
        "stands_on": sorted(set(build_from.values())),
    }


def read_files(folder: Path) -> dict[str, str]:
    """Path below the folder → text, for every file of a recipe."""
    try:
        return {
            path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8")
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }
    except UnicodeDecodeError as error:
        raise AnsibleError(f"{folder}: a recipe has text files only, in UTF-8: {error}") from error


def content_hash(files: dict[str, str]) -> str:
    """Hash of every file's name and content, without modes, which a Windows drive does not store."""
    total = hashlib.sha256()
    for path, text in sorted(files.items()):
        digest = hashlib.sha256(text.encode()).hexdigest()
        total.update(f"{path}\0{digest}\n".encode())
    return total.hexdigest()


def tag_all(recipes: dict[str, dict[str, Any]], contents: dict[str, str]) -> dict[str, dict[str, Any]]:
    """Give every recipe its tag, from its own content and that of the recipes below it."""
    hashes: dict[str, str] = {}

    def full_hash(name: str, above: tuple[str, ...] = ()) -> str:
        if name in above:
            raise AnsibleError(f"recipes are built on each other in a cycle: {' -> '.join((*above, name))}")
        if name not in recipes:
            raise AnsibleError(f"recipe {above[-1]} is built on {name}, which is not one of: {', '.join(recipes)}")
        if name not in hashes:
            below = [full_hash(other, (*above, name)) for other in recipes[name]["stands_on"]]
            hashes[name] = hashlib.sha256("\n".join([contents[name], *below]).encode()).hexdigest()
        return hashes[name]

    return {
        name: {**recipe, "tag": f"localhost/trade2026/{name}:{recipe['version']}-{full_hash(name)[:12]}"}
        for name, recipe in recipes.items()
    }


def read_folder(folder: Path, files_of: list[str]) -> dict[str, dict[str, Any]]:
    """All recipes of a folder, some of them with their files."""
    folders = sorted(path.parent for path in folder.glob("*/recipe.yml"))
    if not folders:
        raise AnsibleError(f"{folder}: no recipe in it; name the folder that has one subfolder per recipe")
    files = {path.name: read_files(path) for path in folders}
    recipes = tag_all(
        {path.name: read_recipe(path) for path in folders},
        {name: content_hash(content) for name, content in files.items()},
    )
    return {name: {**recipe, "files": files[name]} if name in files_of else recipe for name, recipe in recipes.items()}


class LookupModule(LookupBase):  # type: ignore[misc]
    """`lookup('image_recipes', FOLDER)`."""

    def run(self, terms: list[Any], variables: Any = None, **kwargs: Any) -> list[dict[str, Any]]:
        """Read each folder of `terms`."""
        return [read_folder(Path(str(term)), list(kwargs.get("files_of") or [])) for term in terms]
