# SPDX-License-Identifier: GPL-3.0-or-later
"""The page as text: its content, well-formed HTML, and no active content."""

from __future__ import annotations

import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import sample_documents
from ansible.module_utils.report.document import complete
from ansible.module_utils.report.page import (
    ms,
    number,
    plural,
    published,
    reach,
    render,
    seconds,
    without_indentation,
)

TEMPLATES = Path(__file__).resolve().parents[3] / "roles/core/templates/report"
LIMIT = 500 * 1000
# The order of the sections.
ORDER = ["wrong", "matrix", "networks", "timeline", "performance", "durability", "host", "images", "choices", "logs",
         "history", "versions"]  # fmt: skip
VOID = {"meta", "link", "br", "path"}
DOCUMENTS = [
    getattr(sample_documents, name) for name in ("sample", "failing", "before_deployment", "smallest", "many", "odd")
]

_pages: dict[str, str] = {}


def page(document: dict[str, Any], name: str = "") -> str:
    """The page of a document; rendered once per name."""
    if not name or name not in _pages:
        _pages[name] = render(complete(document), TEMPLATES)
    return _pages[name]


class Page(HTMLParser):
    """Collects elements and text, and unclosed elements."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.problems: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in VOID:
            return
        if not self.open or self.open.pop() != tag:
            self.problems.append(f"</{tag}> at {self.getpos()}")

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(params=DOCUMENTS, ids=lambda make: make.__name__)
def parsed(request: pytest.FixtureRequest) -> Page:
    make: Callable[[], dict[str, Any]] = request.param
    return Page(page(make(), make.__name__))


def test_every_element_is_closed(parsed: Page) -> None:
    assert (parsed.problems, parsed.open) == ([], [])


def test_no_id_is_used_twice(parsed: Page) -> None:
    ids = [attributes["id"] for _tag, attributes in parsed.elements if "id" in attributes]
    assert len(ids) > 3
    assert sorted(ids) == sorted(set(ids))


def test_links_lead_to_places_in_the_page_or_to_files_beside_it(parsed: Page) -> None:
    ids = {attributes["id"] for _tag, attributes in parsed.elements if "id" in attributes}
    links = [str(attributes["href"]) for tag, attributes in parsed.elements if tag == "a"]
    assert links
    outside = [link for link in links if not (link.startswith("#") and link[1:] in ids)]
    assert {re.sub(r"^\.\./\d{4}[-0-9T]+", "..", link) for link in outside} <= {
        "report.json", "junit.xml", "../report.html",
    }  # fmt: skip


def test_nothing_is_loaded_and_nothing_is_executed(parsed: Page) -> None:
    assert "script" not in {tag for tag, _attributes in parsed.elements}
    loading = [
        (tag, name, value)
        for tag, attributes in parsed.elements
        for name, value in attributes.items()
        if name in ("src", "srcset", "xlink:href", "action")
        or name.startswith("on")
        or (tag == "link" and name == "href")
    ]
    assert loading == [("link", "href", "data:,")]


@pytest.mark.parametrize("make", DOCUMENTS, ids=lambda make: make.__name__)
def test_the_file_is_small(make: Callable[[], dict[str, Any]]) -> None:
    assert len(page(make(), make.__name__).encode()) < LIMIT


def test_sections_come_in_the_order_of_reading() -> None:
    shown = re.findall(r'<section id="(\w+)"', page(sample_documents.failing(), "failing"))
    assert shown == ORDER


def test_each_failure_has_its_cause_and_what_to_do() -> None:
    document = sample_documents.failing()
    text = Page(page(document, "failing")).text
    failed = [test for test in document["tests"] if test["status"] == "failed"]
    assert len(failed) == 4
    for test in failed:
        for part in ("title", "message", "cause", "remedy", "id"):
            assert test[part] in text, part


def test_everything_that_was_found_is_shown() -> None:
    document = sample_documents.sample()
    text = Page(page(document, "sample")).text
    wanted = [test["title"] for test in document["tests"]]
    wanted += [service["image"]["reference"] for service in document["services"]]
    wanted += [row["why"] for row in document["choices"]] + [row["cause"] for row in document["operations"]]
    wanted += [row["value"] for row in document["host_findings"]] + [row["setting"] for row in document["durability"]]
    wanted += [network["subnet"] for network in document["networks"]]
    wanted += [end["ip"] for service in document["services"] for end in service["networks"]]
    wanted += [str(port["host"]) for service in document["services"] for port in service["ports"]]
    assert [item for item in wanted if item not in text] == []


def test_text_is_never_markup() -> None:
    document = sample_documents.failing()
    hostile = "<script>alert(1)</script><img src=x onerror=alert(2)>\"' `</code><b>`"
    document["run"]["command"] = document["machine"]["name"] = document["services"][0]["title"] = hostile
    for test in document["tests"]:
        test.update(title=hostile, message=hostile, log=[hostile])
    document["networks"][0]["name"] = document["services"][0]["networks"][0]["name"] = hostile
    document["choices"][0]["why"] = document["performance"][0]["operation"] = hostile
    found = Page(page(document))
    assert found.problems == []
    assert {tag for tag, _attributes in found.elements} & {"script", "img", "b"} == set()
    assert found.text.count("<script>alert(1)</script>") > 10


def test_skipped_tests_are_not_counted_as_passed() -> None:
    text = Page(page(sample_documents.failing(), "failing")).text
    assert re.search(r"\u2013\s*0/4", text)


def test_wrong_connections_are_marked() -> None:
    document = complete(sample_documents.sample())
    document["reachability"] = [
        {"source": "valkey", "target": "opa", "expected": "open", "actual": "closed"},
        {"source": "nats", "target": "valkey", "expected": "closed", "actual": "open"},
        {"source": "valkey", "target": "questdb", "expected": "open", "actual": "open"},
    ]
    found = reach(document)
    assert found
    cells = {(row["source"], cell["target"]): cell["state"] for row in found["rows"] for cell in row["cells"]}
    assert cells["Valkey", "OPA"] == "wrong-closed"
    assert cells["NATS", "Valkey"] == "wrong-open"
    assert cells["Valkey", "QuestDB"] == "open"
    assert cells["Valkey", "ClickHouse"] == "may"
    assert cells["NATS", "OPA"] == "apart"
    assert cells["OPA", "OPA"] == "self"


@pytest.mark.parametrize(
    ("value", "text"), [(0.0004, "0.40 µs"), (0.25, "250 µs"), (3.456, "3.46 ms"), (25, "25.0 ms"), (1500, "1.50 s")]
)
def test_milliseconds_are_displayed_readably(value: float, text: str) -> None:
    assert ms(value) == text


@pytest.mark.parametrize(("value", "text"), [(0.5, "500 ms"), (9.26, "9.3 s"), (61, "1 min 1 s"), (7260, "2 h 1 min")])
def test_durations_are_displayed_readably(value: float, text: str) -> None:
    assert seconds(value) == text


def test_numbers_and_units_are_displayed_readably() -> None:
    assert [number(value) for value in (0, 2.5, 12, 12295.4)] == ["0", "2.50", "12", "12,295"]
    assert [plural(unit) for unit in ("query", "batch", "row")] == ["queries", "batches", "rows"]


def test_whitespace_in_a_log_is_kept() -> None:
    page_text = "<ul>\n    <li>a\n\n  </li>\n</ul>\n<pre tabindex=0>at x\n    at y</pre>\n  <p>"
    assert without_indentation(page_text) == "<ul>\n<li>a\n</li>\n</ul>\n<pre tabindex=0>at x\n    at y</pre>\n<p>"


def test_a_page_says_why_tests_were_skipped() -> None:
    text = Page(page(sample_documents.failing(), "failing")).text
    skipped = [test for test in sample_documents.failing()["tests"] if test["status"] == "skipped"]
    assert skipped
    assert re.search(rf"Skipped, and why\s+{len(skipped)}\b", text)
    for reason in {test["message"] for test in skipped}:
        assert reason in text


def test_published_ports_are_shown_with_their_answer() -> None:
    document = complete(sample_documents.sample())
    service = document["services"][0]
    port = service["ports"][0]
    row = {"source": "host", "target": service["name"], "port": port["container"], "expected": "open"}
    document["reachability"] = [{**row, "actual": "closed", "latency_ms": 0.5}]
    [found] = published(document)
    assert (found["title"], found["is_open"]) == (service["title"], False)
    assert found["port"] == f"{port['host_ip']}:{port['host']}"
    document["reachability"] = []
    assert published(document) == []
