# SPDX-License-Identifier: GPL-3.0-or-later
"""Read a Compose project and describe it, with every secret masked."""

from __future__ import annotations

import posixpath
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ansible.module_utils.compose_source.compose import (
    Answer,
    Compose,
    ComposeMissingError,
    ComposeRefusedError,
    SourceError,
)
from ansible.module_utils.compose_source.findings import Finding, Source, find_all
from ansible.module_utils.compose_source.positions import Positions, is_file, pairs, text_of, uses
from ansible.module_utils.compose_source.services import describe, describe_section
from ansible.module_utils.shared.masking import (
    MASK,
    Mask,
    is_secret_name,
    mask_lines,
    secrets_of_text,
    secrets_of_variable,
)


def read(
    root: str,
    files: Sequence[str],
    windows_roots: Sequence[str],
    profiles: Sequence[str],
    environment: Mapping[str, str],
    dry_run: bool = False,
) -> dict[str, Any]:
    """Everything that `trade_source_info` returns. Raises SourceError with what is wrong and what to do.

    A dry run on a machine without Compose returns what can be known without it.
    """
    root = posixpath.abspath(root) if root else root
    paths = _existing(root, files)
    compose = Compose(posixpath.dirname(paths[0]), tuple(paths), environment)
    try:
        compose.require()
    except ComposeMissingError as error:
        if not dry_run:
            raise
        return _unavailable(str(error), files)
    positions = Positions.of(root, paths, lambda text: _evaluate(compose, [text])[0])
    with ThreadPoolExecutor(max_workers=1) as executor:
        asked = executor.submit(_ask, compose, positions, profiles)
        secrets = _secrets_in(compose, positions)
    try:
        answer, active, findings = asked.result()
    except ComposeRefusedError as error:
        raise SourceError(_refusal(str(error), positions, Mask(secrets, _identifiers(positions)))) from None
    tree = [root, *windows_roots]
    names = answer.model.get("services") or {}
    # Compose sorts the services; readers expect them in the order of the files.
    services = {
        name: describe(name, answer.model, name in active, tree, home="HOME" in environment)
        for name in (*(name for name in positions.services() if name in names), *names)
    }
    source = Source(services, answer.unset, tree, positions, compose)
    for name, service in services.items():
        service["where"] = source.where("services", name)
    findings += find_all(source)
    result = {
        "available": True,
        "reason": "",
        "project": answer.model["name"],
        "files": positions.files,
        "services": services,
        "networks": describe_section(answer.model, "networks"),
        "volumes": describe_section(answer.model, "volumes"),
        "findings": [finding.as_dict() for finding in findings],
        "summary": _summary(findings),
    }
    masked = _masked(result, secrets, positions)
    masked["report"] = lines(masked)
    return masked


def _existing(root: str, files: Sequence[str]) -> list[str]:
    """The absolute paths of the Compose files. Raises SourceError if one is missing."""
    if not root or not Path(root).is_dir():
        what = f"{root}: there is no such folder" if root else "the root is empty"
        raise SourceError(f"{what}. Set trade2025_root to the full path of the Trade2025 tree.")
    if not files:
        raise SourceError("no Compose file is named. Set trade2025_compose_files.")
    paths = [posixpath.normpath(posixpath.join(root, file)) for file in files]
    for file, path in zip(files, paths, strict=True):
        if not is_file(path):
            what = "there is no such file, or it cannot be read"
            raise SourceError(f"{file}: {what} (looked for {path}). Add it, or correct trade2025_compose_files.")
    return paths


def _unavailable(reason: str, files: Sequence[str]) -> dict[str, Any]:
    """The result of a dry run on a machine that cannot read the project yet."""
    message = f"the project was not read: {reason} Until then its services and their findings are not known."
    finding = Finding("", "not_read", message, files[0])
    result = {
        "available": False,
        "reason": reason,
        "project": "",
        "files": [],
        "services": {},
        "networks": {},
        "volumes": {},
        "findings": [finding.as_dict()],
        "summary": _summary([finding]),
    }
    return {**result, "report": [f"{', '.join(files)}: {message}"]}


