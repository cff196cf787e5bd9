# SPDX-License-Identifier: GPL-3.0-or-later
"""Releases of the services other than the default one, each built from packages like the stand-ins.

`releases/<service>-<version>/` has the files that differ from the recipes in roles/image/files/packages, or
`changes.patch` if only lines differ.
"""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ROOT / "roles/image/files/packages"
RELEASES = Path(__file__).with_name("releases")
# The image variable of services whose image is built on the official one.
BASES = {"opa": "opa_base_image"}


@dataclass(frozen=True)
class Release:
    """A version of a service."""

    service: str
    version: str

    @property
    def folder(self) -> Path:
        return RELEASES / f"{self.service}-{self.version}"

    def variables(self, recipes: Path) -> dict[str, Any]:
        """The variables to run this release. `recipes` is a folder to write its recipes to."""
        if self.version == default_version(self.service):
            return {}
        assert self.folder.is_dir(), f"{self.folder} is missing: add the files that build {self.service} {self.version}"
        shutil.rmtree(recipes, ignore_errors=True)
        shutil.copytree(PACKAGES, recipes)
        shutil.copytree(
            self.folder, recipes, dirs_exist_ok=True, ignore=lambda *_: [path.name for path in self.folder.glob("*.*")]
        )
        for patch in self.folder.glob("*.patch"):
            subprocess.run(["patch", "--strip=1", "--quiet", f"--directory={recipes}", f"--input={patch}"], check=True)
        return {
            "image_recipe_folder": str(recipes),
            BASES.get(self.service, f"{self.service}_image"): _recipe(recipes / self.service)["official"],
        }


def default_version(service: str) -> str:
    """The default version."""
    return str(_recipe(PACKAGES / service)["version"])


def _recipe(folder: Path) -> dict[str, Any]:
    return dict(yaml.safe_load((folder / "recipe.yml").read_text(encoding="utf-8")))
