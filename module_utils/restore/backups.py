# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups: cold copies of a service's data directories, each with a manifest.

BACKUPS/SERVICE/NUMBER/manifest.json   what the backup holds, with a hash of every file
BACKUPS/SERVICE/NUMBER/data.tar.zst    the data directories

A backup is written to a temporary folder beside its final one and renamed, so that an incomplete one is never listed.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets as random
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from ansible.module_utils.core.atomic import make_directories
from ansible.module_utils.data_copy.in_use import processes_using
from ansible.module_utils.restore import archive
from ansible.module_utils.restore.archive import Listing, Member
from ansible.module_utils.restore.points import RestoreError, Subject, remove_unfinished
from ansible.module_utils.shared import fs
from ansible.module_utils.shared.ownership import Ownership
from ansible.module_utils.shared.sizes import human

MANIFEST = "manifest.json"
ARCHIVE = "data.tar.zst"
TIME = "%Y-%m-%dT%H:%M:%SZ"


@dataclass(frozen=True)
class Backup:
    """One backup of a service's data."""

    number: int
    service: str
    project: str
    # Data directories below the root.
    data: tuple[str, ...]
    # The image whose container wrote the data; empty if the service had no container.
    image: str
    image_id: str
    version: str
    taken_at: str
    # The run that took it, and who started that run.
    run: str
    who: str
    # Bytes in all files, and bytes of disk that they need at most.
    size: int
    allocated: int
    archive_size: int
    archive_sha256: str
    members: tuple[Member, ...]
    skipped: tuple[str, ...] = ()

    @property
    def files(self) -> int:
        """How many files it holds."""
        return sum(1 for member in self.members if member.kind == "file")

    @property
    def text(self) -> str:
        """Its name in a message."""
        return f"backup {self.number} of {self.taken_at}"

    def holds(self, version: str, image_id: str) -> bool:
        """Whether the data is of that version or image."""
        return bool(self.image_id) and (self.image_id == image_id or (bool(version) and self.version == version))


@dataclass(frozen=True)
class Origin:
    """Which image wrote the data that is backed up, and who backs it up."""

    image: str
    image_id: str
    version: str
    run: str
    who: str


def why_not_fresh(backup: Backup, running_image_id: str, fresh_s: int, now: datetime | None = None) -> str:
    """Why a change of version may not rely on the backup; empty for a fresh one.

    A backup is fresh if its image still runs, and if it is not older than `fresh_s` seconds.
    """
    if not running_image_id or backup.image_id != running_image_id:
        return f"it is of version {backup.version or 'unknown'}, and another image runs now"
    age = ((now or datetime.now(UTC)) - datetime.strptime(backup.taken_at, TIME).replace(tzinfo=UTC)).total_seconds()
    if age < -1:
        return "its time is in the future; check the machine's clock"
    if age > fresh_s:
        return f"it is {_period(age)} old, and core_backup_fresh_s allows {_period(fresh_s)}"
    return ""


def _period(seconds: float) -> str:
    return f"{seconds / 60:.0f} minutes" if seconds < 7200 else f"{seconds / 3600:.1f} hours"


