# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask Docker Compose for a project's model, its warnings, and the evaluation of single values."""

from __future__ import annotations

import json
import os
import posixpath
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

MIN_VERSION = (2, 20)
# Reading takes a tenth of a second; this only ends a command that hangs.
TIMEOUT_S = 60


class SourceError(Exception):
    """The project cannot be read. The message says what is wrong, where, and what to do."""


class ComposeMissingError(SourceError):
    """This machine has no Docker Compose that could read the project."""


class ComposeRefusedError(SourceError):
    """Compose refuses the project. The message is Compose's own and may quote secrets."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A project's model as `docker compose config` prints it, and the names of the variables that had no value."""

    model: Mapping[str, Any]
    unset: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Compose:
    """Docker Compose for one project.

    `directory` is the project's folder, `files` are its Compose files as absolute paths. `environment` is Compose's
    whole environment, so that no variable of this process reaches the project.
    """

    directory: str
    files: tuple[str, ...]
    environment: Mapping[str, str]

    def require(self) -> None:
        """Raise ComposeMissingError unless a recent enough Compose is installed."""
        minimum = ".".join(map(str, MIN_VERSION))
        remedy = f"Install Docker Compose {minimum} or newer: run `make setup`, or install it by hand."
        try:
            done = self._run(["version", "--short"], {})
        except OSError as error:
            raise ComposeMissingError(f"the command docker cannot be run ({error.strerror}). {remedy}") from None
        version = re.match(r"v?(\d+)\.(\d+)", done.stdout.strip())
        if done.returncode != 0 or version is None:
            said = (done.stderr.strip() or done.stdout.strip()).partition("\n")[0]
            raise ComposeMissingError(f"`docker compose version` fails ({said}). {remedy}")
        if (int(version[1]), int(version[2])) < MIN_VERSION:
            raise ComposeMissingError(f"Docker Compose {done.stdout.strip()} is too old. {remedy}")

    def read(self, profiles: Sequence[str] = (), check: bool = True) -> Answer:
        """Return the project's model. `check=False` accepts references to networks and so on that are not defined.

        Raises ComposeRefusedError with Compose's message.
        """
        words = [word for name in profiles for word in ("--profile", name)]
        words += [word for file in self.files for word in ("--file", file)]
        words += ["config", "--format", "json", *([] if check else ["--no-consistency"])]
        return _answer(self._run(words, self.environment))

    def evaluate(
        self, parts: Sequence[Mapping[str, Any]], environment: Mapping[str, str] | None = None
    ) -> list[Mapping[str, Any]]:
        """Return parts of services as Compose evaluates them, each by itself; an empty list if it rejects one of them.

        A given `environment` replaces both the project's environment and its `.env`.
        """
        if not parts:
            return []
        services = {f"part{number}": {"image": "x", **part} for number, part in enumerate(parts)}
        words = ["--project-directory", self.directory, "--file", "-"]
        words += ["--env-file", os.devnull] if environment is not None else []
        words += ["config", "--format", "json", "--no-consistency"]
        text = json.dumps({"name": "parts", "services": services}, ensure_ascii=False)
        try:
            model = _answer(self._run(words, self.environment if environment is None else environment, text)).model
        except ComposeRefusedError:
            return []
        return [model["services"][name] for name in services]

    def _run(
        self, words: Sequence[str], environment: Mapping[str, str], stdin: str = ""
    ) -> subprocess.CompletedProcess[str]:
        docker = shutil.which("docker")
        if docker is None:
            raise FileNotFoundError(2, "it is not installed")
        # The folder of a user's own plugins is a command-line option: the project could read an environment variable.
        config = os.environ.get("DOCKER_CONFIG") or posixpath.expanduser("~/.docker")
        try:
            return subprocess.run(
                # Reading a project needs no engine, so a Docker context that no longer exists must not matter.
                [docker, "--config", config, "--context", "default", "compose", *words],
                input=stdin,
                env=dict(environment),
                cwd=self.directory,
                capture_output=True,
                encoding="utf-8",
                errors="replace",
                timeout=TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            message = f"`docker compose` did not answer within {TIMEOUT_S} s. Try `docker compose version` by hand."
            raise SourceError(message) from None


_UNSET = re.compile(r'The \\?"([^"\\]+)\\?" variable is not set')


def _answer(done: subprocess.CompletedProcess[str]) -> Answer:
    if done.returncode != 0:
        lines = [line for line in done.stderr.strip().splitlines() if "level=warning" not in line]
        raise ComposeRefusedError("\n".join(lines) or f"exit code {done.returncode}")
    # `config` prints a file that Compose can read again, so it doubles every dollar sign.
    try:
        model = json.loads(done.stdout.replace("$$", "$"))
    except ValueError as error:
        message = f"`docker compose config` did not print JSON ({error}). Try `docker compose version` by hand."
        raise SourceError(message) from None
    unset = _UNSET.findall(done.stderr) + (["HOME"] if "environment lacks HOME" in done.stderr else [])
    return Answer(model, tuple(dict.fromkeys(unset)))
