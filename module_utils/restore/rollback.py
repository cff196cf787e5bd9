# SPDX-License-Identifier: GPL-3.0-or-later
"""Return a service to a restore point: decide whether that is possible, and put its files and its image back."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible.module_utils.core import atomic
from ansible.module_utils.deployment.engine import moment
from ansible.module_utils.probes.causes import Strain, likely_cause
from ansible.module_utils.probes.container import Log, parse, read_log
from ansible.module_utils.restore.backups import Backup
from ansible.module_utils.restore.classes import RollbackClass, rollback_class
from ansible.module_utils.restore.points import (
    RestoreError,
    RestorePoint,
    RestorePoints,
    SavedFile,
    Subject,
    differences,
    now,
    read_live,
)
from ansible.module_utils.shared.docker import Docker
from ansible.module_utils.shared.fs import replace_file, write_file
from ansible.module_utils.shared.masking import Mask, secrets_below
from ansible.module_utils.shared.ownership import Ownership, keeps_owners

# Lines of the failed container's log that the message shows, and that are kept in a file.
SHOWN_LINES = 8
KEPT_LINES = 1000


@dataclass(frozen=True)
class Refusal:
    """Why a service is not rolled back, and whether its container has to be stopped."""

    why: str
    stop: bool


@dataclass(frozen=True)
class Failed:
    """The state that failed: its container, and the version that it ran."""

    version: str
    # The output of `docker container inspect`; empty if there is no container.
    container: Mapping[str, Any]

    @property
    def image_id(self) -> str:
        return str(self.container.get("Image", ""))


def data_changed(root: Path, directories: Sequence[str], since: float) -> str:
    """The first file below the data directories that was written after `since`; empty for none."""
    for name in directories:
        for folder, folders, files in os.walk(root / name):
            for entry in [*folders, *files]:
                path = os.path.join(folder, entry)  # noqa: PTH118 - a tree of data may have very many entries
                try:
                    if os.lstat(path).st_ctime > since:
                        return path
                except FileNotFoundError:
                    continue
    return ""


def refuse(
    point: RestorePoint | None, failed: Failed, root: Path, by_hand: bool, backup: Backup | None = None
) -> Refusal | None:
    """Why the service cannot go back to the point with its data kept; None if it can.

    `backup` has data that the point's version reads; the refusal says how to return to it.
    """
    if point is None and by_hand:
        return Refusal("It has no good restore point to return to. It was not changed.", stop=False)
    if point is None:
        return Refusal(
            "It has no good restore point, as on a first deployment, so there is nothing to return to. Its container "
            "is stopped; its data and its log are kept.",
            stop=True,
        )
    found = class_of(point, failed.version)
    if found.kind in ("image_only", "unknown"):
        return None
    # The class does not matter as long as the newer version has not written anything.
    written = _written(point, failed, root)
    if not written:
        return None
    why = (
        f"It is not returned to restore point {point.number}: version {failed.version} has written its data "
        f"({written}), and version {point.subject.version} cannot use that ({found.reason}; {found.source}). "
    )
    if not by_hand:
        why += "Its container is stopped; nothing is deleted. "
    if backup:
        why += f"Correct the newer version, or return to the data of {backup.text}:\n{return_command(point, backup)}"
    elif by_hand:
        why += "Restore a backup of the data first, or correct the newer version."
    else:
        why += "Correct the newer version, or restore a backup of the data and deploy the older version."
    return Refusal(why, stop=not by_hand)


def return_command(point: RestorePoint, backup: Backup) -> str:
    """The command that returns a service to a restore point with the data of a backup."""
    name = point.subject.service
    return (
        f"  ansible-playbook playbooks/rollback.yml --limit {name} -e core_restore_point={point.number} "
        f"-e core_backup={backup.number} -e rollback_data_of={name}\n"
        f"What was written since {backup.taken_at} is then no longer in use; it stays beside the data directory."
    )


def class_of(point: RestorePoint, version: str) -> RollbackClass:
    """What a rollback from a version to the point requires."""
    if not point.subject.data:
        return RollbackClass("image_only", "the service keeps no data", "the service's role")
    return rollback_class(point.subject.role, point.subject.version, version)


def _written(point: RestorePoint, failed: Failed, root: Path) -> str:
    """How it is known that the failed version has written data; empty if it has not."""
    if failed.image_id in ("", point.image.id):
        return ""
    points, _damaged = RestorePoints(root, point.subject.service).readable()
    verified = [one.number for one in points if one.status == "good" and one.image.id == failed.image_id]
    if verified:
        return f"it passed its probes as restore point {verified[-1]}"
    state = failed.container.get("State") or {}
    started, finished = (moment(str(state.get(key) or "")) for key in ("StartedAt", "FinishedAt"))
    if not started:
        return ""
    # Compose creates a container before it stops the previous one, so the time of its first start is preferred.
    again = failed.container.get("RestartCount") or 0 < finished < started
    began = moment(str(failed.container["Created"])) if again else started
    if began > time.time():
        return "the clock was set back after its start, so this cannot be seen from the times of the files"
    return data_changed(root, point.subject.data, began)


class Rollback:
    """A rollback of one service to a restore point."""

    def __init__(self, root: Path, secrets_root: Path, docker: Docker, point: RestorePoint) -> None:
        self.root = root
        self.secrets_root = secrets_root
        self.docker = docker
        self.point = point
        self.points = RestorePoints(root, point.subject.service)
        self.done: list[str] = []

    def carry_out(self, declared_files: Sequence[str]) -> None:
        """Put the files, the secrets and the image back.

        Files that the point lacks are moved away: `declared_files`, and those of other restore points.
        """
        self.ensure_image()
        points, _damaged = self.points.readable()
        others = {name for point in points for name in point.of_place("files")}
        for file in self.point.files:
            self._put_back(file)
        for name in sorted({*declared_files, *others} - set(self.point.of_place("files"))):
            path = self.root / name
            if path.is_file():
                atomic.back_up(path, self.root)
                path.unlink()
                self.done.append(f"{name} moved to .trade2026/replaced")

    def ensure_image(self) -> None:
        """Make the reference in the fragment lead to the point's image; raises RestoreError."""
        image = self.point.image
        found = self.docker.inspect("image", image.reference)
        if found and found[image.reference]["Id"] == image.id:
            return
        if not self.docker.inspect("image", image.id) and not self._pulled():
            raise RestoreError(
                f"the image of restore point {self.point.number} ({image.reference}, {image.id[:19]}) is no longer on "
                "the machine: somebody removed it (`docker image prune --all` removes every image that no container "
                "uses). Load or build it again, then run playbooks/rollback.yml"
            )
        if "@" in image.reference:
            raise RestoreError(
                f"the image of restore point {self.point.number} is on the machine as {image.tag}, but its digest "
                f"{image.reference} is unknown; pull it (`docker pull {image.reference}`), then run "
                "playbooks/rollback.yml"
            )
        self.docker.call("image", "tag", image.id, image.reference)
        self.done.append(f"image {image.reference}")

    def _pulled(self) -> bool:
        """Whether a registry had the image under one of its digests."""
        for digest in self.point.image.digests:
            code, _out, _err = self.docker.attempt("pull", "--quiet", digest, timeout_s=600)
            if code == 0 and self.docker.inspect("image", self.point.image.id):
                return True
        return False

    def _put_back(self, file: SavedFile) -> None:
        base = self.root if file.place == "files" else self.secrets_root
        path, data = base / file.path, self.points.content(self.point, file)
        ownership = Ownership(file.uid, file.gid, file.mode)
        if path.is_file() and path.read_bytes() == data:
            if keeps_owners(path) and ownership.apply(path):
                self.done.append(f"owner of {file.path}")
            return
        if path.exists():
            atomic.back_up(path, base)
        atomic.make_directories(path.parent)
        replace_file(path, data, ownership)
        self.done.append(f"{'secret ' if file.place == 'secrets' else ''}{file.path}")


