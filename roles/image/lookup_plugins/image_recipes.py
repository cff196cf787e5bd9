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
  - Every folder with a C(recipe.yml) is a recipe. Its tag carries a hash over all its files and those of the recipes
    that it stands on, so an unchanged recipe is found again and a changed one cannot be mistaken for it.
options:
  _terms:
    description: The folder with the recipes, on the controller.
    required: true
    type: list
    elements: path
"""

EXAMPLES = r"""
- name: Show the tags
  ansible.builtin.debug:
    msg: "{{ lookup('image_recipes', role_path ~ '/files/packages') }}"
"""

RETURN = r"""
_raw:
  description: One dictionary, from a recipe's name to what recipe.yml says, with C(path), C(tag) and C(stands_on).
  type: list
  elements: dict
"""

REQUIRED = ("title", "version", "built_from")
FETCHERS = frozenset({"debootstrap", "go", "maven", "pypi"})


def read_recipe(folder: Path) -> dict[str, Any]:
    """What recipe.yml says, completed; AnsibleError when it is not a recipe."""
    path = folder / "recipe.yml"
    try:
        recipe = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise AnsibleError(f"{path}: not a recipe: {error}") from error
    missing = [key for key in REQUIRED if not str((recipe or {}).get(key, ""))]
    if missing:
        raise AnsibleError(f"{path}: says nothing about {', '.join(missing)}; see docs/images.md")
    unknown = sorted(set(recipe.get("fetch") or []) - FETCHERS)
    if unknown:
        raise AnsibleError(f"{path}: fetch knows {', '.join(sorted(FETCHERS))}, not {', '.join(unknown)}")
    build_from = dict(recipe.get("build_from") or {})
    if recipe.get("from"):
        build_from["BASE_IMAGE"] = recipe["from"]
    return {
        **recipe,
        "name": folder.name,
        "path": str(folder),
        "version": str(recipe["version"]),
        "fetch": list(recipe.get("fetch") or []),
        "build_from": build_from,
        "stands_on": sorted(set(build_from.values())),
    }


def content_hash(folder: Path) -> str:
    """Hash of every file's name and content. Modes are left out: a Windows drive has none."""
    total = hashlib.sha256()
    for path in sorted(item for item in folder.rglob("*") if item.is_file()):
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        total.update(f"{path.relative_to(folder).as_posix()}\0{digest}\n".encode())
    return total.hexdigest()


def tag_all(recipes: dict[str, dict[str, Any]], contents: dict[str, str]) -> dict[str, dict[str, Any]]:
    """Give every recipe its tag, from its own content and that of the recipes below it."""
    hashes: dict[str, str] = {}

    def full_hash(name: str, above: tuple[str, ...] = ()) -> str:
        if name in above:
            raise AnsibleError(f"recipes stand on each other in a circle: {' -> '.join((*above, name))}")
        if name not in recipes:
            raise AnsibleError(f"recipe {above[-1]} stands on {name}, which is none of: {', '.join(recipes)}")
        if name not in hashes:
            below = [full_hash(other, (*above, name)) for other in recipes[name]["stands_on"]]
            hashes[name] = hashlib.sha256("\n".join([contents[name], *below]).encode()).hexdigest()
        return hashes[name]

    return {
        name: {**recipe, "tag": f"localhost/trade2026/{name}:{recipe['version']}-{full_hash(name)[:12]}"}
        for name, recipe in recipes.items()
    }


class LookupModule(LookupBase):  # type: ignore[misc]
    """`lookup('image_recipes', FOLDER)`."""

    def run(self, terms: list[Any], variables: Any = None, **kwargs: Any) -> list[dict[str, Any]]:
        """Read each folder of `terms`."""
        answer = []
        for term in terms:
            folders = sorted(path.parent for path in Path(str(term)).glob("*/recipe.yml"))
            if not folders:
                raise AnsibleError(f"{term}: no recipe in it; name the folder that holds one folder a recipe")
            recipes = {folder.name: read_recipe(folder) for folder in folders}
            answer.append(tag_all(recipes, {folder.name: content_hash(folder) for folder in folders}))
        return answer
