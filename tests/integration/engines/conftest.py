# SPDX-License-Identifier: GPL-3.0-or-later
"""The Docker engines of Debian's releases, each with a site of three services on it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from image_tools import Registry, Role
from second_engine import SecondEngine, unpack
from site_under_test import PROJECT_ROOT, Site, only_one

# Short, because a socket path below it must not exceed 107 bytes.
BASE = Path("/var/tmp/trade2026-test-engine")
# Two services and an application; small images that start in seconds.
SERVICES = ("nats", "valkey", "opa")
LIMIT = f"--limit={','.join(SERVICES)}"
IMAGES = PROJECT_ROOT / "roles/image"


@dataclass(frozen=True)
class Release:
    """An engine and a Compose, by the Debian release that has them, and how the engine stores images.

    engine, compose: how the versions begin.
    """

    engine_from: str
    engine: str
    compose_from: str
    compose: str
    settings: Mapping[str, Any] = field(default_factory=dict)


CONTAINERD = {"features": {"containerd-snapshotter": True}}
NEWEST = ["sid-containerd"]
RELEASES = {
    "bookworm": Release("bookworm", "20.10.", "trixie", "2.26."),
    "trixie": Release("trixie", "26.1.", "trixie", "2.26."),
    "trixie-containerd": Release("trixie", "26.1.", "trixie", "2.26.", CONTAINERD),
    # Debian's unstable release has the newest versions, whatever they are.
    "sid": Release("sid", "", "sid", ""),
    "sid-containerd": Release("sid", "", "sid", "", CONTAINERD),
}


@dataclass(frozen=True)
class Target:
    """A site on a second engine. official: of each recipe's image, its official name and the image built here."""

    release: Release
    engine: SecondEngine
    site: Site
    official: Mapping[str, tuple[str, str]]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "target" in metafunc.fixturenames:
        chosen = list(RELEASES) if metafunc.config.getoption("--every-engine") else NEWEST
        metafunc.parametrize("target", chosen, indirect=True, scope="module")


@pytest.fixture(scope="session", autouse=True)
def machine() -> Iterator[None]:
    """A lock of its own: nothing here is shared with the other integration tests."""
    with only_one(Path("/run/lock/trade2026-engines")):
        yield


@pytest.fixture(scope="session")
def official(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, str]]:
    """Recipe → official name and the image built here, which the machine's own engine has afterwards."""
    defaults = yaml.safe_load((IMAGES / "defaults/main.yml").read_text())
    services = {"probe": {"official": defaults["image_probe_official"], "recipe": "probe"}}
    for name in SERVICES:
        recipe = yaml.safe_load((IMAGES / f"files/packages/{name}/recipe.yml").read_text())
        services[name] = {"official": recipe["official"], "recipe": name}
    role = Role(tmp_path_factory.mktemp("images"))
    run = role.run(services, image_source="packages", image_cache=defaults["image_cache"])
    assert run.code == 0, run.output
    return {name: (services[name]["official"], image["reference"]) for name, image in run.images.items()}


@pytest.fixture(scope="module")
def target(request: pytest.FixtureRequest, official: dict[str, tuple[str, str]]) -> Iterator[Target]:
    """The engine with the images that a site builds from, and nothing deployed."""
    release = RELEASES[request.param]
    engine = SecondEngine(BASE / "engine", unpack(release.engine_from), unpack(release.compose_from), release.settings)
    engine.start()
    try:
        engine.copy(*(reference for _name, reference in official.values()))
        shutil.rmtree(BASE / "root", ignore_errors=True)
        site = Site(root=BASE / "root", number=8, enter=engine.enter, environment=engine.environment)
        yield Target(release, engine, site, official)
    finally:
        engine.stop()
        shutil.rmtree(BASE, ignore_errors=True)


@pytest.fixture
def registry(target: Target, tmp_path: Path) -> Iterator[Registry]:
    """A registry beside the engine, with an image under each official name."""
    server = Registry(tmp_path, target.engine.enter)
    server.start()
    for name, reference in target.official.values():
        pushed = f"{server.host}/{name}"
        target.engine.docker("tag", reference, pushed)
        target.engine.docker("push", "--quiet", pushed)
        target.engine.docker("image", "rm", pushed)
    yield server
    server.stop()
