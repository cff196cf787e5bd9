# SPDX-License-Identifier: GPL-3.0-or-later
"""Pull official images by digest, through the docker command line."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ansible.module_utils.images.plan import ImageError, prefixed, split_tag
from ansible.module_utils.images.signature import SignatureError
from ansible.module_utils.shared.docker import Docker

# Final answers of a registry, which it would repeat if it were asked again.
FINAL = {
    "manifest unknown": "it has no such image or tag; correct the image's variable",
    "no such manifest": "it has no such image or tag; correct the image's variable",
    "not found": "it has no such image or tag; correct the image's variable",
    "repository does not exist": "it has no such image, or requires a login: `docker login` on this machine",
    "unauthorized": "it requires a login: `docker login` on this machine",
    "denied": "it requires a login: `docker login` on this machine",
    "no matching manifest": "it has the image, but not for this machine's architecture",
}
LOOPBACK = ("127.", "localhost", "[::1]")


@dataclass(frozen=True)
class Pulled:
    """An official image on this machine."""

    reference: str
    digest: str
    inspect: dict[str, Any]
    pulled: bool


def final_reason(error: str) -> str:
    """What a registry's refusal means and what to do, or an empty text if a retry may help."""
    lowered = error.lower()
    return next((meaning for sign, meaning in FINAL.items() if sign in lowered), "")


def manifest(docker: Docker, reference: str, seconds: int = 15) -> tuple[int, str, str]:
    """Ask the registry for a manifest without pulling. Engine and client both accept loopback without TLS."""
    insecure = ["--insecure"] if reference.startswith(LOOPBACK) else []
    return docker.attempt("manifest", "inspect", *insecure, reference, timeout_s=seconds)


def answers(docker: Docker, reference: str) -> bool:
    """Whether the registry of `reference` answers, even if with a refusal."""
    code, _out, err = manifest(docker, reference)
    return code == 0 or bool(final_reason(err))


def repo_digest(inspect: dict[str, Any], repository: str) -> str:
    """The digest under which a local image is known in `repository`, or an empty text."""
    for entry in inspect.get("RepoDigests") or []:
        name, _sep, digest = str(entry).partition("@")
        if name == repository:
            return digest
    return ""


def tag_moved(docker: Docker, reference: str, digest: str) -> bool:
    """Whether the tag names another manifest than the digest. False if the registry cannot be asked."""
    repository, _tag = split_tag(reference)
    code, now, _err = manifest(docker, reference)
    if code != 0:
        return False
    code, locked, err = manifest(docker, f"{repository}@{digest}")
    if code != 0:
        return bool(final_reason(err))
    return now != locked


def ensure_image(
    docker: Docker,
    official: str,
    prefix: str,
    locked: str,
    *,
    retries: int,
    delay_s: float,
    lock_path: str,
    verify: Callable[[str], None],
    wait: Callable[[float], None] = time.sleep,
) -> Pulled:
    """The official image, pulled where it is missing: by tag the first time, by the digest of the lock afterwards.

    `verify` raises an error if the image, named by its digest, is not signed as the site requires.
    """
    by_tag = prefixed(prefix, official)
    repository, _tag = split_tag(by_tag)
    if not locked:
        before = docker.inspect("image", by_tag)
        pull(docker, by_tag, retries=retries, delay_s=delay_s, wait=wait)
        inspect = docker.inspect("image", by_tag)[by_tag]
        digest = repo_digest(inspect, repository)
        if not digest:
            raise ImageError(
                f"image {by_tag}: docker knows no digest of it; remove it with `docker image rm` and run again"
            )
        try:
            verify(f"{repository}@{digest}")
        except SignatureError:
            if not before:
                docker.attempt("image", "rm", by_tag)
            raise
        return Pulled(f"{by_tag}@{digest}", digest, inspect, True)

    reference = f"{by_tag}@{locked}"
    found = docker.inspect("image", reference)
    if reference in found:
        verify(f"{repository}@{locked}")
        return Pulled(reference, locked, found[reference], False)
    if tag_moved(docker, by_tag, locked):
        raise ImageError(
            f"image {by_tag}: the tag moved. {lock_path} has {locked}, but the registry now serves another image; "
            f"nothing was pulled. To accept the new image, remove the entry `{official}` from the lock file "
            "and run again. Otherwise find out who pushed it."
        )
    verify(f"{repository}@{locked}")
    pull(docker, reference, retries=retries, delay_s=delay_s, wait=wait)
    return Pulled(reference, locked, docker.inspect("image", reference)[reference], True)


def pull(docker: Docker, reference: str, *, retries: int, delay_s: float, wait: Callable[[float], None]) -> None:
    """`docker pull`, up to `retries` times if the failure may be temporary."""
    said = ""
    for attempt in range(1, retries + 1):
        code, out, err = docker.attempt("pull", "--quiet", reference)
        if code == 0:
            return
        said = ((err or out).strip() or "nothing").splitlines()[-1]
        reason = final_reason(said)
        if reason:
            raise ImageError(f"image {reference}: the registry answered, but {reason}. Its answer: {said}")
        if attempt < retries:
            wait(delay_s)
    raise ImageError(
        f"image {reference}: no registry could be reached in {retries} tries. Its answer: {said}. "
        "Name a mirror that this machine reaches in image_prefix, or set image_source=packages to build it "
        "from package registries."
    )