def _ask(compose: Compose, positions: Positions, profiles: Sequence[str]) -> tuple[Answer, set[str], list[Finding]]:
    """The model with the services of all profiles, the names of the active ones, and what could not be read."""
    chosen = compose.read(profiles)
    active = set(chosen.model.get("services") or {})
    if not any(positions.find("services", name, "profiles") for name in positions.services()):
        return chosen, active, []
    try:
        # Services of inactive profiles may refer to things that do not exist, because nobody has needed them yet.
        return compose.read(["*"], check=False), active, []
    except ComposeRefusedError as error:
        message = f"services of inactive profiles could not be read: {_one_line(str(error))}"
        return chosen, active, [Finding("", "not_read", message, positions.shown(compose.files[0]))]


def _summary(findings: Iterable[Finding]) -> dict[str, int]:
    return dict(sorted(Counter(finding.kind for finding in findings).items()))


# --- secrets ---------------------------------------------------------------------------------------------------------

# Settings that may hold any text; all others hold names, paths and numbers.
_VALUES = ("environment", "command", "entrypoint", "healthcheck", "labels")
# Keys of a Compose file whose values are names, or lists of names.
_NAMES = {
    *("build", "container_name", "context", "depends_on", "extends", "hostname", "image", "name", "network_mode"),
    *("networks", "profiles", "service", "source", "target", "user", "volumes"),
}
_LINE = re.compile(r"""^[\s\-]*(?:export\s+)?["']?([\w.\-]+)["']?\s*[:=](.*)$""", re.MULTILINE)
_VARIABLE = re.compile(r"\$\{[^}]*\}?|\$\w+")


def _secrets_in(compose: Compose, positions: Positions) -> list[str]:
    """Every secret in the files, and the values of the secret variables that they use."""
    found: list[str] = []
    used: set[str] = set()
    for key, in_list, place in positions.scalars():
        text = str(place.node.value)
        name, sign, value = text.partition("=")
        if in_list and sign:
            found += secrets_of_variable(name, value)
        found += secrets_of_text(text) if in_list else secrets_of_variable(key, text)
        used |= uses(text)
    # In a file that cannot be parsed, lines of the form NAME=value or NAME: value are examined.
    for file in [*positions.env_files, *(path for path, documents in positions.read.items() if not documents)]:
        for name, value in _LINE.findall(text_of(file)):
            found += secrets_of_variable(name, value.strip().strip("\"'"))
    names = sorted(name for name in used if is_secret_name(name))
    values = _evaluate(compose, [f"${{{name}-}}" for name in names])
    for name, value in [*zip(names, values, strict=True), *compose.environment.items()]:
        found += secrets_of_variable(name, value)
    return found


def _evaluate(compose: Compose, texts: Sequence[str]) -> list[str]:
    """The texts with their variables replaced by Compose; empty texts if it rejects one of them."""
    meant = compose.evaluate([{"labels": {"text": text}} for text in texts])
    return [str(service["labels"]["text"]) for service in meant] or [""] * len(texts)


def _masked(result: Mapping[str, Any], secrets: Sequence[str], positions: Positions) -> dict[str, Any]:
    """The result with the secrets masked and the names still readable."""
    known = [*secrets, *_secrets_of_services(result["services"])]
    mask = Mask(known, _identifiers(positions))
    services = {}
    for name, service in result["services"].items():
        texts: dict[str, Any] = {key: mask.values(service[key]) for key in _VALUES}
        texts["environment"] = _mask_variables(service["environment"], mask)
        services[name] = {**{key: mask.data(value) for key, value in service.items()}, **texts}
        if service["build"]:
            services[name]["build"]["args"] = _mask_variables(service["build"]["args"], mask)
    return {**{key: mask.data(value) for key, value in result.items()}, "services": services}


def _mask_variables(variables: Mapping[str, str | None], mask: Mask) -> dict[str, str | None]:
    return {
        name: value if value is None else MASK if value in secrets_of_variable(name, value) else mask.value(value)
        for name, value in variables.items()
    }


