# SPDX-License-Identifier: GPL-3.0-or-later
"""A second Docker engine next to the machine's own, with other programs and its own images, networks and containers.

It runs in separate namespaces, so that its bridges, firewall rules, mounts and processes end with it, even if the
tests are killed. Nothing in its network namespace reaches another machine.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from namespaces import ISOLATE

PROJECT_ROOT = Path(__file__).resolve().parents[2]
CACHE = Path("/var/cache/trade2026/engines")

# $1 is the engine's folder, $2 the release's. A new network namespace has only loopback, which is down. /run is empty,
# because the engine would join a containerd that it finds there. /usr is the release's, for its libraries.
START = """
set -e
ip link set lo up
mount -t tmpfs tmpfs /run
if [ -n "$2" ]; then mount --bind "$2/usr" /usr; fi
cd "$1"
exec dockerd --config-file "$1/daemon.json" --data-root "$1/data" --exec-root "$1/exec" --pidfile "$1/pid" --host "unix://$1/sock"
"""


def unpack(release: str) -> Path:
    """The folder with the Docker programs of a Debian release, in their current version."""
    # Debian 12 has the client in docker.io, and no Compose v2.
    packages = ["docker.io", "iptables", *(["docker-cli", "docker-compose"] if release != "bookworm" else [])]
    return unpack_packages(release, CACHE / release, *packages)


@functools.cache
def unpack_packages(release: str, folder: Path, *packages: str) -> Path:
    """A folder with packages of a Debian release, in their current version, with all libraries that they need."""
    subprocess.run([PROJECT_ROOT / "scripts/unpack-debian", release, folder, *packages], check=True)
    return folder


class SecondEngine:
    """Starts and stops an engine. Without `release`, it runs the programs that the machine has.

    folder: short, because a socket's path must not exceed 107 bytes. release, compose: folders of `unpack`, with the
    engine and with the Compose plugin. settings: content of daemon.json.
    """

    def __init__(
        self,
        folder: Path,
        release: Path | None = None,
        compose: Path | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        self.folder = folder
        self.environment = {**os.environ, "DOCKER_HOST": f"unix://{folder}/sock"}
        self._release = release
        self._compose = compose
        self._settings = dict(settings or {})
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def enter(self) -> tuple[str, ...]:
        """Prefix of a command that runs in the engine's network namespace, where the published ports are."""
        assert self._process
        return ("nsenter", f"--net=/proc/{self._process.pid}/ns/net")

    def start(self) -> None:
        """Start it, and wait until it answers."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self._install_client()
        (self.folder / "daemon.json").write_text(json.dumps(self._settings))
        command = [*ISOLATE, "sh", "-c", START, "sh", str(self.folder), str(self._release or "")]
        with (self.folder / "log").open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        deadline = time.monotonic() + 60
        while subprocess.run(["docker", "info"], env=self.environment, capture_output=True, check=False).returncode:
            ended = self._process.poll()
            assert ended is None, (self.folder / "log").read_text()[-2000:]
            assert time.monotonic() < deadline, (self.folder / "log").read_text()[-2000:]
            time.sleep(0.2)

    def _install_client(self) -> None:
        """Put the release's docker command and Compose plugin before the machine's."""
        if self._release:
            self._link("bin/docker", self._release / "usr/bin/docker")
            self.environment["PATH"] = f"{self.folder}/bin{os.pathsep}{os.environ['PATH']}"
        if self._compose:
            plugin = "cli-plugins/docker-compose"
            self._link(f"config/{plugin}", self._compose / "usr/libexec/docker" / plugin)
            self.environment["DOCKER_CONFIG"] = f"{self.folder}/config"

    def _link(self, name: str, target: Path) -> None:
        link = self.folder / name
        link.parent.mkdir(parents=True)
        link.symlink_to(target)

    def stop(self) -> None:
        """Remove its containers, end it, and remove its data."""
        if self._process and self._process.poll() is None:
            names = self.docker("ps", "--all", "--quiet").split()
            if names:
                self.docker("rm", "--force", *names)
            for child in psutil.Process(self._process.pid).children():
                child.terminate()
            self._process.wait(timeout=60)
        shutil.rmtree(self.folder, ignore_errors=True)

    def run(self, *words: str, timeout: float = 600) -> subprocess.CompletedProcess[str]:
        """Run a command in the engine's network namespace."""
        return subprocess.run(
            [*self.enter, *words],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
        )

    def docker(self, *words: str) -> str:
        """Output of a docker command that must succeed."""
        done = subprocess.run(["docker", *words], env=self.environment, check=True, capture_output=True, text=True)
        return done.stdout

    def copy(self, *images: str) -> None:
        """Copy images from the machine's own engine."""
        with subprocess.Popen(["docker", "save", *images], stdout=subprocess.PIPE) as saved:
            subprocess.run(
                ["docker", "load"], stdin=saved.stdout, env=self.environment, check=True, capture_output=True
            )
        assert saved.returncode == 0, f"docker save {' '.join(images)} failed"

    def images(self) -> set[str]:
        """Tags of all its images."""
        return set(self.docker("image", "ls", "--format", "{{.Repository}}:{{.Tag}}").split())


@dataclass(frozen=True)
class Release:
    """An engine and a Compose, by the Debian release that has them, and how the engine stores images.

    engine, compose: how the versions begin. newest_collection: with the newest community.docker in place of
    the one that requirements.yml names.
    """

    engine_from: str
    engine: str
    compose_from: str
    compose: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    newest_collection: bool = False

    def install(self, folder: Path) -> SecondEngine:
        """This engine, not started yet. The folder's path must be short."""
        return SecondEngine(folder, unpack(self.engine_from), unpack(self.compose_from), self.settings)


CONTAINERD = {"features": {"containerd-snapshotter": True}}
RELEASES = {
    "bookworm": Release("bookworm", "20.10.", "trixie", "2.26."),
    "trixie": Release("trixie", "26.1.", "trixie", "2.26."),
    "trixie-containerd": Release("trixie", "26.1.", "trixie", "2.26.", CONTAINERD),
    # Debian's unstable release has the newest versions, whatever they are.
    "sid": Release("sid", "", "sid", ""),
    "sid-containerd": Release("sid", "", "sid", "", CONTAINERD),
    "sid-containerd-newest-collection": Release("sid", "", "sid", "", CONTAINERD, newest_collection=True),
}
