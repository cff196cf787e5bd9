#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ensure the image of one service is on the machine."""

from __future__ import annotations

DOCUMENTATION = r"""
module: image_ensure
short_description: Ensure the image of a service is on the machine
version_added: "1.0.0"
description:
  - Pulls an official image, by tag the first time, when its digest goes into the lock file; from then on by that
    digest. A tag that was moved to another image is refused, and so is an image that is not signed as O(signatures)
    requires.
  - Builds an image and its base images from packages, or builds it from migrated sources on a base image from the same
    source.
  - Loads an image from a bundle, after every file of it was verified.
  - Tags of built images name their content, so an existing image is never built again. Parallel runs build nothing
    twice.
options:
  name:
    description: The service.
    type: str
    required: true
  title:
    description: Display name of the service, for a label of an image built from migrated sources.
    type: str
  image:
    description: Its image, as for C(wanted) of C(image_plan).
    type: dict
    required: true
  source:
    description: Where the image comes from, as C(image_plan) returns it.
    type: str
    choices: [registry, packages, archive]
    required: true
  recipes:
    description: Recipe name to its data from the lookup C(image_recipes), with C(files) for those that must be built.
    type: dict
    default: {}
  cosign:
    description: The program that verifies signatures.
    type: str
    default: cosign
  cache:
    description: Folder for downloads, build folders and logs.
    type: path
    required: true
  build_network:
    description: Network of the build steps.
    type: str
    default: host
  debian_mirror:
    description: Debian mirror. If empty, that of the machine's own apt is used.
    type: str
    default: ""
  debian_security_mirror:
    description: Debian's security mirror. If empty, that of the machine's own apt is used.
    type: str
    default: ""
  retries:
    description: How often a download is tried if the failure may be temporary.
    type: int
    default: 3
  delay_s:
    description: Seconds between two tries.
    type: float
    default: 5
attributes:
  check_mode:
    description: Reports whether it would pull or build; contacts no registry and writes nothing.
    support: full
extends_documentation_fragment:
  - image
  - image.prefix
  - image.archive
  - image.signatures
  - attributes.no_diff
author: [Trade2026 founders (@trade2026)]
"""

EXAMPLES = r"""
- name: Ensure Valkey's image is present
  image_ensure:
    name: valkey
    image: {official: "valkey/valkey:8.1.8-alpine", recipe: valkey}
    source: registry
    lock: /srv/trade2026/infrastructure/docker/images.lock.json
    root: /srv/trade2026
    cache: /var/cache/trade2026/images
"""

