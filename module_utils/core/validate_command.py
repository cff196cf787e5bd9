# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a service's validate command on staged files, in the image that will run."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

from ansible.module_utils.shared.docker import Docker, DockerError

# Label of the containers of validate commands and preflight checks. A run removes those that a killed run left.
HELPER_LABEL = "com.trade2026.helper"
# Lines of the validate command's output that reach the operator: the first ones name the error.
OUTPUT_LINES = 20
# Exit codes of `docker run` itself: the engine refused, the command cannot be invoked, or was not found.
DOCKER_FAILED = (125, 126, 127)


class StagedFile(Protocol):
    """What staging needs to know of a file."""

    path: Path
    data: bytes


def run_validate_command(
    docker: Docker,
    validate: Mapping[str, Any],
    root: Path,
    secrets_root: Path | None,
    staged: Path,
    files: Iterable[StagedFile],
) -> str:
    """Empty if the validate command accepts the files, else its output."""
    group = int(str(validate["user"]).partition(":")[2] or 0)
    volumes = []
    for number, mount in enumerate(validate["mounts"]):
        if mount["kind"] == "secret":
            source = (secrets_root or root) / mount["source"]
        else:
            source = staged / str(number)
            stage(root / mount["source"], source, files, group)
        volumes += ["--volume", f"{source}:{mount['target']}:ro"]
    # No right that the deployed container lacks, and no network.
    command = [
        "run",
        "--label",
        f"{HELPER_LABEL}={root}",
        "--rm",
        "--init",
        "--pull",
        "never",
        "--network",
        "none",
        "--read-only",
        "--cap-drop",
        "ALL",
    ]
    command += ["--security-opt", "no-new-privileges", "--user", str(validate["user"])]
    for path in validate["tmpfs"]:
        command += ["--tmpfs", path]
    for name, value in validate["environment"].items():
        command += ["--env", f"{name}={value}"]
    if validate["entrypoint"] is not None:
        command += ["--entrypoint", validate["entrypoint"]]
    code, out, err = docker.attempt(
        *command, *volumes, validate["image"], *validate["command"], timeout_s=validate["timeout_s"]
    )
    if code == 0:
        return ""
    if code == 124:
        return f"not finished within {validate['timeout_s']} s"
    said = [line for line in (err + "\n" + out).splitlines() if line.strip()]
    if code in DOCKER_FAILED:
        raise DockerError(
            f"the configuration could not be validated, because its container did not start: {' '.join(said[:3])}. "
            "Nothing was written; correct that, then run again"
        )
    return f"exit code {code}: " + "\n".join(said[:OUTPUT_LINES])


def stage(live: Path, staged: Path, files: Iterable[StagedFile], group: int) -> None:
    """Copy the live folder and lay the new files over it, readable by the container's group."""
    if live.is_dir():
        shutil.copytree(live, staged, symlinks=True)
    staged.mkdir(parents=True, exist_ok=True)
    for file in files:
        if file.path.is_relative_to(live):
            place = staged / file.path.relative_to(live)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(file.data)
    for folder, _folders, names in os.walk(staged):
        for path in [Path(folder), *(Path(folder) / name for name in names)]:
            if path.is_symlink():
                continue
            os.chown(path, 0 if os.geteuid() == 0 else -1, group if os.geteuid() == 0 else -1)
            path.chmod(0o750 if path.is_dir() else 0o640)
