#!/usr/bin/python
"""Have an official image on the machine, by the digest that the lock file remembers."""

from __future__ import annotations

DOCUMENTATION = r"""
module: image_pull
version_added: 1.0.0
short_description: Pull an official image and hold it to its digest
description:
  - Pulls by tag the first time and writes the digest into the lock file. From then on pulls by that digest, and stops
    when the tag was moved to another image.
options:
  official:
    description: Repository and tag, without a registry host.
    type: str
    required: true
  prefix:
    description: Registry or mirror that stands before the official name.
    type: str
    default: ""
  lock:
    description: File with the digests.
    type: path
    required: true
  retries:
    description: How often a pull is tried that fails for want of a network.
    type: int
    default: 3
  delay_s:
    description: Seconds between two tries.
    type: float
    default: 5
attributes:
  check_mode:
    description: Tells whether it would pull; asks no registry, writes nothing.
    support: full
  diff_mode:
    description: There is nothing to show.
    support: none
author: [Trade2026 founders (@trade2026)]
"""

EXAMPLES = r"""
- name: Have Valkey's image
  image_pull:
    official: valkey/valkey:8.1.4-alpine
    lock: /srv/trade2026/infrastructure/docker/images.lock.json
"""

RETURN = r"""
reference:
  description: Repository, tag and digest; empty in check mode when the digest is not known yet.
  returned: success
  type: str
digest:
  description: The digest.
  returned: success
  type: str
id:
  description: The local image's id; empty in check mode when it is not there.
  returned: success
  type: str
version:
  description: The image's tag.
  returned: success
  type: str
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.core.docker_cli import Docker, DockerError
from ansible.module_utils.images.lock import read_lock, record
from ansible.module_utils.images.plan import ImageError, prefixed, split_tag
from ansible.module_utils.images.registry import have


def foresee(docker: Docker, params: dict[str, Any], locked: str) -> dict[str, Any]:
    """What a real run would do."""
    reference = f"{prefixed(params['prefix'], params['official'])}@{locked}" if locked else ""
    found = docker.inspect("image", reference) if reference else {}
    return result(reference, locked, found.get(reference, {}), params["official"], not found)


def result(reference: str, digest: str, inspect: dict[str, Any], official: str, changed: bool) -> dict[str, Any]:
    """The module's answer."""
    return {
        "reference": reference,
        "digest": digest,
        "id": inspect.get("Id", ""),
        "version": split_tag(official)[1],
        "changed": changed,
    }


def pull(docker: Docker, params: dict[str, Any], check: bool) -> dict[str, Any]:
    """Have the image, and the digest in the lock file."""
    official, lock = params["official"], Path(params["lock"])
    split_tag(official)
    locked = read_lock(lock).get(official, "")
    if check:
        return foresee(docker, params, locked)
    pulled = have(
        docker,
        official,
        params["prefix"],
        locked,
        retries=params["retries"],
        delay_s=params["delay_s"],
        lock_path=str(lock),
    )
    recorded = record(lock, official, pulled.digest)
    return result(pulled.reference, pulled.digest, pulled.inspect, official, pulled.pulled or recorded)


def main() -> None:
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            "official": {"type": "str", "required": True},
            "prefix": {"type": "str", "default": ""},
            "lock": {"type": "path", "required": True},
            "retries": {"type": "int", "default": 3},
            "delay_s": {"type": "float", "default": 5},
        },
        supports_check_mode=True,
    )
    try:
        answer = pull(Docker(module.run_command), module.params, module.check_mode)
    except (ImageError, DockerError) as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=f"{error.filename}: {error.strerror}; the lock file's folder must be writable")
    module.exit_json(**answer)


if __name__ == "__main__":
    main()
