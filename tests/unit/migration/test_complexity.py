# SPDX-License-Identifier: GPL-3.0-or-later
"""Time grows linearly with the work, not quadratically; and a large file is not read more often than necessary."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.migration import diff
from ansible.module_utils.rewriting.document import plan_document
from ansible.module_utils.rewriting.mentions import Mentions
from ansible.module_utils.shared.fs import BLOCK as PIECE
from migration_case import DOCUMENTED, migrate, rules_of

GUARDED = rules_of({"C:/trade2025/old": "C:/trade2025/new"})
MENTIONS = Mentions(["trade2025"])


def _diff(lines: int) -> str:
    old = b"".join(b"line %d\nC:/trade2025/trading/x%d\n" % (number, number) for number in range(lines))
    return diff.unified(b"name", old, DOCUMENTED.plan(old).new, "text")


@pytest.mark.parametrize(
    "work",
    [
        pytest.param(lambda n: plan_document(b"C:/trade2025/new/x trade2025\n" * n, GUARDED, MENTIONS), id="protected"),
        pytest.param(lambda n: DOCUMENTED.plan(b"C:\\trade2025\\trading\\x!" * n), id="tails that end in a reference"),
        pytest.param(lambda n: plan_document(b"trade2025 " * n, DOCUMENTED, MENTIONS), id="mentions in one line"),
        pytest.param(lambda n: plan_document(b"\0trade2025" * n, DOCUMENTED, MENTIONS), id="mentions in a binary file"),
        pytest.param(_diff, id="a diff of every second line"),
    ],
)
def test_ten_times_the_work_takes_less_than_a_hundred_times_as_long(work: Callable[[int], Any]) -> None:
    def seconds(size: int) -> float:
        start = time.process_time()
        work(size)
        return time.process_time() - start

    few = min(seconds(1_200) for _ in range(3))
    assert seconds(12_000) < 35 * few + 0.2


@pytest.mark.parametrize(
    ("ending", "times"), [(b"text", 1), (b"\0", 2)], ids=["text", "a NUL at the very end shows that it is binary"]
)
def test_a_new_large_file_is_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: bytes, times: int
) -> None:
    (tmp_path / "src").mkdir()
    size = (tmp_path / "src" / "large").write_bytes(b"x" * 8 * PIECE + ending)
    original, seen = os.read, 0

    def read(descriptor: int, length: int) -> bytes:
        nonlocal seen
        data = original(descriptor, length)
        seen += len(data)
        return data

    monkeypatch.setattr(os, "read", read)
    migrate(tmp_path / "src", tmp_path / "dest", workers=1)
    # The manifest and the journal are read too.
    assert times * size <= seen < times * size + 4096
    assert (tmp_path / "dest" / "large").read_bytes() == b"x" * 8 * PIECE + ending


def test_a_diff_is_what_it_was_however_many_lines_there_are() -> None:
    lines = [b"line %d" % number for number in range(3_000)]
    changed = [*lines[:10], b"new", *lines[11:1_500], b"other", *lines[1_501:]]
    wanted = [
        ("@@ -9,5 +9,5 @@", "-line 10", "+new"),
        ("@@ -1499,5 +1499,5 @@", "-line 1500", "+other"),
    ]
    text = diff.unified(b"name", b"\n".join(lines), b"\n".join(changed), "text")
    for hunk in wanted:
        assert all(line in text.splitlines() for line in hunk)
    shifted = diff.unified(b"name", b"\n".join(lines), b"\n".join([*lines[:5], b"more", *lines[5:]]), "text")
    assert [line for line in shifted.splitlines() if line[0] in "+-"][2:] == ["+more"]


def test_diffs_that_are_not_shown_are_not_kept() -> None:
    entries = [(b"f%03d" % (number * 7919 % 1000), f"line of {number}\n" * 100) for number in range(1000)]
    diffs = diff.Diffs()
    for path, text in entries:
        diffs.add(path, text)
    assert len(diffs) < 100
    lines = "".join(text for _path, text in sorted(entries)).splitlines(keepends=True)[: diff.LINES_TOTAL]
    assert diffs.text() == "".join([*lines, "… more files are not shown\n"])
