# SPDX-License-Identifier: GPL-3.0-or-later
"""A site for the main job; and ClickHouse's engine of 24.8 and of the newest release, embedded (chdb)."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "integration"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "unit/services"))

from image_tools import registry, role
from site_under_test import Site

__all__ = ["registry", "role"]

ROOT = Path(__file__).resolve().parents[2]
BASE = Path("/var/tmp/trade2026-official")
# Number of the site, for its project and networks. The ports derived from it would be too high, so the offset is set.
NUMBER = 30
PORT_OFFSET = 18900
HERE = Path(__file__).parent
# Requirements file → the release that it installs. There is none of 24.9; 24.8 is the previous line.
RELEASES = {"24.8": "24.8.", "newest": "26."}


class Engine:
    """An engine that answers queries in a separate process."""

    def __init__(self, name: str, *folder: str, configured_in: Path | None = None) -> None:
        """The engine reads the config.xml of the folder `configured_in`, as a server reads that of /etc."""
        self.name = name
        self.environment = install(name)
        self._process = subprocess.Popen(
            [str(self.environment / "bin/python"), str(HERE / "engine.py"), *folder],
            cwd=configured_in,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, query: str) -> tuple[str, str]:
        """Result and error of a query; one of them is empty."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(query) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, f"the engine {self.name} ended at {query}"
        answer = json.loads(line)
        return answer["text"].strip(), answer["error"]

    def query(self, query: str) -> str:
        """Result of a query that must succeed."""
        text, error = self.ask(query)
        assert not error, f"{query}: {error}"
        return text

    def column(self, query: str) -> set[str]:
        """The values of a query of one column."""
        return set(self.query(query).splitlines())

    def knows(self, word: str) -> bool:
        """Whether the engine's program contains this word, because no system table lists the sections of config.xml."""
        [library] = self.environment.glob("lib/python*/site-packages/**/_chdb*.so")
        done = subprocess.run(["grep", "--quiet", "--text", "--fixed-strings", word, str(library)], check=False)
        return done.returncode == 0

    def stop(self) -> None:
        """End the process."""
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait(timeout=60)


def install(name: str) -> Path:
    """The environment with the engine, created again if its requirements have changed."""
    requirements = HERE / f"chdb-{name}.txt"
    folder = ROOT / ".cache/official" / name
    stamp = folder / "stamp"
    wanted = hashlib.sha256(requirements.read_bytes()).hexdigest()
    if not stamp.is_file() or stamp.read_text() != wanted:
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        pip = [str(folder / "bin/pip"), "install", "--quiet", "--disable-pip-version-check", "--no-compile"]
        subprocess.run(
            [*pip, "--require-hashes", "--only-binary=:all:", "--requirement", str(requirements)], check=True
        )
        stamp.write_text(wanted)
    return folder


@pytest.fixture(scope="session", params=sorted(RELEASES))
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    started = Engine(request.param)
    assert started.query("SELECT version()").startswith(RELEASES[request.param])
    yield started
    started.stop()


@pytest.fixture
def site() -> Iterator[Site]:
    """A separate site, empty at first and removed at the end."""
    site = Site(root=BASE / "root", number=NUMBER)
    site.offset = PORT_OFFSET
    site.remove()
    yield site
    site.remove()
    shutil.rmtree(BASE, ignore_errors=True)
