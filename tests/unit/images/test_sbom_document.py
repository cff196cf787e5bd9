# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/images.md: for every service, the official version, its stand-in, and what proves the configuration for it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils.images.plan import is_version

ROOT = Path(__file__).resolve().parents[3]
DOCUMENT = ROOT / "docs/images.md"
PACKAGES = ROOT / "roles/image/files/packages"
RELEASES = sorted(path.name for path in (ROOT / "tests/official/releases").iterdir())
# Service → variable with its official image, and the recipe that stands in for it.
IMAGES = {
    **{
        name: (f"{name}_image", name) for name in ("nats", "valkey", "questdb", "clickhouse", "seaweedfs", "opensearch")
    },
    "authn": ("authn_base_image", "python"),
    "opa": ("opa_base_image", "opa"),
}
# Stand-ins of another version than the official image, with what proves the configuration for it.
DIFFERENT = {"valkey": "same minor line", "clickhouse": "chdb", "authn": "tests on 3.11"}


def rows() -> dict[str, list[str]]:
    """Service → cells of its row in the table of versions."""
    text = DOCUMENT.read_text(encoding="utf-8")
    table = text.partition("| what proves the configuration for the official version |")[2].partition("\n\n")[0]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]
    return {row[0]: row[1:] for row in cells}


def recipe(name: str) -> dict[str, Any]:
    return dict(yaml.safe_load((PACKAGES / name / "recipe.yml").read_text(encoding="utf-8")))


def test_every_service_has_a_row() -> None:
    assert set(rows()) == set(IMAGES)


@pytest.mark.parametrize("service", IMAGES)
def test_the_stand_in_is_the_official_version_or_the_document_says_what_proves_it(service: str) -> None:
    variable, name = IMAGES[service]
    declared = yaml.safe_load((ROOT / f"roles/{service}/defaults/main.yml").read_text(encoding="utf-8"))[variable]
    official, stand_in, proof, following = rows()[service]
    assert official == f"`{declared}`"
    version = recipe(name)["version"]
    assert stand_in.strip("*").startswith(str(version))
    same = is_version(declared.rpartition(":")[2], str(version))
    assert same is (service not in DIFFERENT)
    assert ("the same version" in proof) is same
    assert DIFFERENT.get(service, "") in proof
    assert following


def test_every_release_that_is_tried_is_named() -> None:
    assert len(RELEASES) >= 6
    for release in RELEASES:
        service, _, version = release.partition("-")
        assert version in rows()[service][3]


def test_the_recipes_of_releases_are_pinned_by_hashes() -> None:
    folder = ROOT / "tests/official/releases"
    requirements = list(folder.glob("*/*/requirements.txt"))
    assert requirements
    assert all(re.findall(r"--hash=sha256:[0-9a-f]{64}", path.read_text()) for path in requirements)
    jars = list(folder.glob("*/*/pom.xml"))
    assert jars
    assert all((path.parent / "SHA256SUMS").is_file() for path in jars)
