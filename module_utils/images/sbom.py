# SPDX-License-Identifier: GPL-3.0-or-later
"""What images contain, and what they were built from. Pure: CycloneDX documents and recipes are passed in as data."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# Components that are pieces of software. The others describe the system or single files.
SOFTWARE = {"application", "framework", "library"}

_REQUIREMENT = re.compile(r"^([A-Za-z0-9._-]+)==([^\s\\;]+)", re.MULTILINE)
_HASH = re.compile(r"--hash=(sha256:[0-9a-f]{64})")
_SUM = re.compile(r"^([0-9a-f]{64})\s+\*?(\S+)$", re.MULTILINE)
_GO_SUM = re.compile(r"^(\S+) (v\S+) (h1:\S+)$", re.MULTILINE)


@dataclass(frozen=True)
class Component:
    """A piece of software in an image. `licenses` is empty if the image does not name any."""

    name: str
    version: str
    licenses: tuple[str, ...]


@dataclass(frozen=True)
class Input:
    """Something that an image was built from, with the hashes that were checked."""

    name: str
    version: str
    hashes: tuple[str, ...]


@dataclass(frozen=True)
class Provenance:
    """Where an image comes from. `address` is that of the official image, `digest` the one in its registry.

    `signer`, whose signature of the digest was verified; empty if nobody's was.
    `inputs`: the inputs of a build with their hashes. `document`: the SBOM's file, `sha256` its hash.
    """

    service: str
    reference: str
    id: str
    source: str
    address: str
    digest: str
    built_from: str
    inputs: tuple[Input, ...]
    document: str
    sha256: str
    components: tuple[Component, ...]
    signer: str = ""


def components(document: Mapping[str, Any]) -> tuple[Component, ...]:
    """The software that a CycloneDX document lists, once each."""
    found = {
        Component(str(entry["name"]), str(entry.get("version", "")), _licenses(entry))
        for entry in document.get("components", ())
        if entry.get("type") in SOFTWARE
    }
    return tuple(sorted(found, key=lambda component: (component.name, component.version, component.licenses)))


def describes(document: Mapping[str, Any], reference: str, image_id: str, tool: str) -> bool:
    """Whether a CycloneDX document is about this image, and was written by this version of the tool."""
    metadata = document.get("metadata", {})
    subject = metadata.get("component", {})
    tools = metadata.get("tools", {})
    versions = {entry.get("version") for entry in (tools.get("components", []) if isinstance(tools, dict) else tools)}
    return (subject.get("name"), subject.get("version")) == (reference, image_id) and tool in versions


def inputs(files: Mapping[str, str]) -> tuple[Input, ...]:
    """The downloads that the files of a recipe or a build context pin by hash: wheels, jars, Go modules."""
    found: list[Input] = []
    requirements = files.get("requirements.txt", "")
    # Name, version and the text up to the next name, in turn.
    parts = _REQUIREMENT.split(requirements)[1:]
    for name, version, text in zip(parts[::3], parts[1::3], parts[2::3], strict=True):
        found.append(Input(name, version, tuple(_HASH.findall(text))))
    found += [Input(name, "", (f"sha256:{digest}",)) for digest, name in _SUM.findall(files.get("SHA256SUMS", ""))]
    found += [
        Input(module, version, (digest,))
        for module, version, digest in _GO_SUM.findall(files.get("go.sum", ""))
        if not version.endswith("/go.mod")
    ]
    return tuple(found)


def report(images: Sequence[Provenance]) -> str:
    """The page that explains the documents: origin, licenses, and what is not known."""
    lines = [
        "# What runs, and where it comes from",
        "",
        "Written by `playbooks/sbom.yml`. Each document lists the software in one image (CycloneDX JSON);",
        "`provenance.json` has every input of a build with its hashes.",
        "",
        "| service | image | source | official image | made from | components | document | SHA-256 of the document |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for image in images:
        made = f"{image.built_from} ({len(image.inputs)} inputs with hashes)" if image.inputs else image.built_from
        cells = [
            image.service,
            f"`{image.reference}`",
            image.source,
            image.address + (f" `{image.digest}`" if image.digest else ""),
            made,
            str(len(image.components)),
            f"[{image.document}]({image.document})",
            f"`{image.sha256}`",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    lines += [
        "",
        "## Known vulnerabilities",
        "",
        "See [VULNERABILITIES.md](VULNERABILITIES.md).",
        "",
        "## Signatures",
        "",
        "Images of a registry must have the digest of their first pull and the signatures of `image_signatures`.",
        "",
        *(f"- {image.service}: {image.signer or 'not verified'}" for image in images),
        "",
        "## Licenses",
        "",
        "| license | components | in |",
        "|---|---|---|",
    ]
    lines += [f"| {_cell(name)} | {count} | {', '.join(services)} |" for name, count, services in _license_rows(images)]
    lines += ["", "## Components without a license in the image", ""]
    lines += [f"- {service}: {', '.join(names)}" for service, names in _unlicensed(images)] or ["None."]
    return "\n".join(lines) + "\n"


def _license_rows(images: Iterable[Provenance]) -> list[tuple[str, int, list[str]]]:
    """License, number of components that have it, and their services; the most frequent first."""
    names = defaultdict[str, set[tuple[str, str]]](set)
    services = defaultdict[str, set[str]](set)
    for image in images:
        for component in image.components:
            for name in component.licenses:
                names[name].add((component.name, component.version))
                services[name].add(image.service)
    rows = [(name, len(found), sorted(services[name])) for name, found in names.items()]
    return sorted(rows, key=lambda row: (-row[1], row[0]))


def _unlicensed(images: Iterable[Provenance]) -> list[tuple[str, list[str]]]:
    found = [
        (image.service, sorted({component.name for component in image.components if not component.licenses}))
        for image in images
    ]
    return [(service, names) for service, names in found if names]


def _licenses(entry: Mapping[str, Any]) -> tuple[str, ...]:
    found = set()
    for choice in entry.get("licenses", ()):
        license_ = choice.get("license", {})
        found.add(str(choice.get("expression") or license_.get("id") or license_.get("name") or ""))
    return tuple(sorted(found - {""}))


def _cell(text: str) -> str:
    """Text for a cell of a Markdown table; a license may be a whole paragraph."""
    one_line = " ".join(text.split()).replace("|", "\\|")
    return one_line if len(one_line) <= 80 else one_line[:77] + "..."
