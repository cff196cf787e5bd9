# SPDX-License-Identifier: GPL-3.0-or-later
"""Bundles: how they are verified, and what is refused before anything is loaded."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.images.archive import (
    IMAGES,
    MANIFEST,
    Manifest,
    archive_reference,
    fingerprint,
    load,
    read_manifest,
    seal,
)
from ansible.module_utils.images.machine import find_images
from ansible.module_utils.images.plan import Archived, Context, ImageError, State, choose, describe
from ansible.module_utils.shared.docker import Docker

VALKEY = {"official": "valkey/valkey:8.1.8-alpine", "recipe": "valkey"}
AUTHN = {
    "build": {
        "context": "backend/apps/authn",
        "base_arg": "PYTHON_IMAGE",
        "base": {"official": "python:3.12-slim", "recipe": "python"},
    }
}
# Output of engine 20.10, shortened.
INSPECT: dict[str, Any] = {
    "Id": "sha256:1",
    "RepoTags": ["valkey/valkey:8"],
    "Os": "linux",
    "Architecture": "amd64",
    "Created": "2026-01-01T00:00:00Z",
    "Config": {"User": "", "Env": ["PATH=/bin"], "Cmd": ["valkey-server"], "Volumes": None, "Labels": {"a": "b"}},
    "RootFS": {"Type": "layers", "Layers": ["sha256:aa", "sha256:bb"]},
}
REFERENCE = "localhost/trade2026/valkey:8.1.1-abc"
ARCHIVED = Archived(
    REFERENCE, VALKEY["official"], "packages", "8.1.1", "Debian", "8.1.1 for 8.1.8", fingerprint(INSPECT), 100
)


class Engine:
    """An engine that loads what the test sets."""

    def __init__(self, loads: dict[str, dict[str, Any]], platform: str = "linux/amd64") -> None:
        self.loads, self.platform = loads, platform
        self.images: dict[str, dict[str, Any]] = {}

    def run(self, words: list[str], **_: Any) -> tuple[int, str, str]:
        if words[1] == "version":
            return 0, self.platform + "\n", ""
        if words[1] == "load":
            self.images.update(self.loads)
            return 0, "", ""
        assert words[1:3] == ["image", "inspect"]
        if any(name not in self.images for name in words[3:]):
            return 1, "[]", "Error: No such image"
        return 0, json.dumps([self.images[name] for name in words[3:]]), ""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / IMAGES).write_bytes(b"layers and configurations")
    manifest = Manifest("2026-01-01", "linux/amd64", {"valkey": ARCHIVED}, {IMAGES: seal(tmp_path / IMAGES)})
    (tmp_path / MANIFEST).write_text(manifest.text())
    return tmp_path


def test_a_bundle_is_read_as_it_was_written(folder: Path) -> None:
    manifest = read_manifest(folder)
    assert manifest.images == {"valkey": ARCHIVED}
    assert manifest.text() == (folder / MANIFEST).read_text()


@pytest.mark.parametrize(
    "change",
    [
        {"Id": "sha256:2"},
        {"RepoTags": []},
        {"Created": "2027"},
        {"Config": {**INSPECT["Config"], "Volumes": {}, "Image": "sha256:3"}},
    ],
)
def test_an_image_has_the_same_fingerprint_under_every_name_and_in_every_engine(change: dict[str, Any]) -> None:
    assert fingerprint({**INSPECT, **change}) == fingerprint(INSPECT)


@pytest.mark.parametrize(
    "change",
    [
        {"RootFS": {"Layers": ["sha256:aa"]}},
        {"Architecture": "arm64"},
        {"Config": {**INSPECT["Config"], "User": "999"}},
        {"Config": {**INSPECT["Config"], "Env": ["PATH=/evil"]}},
        {"Config": {**INSPECT["Config"], "Cmd": ["sh"]}},
        {"Config": {**INSPECT["Config"], "Entrypoint": ["sh"]}},
    ],
)
def test_another_content_has_another_fingerprint(change: dict[str, Any]) -> None:
    assert fingerprint({**INSPECT, **change}) != fingerprint(INSPECT)


def test_an_image_by_digest_is_saved_under_a_tag_that_names_its_content() -> None:
    assert archive_reference("mirror:5000/valkey/valkey:8@sha256:dd", "sha256:0123456789abcdef") == (
        "localhost/trade2026/archive/mirror:5000/valkey/valkey:8-0123456789ab"
    )
    assert archive_reference(REFERENCE, "sha256:01") == REFERENCE


def test_a_whole_bundle_is_loaded(folder: Path) -> None:
    engine = Engine({REFERENCE: INSPECT})
    load(Docker(engine.run), folder, read_manifest(folder))
    assert set(engine.images) == {REFERENCE}


def truncate(folder: Path) -> None:
    (folder / IMAGES).write_bytes((folder / IMAGES).read_bytes()[:-1])


def alter(folder: Path) -> None:
    (folder / IMAGES).write_bytes(b"Layers and configurations")


def lose(folder: Path) -> None:
    (folder / IMAGES).unlink()


@pytest.mark.parametrize(
    ("damage", "message"), [(truncate, "truncated or altered"), (alter, "altered: its SHA-256"), (lose, "missing")]
)
def test_a_damaged_bundle_is_refused_before_anything_is_loaded(folder: Path, damage: Any, message: str) -> None:
    damage(folder)
    engine = Engine({REFERENCE: INSPECT})
    with pytest.raises(ImageError, match=message) as caught:
        load(Docker(engine.run), folder, read_manifest(folder))
    assert "othing was loaded" in str(caught.value)
    assert engine.images == {}


def test_a_bundle_for_another_platform_is_refused_before_anything_is_loaded(folder: Path) -> None:
    engine = Engine({REFERENCE: INSPECT}, platform="linux/arm64")
    with pytest.raises(ImageError, match="is for linux/amd64, and this machine is linux/arm64"):
        load(Docker(engine.run), folder, read_manifest(folder))
    assert engine.images == {}


@pytest.mark.parametrize(
    ("loads", "message"),
    [({}, "has no image"), ({REFERENCE: {**INSPECT, "Architecture": "arm64"}}, "do not run it")],
)
def test_what_was_loaded_is_compared_with_what_was_saved(folder: Path, loads: dict[str, Any], message: str) -> None:
    with pytest.raises(ImageError, match=message):
        load(Docker(Engine(loads).run), folder, read_manifest(folder))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 1}', '{"format": 1, "images": {"a": {}}}'])
def test_a_damaged_manifest_says_what_to_do(folder: Path, text: str) -> None:
    (folder / MANIFEST).write_text(text)
    with pytest.raises(ImageError, match="copy the bundle again"):
        read_manifest(folder)


def test_a_manifest_of_another_format_is_refused(folder: Path) -> None:
    (folder / MANIFEST).write_text((folder / MANIFEST).read_text().replace('"format": 1', '"format": 2'))
    with pytest.raises(ImageError, match="format 2 was written by another version"):
        read_manifest(folder)


def test_a_folder_that_is_not_a_bundle_says_so(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"playbooks/bundle\.yml"):
        read_manifest(tmp_path)


def test_a_replaced_bundle_is_found_by_the_hash_that_the_site_knows(folder: Path) -> None:
    right = hashlib.sha256((folder / MANIFEST).read_bytes()).hexdigest()
    read_manifest(folder, right)
    (folder / MANIFEST).write_text((folder / MANIFEST).read_text() + "\n")
    with pytest.raises(ImageError, match="image_archive_sha256"):
        read_manifest(folder, right)


def state(**changes: Any) -> State:
    return State(archive={"valkey": ARCHIVED}, **changes)


def test_the_declared_image_is_taken_from_the_bundle() -> None:
    choice = choose({"valkey": VALKEY}, "archive", state())[0]
    described = describe(choice, state(), {})
    assert (described["kind"], described["source"], described["reference"]) == ("load", "archive", REFERENCE)
    assert described["difference"] == "8.1.1 for 8.1.8"
    assert described["built_from"] == "bundle, packages: Debian"


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (
            {"valkey": {**VALKEY, "official": "valkey/valkey:9"}},
            "valkey/valkey:9 is declared, and the bundle was made for",
        ),
        ({"nats": {"official": "nats:2"}}, "no image for it, only for valkey"),
    ],
)
def test_a_bundle_of_another_declaration_is_refused(wanted: dict[str, Any], message: str) -> None:
    with pytest.raises(ImageError, match=message):
        choose(wanted, "archive", state())


def test_an_application_is_identified_by_its_sources() -> None:
    archived = replace(ARCHIVED, official="python:3.12-slim", context_hash="c" * 64, reference="localhost/authn:1")
    migrated = State(archive={"authn": archived}, contexts={"backend/apps/authn": Context("c" * 64, True)})
    assert choose({"authn": AUTHN}, "archive", migrated)[0].reference == "localhost/authn:1"
    assert choose({"authn": AUTHN}, "archive", State(archive={"authn": archived}))[0].reference == "localhost/authn:1"
    other = State(archive={"authn": archived}, contexts={"backend/apps/authn": Context("d" * 64)})
    with pytest.raises(ImageError, match="backend/apps/authn on this machine differs"):
        choose({"authn": AUTHN}, "archive", other)


def test_a_tag_counts_only_if_it_names_the_image_of_the_bundle() -> None:
    engine = Engine({})
    choices = choose({"valkey": VALKEY}, "archive", state())
    engine.images = {REFERENCE: INSPECT}
    assert set(find_images(Docker(engine.run), choices, state())) == {REFERENCE}
    engine.images = {REFERENCE: {**INSPECT, "RootFS": {"Layers": ["sha256:cc"]}}}
    assert find_images(Docker(engine.run), choices, state()) == {}
