# SPDX-License-Identifier: GPL-3.0-or-later
"""Findings about a Compose project: each names the service, the kind, the place and the remedy."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from ipaddress import ip_address
from typing import Any

from ansible.module_utils.compose_source.compose import Compose
from ansible.module_utils.compose_source.positions import Place, Positions, below, elements, pairs, plain, texts
from ansible.module_utils.shared.masking import MASK, secrets_of_text, secrets_of_variable
from ansible.module_utils.shared.windows_paths import is_below

Services = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding. `service` is empty if it concerns the whole project; `where` is file:line."""

    service: str
    kind: str
    message: str
    where: str

    def as_dict(self) -> dict[str, str]:
        """The finding as a module returns it."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Source:
    """What findings are drawn from: the described services, and the files in which they are written.

    `tree` holds the names in the tree's root folder; `unset` holds the variables for which Compose had no value.
    """

    services: Services
    unset: Sequence[str]
    tree: Sequence[str]
    positions: Positions
    compose: Compose

    def where(self, *path: str) -> str:
        """file:line of a value, or of the closest enclosing value that a file has."""
        for end in range(len(path), 1, -1):
            place = self.positions.find(*path[:end])
            if place is not None:
                return str(place)
        return self.positions.shown(self.compose.files[0])


def find_all(source: Source) -> list[Finding]:
    """Every finding, those about the project first, then by service."""
    places = element_places(source)
    found = [*obsolete_keys(source), *unset_variables(source), *port_clashes(source, places)]
    secrets = list(literal_secrets(source))
    for name, service in source.services.items():
        found += unpinned_image(source, name, service)
        found += [finding for finding in secrets if finding.service == name]
        found += outside_mounts(source, name, service, places)
        found += healthcheck_tools(source, name, service)
    return found


# --- the project -----------------------------------------------------------------------------------------------------


def obsolete_keys(source: Source) -> Iterator[Finding]:
    """Keys that Compose ignores or discourages."""
    positions = source.positions
    for place in positions.tops("version"):
        message = "`version` is ignored by Compose v2, which warns about it. Leave it out."
        yield Finding("", "obsolete_key", message, str(place))
    for section in ("networks", "volumes"):
        for place in positions.tops(section):
            for name, (entry, _text) in pairs(place).items():
                external = below(entry, ("external",))
                if external is not None and below(external, ("name",)) is not None:
                    what = f"{section}.{name}"
                    message = f"`external: {{name: …}}` of {what} is obsolete: write `external: true`, `name:`."
                    yield Finding("", "obsolete_key", message, str(external))
    for name in source.services:
        for key in ("links", "external_links"):
            used = positions.find("services", name, key)
            if used is not None:
                message = f"`{key}` is obsolete: containers of one network find each other by name."
                yield Finding(name, "obsolete_key", message, str(used))


def unset_variables(source: Source) -> Iterator[Finding]:
    """Variables that are used without a value: Compose puts an empty text in their place."""
    first = source.positions.first_uses()
    for name in source.unset:
        message = f"the variable {name} has no value and no default: Compose puts an empty text in its place."
        yield Finding("", "unset_variable", message, first.get(name) or source.where())


def port_clashes(source: Source, places: Mapping[tuple[str, str, object], str]) -> Iterator[Finding]:
    """Two services, or one service twice, on the same host port. The finding is about the later one of each pair."""
    taken: list[tuple[str, Mapping[str, Any], str]] = []
    for name, service in source.services.items():
        for port in service["ports"] if service["active"] else ():
            # For a range with a single target Docker chooses a free port, so there is no clash.
            if not port["published"].isdigit():
                continue
            place = places.get((name, "ports", _IDENTITY["ports"](port))) or source.where("services", name, "ports")
            for other, other_port, other_place in taken:
                if _clash(port, other_port):
                    whom = f"{'itself' if other == name else other} ({other_place})"
                    message = (
                        f"host port {port['published']}/{port['protocol']} for {port['target']} is also published by "
                        f"{whom} for {other_port['target']}: the second one cannot start. Give one of them another "
                        "host port."
                    )
                    yield Finding(name, "port_clash", message, place)
            taken.append((name, port, place))


# List of a service → what identifies an entry of it.
_IDENTITY: dict[str, Callable[[Mapping[str, Any]], object]] = {
    "ports": lambda port: (port.get("published") or "", port["target"]),
    "volumes": lambda mount: mount.get("target"),
}


def element_places(source: Source) -> dict[tuple[str, str, object], str]:
    """Where ports and volumes are written: (service, key, identity) → file:line of the element that takes effect.

    Compose itself evaluates each element.
    """
    written = [
        (name, key, element)
        for name in source.services
        for key in _IDENTITY
        for place in source.positions.find_all("services", name, key)
        for element in reversed(elements(place))
    ]
    meant = source.compose.evaluate([{key: [plain(element.node)]} for _name, key, element in written])
    places: dict[tuple[str, str, object], str] = {}
    for (name, key, element), service in zip(written, meant, strict=False):
        for entry in service.get(key) or []:
            places.setdefault((name, key, _IDENTITY[key](entry)), str(element))
    return places


def _clash(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    if (one["published"], one["protocol"]) != (other["published"], other["protocol"]):
        return False
    mine, yours = _address(one["host_ip"]), _address(other["host_ip"])
    return not mine or not yours or mine == yours


def _address(text: str) -> str:
    """A canonical address; empty for all. A wildcard of one family counts as all: Docker's proxy takes both."""
    try:
        address = ip_address(text) if text else None
    except ValueError:
        return text
    return "" if address is None or address.is_unspecified else str(address)


