# SPDX-License-Identifier: GPL-3.0-or-later
"""The record of a service: its dictionary and the site's values, with everything derived from them computed once.

`build_record` is pure. A record holds no secret, and `to_dict` gives it as plain data, for a fact or a plan.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from ansible.module_utils.services import kinds, schema

SERVICES_DIR = "infrastructure/docker/services"
# Placeholder in a probe for the version of the image that runs, which is known later than the record.
IMAGE_VERSION = "@@image_version@@"
ANY_ADDRESS = "0.0.0.0"
LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Site:
    """The site's values that apply to all of its services."""

    # Root of the new tree on the machine, and as migrated files name it.
    root: str
    root_in_files: str
    secrets_root: str
    # Compose project, and the prefix of container names.
    project: str
    container_prefix: str
    # Address that ports are published on, and what is added to each host port.
    bind_address: str
    port_offset: int
    # Key → {name, subnet}
    networks: Mapping[str, Mapping[str, str]]
    # Rotation of the containers' logs.
    log_max_size: str
    log_max_files: int
    # Multiplies every ready timeout; seconds that one probe may take.
    ready_timeout_factor: float
    probe_timeout_s: int
    # trade2026_path_map: a relative `from` is below the root of the Trade2025 tree, a relative `to` below the new one.
    path_map: Sequence[Mapping[str, str]] = ()

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Site:
        """Create it from variables, which Ansible may pass as text."""
        given = kinds.plain(values)
        for name, convert in (("port_offset", int), ("log_max_files", int), ("probe_timeout_s", int)):
            given[name] = convert(given[name])
        given["ready_timeout_factor"] = float(given["ready_timeout_factor"])
        return cls(**given)


@dataclass(frozen=True)
class User:
    """Numeric user of a container."""

    uid: int
    gid: int


@dataclass(frozen=True)
class Port:
    """A published port."""

    name: str
    # Port on the host, with the offset.
    host: int
    container: int
    # As written in the Compose fragment: 127.0.0.1:6379:6379
    published: str
    # Where a client on the machine connects: 127.0.0.1:6379
    address: str


@dataclass(frozen=True)
class Volume:
    """A mounted folder."""

    kind: str
    # Relative to the root; for a secret, to the secrets root.
    source: str
    # Absolute, and as the Compose fragment names it: relative below the root, so that the tree can be moved as a whole.
    path: str
    fragment_source: str
    target: str
    read_only: bool
    writable: bool


@dataclass(frozen=True)
class Directory:
    """A folder on the machine with its owner."""

    path: str
    uid: int
    gid: int
    mode: str


@dataclass(frozen=True)
class ConfigFile:
    """A file rendered from a template of the role."""

    template: str
    dest: str
    uid: int
    gid: int
    mode: str


@dataclass(frozen=True)
class Mount:
    """A folder that the validate command sees."""

    kind: str
    source: str
    target: str


@dataclass(frozen=True)
class Validate:
    """The service's own check of its configuration."""

    command: tuple[str, ...]
    entrypoint: str | None
    user: str
    environment: Mapping[str, str]
    tmpfs: tuple[str, ...]
    mounts: tuple[Mount, ...]
    timeout_s: int


@dataclass(frozen=True)
class Secret:
    """A secret by its name; its value is not part of the record."""

    path: str
    kind: str
    gid: int
    # Variable for the site's own value; empty if there is none.
    variable: str
    plain: str
    clients: tuple[str, ...]


@dataclass(frozen=True)
class Healthcheck:
    """The container's own health check."""

    test: tuple[str, ...]
    interval_s: int
    timeout_s: int
    retries: int
    start_period_s: int


@dataclass(frozen=True)
class Limits:
    """What a container may take; memory as the site writes it and in bytes."""

    memory: str
    memory_bytes: int
    cpus: float
    pids: int


@dataclass(frozen=True)
class Stop:
    """How a container is stopped."""

    signal: str
    grace_s: int


@dataclass(frozen=True)
class Bound:
    """A setting that must not exceed another one: both as the site writes them, and as numbers."""

    setting: str
    value: str
    amount: float
    max_setting: str
    max: str
    max_amount: float


@dataclass(frozen=True)
class Note:
    """What differs from Trade2025 in one setting."""

    setting: str
    why: str


@dataclass(frozen=True)
class PathRow:
    """A row of the path map that leads to a volume of the service."""

    # Folder of the Trade2025 tree, relative to its root, or absolute as files name it.
    source: str
    # The volume's source.
    target: str


