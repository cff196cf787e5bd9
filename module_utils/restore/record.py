# SPDX-License-Identifier: GPL-3.0-or-later
"""Record restore points: of the state before a change, and of a state that has been verified."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible.module_utils.deployment.journal import Journal, JournalError
from ansible.module_utils.deployment.model import digest
from ansible.module_utils.restore.points import (
    LiveFile,
    RestoreError,
    RestorePoint,
    RestorePoints,
    SavedImage,
    Status,
    Subject,
    differences,
    image_tag,
    new_point,
    of_files,
    read_live,
)
from ansible.module_utils.shared.docker import Docker, DockerError
from ansible.module_utils.shared.ownership import keeps_owners


@dataclass(frozen=True)
class Keep:
    """How many restore points of a service are kept, and for how many days."""

    count: int
    days: int


def owner_of(root: Path) -> dict[str, str]:
    """Run, plan and user of the run that is under way, from the journal; empty if there is none."""
    journal = Journal(root)
    try:
        holder = journal.owner()
    except JournalError:
        holder = None
    if holder is None:
        return {"run": "", "plan": "", "who": ""}
    begun = [entry.get("operations") for entry in journal.entries() if entry.get("event") == "begin"]
    return {"run": holder.run, "plan": digest(begun[-1]) if begun else "", "who": f"{holder.user}@{holder.controller}"}


def health_alone(subject: Subject) -> dict[str, Any]:
    """Probes for a state of which it is only known that its container was healthy."""
    return {"name": subject.service, "title": subject.service, "container": subject.container, "ports": {}}


class Recorder:
    """Records the restore points of one service."""

    def __init__(self, root: Path, secrets_root: Path, subject: Subject, docker: Docker) -> None:
        self.root = root
        self.secrets_root = secrets_root
        self.subject = subject
        self.docker = docker
        self.points = RestorePoints(root, subject.service)

    def before_change(self) -> RestorePoint | None:
        """Record the live state unless a restore point holds it already, so that an edit by hand is not lost."""
        live = self._live()
        newest, good = self.points.newest(), self.points.newest("good")
        if any(not of_files(self._differences(point, live, "")) for point in (good, newest) if point):
            return None
        found = self.docker.inspect("container", self.subject.container)
        if not found:
            # No container has run with these files.
            return None
        seen = found[self.subject.container]
        reason = "before a change; differs from the previous point" if newest else "before a change; the first point"
        healthy = (seen["State"].get("Health") or {}).get("Status") == "healthy"
        probe = health_alone(self.subject) if healthy else {}
        return self._record(live, str(seen["Config"]["Image"]), str(seen["Image"]), "recorded", reason, probe)

    def proved(self, image: str, image_id: str, probe: Mapping[str, Any], keep: Keep) -> RestorePoint:
        """Record the live state, which has just been verified, as good, unless that is recorded already."""
        live = self._live()
        newest, good = self.points.newest(), self.points.newest("good")
        if good is not None and not self._differences(good, live, image_id):
            point = good
        elif newest is not None and not self._differences(newest, live, image_id):
            point = self.points.mark_good(newest, probe)
        else:
            point = self._record(live, image, image_id, "good", "healthy, and every probe passed", probe)
        # Before the pruning, which may remove the point that an unfinished rollback names.
        self.points.end_rollback()
        if newest is None or point.number > newest.number:
            self._prune(keep)
        return point

    def _prune(self, keep: Keep) -> None:
        """Remove superfluous points with the tags of their images."""
        for point in self.points.superfluous(keep.count, keep.days):
            code, out, err = self.docker.attempt("image", "rm", point.image.tag)
            # The tag may be the last one of an image that a container uses; then the point stays as long as it does.
            if code == 0 or "no such image" in (err + out).lower():
                self.points.remove(point.number)

    def _live(self) -> list[LiveFile]:
        return read_live(self.root, self.secrets_root, self.subject)

    def _differences(self, point: RestorePoint, live: list[LiveFile], image_id: str) -> list[str]:
        return differences(point, live, image_id, owners=keeps_owners(self.root))

    def _record(
        self, live: list[LiveFile], image: str, image_id: str, status: Status, reason: str, probe: Mapping[str, Any]
    ) -> RestorePoint:
        tag = image_tag(self.subject.project, self.subject.service, self.points.next_number())
        try:
            self.docker.call("image", "tag", image_id, tag)
            digests = self.docker.inspect("image", image_id)[image_id].get("RepoDigests") or []
        except (DockerError, KeyError) as error:
            raise RestoreError(f"the image of {self.subject.service} cannot be kept: {error}") from error
        point = new_point(
            self.points,
            self.subject,
            live,
            SavedImage(image, image_id, tag, tuple(digests)),
            status,
            reason,
            owner_of(self.root),
            probe,
        )
        self.points.write(point, live)
        return point
