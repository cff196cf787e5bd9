# SPDX-License-Identifier: GPL-3.0-or-later
"""A deployment of one service on a separate engine, which the tests may stop, fill and damage."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from site_under_test import PROJECT_ROOT, Run, Site, kill_with_children

# Short, because a socket path below it must not exceed 107 bytes.
BASE = Path("/var/tmp/trade2026-faults")
ONLY = ("--limit", "valkey")
CONFIG = "config/infrastructure/valkey/valkey.conf"
FRAGMENT = "infrastructure/docker/services/valkey.yml"
CORE_FILE = "infrastructure/docker/docker-compose.core.yml"
LOCK = ".trade2026/journal/lock"
# Written to the service, and expected to survive every fault.
KEY, VALUE = "kept", "yes"
# Asks the tests, over a socket, to restart their engine, and succeeds if they did.
ASK = "import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); sys.exit(s.recv(4) != b'done')"


class FaultyEngine:
    """An engine with its own socket, data and network namespace, which can be killed and started again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {**os.environ, "DOCKER_HOST": f"unix://{folder}/sock"}
        self._namespace: subprocess.Popen[bytes] | None = None
        self._engine: subprocess.Popen[bytes] | None = None

    @property
    def enter(self) -> list[str]:
        """Prefix of a command that runs in the network namespace with the engine's published ports."""
        assert self._namespace
        return ["nsenter", f"--net=/proc/{self._namespace.pid}/ns/net"]

    def create(self) -> None:
        """Start a new engine without images and containers."""
        self._remove_data()
        # It may be a file system of its own.
        self.folder.mkdir(parents=True, exist_ok=True)
        # It holds the namespace while the engine is down.
        self._namespace = subprocess.Popen(["unshare", "--net", "sleep", "infinity"])
        own, new = Path("/proc/self/ns/net").readlink(), Path(f"/proc/{self._namespace.pid}/ns/net")
        wait_until(lambda: new.readlink() != own)
        subprocess.run([*self.enter, "ip", "link", "set", "lo", "up"], check=True)
        self.start()

    def start(self) -> None:
        """Start the engine, and wait until it answers."""
        (self.folder / "pid").unlink(missing_ok=True)
        places = {"--data-root": "data", "--exec-root": "exec", "--pidfile": "pid"}
        options = [word for option, name in places.items() for word in (option, str(self.folder / name))]
        with (self.folder / "log").open("ab") as log:
            self._engine = subprocess.Popen(
                [*self.enter, "dockerd", *options, "--host", self.environment["DOCKER_HOST"]], stdout=log, stderr=log
            )
        wait_until(self.answers)

    def answers(self) -> bool:
        assert self._engine
        assert self._engine.poll() is None, (self.folder / "log").read_text()[-2000:]
        return (
            subprocess.run(["docker", "info"], env=self.environment, capture_output=True, check=False).returncode == 0
        )

    def kill(self) -> None:
        """End the engine as a crash does."""
        assert self._engine
        containerd = Path("/proc") / (self.folder / "exec/containerd/containerd.pid").read_text().strip()
        self._engine.kill()
        self._engine.wait()
        # It dies with the engine. One that still ends while the next engine starts would be taken for a running one.
        wait_until(lambda: not containerd.exists())

    def stop(self) -> None:
        """End the engine as `systemctl stop` does, containers included."""
        assert self._engine
        self._engine.terminate()
        self._engine.wait(timeout=120)

    @contextlib.contextmanager
    def restart_command(self, end: Callable[[], None]) -> Iterator[list[str]]:
        """A command that ends the engine and starts it again, as `systemctl restart docker` does on a real machine."""
        path = self.folder / "restart"

        def serve() -> None:
            connection, _address = server.accept()
            with connection:
                end()
                self.start()
                connection.sendall(b"done")

        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(path))
            server.listen()
            threading.Thread(target=serve, daemon=True).start()
            yield [sys.executable, "-c", ASK, str(path)]
        path.unlink()

    def remove(self) -> None:
        """Remove its containers, end it, and remove its data."""
        if self._engine and self._engine.poll() is None:
            listed = ["docker", "ps", "--all", "--quiet"]
            names = subprocess.run(listed, env=self.environment, capture_output=True, text=True, check=False).stdout
            remove = ["docker", "rm", "--force", *names.split()]
            subprocess.run(remove, env=self.environment, capture_output=True, check=False)
            self._engine.terminate()
            self._engine.wait(timeout=60)
        if self._namespace:
            self._namespace.kill()
            self._namespace.wait()
        self._remove_data()

    def _remove_data(self) -> None:
        """Remove the folder. A killed engine leaves its data mounted, even if the next one ends properly."""
        mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
        for mount in reversed([mount for mount in mounts if mount.startswith(f"{self.folder}/")]):
            subprocess.run(["umount", "--lazy", mount], check=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def docker(self, *words: str) -> str:
        """Output of a docker command that must succeed."""
        done = subprocess.run(["docker", *words], env=self.environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def load(self, *repositories: str) -> None:
        """Copy all images of the repositories from the machine's own engine."""
        listed = ["docker", "image", "ls", "--format", "{{.Repository}}:{{.Tag}}"]
        tags = subprocess.run(listed, check=True, capture_output=True, text=True).stdout.split()
        wanted = [tag for tag in tags if tag.partition(":")[0] in repositories]
        assert {tag.partition(":")[0] for tag in wanted} == set(repositories), f"build the images first: {tags}"
        with subprocess.Popen(["docker", "save", *wanted], stdout=subprocess.PIPE) as saved:
            subprocess.run(
                ["docker", "load", "--quiet"],
                stdin=saved.stdout,
                env=self.environment,
                check=True,
                capture_output=True,
            )


def wait_until(condition: Callable[[], bool], seconds: float = 120) -> None:
    """Wait for a condition; fail if it does not become true."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


class FaultySite(Site):
    """The site under test, on its own engine."""

    engine: FaultyEngine

    def begin(self, *args: str, playbook: str = "core.yml", **variables: Any) -> subprocess.Popen[str]:
        extra = json.dumps({**self.extra_vars, **variables})
        return subprocess.Popen(
            [*self.engine.enter, "ansible-playbook", playbook, *ONLY, "--extra-vars", extra, *args],
            cwd=PROJECT_ROOT,
            env={**self.engine.environment, "ANSIBLE_FORCE_COLOR": "0", "ANSIBLE_NOCOLOR": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def docker(self, *words: str) -> str:
        """Output of a docker command on the site's engine."""
        return self.engine.docker(*words)

    @property
    def container(self) -> str:
        return f"{self.prefix}valkey"

    def exists(self) -> bool:
        return self.container in self.docker("ps", "--all", "--format", "{{.Names}}").split()

    def state(self) -> dict[str, Any]:
        """`docker inspect` of the container."""
        return dict(json.loads(self.docker("container", "inspect", self.container))[0])

    def started_at(self) -> str:
        return str(self.state()["State"]["StartedAt"])

    def command(self, *words: str, password: str = "") -> str:
        """The service's reply to one command."""
        login = ["-e", f"REDISCLI_AUTH={password}"] if password else []
        return self.docker("exec", *login, self.container, "valkey-cli", *words).strip()

    def converge(self, *args: str, **variables: Any) -> Run:
        """Run until the site is as declared; the next run has nothing to do, and nothing is lost or left over."""
        run = self.play(*args, **variables)
        assert run.code == 0, run.errors
        again = self.play(*args, **variables)
        assert again.code == 0, again.errors
        assert again.changed_hosts == set(), again.output
        self.assert_clean()
        return run

    def assert_clean(self) -> None:
        """No lock, no partial file, no leftover container, and an intact audit log."""
        from ansible.module_utils.deployment import audit

        folder = self.root / ".trade2026"
        assert not (self.root / LOCK).exists()
        assert not list(folder.glob("journal/lock.*"))
        assert not list(folder.glob("staging/*"))
        # Temporary files that are renamed into place begin with a dot.
        rendered = [path for part in ("config", "infrastructure", "secrets") for path in (self.root / part).rglob(".*")]
        assert [path for path in rendered if path.name != ".trade2026"] == []
        labelled = self.docker("ps", "--all", "--quiet", "--filter", "label=com.trade2026.helper").split()
        assert labelled == []
        names = self.docker("ps", "--all", "--format", "{{.Names}}").split()
        assert names == [self.container]
        found = audit.read(self.root)
        assert found.problems == ()
        assert found.notes == ()

    @contextlib.contextmanager
    def under_way(self, *args: str, **variables: Any) -> Iterator[subprocess.Popen[str]]:
        """A run that has taken the lock, so that its inspection has ended and its work begins."""
        process = self.begin(*args, **variables)
        lock = self.root / LOCK
        try:
            wait_until(lambda: lock.exists() or process.poll() is not None)
            assert lock.exists(), process.communicate()[0]
            yield process
        finally:
            if process.poll() is None:
                kill_with_children(process)

    @staticmethod
    def end_of(process: subprocess.Popen[str]) -> Run:
        """The result of a run that continues by itself."""
        output, _ = process.communicate(timeout=600)
        return Run(process.returncode, output)


def assert_refused(run: Run, *facts: str) -> None:
    """The run failed with a message that names the facts, and without a traceback."""
    assert run.code != 0, run.output[-3000:]
    for unreadable in ("Traceback", "object at 0x", "MODULE FAILURE", "Unexpected failure"):
        assert unreadable not in run.output, run.output[-6000:]
    for fact in facts:
        assert fact in run.output, f"{fact!r} is not in:\n{run.errors}"
