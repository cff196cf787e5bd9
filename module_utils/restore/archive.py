# SPDX-License-Identifier: GPL-3.0-or-later
"""The data directories of a service as one compressed tar archive: list, pack, read, unpack.

The archive is an ordinary one, which `tar --zstd -xf` reads. The members' hashes, owners and modes are returned for a
manifest. An archive that does not match its manifest is not used. Extended attributes and ACLs are not kept.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import tarfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Protocol

from ansible.module_utils.restore.points import RestoreError
from ansible.module_utils.shared import fs
from ansible.module_utils.shared.ownership import keeps_owners

# A service is stopped while its data is packed, so speed counts more than size.
COMPRESSION = 1
# Blocks of zeros of this size are not written, so that a sparse file stays one.
HOLE = 64 * 1024

Kind = Literal["file", "directory", "symlink", "hardlink"]
TYPES: Mapping[Kind, bytes] = {
    "file": tarfile.REGTYPE,
    "directory": tarfile.DIRTYPE,
    "symlink": tarfile.SYMTYPE,
    "hardlink": tarfile.LNKTYPE,
}


class Sink(Protocol):
    """What an archive is written to."""

    def write(self, data: bytes, /) -> int:
        """Write all of the data; returns how many bytes were written."""

    def flush(self) -> None:
        """Pass on what is buffered."""


@dataclass(frozen=True)
class Member:
    """One entry of an archive. `path` and the target of a hard link are relative to the root of the deployment."""

    path: str
    kind: Kind
    mode: int
    uid: int
    gid: int
    mtime_ns: int
    size: int = 0
    # SHA-256 of a file's content.
    sha256: str = ""
    # The target of a symlink, or the first name of a hard link.
    target: str = ""


@dataclass(frozen=True)
class Listing:
    """What data directories hold: path relative to the root → its status, parents before children."""

    entries: Mapping[str, os.stat_result]
    # Sockets, pipes and devices, which hold no data.
    skipped: tuple[str, ...]

    @property
    def files(self) -> list[os.stat_result]:
        """The regular files, each name of a hard link counted once."""
        return list({(seen.st_dev, seen.st_ino): seen for seen in self._regular()}.values())

    @property
    def size(self) -> int:
        """Bytes in all files."""
        return sum(seen.st_size for seen in self.files)

    @property
    def allocated(self) -> int:
        """Bytes of disk that a copy needs at most: whole blocks of 4 KiB for every entry, and none for holes."""
        blocks = sum(-(-min(seen.st_blocks * 512, seen.st_size) // 4096) * 4096 for seen in self.files)
        return blocks + 4096 * len(self.entries)

    def fingerprint(self) -> list[tuple[Any, ...]]:
        """Is equal for two listings if nothing was written in between."""
        return [
            (path, seen.st_ino, seen.st_mode, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns)
            for path, seen in self.entries.items()
        ]

    def _regular(self) -> Iterator[os.stat_result]:
        return (seen for seen in self.entries.values() if stat.S_ISREG(seen.st_mode))


def zstandard() -> Any:
    """The package; raises RestoreError if it is missing."""
    try:
        import zstandard
    except ImportError:
        raise RestoreError(
            "the Python package zstandard is missing; run `make setup`, or install requirements/run.txt there"
        ) from None
    return zstandard


def outermost(directories: Iterable[str]) -> list[str]:
    """The directories without those that are below another one."""
    return [
        one
        for one in dict.fromkeys(directories)
        if not any(one != other and Path(one).is_relative_to(other) for other in directories)
    ]


def scan(root: Path, directories: Sequence[str]) -> Listing:
    """List data directories below the root that exist. Symlinks below them are not followed."""
    entries: dict[str, os.stat_result] = {}
    skipped: list[str] = []
    # A data directory may itself be a symlink to another disk.
    stack = [(name, (root / name).stat()) for name in reversed(outermost(directories)) if (root / name).is_dir()]
    while stack:
        path, seen = stack.pop()
        if not any(test(seen.st_mode) for test in (stat.S_ISREG, stat.S_ISDIR, stat.S_ISLNK)):
            skipped.append(path)
            continue
        entries[path] = seen
        if stat.S_ISDIR(seen.st_mode):
            stack += reversed(_below(root, path))
    return Listing(entries, tuple(sorted(skipped)))


def _below(root: Path, path: str) -> list[tuple[str, os.stat_result]]:
    """The entries of a directory, sorted; without those that a running service removes meanwhile."""
    below = []
    with contextlib.suppress(FileNotFoundError), os.scandir(root / path) as found:
        for entry in found:
            with contextlib.suppress(FileNotFoundError):
                below.append((f"{path}/{entry.name}", entry.stat(follow_symlinks=False)))
    return sorted(below)


def pack(root: Path, listing: Listing, stream: Sink) -> list[Member]:
    """Write the listed entries to the stream as an archive. Raises OSError for what cannot be read or written."""
    members: list[Member] = []
    first: dict[tuple[int, int], str] = {}
    compressor = zstandard().ZstdCompressor(level=COMPRESSION, write_checksum=True)
    with (
        compressor.stream_writer(stream, closefd=False) as packed,
        tarfile.open(fileobj=packed, mode="w|", format=tarfile.PAX_FORMAT, bufsize=fs.BLOCK) as tar,
    ):
        for path, seen in listing.entries.items():
            inode = (seen.st_dev, seen.st_ino)
            member = Member(
                path, "file", stat.S_IMODE(seen.st_mode), seen.st_uid, seen.st_gid, seen.st_mtime_ns, seen.st_size
            )
            if stat.S_ISDIR(seen.st_mode):
                member = replace(member, kind="directory", size=0)
            elif stat.S_ISLNK(seen.st_mode):
                # `Path.readlink` would normalise the text.
                target = os.readlink(root / path)  # noqa: PTH115
                member = replace(member, kind="symlink", size=0, target=target)
            elif inode in first:
                member = replace(member, kind="hardlink", size=0, target=first[inode])
            else:
                first[inode] = path
                members.append(_pack_file(tar, root, member))
                continue
            tar.addfile(_header(member))
            members.append(member)
    return members


def _pack_file(tar: tarfile.TarFile, root: Path, member: Member) -> Member:
    with os.fdopen(fs.open_for_reading(str(root / member.path)), "rb", buffering=0) as file:
        content = _Hashed(file, root / member.path)
        tar.addfile(_header(member), content)
    return replace(member, sha256=content.sha256.hexdigest())


def _header(member: Member) -> tarfile.TarInfo:
    header = tarfile.TarInfo(member.path)
    header.type = TYPES[member.kind]
    header.mode, header.uid, header.gid = member.mode, member.uid, member.gid
    header.mtime, header.size, header.linkname = member.mtime_ns // 10**9, member.size, member.target
    return header


class _Hashed:
    """Reads a stream and hashes what was read."""

    def __init__(self, stream: Any, path: Path) -> None:
        self._stream = stream
        self._path = path
        self.sha256 = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes."""
        with fs.located(self._path):
            data: bytes = self._stream.read(size)
        self.sha256.update(data)
        return data


