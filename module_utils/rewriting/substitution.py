"""What a reference reads after the migration: the target in the spelling of the source."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from typing import NamedTuple

from ansible.module_utils.rewriting.path_map import Location, PathMap
from ansible.module_utils.rewriting.patterns import RUNS, UNITS, UNIX, UNRESERVED, unix_separator
from ansible.module_utils.rewriting.references import Reading

# What a name may hold anywhere without quotes or escapes.
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_.~+@-]*\Z")


class Substitution(NamedTuple):
    """The new text of a reference, or the reason why it stays."""

    new: bytes
    reason: str


def _join(separators: list[bytes], parts: Iterable[bytes]) -> bytes:
    """Each part behind its separator; the last separator serves for the parts beyond it."""
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
    """How often the text around these separators is percent-encoded."""
    for run in separators:
        if run.startswith(b"%"):
            return 2 if run[1:3] == b"25" else 1
    return 1 if url else 0


def _url_lead(lead: bytes) -> bytes:
    """`file:///` without the slash that belongs to the path: `file://`, and `file:` where there was but one."""
    start = lead.lower().find(b":") + 1 if b":" in lead else lead.lower().find(b"3a") + 2
    if lead[start:].lower().strip(b"/\\").startswith(b"localhost"):
        return lead[: start + lead[start:].lower().find(b"localhost") + len(b"localhost")]
    units = UNITS.findall(lead[start:])
    return lead[:start] + (b"".join(units[:2]) if len(units) >= 2 else b"")


def _from_drive(
    target: Location, parts: list[bytes], before: bytes, separators: list[bytes], prefix: re.Match[bytes]
) -> bytes:
    """The target in the spelling of a reference that named a drive; `before` is its text up to the first name."""
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


def _needs_quotes(reading: Reading, target: Location, level: int) -> bool:
    """Whether the target has characters that the text around the reference may give another meaning."""
    if level or reading.quoted or target.is_plain:
        return False
    special = {c for part in target.text_parts for c in part if not _PLAIN_NAME.match(c) and c.isascii()}
    given = {c for step in reading.steps[: reading.covered] for c in step.name}
    return bool(special - given)


def substitute(
    path_map: PathMap, reading: Reading, before: bytes, prefix: re.Match[bytes], in_markup: bool
) -> Substitution:
    """What a reference reads afterwards.

    Args:
        path_map: the map.
        reading: the reference, with an entry.
        before: its text up to the first name.
        prefix: what that text is, from `patterns.DRIVE` or `patterns.UNIX`.
        in_markup: whether the reference is delimited as in XML, so that `&` needs an escape.
    """
    entry = reading.entry
    assert entry
    target = entry.target
    moved = Location(
        target.drive,
        (*target.parts, *(step.name for step in reading.steps[reading.covered :])),
        target.text_drive,
        (*target.text_parts, *(step.name for step in reading.steps[reading.covered :])),
    )
    again = path_map.relocate(moved.drive, moved.parts)
    if again is not None and (again.key, again.text_drive) != (moved.key, moved.text_drive):
        return Substitution(b"", "moves-again")
    covered = reading.steps[: reading.covered]
    is_unix = prefix.re is UNIX
    url = bool(prefix["url"] if is_unix else prefix["url"] or prefix["unix_url"])
    separators = [
        _last_separator(before) if is_unix else prefix["run"][::-1],
        *(step.separator for step in covered[1:]),
    ]
    level = encoding_level(separators, url)
    if _needs_quotes(reading, target, level):
        return Substitution(b"", "needs-quotes")
    in_markup = in_markup or any(b"&" in step.raw and b";" in step.raw for step in covered)
    parts = [
        html.escape(part, quote=False).encode() if in_markup and not level else _part_bytes(part, level)
        for part in target.text_parts
    ]
    render = _from_unix if is_unix else _from_drive
    new = render(target, parts, before, separators, prefix)
    turns = not is_unix and not target.text_drive
    pieces = [new]
    for step in reading.steps[reading.covered :]:
        pieces += [_turned(step.separator) if turns else step.separator, step.raw]
    pieces.append(_turned(reading.trailing) if turns else reading.trailing)
    return Substitution(b"".join(pieces), "")


def _last_separator(before: bytes) -> bytes:
    return b"\\/" if before.endswith(b"\\/") else UNITS.findall(before)[-1]


def _turned(run: bytes) -> bytes:
    return unix_separator(RUNS.match(run).group()) if run else b""  # type: ignore[union-attr]
