# SPDX-License-Identifier: GPL-3.0-or-later
"""Reports on the disk, and Debian's Chromium to open them."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

ROOT = Path(__file__).resolve().parents[2]
# The documents are those of the unit tests.
sys.path.insert(0, str(ROOT / "tests/unit/report"))
# Screenshots of the page, which CI may keep.
SCREENSHOTS = ROOT / ".cache/browser"

NAMES = ("sample", "failing", "before_deployment", "smallest", "many", "odd")


@pytest.fixture(scope="session")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Name of a sample document → its page."""
    import sample_documents
    from ansible.module_utils.report.document import complete
    from ansible.module_utils.report.page import render

    folder = tmp_path_factory.mktemp("reports")
    found = {}
    for name in NAMES:
        page = folder / name / "report.html"
        page.parent.mkdir()
        document = complete(getattr(sample_documents, name)())
        page.write_text(render(document, ROOT / "roles/core/templates/report"), encoding="utf-8")
        found[name] = page
    return found


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's Chromium; the one that Playwright would download is not used."""
    program = shutil.which("chromium")
    assert program, "chromium is missing; run scripts/ensure-test-tools"
    with sync_playwright() as playwright:
        # Chromium refuses to use its sandbox as root. It opens only files of this project here.
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        chromium = playwright.chromium.launch(executable_path=program, args=arguments)
        yield chromium
        chromium.close()
