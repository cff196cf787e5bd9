# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures are drawn in a process of their own, and what that process cannot draw is reported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.report import drawing

SPEC: dict[str, Any] = {"data": {"values": [{"a": "ä < b"}]}, "mark": "text", "encoding": {"text": {"field": "a"}}}


def test_a_picture_has_its_data() -> None:
    assert "ä &lt; b" in drawing.draw(SPEC)


def test_the_next_picture_is_drawn_after_one_that_cannot_be_drawn() -> None:
    drawing.draw(SPEC)
    process = drawing.start()
    with pytest.raises(drawing.DrawingError, match=r"vl-convert cannot draw: \S+"):
        drawing.draw({"mark": 3})
    assert "<svg" in drawing.draw(SPEC)
    assert drawing.start() is process


def test_a_process_that_ended_is_reported_and_replaced() -> None:
    drawing.start().kill()
    with pytest.raises(drawing.DrawingError, match="its process ended"):
        drawing.draw(SPEC)
    assert "<svg" in drawing.draw(SPEC)


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "vl_convert.py").write_text("raise ModuleNotFoundError(\"No module named 'vl_convert'\")\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    drawing.start.cache_clear()
    with pytest.raises(drawing.DrawingError, match="No module named 'vl_convert'"):
        drawing.draw(SPEC)
