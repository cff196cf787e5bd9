"""Mapped places as patterns: one alternation for a drive, the longest place first."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from ansible.module_utils.rewriting.path_map import PathMapEntry
from ansible.module_utils.rewriting.patterns import END, RUN, UNIX_RUN, part_pattern


class Place(NamedTuple):
    """One alternative of a `Core`: the rule that rewrites it, or None for a place that already reads as a target."""

    parts: tuple[str, ...]
    rule: PathMapEntry | None


class Core(NamedTuple):
    """All places on one drive (or on none), longest first: pattern, and the place of each of its groups."""

    pattern: re.Pattern[bytes]
    places: tuple[Place, ...]


def places_pattern(places: Iterable[Place], separator: bytes, with_case: bool, skip: int = 0) -> bytes:
    """Alternation with one group a place; `skip` leaves out that many leading parts but not their separator."""
    alternatives = []
    for place in places:
        parts = [part_pattern(part) for part in place.parts[skip:]]
        body = (separator if skip else b"") + separator.join(parts)
        alternatives.append(rb"(" + body + rb")" + END)
    return (b"(?:" if with_case else b"(?i:") + b"|".join(alternatives) + b")"


def longest_first(places: Iterable[Place]) -> list[Place]:
    """Places in the order in which a pattern has to try them, so that the longest prefix wins."""
    return sorted(places, key=lambda place: (-len(place.parts), -sum(map(len, place.parts)), place.rule is not None))


def compile_places(drive: str, places: Iterable[Place]) -> Core:
    """The places of one drive as a pattern. Names on a drive have no case; those of a Unix machine have."""
    ordered = longest_first(places)
    pattern = places_pattern(ordered, RUN if drive else UNIX_RUN, with_case=not drive)
    return Core(re.compile(pattern), tuple(ordered))
