"""The small languages inside Compose files: ports, volumes, durations, sizes, paths."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable
from dataclasses import dataclass

_DRIVE = re.compile(r"[A-Za-z]:")
_UNIX_DRIVE = re.compile(r"(?:/host_mnt|/mnt|/run/desktop/mnt/host|/)?/([A-Za-z])(?=/|$)")


@dataclass(frozen=True, slots=True)
class Port:
    """A published port. `host_ip` is empty for all addresses; `published` is empty for one that Docker chooses.

    `published` is text because one target may be given a range to choose from (`8000-9000`).
    """

    host_ip: str
    published: str
    target: int
    protocol: str


@dataclass(frozen=True, slots=True)
class Mount:
    """A volume in its long form. `kind` is bind, volume, tmpfs, npipe, cluster or image; `source` is empty for none."""

    kind: str
    source: str
    target: str
    read_only: bool


def parse_port(text: str) -> list[Port]:
    """The short form, ranges spelled out. Raises ValueError with what is wrong."""
    address, _sep, protocol = text.partition("/")
    protocol = protocol.lower() or "tcp"
    if protocol not in ("tcp", "udp", "sctp"):
        raise ValueError(f"`{text}`: unknown protocol `{protocol}`, only tcp, udp and sctp exist")
    head, _sep, target_text = address.rpartition(":")
    host_ip, published_text = "", head
    if head.startswith("["):
        host_ip, closed, rest = head[1:].partition("]")
        if not closed:
            raise ValueError(f"`{text}`: the bracket of the IPv6 address is not closed")
        published_text = rest.removeprefix(":")
    elif ":" in head:
        host_ip, _sep, published_text = head.rpartition(":")
    targets = _port_range(target_text, text)
    if not published_text:
        return [Port(host_ip, "", target, protocol) for target in targets]
    published = _port_range(published_text, text)
    if len(published) == len(targets):
        return [Port(host_ip, str(host), target, protocol) for host, target in zip(published, targets, strict=True)]
    if len(targets) == 1:
        return [Port(host_ip, published_text, targets[0], protocol)]
    raise ValueError(f"`{text}`: the two ranges differ in length")


def _port_range(text: str, whole: str) -> list[int]:
    first_text, dash, last_text = text.partition("-")
    try:
        first = int(first_text)
        last = int(last_text) if dash else first
    except ValueError:
        raise ValueError(f"`{whole}`: `{text}` is no port number or range") from None
    if not 0 <= first <= last <= 65535:
        raise ValueError(f"`{whole}`: ports go from 0 to 65535, ranges upwards")
    return list(range(first, last + 1))


def published_ports(published: str) -> range:
    """The host ports that a `published` value may take; empty for one that Docker chooses."""
    if not published:
        return range(0)
    first, _sep, last = published.partition("-")
    return range(int(first), int(last or first) + 1)


def parse_mount(text: str) -> Mount:
    """The short form `[source:]target[:options]`, also with Windows drives. Raises ValueError with what is wrong."""
    parts: list[str] = []
    for part in text.split(":"):
        if parts and len(parts[-1]) == 1 and parts[-1].isalpha():
            parts[-1] = f"{parts[-1]}:{part}"
        else:
            parts.append(part)
    if not text or "" in parts:
        raise ValueError(f"`{text}`: nothing stands between two colons, or at an end")
    if len(parts) == 1:
        return Mount("volume", "", parts[0], False)
    if len(parts) > 3:
        raise ValueError(f"`{text}`: too many colons; source:target:options is the form")
    read_only = len(parts) == 3 and "ro" in parts[2].split(",")
    return Mount("bind" if is_path(parts[0]) else "volume", parts[0], parts[1], read_only)


def is_path(source: str) -> bool:
    """Whether a volume's source in the short form is a path and not a volume's name."""
    return source[:1] in (".", "/", "~") or source.startswith("\\\\") or bool(_DRIVE.match(source))


def is_windows_path(path: str) -> bool:
    """Whether a path is absolute on Windows and so is not resolved against a folder on Linux."""
    return path.startswith("\\\\") or bool(_DRIVE.match(path))


def plain_path(path: str) -> str:
    """One spelling for all of a path's: `C:\\x`, `/c/x`, `/mnt/c/x` and `//c/x` are `c:/x`; others are normalised."""
    forward = path.replace("\\", "/") if is_windows_path(path) else path
    match = _UNIX_DRIVE.match(forward)
    if match:
        forward = f"{match[1]}:{forward[match.end() :]}"
    forward = posixpath.normpath(forward)
    return forward.lower() if _DRIVE.match(forward) else forward


def is_below(path: str, folders: Iterable[str]) -> bool:
    """Whether a path, in any spelling, is one of the folders or inside of one."""
    plain = plain_path(path)
    return any(plain == folder or plain.startswith(folder.rstrip("/") + "/") for folder in map(plain_path, folders))


_UNITS_S = {"ns": 1e-9, "us": 1e-6, "\u00b5s": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|\u00b5s|ms|s|m|h)")


def seconds(text: str) -> float:
    """A duration as Compose writes it (`1m30s`). Raises ValueError."""
    found = list(_DURATION.finditer(text))
    if not found or "".join(match[0] for match in found) != text:
        raise ValueError(f"`{text}` is no duration; write it like 30s or 1m30s")
    return round(sum(float(match[1]) * _UNITS_S[match[2]] for match in found), 9)


_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s?([kmgtp]?)(i?b)?$", re.IGNORECASE)


def size_bytes(text: str) -> int:
    """A size as Compose writes it (`512m`, `2gb`), in bytes. Raises ValueError."""
    match = _SIZE.match(text.strip())
    if match is None:
        raise ValueError(f"`{text}` is no size; write it like 512m or 2g")
    return int(float(match[1]) * 1024 ** " kmgtp".index(match[2].lower() or " "))