# --- a service -------------------------------------------------------------------------------------------------------

# Projects whose version numbers have two parts, so that a tag such as `2.10` names one release.
_TWO_NUMBER_RELEASES = ("chrislusf/seaweedfs",)
_VERSION = re.compile(r"v?(\d+(?:\.\d+)*)(?![0-9.])")
_EXACT = re.compile(r"(?:.*[.\-])?(?:\d{8,}|\d{4}-\d{2}-\d{2}|[0-9a-f]{7,64})(?:[T.\-].*)?$")


def split_image(reference: str) -> tuple[str, str, str]:
    """Repository, tag and digest of an image's name; the last two may be empty."""
    name, _sep, digest = reference.partition("@")
    head, slash, last = name.rpartition("/")
    last, _sep, tag = last.partition(":")
    return head + slash + last, tag, digest


def unpinned_image(source: Source, name: str, service: Mapping[str, Any]) -> Iterator[Finding]:
    """Tags that may name another image later."""
    reference = service["image"]
    repository, tag, digest = split_image(reference)
    if not reference or digest or service["build"] is not None:
        return
    where = source.where("services", name, "image")
    if not tag or tag == "latest":
        what = "a name without tag means `latest`, which" if not tag else "the tag `latest`"
        message = f"{reference}: {what} names whatever was released last. Name a release, and its digest."
        yield Finding(name, "unpinned_tag", message, where)
        return
    match = _VERSION.match(tag)
    numbers = match[1].split(".") if match else []
    enough = 2 if repository.endswith(_TWO_NUMBER_RELEASES) else 3
    if len(numbers) >= enough or _EXACT.match(tag):
        return
    line = ".".join(numbers) if numbers else tag
    reason = f"moves with every release of the {line} line" if numbers else "names no release and moves"
    message = f"{reference}: the tag `{tag}` {reason}. Name a release, and its digest."
    yield Finding(name, "unpinned_tag", message, where)


_LINES = (("command",), ("entrypoint",), ("healthcheck", "test"))


def literal_secrets(source: Source) -> Iterator[Finding]:
    """Passwords, keys and tokens that are written in a Compose file. The message never shows them."""
    written: list[tuple[str, str, str, Place]] = []
    for service in source.services:
        for kind, path in (("environment", ("environment",)), ("args", ("build", "args"))):
            seen: set[str] = set()
            for place in source.positions.find_all("services", service, *path):
                for name, (entry, text) in pairs(place).items():
                    if name not in seen and text is not None:
                        written.append((service, f"{kind} {name}", text, entry))
                    seen.add(name)
        for path in _LINES:
            line = source.positions.find("services", service, *path)
            if line is not None:
                written.append((service, path[-1], " ".join(texts(line)), line))
    literals = _without_variables(source.compose, [text for _service, _what, text, _place in written])
    for (service, what, _text, place), literal in zip(written, literals, strict=True):
        kind, _space, name = what.partition(" ")
        if not (secrets_of_variable(name, literal) if name else secrets_of_text(literal)):
            continue
        message = {
            "environment": f"the variable {name} holds a secret in plain text ({MASK}). "
            "Keep it in a file for the service alone.",
            "args": f"the build argument {name} is a secret in plain text ({MASK}), kept in the image. "
            "Use a build secret.",
        }.get(kind, f"`{kind}` holds a secret in plain text ({MASK}): process lists show it. Read it from a file.")
        yield Finding(service, "literal_secret", message, str(place))