def contents(archive: Path, sha256: str, members: Sequence[Member]) -> Iterator[tuple[Member, Iterator[bytes]]]:
    """Each member with the blocks of its content, which the caller reads to the end.

    Raises RestoreError at the first difference from `members`, and at the end if the archive has another hash.
    """
    with _explained(), archive.open("rb") as file:
        raw = _Hashed(file, archive)
        with zstandard().ZstdDecompressor().stream_reader(raw, closefd=False) as unpacked:
            with tarfile.open(fileobj=unpacked, mode="r|", bufsize=fs.BLOCK) as tar:
                for member in members:
                    header = tar.next()
                    if header is None:
                        raise RestoreError(f"the archive ends before {fs.display_name(os.fsencode(member.path))}")
                    yield member, _blocks(tar, header, member)
                if tar.next() is not None:
                    raise RestoreError("the archive holds more than the manifest lists")
            while unpacked.read(fs.BLOCK):
                continue
        while raw.read(fs.BLOCK):
            continue
    if raw.sha256.hexdigest() != sha256:
        raise RestoreError("the archive does not match its hash")


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    """Turn the errors of a damaged archive into a RestoreError."""
    try:
        yield
    except (zstandard().ZstdError, tarfile.TarError) as error:
        raise RestoreError(f"the archive cannot be read: {error}") from error


