# SPDX-License-Identifier: GPL-3.0-or-later
"""Edits of a text, and what it reads once they are applied."""

from __future__ import annotations

from typing import NamedTuple


class Edit(NamedTuple):
    """Bytes `start` to `end` read `new`."""

    start: int
    end: int
    new: bytes


class Plan(NamedTuple):
    """What a text reads after the migration, and how many references were rewritten for it."""

    new: bytes
    replacements: int


def apply_edits(data: bytes, edits: list[Edit]) -> Plan:
    """`data` with the edits applied; they may come in any order and don't overlap."""
    if not edits:
        return Plan(data, 0)
    pieces, position = [], 0
    for edit in sorted(edits):
        pieces += [data[position : edit.start], edit.new]
        position = edit.end
    pieces.append(data[position:])
    return Plan(b"".join(pieces), len(edits))
