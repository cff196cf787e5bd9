# SPDX-License-Identifier: GPL-3.0-or-later
"""The Docker command line as a few typed calls.

For running a container or a single query: starting the command line takes a tenth of the time of importing the SDK.
The inspection of a whole machine needs dozens of queries and uses the SDK (`module_utils/deployment/engine.py`).
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

# What the engine writes for a container that never started.
NEVER = "0001-01-01"

Runner = Callable[..., tuple[int, str, str]]


class DockerError(Exception):
    """A docker command failed; the text is a message for the user."""


class Docker:
    """Calls docker through `run`, which is `AnsibleModule.run_command` or a replacement with its signature."""

    def __init__(self, run: Runner, binary: str = "docker") -> None:
        self._run = run
        self._binary = binary

    def call(self, *args: str, stdin: str | None = None) -> str:
        """Standard output of `docker ARGS`; raises DockerError with docker's message."""
        code, out, err = self.attempt(*args, stdin=stdin)
        if code != 0:
            raise DockerError(failure(" ".join(args[:3]), err or out))
        return out

    def attempt(self, *args: str, stdin: str | None = None, timeout_s: int = 0) -> tuple[int, str, str]:
        """Exit code, standard output and standard error of `docker ARGS`; exit code 124 after `timeout_s` seconds."""
        limit = ["timeout", "--kill-after=5", str(timeout_s)] if timeout_s else []
        try:
            code, out, err = self._run([*limit, self._binary, *args], data=stdin, binary_data=stdin is not None)
        except (OSError, ValueError) as error:
            raise DockerError(
                f"`{self._binary}` cannot be run: {error}. Install the Docker engine, or run `make setup`."
            ) from error
        return int(code), str(out), str(err)

    def inspect(self, kind: str, *names: str) -> dict[str, dict[str, Any]]:
        """Name → `docker KIND inspect`, for those of `names` that exist."""
        if not names:
            return {}
        code, out, err = self.attempt(kind, "inspect", *names)
        if code == 0:
            return dict(zip(names, json.loads(out), strict=True))
        if "no such" not in err.lower() and "not found" not in err.lower():
            raise DockerError(failure(f"{kind} inspect", err))
        if len(names) == 1:
            return {}
        # The command line prints what it found in the order of the names, and an error for each of the others.
        missing = {word.rstrip(":") for word in err.split()}
        existing = [name for name in names if name not in missing]
        answers = json.loads(out or "[]")
        if len(answers) == len(existing):
            return dict(zip(existing, answers, strict=True))
        return {name: found for one in names for name, found in self.inspect(kind, one).items()}


def failure(command: str, said: str) -> str:
    """Why a docker command failed, as a message. Docker repeats a line for each name that it was given."""
    lines = list(dict.fromkeys(line.strip() for line in said.splitlines() if line.strip()))
    if lines and "cannot connect to the docker daemon" in lines[0].lower():
        return f"Docker does not answer: {lines[0]} Start the engine, then run again."
    newline = "\n"
    return f"`docker {command}` failed: {newline.join(lines)}"


@dataclass(frozen=True)
class Process:
    """A process that runs in parallel with its caller, or why it could not be started."""

    started: subprocess.Popen[str] | None
    error: str = ""


def start(command: tuple[str, ...], stdin: str = "") -> Process:
    """Start a process."""
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
    except OSError as error:
        return Process(None, f"`{command[0]}` cannot be run: {error.strerror}")
    if stdin and process.stdin:
        process.stdin.write(stdin)
        process.stdin.close()
        process.stdin = None
    return Process(process)


def finish(process: Process) -> tuple[int, str, str]:
    """Wait for a process of `start`; returns its exit code, output and errors."""
    if process.started is None:
        return 1, "", process.error
    out, err = process.started.communicate()
    return process.started.returncode, out.strip(), err.strip()
