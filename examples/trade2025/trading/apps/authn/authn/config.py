# SPDX-License-Identifier: GPL-3.0-or-later
"""The configuration file: read and checked once at start; all problems are reported together."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard
from urllib.parse import urlsplit

import yaml

from authn.errors import ConfigurationError

ALGORITHM = "RS256"
LOG_LEVELS = ("debug", "info", "warning", "error")
# A token cannot be called back before it expires, so a longer life than a day is a mistake.
LONGEST_EXPIRATION_S = 86_400

# RFC 6749 appendix A.4: the characters of one scope. Appendix A.1: those of a client id.
SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")
CLIENT_ID = re.compile(r"[\x20-\x7e]+")

_REQUIRED = object()


@dataclass(frozen=True)
class Config:
    """The checked configuration.

    Attributes:
        name: what the service calls itself in its log.
        bind: address to listen on; the default is every IPv4 address of the container.
        port: TCP port to listen on.
        public_url: where clients reach the service, without a trailing slash; None if it is taken from the request.
        log_level: one of `LOG_LEVELS`; `debug` logs health checks too.
        issuer: the claim `iss`.
        audience: the claim `aud`.
        expiration_s: life of a token in seconds.
        clients: client id -> the scopes that it may have, in the file's order.
    """

    name: str
    bind: str
    port: int
    public_url: str | None
    log_level: str
    issuer: str
    audience: tuple[str, ...]
    expiration_s: int
    clients: Mapping[str, tuple[str, ...]]


def load(path: Path) -> Config:
    """Read and check the configuration file.

    Raises:
        ConfigurationError: with every problem of the file.
    """
    try:
        document = yaml.load(path.read_text(encoding="utf-8"), Loader=_UniqueKeyLoader)
    except OSError as error:
        raise ConfigurationError(
            [f"{path} (CONFIG_PATH): cannot be read ({error.strerror}); mount the configuration there"]
        ) from None
    except UnicodeDecodeError as error:
        raise ConfigurationError([f"{path}: byte {error.start} is not UTF-8; save the file as UTF-8"]) from None
    except yaml.YAMLError as error:
        raise ConfigurationError([f"{path}: {_yaml_problem(error)}"]) from None
    reader = _Reader()
    config = reader.config(document)
    if reader.problems or config is None:
        raise ConfigurationError(f"{path}: {problem}" for problem in reader.problems)
    return config


def is_http_url(text: str) -> bool:
    """Whether `text` is an absolute http(s) URL that paths can be appended to."""
    try:
        parts = urlsplit(text)
        has_valid_port = parts.port is None or parts.port > 0
    except ValueError:
        return False
    return (
        parts.scheme in ("http", "https")
        and bool(parts.hostname)
        and has_valid_port
        and not (parts.query or parts.fragment or parts.username)
        and re.fullmatch(r"[\x21-\x7e]+", text) is not None
    )


class _Reader:
    """Takes a parsed document apart and collects what is wrong with it."""

    def __init__(self) -> None:
        self.problems: list[str] = []

    def config(self, document: Any) -> Config | None:
        known = {"service": _REQUIRED, "jwt": _REQUIRED, "clients": _REQUIRED}
        top = self._section("the file", document, known)
        service = self._section(
            "service",
            top["service"],
            {"name": _REQUIRED, "port": _REQUIRED, "bind": "0.0.0.0", "public_url": None, "log_level": "info"},
        )
        jwt = self._section(
            "jwt", top["jwt"], dict.fromkeys(("algorithm", "issuer", "audience", "expiration"), _REQUIRED)
        )
        self._algorithm(jwt["algorithm"])
        config = Config(
            name=self._text("service.name", service["name"]),
            bind=self._address("service.bind", service["bind"]),
            port=self._number("service.port", service["port"], 1, 65_535),
            public_url=self._url("service.public_url", service["public_url"]),
            log_level=self._choice("service.log_level", service["log_level"], LOG_LEVELS),
            issuer=self._issuer(jwt["issuer"]),
            audience=self._audience(jwt["audience"]),
            expiration_s=self._number("jwt.expiration", jwt["expiration"], 1, LONGEST_EXPIRATION_S, "seconds"),
            clients=self._clients(top["clients"]),
        )
        return None if self.problems else config

    def _section(self, where: str, value: Any, known: Mapping[str, Any]) -> dict[str, Any]:
        """The values of a mapping, with defaults; `_REQUIRED` stays where a missing value was complained about."""
        if value is _REQUIRED:
            return dict.fromkeys(known, _REQUIRED)
        if not isinstance(value, dict):
            self._problem(where, f"is {_kind(value)}; write a mapping with {_listed(known)}")
            return dict.fromkeys(known, _REQUIRED)
        prefix = "" if where == "the file" else f"{where}."
        for name in value:
            if name not in known:
                self._problem(f"{prefix}{name}", f"is not a setting; known here: {_listed(known)}")
        for name, default in known.items():
            if default is _REQUIRED and name not in value:
                self._problem(f"{prefix}{name}", "is missing")
        return {name: value.get(name, default) for name, default in known.items()}

    def _text(self, where: str, value: Any) -> str:
        if self._missing(value):
            return ""
        if not isinstance(value, str) or not value.strip() or not value.isprintable():
            self._problem(where, f"is {_kind(value)}; write a text of printable characters")
            return ""
        return value

    def _number(self, where: str, value: Any, least: int, most: int, unit: str = "") -> int:
        if self._missing(value):
            return least
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            shown = value if isinstance(value, int | float | str) else _kind(value)
            self._problem(where, f"is {shown}; write a whole number from {least} to {most} {unit}".rstrip())
            return least
        return value

    def _choice(self, where: str, value: Any, choices: tuple[str, ...]) -> str:
        if value not in choices:
            self._problem(where, f"is {value!r}; write one of {_listed(choices)}")
            return choices[0]
        return str(value)

    def _address(self, where: str, value: Any) -> str:
        try:
            return str(ipaddress.ip_address(value if isinstance(value, str) else ""))
        except ValueError:
            self._problem(where, f"is {value!r}; write an IP address, 0.0.0.0 for every IPv4 address")
            return ""

    def _url(self, where: str, value: Any) -> str | None:
        if value is None:
            return None
        if not isinstance(value, str) or not is_http_url(value):
            self._problem(where, f"is {value!r}; write an http or https URL without query, fragment and user")
            return None
        return value.rstrip("/")

    def _algorithm(self, value: Any) -> None:
        if not self._missing(value) and value != ALGORITHM:
            self._problem("jwt.algorithm", f"is {value!r}; write {ALGORITHM}, which every verifier knows")

    def _issuer(self, value: Any) -> str:
        issuer = self._text("jwt.issuer", value)
        # A verifier compares the issuer with the address that it asked, character by character (RFC 8414, 3.3).
        if "://" in issuer and not is_http_url(issuer):
            self._problem("jwt.issuer", f"is {issuer!r}; write a name, or a URL without query")
        return issuer

    def _audience(self, value: Any) -> tuple[str, ...]:
        if isinstance(value, list):
            if not value:
                self._problem("jwt.audience", "is an empty list; name who is to accept the tokens")
            return tuple(self._text(f"jwt.audience[{number}]", item) for number, item in enumerate(value))
        return (self._text("jwt.audience", value),)

    def _clients(self, value: Any) -> dict[str, tuple[str, ...]]:
        if self._missing(value):
            return {}
        if not isinstance(value, dict) or not value:
            self._problem("clients", f"is {_kind(value)}; write a mapping of client ids with their scopes")
            return {}
        return {client: self._client(client, entry) for client, entry in value.items() if self._client_id(client)}

    def _client_id(self, client: Any) -> TypeGuard[str]:
        if isinstance(client, str) and CLIENT_ID.fullmatch(client):
            return True
        self._problem(f"clients.{client}", "is not a client id; write printable ASCII, a number in quotes")
        return False

    def _client(self, client: str, entry: Any) -> tuple[str, ...]:
        where = f"clients.{client}"
        scopes = self._section(where, entry, {"scopes": _REQUIRED})["scopes"]
        if self._missing(scopes):
            return ()
        if not isinstance(scopes, list) or not scopes:
            self._problem(f"{where}.scopes", f"is {_kind(scopes)}; write a list of scopes")
            return ()
        for scope in scopes:
            if not isinstance(scope, str) or not SCOPE.fullmatch(scope):
                self._problem(f"{where}.scopes", f"has {scope!r}; write ASCII without spaces, quotes, backslashes")
        # A set would lose the file's order, which tokens keep.
        return tuple(dict.fromkeys(str(scope) for scope in scopes))

    def _problem(self, where: str, what: str) -> None:
        self.problems.append(f"{where}: {what}")

    @staticmethod
    def _missing(value: Any) -> bool:
        return value is _REQUIRED


class _UniqueKeyLoader(yaml.SafeLoader):
    """YAML, but a duplicate key is an error: the second one would win silently."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Hashable] = set()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, Hashable) and key in seen:
                problem = f"the key {key!r} is given twice"
                raise yaml.constructor.ConstructorError(None, None, problem, key_node.start_mark)
            seen.add(key if isinstance(key, Hashable) else str(key))
        return super().construct_mapping(node, deep=deep)


def _yaml_problem(error: yaml.YAMLError) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        return f"line {error.problem_mark.line + 1}: not valid YAML, {error.problem}"
    return f"not valid YAML, {str(error).splitlines()[0]}"


def _kind(value: Any) -> str:
    names = {dict: "a mapping", list: "a list", str: "a text", int: "a number", bool: "a truth value"}
    if value is None or value in ("", [], {}):
        return "empty"
    return names.get(type(value), f"a {type(value).__name__}")


def _listed(names: Mapping[str, Any] | tuple[str, ...]) -> str:
    return ", ".join(names)
