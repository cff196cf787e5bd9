# SPDX-License-Identifier: GPL-3.0-or-later
"""Path maps: parse and check them, and find where a location is after the migration."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

# How Git Bash, WSL, Docker Desktop and Cygwin spell drive C: `/c/…`, `/mnt/c/…`, `/host_mnt/c/…`, …
_DRIVE_MOUNT = re.compile(r"(?i)/(?:(?:mnt|host_mnt|cygdrive|run/desktop/mnt/host)/)?([a-z])(?:/|\Z)")
# These folders contain the mount points of drives, so a text could mean the folder or a drive below it.
_ABOVE_DRIVES = frozenset(
    {"/mnt", "/host_mnt", "/cygdrive", "/run", "/run/desktop", "/run/desktop/mnt", "/run/desktop/mnt/host"}
)
_WINDOWS = re.compile(r"([A-Za-z]):(?:[/\\]+|\Z)")
_BAD_CHARACTER = re.compile(r"[\x00-\x1f\x7f]")
_BAD_WINDOWS_CHARACTER = re.compile(r'[<>:"|?*]')
# Words that occur in the mount points of drives and in URLs; a network of this name would break up such paths.
PREFIX_WORDS = frozenset({"mnt", "host_mnt", "cygdrive", "run", "desktop", "host", "file", "localhost"})
# In a target these would need an escape in most files, or would have another meaning.
_BAD_TARGET_CHARACTER = re.compile(r"[\"'`$\\<>|*?:%]")
_BAD_TARGET_END = re.compile(r"[\s,;=(\[{]\Z")
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_.~+@-]*\Z")
_NETWORK = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]+\Z")


class MapError(ValueError):
    """A path map or network map that cannot be used; the message says which entry and what to write instead."""


@dataclass(frozen=True, slots=True)
class Location:
    """An absolute path, independent of its spelling.

    `drive` is a lower-case letter, or "" for a path of a Unix machine; `parts` are the folder names below it.
    `text_drive` is the drive as the map writes it: "" if the map writes a Unix path such as `/mnt/c/x`, although that
    names drive C.
    """

    drive: str
    parts: tuple[str, ...]
    text_drive: str
    text_parts: tuple[str, ...]

    @property
    def key(self) -> tuple[str, tuple[str, ...]]:
        """Equal for all spellings of the same location: names on a drive are case-insensitive."""
        return self.drive, tuple(part.lower() for part in self.parts) if self.drive else self.parts

    @property
    def is_plain(self) -> bool:
        """Whether it can be written anywhere without quotes or escapes."""
        return all(_PLAIN_NAME.match(part) for part in self.text_parts)

    def reads_like(self, other: Location) -> bool:
        """Whether both are written alike."""
        return (self.text_drive.lower(), self.text_parts) == (other.text_drive.lower(), other.text_parts)

    def __str__(self) -> str:
        return (f"{self.text_drive}:" if self.text_drive else "") + "/" + "/".join(self.text_parts)


def _split(text: str, separators: str) -> tuple[str, ...]:
    return tuple(part for part in re.split(separators, text) if part)


def parse_location(text: str, where: str) -> Location:
    """Parse an absolute path of a map.

    Args:
        text: a Windows path with any separators, or a Unix path.
        where: the name of the entry in errors, such as `path_map[2].to`.

    Raises:
        MapError: the path is relative, names a whole drive or file system, is on a network share, or holds
            characters or steps (`.`, `..`) that no location may have.
    """
    cleaned = text.strip()
    if _BAD_CHARACTER.search(cleaned):
        raise MapError(f"{where}={text!r} contains a control character; write a plain absolute path")
    windows = _WINDOWS.match(cleaned)
    if windows:
        drive = windows.group(1)
        parts = _split(cleaned[windows.end() :], r"[/\\]+")
        bad = _BAD_WINDOWS_CHARACTER.search("".join(parts))
        if bad:
            raise MapError(f"{where}={text!r} contains {bad.group()!r}, which Windows does not allow; correct the path")
        location = Location(drive.lower(), parts, drive, parts)
    elif cleaned.startswith(("//", "\\\\")) and not _DRIVE_MOUNT.match(cleaned[1:].replace("\\", "/")):
        raise MapError(f"{where}={text!r} is a network share; map a drive letter or mount it, and write that path")
    elif cleaned.startswith("/"):
        cleaned = "/" + cleaned.lstrip("/")
        text_parts = _split(cleaned, "/+")
        if ("/" + "/".join(text_parts)).lower() in _ABOVE_DRIVES:
            raise MapError(f"{where}={text!r} is where drives are mounted; name a folder below it")
        mount = _DRIVE_MOUNT.match("/" + "/".join(text_parts) + "/")
        if mount:
            location = Location(
                mount.group(1).lower(), text_parts[mount.group().strip("/").count("/") + 1 :], "", text_parts
            )
        else:
            location = Location("", text_parts, "", text_parts)
    else:
        raise MapError(f"{where}={text!r} is not absolute; write a path like C:/trade2025/trading or /srv/trade2026")
    if not location.parts:
        raise MapError(f"{where}={text!r} names a whole drive or file system; name a folder on it")
    if any(part in (".", "..") for part in location.text_parts):
        raise MapError(f"{where}={text!r} contains a step `.` or `..`; write the path that it leads to")
    return location


@dataclass(frozen=True, slots=True)
class PathMapEntry:
    """`source` becomes `target`."""

    source: Location
    target: Location


class PathMap:
    """Where locations are after the migration: the entry with the longest matching source wins.

    Args:
        entries: entries with distinct sources.
    """

    def __init__(self, entries: Iterable[PathMapEntry]) -> None:
        self.entries = tuple(entries)
        self._by_source = {entry.source.key: entry for entry in self.entries}

    @classmethod
    def parse(cls, entries: Iterable[Mapping[str, Any]]) -> PathMap:
        """Parse and check a path map as a playbook writes it; the order of the entries does not matter.

        Raises:
            MapError: an entry is incomplete or unusable, or two entries contradict each other.
        """
        known: dict[tuple[str, tuple[str, ...]], PathMapEntry] = {}
        for number, entry in enumerate(entries):
            for name in ("from", "to"):
                value = entry.get(name)
                if not value:
                    raise MapError(f"path_map[{number}] lacks `{name}`; write {{from: …, to: …}}")
                if not isinstance(value, str):
                    raise MapError(f"path_map[{number}].{name}={value!r} is not text; write an absolute path in quotes")
            parsed = PathMapEntry(
                parse_location(entry["from"], f"path_map[{number}].from"),
                parse_location(entry["to"], f"path_map[{number}].to"),
            )
            _check_target(parsed.target, f"path_map[{number}].to={entry['to']!r}")
            other = known.setdefault(parsed.source.key, parsed)
            if not other.target.reads_like(parsed.target):
                raise MapError(
                    f"path_map moves {entry['from']} to {other.target} and to {parsed.target}; keep one of them"
                )
        path_map = cls(known.values())
        path_map._check_chains()
        return path_map

    def _check_chains(self) -> None:
        """Refuse a map whose results another entry would move again: a second run would move them twice."""
        for entry in self.entries:
            target = entry.target
            again = self.relocate(target.drive, target.parts)
            if again is not None and not again.reads_like(target):
                following = self.entry_for(target.drive, target.parts)
                if following is None:
                    raise AssertionError("what was relocated is covered by an entry")
                raise MapError(
                    f"path_map moves {entry.source} to {target}, and {following.source} to {following.target}: "
                    "a second run would move the first one's files again; migrate in two steps or choose another target"
                )

    def entry_for(self, drive: str, parts: tuple[str, ...]) -> PathMapEntry | None:
        """The entry with the longest source that `parts` on `drive` begin with."""
        key = tuple(part.lower() for part in parts) if drive else parts
        for length in range(len(key), 0, -1):
            entry = self._by_source.get((drive, key[:length]))
            if entry is not None:
                return entry
        return None

    def relocate(self, drive: str, parts: tuple[str, ...]) -> Location | None:
        """Where a location is after the migration; None if no entry of the map covers it.

        Args:
            drive: a lower-case letter, or "" for a path of a Unix machine.
            parts: the folder names below the drive, without `.` and `..`.
        """
        entry = self.entry_for(drive, parts)
        if entry is None:
            return None
        rest, target = parts[len(entry.source.parts) :], entry.target
        return Location(target.drive, (*target.parts, *rest), target.text_drive, (*target.text_parts, *rest))


def _check_target(target: Location, where: str) -> None:
    for part in target.text_parts:
        bad = _BAD_TARGET_CHARACTER.search(part) or _BAD_TARGET_END.search(part)
        if bad:
            raise MapError(f"{where} contains {bad.group()!r}, which most files have to escape; choose another name")


def check_network_map(network_map: Mapping[Any, Any]) -> dict[str, str]:
    """Check that every name is one that Docker accepts for a network, and that no name is both old and new.

    Raises:
        MapError: a name is not acceptable.
    """
    for old, new in network_map.items():
        for name in (old, new):
            if not isinstance(name, str):
                raise MapError(f"network_map contains {{{old!r}: {new!r}}}: {name!r} is not text; write it in quotes")
            if not _NETWORK.match(name):
                raise MapError(
                    f"network_map contains {name!r}, which is not a valid network name; "
                    "use letters, digits, `_`, `.` and `-`, two at least, a letter or digit first"
                )
            if name.lower() in PREFIX_WORDS:
                raise MapError(
                    f"network_map contains {name!r}, which is a part of paths like /mnt/c and of URLs; "
                    "leave it out, and change that network by hand"
                )
    for old, new in network_map.items():
        following = network_map.get(new, new)
        if new != old and following != new:
            raise MapError(
                f"network_map renames {old} to {new}, and {new} to {following}: "
                "a second run would rename the first one again; migrate in two steps, or choose other names"
            )
    return dict(network_map)
