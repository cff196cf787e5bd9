# SPDX-License-Identifier: GPL-3.0-or-later
"""The schema of the service dictionary, as data: what a service role may declare in `<role>_service`.

`docs/architecture.md` has the table that `make docs` writes from it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible.module_utils.services import kinds

# The value of a key that is neither required nor has a default: the key is then absent.
ABSENT = None


@dataclass(frozen=True)
class Key:
    """One key of the dictionary."""

    name: str
    # str, int, float, bool, list, dict or any
    type: str
    description: str
    required: bool = False
    default: Any = ABSENT
    # Name of a kind in kinds.py, which the value or each element of a list must have.
    kind: str = ""
    choices: tuple[str, ...] = ()
    # Keys of the mapping, or of each mapping in the list; a mapping without declared keys accepts any key and value.
    keys: tuple[Key, ...] = ()
    # Other keys than those in `keys` are passed on unchanged.
    open: bool = False


class SchemaError(ValueError):
    """A service dictionary is invalid; the text has a line for every error."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = list(faults)


_IMAGE = (
    Key("official", "str", "Official image as repository:tag, a released version, without a registry host.", True),
    Key("recipe", "str", "Folder of `roles/image/files/packages` that builds it for `image_source: packages`.", True),
)

SCHEMA: tuple[Key, ...] = (
    Key("title", "str", "Display name of the service.", required=True),
    Key(
        "image",
        "dict",
        "The image: `official` and `recipe`, or `build` for a service that is built from the migrated sources.",
        required=True,
        keys=(
            Key("official", "str", _IMAGE[0].description),
            Key("recipe", "str", _IMAGE[1].description),
            Key(
                "build",
                "dict",
                "Builds the image from a folder of the new tree.",
                keys=(
                    Key("context", "str", "Folder, relative to `trade2026_root`.", True, kind="relative_path"),
                    Key("base_arg", "str", "Build argument that names the base image.", True),
                    Key("base", "dict", "The base image.", True, keys=_IMAGE),
                ),
            ),
        ),
    ),
    Key(
        "user",
        "dict",
        "Numeric user of the container, as in the official image; never root.",
        required=True,
        keys=(
            Key("uid", "int", "User id.", True, kind="user_id"),
            Key("gid", "int", "Group id.", True, kind="user_id"),
        ),
    ),
    Key("command", "list", "Replaces the image's command.", kind="word"),
    Key("entrypoint", "list", "Replaces the image's entrypoint.", kind="word"),
    Key("environment", "dict", "Environment variables. Never a secret: `docker inspect` shows them.", default={}),
    Key("networks", "list", "Keys of `trade2026_networks`.", required=True, kind="word"),
    Key(
        "ports",
        "list",
        "Ports published on `core_bind_address`.",
        required=True,
        keys=(
            Key("name", "str", "Name that probes use.", True, kind="name"),
            Key("host", "int", "Port on the host; `core_port_offset` is added.", True, kind="port"),
            Key("container", "int", "Port in the container.", True, kind="port"),
        ),
    ),
    Key(
        "volumes",
        "list",
        "Folders mounted into the container.",
        default=[],
        keys=(
            Key(
                "kind",
                "str",
                "`data` belongs to the user and is read-write; `config` and `secret` are read-only.",
                True,
                choices=("data", "config", "secret"),
            ),
            Key(
                "source",
                "str",
                "Folder, relative to `trade2026_root`; for a secret, relative to `trade2026_secrets_root`.",
                True,
                kind="relative_path",
            ),
            Key("target", "str", "Path in the container.", True, kind="path"),
            Key("writable", "bool", "The service writes to this configuration folder itself.", default=False),
        ),
    ),
    Key(
        "tmpfs",
        "list",
        "In-memory folders.",
        default=[],
        keys=(
            Key("path", "str", "Path in the container.", True, kind="path"),
            Key("options", "str", "Mount options, such as `exec,size=64m`.", default=""),
        ),
    ),
    Key(
        "config",
        "list",
        "Files rendered from the role's `templates/`, each inside a volume of kind `config`.",
        default=[],
        keys=(
            Key("template", "str", "Template, relative to `templates/`.", True, kind="relative_path"),
            Key("dest", "str", "File, relative to `trade2026_root`.", True, kind="relative_path"),
        ),
    ),
    Key(
        "validate",
        "dict",
        "The service's own check of its configuration, run on staged files in the image that will run.",
        keys=(
            Key("command", "list", "Command line; exit code 0 accepts.", True, kind="word"),
            Key("entrypoint", "str", "Replaces the image's entrypoint."),
            Key("environment", "dict", "Replaces the service's `environment`."),
            Key(
                "tmpfs",
                "list",
                "In-memory folders in addition to those of the service.",
                default=[],
                keys=(
                    Key("path", "str", "Path in the container.", True, kind="path"),
                    Key("options", "str", "Mount options.", default=""),
                ),
            ),
            Key("timeout_s", "int", "Seconds before the command counts as failed.", default=60, kind="seconds"),
        ),
    ),
    Key(
        "secrets",
        "list",
        "Files created once below `trade2026_secrets_root`.",
        default=[],
        keys=(
            Key("path", "str", "File, relative to `trade2026_secrets_root`.", True, kind="relative_path"),
            Key("kind", "str", "What the file holds.", True, choices=("password", "jwks", "clients")),
            Key("variable", "str", "Variable that sets the value. If it is empty, a value is generated.", default=""),
            Key("plain", "str", "For `clients`: file of the clients' plain secrets.", kind="relative_path"),
            Key("clients", "list", "For `clients`: names of the clients.", kind="word"),
        ),
    ),
    Key(
        "healthcheck",
        "dict",
        "Health check of the container, with tools that the image has.",
        required=True,
        keys=(
            Key("test", "list", "Compose's `test`.", True, kind="word"),
            Key("interval_s", "int", "Seconds between two checks.", default=10, kind="seconds"),
            Key("timeout_s", "int", "Seconds that a check may take.", default=5, kind="seconds"),
            Key("retries", "int", "Failures in a row that make the container unhealthy.", default=3, kind="count"),
            Key("start_period_s", "int", "Seconds in which a failure does not count.", default=10, kind="seconds"),
        ),
    ),
    Key(
        "limits",
        "dict",
        "What the container may take.",
        required=True,
        keys=(
            Key("memory", "str", "Memory, in Compose units.", True, kind="compose_memory"),
            Key("cpus", "float", "Processors.", True, kind="processors"),
            Key("pids", "int", "Processes and threads.", True, kind="count"),
        ),
    ),
    Key("ulimits", "dict", "Ulimits, such as `nofile: 20000`.", default={}),
    Key("sysctls", "dict", "Kernel settings of the container's own namespaces.", default={}),
    Key(
        "stop",
        "dict",
        "How the container is stopped.",
        default={},
        keys=(
            Key("signal", "str", "Signal.", default="SIGTERM", kind="word"),
            Key("grace_s", "int", "Seconds until it is killed.", default=10, kind="seconds"),
        ),
    ),
    Key(
        "host_requirements",
        "dict",
        "What the machine must have; the preflight checks look for it.",
        default={},
        keys=(Key("max_map_count", "int", "Minimum value of `vm.max_map_count`.", default=0, kind="count_or_0"),),
    ),
    Key(
        "bounds",
        "list",
        "Settings that limit each other; the preflight checks compare them.",
        default=[],
        keys=(
            Key(
                "setting",
                "str",
                "Variable or expression to show in the message, such as `valkey_maxclients + 32`.",
                True,
            ),
            Key("value", "any", "Value of `setting`.", True),
            Key("kind", "str", "Kind of `value`, which determines its unit.", default="count_or_0"),
            Key("max_setting", "str", "Variable that limits `setting`.", True),
            Key("max", "any", "Value of `max_setting`.", True),
            Key("max_kind", "str", "Kind of `max`.", default="count_or_0"),
        ),
    ),
    Key(
        "unauthenticated",
        "bool",
        "The service accepts clients without credentials; the preflight checks then require a loopback address.",
        required=True,
    ),
    Key("ready_timeout_s", "int", "Seconds until it is healthy and every probe passes.", default=60, kind="seconds"),
    Key(
        "probes",
        "list",
        "Probes that `service_probe` runs over the published ports.",
        required=True,
        open=True,
        keys=(Key("type", "str", "Type of the probe, one of `module_utils/probes`. Each has keys of its own.", True),),
    ),
    Key(
        "migration_notes",
        "list",
        "What differs from Trade2025, and why; for `docs/MIGRATION.md`.",
        default=[],
        keys=(
            Key("setting", "str", "The setting.", True),
            Key("why", "str", "The reason.", True),
        ),
    ),
)


