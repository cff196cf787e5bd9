#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plan the images of services: which one each runs, where it comes from, and whether it is on the machine."""

from __future__ import annotations

DOCUMENTATION = r"""
module: image_plan
short_description: Plan which images the services run and which of them are missing
version_added: "1.0.0"
description:
  - Turns the C(image) of every service into one exact reference, for the declared source.
  - Looks all of them up in one query to the engine. Changes nothing, and contacts a registry only for O(source=auto)
    if the machine has the images of neither source.
options:
  wanted:
    description:
      - Service name to its image, either C({official, recipe}) or C({build}) with C(context), C(base_arg) and C(base).
      - A build context is relative to O(root).
    type: dict
    required: true
  source:
    description: Where images come from. With V(auto) the machine keeps its source, or else tries the registry.
    type: str
    choices: [registry, packages, archive, auto]
    required: true
  recipes:
    description: Recipe name to its data from the lookup C(image_recipes).
    type: dict
    default: {}
  registry_answers:
    description: Whether the registry answered an earlier call, so that an unreachable one is waited for only once.
    type: bool
extends_documentation_fragment:
  - image
  - image.prefix
  - image.archive
  - image.signatures
  - attributes.read_only
  - attributes.no_diff
author: [Trade2026 founders (@trade2026)]
"""

EXAMPLES = r"""
- name: Plan the images
  image_plan:
    wanted:
      valkey: {official: "valkey/valkey:8.1.8-alpine", recipe: valkey}
    source: registry
    lock: /srv/trade2026/infrastructure/docker/images.lock.json
    root: /srv/trade2026
"""

RETURN = r"""
source:
  description: The source that is used, never V(auto).
  returned: success
  type: str
asked:
  description: Whether a registry answered; null if none was asked.
  returned: success
  type: bool
images:
  description:
    - For every service C(kind), C(source), C(reference), C(present), C(id), C(version), C(built_from), C(needs)
      (recipes to build, in this order), C(difference) (how it differs from the declared image, or an empty text) and
      C(unverified) (who must have signed it, while that was not verified, else an empty text).
    - Those that are missing have C(progress), such as C(image 3 of 9).
  returned: success
  type: dict
missing:
  description: Services whose image is missing.
  returned: success
  type: list
  elements: str
missing_tools:
  description: Debian packages that the machine lacks for building the missing images.
  returned: success
  type: list
  elements: str
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.images.fetch import missing_tools
from ansible.module_utils.images.machine import OPTIONS, choose_auto, find_images, read_state
from ansible.module_utils.images.plan import SOURCES, ImageError, choose, describe, number_missing
from ansible.module_utils.images.signature import contradictions
from ansible.module_utils.shared.docker import Docker, DockerError


def plan(docker: Docker, params: dict[str, Any]) -> dict[str, Any]:
    """The module's result."""
    wanted, source, asked = params["wanted"], params["source"], None
    state = read_state(params, wanted)
    if source == "auto":
        source, asked = choose_auto(docker, wanted, state, params["registry_answers"])
    choices = choose(wanted, source, state)
    problems = contradictions(state.signatures, (choice.base.official for choice in choices), source)
    if problems:
        raise ImageError("; ".join(problems))
    present = find_images(docker, choices, state)
    images = {choice.service: describe(choice, state, present) for choice in choices}
    number_missing(images)
    missing = [name for name, image in images.items() if not image["present"]]
    fetchers = {
        kind for name in missing for recipe in images[name]["needs"] for kind in state.recipes[recipe].get("fetch", ())
    }
    wheels = any(choice.requirements for choice in choices if choice.service in missing)
    return {
        "source": source,
        "asked": asked,
        "images": images,
        "missing": missing,
        "missing_tools": missing_tools(fetchers, wheels),
    }


def main() -> None:
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            **OPTIONS,
            "wanted": {"type": "dict", "required": True},
            "source": {"type": "str", "choices": list(SOURCES), "required": True},
            "registry_answers": {"type": "bool"},
        },
        supports_check_mode=True,
    )
    try:
        result = plan(Docker(module.run_command), module.params)
    except (ImageError, DockerError) as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=f"{error.filename}: cannot be read: {error.strerror}")
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
