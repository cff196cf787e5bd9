# SPDX-License-Identifier: GPL-3.0-or-later
"""Restore points: saved states of a service, kept on its machine so that the service can return to them.

ROOT/.trade2026/restore_points/SERVICE/NUMBER/manifest.json   what the point holds, with a hash of every file
ROOT/.trade2026/restore_points/SERVICE/NUMBER/files/…         rendered files and Compose fragment, below ROOT
ROOT/.trade2026/restore_points/SERVICE/NUMBER/secrets/…       secrets, below the secrets root
ROOT/.trade2026/restore_points/SERVICE/rollback.json          the rollback that is under way

A point is written to a temporary folder beside its own and renamed, and is verified whenever it is read.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import os
import re
import secrets as random
import shutil
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from ansible.module_utils.shared.fs import located, sync, write_file
from ansible.module_utils.shared.ownership import Ownership

FOLDER = Path(".trade2026/restore_points")
MANIFEST = "manifest.json"
Status = Literal["recorded", "good"]
# Whether a saved file belongs below the root or the secrets root. Also the name of its folder in the point.
Place = Literal["files", "secrets"]
# Folders with a number that are being written, or are being removed.
_UNFINISHED = re.compile(r"\.(\d+\.[0-9a-f]{8}|removed-\d+)")


class RestoreError(Exception):
    """A restore point cannot be read, written or used; the text is a message for the user."""


@dataclass(frozen=True)
class Subject:
    """The parts of a service that a restore point holds, and the service's name."""

    # Name of the service and of the role that describes it.
    service: str
    role: str
    project: str
    container: str
    # Files below the root; the Compose fragment is one of them.
    fragment: str
    files: tuple[str, ...]
    # Files below the secrets root.
    secrets: tuple[str, ...]
    # Data directories below the root.
    data: tuple[str, ...]
    # Version of the image.
    version: str = ""
    # Seconds until the service must be verified.
    ready_timeout_s: float = 120

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Subject:
        """From plain data."""
        lists = {key: tuple(values[key]) for key in ("files", "secrets", "data")}
        names = (*lists["files"], *lists["secrets"])
        outside = [path for path in names if path.startswith("/") or ".." in path.split("/")]
        if outside:
            raise RestoreError(f"a restore point holds only what is below the root, not {', '.join(outside)}")
        return cls(**{**values, **lists})


@dataclass(frozen=True)
class SavedFile:
    """A file of a restore point."""

    place: Place
    path: str
    # HMAC-SHA-256 of the content with the point's salt: a plain hash would reveal a weak secret.
    digest: str
    uid: int
    gid: int
    mode: int


@dataclass(frozen=True)
class SavedImage:
    """The image that the service ran."""

    reference: str
    id: str
    # Tag that keeps the image when its other tags move.
    tag: str
    # Digests in a registry, `NAME@sha256:…`.
    digests: tuple[str, ...] = ()


@dataclass(frozen=True)
class RestorePoint:
    """One recorded state of a service."""

    number: int
    subject: Subject
    status: Status
    # Why it was recorded.
    reason: str
    recorded_at: str
    # The run that created the state, its plan and its user; empty if no run did.
    run: str
    plan: str
    who: str
    image: SavedImage
    salt: str
    files: tuple[SavedFile, ...]
    # What differs from the previous restore point.
    changes: tuple[str, ...] = ()
    good_at: str = ""
    # The probes that the state passed, as an entry of `service_probe`.
    probe: Mapping[str, Any] = field(default_factory=dict)

    def of_place(self, place: Place) -> dict[str, SavedFile]:
        """Path → file of one place."""
        return {file.path: file for file in self.files if file.place == place}


@dataclass(frozen=True)
class LiveFile:
    """A file as it is on the disk."""

    place: Place
    path: str
    data: bytes
    uid: int
    gid: int
    mode: int

    def saved(self, salt: str) -> SavedFile:
        """As a manifest lists it."""
        return SavedFile(self.place, self.path, digest_of(self.data, salt), self.uid, self.gid, self.mode)


def digest_of(data: bytes, salt: str) -> str:
    """The HMAC that identifies a file's content within one restore point."""
    return hmac.new(salt.encode(), data, hashlib.sha256).hexdigest()


def image_tag(project: str, service: str, number: int) -> str:
    """The tag that keeps a restore point's image. It names the project, so that two deployments do not share one."""
    return f"localhost/trade2026/restore/{project}/{service}:{number}".lower()


def read_live(root: Path, secrets_root: Path, subject: Subject) -> list[LiveFile]:
    """The service's files that exist."""
    found = []
    places: list[tuple[Place, Path, Iterable[str]]] = [
        ("files", root, subject.files),
        ("secrets", secrets_root, subject.secrets),
    ]
    for place, base, names in places:
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                seen = (base / name).stat()
                data = (base / name).read_bytes()
                found.append(LiveFile(place, name, data, seen.st_uid, seen.st_gid, stat.S_IMODE(seen.st_mode)))
    return found