RETURN = r"""
image:
  description:
    - C(reference), C(source), C(version), C(id) and C(difference) of the image; C(id) is empty while it is missing.
  returned: success
  type: dict
built:
  description: Recipes that were built, the last one being the service's own.
  returned: success
  type: list
  elements: str
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.images.archive import load, read_manifest
from ansible.module_utils.images.build import ImageBuilder, Settings
from ansible.module_utils.images.lock import exclusive, record
from ansible.module_utils.images.machine import OPTIONS, find_images, read_state
from ansible.module_utils.images.plan import Base, Choice, ImageError, State, choose, describe, split_tag
from ansible.module_utils.images.registry import ensure_image
from ansible.module_utils.images.signature import SignatureError, Signer, verify
from ansible.module_utils.shared.docker import Docker, DockerError, Runner
from ansible.module_utils.shared.fs import explain

RESULT = ("reference", "source", "version", "id", "difference")


def settings(params: dict[str, Any]) -> Settings:
    """How images are built."""
    return Settings(
        root=Path(params["root"]),
        cache=Path(params["cache"]),
        network=params["build_network"],
        retries=params["retries"],
        delay_s=params["delay_s"],
        mirror=params["debian_mirror"],
        security_mirror=params["debian_security_mirror"],
    )


class Ensure:
    """Ensures the image of one service."""

    def __init__(self, run: Runner, params: dict[str, Any]) -> None:
        self._run = run
        self._docker = Docker(run)
        self._params = params
        self.built: list[str] = []

    def choose(self) -> tuple[Choice, State]:
        """The image, as far as it is known before the first pull."""
        wanted = {self._params["name"]: self._params["image"]}
        state = read_state(self._params, wanted)
        return choose(wanted, self._params["source"], state)[0], state

    def predict(self) -> dict[str, Any]:
        """The module's result, without changing anything."""
        choice, state = self.choose()
        described = describe(choice, state, find_images(self._docker, [choice], state))
        return {
            "image": {key: described[key] for key in RESULT},
            "changed": bool(self.built) or not described["present"],
            "built": self.built,
        }

    def apply(self) -> dict[str, Any]:
        """Pull or build what is missing; the module's result."""
        before = self.predict()
        if not before["changed"]:
            return before
        choice, _state = self.choose()
        if choice.kind == "load":
            changed = self.load()
            return {**self.predict(), "changed": changed}
        changed = self.ensure_base(choice.base)
        if choice.kind == "build":
            # The reference is known once the base is present.
            choice, _state = self.choose()
            if not choice.context_hash:
                raise ImageError(
                    f"{self._params['root']}/{choice.context} is missing: migrate the applications first "
                    "(`ansible-playbook core.yml`)"
                )
            builder = ImageBuilder(self._run, settings(self._params), self._params["recipes"])
            changed = builder.ensure_application(choice, self._params["title"] or choice.service) or changed
        return {**self.predict(), "changed": changed}

    def load(self) -> bool:
        """Load the bundle, once for all services that need it in parallel; True if this call loaded it."""
        folder, lock = Path(self._params["archive"]), Path(self._params["lock"])
        cache = Path(self._params["cache"], "lock")
        cache.mkdir(parents=True, exist_ok=True)
        with exclusive(cache / "archive"):
            if not self.predict()["changed"]:
                return False
            manifest = read_manifest(folder, self._params["archive_sha256"])
            load(self._docker, folder, manifest)
            for archived in manifest.images.values():
                if archived.digest:
                    record(lock, archived.official, archived.digest)
        return True

    def ensure_base(self, base: Base) -> bool:
        """Pull the official image, or build that of the recipe; True if something was pulled, recorded or built."""
        if base.source == "packages":
            builder = ImageBuilder(self._run, settings(self._params), self._params["recipes"])
            self.built = builder.ensure_recipe(base.recipe)
            return bool(self.built)
        lock = Path(self._params["lock"])
        split_tag(base.official)
        signer = base.unverified
        pulled = ensure_image(
            self._docker,
            base.official,
            self._params["prefix"],
            base.reference.partition("@")[2],
            retries=self._params["retries"],
            delay_s=self._params["delay_s"],
            lock_path=str(lock),
            verify=lambda reference: self.verify(reference, signer),
        )
        return record(lock, base.official, pulled.digest, signer.mark if signer else "") or pulled.pulled

    def verify(self, reference: str, signer: Signer | None) -> None:
        """Verify the signature of an image, if one is required."""
        if signer:
            verify(self._run, self._params["cosign"], reference, signer)


def main() -> None:
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            **OPTIONS,
            "name": {"type": "str", "required": True},
            "title": {"type": "str"},
            "image": {"type": "dict", "required": True},
            "source": {"type": "str", "choices": ["registry", "packages", "archive"], "required": True},
            "cosign": {"type": "str", "default": "cosign"},
            "cache": {"type": "path", "required": True},
            "build_network": {"type": "str", "default": "host"},
            "debian_mirror": {"type": "str", "default": ""},
            "debian_security_mirror": {"type": "str", "default": ""},
            "retries": {"type": "int", "default": 3},
            "delay_s": {"type": "float", "default": 5},
        },
        supports_check_mode=True,
    )
    ensure = Ensure(module.run_command, module.params)
    try:
        result = ensure.predict() if module.check_mode else ensure.apply()
    except (ImageError, DockerError, SignatureError) as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=f"{explain(error)} (image_lock and image_cache are written there)")
    module.exit_json(**result)


if __name__ == "__main__":
    main()
