# SPDX-License-Identifier: GPL-3.0-or-later
"""The pages of the documentation: line length, links and headings."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/**/*.md"))]
MAX_LENGTH = 120
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ +(.*)$", re.MULTILINE)


def prose(text: str) -> Iterator[tuple[int, str]]:
    """Number and text of the lines outside of tables and code blocks."""
    in_code = False
    for number, line in enumerate(text.splitlines(), start=1):
        if line.lstrip().startswith("```"):
            in_code = not in_code
        elif not in_code and not line.startswith("|"):
            yield number, line


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub derives them."""
    headings = HEADING.findall(page.read_text(encoding="utf-8"))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def identifier(page: Path) -> str:
    return str(page.relative_to(ROOT))


def test_all_pages_are_found() -> None:
    assert {"README.md", "CHANGELOG.md", "CONTRIBUTING.md", "docs/operations.md", "docs/reference/README.md"} <= set(
        map(identifier, PAGES)
    )


@pytest.mark.parametrize("page", PAGES, ids=identifier)
def test_lines_are_wrapped(page: Path) -> None:
    lines = list(prose(page.read_text(encoding="utf-8")))
    assert lines
    assert [number for number, line in lines if len(line) > MAX_LENGTH] == []


def test_tables_and_code_are_not_wrapped() -> None:
    text = "a\n```\ncode\n```\n| cell |\nb"
    assert list(prose(text)) == [(1, "a"), (6, "b")]


def test_links_lead_to_files_that_exist() -> None:
    links = [
        (page, link)
        for page in PAGES
        for _number, line in prose(page.read_text("utf-8"))
        for link in LINK.findall(line)
    ]
    internal = [(page, link) for page, link in links if not link.startswith(("https://", "#"))]
    assert len(internal) > 30
    assert [link for page, link in internal if not (page.parent / link.partition("#")[0]).exists()] == []


def test_links_lead_to_headings_that_exist() -> None:
    links = [(page, link) for page in PAGES for link in LINK.findall(page.read_text("utf-8")) if "#" in link]
    internal = [(page, *link.split("#")) for page, link in links if not link.startswith("https://")]
    assert len(internal) > 10
    wrong = [
        (identifier(page), f"{target}#{anchor}")
        for page, target, anchor in internal
        if anchor not in anchors(page.parent / target if target else page)
    ]
    assert wrong == []
