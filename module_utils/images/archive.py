# SPDX-License-Identifier: GPL-3.0-or-later
"""Bundles: a folder with the images of a site, for a machine that reaches no registry and no package mirror.

`docker save` drops the digests of a registry, so a bundle records a fingerprint of every image: a hash over its layers'
hashes and over the parts of its configuration that a container uses.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ansible.module_utils.images.plan import Archived, ImageError
from ansible.module_utils.shared.docker import Docker

FORMAT = 1
MANIFEST = "bundle.json"
IMAGES = "images.tar"
LOCK = "images.lock.json"
# What a container takes from its image's configuration.
CONFIGURATION = (
    "User",
    "ExposedPorts",
    "Env",
    "Entrypoint",
    "Cmd",
    "Volumes",
    "WorkingDir",
    "Labels",
    "StopSignal",
    "Healthcheck",
)
CHUNK = 1 << 20


@dataclass(frozen=True)
class FileSeal:
    """Size and SHA-256 of a file."""

    size: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """The content of bundle.json. platform: os/architecture, as the engine names it."""

    created: str
    platform: str
    images: Mapping[str, Archived]
    files: Mapping[str, FileSeal]

    def text(self) -> str:
        """The content of bundle.json."""
        data = {
            "format": FORMAT,
            "created": self.created,
            "platform": self.platform,
            "images": {name: asdict(entry) for name, entry in self.images.items()},
            "files": {name: asdict(seal) for name, seal in self.files.items()},
        }
        return json.dumps(data, indent=2, sort_keys=True) + "\n"


def fingerprint(inspect: Mapping[str, Any]) -> str:
    """The identity of an image, independent of its name and of the engine that stores it."""
    config = inspect.get("Config") or {}
    content = {
        "Os": inspect.get("Os"),
        "Architecture": inspect.get("Architecture"),
        "Layers": (inspect.get("RootFS") or {}).get("Layers"),
        # Engines differ in whether they write an empty value.
        "Config": {key: config[key] for key in CONFIGURATION if config.get(key)},
    }
    return "sha256:" + hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def archive_reference(reference: str, mark: str) -> str:
    """The tag that an image is saved under: its own where it has one, else one that names its content."""
    by_tag, _at, digest = reference.partition("@")
    return f"localhost/trade2026/archive/{by_tag}-{mark.removeprefix('sha256:')[:12]}" if digest else reference


def read_manifest(folder: Path, sha256: str = "") -> Manifest:
    """Read bundle.json and check it against `sha256` if the site gives it; ImageError says what is wrong with it."""
    path = folder / MANIFEST
    try:
        text = path.read_bytes()
    except OSError as error:
        raise ImageError(
            f"{path}: cannot be read: {error.strerror}. image_archive must be a folder written by playbooks/bundle.yml"
        ) from error
    found = hashlib.sha256(text).hexdigest()
    if sha256 and found != sha256:
        raise ImageError(f"{path}: its SHA-256 is {found}, and image_archive_sha256 is {sha256}; nothing was loaded")
    try:
        data = json.loads(text)
        if data["format"] != FORMAT:
            raise ImageError(f"{path}: format {data['format']} was written by another version of this project")
        return Manifest(
            str(data["created"]),
            str(data["platform"]),
            {str(name): Archived(**entry) for name, entry in data["images"].items()},
            {str(name): FileSeal(**seal) for name, seal in data["files"].items()},
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ImageError(f"{path}: damaged, or not written by playbooks/bundle.yml; copy the bundle again") from error


def seal(path: Path) -> FileSeal:
    """Size and hash of a file."""
    total = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            total.update(chunk)
    return FileSeal(path.stat().st_size, total.hexdigest())


def verify_files(folder: Path, manifest: Manifest) -> None:
    """Raise ImageError unless every file of the bundle is present and unaltered."""
    for name, expected in manifest.files.items():
        path = folder / name
        if not path.is_file():
            raise ImageError(f"{path}: missing from the bundle; nothing was loaded. Copy the bundle again")
        size = path.stat().st_size
        if size != expected.size:
            raise ImageError(
                f"{path}: truncated or altered: {size} bytes, {expected.size} were written. "
                "Nothing was loaded. Copy the bundle again"
            )
        found = seal(path)
        if found != expected:
            raise ImageError(
                f"{path}: altered: its SHA-256 is {found.sha256}, {expected.sha256} was written. "
                "Nothing was loaded. Copy the bundle again"
            )


def platform(docker: Docker) -> str:
    """The engine's platform, such as linux/amd64."""
    return docker.call("version", "--format", "{{.Server.Os}}/{{.Server.Arch}}").strip()


def load(docker: Docker, folder: Path, manifest: Manifest) -> None:
    """Verify a bundle, then load all of its images; raise ImageError if what was loaded is not what was saved."""
    machine = platform(docker)
    if machine != manifest.platform:
        raise ImageError(
            f"{folder}: the bundle is for {manifest.platform}, and this machine is {machine}; nothing was loaded. "
            "Write a bundle on a machine of this platform"
        )
    verify_files(folder, manifest)
    docker.call("load", "--quiet", "--input", str(folder / IMAGES))
    found = docker.inspect("image", *sorted({entry.reference for entry in manifest.images.values()}))
    for name, entry in manifest.images.items():
        if entry.reference not in found:
            raise ImageError(f"{folder}: {IMAGES} has no image {entry.reference} for {name}; write the bundle again")
        loaded = fingerprint(found[entry.reference])
        if loaded != entry.fingerprint:
            raise ImageError(
                f"{entry.reference}: loaded for {name} with the fingerprint {loaded}, saved with {entry.fingerprint}; "
                "do not run it. Write the bundle again"
            )
