# SPDX-License-Identifier: GPL-3.0-or-later
"""A service on the disk with a fake Docker engine, for the tests of restore points."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible.module_utils.restore.backups import Backup, Backups, Origin
from ansible.module_utils.restore.points import RestorePoint, RestorePoints, Subject
from ansible.module_utils.restore.record import Keep, Recorder
from ansible.module_utils.shared.docker import Docker

CONFIG = "config/infrastructure/valkey/valkey.conf"
FRAGMENT = "infrastructure/docker/services/valkey.yml"
SECRET = "valkey/password"
PROJECT = "trade2026-core"
IMAGE = "valkey/valkey:8.1.8-alpine"
KEEP = Keep(10, 90)


@dataclass
class Engine:
    """Answers the docker commands that restore points need."""

    # Id → tags.
    images: dict[str, set[str]] = field(default_factory=lambda: {"sha256:old": {IMAGE}})
    container: dict[str, Any] | None = None
    commands: list[tuple[str, ...]] = field(default_factory=list)

    def run(self, command: list[str], **_more: Any) -> tuple[int, str, str]:
        words = tuple(command[command.index("docker") + 1 :])
        self.commands.append(words)
        if words[:2] == ("container", "inspect"):
            return (0, json.dumps([self.container]), "") if self.container else (1, "", "no such container")
        if words[:2] == ("image", "inspect"):
            found = self.find(words[2])
            document = [{"Id": found, "RepoDigests": []}]
            return (0, json.dumps(document), "") if found else (1, "", "Error: No such image")
        if words[:2] == ("image", "tag"):
            found = self.find(words[2])
            if not found:
                return 1, "", f"No such image: {words[2]}"
            for tags in self.images.values():
                tags.discard(words[3])
            self.images[found].add(words[3])
            return 0, "", ""
        if words[:2] in (("container", "stop"), ("container", "start")):
            assert self.container
            self.container["State"]["Status"] = "exited" if words[1] == "stop" else "running"
            return 0, "", ""
        if words[0] == "logs":
            return 0, "2026-11-26T06:00:02Z Fatal config file error\n", ""
        if words[:2] == ("image", "rm"):
            found = self.find(words[2])
            self.images.get(found, set()).discard(words[2])
            return (0, "", "") if found else (1, "", "No such image")
        raise AssertionError(f"not expected: {words}")

    def find(self, name: str) -> str:
        return name if name in self.images else next((one for one, tags in self.images.items() if name in tags), "")

    def start(self, image_id: str = "sha256:old", health: str = "healthy", **state: Any) -> None:
        """A container of the image."""
        self.container = {
            "Id": "c1",
            "Image": image_id,
            "Created": "2026-11-26T06:00:00Z",
            "Config": {"Image": IMAGE, "Labels": {"com.docker.compose.project": PROJECT}},
            "State": {"Status": "running", "StartedAt": "2026-11-26T06:00:01Z", "Health": {"Status": health}, **state},
        }


@dataclass
class Service:
    """Valkey below a temporary root."""

    root: Path
    engine: Engine = field(default_factory=Engine)
    version: str = "8.1.8"
    data: tuple[str, ...] = ("data/valkey",)

    def __post_init__(self) -> None:
        self.write(CONFIG, "maxmemory 1gb\n")
        self.write(FRAGMENT, f"image: {IMAGE}\n")
        self.write(f"secrets/{SECRET}", "a-generated-password\n")

    @property
    def secrets(self) -> Path:
        return self.root / "secrets"

    @property
    def subject(self) -> Subject:
        return Subject(
            service="valkey",
            role="valkey",
            project=PROJECT,
            container="valkey",
            fragment=FRAGMENT,
            files=(CONFIG, FRAGMENT),
            secrets=(SECRET,),
            data=self.data,
            version=self.version,
        )

    @property
    def points(self) -> RestorePoints:
        return RestorePoints(self.root, "valkey")

    @property
    def backups_dir(self) -> Path:
        return self.root / ".trade2026/backups"

    @property
    def backups(self) -> Backups:
        return Backups(self.backups_dir, PROJECT, "valkey")

    def back_up(self, image_id: str = "sha256:old") -> Backup:
        """A backup of the data that the service's version wrote."""
        return self.backups.take(self.root, self.subject, Origin(IMAGE, image_id, self.version, "r1", "ada@desk"))

    @property
    def docker(self) -> Docker:
        return Docker(self.engine.run)

    @property
    def recorder(self) -> Recorder:
        return Recorder(self.root, self.secrets, self.subject, self.docker)

    def write(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def read(self, name: str) -> str:
        return (self.root / name).read_text(encoding="utf-8")

    def prove(self, image_id: str = "sha256:old", keep: Keep = KEEP) -> RestorePoint:
        """Record a good restore point, as a run does after verification."""
        self.engine.start(image_id)
        return self.recorder.proved(IMAGE, image_id, {"name": "valkey", "container": "valkey"}, keep)