def unchanged(root: Path, secrets_root: Path, point: RestorePoint, container: Mapping[str, Any]) -> bool:
    """Whether files and image already are those of the point, so that a rollback would change nothing."""
    live = read_live(root, secrets_root, point.subject)
    image_id = str(container.get("Image", ""))
    return bool(image_id) and not differences(point, live, image_id, owners=False)


def runs(root: Path, secrets_root: Path, point: RestorePoint, container: Mapping[str, Any]) -> bool:
    """Whether the point's state is running and healthy, and no rollback to it is unfinished."""
    health = ((container.get("State") or {}).get("Health") or {}).get("Status")
    marker = RestorePoints(root, point.subject.service).marker
    return health == "healthy" and not marker.exists() and unchanged(root, secrets_root, point, container)


def fragment_digest(root: Path, subject: Subject) -> str:
    """Identifies what is deployed: the fragment names the image and has the hash of the configuration."""
    try:
        return hashlib.sha256((root / subject.fragment).read_bytes()).hexdigest()
    except FileNotFoundError:
        return ""


def evidence(docker: Docker, name: str, points: RestorePoints, secrets_root: Path, failure: str) -> str:
    """Why the state failed, as text: the message, the last log lines, and where the log is kept.

    `name` is that of the container. Called before the secrets are put back, so that the current ones are masked.
    """
    found = docker.inspect("container", name)
    container = parse(name, found[name]) if found else None
    written = read_log(docker, name, KEPT_LINES) if container else Log()
    log = list(written.lines)
    text = failure.strip()
    if "Likely cause:" not in text:
        strain = Strain.now(written.age_s)
        cause = likely_cause(None, text, container, log[-SHOWN_LINES:], strain=strain)
        text = f"{text.rstrip('.')}. Likely cause: {cause.what}. Do: {cause.remedy}."
    if log:
        kept = points.folder / "failed.log"
        points.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_file(kept, f"{now()} {failure.strip()}\n{chr(10).join(log)}\n".encode(), Ownership(mode=0o600))
        known, unreadable = secrets_below(secrets_root)
        lines = ["(its log may hold secrets that cannot be masked)"] if unreadable else log[-SHOWN_LINES:]
        text += "\nIts last log lines:\n" + Mask(known).output("\n".join(f"  {line}" for line in lines))
        text += f"\nThe whole log: {kept}"
    return text
