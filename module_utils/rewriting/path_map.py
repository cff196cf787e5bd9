"""Path maps: parsing, checking, and where a location is after the migration."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

# How Git Bash, WSL, Docker Desktop and Cygwin spell drive C: `/c/…`, `/mnt/c/…`, `/host_mnt/c/…`, …
_DRIVE_MOUNT = re.compile(r"(?i)/(?:(?:mnt|host_mnt|cygdrive|run/desktop/mnt/host)/)?([a-z])(?:/|\Z)")
# Above the places of drives: whether a text means the folder or a drive below it could not be told.
_ABOVE_DRIVES = frozenset(
    {"/mnt", "/host_mnt", "/cygdrive", "/run", "/run/desktop", "/run/desktop/mnt", "/run/desktop/mnt/host"}
)
_WINDOWS = re.compile(r"([A-Za-z]):(?:[/\\]+|\Z)")
_BAD_CHARACTER = re.compile(r"[\x00-\x1f\x7f]")
_BAD_WINDOWS_CHARACTER = re.compile(r'[<>:"|?*]')
# Words from which the places of drives and URLs are spelled; as a network's name they would tear such spellings apart.
PREFIX_WORDS = frozenset({"mnt", "host_mnt", "cygdrive", "run", "desktop", "host", "file", "localhost"})
_NETWORK = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]+\Z")


class MapError(ValueError):
    """A path map or network map that cannot be used; the message says which entry and what to write instead."""


@dataclass(frozen=True, slots=True)
class Location:
    """An absolute path, independent of its spelling.

    `drive` is a lower-case letter, or "" for a path of a Unix machine; `parts` are the folder names below it.
    `text_drive` is the drive as the map writes it: "" where the map writes a Unix path, which `/mnt/c/x` is
    although it names drive C.
    """

    drive: str
    parts: tuple[str, ...]
    text_drive: str
    text_parts: tuple[str, ...]

    @property
    def key(self) -> tuple[str, tuple[str, ...]]:
        """Equal for two spellings of the same location: names on a drive have no case."""
        return self.drive, tuple(part.lower() for part in self.parts) if self.drive else self.parts

    def __str__(self) -> str:
        return (f"{self.text_drive}:" if self.text_drive else "") + "/" + "/".join(self.text_parts)


def _split(text: str, separators: str) -> tuple[str, ...]:
    return tuple(part for part in re.split(separators, text) if part)


def parse_location(text: str, where: str) -> Location:
    """Parse an absolute path of a map.

    Args:
        text: a Windows path with any separators, or a Unix path.
        where: how an error names the entry, for instance `path_map[2].to`.

    Raises:
        MapError: the path is relative, names a whole drive or file system, is on a network share, or holds
            characters or steps (`.`, `..`) that no place has.
    """
    cleaned = text.strip()
    if _BAD_CHARACTER.search(cleaned):
        raise MapError(f"{where}={text!r} holds a control character; write a plain absolute path")
    windows = _WINDOWS.match(cleaned)
    if windows:
        drive = windows.group(1)
        parts = _split(cleaned[windows.end() :], r"[/\\]+")
        bad = _BAD_WINDOWS_CHARACTER.search("".join(parts))
        if bad:
            raise MapError(f"{where}={text!r} holds {bad.group()!r}, which no Windows path may; correct the path")
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
        raise MapError(f"{where}={text!r} holds a step `.` or `..`; write the path that it leads to")
    return location


@dataclass(frozen=True, slots=True)
class PathMapEntry:
    """`source` reads `target` after the migration."""

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
    def parse(cls, entries: list[dict[str, str]]) -> PathMap:
        """Parse and check a path map as a playbook writes it; the order of the entries does not matter.

        Raises:
            MapError: an entry is incomplete or unusable, or two entries contradict each other.
        """
        known: dict[tuple[str, tuple[str, ...]], PathMapEntry] = {}
        for number, entry in enumerate(entries):
            missing = {"from", "to"} - {name for name, value in entry.items() if value}
            if missing:
                raise MapError(
                    f"path_map[{number}] lacks `{'` and `'.join(sorted(missing))}`; write {{from: …, to: …}}"
                )
            parsed = PathMapEntry(
                parse_location(entry["from"], f"path_map[{number}].from"),
                parse_location(entry["to"], f"path_map[{number}].to"),
            )
            other = known.setdefault(parsed.source.key, parsed)
            if (other.target.text_parts, other.target.text_drive) != (
                parsed.target.text_parts,
                parsed.target.text_drive,
            ):
                raise MapError(
                    f"path_map sends {entry['from']} to {other.target} and to {parsed.target}; keep one of them"
                )
        return cls(known.values())

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


def check_network_map(network_map: dict[str, str]) -> dict[str, str]:
    """Check that every name is one that Docker accepts for a network.

    Raises:
        MapError: a name is not acceptable.
    """
    for old, new in network_map.items():
        for name in (old, new):
            if not _NETWORK.match(name):
                raise MapError(
                    f"network_map holds {name!r}, which is no network name; "
                    "use letters, digits, `_`, `.` and `-`, two at least, a letter or digit first"
                )
            if name.lower() in PREFIX_WORDS:
                raise MapError(
                    f"network_map holds {name!r}, a word of which paths like /mnt/c and URLs are made; "
                    "leave it out, and see to that network by hand"
                )
    return dict(network_map)
