"""Hide secrets in what is shown: diffs, leftovers, logs and results."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

# Stands for a secret wherever one is hidden; the same length for all, so that it tells nothing.
MASK = "********"

_NAME = (
    r"[\w.-]*(?:passw(?:or)?d|passphrase|pwd|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|credential)[\w.-]*"
)
_ASSIGNED = re.compile(
    rf"(?i)(?P<name>{_NAME}[\"']?\s*(?:[:=]|=>)\s*)(?P<quote>\\?[\"']?)(?P<value>(?!\s|[|>][-+]?\s*$).+?)(?P=quote)(?=\s*[,;}}\])]|\s*$|\s+#|(?<=[\"'])\s)"
)
_OPTION = re.compile(rf"(?i)(?P<name>--?{_NAME}\s+)(?P<value>[^\s-]\S*)")
# Settings that have their value behind a blank: Valkey's, and ClickHouse's in SQL.
_SETTING = re.compile(r"(?i)(?P<name>\b(?:requirepass|masterauth|IDENTIFIED BY)\s+)(?P<value>'[^']*'|\S+)")
_URL = re.compile(r"(?P<name>[A-Za-z][A-Za-z0-9+.-]*://[^\s/:@\"']*:)(?P<value>[^\s@/\"']+)(?=@)")
_BEARER = re.compile(r"(?i)(?P<name>\b(?:bearer|basic)\s+)(?P<value>[A-Za-z0-9._~+/=-]{8,})")
_JWT = re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]*)?")
_JWK = re.compile(r"(?P<name>\"(?:d|p|q|dp|dq|qi|k)\"\s*:\s*\")(?P<value>[A-Za-z0-9_-]{16,})")
_PEM_BEGIN = re.compile(r"-----BEGIN [A-Z0-9 ]+-----")
_PEM_END = re.compile(r"-----END [A-Z0-9 ]+-----")
_BLOCK = re.compile(rf"(?i)^(?P<indent>\s*)(?:-\s+)?[\"']?{_NAME}[\"']?\s*:\s*[|>][-+0-9]*\s*(?:#.*)?$")


# Cheaper than the patterns above: a line without any of these holds nothing that they find.
_SUSPECT = re.compile(
    r"(?i)pass|pwd|secret|token|key|credential|masterauth|identified|://|bearer|basic|eyJ|-----|\"(?:d|p|q|dp|dq|qi|k)\""
)


def mask_line(line: str) -> str:
    """One line with the values of secret-like names, credentials in URLs and tokens hidden."""
    if not _SUSPECT.search(line):
        return line
    line = _PEM_BEGIN.sub(MASK, line) if _PEM_END.search(line) else line
    line = _ASSIGNED.sub(lambda m: f"{m['name']}{m['quote']}{MASK}{m['quote']}", line)
    for pattern in (_OPTION, _SETTING, _URL, _BEARER, _JWK):
        line = pattern.sub(lambda m: m["name"] + MASK, line)
    return _JWT.sub(MASK, line)


def mask_lines(lines: list[str]) -> list[str]:
    """The lines of a file, as many as before, with PEM blocks and block scalars of secret-like names hidden too."""
    masked: list[str] = []
    in_pem, block_indent = False, -1
    for line in lines:
        body = line.rstrip("\r\n")
        ending = line[len(body) :]
        if in_pem:
            in_pem = not _PEM_END.search(body)
            masked.append((body if not in_pem else MASK) + ending)
            continue
        if block_indent >= 0:
            indent = len(body) - len(body.lstrip())
            if not body.strip() or indent > block_indent:
                masked.append((MASK if body.strip() else body) + ending)
                continue
            block_indent = -1
        if _PEM_BEGIN.search(body) and not _PEM_END.search(body):
            in_pem = True
            masked.append(mask_line(body) + ending)
            continue
        block = _BLOCK.match(body)
        if block:
            block_indent = len(block["indent"])
        masked.append(mask_line(body) + ending)
    return masked


def mask_text(text: str) -> str:
    """A text of any number of lines with everything hidden that looks like a secret."""
    return "".join(mask_lines(text.splitlines(keepends=True)))


def mask_tree(value: Any, text: Callable[[str], str]) -> Any:
    """Any data with `text` applied to every string in it; keys stay, tuples become lists."""
    if isinstance(value, str):
        return text(value)
    if isinstance(value, Mapping):
        return {key: mask_tree(item, text) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [mask_tree(item, text) for item in value]
    return value
