#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write a software bill of materials for each image, and what it was built from."""

from __future__ import annotations

DOCUMENTATION = r"""
module: image_sbom
short_description: List the software in images, with licenses and origin
version_added: "1.0.0"
description:
  - Saves each image to a file, has Syft read it in a container without a network, and writes a CycloneDX document,
    C(provenance.json) and a page with the licenses. The images are not started.
  - A document about the same image that was written by the same version of Syft is kept.
options:
  images:
    description: Service name to the result of the role C(image).
    type: dict
    required: true
  wanted:
    description: Service name to its declared image.
    type: dict
    required: true
  tool:
    description: The image of Syft, as the role C(image) returned it.
    type: dict
    required: true
  recipes:
    description: The recipes of the built images, with their files.
    type: dict
    default: {}
  folder:
    description: Where the documents are written.
    type: path
    required: true
  go_modules:
    description: Cache of Go modules on the machine, where the licenses of compiled modules are.
    type: path
    required: false
attributes:
  check_mode:
    description: Reports the documents that would be written, and reads no image.
    support: full
extends_documentation_fragment:
  - image
  - image.prefix
  - image.signatures
  - attributes.no_diff
author: [Trade2026 founders (@trade2026)]
"""

EXAMPLES = r"""
- name: Write the software bill of materials of NATS
  image_sbom:
    images: {nats: {reference: "nats:2.10.29-alpine", id: "sha256:1c2…", source: registry, version: 2.10.29-alpine}}
    wanted: {nats: {official: "nats:2.10.29-alpine", recipe: nats}}
    tool: {reference: "anchore/syft:v1.57.1", version: v1.57.1}
    lock: /srv/trade2026/infrastructure/docker/images.lock.json
    root: /srv/trade2026
    folder: /srv/trade2026/docs/sbom
"""

RETURN = r"""
written:
  description: Services whose document was written, or would be.
  returned: success
  type: list
  elements: str
components:
  description: Service name to the number of components in its image.
  returned: when not in check mode
  type: dict
"""

import hashlib
import json
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.core.atomic import make_directories
from ansible.module_utils.images.context import read_context
from ansible.module_utils.images.lock import read_lock, read_verified
from ansible.module_utils.images.plan import ImageError
from ansible.module_utils.images.sbom import Input, Provenance, components, describes, inputs, report
from ansible.module_utils.images.signature import signer_of
from ansible.module_utils.shared.docker import Docker, DockerError
from ansible.module_utils.shared.fs import explain, write_file
from ansible.module_utils.shared.ownership import Ownership

PAGE = "README.md"
PROVENANCE = "provenance.json"
READABLE = Ownership(mode=0o644)


