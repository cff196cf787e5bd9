# SPDX-License-Identifier: GPL-3.0-or-later
"""The audit log of a machine, ROOT/.trade2026/journal.jsonl: one line for each run, chained by hashes.

Each line holds the SHA-256 of the line before it and of itself, so a line that was altered or removed is found. The
file `head` beside the journal names the last line, so removing lines from the end is found too. The log detects
accidents and edits; it does not stop somebody who may write all of these files.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible.module_utils.deployment.model import digest
from ansible.module_utils.shared.fs import explain, replace_file, write_all
from ansible.module_utils.shared.ownership import Ownership

FILE = Path(".trade2026/journal.jsonl")
HEAD = Path(".trade2026/journal/head")
# What the first line holds instead of a hash.
FIRST = "0" * 64
# The number comes first, so that it can be read from a line that is cut off.
_NUMBER = re.compile(rb'\{"number": (\d+),')


class AuditError(Exception):
    """The audit log cannot be written; the text is a message for the user."""


@dataclass(frozen=True)
class Audit:
    """What the log says, and what is wrong with it."""

    lines: tuple[Mapping[str, Any], ...] = ()
    problems: tuple[str, ...] = ()
    # What is unusual but explained, such as a line that a power failure cut off.
    notes: tuple[str, ...] = field(default=())


def append(root: Path, entry: Mapping[str, Any]) -> None:
    """Add a line: one write, synced, under a lock; raises AuditError and leaves the file as it was."""
    path, head = root / FILE, root / HEAD
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise AuditError(explain(error, path)) from error
    with contextlib.closing(os.fdopen(handle, "rb+", buffering=0)):
        fcntl.flock(handle, fcntl.LOCK_EX)
        size = os.fstat(handle).st_size
        try:
            last = _last_line(handle, size)
            content = {"number": _next_number(last, head), "previous": _hash(last) if last else FIRST, **entry}
            line = json.dumps({**content, "sha256": digest(content)}).encode() + b"\n"
            # A line that a power failure cut off stays as it is, and the next line holds its hash.
            write_all(handle, line if last.endswith(b"\n") or not last else b"\n" + line)
            os.fsync(handle)
        except OSError as error:
            with contextlib.suppress(OSError):
                os.ftruncate(handle, size)
            raise AuditError(explain(error, path)) from error
        _write_head(head, content["number"], _hash(line))


def read(root: Path) -> Audit:
    """Read and verify the log: every altered, missing or damaged line is named."""
    path = root / FILE
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        data = b""
    lines: list[Mapping[str, Any]] = []
    problems: list[str] = []
    notes: list[str] = []
    previous, number = FIRST, 0
    raw = data.splitlines(keepends=True)
    for position, text in enumerate(raw, 1):
        content = _parse(text)
        expected, number = number + 1, _number(text, number + 1)
        if number != expected:
            problems.append(f"line {position} is of run {number}, so {_missing(expected, number - 1)} missing")
        if not content:
            follower = _parse(raw[position]) if position < len(raw) else {}
            vouched = follower.get("previous") == _hash(text) or position == len(raw)
            (notes if vouched and _cut_off(text) else problems).append(f"line {position} {_damage(text)}")
        else:
            problems += _faults(content, position, previous if number == expected else "")
            lines.append(content)
        previous = _hash(text)
    problems += _behind_head(root / HEAD, raw, number)
    return Audit(tuple(lines), tuple(problems), tuple(notes))


def _faults(content: Mapping[str, Any], position: int, previous: str) -> list[str]:
    body = {key: value for key, value in content.items() if key != "sha256"}
    faults = []
    if content.get("sha256") != digest(body):
        faults.append(f"line {position} (run {content['number']}) was altered: its content does not match its hash")
    # Missing lines have been reported already.
    if previous and content.get("previous") != previous:
        faults.append(
            f"line {position} (run {content['number']}) does not follow the line before it: "
            "a line was altered or removed there"
        )
    return faults


def _missing(first: int, last: int) -> str:
    return f"the line of run {first} is" if first >= last else f"the lines of runs {first} to {last} are"


def _behind_head(head: Path, raw: list[bytes], number: int) -> list[str]:
    """Whether lines are missing from the end, which a chain alone cannot show."""
    try:
        named = json.loads(head.read_text(encoding="utf-8"))
        last, expected = int(named["number"]), str(named["sha256"])
    except FileNotFoundError:
        return [] if not raw else [f"{head} is missing, so lines that were removed from the end would not be noticed"]
    except (OSError, ValueError, KeyError, TypeError):
        return [f"{head} is damaged, so lines that were removed from the end would not be noticed"]
    if any(_hash(text) == expected for text in raw):
        return []
    if number < last:
        return [f"the log was truncated: it ends with run {number}, and run {last} was written"]
    return [f"the line of run {last} was altered or removed"]


def _parse(text: bytes) -> Mapping[str, Any]:
    """The line's content; empty for a damaged line."""
    try:
        content = json.loads(text)
        return content if isinstance(content, dict) and isinstance(content.get("number"), int) else {}
    except ValueError:
        return {}


def _cut_off(text: bytes) -> bool:
    return text.startswith(b'{"number": ') and not text.rstrip(b"\n").endswith(b"}")


def _damage(text: bytes) -> str:
    if _cut_off(text):
        return "is cut off: the machine stopped while the line was written"
    return "is damaged: it is not a line that a run wrote"


def _last_line(handle: int, size: int) -> bytes:
    """The last line of the file, with its end of line if it has one."""
    tail, start = b"", size
    while start > 0:
        step = min(65536, start)
        start -= step
        tail = os.pread(handle, step, start) + tail
        cut = tail.rstrip(b"\n").rfind(b"\n")
        if cut >= 0:
            return tail[cut + 1 :]
    return tail


def _number(line: bytes, otherwise: int) -> int:
    """The number at the beginning of a line, also of one that is cut off."""
    match = _NUMBER.match(line)
    return int(match[1]) if match else otherwise


def _next_number(last: bytes, head: Path) -> int:
    numbers = [_number(last, 0)]
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        numbers.append(int(json.loads(head.read_text(encoding="utf-8"))["number"]))
    return max(numbers, default=0) + 1


def _write_head(head: Path, number: int, line_hash: str) -> None:
    try:
        content = json.dumps({"number": number, "sha256": line_hash}).encode() + b"\n"
        replace_file(head, content, Ownership(mode=0o600))
    except OSError as error:
        raise AuditError(explain(error, head)) from error


def _hash(line: bytes) -> str:
    """Of a line without its end, so that a cut-off line keeps its hash when the next one is appended."""
    return hashlib.sha256(line.rstrip(b"\n")).hexdigest()
