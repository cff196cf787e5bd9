"""Variables of a Compose project: `.env` files and `${NAME:-default}` in values."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ansible.module_utils.compose_source.nodes import Node, SourceError

_NAME = re.compile(r"[_a-zA-Z][_a-zA-Z0-9]*")
_OPERATORS = (":-", "-", ":?", "?", ":+", "+")
_MAX_NESTING = 20


class SubstitutionError(ValueError):
    """Text with a variable that cannot be put in; the message says which one and why."""


@dataclass(slots=True)
class Substituted:
    """The text with its variables put in, and the names that had no value and no default."""

    text: str
    unset: list[str] = field(default_factory=list)


def substitute(text: str, environment: Mapping[str, str], _depth: int = 0) -> Substituted:
    """Put variables in as Compose does. Raises SubstitutionError for bad syntax and a missing `${NAME:?message}`."""
    if "$" not in text:
        return Substituted(text)
    if _depth > _MAX_NESTING:
        raise SubstitutionError("variables are nested too deeply")
    out: list[str] = []
    unset: list[str] = []
    at = 0
    while (dollar := text.find("$", at)) >= 0:
        out.append(text[at:dollar])
        following = text[dollar + 1 : dollar + 2]
        if following == "$":
            out.append("$")
            at = dollar + 2
            continue
        if following == "{":
            end = _closing(text, dollar + 1)
            part = _braced(text[dollar + 2 : end], environment, _depth)
            out.append(part.text)
            unset += part.unset
            at = end + 1
            continue
        match = _NAME.match(text, dollar + 1)
        if match is None:
            # Compose leaves a `$` alone that begins nothing.
            out.append("$")
            at = dollar + 1
            continue
        if match[0] not in environment:
            unset.append(match[0])
        out.append(environment.get(match[0], ""))
        at = match.end()
    out.append(text[at:])
    return Substituted("".join(out), unset)


def _closing(text: str, opening: int) -> int:
    """Index of the brace that closes the one at `opening`."""
    depth = 0
    at = opening
    while at < len(text):
        if text[at] == "{":
            depth += 1
        elif text[at] == "}":
            depth -= 1
            if depth == 0:
                return at
        at += 1
    raise SubstitutionError(f"`{text[opening - 1 :][:20]}`: the brace is not closed")


def _braced(inner: str, environment: Mapping[str, str], depth: int) -> Substituted:
    match = _NAME.match(inner)
    if match is None:
        raise SubstitutionError(f"`${{{inner[:20]}}}`: no variable name")
    name, rest = match[0], inner[match.end() :]
    if not rest:
        return Substituted(environment.get(name, ""), [] if name in environment else [name])
    operator = next((sign for sign in _OPERATORS if rest.startswith(sign)), None)
    if operator is None:
        raise SubstitutionError(f"`${{{inner[:20]}}}`: after the name only :- - :? ? :+ + may stand")
    word = rest[len(operator) :]
    there = bool(environment.get(name)) if operator.startswith(":") else name in environment
    if operator.endswith("+"):
        return substitute(word, environment, depth + 1) if there else Substituted("")
    if there:
        return Substituted(environment[name])
    if operator.endswith("?"):
        message = substitute(word, environment, depth + 1).text
        raise SubstitutionError(f"the variable {name} must be set" + (f": {message}" if message else ""))
    return substitute(word, environment, depth + 1)


def substitute_tree(node: Node, environment: Mapping[str, str], unset: dict[str, str]) -> Node:
    """Put variables in everywhere in a tree (values, not keys).

    Names without a value are collected in `unset`, each with the first place. Raises SourceError with the place.
    """
    if isinstance(node.value, dict):
        mapping = {key: substitute_tree(part, environment, unset) for key, part in node.value.items()}
        return Node(mapping, node.where, mark=node.mark)
    if isinstance(node.value, list):
        return Node([substitute_tree(part, environment, unset) for part in node.value], node.where, mark=node.mark)
    if not isinstance(node.value, str) or "$" not in node.value:
        return node
    try:
        done = substitute(node.value, environment)
    except SubstitutionError as error:
        raise SourceError(f"{node.where}: {error}.") from None
    for name in done.unset:
        unset.setdefault(name, str(node.where))
    return Node(done.text, node.where, raw=node.value, mark=node.mark)


def read_env_file(file: Path, shown: str, environment: Mapping[str, str]) -> dict[str, str]:
    """The variables of a `.env` file. Raises SourceError when it cannot be read, FileNotFoundError when missing."""
    try:
        data = file.read_bytes()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise SourceError(f"{shown}: cannot be read: {error.strerror}. Make it readable.") from None
    try:
        text = data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise SourceError(f"{shown}: not valid text at byte {error.start}. Save it as UTF-8.") from None
    return parse_env(text, shown, environment)


_ENV_NAME = re.compile(r"[ \t]*(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_.\-\[\]]*)[ \t]*")
_DOUBLE_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "f": "\f", "v": "\v", "b": "\b", "a": "\a"}


def parse_env(text: str, shown: str, environment: Mapping[str, str]) -> dict[str, str]:
    """Parse the text of a `.env` file: comments, quotes, `export`, variables of earlier lines and of `environment`.

    Raises SourceError with file and line.
    """
    text = text.replace("\r\n", "\n")
    found: dict[str, str] = {}
    at = 0
    while at < len(text):
        end = text.find("\n", at)
        end = len(text) if end < 0 else end
        line = text[at:end]
        if not line.strip() or line.lstrip().startswith("#"):
            at = end + 1
            continue
        number = text.count("\n", 0, at) + 1
        match = _ENV_NAME.match(text, at)
        sign = text[match.end() : match.end() + 1] if match else ""
        if match is None or sign not in ("=", ":", "\n", ""):
            raise SourceError(f"{shown}:{number}: not a line of the form NAME=value. Mend or remove it.")
        name = match[1]
        if sign in ("\n", ""):
            # A bare name takes the value of the surrounding environment, and stays unset without one.
            if name in environment:
                found[name] = environment[name]
            at = end + 1
            continue
        # What surrounds the project wins over the file, also for variables used further down in it.
        value, at = _env_value(text, match.end() + 1, f"{shown}:{number}", {**found, **environment})
        found[name] = value
    return found


def _env_value(text: str, start: int, place: str, known: Mapping[str, str]) -> tuple[str, int]:
    """The value that begins at `start`, and where the next line begins."""
    while text[start : start + 1] in (" ", "\t"):
        start += 1
    quote = text[start : start + 1]
    if quote in ("'", '"'):
        at = start + 1
        while at < len(text) and text[at] != quote:
            at += 2 if text[at] == "\\" else 1
        if at >= len(text):
            raise SourceError(f"{place}: the quote {quote} is not closed. Close it.")
        value = text[start + 1 : at]
        end = text.find("\n", at)
        value = value.replace("\\'", "'") if quote == "'" else _expanded(_unescaped(value), place, known)
    else:
        end = text.find("\n", start)
        line = text[start:] if end < 0 else text[start:end]
        value = _expanded(re.split(r"(?:^|[ \t])#", line, maxsplit=1)[0].strip(), place, known)
    return value, len(text) if end < 0 else end + 1


def _unescaped(value: str) -> str:
    return re.sub(r"\\([abfnrtv\"\\$])", lambda m: _DOUBLE_ESCAPES.get(m[1], "$$" if m[1] == "$" else m[1]), value)


def _expanded(value: str, place: str, known: Mapping[str, str]) -> str:
    try:
        return substitute(value, known).text
    except SubstitutionError as error:
        raise SourceError(f"{place}: {error}.") from None