class Backups:
    """The backups of one service."""

    def __init__(self, folder: Path, project: str, service: str) -> None:
        self.project = project
        self.service = service
        self.folder = folder / service

    def numbers(self) -> list[int]:
        """The numbers that are in use, also those of damaged backups, in ascending order."""
        with contextlib.suppress(FileNotFoundError):
            return sorted(int(entry.name) for entry in self.folder.iterdir() if entry.name.isdecimal())
        return []

    def read(self, number: int) -> Backup:
        """Read a backup; raises RestoreError unless its manifest is intact and its archive has the right size."""
        folder = self.folder / str(number)
        try:
            content = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
            backup = _backup_of(content)
            size = (folder / ARCHIVE).stat().st_size
        except FileNotFoundError as error:
            if not folder.exists():
                known = ", ".join(map(str, self.numbers())) or "none"
                raise RestoreError(f"{self.service} has no backup {number}; it has {known}") from None
            raise RestoreError(self._damaged(number, f"{Path(str(error.filename)).name} is missing")) from None
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise RestoreError(self._damaged(number, f"{MANIFEST} cannot be read ({error})")) from None
        if content.get("checksum") != _checksum(content):
            raise RestoreError(self._damaged(number, f"{MANIFEST} does not match its checksum"))
        if (backup.project, backup.service) != (self.project, self.service):
            raise RestoreError(
                f"backup {number} in {self.folder} is of {backup.service} of the project {backup.project}, and is not "
                f"used for {self.service} of {self.project}; set a separate core_backups_dir for each deployment"
            )
        if size != backup.archive_size:
            raise RestoreError(self._damaged(number, f"{ARCHIVE} has {size} bytes instead of {backup.archive_size}"))
        return backup

    def readable(self) -> tuple[list[Backup], dict[int, str]]:
        """The intact backups in ascending order, and why each of the others is not used."""
        backups, damaged = [], {}
        for number in self.numbers():
            try:
                backups.append(self.read(number))
            except RestoreError as error:
                damaged[number] = str(error)
        return backups, damaged

    def newest(self) -> Backup | None:
        """The newest intact backup."""
        for number in reversed(self.numbers()):
            with contextlib.suppress(RestoreError):
                return self.read(number)
        return None

    def newest_of(self, version: str, image_id: str) -> Backup | None:
        """The newest intact backup of the data of a version or image."""
        return next((one for one in reversed(self.readable()[0]) if one.holds(version, image_id)), None)

    def archive(self, number: int) -> Path:
        """The archive of a backup."""
        return self.folder / str(number) / ARCHIVE

    def verify(self, backup: Backup) -> None:
        """Compare the whole archive with the manifest; raises RestoreError."""
        try:
            archive.verify(self.archive(backup.number), backup.archive_sha256, backup.members)
        except RestoreError as error:
            raise RestoreError(self._damaged(backup.number, str(error))) from None

    def unpack(self, backup: Backup, places: Mapping[str, Path]) -> None:
        """Unpack data directory → new place. Raises RestoreError or OSError, after removing what was unpacked."""
        try:
            archive.unpack(self.archive(backup.number), backup.archive_sha256, backup.members, places)
        except BaseException as error:
            for place in places.values():
                shutil.rmtree(place, ignore_errors=True)
            if isinstance(error, RestoreError):
                raise RestoreError(self._damaged(backup.number, str(error))) from None
            raise

    def take(self, root: Path, subject: Subject, origin: Origin) -> Backup:
        """Back up the data directories as they are. Raises RestoreError or OSError, and then leaves nothing behind."""
        require_directories(root, subject)
        listing = archive.scan(root, subject.data)
        self.require_space(listing)
        if users := processes_using((seen.st_dev, seen.st_ino) for seen in listing.files):
            # Such as a container of the service that somebody renamed.
            raise RestoreError(
                f"the data of {subject.service} is still in use: {'; '.join(users)}. End that, then run again; no "
                "backup was taken"
            )
        number = max(self.numbers(), default=0) + 1
        make_directories(self.folder, 0o700)
        remove_unfinished(self.folder)
        temporary = self.folder / f".{number}.{random.token_hex(4)}"
        temporary.mkdir(mode=0o700)
        try:
            backup = _written(temporary, number, root, subject, origin, listing)
            temporary.rename(self.folder / str(number))
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        fs.sync(self.folder)
        return backup

    def require_space(self, listing: Listing, reserved: int = 0) -> None:
        """Raise RestoreError unless the disk of the backups has room for a copy of the data and `reserved` bytes."""
        require_space(self.folder, listing.allocated + reserved, f"a backup of {self.service}")

    def prune(self, keep: int) -> list[int]:
        """Remove all but the newest `keep` intact backups; returns their numbers. Damaged ones stay."""
        backups, _damaged = self.readable()
        gone = [backup.number for backup in backups[: -max(1, keep)]]
        for number in gone:
            away = self.folder / f".removed-{number}"
            (self.folder / str(number)).rename(away)
            shutil.rmtree(away)
        return gone

    def _damaged(self, number: int, why: str) -> str:
        return f"backup {number} of {self.service} is damaged and is not used: {why} in {self.folder / str(number)}"


