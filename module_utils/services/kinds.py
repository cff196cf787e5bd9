# SPDX-License-Identifier: GPL-3.0-or-later
"""The kinds of values that a site sets: what each accepts, how it is parsed, and the message for invalid values.

A variable has one kind, declared in a comment above it in `defaults/main.yml` (`# kind: NAME`). Units are those of the
program that reads the value: Valkey's `g` is 10^9 and its `gb` 2^30, Compose's `g` is 2^30.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

LAST_PORT = 65535
# Characters of a value that a message shows.
LONGEST_SHOWN = 200
TRUE = frozenset({"y", "yes", "on", "1", "true", "t"})
FALSE = frozenset({"n", "no", "off", "0", "false", "f"})
# The smallest memory limit that the Docker engine accepts.
LEAST_MEMORY = 6 * 2**20


@dataclass(frozen=True)
class Kind:
    """One kind of value."""

    name: str
    # With an article, for messages: "a port".
    noun: str
    # What to write instead, for messages.
    advice: str
    # Parses a value; raises ValueError if it is invalid. The error's text is added to the message.
    parse: Callable[[Any], Any]
    # The type in argument_specs, and that of a list's elements.
    type: str = "str"
    elements: str = ""
    # No message shows a value of this kind.
    secret: bool = False


class KindError(ValueError):
    """A value is not of its kind; the text is the whole message."""


def parse(kind: str, name: str, value: Any) -> Any:
    """The parsed value; raises KindError with a message that names the variable."""
    rule = KINDS[kind]
    try:
        if value is None:
            raise ValueError("it is empty")
        return rule.parse(value)
    except (TypeError, ValueError, OverflowError) as error:
        shown = "the value" if rule.secret else display(value)
        reason = f" ({error})" if isinstance(error, _ReasonError) else ""
        raise KindError(f"{name}: {shown} is not {rule.noun}{reason}; {rule.advice}") from None


def fault(kind: str, name: str, value: Any) -> str:
    """The message for a value that is not of its kind; empty for one that is."""
    try:
        parse(kind, name, value)
    except KindError as error:
        return str(error)
    return ""


class _ReasonError(ValueError):
    """A ValueError whose text helps the reader; Python's own texts do not."""


def display(value: Any) -> str:
    """A value for a message, shortened."""
    text = repr(plain(value))
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}… ({len(text)} characters)"


