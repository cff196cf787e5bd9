# SPDX-License-Identifier: GPL-3.0-or-later
"""Every example of docs/migration.md is true."""

from __future__ import annotations

import pytest
import yaml
from ansible.module_utils.rewriting.document import plan_document
from ansible.module_utils.rewriting.mentions import Mentions
from ansible.module_utils.rewriting.path_map import MapError
from ansible.module_utils.rewriting.reasons import REASONS
from ansible.module_utils.rewriting.rewriter import Rules
from rewriting_case import DOCUMENTED, codes, documented_map, documented_rows, rules_of

REWRITTEN = documented_rows("## What is rewritten")
WINDOWS = documented_rows("With a target on Windows")
KEPT = documented_rows("## What is not rewritten")
IN_DOUBT = documented_rows("## What is in doubt")
ESCAPED = documented_rows("Escaped names are decoded")
ENCODED = documented_rows("encoding:\n  - {glob")
REFUSED = documented_rows("## Maps that are refused")
TO_WINDOWS = rules_of({"C:/trade2025/trading": "D:/Trade2026"})
WITH_RESEARCH = rules_of(
    [*documented_map()["path_map"], {"from": "C:/trade2025/R&D", "to": "/srv/research"}],
    documented_map()["network_map"],
)
MENTIONS = Mentions(["trade2025"])


def _check(rules: Rules, text: str, wanted: str) -> None:
    for before, after in (("", ""), ("text ", "\r\nmore"), ("'", "'")):
        if before == "'" and (text[0] in "\"'-?{" or "'" in text):
            continue
        plan = rules.plan((before + text + after).encode())
        assert plan.new.decode() == before + wanted + after
        assert rules.plan(plan.new).new == plan.new


def test_the_tables_are_read() -> None:
    sizes = [len(table) for table in (REWRITTEN, WINDOWS, KEPT, IN_DOUBT, ESCAPED, ENCODED, REFUSED)]
    assert [size >= least for size, least in zip(sizes, (58, 10, 20, 35, 6, 9, 6), strict=True)] == [True] * 7


@pytest.mark.parametrize("row", REWRITTEN, ids=lambda row: row[0])
def test_a_reference_is_rewritten(row: tuple[str, str, str]) -> None:
    _check(DOCUMENTED, row[0], row[1])


@pytest.mark.parametrize("row", WINDOWS, ids=lambda row: row[0])
def test_a_windows_target_keeps_the_spelling(row: tuple[str, str]) -> None:
    _check(TO_WINDOWS, row[0], row[1])


@pytest.mark.parametrize("row", KEPT, ids=lambda row: row[0])
def test_what_is_not_a_reference_stays(row: tuple[str, str]) -> None:
    _check(DOCUMENTED, row[0], row[0])
    _check(TO_WINDOWS, row[0], row[0])


@pytest.mark.parametrize("row", IN_DOUBT, ids=lambda row: row[0])
def test_what_is_in_doubt_stays_and_is_reported(row: tuple[str, str, str]) -> None:
    for before, after in (("", ""), ("text\n", "\nmore")):
        data = (before + row[0] + after).encode()
        document = plan_document(data, DOCUMENTED, MENTIONS)
        assert document.new == data
        assert codes(document) == [row[1]]
        assert document.leftovers[0].line == 1 + before.count("\n")


@pytest.mark.parametrize("row", ESCAPED, ids=lambda row: row[0])
def test_an_escaped_name_matches_the_name_in_the_map(row: tuple[str, str, str]) -> None:
    _check(WITH_RESEARCH, row[0], row[1])


@pytest.mark.parametrize("row", ENCODED, ids=lambda row: "-".join(row))
def test_text_of_an_encoding_is_rewritten_or_reported(row: tuple[str, str, str, str]) -> None:
    text, encoding, given, wanted = row
    data = (text + "\r\n").encode(encoding)
    document = plan_document(data, DOCUMENTED, MENTIONS, encoding=given or None)
    if wanted in REASONS:
        assert document.new == data
        assert codes(document) == [wanted]
    else:
        assert document.new == (wanted + "\r\n").encode(encoding)
        assert codes(document) == []


@pytest.mark.parametrize("row", REFUSED, ids=lambda row: row[0])
def test_a_map_that_is_refused(row: tuple[str, str]) -> None:
    entries = [yaml.safe_load("{" + entry + "}") for entry in row[0].split(", ")]
    paths = [{"from": old, "to": new} for entry in entries for old, new in entry.items()]
    assert len(paths) == len(entries)
    with pytest.raises(MapError) as caught:
        rules_of(paths)
    first, last = paths[0], paths[-1]
    assert first["from"] in str(caught.value) or first["to"] in str(caught.value)
    assert last["from"] in str(caught.value) or last["to"] in str(caught.value)


def test_every_reason_is_explained() -> None:
    assert dict(documented_rows("A reason is a code and a sentence")) == REASONS
