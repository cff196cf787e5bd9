# SPDX-License-Identifier: GPL-3.0-or-later
"""The lock file, build contexts and recipes on disk."""

from __future__ import annotations

import importlib.util
import json
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from ansible.errors import AnsibleError
from ansible.module_utils.images.context import read_context
from ansible.module_utils.images.fetch import FETCHERS
from ansible.module_utils.images.lock import read_lock, record
from ansible.module_utils.images.plan import ImageError, recipe_difference

ROOT = Path(__file__).resolve().parents[3]
PACKAGES = ROOT / "roles/image/files/packages"
DOCUMENT = ROOT / "docs/images.md"
DIGEST = "sha256:" + "0" * 64


def load_lookup() -> ModuleType:
    spec = importlib.util.spec_from_file_location("image_recipes", ROOT / "roles/image/lookup_plugins/image_recipes.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


lookup = load_lookup()


def recipes(folder: Path) -> dict[str, dict[str, Any]]:
    answer: dict[str, dict[str, Any]] = lookup.LookupModule().run([str(folder)])[0]
    return answer


def write_recipe(folder: Path, text: str = "", **files: str) -> None:
    folder.mkdir(parents=True)
    (folder / "recipe.yml").write_text(text or "title: T\nversion: 1.2\nbuilt_from: PyPI t 1.2\n")
    for name, content in files.items():
        (folder / name).write_text(content)


# --- lock file ---


def test_a_digest_is_recorded_once(tmp_path: Path) -> None:
    lock = tmp_path / "docker/images.lock.json"
    assert record(lock, "valkey/valkey:8", DIGEST)
    assert not record(lock, "valkey/valkey:8", DIGEST)
    assert read_lock(lock) == {"valkey/valkey:8": DIGEST}
    assert [path.name for path in lock.parent.iterdir()] == ["images.lock.json"]


def test_parallel_pulls_lose_no_digest(tmp_path: Path) -> None:
    lock = tmp_path / "images.lock.json"
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: record(lock, f"image:{number}", DIGEST), range(40)))
    assert len(read_lock(lock)) == 40


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        '{"images": []}',
        '{"images": {"a:1": {}}}',
        json.dumps({"images": {"a:1": {"digest": "sha256:12"}}}),
    ],
)
def test_a_damaged_lock_file_says_what_to_do(tmp_path: Path, text: str) -> None:
    lock = tmp_path / "images.lock.json"
    lock.write_text(text)
    with pytest.raises(ImageError, match="remove"):
        read_lock(lock)


# --- build contexts ---


