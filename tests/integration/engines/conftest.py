# SPDX-License-Identifier: GPL-3.0-or-later
"""The Docker engines of Debian's releases, each with a site of three services."""

from __future__ import annotations

import shutil
import subprocess
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from image_tools import Registry, recipe_images
from second_engine import RELEASES, Release, SecondEngine
from site_under_test import Site, only_one

# Short, because a socket path below it must not exceed 107 bytes.
BASE = Path("/var/tmp/trade2026-test-engine")
# Two services and an application; small images that start in seconds.
SERVICES = ("nats", "valkey", "opa")
LIMIT = f"--limit={','.join(SERVICES)}"


NEWEST = ["sid-containerd"]


@dataclass(frozen=True)
class Target:
    """A site on a second engine. official: recipe → its official name and the image built here."""

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
    """A separate lock: nothing is shared with the other integration tests."""
    with only_one(Path("/run/lock/trade2026-engines")):
        yield


@pytest.fixture(scope="session")
def official(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, str]]:
    """Recipe → official name and the image built here, which the machine's own engine has afterwards."""
    return recipe_images(tmp_path_factory.mktemp("images"), *SERVICES, "probe")


@pytest.fixture(scope="session")
def newest_collection(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for ANSIBLE_COLLECTIONS_PATH with the newest community.docker and what it requires."""
    folder = tmp_path_factory.mktemp("collections")
    pins = Path(__file__).with_name("collections-newest.txt")
    command = ["pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:", "--python-version", "3.13"]
    subprocess.run([*command, "--require-hashes", "--dest", folder, "-r", pins], check=True)
    wanted = [f"ansible_collections/community/{name}/" for name in ("docker", "library_inventory_filtering_v1")]
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as bundle:
        bundle.extractall(folder, [name for name in bundle.namelist() if name.startswith(tuple(wanted))])
    return folder


@pytest.fixture(scope="module")
def target(request: pytest.FixtureRequest, official: dict[str, tuple[str, str]]) -> Iterator[Target]:
    """The engine with the images that a site builds from, and nothing deployed."""
    release = RELEASES[request.param]
    engine = release.install(BASE / "engine")
    engine.start()
    try:
        engine.copy(*(reference for _name, reference in official.values()))
        shutil.rmtree(BASE / "root", ignore_errors=True)
        if release.newest_collection:
            collections = request.getfixturevalue("newest_collection")
            engine.environment["ANSIBLE_COLLECTIONS_PATH"] = str(collections)
        site = Site(root=BASE / "root", number=8, enter=engine.enter, environment=engine.environment)
        yield Target(release, engine, site, official)
    finally:
        engine.stop()
        shutil.rmtree(BASE, ignore_errors=True)


@pytest.fixture
def registry(target: Target, tmp_path: Path) -> Iterator[Registry]:
    """A registry next to the engine, with an image under each official name."""
    server = Registry(tmp_path, target.engine.enter)
    server.start()
    for name, reference in target.official.values():
        pushed = f"{server.host}/{name}"
        target.engine.docker("tag", reference, pushed)
        target.engine.docker("push", "--quiet", pushed)
        target.engine.docker("image", "rm", pushed)
    yield server
    server.stop()