def differences(point: RestorePoint, live: Iterable[LiveFile], image_id: str, owners: bool = True) -> list[str]:
    """What differs between the service and the restore point; secrets are compared by their content only."""
    seen = {(file.place, file.path): file.saved(point.salt) for file in live}
    saved = {(file.place, file.path): file for file in point.files}
    found = []
    for key in sorted(seen.keys() | saved.keys()):
        now, then = seen.get(key), saved.get(key)
        name = f"secret {key[1]}" if key[0] == "secrets" else key[1]
        if now is None or then is None:
            found.append(f"{name} {'is missing' if now is None else 'is new'}")
        elif now.digest != then.digest:
            found.append(f"{name} differs")
        elif owners and key[0] == "files" and (now.uid, now.gid, now.mode) != (then.uid, then.gid, then.mode):
            found.append(f"{name} has another owner or mode")
    if image_id and image_id != point.image.id:
        found.append("the image differs")
    return found


def of_files(found: Iterable[str]) -> list[str]:
    """The differences without those of secrets, which a run replaces before it writes any file."""
    return [line for line in found if not line.startswith("secret ")]


class RestorePoints:
    """The restore points of one service."""

    def __init__(self, root: Path, service: str) -> None:
        self.root = root
        self.service = service
        self.folder = root / FOLDER / service
        self.marker = self.folder / "rollback.json"

    def numbers(self) -> list[int]:
        """The numbers in use, including those of damaged points, in ascending order."""
        with contextlib.suppress(FileNotFoundError):
            return sorted(int(entry.name) for entry in self.folder.iterdir() if entry.name.isdecimal())
        return []

    def read(self, number: int) -> RestorePoint:
        """A restore point, verified; raises RestoreError."""
        folder = self.folder / str(number)
        try:
            content = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
            point = _point_of(content)
        except FileNotFoundError:
            if folder.exists():
                raise RestoreError(self._damaged(number, f"{MANIFEST} is missing")) from None
            raise RestoreError(f"{self.service} has no restore point {number}; it has {self._known()}") from None
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise RestoreError(self._damaged(number, f"{MANIFEST} cannot be read ({error})")) from None
        if content.get("checksum") != _checksum(content):
            raise RestoreError(self._damaged(number, f"{MANIFEST} does not match its checksum"))
        for file in point.files:
            try:
                data = (folder / file.place / file.path).read_bytes()
            except OSError as error:
                raise RestoreError(
                    self._damaged(number, f"{file.place}/{file.path} cannot be read ({error.strerror})")
                ) from None
            if digest_of(data, point.salt) != file.digest:
                raise RestoreError(self._damaged(number, f"{file.place}/{file.path} does not match its hash"))
        return point

    def readable(self) -> tuple[list[RestorePoint], dict[int, str]]:
        """The intact points in ascending order, and why each of the others is damaged."""
        points, damaged = [], {}
        for number in self.numbers():
            try:
                points.append(self.read(number))
            except RestoreError as error:
                damaged[number] = str(error)
        return points, damaged

    def newest(self, status: Status | None = None) -> RestorePoint | None:
        """The newest intact point, of one status if it is given."""
        for number in reversed(self.numbers()):
            with contextlib.suppress(RestoreError):
                point = self.read(number)
                if status is None or point.status == status:
                    return point
        return None

    def version_of(self, image_id: str) -> str:
        """The version of an image, from the newest restore point with it; empty if none has it."""
        points, _damaged = self.readable()
        return next((point.subject.version for point in reversed(points) if point.image.id == image_id), "")

    def content(self, point: RestorePoint, file: SavedFile) -> bytes:
        """The saved content of a file."""
        return (self.folder / str(point.number) / file.place / file.path).read_bytes()

    def next_number(self) -> int:
        """The number of the next restore point."""
        return max(self.numbers(), default=0) + 1

    def write(self, point: RestorePoint, live: Iterable[LiveFile]) -> None:
        """Store a point: write it to a temporary folder, then rename that to its number."""
        _private(self.folder, self.root)
        remove_unfinished(self.folder)
        temporary = self.folder / f".{point.number}.{random.token_hex(4)}"
        temporary.mkdir(mode=0o700)
        try:
            for file in live:
                target = temporary / file.place / file.path
                _private(target.parent, temporary)
                _store(target, file.data)
            _store(temporary / MANIFEST, _manifest(point))
            for folder, _folders, _files in os.walk(temporary):
                sync(folder)
            temporary.rename(self.folder / str(point.number))
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        sync(self.folder)

    def mark_good(self, point: RestorePoint, probe: Mapping[str, Any]) -> RestorePoint:
        """The point with the status good; its manifest is replaced."""
        good = replace(point, status="good", good_at=now(), probe=dict(probe))
        write_file(self.folder / str(point.number) / MANIFEST, _manifest(good), Ownership(mode=0o600))
        return good

    def superfluous(self, keep: int, days: int) -> list[RestorePoint]:
        """The points to remove: beyond the newest `keep`, or older than `days`; never the last good one.

        The good one before it is kept whatever its age, because a service that has just been changed for the first time
        in months may have to return to it.
        """
        points, _damaged = self.readable()
        good = [point.number for point in points if point.status == "good"]
        oldest = (datetime.now(UTC) - timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%SZ")
        kept = {point.number for point in points[-keep:] if point.recorded_at >= oldest or point.number in good[-2:]}
        kept |= set(good[-1:])
        return [point for point in points if point.number not in kept]

    def remove(self, number: int) -> None:
        """Remove a point; a killed removal leaves no half of one under its number."""
        gone = self.folder / f".removed-{number}"
        (self.folder / str(number)).rename(gone)
        shutil.rmtree(gone)

    def begin_rollback(self, content: Mapping[str, Any]) -> None:
        """Note which rollback is under way, before anything is changed."""
        _private(self.folder, self.root)
        write_file(self.marker, f"{json.dumps(dict(content))}\n".encode(), Ownership(mode=0o600))

    def rollback(self) -> dict[str, Any]:
        """The rollback that is under way or was interrupted; empty for none."""
        try:
            content = json.loads(self.marker.read_text(encoding="utf-8"))
            keys = ("point", "run", "began", "failure", "declared", "by_hand")
            # The data directories of a backup that goes into their place, if data goes back too.
            return {**{key: content[key] for key in keys}, "data": content.get("data") or {}}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, KeyError, TypeError):
            raise RestoreError(
                f"{self.marker} is damaged; `ansible-playbook playbooks/rollback.yml --limit {self.service}` completes "
                "the rollback. Do not remove the file before that, because data may have to be moved to its place."
            ) from None

    def end_rollback(self) -> None:
        """The service has been verified again, so no rollback is under way."""
        self.marker.unlink(missing_ok=True)

    def _known(self) -> str:
        return ", ".join(map(str, self.numbers())) or "none"

    def _damaged(self, number: int, why: str) -> str:
        return (
            f"restore point {number} of {self.service} is damaged and is not used: {why} in {self.folder / str(number)}"
        )


