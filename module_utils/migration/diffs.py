"""Unified diffs of what a migration does to a file, capped and without secrets."""

from __future__ import annotations

import difflib

from ansible.module_utils.migration.leftovers import printable
from ansible.module_utils.migration.secrets import mask_lines

LINES_PER_FILE = 120
LINES_IN_ALL = 2000
SIZE_MAX = 1024 * 1024
_LINE_MAX = 240


def _lines(data: bytes, kind: str) -> list[str]:
    encoding = "utf-8" if kind == "text" else kind
    return mask_lines(data.decode(encoding, "backslashreplace").splitlines(keepends=True))


def unified(path: bytes, old: bytes, new: bytes, kind: str) -> str:
    """The diff between two states of the text file `path`; empty where masked texts are equal or too large."""
    if max(len(old), len(new)) > SIZE_MAX:
        return f"{printable(path)}: too large to show\n"
    name = printable(path)
    lines: list[str] = []
    for line in difflib.unified_diff(_lines(old, kind), _lines(new, kind), f"{name} (before)", f"{name} (after)", n=2):
        if len(lines) == LINES_PER_FILE:
            lines.append(f"… more of {name} is not shown\n")
            break
        body = line.rstrip("\r\n")
        lines.append((body[:_LINE_MAX] + "…" if len(body) > _LINE_MAX else body) + "\n")
    return "".join(lines)