def _secrets_of_services(services: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Every secret value of the services, including those from env files."""
    for service in services.values():
        for variables in (service["environment"], (service["build"] or {}).get("args") or {}, service["labels"]):
            for name, value in variables.items():
                yield from secrets_of_variable(name, str(value or ""))
        test = (service["healthcheck"] or {}).get("test")
        for words in (service["command"], service["entrypoint"], test):
            yield from secrets_of_text(" ".join(words or []))


def _identifiers(positions: Positions) -> Iterator[str]:
    """The names in the files: of services, networks and volumes, and in settings that hold names."""
    for section in ("services", "networks", "volumes"):
        for place in positions.tops(section):
            yield from pairs(place)
    for key, _in_list, place in positions.scalars():
        if key in _NAMES:
            yield _VARIABLE.sub("", str(place.node.value))


# --- what Compose refuses --------------------------------------------------------------------------------------------

_REMEDIES = (
    (r"required variable|is missing a value", "Set the variable in trade2025_env or in the tree's .env."),
    (r"no such file|not found: stat|cannot find", "Add the file, or remove what names it."),
    (r"permission denied", "Make it readable for the user that runs the module."),
    (r"refers to undefined|depends on undefined", "Define it in the file, or remove what names it."),
    (r"\.env\b|env file|key cannot contain|variable name", "Correct that line; each line has the form NAME=value."),
    (r"time\.Time", "Put the date in quotes."),
    (r"\byaml: ", "Correct the YAML at that line."),
    (r"[Aa]dditional propert", "Remove the key, or install a Docker Compose that knows it."),
)
_OWN = re.compile(r"\b((?:services|networks|volumes|secrets|configs)(?:\.[\w-]+)+)")
_IN_FILE = re.compile(r"(?:validating|parsing) (\S+): ")
_QUOTED = re.compile(r'"[^"]*"?')


def _refusal(message: str, positions: Positions, mask: Mask) -> str:
    """Compose's message with its place and a remedy, without secrets."""
    if re.search(r"failed to read|unexpected character|variable name", message):
        # It quotes the rest of an env file, in which any line may be a secret.
        message = _QUOTED.sub(MASK, message)
    # yaml.v3 quotes a value of the wrong type.
    message = re.sub(r"(cannot unmarshal \S+ )`[^`]*`", rf"\1{MASK}", message)
    remedy = next((text for pattern, text in _REMEDIES if re.search(pattern, message)), "Correct the file.")
    place = ", ".join(positions.files)
    if file := _IN_FILE.match(message):
        place, message = positions.shown(file[1]), message[file.end() :]
    if named := _OWN.search(message):
        place = _deepest(positions, named[1].split(".")) or place
    said = " ".join(mask_lines(mask.text(message).splitlines())).rstrip(".")
    return f"{place}: Docker Compose refuses the project: {said}. {remedy}"


def _deepest(positions: Positions, path: Sequence[str]) -> str:
    places = (positions.find(*path[:end]) for end in range(len(path), 1, -1))
    return next((str(place) for place in places if place is not None), "")


def _one_line(message: str) -> str:
    return " ".join(_QUOTED.sub(MASK, message).split())


# --- display ---------------------------------------------------------------------------------------------------------
def lines(result: Mapping[str, Any]) -> list[str]:
    """The result as lines to display: a block for each service, then the findings by kind."""
    text = [f"{', '.join(result['files'])}: {len(result['services'])} services"]
    for name, service in result["services"].items():
        image = service["image"] or "built from its sources"
        text.append(f"{name}{'' if service['active'] else ' (profile not active)'}: {image}")
        ports = [
            ":".join(part for part in (port["host_ip"], port["published"], str(port["target"])) if part)
            + ("" if port["protocol"] == "tcp" else f"/{port['protocol']}")
            for port in service["ports"]
        ]
        check = service["healthcheck"]
        facts = {
            "ports": ", ".join(ports),
            "networks": ", ".join(network["name"] for network in service["networks"]) or service["network_mode"],
            "volumes": ", ".join(
                f"{mount['source'] or 'anonymous'} -> {mount['target']}" for mount in service["volumes"]
            ),
            "environment": ", ".join(service["environment"]),
            "health check": " ".join(check["test"]) if check and check["test"] else "",
        }
        text += [f"  {what}: {value}" for what, value in facts.items() if value]
    text.append(f"{len(result['findings'])} findings" + (":" if result["findings"] else ""))
    for finding in sorted(result["findings"], key=lambda row: str(row["kind"])):
        service_name = f" {finding['service']}:" if finding["service"] else ""
        text.append(f"  {finding['kind']} at {finding['where']}:{service_name} {finding['message']}")
    return text
