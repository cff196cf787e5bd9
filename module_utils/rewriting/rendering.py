"""How a reference that was found reads afterwards: the target in the spelling of the source."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from ansible.module_utils.rewriting.path_map import Location
from ansible.module_utils.rewriting.patterns import RUNS, UNITS, UNIX, UNRESERVED, unix_separator
from ansible.module_utils.rewriting.tails import Tail, tails_behind


class Rendering(NamedTuple):
    """What a spelling reads afterwards; `tail` (unquoted, quoted) where the separators behind it turn too."""

    new: bytes
    tail: tuple[Tail, Tail] | None


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


def _encoding_level(separators: list[bytes], url: bool) -> int:
    encoded = [run for run in separators if run.startswith(b"%")]
    if encoded:
        return 2 if encoded[0][1:3] == b"25" else 1
    return 1 if url else 0


def _url_lead(lead: bytes) -> bytes:
    """`file:///` without the slash that belongs to the path: `file://`, and `file:` where there was but one."""
    start = lead.lower().find(b":") + 1 if b":" in lead else lead.lower().find(b"3a") + 2
    if lead[start:].lower().strip(b"/\\").startswith(b"localhost"):
        return lead[: start + lead[start:].lower().find(b"localhost") + len(b"localhost")]
    units = UNITS.findall(lead[start:])
    return lead[:start] + (b"".join(units[:2]) if len(units) >= 2 else b"")


def _render_from_drive(target: Location, before: bytes, separators: list[bytes], prefix: re.Match[bytes]) -> bytes:
    """The target in the spelling of a reference that named a drive; `before` is its text up to the first name."""
    url = prefix["url"] or prefix["unix_url"]
    level = _encoding_level(separators, bool(url))
    parts = [_part_bytes(part, level) for part in target.text_parts]
    if target.text_drive:
        group = "letter" if prefix["letter"] else "unix_letter"
        letter = prefix[group]
        place = len(before) - prefix.end(group)
        drive = target.text_drive.upper() if letter.isupper() else target.text_drive.lower()
        kept = before[:place] + drive.encode() + before[place + 1 : len(before) - len(separators[0])]
        return kept + _join(separators, parts)
    lead = _url_lead(url[::-1]) if url else b""
    return lead + _join([unix_separator(run) for run in separators], parts)


def _render_from_unix(target: Location, before: bytes, runs: list[bytes], prefix: re.Match[bytes]) -> bytes:
    """The target in the spelling of a reference that was a Unix path."""
    url = prefix["url"]
    first = UNITS.findall(before)[-1] if not before.endswith(b"\\/") else b"\\/"
    separators = [first, *runs]
    level = _encoding_level(separators, bool(url))
    parts = [_part_bytes(part, level) for part in target.text_parts]
    if target.text_drive:
        colon = {0: b":", 1: b"%3A", 2: b"%253A"}[level if first.startswith(b"%") else 0]
        return (url[::-1] if url else b"") + target.text_drive.encode() + colon + _join(separators, parts)
    lead = _url_lead(url[::-1]) if url else b""
    return lead + _join([unix_separator(run) for run in separators], parts)


def render(target: Location, before: bytes, core: bytes, prefix: re.Match[bytes]) -> Rendering:
    """How a reference reads afterwards; `before` is its text up to the first name, `core` the text from there."""
    runs = RUNS.findall(core)
    if prefix.re is UNIX:
        return Rendering(_render_from_unix(target, before, runs, prefix), None)
    separators = [prefix["run"][::-1], *runs]
    new = _render_from_drive(target, before, separators, prefix)
    return Rendering(new, None if target.text_drive else tails_behind(separators))