def _blocks(tar: tarfile.TarFile, header: tarfile.TarInfo, member: Member) -> Iterator[bytes]:
    name = fs.display_name(os.fsencode(member.path))
    if (header.name, header.type, header.linkname) != (member.path, TYPES[member.kind], member.target):
        raise RestoreError(f"the archive has another entry instead of {name}")
    content = tar.extractfile(header) if member.kind == "file" else None
    if content is None:
        return
    digest = hashlib.sha256()
    with _explained():
        while block := content.read(HOLE):
            digest.update(block)
            yield block
    if digest.hexdigest() != member.sha256:
        raise RestoreError(f"{name} does not match its hash")


def verify(archive: Path, sha256: str, members: Sequence[Member]) -> None:
    """Read the whole archive and compare it with its manifest; raises RestoreError."""
    for _member, blocks in contents(archive, sha256, members):
        for _block in blocks:
            continue


def unpack(archive: Path, sha256: str, members: Sequence[Member], places: Mapping[str, Path]) -> None:
    """Unpack each data directory to its new place, which must not exist, and force it to the disk.

    Raises RestoreError if the archive does not match its manifest, and OSError; the caller removes what was unpacked.
    """
    owners = all(keeps_owners(place.parent) for place in places.values())
    for member, blocks in contents(archive, sha256, members):
        path = _place(member.path, places)
        if member.kind == "directory":
            path.mkdir(mode=0o700)
        elif member.kind == "symlink":
            fs.symlink(os.fsencode(member.target), path)
        elif member.kind == "hardlink":
            os.link(_place(member.target, places), path, follow_symlinks=False)
        else:
            _write_sparse(path, member.size, blocks)
        for _rest in blocks:
            continue
        if owners and member.kind in ("file", "symlink"):
            os.lchown(path, member.uid, member.gid)
            if member.kind == "file":
                path.chmod(member.mode)
        if member.kind != "directory":
            os.utime(path, ns=(member.mtime_ns, member.mtime_ns), follow_symlinks=False)
    # Directories come last: a new entry changes the time of its directory, and a read-only directory accepts none.
    for member in reversed([one for one in members if one.kind == "directory"]):
        path = _place(member.path, places)
        if owners:
            os.chown(path, member.uid, member.gid)
            path.chmod(member.mode)
        os.utime(path, ns=(member.mtime_ns, member.mtime_ns))
    for place in places.values():
        handle = os.open(place, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fs.sync_file_system(handle)
        finally:
            os.close(handle)


def _place(path: str, places: Mapping[str, Path]) -> Path:
    """Where a member goes; raises RestoreError for one outside of the data directories."""
    for name, place in places.items():
        if path == name or (path.startswith(f"{name}/") and ".." not in path.split("/")):
            return place / path.removeprefix(name).lstrip("/")
    raise RestoreError(f"{fs.display_name(os.fsencode(path))} is not below a data directory")


def _write_sparse(path: Path, size: int, blocks: Iterator[bytes]) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with fs.located(path), contextlib.closing(os.fdopen(handle, "wb", buffering=0)):
        os.ftruncate(handle, size)
        offset = 0
        for block in blocks:
            if block.count(0) != len(block):
                fs.write_all(handle, block, offset)
            offset += len(block)
