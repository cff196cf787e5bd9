# SPDX-License-Identifier: GPL-3.0-or-later
"""Unified diffs of what a migration does to a file, capped and without secrets."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import Any

from ansible.module_utils.shared import fs
from ansible.module_utils.shared.masking import mask_lines

LINES_PER_FILE = 120
LINES_TOTAL = 2000
SIZE_MAX = 1024 * 1024
_LINE_MAX = 240
# Limit of line pairs for difflib, which then takes a few hundredths of a second at worst.
_COMPARISONS_MAX = 250_000

# A tag, and its lines in the old and the new text.
Opcode = tuple[Any, int, int, int, int]


def _lines(data: bytes, kind: str) -> list[str]:
    encoding = "utf-8" if kind == "text" else kind
    return mask_lines(data.decode(encoding, "backslashreplace").splitlines(keepends=True))


class _Matcher(difflib.SequenceMatcher[str]):
    """difflib's grouping over opcodes that were found elsewhere."""

    def __init__(self, opcodes: list[Opcode]) -> None:
        super().__init__(None, "", "")
        self._opcodes = opcodes

    def get_opcodes(self) -> list[Opcode]:
        return self._opcodes


def _opcodes(old: list[str], new: list[str]) -> list[Opcode]:
    """The differences, in linear time if there are many lines: the time of difflib is quadratic.

    Many lines are compared one by one, because rewriting neither adds nor removes lines; if their number differs,
    everything between the first and the last difference is one block.
    """
    first, shorter = 0, min(len(old), len(new))
    while first < shorter and old[first] == new[first]:
        first += 1
    last = 0
    while last < shorter - first and old[-1 - last] == new[-1 - last]:
        last += 1
    a, b = old[first : len(old) - last], new[first : len(new) - last]
    between: list[Opcode]
    if len(a) * len(b) <= _COMPARISONS_MAX:
        between = difflib.SequenceMatcher(None, a, b).get_opcodes()
    elif len(a) == len(b):
        between = []
        for number, equal in enumerate(x == y for x, y in zip(a, b, strict=True)):
            tag = "equal" if equal else "replace"
            start = number
            if between and between[-1][0] == tag:
                start = between.pop()[1]
            between.append((tag, start, number + 1, start, number + 1))
    else:
        between = [("replace", 0, len(a), 0, len(b))]
    opcodes: list[Opcode] = [("equal", 0, first, 0, first)] if first else []
    opcodes += [(tag, first + i, first + j, first + k, first + m) for tag, i, j, k, m in between]
    if last:
        opcodes.append(("equal", len(old) - last, len(old), len(new) - last, len(new)))
    return opcodes


def _range(start: int, stop: int) -> str:
    """A hunk's range as `diff -u` writes it."""
    length = stop - start
    return str(start + 1) if length == 1 else f"{start + 1 if length else start},{length}"


def _unified(old: list[str], new: list[str], name: str) -> Iterator[str]:
    groups = list(_Matcher(_opcodes(old, new)).get_grouped_opcodes(2))
    if groups:
        yield f"--- {name} (before)\n"
        yield f"+++ {name} (after)\n"
    for group in groups:
        yield f"@@ -{_range(group[0][1], group[-1][2])} +{_range(group[0][3], group[-1][4])} @@\n"
        for tag, i, j, k, m in group:
            if tag == "equal":
                yield from (" " + line for line in old[i:j])
            else:
                yield from ("-" + line for line in old[i:j])
                yield from ("+" + line for line in new[k:m])


def unified(path: bytes, old: bytes, new: bytes, kind: str) -> str:
    """The diff between two states of the text file `path`; empty if the masked texts are equal."""
    if max(len(old), len(new)) > SIZE_MAX:
        return f"{fs.display_name(path)}: too large to show\n"
    name = fs.display_name(path)
    lines: list[str] = []
    for line in _unified(_lines(old, kind), _lines(new, kind), name):
        if len(lines) == LINES_PER_FILE:
            lines.append(f"… more of {name} is not shown\n")
            break
        body = line.rstrip("\r\n")
        lines.append((body[:_LINE_MAX] + "…" if len(body) > _LINE_MAX else body) + "\n")
    return "".join(lines)


class Diffs:
    """The diffs of many files; those beyond what will be shown are not kept."""

    def __init__(self) -> None:
        self._diffs: list[tuple[bytes, str]] = []
        self._lines = 0

    def add(self, path: bytes, text: str) -> None:
        """Keep a file's diff, as long as there is room."""
        if not text:
            return
        self._diffs.append((path, text))
        self._lines += text.count("\n")
        if self._lines > 4 * LINES_TOTAL:
            self._diffs.sort()
            lines = shown = 0
            while lines <= LINES_TOTAL:
                lines += self._diffs[shown][1].count("\n")
                shown += 1
            del self._diffs[shown:]
            self._lines = lines

    def __len__(self) -> int:
        """How many files' diffs are kept."""
        return len(self._diffs)

    def text(self) -> str:
        """All diffs, sorted by path and capped."""
        lines: list[str] = []
        for _path, text in sorted(self._diffs):
            lines += text.splitlines(keepends=True)
            if len(lines) > LINES_TOTAL:
                lines = [*lines[:LINES_TOTAL], "… more files are not shown\n"]
                break
        return "".join(lines)
