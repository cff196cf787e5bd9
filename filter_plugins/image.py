"""Filters of the role `image`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any


def image_fact(known: Mapping[str, Any], made: Mapping[str, Any] | None = None) -> dict[str, str]:
    """The fact `core_image` of a service.

    `known` is what `image_info` said of the image, `made` what pulling or building it said since.
    """
    current = made or known
    reference = str(current["reference"])
    return {
        "reference": reference,
        "id": str(current["id"]),
        "source": str(known["source"]),
        # Of an image that was built from the migrated sources the tag, their hash, is all that there is.
        "version": reference.rpartition(":")[2] if known["kind"] == "build" else str(known["version"]),
    }


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"image_fact": image_fact}