def is_half_moved(rollback: Mapping[str, Any]) -> bool:
    """Whether a killed rollback left data of a backup that is not in its place yet."""
    moves = (rollback.get("data") or {}).get("moves") or []
    return any(Path(move["staged"]).exists() for move in moves)


def remove_unfinished(folder: Path) -> None:
    """Remove the restore points or backups that a killed run was writing or removing, and no other hidden folder."""
    for entry in folder.iterdir():
        if _UNFINISHED.fullmatch(entry.name):
            # Nothing reads it, so what cannot be removed now is left for the next call.
            shutil.rmtree(entry, ignore_errors=True)


def services_with_points(root: Path) -> list[str]:
    """The services that have a folder of restore points."""
    with contextlib.suppress(FileNotFoundError):
        return sorted(entry.name for entry in (root / FOLDER).iterdir() if entry.is_dir())
    return []


def now() -> str:
    """The time as manifests write it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def new_point(
    points: RestorePoints,
    subject: Subject,
    live: Iterable[LiveFile],
    image: SavedImage,
    status: Status,
    reason: str,
    owner: Mapping[str, str],
    probe: Mapping[str, Any],
) -> RestorePoint:
    """The restore point of the live state; `owner` has run, plan and who."""
    salt = random.token_hex(16)
    files = list(live)
    before = points.newest()
    changes = differences(before, files, image.id) if before else ["the first restore point"]
    return RestorePoint(
        number=points.next_number(),
        subject=subject,
        status=status,
        reason=reason,
        recorded_at=now(),
        run=owner["run"],
        plan=owner["plan"],
        who=owner["who"],
        image=image,
        salt=salt,
        files=tuple(file.saved(salt) for file in files),
        changes=tuple(changes),
        good_at=now() if status == "good" else "",
        probe=dict(probe),
    )


def _point_of(content: Mapping[str, Any]) -> RestorePoint:
    values = {key: value for key, value in content.items() if key != "checksum"}
    image = dict(values["image"])
    values.update(
        subject=Subject.of(values["subject"]),
        image=SavedImage(**{**image, "digests": tuple(image["digests"])}),
        files=tuple(SavedFile(**file) for file in values["files"]),
        changes=tuple(values["changes"]),
    )
    return RestorePoint(**values)


def _manifest(point: RestorePoint) -> bytes:
    content = json.loads(json.dumps(asdict(point)))
    content["checksum"] = _checksum(content)
    return f"{json.dumps(content, indent=2, sort_keys=True)}\n".encode()


def _checksum(content: Mapping[str, Any]) -> str:
    values = {key: value for key, value in content.items() if key != "checksum"}
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def _private(folder: Path, top: Path) -> None:
    """Create a folder and its missing parents below `top`, accessible only to root."""
    for one in reversed([folder, *_parents(folder, top)]):
        one.mkdir(mode=0o700, exist_ok=True)


def _parents(folder: Path, top: Path) -> Iterator[Path]:
    yield from (parent for parent in folder.parents if parent != top and parent.is_relative_to(top))


def _store(path: Path, data: bytes) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with located(path), os.fdopen(handle, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
