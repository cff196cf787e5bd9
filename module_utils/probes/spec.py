# SPDX-License-Identifier: GPL-3.0-or-later
"""Create probes from the declarations of a role, or report all errors in them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible.module_utils.probes.base import Probe, nearest

AREAS = ("authn", "clickhouse", "generic", "nats", "opa", "opensearch", "questdb", "seaweedfs", "valkey")


class SpecError(ValueError):
    """A declaration of a probe is invalid; the message has all errors."""


def parse_probes(declared: Sequence[Mapping[str, Any]]) -> list[Probe]:
    """The probes; raises SpecError with all errors."""
    probes, problems = [], []
    for number, keys in enumerate(declared, 1):
        try:
            probes.append(_parse(keys))
        except SpecError as error:
            problems.append(f"probe {number}: {error}")
    if problems:
        raise SpecError("; ".join(problems))
    return probes


def types_of(area: str) -> dict[str, type[Probe]]:
    """Type -> class of one service's probes.

    Only this service's file is imported, because a module compiles every file that it imports. The import statements
    are written out, because Ansible reads them to find the files to transfer.
    """
    match area:
        case "authn":
            from ansible.module_utils.probes import authn

            return _by_type(authn.PROBES)
        case "clickhouse":
            from ansible.module_utils.probes import clickhouse

            return _by_type(clickhouse.PROBES)
        case "nats":
            from ansible.module_utils.probes import nats

            return _by_type(nats.PROBES)
        case "opa":
            from ansible.module_utils.probes import opa

            return _by_type(opa.PROBES)
        case "opensearch":
            from ansible.module_utils.probes import opensearch

            return _by_type(opensearch.PROBES)
        case "questdb":
            from ansible.module_utils.probes import questdb

            return _by_type(questdb.PROBES)
        case "seaweedfs":
            from ansible.module_utils.probes import seaweedfs

            return _by_type(seaweedfs.PROBES)
        case "valkey":
            from ansible.module_utils.probes import valkey

            return _by_type(valkey.PROBES)
        case _:
            from ansible.module_utils.probes import generic

            return _by_type(generic.PROBES)


def _by_type(probes: Sequence[type[Probe]]) -> dict[str, type[Probe]]:
    return {probe.TYPE: probe for probe in probes}


def all_types() -> dict[str, type[Probe]]:
    """Type -> class of every probe."""
    return {name: probe for area in AREAS for name, probe in types_of(area).items()}


def _parse(keys: Mapping[str, Any]) -> Probe:
    name = str(keys.get("type") or "")
    area = name.partition("_")[0]
    probe = types_of(area).get(name)
    if probe is None:
        raise SpecError(_unknown("probe type", name, all_types()) if name else "it has no `type`")
    fields = {field.name: field for field in dataclasses.fields(probe)}
    given = {str(key): value for key, value in keys.items() if key != "type"}
    problems = [_unknown(f"key of {name}", key, fields) for key in given if key not in fields]
    problems += [
        f"{name} needs the key {field.name!r}"
        for field in fields.values()
        if field.name not in given and field.default is field.default_factory is dataclasses.MISSING
    ]
    values = {}
    for key, value in given.items():
        if key in fields:
            try:
                values[key] = COERCE[str(fields[key].type)](value)
            except (TypeError, ValueError):
                problems.append(f"{name}: {key}={value!r} is not {WANTED[str(fields[key].type)]}")
    if problems:
        raise SpecError("; ".join(problems))
    return probe(**values)


def _unknown(what: str, word: str, known: Mapping[str, Any]) -> str:
    hint = nearest(word, known) or f" (valid: {', '.join(sorted(known))})"
    return f"{word!r} is not a valid {what}{hint}"


def _text(value: Any) -> str:
    if value is None or isinstance(value, list | dict):
        raise TypeError
    return str(value)


def _number(value: Any) -> int:
    if isinstance(value, bool) or (isinstance(value, float) and value != int(value)):
        raise TypeError
    return int(value)


def _flag(value: Any) -> bool:
    word = str(value).lower()
    if word not in ("true", "yes", "false", "no"):
        raise TypeError
    return word in ("true", "yes")


def _mapping(value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise TypeError
    return {str(key): item for key, item in value.items()}


def _list(item: Callable[[Any], Any]) -> Callable[[Any], list[Any]]:
    return lambda value: [item(one) for one in (value if isinstance(value, list | tuple) else [value])]


# Annotation of a field -> conversion. A template may return a number as text.
COERCE: dict[str, Callable[[Any], Any]] = {
    "Any": lambda value: value,
    "bool": _flag,
    "dict[str, Any]": _mapping,
    "dict[str, list[str]]": lambda value: {key: _list(_text)(item) for key, item in _mapping(value).items()},
    "dict[str, str]": lambda value: {key: _text(item) for key, item in _mapping(value).items()},
    "int": _number,
    "list[int]": _list(_number),
    "list[str]": _list(_text),
    "str": _text,
}
WANTED = {
    "bool": "true or false",
    "dict[str, Any]": "a mapping",
    "dict[str, list[str]]": "a mapping of lists",
    "dict[str, str]": "a mapping of strings",
    "int": "a whole number",
    "list[int]": "a list of whole numbers",
    "list[str]": "a list of strings",
    "str": "a string",
}
