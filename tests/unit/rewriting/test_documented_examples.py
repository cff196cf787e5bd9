"""Every example of docs/migration.md is true."""

from __future__ import annotations

import pytest
from ansible.module_utils.rewriting.rewriter import Rules
from rewriting_case import DOCUMENTED, documented_rows, rules_of

REWRITTEN = documented_rows("## What is rewritten")
WINDOWS = documented_rows("With a target on Windows")
KEPT = documented_rows("## What is not")
TO_WINDOWS = rules_of({"C:/trade2025/trading": "D:/Trade2026"})


def _check(rules: Rules, text: str, wanted: str) -> None:
    for before, after in (("", ""), ("text ", "\r\nmore"), ("'", "'")):
        if before == "'" and text[0] in "\"'-?{":
            continue
        plan = rules.plan((before + text + after).encode())
        assert plan.new.decode() == before + wanted + after
        assert rules.plan(plan.new).new == plan.new


def test_the_tables_are_read() -> None:
    assert len(REWRITTEN) > 20
    assert len(WINDOWS) > 5
    assert len(KEPT) > 15


@pytest.mark.parametrize("row", REWRITTEN, ids=lambda row: row[0])
def test_a_reference_is_rewritten(row: tuple[str, str, str]) -> None:
    _check(DOCUMENTED, row[0], row[1])


@pytest.mark.parametrize("row", WINDOWS, ids=lambda row: row[0])
def test_a_windows_target_keeps_the_spelling(row: tuple[str, str]) -> None:
    _check(TO_WINDOWS, row[0], row[1])


@pytest.mark.parametrize("row", KEPT, ids=lambda row: row[0])
def test_what_is_no_reference_stays(row: tuple[str, str]) -> None:
    _check(DOCUMENTED, row[0], row[0])
    _check(TO_WINDOWS, row[0], row[0])
