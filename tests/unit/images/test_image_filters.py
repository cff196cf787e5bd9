# SPDX-License-Identifier: GPL-3.0-or-later
"""The filters of the role."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).resolve().parents[3]


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"{name}_filters", ROOT / f"filter_plugins/{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


filters = load("image")

VALKEY: dict[str, Any] = {
    "kind": "recipe",
    "reference": "localhost/trade2026/valkey:8.1.1-abc",
    "source": "packages",
    "version": "8.1.1",
    "id": "",
    "difference": "Valkey 8.1.1 in place of valkey/valkey:8.1.8-alpine",
    "built_from": "Debian trixie valkey-server 8.1.1",
    "present": False,
    "needs": ["debian13", "valkey"],
    "progress": "image 3 of 9",
}


def test_progress_shows_number_and_total_and_what_is_built_first() -> None:
    text = "image 3 of 9: valkey 8.1.1 (Debian trixie valkey-server 8.1.1), after debian13"
    assert filters.image_progress(VALKEY, "valkey") == text


def test_an_application_has_no_version_to_show() -> None:
    planned = {**VALKEY, "kind": "build", "built_from": "backend/apps/authn on python", "needs": []}
    assert filters.image_progress(planned, "authn") == "image 3 of 9: authn (backend/apps/authn on python)"


def test_only_missing_images_are_listed() -> None:
    images = {"valkey": VALKEY, "nats": {**VALKEY, "present": True}}
    assert filters.image_missing(images) == [filters.image_progress(VALKEY, "valkey")]


def test_an_ensured_image_replaces_the_planned_one() -> None:
    ensured = {"reference": "x@sha256:1", "source": "registry", "version": "1", "id": "sha256:2", "difference": ""}
    assert filters.image_result(VALKEY, ensured) == ensured
    assert filters.image_result(VALKEY, {})["reference"] == VALKEY["reference"]
    assert set(filters.image_result(VALKEY)) == set(ensured)


def summary(difference: str) -> str:
    planned = {"probes": [{"name": "valkey", "address": "127.0.0.1", "ports": {"client": 6379}}]}
    images = {"valkey": {"reference": "localhost/trade2026/valkey:8.1.1-abc", "difference": difference}}
    return str(load("core").core_summary(planned, {}, images, []))


def test_the_summary_names_images_that_are_not_the_declared_version() -> None:
    assert "valkey: Valkey 8.1.1 in place of valkey/valkey:8.1.8-alpine" in summary(VALKEY["difference"]).splitlines()
    assert "Not the declared version" not in summary("")