@dataclass(frozen=True)
class Record:
    """Everything that is known about a service before its image is known."""

    # Name of the host, which is also that of container, fragment, folders and secrets; role that describes the service.
    name: str
    role: str
    title: str
    project: str
    container: str
    # The Compose fragment, relative to the root and absolute.
    fragment: str
    fragment_path: str
    image: Mapping[str, Any]
    user: User
    command: tuple[str, ...] | None
    entrypoint: tuple[str, ...] | None
    environment: Mapping[str, str]
    # Key of trade2026_networks → name of the network, sorted by key.
    networks: Mapping[str, str]
    ports: tuple[Port, ...]
    volumes: tuple[Volume, ...]
    tmpfs: tuple[str, ...]
    directories: tuple[Directory, ...]
    files: tuple[ConfigFile, ...]
    validate: Validate | None
    secrets: tuple[Secret, ...]
    # Address that probes connect to, ready timeout with the site's factor, seconds that one probe may take.
    address: str
    ready_timeout_s: float
    probe_timeout_s: int
    probes: tuple[Mapping[str, Any], ...]
    # Files that probes read credentials from, relative to the secrets root.
    credentials: tuple[str, ...]
    healthcheck: Healthcheck
    limits: Limits
    ulimits: Mapping[str, Any]
    sysctls: Mapping[str, Any]
    log: Mapping[str, str]
    stop: Stop
    host_requirements: Mapping[str, int]
    bounds: tuple[Bound, ...]
    unauthenticated: bool
    migration_notes: tuple[Note, ...]
    # The path map entries that point to the service's volumes.
    path_map: tuple[PathRow, ...] = field(default=())

    def to_dict(self) -> dict[str, Any]:
        """The record as plain data, for JSON."""
        return dict(kinds.plain(asdict(self)))


def build_record(name: str, definition: Mapping[str, Any], site: Site, role: str = "") -> Record:
    """The record of the service `name`; raises SchemaError with all errors in the dictionary.

    `definition` is the dictionary `<role>_service` with its templates resolved, `role` the role if it differs from
    the name of the host.
    """
    role = role or name
    where = f"{role}_service"
    data = schema.parse(definition, where)
    unknown = [
        f"{where}.networks: {key!r} is not in trade2026_networks; "
        + (schema.nearest(key, site.networks) or f"there are {', '.join(site.networks)}")
        for key in data["networks"]
        if key not in site.networks
    ]
    ports = tuple(_port(port, site) for port in data["ports"])
    beyond = [
        f"core_port_offset: {name} would publish port {port.host}, which is above {kinds.LAST_PORT}; choose a lower one"
        for port in ports
        if port.host > kinds.LAST_PORT
    ]
    if unknown or beyond:
        raise schema.SchemaError(unknown + beyond)
    user = User(**data["user"])
    volumes = tuple(_volume(volume, site) for volume in data["volumes"])
    environment = {variable: str(value) for variable, value in data["environment"].items()}
    return Record(
        name=name,
        role=role,
        title=data["title"],
        project=site.project,
        container=site.container_prefix + name,
        fragment=f"{SERVICES_DIR}/{name}.yml",
        fragment_path=posixpath.join(site.root, SERVICES_DIR, f"{name}.yml"),
        image=data["image"],
        user=user,
        command=_words(data.get("command")),
        entrypoint=_words(data.get("entrypoint")),
        environment=environment,
        networks={key: str(site.networks[key]["name"]) for key in sorted(data["networks"])},
        ports=ports,
        volumes=volumes,
        tmpfs=_tmpfs(data["tmpfs"]),
        directories=tuple(_directory(volume, user) for volume in volumes if volume.kind != "secret"),
        files=tuple(
            ConfigFile(file["template"], posixpath.join(site.root, file["dest"]), 0, user.gid, "0640")
            for file in data["config"]
        ),
        validate=_validate(data, user, volumes, environment) if "validate" in data else None,
        secrets=tuple(_secret(secret, user) for secret in data["secrets"]),
        address=_reachable(site.bind_address),
        ready_timeout_s=data["ready_timeout_s"] * site.ready_timeout_factor,
        probe_timeout_s=site.probe_timeout_s,
        probes=tuple(data["probes"]),
        credentials=tuple(_credentials(data["probes"])),
        healthcheck=Healthcheck(
            **{**data["healthcheck"], "test": tuple(word.strip() for word in data["healthcheck"]["test"])}
        ),
        limits=Limits(
            memory_bytes=kinds.parse("compose_memory", "limits.memory", data["limits"]["memory"]), **data["limits"]
        ),
        ulimits=data["ulimits"],
        sysctls=data["sysctls"],
        log={"max_size": site.log_max_size, "max_files": str(site.log_max_files)},
        stop=Stop(**data["stop"]),
        host_requirements=data["host_requirements"],
        bounds=tuple(
            Bound(
                setting=bound["setting"],
                value=str(bound["value"]),
                amount=kinds.parse(bound["kind"], bound["setting"], bound["value"]),
                max_setting=bound["max_setting"],
                max=str(bound["max"]),
                max_amount=kinds.parse(bound["max_kind"], bound["max_setting"], bound["max"]),
            )
            for bound in data["bounds"]
        ),
        unauthenticated=data["unauthenticated"],
        migration_notes=tuple(Note(note["setting"], note["why"]) for note in data["migration_notes"]),
        path_map=tuple(_path_rows(volumes, site)),
    )