def plain(value: Any) -> Any:
    """The value in Python's own types: Ansible's subclasses of them cannot be copied, and are visible in messages."""
    if isinstance(value, Mapping):
        return {str(name): plain(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    for own in (bool, int, float, str):
        if isinstance(value, own):
            return own(value)
    return value


# ---- parsers -------------------------------------------------------------------------------------------------------


def _text(value: Any) -> str:
    """A scalar as text."""
    if isinstance(value, bool | list | dict | tuple) or value is None:
        raise ValueError
    return str(value)


def _word(value: Any) -> str:
    """A scalar as text, a boolean in YAML's words."""
    return str(value).lower() if isinstance(value, bool) else _text(value)


def _matching(pattern: str, empty: bool = False) -> Callable[[Any], str]:
    """Texts that match completely."""
    compiled = re.compile(pattern)

    def parse_text(value: Any) -> str:
        text = _text(value)
        if not (empty and text == "") and not compiled.fullmatch(text):
            raise ValueError
        return text

    return parse_text


def _integer(least: int = 0, most: int | None = None) -> Callable[[Any], int]:
    """Whole numbers in a range."""

    def parse_integer(value: Any) -> int:
        number = int(_decimal(value))
        if number != float(value) or number < least or (most is not None and number > most):
            raise ValueError
        return number

    return parse_integer


def _number(above: float | None = None, least: float = 0.0, most: float = float("inf")) -> Callable[[Any], float]:
    """Finite numbers in a range."""

    def parse_number(value: Any) -> float:
        number = _decimal(value)
        if number < least or number > most or (above is not None and number <= above):
            raise ValueError
        # 2 and 2.0 are the same value and are written in the same way.
        return int(number) if number.is_integer() else number

    return parse_number


def _decimal(value: Any) -> float:
    """A number, or the text of one in decimal digits."""
    if not re.fullmatch(r"-?\d+(\.\d+)?", _text(value)):
        raise ValueError
    return float(value)


def boolean(value: Any) -> bool:
    """A boolean, in the words that Ansible accepts."""
    if isinstance(value, bool):
        return value
    word = str(value).strip().lower()
    if word not in TRUE | FALSE:
        raise ValueError
    return word in TRUE


def _size(
    units: Mapping[str, int], fraction: bool = False, blank: bool = False, fold: bool = True, least: int = 0
) -> Callable[[Any], int]:
    """Bytes of a size, in one program's units; `fold` if it ignores the case of letters."""
    digits = r"\d+(?:\.\d+)?" if fraction else r"\d+"
    pattern = re.compile(rf"({digits}){' ?' if blank else ''}([A-Za-z]*)")

    def parse_size(value: Any) -> int:
        match = pattern.fullmatch(_text(value))
        if match is None:
            raise ValueError
        unit = match[2].lower() if fold else str(match[2])
        if unit not in units:
            raise ValueError
        size = int(float(match[1]) * units[unit])
        if size < least:
            raise ValueError
        return size

    return parse_size


def _powers(letters: str, base: int, suffixes: tuple[str, ...]) -> dict[str, int]:
    """Unit → factor, for each letter with each suffix."""
    order = "kmgtp"
    return {letter + suffix: base ** (order.index(letter.lower()) + 1) for letter in letters for suffix in suffixes}


COMPOSE_UNITS = {"": 1, "b": 1, **_powers("kmgtp", 1024, ("", "b", "ib", "i"))}
VALKEY_UNITS = {"": 1, "b": 1, **_powers("kmg", 1000, ("",)), **_powers("kmg", 1024, ("b",))}
NATS_UNITS = {"": 1, **_powers("kmgtp", 1000, ("",)), **_powers("kmgtp", 1024, ("b", "i", "ib"))}
GO_UNITS = {"": 1, "B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
JVM_UNITS = {"": 1, **_powers("kmgt", 1024, ("",))}
QUESTDB_UNITS = {"": 1, **_powers("kmg", 1024, ("",))}
CLICKHOUSE_UNITS = {"": 1, "b": 1, **_powers("kmgt", 1024, ("b", "ib"))}
OPENSEARCH_UNITS = {"b": 1, **_powers("kmgtp", 1024, ("", "b"))}

_OPENSEARCH_BYTES = _size(OPENSEARCH_UNITS)
_SEAWEEDFS_BYTES = _size({"b": 1, **_powers("kmgt", 1000, ("b",)), **_powers("kmgt", 1024, ("ib",))}, fraction=True)


def percentage(value: Any) -> float:
    """`85%` → 85.0"""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)%", _text(value))
    if match is None or not 0 <= float(match[1]) <= 100:
        raise ValueError
    return float(match[1])


def _share_or_size(size: Callable[[Any], int]) -> Callable[[Any], Any]:
    """A percentage, or a size of the program."""

    def parse_either(value: Any) -> Any:
        return percentage(value) if str(value).endswith("%") else size(value)

    return parse_either


def _seaweedfs_free(value: Any) -> Any:
    """For SeaweedFS, a bare number is a percentage, and one with a unit a size."""
    if re.fullmatch(r"\d+(\.\d+)?", _text(value)):
        return _number(most=100)(value)
    return _SEAWEEDFS_BYTES(value)


def _duration(units: str) -> Callable[[Any], str]:
    """A number with one of the units, or several of them in a row as in Go."""
    single = re.compile(rf"(?:\d+(?:\.\d+)?(?:{units}))+")

    def parse_duration(value: Any) -> str:
        text = _text(value)
        if not single.fullmatch(text):
            raise ValueError
        return text

    return parse_duration


def absolute_path(value: Any) -> str:
    """An absolute POSIX path."""
    text = _text(value)
    if not text.startswith("/") or re.search(r"[\x00-\x1f]", text):
        raise ValueError
    return text


def _path_in_files(value: Any) -> str:
    """An absolute path as files write it, POSIX or Windows."""
    text = _text(value)
    if not re.match(r"/|[A-Za-z]:[\\/]", text) or re.search(r"[\x00-\x1f]", text):
        raise ValueError
    return text


def relative_path(value: Any) -> str:
    """A path that does not lead out of its folder."""
    text = _text(value)
    if not text or text.startswith("/") or ".." in text.split("/") or re.search(r"[\x00-\x1f]|^[A-Za-z]:[\\/]", text):
        raise ValueError
    return text


def ipv4_address(value: Any) -> str:
    """One IPv4 address."""
    return str(ipaddress.IPv4Address(_text(value)))


def _ip_networks(value: Any) -> list[str]:
    return [str(ipaddress.ip_network(_text(entry), strict=False)) for entry in _list(value)]


def _list(value: Any) -> list[Any]:
    if isinstance(value, str | bytes | Mapping) or not hasattr(value, "__iter__"):
        raise ValueError
    return list(value)


def _mapping(value: Any) -> dict[Any, Any]:
    if not isinstance(value, Mapping):
        raise ValueError
    return dict(value)


_REPOSITORY = (
    r"(?:[A-Za-z0-9.-]+(?::\d+)?/)?[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*"
)
_TAG = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"


def image_reference(value: Any) -> str:
    """A repository with a tag, and optionally a digest. The tag must contain a digit: others do not name a release."""
    text = _text(value)
    match = re.fullmatch(rf"{_REPOSITORY}:({_TAG})(?:@sha256:[0-9a-f]{{64}})?", text)
    if match is None:
        raise ValueError
    if not re.search(r"\d", match[1]):
        raise _ReasonError(f"the tag {match[1]} moves")
    return text


def _batch(value: Any) -> str:
    """What a play's `serial` takes: a number of hosts, or a share of them."""
    text = _text(value)
    match = re.fullmatch(r"(\d+)(%?)", text)
    if match is None or int(match[1]) < 1 or (match[2] and int(match[1]) > 100):
        raise ValueError
    return text


def _host_port(value: Any) -> str:
    text = _text(value)
    host, separator, port = text.rpartition(":")
    if not separator or not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?", host):
        raise ValueError
    if not re.fullmatch(r"\d+", port) or not 1 <= int(port) <= LAST_PORT:
        raise ValueError
    return text


def _url(value: Any) -> str:
    text = _text(value)
    if not re.fullmatch(r"https?://[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:\d{1,5})?(/[^\s\"'<>]*)?", text):
        raise ValueError
    return text


def networks(value: Any) -> dict[str, dict[str, str]]:
    """The three networks, each with a name and a subnet."""
    found = _mapping(value)
    wanted = {"frontend", "lowlatency", "backend"}
    if not wanted <= set(found):
        raise _ReasonError(f"without {', '.join(sorted(wanted - set(found)))}")
    subnets = {}
    for key, entry in found.items():
        if not isinstance(entry, Mapping) or set(entry) != {"name", "subnet"}:
            raise _ReasonError(f"{key} needs `name` and `subnet`")
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]+", str(entry["name"])):
            raise _ReasonError(f"{key}: {str(entry['name'])!r} is not a valid network name")
        try:
            subnets[key] = ipaddress.ip_network(str(entry["subnet"]))
        except ValueError:
            raise _ReasonError(f"{key}: {str(entry['subnet'])!r} is not a valid subnet") from None
    keys = sorted(subnets)
    for number, one in enumerate(keys):
        for other in keys[number + 1 :]:
            if found[one]["name"] == found[other]["name"]:
                raise _ReasonError(f"{one} and {other} have the same name")
            if subnets[one].overlaps(subnets[other]):
                raise _ReasonError(f"the subnets of {one} and {other} overlap")
    return {key: {"name": str(entry["name"]), "subnet": str(entry["subnet"])} for key, entry in found.items()}


def _path_map(value: Any) -> list[dict[str, str]]:
    """Rows `{from, to}`."""
    rows = []
    for row in _list(value):
        if not isinstance(row, Mapping) or set(row) != {"from", "to"}:
            raise _ReasonError("a row needs `from` and `to`")
        rows.append({key: _matching(r"[^\x00-\x1f]+")(row[key]) for key in ("from", "to")})
    if not rows:
        raise _ReasonError("it has no row")
    return rows


def _list_of(element: Callable[[Any], Any]) -> Callable[[Any], list[Any]]:
    """A list, each element parsed."""
    return lambda value: [element(entry) for entry in _list(value)]


def _map_of(key: Callable[[Any], Any], element: Callable[[Any], Any]) -> Callable[[Any], dict[Any, Any]]:
    """A mapping, each key and each value parsed."""
    return lambda value: {key(name): element(entry) for name, entry in _mapping(value).items()}


def _client_scopes(value: Any) -> list[str]:
    entry = _mapping(value)
    if set(entry) != {"scopes"}:
        raise _ReasonError("a client has `scopes` and nothing else")
    return [_matching(r"[!#-\[\]-~]+")(scope) for scope in _list(entry["scopes"])]


SIGNERS = ({"key"}, {"identity", "issuer"}, {"unsigned"})


def _signer(value: Any) -> dict[str, Any]:
    """Who must have signed an image, or that it needs no signature."""
    entry = dict(_mapping(value))
    optional = {"transparency_log", "trusted_root"} & set(entry)
    if set(entry) - optional not in SIGNERS:
        raise _ReasonError("an entry has `key`, or `identity` and `issuer`, or `unsigned`")
    if "unsigned" in entry and (optional or not boolean(entry["unsigned"])):
        raise _ReasonError("`unsigned` must be true, and no other key is allowed beside it")
    key = str(entry.get("key", "awskms://"))
    if "://" not in key and not key.strip().startswith("-----BEGIN PUBLIC KEY-----"):
        raise _ReasonError("a key is the text of a PEM file with a PUBLIC KEY, or a reference to a key service")
    parsers = {"transparency_log": boolean, "trusted_root": absolute_path, "unsigned": boolean}
    return {name: parsers.get(name, _matching(r"[^\x00]+"))(one) for name, one in entry.items()}


HOOKS = ("before_deploy", "after_deploy", "after_rollback", "on_failure")


def _hooks(value: Any) -> dict[str, Any]:
    """Event → a command as a list of words, or the path of a YAML file."""
    found = {}
    for name, hook in _mapping(value).items():
        if name not in HOOKS:
            raise _ReasonError(f"there is no hook {name!r}")
        words = _list(hook) if isinstance(hook, list | tuple) else [hook]
        if not words or not all(_text(word).strip() for word in words[:1]):
            raise _ReasonError(f"{name} names no command")
        if not isinstance(hook, list | tuple) and not _text(hook).endswith((".yml", ".yaml")):
            raise _ReasonError(f"{name} is neither a list nor the path of a YAML file")
        found[str(name)] = [_text(word) for word in words] if isinstance(hook, list | tuple) else _text(hook)
    return found


def _command(value: Any) -> list[str]:
    """A program and its arguments."""
    words = _list_of(_word)(value)
    if not words or not words[0]:
        raise _ReasonError("it names no program")
    return words


def _or_empty(parse_value: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The empty text, or what the parser accepts."""
    return lambda value: "" if value == "" else parse_value(value)


_NAME = r"[A-Za-z0-9][A-Za-z0-9_.-]*"
_CLIENT = _matching(r"[^\x00-\x20\x7f:][^\x00-\x20\x7f]*")
# Characters that the configuration file of every service accepts in a password, with and without quotation marks.
_SECRET = _matching(r"[^\s\x00-\x1f\x7f\"'`\\]{8,}", empty=True)
_HOST = r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?"
_SECONDS = "write whole seconds, 1 or more"


def _kinds(*kinds: Kind) -> dict[str, Kind]:
    return {kind.name: kind for kind in kinds}


KINDS: Mapping[str, Kind] = _kinds(
    # Passed by a playbook; not for a site.
    Kind("any", "a value", "write one", lambda value: value, type="raw"),
    Kind("boolean", "a boolean", "write true or false", boolean, type="bool"),
    Kind("command", "a command", "write its words as a list, the program first", _command, "list", "str"),
    # Numbers
    Kind("port", "a port", f"choose 1 to {LAST_PORT}", _integer(1, LAST_PORT), type="int"),
    Kind("port_or_0", "a port", f"choose 1 to {LAST_PORT}, or 0 for none", _integer(0, LAST_PORT), type="int"),
    Kind("port_offset", "a port offset", "write a whole number, 0 or more", _integer(), type="int"),
    Kind("count", "a count", "write a whole number, 1 or more", _integer(1), type="int"),
    Kind("count_or_0", "a count", "write a whole number, 0 or more", _integer(), type="int"),
    Kind("user_id", "a user id", "write a number, 1 or more: 0 is root", _integer(1), type="int"),
    Kind("bytes", "a number of bytes", "write a whole number, 1 or more", _integer(1), type="int"),
    Kind("mebibytes", "a number of MiB", "write a whole number, 1 or more", _integer(1), type="int"),
    Kind("mebibytes_or_0", "a number of MiB", "write a whole number, 0 or more", _integer(), type="int"),
    Kind("gibibytes", "a number of GiB", "write a number, 0 or more", _number(), type="float"),
    Kind("seconds", "a number of seconds", _SECONDS, _integer(1), type="int"),
    Kind("seconds_or_0", "a number of seconds", "write whole seconds, 0 or more", _integer(), type="int"),
    Kind("delay", "a number of seconds", "write a number, 0 or more", _number(), type="float"),
    Kind("days", "a number of days", "write a whole number, 1 or more", _integer(1), type="int"),
    Kind("factor", "a factor", "write a number above 0", _number(above=0), type="float"),
    Kind("share", "a share", "write a number above 0 and up to 1", _number(above=0, most=1), type="float"),
    Kind("processors", "a number of processors", "write a number above 0", _number(above=0), type="float"),
    Kind("batch", "a batch", "write a number of services, 1 or more, or a percentage from 1% to 100%", _batch),
    # Sizes, in the units of the program that reads them
    Kind(
        "compose_memory",
        "a memory limit",
        "write a number with k, m or g, 6m or more",
        _size(COMPOSE_UNITS, fraction=True, blank=True, least=LEAST_MEMORY),
    ),
    Kind("compose_size", "a size", "write a number with k, m or g", _size(COMPOSE_UNITS, fraction=True, least=1)),
    Kind("valkey_size", "a size", "write a number with kb, mb or gb", _size(VALKEY_UNITS, least=1)),
    Kind("nats_size", "a size", "write a number with KB, MB or GB", _size(NATS_UNITS, least=1)),
    Kind("go_size", "a size", "write a number with KiB, MiB or GiB", _size(GO_UNITS, fold=False, least=1)),
    Kind("jvm_size", "a size", "write a number with k, m or g, 2m or more", _size(JVM_UNITS, least=2 * 2**20)),
    Kind("questdb_size", "a size", "write a number with k, m or g", _size(QUESTDB_UNITS, least=1)),
    Kind("clickhouse_size", "a size", "write a number with KB, MB or GB", _size(CLICKHOUSE_UNITS, least=1)),
    Kind("opensearch_size", "a size", "write a number with kb, mb or gb", _size(OPENSEARCH_UNITS, least=1)),
    # Shares
    Kind(
        "opensearch_share",
        "a percentage or a size",
        "write a number from 0 to 100 with %, or a number with kb, mb or gb",
        _share_or_size(_OPENSEARCH_BYTES),
    ),
    Kind(
        "seaweedfs_free",
        "a percentage or a size",
        "write a number from 0 to 100, or a number with MiB or GiB",
        _seaweedfs_free,
    ),
    # Durations
    Kind("nats_duration", "a duration", "write a number with ms, s, m or h", _duration("ns|us|ms|s|m|h")),
    Kind(
        "nats_sync_interval",
        "a sync interval",
        "write a number with ms, s, m or h, or always",
        lambda value: value if value == "always" else _duration("ns|us|ms|s|m|h")(value),
    ),
    Kind(
        "questdb_duration",
        "a duration",
        "write a whole number with ms, s, m or h",
        _matching(r"\d+(us|ms|s|m|h|d)"),
    ),
    # Places
    Kind("path", "an absolute path", "begin it with a slash", absolute_path, type="path"),
    Kind("paths", "a list of absolute paths", "begin each with a slash", _list_of(absolute_path), "list", "path"),
    Kind(
        "path_in_files",
        "an absolute path",
        "begin it with a slash, or with a drive letter as in C:/trade2026",
        _path_in_files,
    ),
    Kind(
        "relative_path",
        "a relative path",
        "name a file or folder below the root, without ..",
        relative_path,
    ),
    Kind(
        "relative_paths",
        "a list of relative paths",
        "name files below the folder, without ..",
        _list_of(relative_path),
        "list",
        "str",
    ),
    Kind("path_map", "a path map", "write rows as {from: trading/apps, to: backend/apps}", _path_map, "list", "dict"),
    # Names and addresses
    Kind("name", "a name", "use letters, digits, dots, dashes and underscores", _matching(_NAME)),
    Kind(
        "identifier",
        "an identifier",
        "use letters, digits and underscores, and begin with a letter",
        _matching(r"[A-Za-z_][A-Za-z0-9_]*"),
    ),
    Kind(
        "compose_project",
        "a Compose project name",
        "use lower-case letters, digits, dashes and underscores, and begin with a letter or digit",
        _matching(r"[a-z0-9][a-z0-9_-]*"),
    ),
    Kind(
        "container_prefix",
        "a prefix of container names",
        "use letters, digits, dots, dashes and underscores, and begin with a letter or digit",
        _matching(_NAME, empty=True),
    ),
    Kind("text", "a text", "write a text", _text),
    Kind("word", "a text", "write a text", _word),
    Kind(
        "secret",
        "a secret",
        "write 8 characters or more without blanks, quotes and backslashes, or leave it empty for a generated one",
        _SECRET,
        secret=True,
    ),
    Kind("ipv4_address", "an IPv4 address", "write one such as 127.0.0.1", ipv4_address),
    Kind(
        "ip_networks",
        "a list of IP networks",
        "write each in CIDR form, such as 10.0.0.0/8",
        _ip_networks,
        "list",
        "str",
    ),
    Kind("host_port", "an address", "write host:port, such as 127.0.0.1:8080", _host_port),
    Kind("url", "a URL", "write http://host:port/path", _url),
    Kind("url_or_empty", "a URL", "write http://host:port/path, or leave it empty", _or_empty(_url)),
    Kind("claim", "a claim", "write a URL or one word", _matching(r"[^\s\x00-\x1f\"'\\]+")),
    Kind(
        "image",
        "an image reference",
        "write repository:tag of a released version, such as valkey/valkey:8.1.8",
        image_reference,
    ),
    Kind(
        "image_prefix",
        "a registry prefix",
        "write the host, with its port and folder if it has them, such as mirror.example/hub",
        _matching(rf"{_HOST}(:\d{{1,5}})?(/[a-z0-9._/-]+)?/?", empty=True),
    ),
    Kind(
        "image_signatures",
        "a mapping of signers",
        "write each as {image: {key: public key}}, {image: {identity: name, issuer: URL}} or {image: {unsigned: true}}",
        _map_of(_matching(r"\*|[a-z0-9][A-Za-z0-9._:/-]*"), _signer),
        "dict",
    ),
    Kind(
        "version", "a version", "write dotted numbers, such as 20.10.0", _matching(r"\d+(\.\d+)*([-+][A-Za-z0-9.]+)?")
    ),
    Kind(
        "timezone",
        "a time zone",
        "write an IANA name, such as Europe/Berlin or UTC",
        _matching(r"[A-Z]\w*([+-]\w+)*(/[A-Z]\w*([+-]\w+)*)*"),
    ),
    # Structures
    Kind("names", "a list of names", "write a list, such as [a, b]", _list_of(_matching(_NAME)), "list", "str"),
    Kind("name_map", "a mapping of names", "write it as {a: b}", _map_of(_matching(_NAME), _matching(_NAME)), "dict"),
    Kind(
        "budgets",
        "a mapping of budgets",
        "write it as {operation: milliseconds}, each above 0",
        _map_of(_matching(_NAME), _number(above=0)),
        "dict",
    ),
    Kind(
        "folder_map",
        "a mapping of folders",
        "write it as {service: folder below trade2025_root}",
        _map_of(_matching(_NAME), relative_path),
        "dict",
    ),
    Kind(
        "environment",
        "a mapping of variables",
        "write it as {NAME: value}",
        _map_of(_matching(r"[A-Za-z_][A-Za-z0-9_]*"), _matching(r"[^\x00]*", empty=True)),
        "dict",
    ),
    Kind(
        "networks",
        "a set of networks",
        "write {name, subnet} for each of frontend, lowlatency and backend",
        networks,
        "dict",
    ),
    Kind(
        "s3_actions",
        "a list of S3 actions",
        "choose from Admin, Read, Write, List and Tagging, each optionally with :bucket",
        _list_of(_matching(r"(Admin|Read|Write|List|Tagging)(:[a-z0-9.*-]+(/\S*)?)?")),
        "list",
        "str",
    ),
    Kind(
        "clients",
        "a mapping of clients",
        "write each as {name: {scopes: [a, b]}}",
        _map_of(_CLIENT, _client_scopes),
        "dict",
    ),
    Kind(
        "client_secrets",
        "a mapping of client secrets",
        "write it as {client: secret}, each of 8 characters or more",
        _map_of(_CLIENT, _matching(r"[^\x00-\x1f\x7f]{8,}")),
        "dict",
        secret=True,
    ),
    Kind(
        "hooks",
        "a mapping of hooks",
        "write each of before_deploy, after_deploy, after_rollback and on_failure as a command [word, word], or as the "
        "path of a YAML file",
        _hooks,
        "dict",
    ),
    Kind(
        "index_patterns",
        "a rule for creating indices",
        "write true, false, or patterns such as +logs-*,-*",
        _matching(r"true|false|True|False|[+-]?[a-z0-9*_.-]+(,[+-]?[a-z0-9*_.-]+)*"),
    ),
    Kind(
        "words", "a line of words", "write one line without quotes", _matching(r"[^\x00-\x1f\x7f\"'`$\\]*", empty=True)
    ),
    Kind(
        "rule_path",
        "a rule path",
        "write the package and the rule with slashes, such as example/allow",
        _matching(r"[A-Za-z_][A-Za-z0-9_]*(/[A-Za-z_][A-Za-z0-9_]*)+"),
    ),
)
