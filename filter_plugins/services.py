# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters for the service dictionary: check it, complete it, and build a service's record."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import ansible.module_utils
from ansible.errors import AnsibleFilterError

# Ansible ships the project's module_utils with each module. A plugin runs on the controller and finds them here.
ansible.module_utils.__path__.append(str(Path(__file__).resolve().parent.parent / "module_utils"))

from ansible.module_utils.services import kinds, record, schema


def service_definition(definition: Mapping[str, Any], role: str) -> dict[str, Any]:
    """The service dictionary with its defaults; fails with all errors in it."""
    try:
        return schema.parse(definition, f"{role}_service")
    except schema.SchemaError as error:
        raise AnsibleFilterError(str(error)) from None


def service_record(definition: Mapping[str, Any], name: str, site: Mapping[str, Any], role: str) -> dict[str, Any]:
    """The record of a service as a mapping; fails with all errors in its dictionary."""
    try:
        return record.build_record(name, definition, record.Site.of(site), role).to_dict()
    except schema.SchemaError as error:
        raise AnsibleFilterError(str(error)) from None


def service_probes(probes: Sequence[Mapping[str, Any]], image_version: str) -> list[dict[str, Any]]:
    """The probes with the version of the image filled in."""
    return record.probes_for(probes, str(image_version))


def service_path_map(rows: Sequence[Mapping[str, str]], windows_root: str, root_in_files: str) -> list[dict[str, str]]:
    """The path map with absolute paths, as files write them."""
    return record.resolve_path_map(rows, windows_root, root_in_files)


def service_bytes(value: Any, kind: str) -> int:
    """Bytes of a size, in the units of the program that reads it."""
    try:
        return int(kinds.parse(kind, "the size", value))
    except kinds.KindError as error:
        raise AnsibleFilterError(str(error)) from None


class FilterModule:
    """The filters, for Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {
            "service_definition": service_definition,
            "service_record": service_record,
            "service_probes": service_probes,
            "service_path_map": service_path_map,
            "service_bytes": service_bytes,
        }
