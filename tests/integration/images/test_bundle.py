# SPDX-License-Identifier: GPL-3.0-or-later
"""image_source=archive: a bundle from this machine, deployed on an engine that has no image and no network."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from second_engine import RELEASES, SecondEngine
from site_under_test import Run, Site

BASE = Path("/var/tmp/trade2026-test-bundle")
# A service and an application: the tag of the first depends on its recipe, that of the second on its migrated sources.
SERVICES = ("valkey", "opa")
LIMIT = f"--limit={','.join(SERVICES)}"
# The engine's programs: those of this machine, or of a release in RELEASES.
MACHINE = "machine"
OTHER_ENGINES = ["trixie", "trixie-containerd", "sid", "sid-containerd"]


@dataclass(frozen=True)
class Bundle:
    """A bundle and the site that it was made for."""

    folder: Path
    site: Site

    @property
    def manifest(self) -> dict[str, Any]:
        return dict(json.loads((self.folder / "bundle.json").read_text()))

    def variables(self, **changes: Any) -> dict[str, Any]:
        """The variables of a site without a network."""
        sha256 = hashlib.sha256((self.folder / "bundle.json").read_bytes()).hexdigest()
        return {
            **self.site.extra_vars,
            "image_source": "archive",
            "image_archive": str(self.folder),
            "image_archive_sha256": sha256,
            "image_cache": str(BASE / "cache"),
            **changes,
        }


@pytest.fixture(scope="module")
def bundle() -> Iterator[Bundle]:
    """The site is deployed on the machine's own engine, the bundle is written, and the images are removed."""
    site = Site(root=BASE / "root", number=6)
    site.remove()
    deployed = site.play(LIMIT)
    assert deployed.code == 0, deployed.errors
    folder = BASE / "bundle"
    written = site.play(LIMIT, playbook="playbooks/bundle.yml", image_bundle_folder=str(folder))
    assert written.code == 0, written.errors
    again = site.play(LIMIT, playbook="playbooks/bundle.yml", image_bundle_folder=str(folder))
    assert again.code == 0, again.errors
    assert again.changed_hosts == set()
    site.remove()
    yield Bundle(folder, site)
    site.remove()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "engine" in metafunc.fixturenames:
        others = OTHER_ENGINES if metafunc.config.getoption("--every-engine") else []
        metafunc.parametrize("engine", [MACHINE, *others], indirect=True, scope="module")


@pytest.fixture(scope="module")
def engine(request: pytest.FixtureRequest, bundle: Bundle) -> Iterator[SecondEngine]:
    folder = BASE / "engine"
    engine = SecondEngine(folder) if request.param == MACHINE else RELEASES[request.param].install(folder)
    engine.start()
    yield engine
    engine.stop()
    bundle.site.remove()


def deploy(bundle: Bundle, engine: SecondEngine, **changes: Any) -> Run:
    """Run core.yml on the engine, as the bundle's site does."""
    site = replace(bundle.site, enter=engine.enter, environment=engine.environment)
    return site.play(LIMIT, **bundle.variables(**changes))


def test_a_bundle_has_every_image_with_its_fingerprint_and_size(bundle: Bundle) -> None:
    manifest = bundle.manifest
    assert set(manifest["images"]) == {*SERVICES, "probe"}
    for image in manifest["images"].values():
        assert image["fingerprint"].startswith("sha256:")
        assert image["size"] > 0
    assert manifest["files"]["images.tar"]["size"] == (bundle.folder / "images.tar").stat().st_size


def test_the_engine_has_no_image_and_no_network(engine: SecondEngine) -> None:
    assert engine.images() == set()
    routes = engine.run("ip", "route", "show", "default")
    assert (routes.returncode, routes.stdout) == (0, "")
    links = json.loads(engine.run("ip", "-json", "link").stdout)
    assert {link["ifname"] for link in links} <= {"lo", "docker0"}


def test_an_altered_bundle_is_refused_and_nothing_is_loaded(bundle: Bundle, engine: SecondEngine) -> None:
    images = bundle.folder / "images.tar"
    middle = images.stat().st_size // 2
    with images.open("r+b") as file:
        byte = os.pread(file.fileno(), 1, middle)
        os.pwrite(file.fileno(), bytes([byte[0] ^ 1]), middle)
        try:
            run = deploy(bundle, engine)
        finally:
            os.pwrite(file.fileno(), byte, middle)
    said = " ".join(run.output.split())
    assert run.code != 0
    assert "altered: its SHA-256 is" in said
    assert "Nothing was loaded" in said
    assert "Traceback" not in run.output
    assert engine.images() == set()


def test_a_bundle_is_deployed_without_an_image_and_without_a_network(bundle: Bundle, engine: SecondEngine) -> None:
    run = deploy(bundle, engine)
    assert run.code == 0, run.output[-4000:]
    loaded = {tag for tag in engine.images() if not tag.startswith("localhost/trade2026/restore/")}
    assert loaded == {image["reference"] for image in bundle.manifest["images"].values()}
    names = set(engine.docker("ps", "--filter", "health=healthy", "--format", "{{.Names}}").split())
    assert names == {bundle.site.prefix + name for name in SERVICES}

    again = deploy(bundle, engine)
    assert again.code == 0, again.output[-4000:]
    assert again.changed_hosts == set(), again.output


def test_a_version_that_the_bundle_lacks_is_refused(bundle: Bundle, engine: SecondEngine) -> None:
    run = deploy(bundle, engine, valkey_image="valkey/valkey:9.9.9")
    said = " ".join(run.output.split())
    assert run.code != 0
    assert "valkey: valkey/valkey:9.9.9 is declared, and the bundle was made for valkey/valkey:8.1.8-alpine" in said
