# SPDX-License-Identifier: GPL-3.0-or-later
"""The report's page in Chromium: it sends no request, fits a phone, and is accessible by keyboard and screen reader."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from conftest import NAMES, ROOT, SCREENSHOTS
from playwright.sync_api import Browser, Page

AXE = ROOT / ".cache/node/node_modules/axe-core/axe.min.js"
TELEPHONE, DESKTOP = WIDTHS = 360, 1920


@contextmanager
def opened(browser: Browser, page: Path, width: int = 1280, scheme: str = "light", **options: Any) -> Iterator[Page]:
    """The page in a new window, without a network."""
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True, **options
    )  # type: ignore[arg-type]
    try:
        tab = context.new_page()
        tab.goto(page.as_uri())
        yield tab
    finally:
        context.close()


@pytest.mark.parametrize(
    ("name", "scheme", "width"),
    [
        *((name, scheme, width) for name in ("failing", "sample") for scheme in ("light", "dark") for width in WIDTHS),
        *((name, "light", width) for name in ("before_deployment", "odd") for width in WIDTHS),
        ("smallest", "dark", TELEPHONE),
        ("many", "light", TELEPHONE),
    ],
)
def test_the_page_fits_its_window(browser: Browser, pages: dict[str, Path], name: str, scheme: str, width: int) -> None:
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    with opened(browser, pages[name], width, scheme) as tab:
        size = tab.evaluate("[document.documentElement.scrollWidth, document.documentElement.scrollHeight]")
        assert size[0] <= width
        # Chromium cannot take a larger screenshot.
        height = min(size[1], 16000)
        tab.screenshot(
            path=SCREENSHOTS / f"{name}-{width}-{scheme}.png",
            full_page=True,
            clip={"x": 0, "y": 0, "width": width, "height": height},
        )


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_requested_and_the_console_is_silent(browser: Browser, pages: dict[str, Path], name: str) -> None:
    context = browser.new_context(offline=True)
    tab = context.new_page()
    requests: list[str] = []
    said: list[str] = []
    tab.on("request", lambda request: requests.append(request.url))
    tab.on("console", lambda message: said.append(message.text))
    tab.on("pageerror", lambda error: said.append(str(error)))
    tab.goto(pages[name].as_uri(), wait_until="networkidle")
    context.close()
    assert [url for url in requests if not url.startswith("data:")] == [pages[name].as_uri()]
    assert said == []


def test_a_request_would_be_noticed(browser: Browser, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text("<img src=https://example.invalid/x.png><script>nothing()</script>", encoding="utf-8")
    context = browser.new_context(offline=True)
    tab = context.new_page()
    requests: list[str] = []
    errors: list[str] = []
    tab.on("request", lambda request: requests.append(request.url))
    tab.on("pageerror", lambda error: errors.append(str(error)))
    tab.goto(page.as_uri(), wait_until="networkidle")
    context.close()
    assert "https://example.invalid/x.png" in requests
    assert errors


@pytest.mark.parametrize(
    ("name", "width", "scheme"),
    [
        ("failing", TELEPHONE, "dark"),
        ("failing", DESKTOP, "light"),
        ("sample", DESKTOP, "dark"),
        ("before_deployment", TELEPHONE, "light"),
        ("smallest", TELEPHONE, "dark"),
        ("odd", TELEPHONE, "light"),
    ],
)
def test_axe_finds_no_violation(browser: Browser, pages: dict[str, Path], name: str, width: int, scheme: str) -> None:
    # axe is a script, which the page's own policy forbids.
    with opened(browser, pages[name], width, scheme, bypass_csp=True) as tab:
        tab.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
        tab.add_script_tag(path=AXE)
        found = tab.evaluate("axe.run()")
    assert len(found["passes"]) > 20
    assert [
        (one["id"], one["help"], [node["html"][:200] for node in one["nodes"][:3]]) for one in found["violations"]
    ] == []


def test_axe_would_find_a_violation(browser: Browser, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text("<html><p style='color: #999'>grey<img src=data:,></html>", encoding="utf-8")
    with opened(browser, page) as tab:
        tab.add_script_tag(path=AXE)
        found = {one["id"] for one in tab.evaluate("axe.run()")["violations"]}
    assert {"color-contrast", "image-alt", "html-has-lang"} <= found


def test_the_verdict_is_seen_first(browser: Browser, pages: dict[str, Path]) -> None:
    for width in (TELEPHONE, DESKTOP):
        with opened(browser, pages["failing"], width) as tab:
            box = tab.locator("h1").bounding_box()
            assert tab.locator("h1").inner_text().startswith("4 of 87 tests failed")
            assert box
            assert box["y"] < 150


def test_the_page_can_be_used_with_the_keyboard(browser: Browser, pages: dict[str, Path]) -> None:
    with opened(browser, pages["failing"], DESKTOP) as tab:
        tab.keyboard.press("Tab")
        skip = tab.locator(".skip")
        box = skip.bounding_box()
        assert box
        assert box["x"] >= 0
        assert tab.evaluate("document.activeElement.className") == "skip"
        tab.locator("#tests-nats summary").focus()
        tab.keyboard.press("Enter")
        assert tab.locator("#tests-nats table").is_visible()
        region = tab.locator("#matrix .scroll").first
        region.focus()
        assert tab.evaluate("document.activeElement.getAttribute('aria-label')") == "Services and kinds of test"


def test_charts_are_readable_on_a_phone(browser: Browser, pages: dict[str, Path]) -> None:
    for width, shown in ((TELEPHONE, ".narrow"), (DESKTOP, ".wide")):
        with opened(browser, pages["sample"], width) as tab:
            figures = tab.locator(f"figure {shown}")
            assert figures.count() == 3
            for number in range(3):
                assert figures.nth(number).is_visible()
            sizes = tab.evaluate(
                f"[...document.querySelectorAll('figure {shown} text')].map(one => one.getBoundingClientRect().height)"
            )
            assert len(sizes) > 20
            assert min(size for size in sizes if size) >= 9


def test_paper_shows_what_is_folded_on_the_screen(browser: Browser, pages: dict[str, Path]) -> None:
    with opened(browser, pages["sample"], scheme="dark") as tab:
        cell = tab.locator("#choices td").first
        assert not cell.is_visible()
        tab.emulate_media(media="print", color_scheme="dark")
        assert tab.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        assert tab.evaluate("document.querySelector('#choices td').getBoundingClientRect().height") > 10
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        assert tab.pdf(path=SCREENSHOTS / "sample.pdf", prefer_css_page_size=True).startswith(b"%PDF")
