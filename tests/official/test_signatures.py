# SPDX-License-Identifier: GPL-3.0-or-later
"""image_signatures with cosign of Debian 13 and of Debian's unstable release, on a local registry."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from image_tools import NAME, Registry, Role, docker, recipe_images
from second_engine import unpack_packages
from site_under_test import Site

TINY = {"tiny": {"official": f"{NAME}:1.0.0", "recipe": "tiny"}}
# Verifying release → signing releases whose signatures it knows: the format of cosign 3 is unknown to cosign 2.
KNOWS = [("trixie", "trixie"), ("sid", "trixie"), ("sid", "sid")]
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


@dataclass(frozen=True)
class Cosign:
    """The program of a Debian release, and a folder with keys: cosign.pub, cosign.key, other.pub."""

    release: str
    folder: Path

    @property
    def program(self) -> str:
        folder = Path("/var/cache/trade2026/cosign", self.release)
        return str(unpack_packages(self.release, folder, "cosign") / "usr/bin/cosign")

    def run(self, *words: str) -> None:
        environment = {**os.environ, "COSIGN_PASSWORD": "", "HOME": str(self.folder)}
        done = subprocess.run(
            [self.program, *words], cwd=self.folder, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr

    def sign(self, reference: str) -> None:
        """Sign an image with cosign.key, without a log: there is none within reach."""
        unlogged = ["--tlog-upload=false"]
        if self.release != "trixie":
            self.run("signing-config", "create", "--out", "config.json")
            unlogged = ["--signing-config", "config.json"]
        self.run("sign", "--yes", *unlogged, "--key", "cosign.key", reference)

    def requirements(self, key: str = "cosign.pub") -> dict[str, Any]:
        """What a site sets to have every image verified with this key."""
        signer = {"key": (self.folder / key).read_text(), "transparency_log": False}
        return {"image_cosign": self.program, "image_signatures": {"*": signer}}


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys")
    for prefix in ("cosign", "other"):
        Cosign("trixie", folder).run("generate-key-pair", "--output-key-prefix", prefix)
    return folder


def assert_refused(role: Role, registry: Registry, digest: str, said: str, **variables: Any) -> None:
    run = role.run(TINY, image_source="registry", image_prefix=registry.host, **variables)
    output = " ".join(run.output.split())
    assert run.code != 0
    for part in (f"{registry.host}/{NAME}@{digest}", "the key with the SHA-256", "If you trust it", said):
        assert part in output, output
    assert "Traceback" not in output
    assert docker("image", "ls", "--quiet", f"{registry.host}/{NAME}") == ""
    assert not role.lock.exists()


@pytest.mark.parametrize(("verifier", "signer"), KNOWS)
def test_an_image_signed_with_the_key_is_accepted_and_recorded(
    registry: Registry, role: Role, keys: Path, verifier: str, signer: str
) -> None:
    digest = registry.push("one", "1.0.0")
    Cosign(signer, keys).sign(f"{registry.host}/{NAME}@{digest}")
    requirements = Cosign(verifier, keys).requirements()
    first = role.run(TINY, image_source="registry", image_prefix=registry.host, **requirements)
    assert first.code == 0, first.output
    assert first.images["tiny"]["reference"].endswith(digest)
    # Neither the registry nor cosign is asked again.
    registry.stop()
    again = role.run(TINY, image_source="registry", image_prefix=registry.host, **requirements)
    assert again.code == 0, again.output
    assert again.images == first.images


@pytest.mark.parametrize("verifier", ["trixie", "sid"])
def test_an_image_that_is_not_signed_is_refused(registry: Registry, role: Role, keys: Path, verifier: str) -> None:
    digest = registry.push("one", "1.0.0")
    assert_refused(role, registry, digest, "no signatures found", **Cosign(verifier, keys).requirements())


@pytest.mark.parametrize(("verifier", "signer"), KNOWS)
def test_an_image_signed_with_another_key_is_refused(
    registry: Registry, role: Role, keys: Path, verifier: str, signer: str
) -> None:
    digest = registry.push("one", "1.0.0")
    Cosign(signer, keys).sign(f"{registry.host}/{NAME}@{digest}")
    assert_refused(role, registry, digest, "no matching", **Cosign(verifier, keys).requirements("other.pub"))


@pytest.mark.parametrize("verifier", ["trixie", "sid"])
def test_a_signature_of_another_digest_is_refused(registry: Registry, role: Role, keys: Path, verifier: str) -> None:
    """An altered image under the tag of the signed one, with the signature copied."""
    signed = registry.push("one", "1.0.0")
    cosign = Cosign("trixie", keys)
    cosign.sign(f"{registry.host}/{NAME}@{signed}")
    altered = registry.push("two", "1.0.0")
    address = f"http://{registry.host}/v2/{NAME}/manifests"
    old, new = (digest.replace(":", "-") + ".sig" for digest in (signed, altered))
    with urllib.request.urlopen(urllib.request.Request(f"{address}/{old}", headers={"Accept": MANIFEST})) as answer:
        body = answer.read()
    copy = urllib.request.Request(f"{address}/{new}", data=body, method="PUT", headers={"Content-Type": MANIFEST})
    urllib.request.urlopen(copy).close()
    assert_refused(role, registry, altered, "no matching signatures", **Cosign(verifier, keys).requirements())


def test_a_missing_cosign_is_reported_with_how_to_install_it(registry: Registry, role: Role, keys: Path) -> None:
    registry.push("one", "1.0.0")
    requirements = {**Cosign("trixie", keys).requirements(), "image_cosign": "/nowhere/cosign"}
    run = role.run(TINY, image_source="registry", image_prefix=registry.host, **requirements)
    assert run.code != 0
    assert "Install cosign" in " ".join(run.output.split())
    assert not role.lock.exists()


def test_an_image_without_an_entry_is_refused(registry: Registry, role: Role, keys: Path) -> None:
    registry.push("one", "1.0.0")
    requirements = Cosign("trixie", keys).requirements()
    requirements["image_signatures"] = {"trade2026-test/tinny": requirements["image_signatures"]["*"]}
    run = role.run(TINY, image_source="registry", image_prefix=registry.host, **requirements)
    assert run.code != 0
    assert f"image_signatures has no entry for {NAME}:1.0.0" in " ".join(run.output.split())


def test_the_main_job_deploys_only_what_is_signed(
    site: Site, registry: Registry, keys: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    cosign = Cosign("sid", keys)
    pushed = {}
    for recipe, (name, reference) in recipe_images(tmp_path, "valkey", "probe").items():
        pushed[recipe] = f"{registry.host}/{name}"
        docker("tag", reference, pushed[recipe])
        request.addfinalizer(functools.partial(remove_tags, pushed[recipe].rpartition(":")[0]))
        docker("push", "--quiet", pushed[recipe])
        docker("image", "rm", pushed[recipe])
    mirror = {"image_source": "registry", "image_prefix": registry.host}

    def deploy(*words: str, key: str = "cosign.pub") -> Any:
        return site.play("--limit", "valkey", *words, **mirror, **cosign.requirements(key))

    refused = deploy()
    assert refused.code != 0
    assert "is not signed by the key" in " ".join(refused.output.split())
    assert site.inspect() == {}

    for reference in pushed.values():
        cosign.sign(reference)
    accepted = deploy()
    assert accepted.code == 0, accepted.errors
    before = site.started()
    assert set(deploy().changed.values()) == {0}

    # Another key is required: the plan says so, and the container that runs is left alone.
    predicted = deploy("--check", key="other.pub")
    assert "would be verified" in " ".join(predicted.output.split()) or "must be signed by" in predicted.output
    again = deploy(key="other.pub")
    assert again.code != 0
    assert "is not signed by the key" in " ".join(again.output.split())
    assert site.started() == before

    lock = json.loads((site.root / "infrastructure/docker/images.lock.json").read_text())["images"]
    assert all("verified_by" in entry for entry in lock.values())


def remove_tags(repository: str) -> None:
    """Remove what the test pulled and tagged; the images themselves belong to others."""
    for line in docker(
        "image", "ls", "--digests", "--format", "{{.Repository}}:{{.Tag}} {{.Digest}}", repository
    ).splitlines():
        tag, digest = line.split()
        name = f"{repository}@{digest}" if tag.endswith(":<none>") else tag
        docker("image", "rm", name)