def require_directories(root: Path, subject: Subject) -> None:
    """Raise RestoreError unless all data directories exist: a backup of some of them could not be restored."""
    missing = [str(root / name) for name in subject.data if not (root / name).is_dir()]
    if missing:
        raise RestoreError(
            f"the data of {subject.service} is incomplete, because {', '.join(missing)} is not a directory. Mount its "
            "disk or correct the path, then run again; no backup was taken"
        )


def require_space(folder: Path, needed: int, purpose: str) -> None:
    """Raise RestoreError unless the file system of the folder (or of its nearest parent) has enough free bytes."""
    place = next(one for one in (folder, *folder.parents) if one.exists())
    free = shutil.disk_usage(place).free
    if needed > free:
        raise RestoreError(
            f"{purpose} may need {human(needed)}, and {human(free)} are free in {place}. Free some space there; "
            "nothing was changed"
        )


class _Hashing:
    """Writes to a file and hashes what was written."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.sha256 = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes) -> int:
        self.sha256.update(data)
        self.size += len(data)
        return self._file.write(data)

    def flush(self) -> None:
        self._file.flush()


def _written(folder: Path, number: int, root: Path, subject: Subject, origin: Origin, listing: Listing) -> Backup:
    """Write archive and manifest to the folder, and force them to the disk."""
    handle = os.open(folder / ARCHIVE, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with fs.located(folder / ARCHIVE), os.fdopen(handle, "wb") as file:
        stream = _Hashing(file)
        members = archive.pack(root, listing, stream)
        file.flush()
        os.fsync(file.fileno())
    if archive.scan(root, subject.data).fingerprint() != listing.fingerprint():
        raise RestoreError(
            f"the data of {subject.service} changed while it was copied: something other than the service writes to "
            f"{', '.join(subject.data)}. Stop that, then run again; no backup was kept"
        )
    backup = Backup(
        number=number,
        service=subject.service,
        project=subject.project,
        data=tuple(archive.outermost(subject.data)),
        **asdict(origin),
        taken_at=datetime.now(UTC).strftime(TIME),
        size=listing.size,
        allocated=listing.allocated,
        archive_size=stream.size,
        archive_sha256=stream.sha256.hexdigest(),
        members=tuple(members),
        skipped=listing.skipped,
    )
    content = json.loads(json.dumps(asdict(backup)))
    content["checksum"] = _checksum(content)
    fs.write_file(folder / MANIFEST, f"{json.dumps(content)}\n".encode(), Ownership(mode=0o600))
    return backup


def _backup_of(content: Mapping[str, Any]) -> Backup:
    values = {key: value for key, value in content.items() if key != "checksum"}
    lists = {key: tuple(values[key]) for key in ("data", "skipped")}
    members = tuple(Member(**member) for member in values["members"])
    datetime.strptime(values["taken_at"], TIME)
    return Backup(**{**values, **lists, "members": members})


def _checksum(content: Mapping[str, Any]) -> str:
    values = {key: value for key, value in content.items() if key != "checksum"}
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def refuse_folder(folder: Path, root: Path, data: Mapping[str, Sequence[str]], forbidden: Sequence[Path]) -> str:
    """Why backups may not be kept in the folder; empty if they may. `data` is service → its data directories."""
    real = folder.resolve()
    for service, directories in data.items():
        for name in directories:
            live, own = (root / name).resolve(), (folder / service).resolve()
            if real.is_relative_to(live):
                return f"core_backups_dir: {folder} is inside the data that it would back up, {root / name}"
            if live.is_relative_to(own) or own.is_relative_to(live):
                return (
                    f"core_backups_dir: the backups of {service} would be in {folder / service}, together with its "
                    f"data in {root / name}; choose another folder"
                )
    for other in forbidden:
        if real.is_relative_to(other.resolve()):
            return f"core_backups_dir: {folder} is inside {other}, which must not be changed"
    if not real.is_relative_to(root.resolve()) and not real.is_dir():
        return f"core_backups_dir: {folder} does not exist; mount its disk, or create it (mode 0700, owner root)"
    return ""
