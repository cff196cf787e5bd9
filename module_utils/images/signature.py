# SPDX-License-Identifier: GPL-3.0-or-later
"""Signatures of registry images: who must have signed which image, and the verification by cosign."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ansible.module_utils.services.kinds import boolean
from ansible.module_utils.shared.docker import Runner

# The entry of image_signatures for all images without a more specific entry.
ANY = "*"
# What cosign says if it found no signature, or none by this signer. With any other error, the result is not known.
REFUSALS = ("no signatures found", "no matching signatures", "no matching attestations")


class SignatureError(Exception):
    """An image does not have the signature that the site requires, or it could not be verified; has a message."""


@dataclass(frozen=True)
class Signer:
    """Who must have signed an image.

    entry: its key in image_signatures. key: a public key as PEM text, or a reference to a key service such as
    `awskms://…`. identity, issuer: of a certificate, in place of a key. transparency_log: whether the signature must be
    in Sigstore's log. trusted_root: file with the keys of a Sigstore instance; empty is the public instance.
    """

    entry: str
    key: str = ""
    identity: str = ""
    issuer: str = ""
    transparency_log: bool = True
    trusted_root: str = ""

    @property
    def mark(self) -> str:
        """What the lock file stores for a signature of this signer. It changes with each part of the entry."""
        requirement = [self.key_text, self.identity, self.issuer, self.transparency_log, self.trusted_root]
        return "sha256:" + hashlib.sha256(json.dumps(requirement).encode()).hexdigest()

    @property
    def key_text(self) -> str:
        """The key as it is in cosign's file, so that its SHA-256 is the one that `sha256sum cosign.pub` prints."""
        return f"{self.key.strip()}\n"

    def __str__(self) -> str:
        if self.identity:
            return f"{self.identity}, certified by {self.issuer}"
        if "://" in self.key:
            return f"the key {self.key}"
        return f"the key with the SHA-256 {hashlib.sha256(self.key_text.encode()).hexdigest()}"

    def command(self, cosign: str, reference: str, key_file: str) -> list[str]:
        """The command that verifies an image. `key_file` has the public key."""
        words = [cosign, "verify"]
        if self.key:
            words += ["--key", self.key if "://" in self.key else key_file]
        else:
            # An identity that begins with ^ is a regular expression.
            option = "--certificate-identity-regexp" if self.identity.startswith("^") else "--certificate-identity"
            words += [option, self.identity, "--certificate-oidc-issuer", self.issuer]
        if not self.transparency_log:
            words.append("--insecure-ignore-tlog=true")
        if self.trusted_root:
            words += ["--trusted-root", self.trusted_root]
        return [*words, reference]


def _entry(signatures: Mapping[str, Mapping[str, Any]], official: str) -> str | None:
    """The key of the entry for an image: its name with the tag, its name without the tag, or the one for all images."""
    return next((name for name in (official, official.rpartition(":")[0], ANY) if name in signatures), None)


def signer_of(signatures: Mapping[str, Mapping[str, Any]], official: str) -> Signer | None:
    """Who must have signed an official image; None if it needs no signature."""
    entry = _entry(signatures, official)
    requirement = dict(signatures[entry]) if entry is not None else {}
    if entry is None or boolean(requirement.pop("unsigned", False)):
        return None
    logged = boolean(requirement.pop("transparency_log", True))
    return Signer(entry, transparency_log=logged, **requirement)


def contradictions(signatures: Mapping[str, Mapping[str, Any]], officials: Iterable[str], source: str) -> list[str]:
    """Why image_signatures cannot be applied to these images, one message for each reason."""
    if not signatures:
        return []
    images = sorted(set(officials))
    without = [official for official in images if _entry(signatures, official) is None]
    found = []
    if without:
        found.append(
            f"image_signatures has no entry for {', '.join(without)}. Add one with the image's name as its key, "
            "or {unsigned: true} as the entry of an image that needs no signature"
        )
    signed = [official for official in images if signer_of(signatures, official)]
    if source == "packages" and signed:
        found.append(
            f"image_signatures requires signatures of {', '.join(signed)}, but image_source=packages builds these "
            "images on this machine, unsigned. Set image_source=registry, or change these entries to {unsigned: true}"
        )
    return found


def verify(run: Runner, cosign: str, reference: str, signer: Signer) -> None:
    """Verify the signature of an image with cosign; SignatureError if it is not signed by this signer."""
    with tempfile.NamedTemporaryFile("w", prefix="trade2026-key-", suffix=".pub", encoding="utf-8") as key:
        key.write(signer.key_text)
        key.flush()
        try:
            code, out, err = run(signer.command(cosign, reference, key.name), handle_exceptions=False)
        except OSError as error:
            raise SignatureError(
                f"image {reference}: image_signatures requires a signature, but `{cosign}` cannot be run: "
                f"{error.strerror}; the image was not used. Install cosign (Debian 13 has it as a package), or set "
                "image_cosign to the path of the program"
            ) from error
    if code == 0:
        return
    lines = [line.strip() for line in (err or out).splitlines() if line.strip()] or ["nothing"]
    # The last line repeats the one that begins with "Error:".
    said = next((line for line in lines if line.startswith("Error:")), lines[-1])
    if any(sign in said.lower() for sign in REFUSALS):
        raise SignatureError(
            f"image {reference}: it is not signed by {signer} (image_signatures, entry `{signer.entry}`); the image "
            f"was not used. If you trust it, let that signer sign this digest, or correct the entry. Otherwise find "
            f"out who pushed it. cosign's answer: {said}"
        )
    raise SignatureError(
        f"image {reference}: its signature by {signer} (image_signatures, entry `{signer.entry}`) could not be "
        f"verified; the image was not used. Run again when the registry can be reached. cosign's answer: {said}"
    )
