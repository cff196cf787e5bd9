"""How a path goes on behind a mapped place: its separators turn too where the target is a Unix path."""

from __future__ import annotations

import re
from typing import NamedTuple

from ansible.module_utils.rewriting.edits import Edit
from ansible.module_utils.rewriting.patterns import RUN, unix_separator

# The rest of a path behind a mapped place, looked at only to turn its backslashes when the target is a Unix path.
TAIL_MAX = 4096
_NAME = rb"(?:\$env:\w+|[^\x00-\x20\x7f\"'`<>|:;,()\[\]=&/\\\xc2\xe2])+"
_QUOTED_NAME = rb"(?:\$env:\w+|[^\x00-\x1f\x7f\"'`<>|:;/\\\xc2\xe2])+"
_ENCODED_NAME = rb"(?:%(?!(?:25)?(?:2[fF]|5[cC]))|[^%\x00-\x20\x7f\"'`<>|:;,()\[\]=&/\\\xc2\xe2])+"
# With slashes in the mapped part, one backslash before a letter that makes an escape is taken for an escape.
_TAIL_SEPARATORS = {
    0: rb"/{1,4}|(?:\\/){1,4}|\\\\(?=[\w$%.*{])|\\(?=[AcCEFgGhHiIjJkKlLmMoOpPqQRTVXyYzZ_])",
    1: rb"[/\\]{1,4}",
    2: rb"(?:\\\\){1,2}|/{1,4}",
    4: rb"\\{4}|/{1,4}",
}
_TAIL_ENDS = {1: rb"[/\\]{1,4}", 2: rb"(?:\\\\){1,2}", 4: rb"\\{4}"}
TAIL_BEGINS = frozenset(b"/\\%")


class Tail(NamedTuple):
    """How a path goes on: all of it, one step with its separator as the first group, and a separator at its end."""

    whole: re.Pattern[bytes]
    step: re.Pattern[bytes]
    last: re.Pattern[bytes] | None


def _tail(separators: bytes, name: bytes, last: bytes | None) -> Tail:
    step = rb"(" + separators + rb")" + name
    whole = rb"(?:(?:" + separators + rb")" + name + rb")*+"
    return Tail(re.compile(whole), re.compile(step), re.compile(last) if last else None)


_TAILS = {
    (unit, quoted): _tail(separators, _QUOTED_NAME if quoted else _NAME, _TAIL_ENDS.get(unit))
    for unit, separators in _TAIL_SEPARATORS.items()
    for quoted in (False, True)
}
_ENCODED_TAIL = _tail(RUN, _ENCODED_NAME, rb"(?:%(?:25)?(?:2[fF]|5[cC])){1,4}")


def tails_behind(separators: list[bytes]) -> tuple[Tail, Tail]:
    """How the path goes on behind a place with these separators: outside quotes, and in them."""
    if any(run.startswith(b"%") for run in separators):
        return _ENCODED_TAIL, _ENCODED_TAIL
    unit = min((len(run) for run in separators if not run.strip(b"\\")), default=0)
    unit = 4 if unit >= 4 else 2 if unit >= 2 else unit
    return _TAILS[unit, False], _TAILS[unit, True]


def turn_tail(data: bytes, end: int, tail: Tail, edits: list[Edit]) -> int:
    """Turn the separators of the path that goes on at `end`, as far as its spelling says that they are separators.

    Returns where that path ends.
    """
    stop = end + TAIL_MAX
    whole = tail.whole.match(data, end, stop)
    position = whole.end() if whole else end
    text = data[end:position]
    if b"\\" in text or b"//" in text or b"%" in text:
        step, at = tail.step, end
        while at < position and (found := step.match(data, at, position)):
            _turn(found.start(1), found.group(1), edits)
            at = found.end()
    trailing = tail.last.match(data, position, stop) if tail.last else None
    if trailing:
        _turn(position, trailing.group(), edits)
        position = trailing.end()
    return position


def _turn(start: int, run: bytes, edits: list[Edit]) -> None:
    new = unix_separator(run)
    if new != run and run.strip(b"\\/") + new != b"\\/":
        edits.append(Edit(start, start + len(run), new, counts=False))
