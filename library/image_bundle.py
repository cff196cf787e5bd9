#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write the images of services into a folder, for a machine that reaches no registry."""

from __future__ import annotations

DOCUMENTATION = r"""
module: image_bundle
short_description: Write a bundle of images
version_added: "1.0.0"
description:
  - Saves the images of all services into one folder with their sizes, hashes and fingerprints, and with the lock file.
  - A bundle that has the same images already is left as it is.
options:
  folder:
    description: Where the bundle is written, on this machine. Created if missing.
    type: path
    required: true
  images:
    description: Service name to what C(image_ensure) returned for it.
    type: dict
    required: true
  wanted:
    description: Service name to its image, as for C(wanted) of C(image_plan).
    type: dict
    required: true
attributes:
  check_mode:
    description: Reports whether it would write.
    support: full
extends_documentation_fragment:
  - image
  - attributes.no_diff
author: [Trade2026 founders (@trade2026)]
"""

EXAMPLES = r"""
- name: Write the bundle
  image_bundle:
    folder: /var/tmp/trade2026-bundle
    images: "{{ image_results }}"
    wanted: "{{ image_wanted }}"
    lock: /srv/trade2026/infrastructure/docker/images.lock.json
    root: /srv/trade2026
"""

RETURN = r"""
sha256:
  description: SHA-256 of bundle.json, which has the hashes of the other files; empty in check mode before a first run.
  returned: success
  type: str
size:
  description: Bytes of the whole bundle.
  returned: success
  type: int
images:
  description: Service name to the reference that it has in the bundle.
  returned: success
  type: dict
"""

import hashlib
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.images.archive import (
    IMAGES,
    LOCK,
    MANIFEST,
    Manifest,
    archive_reference,
    fingerprint,
    platform,
    read_manifest,
    seal,
)
from ansible.module_utils.images.context import read_context
from ansible.module_utils.images.lock import read_lock, read_verified
from ansible.module_utils.images.plan import Archived, ImageError
from ansible.module_utils.shared.docker import Docker, DockerError
from ansible.module_utils.shared.fs import explain


def entries(docker: Docker, params: dict[str, Any]) -> dict[str, Archived]:
    """The entry of each image in the bundle."""
    images, wanted, lock = params["images"], params["wanted"], read_lock(Path(params["lock"]))
    verified = read_verified(Path(params["lock"]))
    found = docker.inspect("image", *sorted({image["reference"] for image in images.values()}))
    result = {}
    for name, image in images.items():
        reference = image["reference"]
        if reference not in found:
            raise ImageError(
                f"image {reference} of {name} is not on this machine; `ansible-playbook core.yml` provides it"
            )
        build = wanted[name].get("build") or {}
        official = str(build["base"]["official"] if build else wanted[name]["official"])
        inspect = found[reference]
        mark = fingerprint(inspect)
        result[name] = Archived(
            reference=archive_reference(reference, mark),
            official=official,
            source=image["source"],
            version=image["version"],
            built_from=str(
                (inspect["Config"].get("Labels") or {}).get("com.trade2026.image.built-from", "") or reference
            ),
            difference=image["difference"],
            fingerprint=mark,
            size=int(inspect["Size"]),
            digest=lock.get(official, "") if image["source"] == "registry" else "",
            verified_by=verified.get(official, "") if image["source"] == "registry" else "",
            context_hash=read_context(Path(params["root"], build["context"])).hash if build else "",
        )
    return result


def is_written(folder: Path, platform_name: str, images: dict[str, Archived]) -> bool:
    """Whether the folder has a bundle of exactly these images."""
    if not (folder / MANIFEST).is_file():
        return False
    try:
        manifest = read_manifest(folder)
    except ImageError:
        return False
    sizes = all(
        (folder / name).is_file() and (folder / name).stat().st_size == file.size
        for name, file in manifest.files.items()
    )
    return sizes and manifest.platform == platform_name and dict(manifest.images) == images


def write(docker: Docker, params: dict[str, Any], images: dict[str, Archived], platform_name: str) -> None:
    """Save the images, then write bundle.json: a run that was killed leaves no bundle that looks whole."""
    folder = Path(params["folder"])
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MANIFEST).unlink(missing_ok=True)
    for name, entry in images.items():
        if entry.reference != params["images"][name]["reference"]:
            docker.call("tag", params["images"][name]["reference"], entry.reference)
    references = sorted({entry.reference for entry in images.values()})
    docker.call("save", "--output", str(folder / IMAGES), *references)
    (folder / IMAGES).chmod(0o644)
    names = [IMAGES]
    if Path(params["lock"]).is_file():
        shutil.copyfile(params["lock"], folder / LOCK)
        names.append(LOCK)
    created = datetime.now(UTC).isoformat(timespec="seconds")
    manifest = Manifest(created, platform_name, images, {name: seal(folder / name) for name in names})
    (folder / MANIFEST).write_text(manifest.text(), encoding="utf-8")


def main() -> None:
    """Archived point."""
    module = AnsibleModule(
        argument_spec={
            "folder": {"type": "path", "required": True},
            "images": {"type": "dict", "required": True},
            "wanted": {"type": "dict", "required": True},
            "lock": {"type": "path", "required": True},
            "root": {"type": "path", "required": True},
        },
        supports_check_mode=True,
    )
    docker, params = Docker(module.run_command), module.params
    folder = Path(params["folder"])
    try:
        images, platform_name = entries(docker, params), platform(docker)
        changed = not is_written(folder, platform_name, images)
        if changed and not module.check_mode:
            write(docker, params, images, platform_name)
    except (ImageError, DockerError) as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=f"{explain(error)} (image_bundle_folder is written there)")
    manifest = folder / MANIFEST
    module.exit_json(
        changed=changed,
        sha256=hashlib.sha256(manifest.read_bytes()).hexdigest() if manifest.is_file() else "",
        size=sum(path.stat().st_size for path in folder.iterdir()) if folder.is_dir() else 0,
        images={name: entry.reference for name, entry in images.items()},
    )


if __name__ == "__main__":
    main()
