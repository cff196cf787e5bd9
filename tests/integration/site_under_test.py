# SPDX-License-Identifier: GPL-3.0-or-later
"""A deployment for tests. No other deployment on the machine has its root, project, ports or networks."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest
from local_inventory import SERVICES

PROJECT_ROOT = Path(__file__).resolve().parents[2]
SOURCE_TREE = PROJECT_ROOT / "examples/trade2025"
RECAP = re.compile(r"^(\w[\w.-]*)\s+: ok=(\d+)\s+changed=(\d+)\s+unreachable=(\d+)\s+failed=(\d+)", re.MULTILINE)


@dataclass(frozen=True)
class Run:
    """Exit code and output of a playbook run."""

    code: int
    output: str

    @property
    def changed(self) -> dict[str, int]:
        """Host → number of changed tasks, from the recap."""
        return {match[1]: int(match[3]) for match in RECAP.finditer(self.output)}

    @property
    def changed_hosts(self) -> set[str]:
        return {host for host, count in self.changed.items() if count}

    @property
    def errors(self) -> str:
        """The error messages. In verbose output they are far from the end."""
        found = re.findall(r"^(?:\[ERROR\]|fatal): .*\n(?:.+\n|\n(?!PLAY|TASK)){0,40}", self.output, re.MULTILINE)
        return "\n".join(found)[:8000] or self.output[-4000:]

    @property
    def failed_hosts(self) -> set[str]:
        return {match[1] for match in RECAP.finditer(self.output) if int(match[5]) or int(match[4])}


def report_of(run: Run) -> Path:
    """The page of a run's report, which its output names."""
    found = re.findall(r"^\s*Report: (\S+/report\.html)", run.output, re.MULTILINE)
    assert found, run.output[-2000:]
    return Path(found[-1])