class Documents:
    """The documents in a folder, which are written if they are missing or about another image."""

    def __init__(self, docker: Docker, params: Mapping[str, Any]) -> None:
        self._docker = docker
        self._params = params
        self.folder = Path(params["folder"])

    def stale(self) -> list[str]:
        """Services whose document is missing, unreadable, or about another image."""
        tool = str(self._params["tool"]["version"]).removeprefix("v")
        return [
            name
            for name, image in self._params["images"].items()
            if not describes(self._read(name), image["reference"], image["id"], tool)
        ]

    def write(self, name: str) -> None:
        """Have Syft read the image of a service, and write its document."""
        image = self._params["images"][name]
        with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="trade2026-sbom-") as work:
            self._docker.call("save", "--output", f"{work}/image.tar", image["reference"])
            Path(work, "tmp").mkdir()
            text = self._docker.call(*self._command(work, image))
        try:
            if not components(json.loads(text)):
                raise ImageError(f"{name}: Syft found no software in {image['reference']}")
        except ValueError as error:
            raise ImageError(f"{name}: Syft wrote no JSON about {image['reference']}: {error}") from error
        write_file(self._document(name), text.encode(), READABLE)

    def _command(self, work: str, image: Mapping[str, Any]) -> list[str]:
        modules = self._params["go_modules"]
        mount = ["--volume", f"{modules}:/modules:ro"] if modules and Path(modules).is_dir() else []
        return [
            *("run", "--rm", "--network=none", "--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges"),
            *("--volume", f"{work}:/work:ro", "--volume", f"{work}/tmp:/tmp", *mount),
            *("--env", "SYFT_CHECK_FOR_APP_UPDATE=false"),
            *("--env", "SYFT_GOLANG_SEARCH_LOCAL_MOD_CACHE_LICENSES=true"),
            *("--env", "SYFT_GOLANG_LOCAL_MOD_CACHE_DIR=/modules"),
            *(self._params["tool"]["reference"], "scan", "docker-archive:/work/image.tar", "--quiet"),
            *("--output", "cyclonedx-json", "--source-name", image["reference"], "--source-version", image["id"]),
        ]

    def provenance(self) -> list[Provenance]:
        """The provenance of every image, with the content of its document."""
        lock = read_lock(Path(self._params["lock"]))
        found = self._docker.inspect("image", *sorted({one["reference"] for one in self._params["images"].values()}))
        images = [self._of(name, lock, found) for name in self._params["images"]]
        return sorted([*images, *self._others()], key=lambda image: image.service)

    def _others(self) -> Iterator[Provenance]:
        """The provenance that an earlier run wrote about services that are not part of this run."""
        try:
            facts = json.loads((self.folder / PROVENANCE).read_text(encoding="utf-8"))["images"]
        except (OSError, ValueError, KeyError):
            return
        for fact in facts:
            if fact["service"] not in self._params["images"] and self._document(fact["service"]).is_file():
                made_from = tuple(Input(one["name"], one["version"], tuple(one["hashes"])) for one in fact["inputs"])
                yield Provenance(**{**fact, "inputs": made_from, "components": components(self._read(fact["service"]))})

    def write_page(self) -> bool:
        """Write the page and provenance.json; true if one of them changed."""
        images = self.provenance()
        facts = [{key: value for key, value in asdict(image).items() if key != "components"} for image in images]
        changed = self._replace(PROVENANCE, json.dumps({"images": facts}, indent=2) + "\n")
        return self._replace(PAGE, report(images)) or changed

    def _of(self, name: str, lock: Mapping[str, str], found: Mapping[str, Any]) -> Provenance:
        image, wanted = self._params["images"][name], self._params["wanted"][name]
        build = wanted.get("build") or {}
        base = build.get("base") or wanted
        labels = found[image["reference"]]["Config"].get("Labels") or {}
        document = self._document(name)
        return Provenance(
            service=name,
            reference=image["reference"],
            id=image["id"],
            source=image["source"],
            address="/".join(part for part in (self._params["prefix"], base["official"]) if part),
            digest=lock.get(base["official"], "") if image["source"] == "registry" else "",
            built_from=str(labels.get("com.trade2026.image.built-from", "")),
            inputs=tuple(self._inputs(build, base, image["source"])),
            document=document.name,
            sha256=hashlib.sha256(document.read_bytes()).hexdigest(),
            components=components(self._read(name)),
            signer=self._signer(base["official"]) if image["source"] == "registry" else "",
        )

    def _signer(self, official: str) -> str:
        """Whose signature of the official image was verified; empty if nobody's was."""
        signer = signer_of(self._params["signatures"], official)
        verified = read_verified(Path(self._params["lock"])).get(official, "")
        return f"signed by {signer}" if signer and signer.mark == verified else ""

    def _inputs(self, build: Mapping[str, Any], base: Mapping[str, Any], source: str) -> list[Input]:
        """The pinned inputs of an image's build: the application's sources and wheels, and the recipes of its bases."""
        result: list[Input] = []
        if build:
            context = Path(self._params["root"], build["context"])
            result.append(Input(build["context"], "", (f"sha256:{read_context(context).hash}",)))
            requirements = context / "requirements.txt"
            if requirements.is_file():
                result += inputs({"requirements.txt": requirements.read_text(encoding="utf-8")})
        recipes, waiting = self._params["recipes"], [base["recipe"]] if source == "packages" else []
        while waiting:
            recipe = recipes[waiting.pop(0)]
            result.append(Input(f"recipe {recipe['name']}", recipe["version"], (recipe["tag"].rpartition("-")[2],)))
            result += inputs(recipe["files"])
            waiting += recipe["stands_on"]
        return result

    def _document(self, name: str) -> Path:
        return self.folder / f"{name}.cdx.json"

    def _read(self, name: str) -> dict[str, Any]:
        try:
            return dict(json.loads(self._document(name).read_text(encoding="utf-8")))
        except (OSError, ValueError):
            return {}

    def _replace(self, name: str, text: str) -> bool:
        path = self.folder / name
        if path.is_file() and path.read_text(encoding="utf-8") == text:
            return False
        write_file(path, text.encode(), READABLE)
        return True


def main() -> None:
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            "images": {"type": "dict", "required": True},
            "wanted": {"type": "dict", "required": True},
            "tool": {"type": "dict", "required": True},
            "recipes": {"type": "dict", "default": {}},
            "prefix": {"type": "str", "default": ""},
            "lock": {"type": "path", "required": True},
            "signatures": {"type": "dict", "default": {}},
            "root": {"type": "path", "required": True},
            "folder": {"type": "path", "required": True},
            "go_modules": {"type": "path"},
        },
        supports_check_mode=True,
    )
    documents = Documents(Docker(module.run_command), module.params)
    try:
        stale = documents.stale()
        if module.check_mode:
            module.exit_json(changed=bool(stale), written=stale)
        make_directories(documents.folder)
        for name in stale:
            documents.write(name)
        changed = documents.write_page()
        counts = {image.service: len(image.components) for image in documents.provenance()}
    except (ImageError, DockerError) as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=explain(error))
    module.exit_json(changed=bool(stale) or changed, written=stale, components=counts)


if __name__ == "__main__":
    main()