_REQUIRED = re.compile(r"\$\{\w+:?\?")
_NO_DEFAULT = re.compile(r"\$\{\w+(?::?\?[^}]*)?\}|\$\w+")


def _without_variables(compose: Compose, written: Sequence[str]) -> list[str]:
    """The texts as they are if no variable has a value: what the file itself says, including defaults."""
    asked = [text for text in dict.fromkeys(written) if "$" in text and not _REQUIRED.search(text)]
    meant = compose.evaluate([{"labels": {"text": text}} for text in asked], {})
    known = {text: service["labels"]["text"] for text, service in zip(asked, meant, strict=False)}
    return [text if "$" not in text else known.get(text, _NO_DEFAULT.sub("", text)) for text in written]


def outside_mounts(
    source: Source, name: str, service: Mapping[str, Any], places: Mapping[tuple[str, str, object], str]
) -> Iterator[Finding]:
    """Mounts from places that the migration does not move."""
    for mount in service["volumes"]:
        path = mount["source"]
        if mount["type"] not in ("bind", "npipe") or not path or is_below(path, source.tree):
            continue
        message = f"{path} (at {mount['target']}) lies outside the Trade2025 tree and is not migrated."
        if path.endswith("docker.sock"):
            message += " A process that reaches this socket is root on the machine."
        where = places.get((name, "volumes", _IDENTITY["volumes"](mount))) or source.where("services", name, "volumes")
        yield Finding(name, "mount_outside", message, where)


# Official images (the last two parts of their names) and the tools that they lack.
_LACKS: dict[str, tuple[str, ...]] = {
    "nats": ("curl",),
    "valkey/valkey": ("curl",),
    "questdb/questdb": ("wget", "curl"),
    "clickhouse/clickhouse-server": ("curl",),
    "opensearchproject/opensearch": ("wget",),
    "openpolicyagent/opa": ("wget", "curl", "sh"),
}


def healthcheck_tools(source: Source, name: str, service: Mapping[str, Any]) -> Iterator[Finding]:
    """Health checks that are missing or that call a program which the image does not have."""
    check = service["healthcheck"]
    where = source.where("services", name, "healthcheck")
    if check is None or check["disable"] or not check["test"]:
        why = "is switched off" if check is not None and check["disable"] else "is not defined"
        message = f"a health check {why}: Compose considers the service ready as soon as it starts."
        yield Finding(name, "no_healthcheck", message, where)
        return
    words = _programs(check["test"])
    repository = "" if service["build"] else split_image(service["image"])[0]
    for tool in _LACKS.get("/".join(repository.split("/")[-2:]), _LACKS.get(repository.rpartition("/")[2], ())):
        if tool in words:
            message = f"its health check calls {tool}, which the image {repository} lacks: it never becomes healthy."
            yield Finding(name, "healthcheck_tool", message, where)
    if any("://localhost" in word or word == "localhost" for word in check["test"]):
        message = (
            "its health check asks `localhost`, which some tools resolve to ::1, where few services listen. "
            "Use 127.0.0.1."
        )
        yield Finding(name, "healthcheck_address", message, where)


def _programs(test: list[str]) -> set[str]:
    """The programs that a health check calls; the shell counts as one."""
    if test[:1] == ["CMD"]:
        return {word.rpartition("/")[2] for word in test[1:2]} | _of_shell(test[1:])
    script = " ".join(test[1:] if test[:1] == ["CMD-SHELL"] else test)
    return {"sh"} | _commands(script)


def _of_shell(words: list[str]) -> set[str]:
    """The programs of a script that is given to a shell with `-c`."""
    shells = {"sh", "bash", "ash", "dash"}
    if words and words[0].rpartition("/")[2] in shells and "-c" in words[:-1]:
        return _commands(words[words.index("-c") + 1])
    return set()


_SHELL_WORDS = ("!", "if", "then", "do", "while", "exec", "for", "else")


def _commands(script: str) -> set[str]:
    found = set()
    for part in re.split(r"\|\||&&|[;|&\n(){}]", script):
        try:
            words = shlex.split(part)
        except ValueError:
            words = part.split()
        words = [word for word in words if "=" not in word and word not in _SHELL_WORDS]
        if words:
            found.add(words[0].rpartition("/")[2])
    return found
