# SPDX-License-Identifier: GPL-3.0-or-later
"""Edits of a text, and applying them."""

from __future__ import annotations

from typing import NamedTuple


class Edit(NamedTuple):
    """Replace the bytes `start` to `end` by `new`."""

    start: int
    end: int
    new: bytes


class Plan(NamedTuple):
    """A text after the migration, and the number of references that were rewritten in it."""

    new: bytes
    replacements: int


def apply_edits(data: bytes, edits: list[Edit]) -> Plan:
    """`data` with the edits applied; they may be in any order and do not overlap."""
    if not edits:
        return Plan(data, 0)
    pieces, position = [], 0
    for edit in sorted(edits):
        pieces += [data[position : edit.start], edit.new]
        position = edit.end
    pieces.append(data[position:])
    return Plan(b"".join(pieces), len(edits))