def parse(definition: Any, where: str) -> dict[str, Any]:
    """The dictionary with its defaults and typed values; raises SchemaError with all errors."""
    faults: list[str] = []
    parsed = _mapping(kinds.plain(definition), SCHEMA, where, faults, False)
    if not faults:
        faults += _contradictions(parsed, where)
    if faults:
        raise SchemaError(faults)
    return parsed


def nearest(word: str, known: Iterable[str]) -> str:
    """The known word that was probably meant, as a question; empty if none is similar."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"did you mean {near[0]}?" if near else ""


def table() -> str:
    """The schema as a Markdown table."""
    lines = ["| key | type | default | what it is |", "|---|---|---|---|"]
    for path, key in _flat(SCHEMA):
        default = "required" if key.required else "" if key.default is ABSENT else f"`{key.default!r}`"
        kind = ", ".join(f"`{choice}`" for choice in key.choices) or key.type
        lines.append(f"| `{path}` | {kind} | {default} | {key.description} |")
    return "\n".join(lines) + "\n"


def _flat(keys: Iterable[Key], prefix: str = "") -> Iterator[tuple[str, Key]]:
    for key in keys:
        yield prefix + key.name, key
        yield from _flat(key.keys, f"{prefix}{key.name}{'[]' if key.type == 'list' else ''}.")


def _mapping(value: Any, keys: Sequence[Key], where: str, faults: list[str], is_open: bool) -> dict[str, Any]:
    """One mapping of the dictionary."""
    if not isinstance(value, Mapping):
        faults.append(f"{where}: {value!r} is not a mapping")
        return {}
    known = {key.name: key for key in keys}
    found: dict[str, Any] = {}
    for name in value:
        if name not in known and not is_open:
            hint = nearest(str(name), known) or f"there are {', '.join(known)}"
            faults.append(f"{where}.{name}: unknown key; {hint}")
        elif name not in known:
            found[str(name)] = value[name]
    for key in keys:
        place = f"{where}.{key.name}"
        if key.name in value and value[key.name] is not None:
            found[key.name] = _value(value[key.name], key, place, faults)
        elif key.required:
            faults.append(f"{place}: missing; {key.description}")
        elif key.default is not ABSENT:
            found[key.name] = _value(key.default, key, place, faults)
    return found


def _value(value: Any, key: Key, where: str, faults: list[str]) -> Any:
    """One value, by the type of its key."""
    if key.type == "list":
        if isinstance(value, str | Mapping) or not isinstance(value, Sequence):
            faults.append(f"{where}: {value!r} is not a list")
            return []
        return [
            _mapping(entry, key.keys, f"{where}[{number}]", faults, key.open)
            if key.keys
            else _scalar(entry, key, f"{where}[{number}]", faults)
            for number, entry in enumerate(value)
        ]
    if key.type == "dict":
        if key.keys:
            return _mapping(value, key.keys, where, faults, key.open)
        if not isinstance(value, Mapping):
            faults.append(f"{where}: {value!r} is not a mapping")
            return {}
        return {str(name): entry for name, entry in value.items()}
    return _scalar(value, key, where, faults)


# The default kind of a scalar, by its type.
_KIND_OF_TYPE = {"str": "text", "bool": "boolean"}


def _scalar(value: Any, key: Key, where: str, faults: list[str]) -> Any:
    if key.choices:
        if str(value) not in key.choices:
            faults.append(f"{where}: {value!r} is not one of {', '.join(key.choices)}")
        return str(value)
    kind = key.kind or _KIND_OF_TYPE.get(key.type, "")
    if not kind:
        return value
    try:
        parsed = kinds.parse(kind, where, value)
    except kinds.KindError as error:
        faults.append(str(error))
        return value
    # A size keeps its text, which the fragment has too.
    return str(value) if key.type == "str" else parsed


def _contradictions(parsed: Mapping[str, Any], where: str) -> Iterator[str]:
    """Errors that concern several keys."""
    image = parsed["image"]
    if ("build" in image) == ("official" in image):
        yield f"{where}.image: needs either `official` with `recipe`, or `build`"
    elif "official" in image and "recipe" not in image:
        yield f"{where}.image.recipe: missing; {_IMAGE[1].description}"
    yield from _repeated([port["name"] for port in parsed["ports"]], f"{where}.ports", "port name")
    yield from _repeated([volume["target"] for volume in parsed["volumes"]], f"{where}.volumes", "target")
    folders = [volume["source"] for volume in parsed["volumes"] if volume["kind"] == "config"]
    for number, file in enumerate(parsed["config"]):
        if not any(file["dest"].startswith(f"{folder}/") for folder in folders):
            yield f"{where}.config[{number}].dest: {file['dest']} is not in a volume of kind config"
    for number, volume in enumerate(parsed["volumes"]):
        if volume["writable"] and volume["kind"] != "config":
            yield f"{where}.volumes[{number}].writable: only a volume of kind config can be writable"
    for number, secret in enumerate(parsed["secrets"]):
        missing = [name for name in ("plain", "clients") if secret["kind"] == "clients" and name not in secret]
        yield from (f"{where}.secrets[{number}].{name}: missing; kind clients needs it" for name in missing)
    for number, bound in enumerate(parsed["bounds"]):
        for kind, setting, value in (("kind", "setting", "value"), ("max_kind", "max_setting", "max")):
            if bound[kind] not in kinds.KINDS:
                hint = nearest(bound[kind], kinds.KINDS)
                yield f"{where}.bounds[{number}].{kind}: {bound[kind]!r} is not a kind of value; {hint}"
            elif message := kinds.fault(bound[kind], bound[setting], bound[value]):
                yield message
    ports = [port["name"] for port in parsed["ports"]]
    for number, probe in enumerate(parsed["probes"]):
        if "port" in probe and probe["port"] not in ports:
            hint = nearest(str(probe["port"]), ports) or f"there are {', '.join(ports)}"
            yield f"{where}.probes[{number}].port: {probe['port']!r} is not a port of the service; {hint}"


def _repeated(values: Sequence[str], where: str, what: str) -> Iterator[str]:
    for value in sorted({value for value in values if values.count(value) > 1}):
        yield f"{where}: duplicate {what} {value}"
