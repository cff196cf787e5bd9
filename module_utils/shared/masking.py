# SPDX-License-Identifier: GPL-3.0-or-later
"""Find secrets and mask them in everything that is shown: diffs, leftovers, results and error messages."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

# Replaces every masked secret; the same for all, so that not even the length is revealed.
MASK = "********"

_NAME = (
    r"[\w.-]*(?:passw(?:or)?d|passphrase|pwd|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|credential)[\w.-]*"
)
# After a slash it is the end of a path: `POST /token: no answer`.
_ASSIGNED = re.compile(
    rf"(?i)(?P<name>(?<![/\w.-]){_NAME}[\"']?\s*(?:[:=]|=>)\s*)"
    r"(?P<quote>\\?[\"']?)(?P<value>(?!\s|[|>][-+]?\s*$).+?)(?P=quote)(?=\s*[,;}\])]|\s*$|\s+#|(?<=[\"'])\s)"
)
_OPTION = re.compile(rf"(?i)(?P<name>--?{_NAME}\s+)(?P<value>[^\s-]\S*)")
# Settings whose value follows a space: Valkey's, and ClickHouse's in SQL.
_SETTING = re.compile(r"(?i)(?P<name>\b(?:requirepass|masterauth|IDENTIFIED BY)\s+)(?P<value>'[^']*'|\S+)")
_URL = re.compile(r"(?P<name>[A-Za-z][A-Za-z0-9+.-]*://[^\s/:@\"']*:)(?P<value>[^\s@/\"']+)(?=@)")
_BEARER = re.compile(r"(?i)(?P<name>\b(?:bearer|basic)\s+)(?P<value>[A-Za-z0-9._~+/=-]{8,})")
_JWT = re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]*)?")
_JWK = re.compile(r"(?P<name>\"(?:d|p|q|dp|dq|qi|k)\"\s*:\s*\")(?P<value>[A-Za-z0-9_-]{16,})")
_PEM_BEGIN = re.compile(r"-----BEGIN [A-Z0-9 ]+-----")
_PEM_END = re.compile(r"-----END [A-Z0-9 ]+-----")
_BLOCK = re.compile(rf"(?i)^(?P<indent>\s*)(?:-\s+)?[\"']?{_NAME}[\"']?\s*:\s*[|>][-+0-9]*\s*(?:#.*)?$")


# Faster than the patterns above: a line without any of these has no match for them.
_SUSPECT = re.compile(
    r"(?i)pass|pwd|secret|token|key|credential|masterauth|identified|://|bearer|basic|eyJ|-----|\"(?:d|p|q|dp|dq|qi|k)\""
)


def mask_line(line: str) -> str:
    """One line with tokens, credentials in URLs and the values of secret-like names masked."""
    if not _SUSPECT.search(line):
        return line
    line = _PEM_BEGIN.sub(MASK, line) if _PEM_END.search(line) else line
    line = _ASSIGNED.sub(lambda m: f"{m['name']}{m['quote']}{MASK}{m['quote']}", line)
    for pattern in (_OPTION, _SETTING, _URL, _BEARER, _JWK):
        line = pattern.sub(lambda m: m["name"] + MASK, line)
    return _JWT.sub(MASK, line)


def mask_lines(lines: list[str]) -> list[str]:
    """The lines of a file, as many as before, with PEM blocks and block scalars of secret-like names masked too."""
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
    """A text of any number of lines with everything masked that looks like a secret."""
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


# --- known secrets ---------------------------------------------------------------------------------------------------

# A shorter secret is masked only as a whole word: masking "a" in every word would make a text unreadable.
MIN_INSIDE_WORDS = 6
# Shorter strings of a JSON document are settings (`RS256`), not secrets.
MIN_JSON_SECRET = 8
# A larger file is not a secret.
SECRET_FILE_LIMIT = 1024 * 1024
# The members of a JWK that are public, also in a private key (RFC 7517, section 4).
_PUBLIC_MEMBERS = frozenset({"kty", "kid", "use", "alg", "key_ops", "e", "n"})

_SECRET_NAME = re.compile(
    r"(?:^|[_.\-])(?:pass|\w*(?:passwd|password|passphrase)|pwd|secret|secrets|token|credentials?|"
    r"(?:api|access|private|secret|signing|encryption|auth|account|master|client|ssh|jwt)[_\-]?(?:key|secret|token))"
    r"(?:$|[_.\-0-9])",
    re.IGNORECASE,
)
# Names with these endings say where a secret is, how it is created or how long it is valid.
_NO_SECRET_NAME = re.compile(
    r"(?:file|path|dir|url|uri|name|ttl|length|size|type|expiry|expiration|expires_in|seconds|enabled|required|policy|"
    r"id|alg|algorithm|count)$",
    re.IGNORECASE,
)
_WORD_BREAK = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_NO_SECRET_VALUE = re.compile(
    r"(?:true|false|yes|no|on|off|none|null|[0-9]{1,5}|/.*|\./.*|[A-Za-z]:[\\/].*|\*+)$", re.IGNORECASE
)
_URL_PASSWORD = re.compile(r"[a-z][a-z0-9+.\-]*://[^\s/:@]*:([^\s/@]+)@", re.IGNORECASE)
_OPTION_VALUE = re.compile(r"(?<![\w\-])--?([A-Za-z][\w.\-]*)(?:=|\s+)(?:\"([^\"]*)\"|'([^']*)'|([^\s\"'\-][^\s\"']*))")
_ASSIGNMENT = re.compile(r"(?:^|\s)([A-Za-z_]\w*)=(?:\"([^\"]*)\"|'([^']*)'|([^\s\"']+))")
# Short options that mean a password only for one program.
_PROGRAM_OPTION = re.compile(
    r"\bcurl\b[^|;&\n]*?\s(?:-u|--user)[ =]?[\"']?[^\s:\"'/]+:([^\s\"']+)"
    r"|\b(?:redis|valkey)-cli\b[^|;&\n]*?\s-a\s+[\"']?([^\s\"']+)"
    r"|\b(?:mysql|mariadb)\w*(?:-admin)?\b[^|;&\n]*?\s-p[\"']?([^\s\"']+)"
)
_SECRET_OPTIONS = {"requirepass", "masterauth", "pass", "password", "auth"}


def is_secret_name(name: str) -> bool:
    """Whether a variable of this name holds a secret itself (`DB_PASSWORD`, not `DB_PASSWORD_FILE`)."""
    spaced = _WORD_BREAK.sub("_", name)
    return bool(_SECRET_NAME.search(spaced)) and not _NO_SECRET_NAME.search(spaced)


def secrets_of_variable(name: str, value: str) -> list[str]:
    """Return the value if the name says that it is secret, else the passwords of URLs and options in the value."""
    if is_secret_name(name) and value.strip() and not _NO_SECRET_VALUE.match(value.strip()):
        return [value]
    return secrets_of_text(value)


def secrets_of_text(text: str) -> list[str]:
    """Return the passwords in a command line or URL: `--requirepass x`, `TOKEN=x`, `scheme://user:x@host`."""
    return [text[start:end] for start, end in _secret_spans(text)]


def _secret_spans(text: str) -> list[tuple[int, int]]:
    """Start and end of the passwords in a command line or URL."""
    spans = {match.span(1) for match in _URL_PASSWORD.finditer(text)}
    spans |= {match.span(match.lastindex or 0) for match in _PROGRAM_OPTION.finditer(text)}
    spans |= {match.span() for match in _JWT.finditer(text)}
    for pattern in (_OPTION_VALUE, _ASSIGNMENT):
        for match in pattern.finditer(text):
            if is_secret_name(match[1]) or (pattern is _OPTION_VALUE and match[1].lower() in _SECRET_OPTIONS):
                spans.add(match.span(match.lastindex or 0))
    return sorted(
        (start, end)
        for start, end in spans
        if start < end and not _NO_SECRET_VALUE.match(text[start:end]) and text[start] != "$"
    )


class Mask:
    """Masks known secrets in every spelling: as they are, quoted for a URL or for JSON, and in base64.

    A secret that is also part of an identifier (`CLICKHOUSE_PASSWORD: clickhouse` and a service of that name) is masked
    only if it is a whole value or if the text itself shows that it is a password.
    """

    def __init__(self, secrets: Iterable[str], identifiers: Iterable[str] = ()) -> None:
        self._secrets = frozenset(secret for secret in secrets if secret)
        names = "\n".join(identifiers)
        hidden = (secret for secret in self._secrets if secret not in names)
        # Longest first, so that no part of a secret remains.
        spellings = sorted({form for secret in hidden for form in _spellings(secret)}, key=len, reverse=True)
        self._known = re.compile("|".join(map(_pattern, spellings))) if spellings else None

    def text(self, text: str) -> str:
        """The text with every secret masked that is not an identifier; a short one only as a whole word."""
        return self._known.sub(MASK, text) if self._known else text

    def value(self, value: str) -> str:
        """A value (of a variable, a label, a word of a command) with every secret in it masked."""
        if value in self._secrets or _PEM_BEGIN.search(value):
            return MASK
        text = _BEARER.sub(lambda match: match["name"] + MASK, self.text(value))
        for start, end in reversed(_secret_spans(text)):
            text = text[:start] + MASK + text[end:]
        return text

    def output(self, text: str) -> str:
        """The output of a program with known secrets masked, and everything that looks like one."""
        return mask_text(self.text(text))

    def data(self, data: object) -> object:
        """Any data with `text` applied to every string in it; keys stay."""
        return mask_tree(data, self.text)

    def values(self, data: object) -> object:
        """Any data with `value` applied to every string in it; keys stay."""
        return mask_tree(data, self.value)


def secrets_below(root: Path) -> tuple[set[str], list[str]]:
    """The secrets in all files below `root`, and the files that cannot be read; a missing folder has neither."""
    found: set[str] = set()
    unreadable: list[str] = []
    for path in sorted(root.rglob("*")) if root.is_dir() else []:
        try:
            if path.is_file() and path.stat().st_size <= SECRET_FILE_LIMIT:
                found.update(secret_values(path.read_text(encoding="utf-8", errors="replace")))
        except OSError:
            unreadable.append(str(path))
    return found, unreadable


def secret_values(content: str) -> set[str]:
    """The secrets in a file: its lines, or the strings of a JSON document."""
    try:
        document = json.loads(content)
    except ValueError:
        document = None
    if isinstance(document, dict | list):
        return {value for value in _strings_of(document) if len(value) >= MIN_JSON_SECRET}
    return {line.strip() for line in content.splitlines() if line.strip()}


def _strings_of(document: Any) -> Iterator[str]:
    if isinstance(document, dict):
        for key, value in document.items():
            if not ("kty" in document and key in _PUBLIC_MEMBERS):
                yield from _strings_of(value)
    elif isinstance(document, list):
        for value in document:
            yield from _strings_of(value)
    elif isinstance(document, str):
        yield document


def _spellings(secret: str) -> set[str]:
    encoded = base64.b64encode(secret.encode()).decode("ascii")
    return {secret, quote(secret, safe=""), quote_plus(secret), json.dumps(secret)[1:-1], encoded, encoded.rstrip("=")}


def _pattern(spelling: str) -> str:
    escaped = re.escape(spelling)
    return escaped if len(spelling) >= MIN_INSIDE_WORDS else rf"(?<![A-Za-z0-9]){escaped}(?![A-Za-z0-9])"
