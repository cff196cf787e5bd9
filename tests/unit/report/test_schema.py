# SPDX-License-Identifier: GPL-3.0-or-later
"""The published schema accepts the documents of the report, and rejects unknown keys."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sample_documents
from jsonschema import Draft202012Validator, FormatChecker

SCHEMA = json.loads((Path(__file__).resolve().parents[3] / "docs/report.schema.json").read_text(encoding="utf-8"))
VALIDATOR = Draft202012Validator(SCHEMA, format_checker=FormatChecker())
DOCUMENTS = [getattr(sample_documents, name) for name in ("sample", "failing", "before_deployment", "smallest", "many")]


def problems(document: dict[str, Any]) -> list[str]:
    """What is wrong, each with its place."""
    return [f"{error.json_path}: {error.message}" for error in VALIDATOR.iter_errors(document)]


def test_the_schema_is_valid() -> None:
    Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("make", DOCUMENTS, ids=lambda make: make.__name__)
def test_documents_match_the_schema(make: Callable[[], dict[str, Any]]) -> None:
    assert problems(make()) == []


def test_the_sample_fills_every_part_of_the_schema() -> None:
    document = sample_documents.sample()
    assert set(SCHEMA["properties"]) - {"verdict"} == set(document)
    assert all(document.values())
    for part, row in (("test", "tests"), ("performance", "performance"), ("choice", "choices")):
        used = {key for entry in [*document[row], *sample_documents.failing()[row]] for key in entry}
        assert set(SCHEMA["$defs"][part]["properties"]) - used <= {"started"}, row


def test_an_unknown_key_is_refused() -> None:
    document = sample_documents.smallest()
    document["machine"]["memory"] = "8 GiB"
    assert problems(document) == ["$.machine: Additional properties are not allowed ('memory' was unexpected)"]


def test_a_seed_gives_the_same_document() -> None:
    assert sample_documents.sample(7) == sample_documents.sample(7)
    assert sample_documents.sample(7) != sample_documents.sample(8)
