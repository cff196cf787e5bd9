#!/usr/bin/python
"""Build an image under a tag that names its content."""

from __future__ import annotations

DOCUMENTATION = r"""
module: image_build
version_added: 1.0.0
short_description: Build an image from a folder, unless its tag is there
description:
  - The tag is taken to name the content, as a hash does, so an image that is there is never built again.
  - Uses the engine's own builder, which needs no plugin of the docker command.
options:
  reference:
    description: Tag of the image.
    type: str
    required: true
  context:
    description: Folder with the Dockerfile.
    type: path
    required: true
  build_args:
    description: Build arguments.
    type: dict
    default: {}
  labels:
    description: Labels of the image.
    type: dict
    default: {}
  network:
    description: Network of the build steps.
    type: str
    default: host
  log:
    description: File that the builder's whole output goes to.
    type: path
    required: true
attributes:
  check_mode:
    description: Tells whether it would build.
    support: full
  diff_mode:
    description: There is nothing to show.
    support: none
author: [Trade2026 founders (@trade2026)]
"""

EXAMPLES = r"""
- name: Build the image of authn
  image_build:
    reference: localhost/authn:0123456789ab
    context: /var/cache/trade2026/images/build/authn
    build_args: {PYTHON_IMAGE: "localhost/trade2026/python:3.11-0123456789ab"}
    log: /var/cache/trade2026/images/log/authn.log
"""

RETURN = r"""
reference:
  description: The tag.
  returned: success
  type: str
id:
  description: The image's id; empty in check mode when it is not there.
  returned: success
  type: str
"""

import functools
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.core.docker_cli import Docker, DockerError
from ansible.module_utils.images.plan import ImageError

TAIL = 12


def arguments(params: dict[str, Any]) -> list[str]:
    """The words after `docker`."""
    words = ["build", "--force-rm", "--network", params["network"], "--tag", params["reference"]]
    for name, value in sorted(params["build_args"].items()):
        words += ["--build-arg", f"{name}={value}"]
    for name, value in sorted(params["labels"].items()):
        words += ["--label", f"{name}={value}"]
    return [*words, params["context"]]


def build(docker: Docker, params: dict[str, Any]) -> str:
    """Build, keep the output, and return the image's id."""
    code, out, err = docker.attempt(*arguments(params))
    log = Path(params["log"])
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text(out + err, encoding="utf-8")
    if code != 0:
        said = "\n".join([line for line in (out + err).splitlines() if line.strip()][-TAIL:])
        raise ImageError(
            f"image {params['reference']} could not be built from {params['context']}. "
            f"The whole output is in {log} on this machine; it ends with:\n{said}"
        )
    return str(docker.inspect("image", params["reference"])[params["reference"]]["Id"])


def main() -> None:
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            "reference": {"type": "str", "required": True},
            "context": {"type": "path", "required": True},
            "build_args": {"type": "dict", "default": {}},
            "labels": {"type": "dict", "default": {}},
            "network": {"type": "str", "default": "host"},
            "log": {"type": "path", "required": True},
        },
        supports_check_mode=True,
    )
    # BuildKit through the docker command needs the buildx plugin, which a Debian engine does not bring.
    docker = Docker(functools.partial(module.run_command, environ_update={"DOCKER_BUILDKIT": "0"}))
    reference = module.params["reference"]
    try:
        found = docker.inspect("image", reference)
        identity = str(found[reference]["Id"]) if found else ""
        if not found and not module.check_mode:
            identity = build(docker, module.params)
    except (ImageError, DockerError) as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=f"{error.filename}: {error.strerror}; image_cache must be writable")
    module.exit_json(changed=not found, reference=reference, id=identity)


if __name__ == "__main__":
    main()
