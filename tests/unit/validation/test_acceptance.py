# SPDX-License-Identifier: GPL-3.0-or-later
"""Every line of the source text that requires a check has one."""

from __future__ import annotations

import re
from pathlib import Path

from ansible.module_utils.validation import catalog, criteria

ROOT = Path(__file__).resolve().parents[3]
NUMBERS = [criterion.number for criterion in criteria.CRITERIA]
TESTED = {number for _id, _title, source in catalog.declared() for number in source}


def test_no_number_is_used_twice_and_every_part_has_a_title() -> None:
    assert len(NUMBERS) == len(set(NUMBERS)) > 80
    assert {number[0] for number in NUMBERS} == set(criteria.PARTS)


def test_every_line_has_a_test_or_a_step() -> None:
    assert [one.number for one in criteria.CRITERIA if one.number not in TESTED and not one.steps] == []


def test_every_test_covers_a_line() -> None:
    assert len(catalog.declared()) > 80
    assert [identifier for identifier, _title, source in catalog.declared() if not source] == []
    assert set(NUMBERS) >= TESTED


def test_every_step_exists() -> None:
    steps = [step for criterion in criteria.CRITERIA for step in criterion.steps]
    assert len(steps) > 50
    for step in steps:
        file, _colon, text = step.partition(": ")
        assert text
        assert text in (ROOT / file).read_text(encoding="utf-8"), step


def test_the_numbers_of_checklists_are_complete() -> None:
    for part in {number.partition(".")[0] for number in NUMBERS if re.fullmatch(r"[A-Z]\d\.\d+", number)}:
        lines = [int(number.partition(".")[2]) for number in NUMBERS if re.fullmatch(rf"{part}\.\d+", number)]
        assert lines == list(range(1, len(lines) + 1)), part


def test_ids_are_unique_and_sentences_end_with_a_full_stop() -> None:
    identifiers = [identifier for identifier, _title, _source in catalog.declared()]
    assert len(identifiers) == len(set(identifiers))
    assert [title for _id, title, _source in catalog.declared() if not title.endswith(".")] == []
