# SPDX-License-Identifier: GPL-3.0-or-later
"""The restore points and backups of a machine's services: what each holds, and what a rollback to it would mean."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible.module_utils.restore.backups import Backup, Backups
from ansible.module_utils.restore.points import (
    RestoreError,
    RestorePoint,
    RestorePoints,
    differences,
    read_live,
)
from ansible.module_utils.restore.rollback import class_of, runs
from ansible.module_utils.shared.docker import Docker
from ansible.module_utils.shared.ownership import keeps_owners
from ansible.module_utils.shared.sizes import human, in_files

# The text that is shown for each class of a rollback.
MEANING = {
    "image_only": "reads the data",
    "image_and_data": "needs a backup of the data",
    "impossible": "cannot be returned to, because of the data",
    "unknown": "not known whether it reads the data",
}


class Listing:
    """The restore points of several services, compared with what runs."""

    def __init__(self, params: Mapping[str, Any], run_command: Callable[..., tuple[int, str, str]]) -> None:
        """`params` are those of the module `core_restore`."""
        self.params = params
        self.root = root = Path(params["root"])
        self.secrets_root = Path(params["secrets_root"])
        self.number: int = params["point"]
        self.services: Sequence[Mapping[str, Any]] = params["services"]
        services = self.services
        docker = Docker(run_command)
        self.containers = docker.inspect("container", *(service["container"] for service in services))
        self.points = {service["name"]: RestorePoints(root, service["name"]) for service in services}
        self.read = {name: points.readable() for name, points in self.points.items()}
        folder, project = Path(params["backups_dir"]), params["project"]
        self.backups = {service["name"]: Backups(folder, project, service["name"]) for service in services}
        self.images = docker.inspect(
            "image", *dict.fromkeys(point.image.id for points, _damaged in self.read.values() for point in points)
        )

    def target(self, name: str) -> RestorePoint | None:
        """The point that a rollback of the service takes; raises RestoreError if the named one cannot be used."""
        return self.points[name].read(self.number) if self.number else self.points[name].newest("good")

    def targets(self) -> dict[str, int]:
        """Service → number of the point that a rollback takes, for those that have one and do not run it already."""
        found = {}
        for service in self.services:
            point = self.target(service["name"])
            container = self.containers.get(service["container"]) or {}
            if point and (self.params["restore_data"] or not runs(self.root, self.secrets_root, point, container)):
                found[service["name"]] = point.number
        return found

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        found = {}
        for service in self.services:
            name = service["name"]
            points, damaged = self.read[name]
            container = self.containers.get(service["container"]) or {}
            damages = [damaged[number] for number in sorted(damaged)]
            try:
                interrupted = int(self.points[name].rollback().get("point", 0))
            except RestoreError as error:
                interrupted = 0
                damages.append(str(error))
            target = self.target(name)
            backups, unusable = self.backups[name].readable()
            rows = [self._backup_row(self.backups[name], backup) for backup in backups]
            damages += [unusable[number] for number in sorted(unusable)]
            damages += [row["damage"] for row in rows if row["damage"]]
            found[name] = {
                "backups": rows,
                "target_backup": self.target_backup(name),
                "points": [self._row(point, points, container) for point in points],
                "damaged": damages,
                "target": target.number if target else 0,
                "interrupted": interrupted,
            }
        return found

    def target_backup(self, name: str) -> dict[str, Any]:
        """The backup whose data goes back with the target; empty without consent or without such a backup."""
        target = self.target(name)
        if not target or not self.params["restore_data"]:
            return {}
        backups, number = self.backups[name], self.params["backup"]
        found = backups.read(number) if number else backups.newest_of(target.subject.version, target.image.id)
        return {"number": found.number, "taken_at": found.taken_at, "size": human(found.size)} if found else {}

    def _backup_row(self, backups: Backups, backup: Backup) -> dict[str, Any]:
        damage = ""
        if self.params["verify_backups"]:
            try:
                backups.verify(backup)
            except RestoreError as error:
                damage = str(error)
        return {
            "number": backup.number,
            "taken_at": backup.taken_at,
            "who": backup.who,
            "version": backup.version,
            "image": backup.image,
            "size": in_files(backup.size, backup.files),
            "archive_size": human(backup.archive_size),
            "archive": str(backups.archive(backup.number)),
            "verified": self.params["verify_backups"] and not damage,
            "damage": damage,
        }

    def _row(self, point: RestorePoint, points: Sequence[RestorePoint], container: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "number": point.number,
            "status": point.status,
            "recorded_at": point.recorded_at,
            "good_at": point.good_at,
            "who": point.who,
            "run": point.run,
            "plan": point.plan,
            "reason": point.reason,
            "image": point.image.reference,
            "version": point.subject.version,
            "changes": list(point.changes),
            "return": self._return(point, points, container),
        }

    def _return(self, point: RestorePoint, points: Sequence[RestorePoint], container: Mapping[str, Any]) -> str:
        """What a rollback to the point would mean."""
        live = read_live(self.root, self.secrets_root, point.subject)
        image_id = str(container.get("Image", ""))
        changed = differences(point, live, image_id, owners=keeps_owners(self.root))
        if not image_id:
            changed.append("there is no container")
        if not changed:
            return "this is what runs"
        text = ", ".join(changed)
        if point.image.id not in self.images:
            text += "; its image is no longer on the machine"
        if image_id and image_id != point.image.id:
            running = next((other.subject.version for other in reversed(points) if other.image.id == image_id), "")
            found = class_of(point, running)
            text += (
                f"; version {point.subject.version or 'unknown'} {MEANING[found.kind]} of what runs ({found.reason})"
            )
        return text
