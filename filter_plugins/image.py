# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters of the role `image`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

RESULT = ("reference", "source", "version", "id", "difference")


def image_result(planned: Mapping[str, Any], ensured: Mapping[str, Any] | None = None) -> dict[str, str]:
    """The image of a service: as it was planned, or as `image_ensure` returned it."""
    image = ensured or planned
    return {key: str(image[key]) for key in RESULT}


def image_progress(planned: Mapping[str, Any], name: str) -> str:
    """A missing image, as text: `image 3 of 9: valkey 8.1.1 (Debian trixie valkey-server 8.1.1), after debian13`."""
    before = [recipe for recipe in planned["needs"] if recipe != name]
    after = f", after {', '.join(before)}" if before else ""
    text = f"{planned.get('progress', 'image')}: {name}"
    if planned["kind"] != "build":
        text += f" {planned['version']}"
    return f"{text} ({planned['built_from']}){after}"


def image_prediction(planned: Mapping[str, Any]) -> str:
    """What a run would do to provide a missing image."""
    if planned["unverified"] and planned["id"]:
        return f"{planned['reference']} would be verified: it must be signed by {planned['unverified']}"
    action = {
        "pull": "pulled from the registry",
        "recipe": "built from packages",
        "build": "built",
        "load": "loaded from the bundle",
    }[planned["kind"]]
    return f"{planned['reference']} is not on the machine; it would be {action} ({planned['built_from']})"


def image_missing(images: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """A line for each missing image."""
    return [image_progress(image, name) for name, image in images.items() if not image["present"]]


def image_audit_service(service: Mapping[str, Any], reference: str) -> dict[str, Any]:
    """The parts of a service dictionary that `image_audit` needs."""
    mounts = [volume["target"] for volume in service.get("volumes", [])]
    return {
        "reference": reference,
        "user": service["user"],
        "mounts": mounts + [folder["path"] for folder in service.get("tmpfs", [])],
        "stop_signal": service.get("stop", {}).get("signal", "SIGTERM"),
    }


def image_audited(
    services: Mapping[str, Mapping[str, Any]], results: Mapping[str, Mapping[str, Any]]
) -> dict[str, dict[str, Any]]:
    """The arguments of `image_audit` for the services whose image is on the machine."""
    return {
        name: image_audit_service(service, str(results[name]["reference"]))
        for name, service in services.items()
        if results.get(name, {}).get("id")
    }


def image_known(wanted: Mapping[str, Any], planned: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The declared images, except those of applications whose sources have not been migrated yet."""
    return {
        name: image
        for name, image in wanted.items()
        if planned[name]["kind"] != "build" or planned[name].get("context_hash")
    }


def image_findings(findings: Mapping[str, list[Mapping[str, str]]]) -> list[str]:
    """A line for each difference that an audit found."""
    return [
        f"{name}: {one['what']}: expected {one['expected']}, found {one['found']}; {one['consequence']}"
        for name, differences in findings.items()
        for one in differences
    ]


class FilterModule:
    """The filters, for Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {
            "image_result": image_result,
            "image_progress": image_progress,
            "image_prediction": image_prediction,
            "image_missing": image_missing,
            "image_audit_service": image_audit_service,
            "image_audited": image_audited,
            "image_known": image_known,
            "image_findings": image_findings,
        }