@dataclass
class Site:
    """A site with its own root; the other settings are derived from its number."""

    root: Path
    number: int
    variables: dict[str, Any] = field(default_factory=dict)
    # For another engine than the machine's own: SecondEngine.enter and .environment.
    enter: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)

    def __post_init__(self) -> None:
        self.project = f"trade2026-test{self.number}"
        self.prefix = f"t{self.number}-"
        # Below the range of ephemeral ports; tests/lint/test_scenarios.py checks that no two sites share a port.
        self.offset = 10000 + 1537 * self.number
        # The private range ends at 172.31.
        row, column = divmod(self.number - 1, 3)
        self.networks = {
            key: {"name": f"{self.project}-{key}", "subnet": f"172.{29 + column}.{3 * row + third}.0/24"}
            for third, key in enumerate(("frontend", "lowlatency", "backend"))
        }

    @property
    def extra_vars(self) -> dict[str, Any]:
        return {
            "trade2026_root": str(self.root),
            "trade2026_networks": self.networks,
            "core_project": self.project,
            "core_container_prefix": self.prefix,
            "core_port_offset": self.offset,
            "image_source": "packages",
            # With the default, each run that changes something would wait for 10 seconds.
            "core_good_after_s": 1,
            **self.variables,
        }

    def begin(self, *args: str, playbook: str = "core.yml", **variables: Any) -> subprocess.Popen[str]:
        """Start a playbook as a user would, with this site's variables."""
        extra = json.dumps({**self.extra_vars, **variables})
        return subprocess.Popen(
            [*self.enter, "ansible-playbook", playbook, "--extra-vars", extra, *args],
            cwd=PROJECT_ROOT,
            # A run that stops before a deployment exists leaves its report on the controller.
            env={
                **self.environment,
                "ANSIBLE_FORCE_COLOR": "0",
                "ANSIBLE_NOCOLOR": "1",
                "XDG_STATE_HOME": str(PROJECT_ROOT / ".cache/state"),
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def play(self, *args: str, playbook: str = "core.yml", **variables: Any) -> Run:
        """Run a playbook and wait until it ends."""
        process = self.begin(*args, playbook=playbook, **variables)
        try:
            output, _ = process.communicate(timeout=2400)
        except BaseException:
            kill_with_children(process)
            raise
        return Run(process.returncode, output)

    def docker(self, *args: str) -> str:
        """Standard output of a docker command on the site's engine; fails if the command fails."""
        done = self._attempt(*args)
        done.check_returncode()
        return done.stdout

    def _attempt(self, *args: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["docker", *args], env=self.environment, capture_output=True, text=True, check=False)

    def inspect(self, *services: str) -> dict[str, Any]:
        """Service → `docker inspect` of its container, for those that exist."""
        found = {}
        for service in services or SERVICES:
            done = self._attempt("container", "inspect", f"{self.prefix}{service}")
            if done.returncode == 0:
                found[service] = json.loads(done.stdout)[0]
        return found

    def containers(self) -> dict[str, Any]:
        """Service → `docker inspect` of its container; fails if one of the eight is missing."""
        found = self.inspect()
        assert set(found) == set(SERVICES)
        return found

    def started(self) -> dict[str, tuple[str, str]]:
        """Service → container id and start time. If both are the same later, nothing was restarted."""
        found = self.inspect()
        assert found, "no service of this site has a container"
        return {name: (seen["Id"], seen["State"]["StartedAt"]) for name, seen in found.items()}

    def port(self, published: int) -> int:
        """The host port of this site for a default port."""
        return published + self.offset

    def secret(self, path: str) -> str:
        return (self.root / "secrets" / path).read_text(encoding="utf-8").strip()

    def secrets(self) -> set[str]:
        """Every generated secret, none of which may appear in any output."""
        values: set[str] = set()
        for file in (self.root / "secrets").rglob("*"):
            if file.is_file():
                text = file.read_text(encoding="utf-8").strip()
                values |= set(_leaves(json.loads(text))) if file.suffix == ".json" else {text}
        # Short values, such as the name of an algorithm or an exponent, are not secret.
        return {value for value in values if len(value) >= 20}

    def engine_state(self) -> dict[str, list[str]]:
        """The site's own networks, containers and volumes. Those of other tests come and go beside it."""
        own = f"label=com.docker.compose.project={self.project}"
        return {
            "networks": self.docker("network", "ls", "--quiet", "--filter", f"name=^{self.project}-").split(),
            "containers": self.docker("ps", "--all", "--quiet", "--no-trunc", "--filter", own).split(),
            "volumes": self.docker("volume", "ls", "--quiet", "--filter", own).split(),
        }

    def images(self) -> set[str]:
        """The tags of all images on the site's engine."""
        return set(self.docker("image", "ls", "--format", "{{.Repository}}:{{.Tag}}").split())

    def remove(self) -> None:
        """Remove everything that this site created."""
        names = self.docker("ps", "--all", "--quiet", "--filter", f"label=com.docker.compose.project={self.project}")
        if names:
            self.docker("rm", "--force", "--volumes", *names.split())
        # Tags of restore points, which keep images. Of an image with another tag, only this tag is removed.
        for tag in self.images():
            if tag.startswith(f"localhost/trade2026/restore/{self.project}/"):
                self.docker("image", "rm", tag)
        for network in self.networks.values():
            self._attempt("network", "rm", network["name"])
        shutil.rmtree(self.root, ignore_errors=True)


def _leaves(value: Any) -> list[str]:
    if isinstance(value, dict):
        # The public part of a key is not secret, and its identifier is in every token.
        return [leaf for key, item in value.items() if key not in {"n", "kid"} for leaf in _leaves(item)]
    if isinstance(value, list):
        return [leaf for item in value for leaf in _leaves(item)]
    return [str(value)]


@contextlib.contextmanager
def only_one(lock: Path) -> Iterator[None]:
    """Hold a lock on the machine, or end the tests at once if those of another clone hold it."""
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pytest.exit(f"Other tests of this kind are running and hold {lock}. Wait until they end.", returncode=1)
        yield


def kill_with_children(process: subprocess.Popen[str]) -> None:
    """Kill a run and all its descendants, as a power failure does. Ansible's workers outlive their parent."""
    with contextlib.suppress(psutil.NoSuchProcess):
        parent = psutil.Process(process.pid)
        for member in [parent, *parent.children(recursive=True)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                member.kill()
    process.communicate()


def docker(*args: str) -> str:
    """Standard output of a docker command; fails if the command fails."""
    return subprocess.run(["docker", *args], check=True, capture_output=True, text=True).stdout


def docker_log(container: str) -> str:
    """Both streams of a container's log."""
    done = subprocess.run(["docker", "logs", container], capture_output=True, text=True, check=True)
    return done.stdout + done.stderr


def listing(root: Path) -> list[tuple[str, int, int, str]]:
    """Every path in a folder with mode, size and content hash. If all are the same later, nothing was changed."""
    found = []
    for path in sorted(root.rglob("*")):
        seen = path.lstat()
        content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() and not path.is_symlink() else ""
        found.append((str(path.relative_to(root)), seen.st_mode, seen.st_size if content else 0, content))
    return found
