"""A second engine, without an image and without a network: its own socket, data root and network namespace."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

# A network namespace has no interface but loopback, which is down.
START = 'ip link set lo up && exec dockerd --data-root "$1/data" --exec-root "$1/exec" --pidfile "$1/pid" --host "unix://$1/sock"'


class OfflineEngine:
    """Starts and stops the engine; runs commands where its published ports are."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {**os.environ, "DOCKER_HOST": f"unix://{folder}/sock"}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and return when it answers."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        with (self.folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                ["unshare", "--net", "sh", "-c", START, "sh", str(self.folder)], stdout=log, stderr=log
            )
        deadline = time.monotonic() + 60
        while subprocess.run(["docker", "info"], env=self.environment, capture_output=True, check=False).returncode:
            ended = self._process.poll()
            assert ended is None, (self.folder / "log").read_text()[-2000:]
            assert time.monotonic() < deadline, (self.folder / "log").read_text()[-2000:]
            time.sleep(0.2)

    def stop(self) -> None:
        """Remove its containers, end it, and remove its data."""
        if self._process and self._process.poll() is None:
            names = self.docker("ps", "--all", "--quiet").split()
            if names:
                self.docker("rm", "--force", *names)
            self._process.terminate()
            self._process.wait(timeout=60)
        shutil.rmtree(self.folder, ignore_errors=True)

    def run(self, *words: str, timeout: float = 600) -> subprocess.CompletedProcess[str]:
        """Run a command in the engine's network namespace."""
        assert self._process
        namespace = f"--net=/proc/{self._process.pid}/ns/net"
        return subprocess.run(
            ["nsenter", namespace, *words],
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

    def images(self) -> set[str]:
        """Tags of all its images."""
        return set(self.docker("image", "ls", "--format", "{{.Repository}}:{{.Tag}}").split())

    def play(self, project: Path, variables: dict[str, Any], *words: str) -> subprocess.CompletedProcess[str]:
        """Run core.yml on it."""
        extra = ("--extra-vars", json.dumps(variables))
        return self.run("ansible-playbook", str(project / "core.yml"), *extra, *words)
