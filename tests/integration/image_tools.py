# SPDX-License-Identifier: GPL-3.0-or-later
"""A local registry, and the role `image` used by itself; both also as fixtures."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
PLAYBOOK = Path(__file__).with_name("images") / "images.yml"
NAME = "trade2026-test/tiny"
# In a separate process, because the port may be in another network namespace.
CONNECT = "import socket, sys; sys.exit(socket.socket().connect_ex(('127.0.0.1', int(sys.argv[1]))) != 0)"


def docker(*words: str) -> str:
    """Output of `docker WORDS`."""
    return subprocess.run(["docker", *words], check=True, capture_output=True, text=True).stdout.strip()


def free_port() -> int:
    """A loopback port on which nothing listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class Registry:
    """Debian's docker-registry on loopback, where Docker does not require TLS. enter: as in SecondEngine."""

    def __init__(self, folder: Path, enter: tuple[str, ...] = ()) -> None:
        command = shutil.which("docker-registry")
        assert command, "docker-registry is missing: apt-get install docker-registry"
        self.port = free_port()
        self.host = f"127.0.0.1:{self.port}"
        self._enter = enter
        self._command = (*enter, command, "serve")
        self._config = folder / "registry.yml"
        self._config.write_text(
            yaml.safe_dump(
                {
                    "version": 0.1,
                    "log": {"level": "error"},
                    "storage": {"filesystem": {"rootdirectory": str(folder / "registry")}},
                    "http": {"addr": self.host},
                }
            )
        )
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the registry and wait until its port answers."""
        self._process = subprocess.Popen(
            [*self._command, str(self._config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 20
        while subprocess.run([*self._enter, sys.executable, "-c", CONNECT, str(self.port)], check=False).returncode:
            if time.monotonic() > deadline:
                self.stop()
                raise AssertionError(f"docker-registry does not listen on {self.host}")

    def stop(self) -> None:
        """Stop the process that `start` started."""
        if self._process:
            self._process.terminate()
            self._process.wait(timeout=20)
            self._process = None

    def push(self, marker: str, tag: str) -> str:
        """Push an image with the label `marker` as NAME:tag, remove it locally, and return its digest."""
        reference = f"{self.host}/{NAME}:{tag}"
        archive = subprocess.run(
            ["tar", "--create", "--mtime=@0", "--owner=0", "--group=0", "--file=-", "--files-from=/dev/null"],
            check=True,
            capture_output=True,
        ).stdout
        subprocess.run(
            ["docker", "import", "--change", f"LABEL marker={marker}", "-", reference],
            input=archive,
            check=True,
            capture_output=True,
        )
        docker("push", "--quiet", reference)
        digest = str(json.loads(docker("image", "inspect", reference))[0]["RepoDigests"][0]).partition("@")[2]
        docker("image", "rm", "--force", docker("image", "inspect", "--format", "{{.Id}}", reference))
        return digest


def remove(repository: str) -> None:
    """Remove every image of a repository from the engine."""
    images = docker("image", "ls", "--quiet", "--no-trunc", "--filter", f"reference={repository}").split()
    if images:
        docker("image", "rm", "--force", *set(images))


class Run:
    """The result of one run of images.yml."""

    def __init__(self, process: subprocess.CompletedProcess[str], result: Path) -> None:
        self.code = process.returncode
        self.output = process.stdout + process.stderr
        self.images: dict[str, dict[str, Any]] = json.loads(result.read_text()) if result.is_file() else {}


class Role:
    """Runs the role `image` for the caller's services."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "trade2026"
        self.lock = self.root / "infrastructure/docker/images.lock.json"
        self._folder = folder

    def run(self, services: dict[str, Any], *words: str, **variables: Any) -> Run:
        """One run of the playbook."""
        result = self._folder / "result.json"
        result.unlink(missing_ok=True)
        hosts: dict[str, Any] = {name: {} for name in services}
        inventory = {
            "all": {
                "vars": {
                    "ansible_connection": "local",
                    "ansible_python_interpreter": sys.executable,
                    "root": str(self.root),
                    "image_cache": str(self._folder / "cache"),
                    "image_retries": 2,
                    "image_retry_delay_s": 0.1,
                    "services": services,
                    "result_file": str(result),
                },
                "children": {"primary": {"hosts": {next(iter(services)): {}}}, "services": {"hosts": hosts}},
            }
        }
        path = self._folder / "inventory.yml"
        path.write_text(yaml.safe_dump(inventory))
        process = subprocess.run(
            [
                str(Path(sys.executable).with_name("ansible-playbook")),
                *("--inventory", str(path)),
                # Extra variables take precedence over the role's own, so that a test can pass its own recipes.
                *("--extra-vars", json.dumps(variables)),
                *words,
                str(PLAYBOOK),
            ],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=300,
        )
        return Run(process, result)


def recipe_images(folder: Path, *recipes: str) -> dict[str, tuple[str, str]]:
    """Recipe → official name and the image built here, which the machine's engine has afterwards."""
    defaults = yaml.safe_load((ROOT / "roles/image/defaults/main.yml").read_text())
    services = {}
    for name in recipes:
        recipe = yaml.safe_load((ROOT / f"roles/image/files/packages/{name}/recipe.yml").read_text())
        # The image of the preflight checks is not that of a service.
        services[name] = {"official": recipe.get("official", defaults["image_probe_official"]), "recipe": name}
    run = Role(folder).run(services, image_source="packages", image_cache=defaults["image_cache"])
    assert run.code == 0, run.output
    return {name: (services[name]["official"], image["reference"]) for name, image in run.images.items()}


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    """A running registry; its images are removed from the engine afterwards."""
    server = Registry(tmp_path)
    server.start()
    yield server
    server.stop()
    remove(f"{server.host}/{NAME}")


@pytest.fixture
def role(tmp_path: Path) -> Role:
    """The role `image`, writing to the test's folder."""
    return Role(tmp_path)