def probes_for(probes: Sequence[Mapping[str, Any]], image_version: str) -> list[dict[str, Any]]:
    """The probes, with the placeholder replaced by the version of the image; empty if that is not known."""
    version = re.sub(r"[-+].*", "", image_version)

    def filled(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: filled(entry) for key, entry in value.items()}
        if isinstance(value, list | tuple):
            return [filled(entry) for entry in value]
        return value.replace(IMAGE_VERSION, version) if isinstance(value, str) else value

    return [filled(probe) for probe in probes]


def resolve_path_map(rows: Sequence[Mapping[str, str]], windows_root: str, root_in_files: str) -> list[dict[str, str]]:
    """The path map with absolute paths: relative ones are below the root of the Trade2025 tree and the new root."""
    return [{"from": _below(windows_root, row["from"]), "to": _below(root_in_files, row["to"])} for row in rows]


def _below(root: str, path: str) -> str:
    """A path below a root, as files write it; an absolute one stays."""
    if path.startswith("/") or re.match(r"[A-Za-z]:", path):
        return path
    return root if path in ("", ".") else f"{root.rstrip('/')}/{path}"


def _words(words: Sequence[str] | None) -> tuple[str, ...] | None:
    return None if not words else tuple(words)


def _tmpfs(folders: Sequence[Mapping[str, str]]) -> tuple[str, ...]:
    """In-memory folders as Compose and `docker run --tmpfs` write them."""
    return tuple(f"{folder['path']}:{folder['options']}" if folder["options"] else folder["path"] for folder in folders)


def _reachable(bind_address: str) -> str:
    """The address at which a client on the machine reaches ports published on `bind`."""
    return LOOPBACK if bind_address == ANY_ADDRESS else bind_address


def _port(port: Mapping[str, Any], site: Site) -> Port:
    host = port["host"] + site.port_offset
    return Port(
        name=port["name"],
        host=host,
        container=port["container"],
        published=f"{site.bind_address}:{host}:{port['container']}",
        address=f"{_reachable(site.bind_address)}:{host}",
    )


def _volume(volume: Mapping[str, Any], site: Site) -> Volume:
    root = posixpath.normpath(site.root)
    path = posixpath.normpath(
        posixpath.join(site.secrets_root if volume["kind"] == "secret" else root, volume["source"])
    )
    inside = path.startswith(f"{root.rstrip('/')}/")
    return Volume(
        kind=volume["kind"],
        source=volume["source"],
        path=path,
        fragment_source=posixpath.relpath(path, posixpath.join(root, SERVICES_DIR)) if inside else path,
        target=volume["target"],
        read_only=volume["kind"] != "data" and not volume["writable"],
        writable=volume["writable"],
    )


def _directory(volume: Volume, user: User) -> Directory:
    """Data belongs to the container's user; configuration to root, unless the service writes to the folder itself."""
    owner = user.uid if volume.kind == "data" or volume.writable else 0
    return Directory(volume.path, owner, user.gid, "0750")


def _validate(
    data: Mapping[str, Any], user: User, volumes: Sequence[Volume], environment: Mapping[str, str]
) -> Validate:
    declared = data["validate"]
    own = declared.get("environment")
    return Validate(
        command=tuple(declared["command"]),
        entrypoint=declared.get("entrypoint"),
        user=f"{user.uid}:{user.gid}",
        environment=environment if own is None else {name: str(value) for name, value in own.items()},
        tmpfs=_tmpfs([*data["tmpfs"], *declared["tmpfs"]]),
        mounts=tuple(Mount(volume.kind, volume.source, volume.target) for volume in volumes if volume.kind != "data"),
        timeout_s=declared["timeout_s"],
    )


def _secret(secret: Mapping[str, Any], user: User) -> Secret:
    return Secret(
        path=secret["path"],
        kind=secret["kind"],
        gid=user.gid,
        variable=secret["variable"],
        plain=secret.get("plain", ""),
        clients=tuple(secret.get("clients", ())),
    )


def _credentials(probes: Sequence[Mapping[str, Any]]) -> list[str]:
    """The files that probes read credentials from, each once."""
    named = [str(value) for probe in probes for key, value in probe.items() if key.endswith("_file") and value]
    return sorted(set(named))


def _path_rows(volumes: Sequence[Volume], site: Site) -> list[PathRow]:
    folders = {
        _below(site.root_in_files, volume.source): volume.source for volume in volumes if volume.kind != "secret"
    }
    targets = [(row["from"], _below(site.root_in_files, row["to"])) for row in site.path_map]
    return [PathRow(source, folders[target]) for source, target in targets if target in folders]
