# SPDX-License-Identifier: GPL-3.0-or-later
"""Write the new text of a reference: the target in the spelling of the source."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from typing import NamedTuple

from ansible.module_utils.rewriting.path_map import Location, PathMap
from ansible.module_utils.rewriting.patterns import UNITS, UNIX, UNRESERVED, unix_separator
from ansible.module_utils.rewriting.references import Reading, Step

_PLACES_MAX = 4096
# Characters that a name may contain anywhere without quotes or escapes.
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_.~+@-]*\Z")


class Substitution(NamedTuple):
    """The new text of a reference, or the reason why it stays."""

    new: bytes
    reason: str


def _join(separators: list[bytes], parts: Iterable[bytes]) -> bytes:
    """Join each part to its separator; the last separator is repeated for further parts."""
    last = len(separators) - 1
    return b"".join(separators[min(index, last)] + part for index, part in enumerate(parts))


def _part_bytes(part: str, encoding_level: int) -> bytes:
    data = part.encode()
    if not encoding_level:
        return data
    percent = b"%25" if encoding_level == 2 else b"%"
    return b"".join(
        bytes((byte,)) if chr(byte) in UNRESERVED or byte in b"!$&'()*+,;=:@" else percent + b"%02X" % byte
        for byte in data
    )


def encoding_level(separators: Iterable[bytes], url: bool) -> int:
    """How many times the text around these separators is percent-encoded."""
    for run in separators:
        if run.startswith(b"%"):
            return 2 if run[1:3] == b"25" else 1
    return 1 if url else 0


def _url_lead(lead: bytes) -> bytes:
    """`file:///` without the slash that belongs to the path: `file://`, or `file:` if there was only one."""
    start = lead.lower().find(b":") + 1 if b":" in lead else lead.lower().find(b"3a") + 2
    if lead[start:].lower().strip(b"/\\").startswith(b"localhost"):
        return lead[: start + lead[start:].lower().find(b"localhost") + len(b"localhost")]
    units = UNITS.findall(lead[start:])
    return lead[:start] + (b"".join(units[:2]) if len(units) >= 2 else b"")


def _from_drive(
    target: Location, parts: list[bytes], before: bytes, separators: list[bytes], prefix: re.Match[bytes]
) -> bytes:
    """The target in the spelling of a reference with a drive; `before` is its text up to the first name."""
    if target.text_drive:
        group = "letter" if prefix["letter"] else "unix_letter"
        letter = prefix[group]
        place = len(before) - prefix.end(group)
        drive = target.text_drive.upper() if letter.isupper() else target.text_drive.lower()
        kept = before[:place] + drive.encode() + before[place + 1 : len(before) - len(separators[0])]
        return kept + _join(separators, parts)
    url = prefix["url"] or prefix["unix_url"]
    lead = _url_lead(url[::-1]) if url else b""
    return lead + _join([unix_separator(run) for run in separators], parts)


def _from_unix(
    target: Location, parts: list[bytes], before: bytes, separators: list[bytes], prefix: re.Match[bytes]
) -> bytes:
    """The target in the spelling of a reference that was a Unix path."""
    url = prefix["url"]
    if target.text_drive:
        level = encoding_level(separators[:1], False)
        colon = (b":", b"%3A", b"%253A")[level]
        lead = url[::-1] if url else b""
        return lead + target.text_drive.encode() + colon + _join(separators, parts)
    lead = _url_lead(url[::-1]) if url else b""
    return lead + _join([unix_separator(run) for run in separators], parts)


def _needs_quotes(covered: tuple[Step, ...], target: Location) -> bool:
    """Whether the target has characters that may have another meaning in the text around the reference."""
    special = {c for part in target.text_parts for c in part if c.isascii() and not _PLAIN_NAME.match(c)}
    return bool(special - {c for step in covered for c in step.name})


class Substituter:
    """Renders references; caches the results, because a tree has few different references and each occurs often."""

    def __init__(self, path_map: PathMap) -> None:
        self._path_map = path_map
        self._places: dict[tuple[bytes, bytes, bool], bytes] = {}

    def substitute(self, reading: Reading, before: bytes, prefix: re.Match[bytes], in_markup: bool) -> Substitution:
        """The new text of a reference.

        Args:
            reading: the reference, with an entry.
            before: its text up to the first name.
            prefix: what that text is, from `patterns.DRIVE` or `patterns.UNIX`.
            in_markup: whether the reference is delimited as in XML, so that `&` needs an escape.
        """
        entry = reading.entry
        if entry is None:
            raise AssertionError("only a reading with an entry is substituted")
        target = entry.target
        rest = reading.steps[reading.covered :]
        if self._moves_again(target, rest):
            return Substitution(b"", "moves-again")
        is_unix = prefix.re is UNIX
        covered = reading.steps[: reading.covered]
        if not target.is_plain and not reading.quoted:
            url = bool(prefix["url"] if is_unix else prefix["url"] or prefix["unix_url"])
            level = encoding_level([step.separator for step in covered], url)
            if not level and _needs_quotes(covered, target):
                return Substitution(b"", "needs-quotes")
        key = (before, b"".join([step.separator + step.raw for step in covered]), in_markup)
        place = self._places.get(key)
        if place is None:
            place = _render(target, covered, before, prefix, in_markup)
            if len(self._places) < _PLACES_MAX:
                self._places[key] = place
        if is_unix or target.text_drive:
            pieces = [place, *(step.separator + step.raw for step in rest), reading.trailing]
        else:
            pieces = [place, *(_turned(step.separator) + step.raw for step in rest), _turned(reading.trailing)]
        return Substitution(b"".join(pieces), "")

    def _moves_again(self, target: Location, rest: tuple[Step, ...]) -> bool:
        names = tuple(step.name for step in rest)
        again = self._path_map.relocate(target.drive, (*target.parts, *names))
        if again is None:
            return False
        moved = Location(target.drive, (*target.parts, *names), target.text_drive, (*target.text_parts, *names))
        return not again.reads_like(moved)


def _render(
    target: Location, covered: tuple[Step, ...], before: bytes, prefix: re.Match[bytes], in_markup: bool
) -> bytes:
    """The target in the spelling of the steps that it replaces."""
    is_unix = prefix.re is UNIX
    url = bool(prefix["url"] if is_unix else prefix["url"] or prefix["unix_url"])
    first = _last_separator(before) if is_unix else prefix["run"][::-1]
    separators = [first, *(step.separator for step in covered[1:])]
    level = encoding_level(separators, url)
    escapes = not level and (in_markup or any(b"&" in step.raw and b";" in step.raw for step in covered))
    parts = [
        html.escape(part, quote=False).encode() if escapes else _part_bytes(part, level) for part in target.text_parts
    ]
    render = _from_unix if is_unix else _from_drive
    return render(target, parts, before, separators, prefix)


def _last_separator(before: bytes) -> bytes:
    return b"\\/" if before.endswith(b"\\/") else UNITS.findall(before)[-1]


def _turned(run: bytes) -> bytes:
    return unix_separator(run) if run else b""