def test_a_context_is_its_files_names_contents_and_executable_bits(tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    source = tmp_path / "app/main.py"
    source.write_text("print(1)\n")
    hashes = {read_context(tmp_path).hash}
    source.write_text("print(2)\n")
    hashes.add(read_context(tmp_path).hash)
    source.chmod(0o755)
    hashes.add(read_context(tmp_path).hash)
    source.rename(tmp_path / "app/other.py")
    hashes.add(read_context(tmp_path).hash)
    assert len(hashes) == 4


def test_bytecode_and_wheels_do_not_change_a_context(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("x==1\n")
    before = read_context(tmp_path)
    for name in ("__pycache__", "wheels"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("x")
    assert read_context(tmp_path) == before
    assert before.requirements


def test_a_link_counts_the_same_before_and_after_its_target_is_there(tmp_path: Path) -> None:
    context, settings = tmp_path / "context", tmp_path / "settings"
    context.mkdir()
    (context / "live").symlink_to(settings)
    before = read_context(context)
    settings.mkdir()
    (settings / "config.yaml").write_text("audience: trade2026\n", encoding="utf-8")
    assert read_context(context) == before
    (context / "live").unlink()
    assert read_context(context) != before


def test_a_missing_context_has_no_hash(tmp_path: Path) -> None:
    assert read_context(tmp_path / "missing").hash == ""


# --- recipes ---


def test_a_changed_recipe_gets_another_tag(tmp_path: Path) -> None:
    write_recipe(tmp_path / "a", Dockerfile="FROM scratch\n")
    before = recipes(tmp_path)["a"]["tag"]
    assert before == recipes(tmp_path)["a"]["tag"]
    assert before.startswith("localhost/trade2026/a:1.2-")
    (tmp_path / "a/Dockerfile").write_text("FROM other\n")
    assert recipes(tmp_path)["a"]["tag"] != before


def test_a_changed_base_changes_the_images_built_on_it(tmp_path: Path) -> None:
    write_recipe(tmp_path / "a", "title: T\nversion: 1\nbuilt_from: x\nfrom: b\n")
    write_recipe(tmp_path / "b", Dockerfile="1")
    before = recipes(tmp_path)["a"]["tag"]
    (tmp_path / "b/Dockerfile").write_text("2")
    assert recipes(tmp_path)["a"]["tag"] != before


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("title: T\n", "version, built_from is missing"),
        ("title: T\nversion: 1\nbuilt_from: x\nfrom: nowhere\n", "built on nowhere"),
        ("title: T\nversion: 1\nbuilt_from: x\nfrom: a\n", "in a cycle"),
        ("a: [", "not a recipe"),
    ],
)
def test_an_invalid_recipe_is_reported_with_what_is_wrong(tmp_path: Path, text: str, message: str) -> None:
    write_recipe(tmp_path / "a", text)
    with pytest.raises(AnsibleError, match=message):
        recipes(tmp_path)


def test_every_service_of_the_project_has_a_recipe() -> None:
    ours = recipes(PACKAGES)
    assert {"nats", "valkey", "questdb", "clickhouse", "seaweedfs", "opensearch", "opa", "python", "probe"} <= set(ours)
    for recipe in ours.values():
        for kind in recipe["fetch"]:
            assert kind in FETCHERS


@pytest.mark.parametrize("requirements", sorted(PACKAGES.glob("*/requirements.txt")), ids=lambda path: path.parent.name)
def test_every_wheel_is_pinned_and_hashed_for_both_architectures(requirements: Path) -> None:
    text = requirements.read_text()
    assert "==" in text
    assert text.count("--hash=sha256:") == 2


@pytest.mark.parametrize("sums", sorted(PACKAGES.glob("*/SHA256SUMS")), ids=lambda path: path.parent.name)
def test_every_jar_is_checked_in_the_build(sums: Path) -> None:
    assert (sums.parent / "pom.xml").is_file()
    assert "sha256sum --check" in (sums.parent / "Dockerfile").read_text()


def declared_images() -> dict[str, str]:
    """Recipe → the official image that the role's defaults declare for it."""
    found: dict[str, str] = {}
    for folder in sorted((ROOT / "roles").iterdir()):
        defaults = folder / "defaults/main.yml"
        variables = yaml.safe_load(defaults.read_text()) if defaults.is_file() else {}
        service = folder / "vars/main.yml"
        text = service.read_text() if service.is_file() else ""
        for name, value in variables.items():
            if name.endswith("_image"):
                recipe = re.search(rf"{name} }}}}\"[,\s]+recipe: (\w+)", text)
                assert recipe, f"{service} names no recipe for {name}"
                found[recipe[1]] = value
    return found


def test_every_recipe_stands_in_for_the_default_of_its_service() -> None:
    declared = declared_images()
    assert len(declared) == 8
    ours = recipes(PACKAGES)
    assert {name: recipe["official"] for name, recipe in ours.items() if "official" in recipe} == declared


def test_a_stand_in_of_another_version_is_explained_in_the_documentation() -> None:
    ours = recipes(PACKAGES)
    rows = {line.split("|")[1].strip(): line for line in DOCUMENT.read_text().splitlines() if line.startswith("| ")}
    different = {name for name, official in declared_images().items() if recipe_difference(official, ours[name])}
    assert different == {"valkey", "clickhouse", "python"}
    for name in different:
        assert ours[name]["version"].rsplit(".", 1)[0] in rows[name]
