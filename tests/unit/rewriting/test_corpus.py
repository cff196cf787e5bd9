# SPDX-License-Identifier: GPL-3.0-or-later
"""Lines of many kinds of real files: each is rewritten correctly, or stays and is reported."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible.module_utils.rewriting.document import plan_document
from ansible.module_utils.rewriting.mentions import Mentions
from rewriting_case import DOCUMENTED

KINDS = {
    *("shell", "batch", "powershell", "python", "c", "javascript", "xml", "toml", "properties", "reg", "systemd"),
    *("nginx", "dockerfile", "kubernetes", "sql", "markdown"),
}
MENTIONS = Mentions(["trade2025"])


def read_corpus() -> list[tuple[str, str, str]]:
    """The corpus as (kind, line, expected)."""
    found, kind, line = [], "", ""
    for row in (Path(__file__).parent / "corpus.txt").read_text(encoding="utf-8").splitlines():
        if row.startswith("## "):
            kind = row.removeprefix("## ")
        elif row.startswith("=> "):
            assert kind
            assert line
            found.append((kind, line, row.removeprefix("=> ")))
            line = ""
        elif row and kind:
            assert not line, f"no result below {line!r}"
            line = row
    assert not line
    return found


CORPUS = read_corpus()


def test_the_corpus_is_large_and_has_all_kinds() -> None:
    assert len(CORPUS) >= 200
    assert len({line for _kind, line, _expected in CORPUS}) == len(CORPUS)
    assert {kind for kind, _line, _expected in CORPUS} >= KINDS


@pytest.mark.parametrize(("kind", "line", "expected"), CORPUS)
def test_a_line_is_rewritten_as_expected_or_reported(kind: str, line: str, expected: str) -> None:
    data = f"first line\n{line}\nlast line\n".encode()
    document = plan_document(data, DOCUMENTED, MENTIONS)
    wanted = line if expected == "reported" else expected
    assert document.new.decode() == f"first line\n{wanted}\nlast line\n", kind
    assert bool(document.leftovers) == (expected == "reported"), document.leftovers
    assert plan_document(document.new, DOCUMENTED, MENTIONS).new == document.new
