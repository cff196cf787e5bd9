# SPDX-License-Identifier: GPL-3.0-or-later
"""Which nodes of a Compose file name a path of the machine, according to the Compose specification and compose-go.

https://github.com/compose-spec/compose-go/blob/main/paths/resolve.go is what Compose resolves; `docker compose` itself
reads the files of `security_opt: seccomp`, and buildx those of `dockerfile` and of the caches.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum, auto

from ansible.module_utils.rewriting.compose_nodes import Node, walk

# The keys of a service that contain no path of the machine.
_SERVICE_WITHOUT_PATHS = frozenset(
    re.findall(
        r"\w+",
        """deploy annotations attach blkio_config cap_add cap_drop cgroup cgroup_parent command configs container_name
        cpu_count cpu_percent cpu_shares cpu_quota cpu_period cpu_rt_period cpu_rt_runtime cpus cpuset credential_spec
        depends_on device_cgroup_rules devices dns dns_opt dns_search domainname entrypoint environment expose
        external_links extra_hosts gpus group_add healthcheck hostname image init ipc isolation labels links logging
        mac_address mem_limit mem_reservation mem_swappiness memswap_limit network_mode models networks oom_kill_disable
        oom_score_adj pid pids_limit platform ports pre_start post_start pre_stop privileged profiles pull_policy
        pull_refresh_after read_only restart runtime scale shm_size secrets sysctls stdin_open stop_grace_period
        stop_signal storage_opt tmpfs tty ulimits use_api_socket user uts userns_mode volumes_from working_dir""",
    )
)
_BUILD_WITHOUT_PATHS = frozenset(
    re.findall(
        r"\w+",
        """dockerfile_inline entitlements args labels no_cache no_cache_filter network provenance sbom pull target
        shm_size extra_hosts isolation privileged secrets tags ulimits platforms""",
    )
)


class Role(Enum):
    """What a scalar means to Compose."""

    PATH = auto()
    # A path or a name, depending on another setting whose value is not known.
    MAYBE_PATH = auto()
    # A short volume: `source:target:mode`, the source a path only if it looks like one.
    VOLUME = auto()
    # A build context: a path, or a URL, an image, another service.
    CONTEXT = auto()
    # `name=context`.
    NAMED_CONTEXT = auto()
    # `id=path`.
    NAMED_PATH = auto()
    # A Dockerfile, relative to the build context.
    DOCKERFILE = auto()
    # A Compose file, or a remote one.
    COMPOSE_FILE = auto()
    # `seccomp:path`, relative to the project's folder.
    SECURITY = auto()
    # `type=local,src=path`, relative to where the build is started.
    CACHE = auto()
    # Not a path of this machine.
    OTHER = auto()
    # Not in the specification.
    UNKNOWN = auto()


@dataclass(frozen=True, slots=True)
class Use:
    """How a scalar is used; `build_context` is the context that a Dockerfile's path is relative to."""

    role: Role
    build_context: str = ""


@dataclass(slots=True)
class Include:
    """One entry of `include`, or one `extends` (`extends` true) of a file."""

    paths: list[str]
    project_directory: str | None = None
    extends: bool = False


@dataclass(slots=True)
class Reading:
    """The paths of a Compose file.

    Attributes:
        uses: the scalars of the file, each with how it is used; a scalar with an anchor may have several uses.
        includes: the files that it includes or extends.
        foreign: keys at the top or in a service that no Compose file has.
        services: for each service whether it has an image or a build; a file without them needs another file.
    """

    uses: dict[int, tuple[Node, list[Use]]] = field(default_factory=dict)
    includes: list[Include] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)
    services: list[bool] = field(default_factory=list)
    _seen: set[tuple[int, str]] = field(default_factory=set)

    def add(self, node: Node | None, role: Role, build_context: str = "") -> None:
        """Note the use of a scalar, or of all scalars of a collection."""
        if node is None:
            return
        if node.kind != "scalar":
            for below in self._new(node, role.name):
                for inner in walk([below]):
                    if inner.kind == "scalar":
                        self.add(inner, role, build_context)
            return
        use = Use(role, build_context)
        uses = self.uses.setdefault(id(node), (node, []))[1]
        if use not in uses:
            uses.append(use)

    def _new(self, node: Node | None, role: str) -> Iterator[Node]:
        """The node, unless it was read in this role before, because aliases may be recursive."""
        if node is not None and (id(node), role) not in self._seen:
            self._seen.add((id(node), role))
            yield node


def read(roots: list[Node]) -> Reading:
    """Read the documents of a Compose file."""
    reading = Reading()
    for root in roots:
        for name, value in root.entries():
            if name in ("version", "name", "models", "networks"):
                reading.add(value, Role.OTHER)
            elif name == "include":
                for item in value.items:
                    _include(reading, item)
            elif name == "services":
                for _service_name, service in value.entries():
                    _service(reading, service)
            elif name == "volumes":
                for _volume_name, volume in value.entries():
                    _volume_definition(reading, volume)
            elif name in ("secrets", "configs"):
                for _file_name, definition in value.entries():
                    _file_definition(reading, definition)
            elif not name.startswith("x-"):
                reading.foreign.append(name)
    for node in walk(roots):
        if node.kind == "scalar" and id(node) not in reading.uses:
            reading.add(node, Role.UNKNOWN)
    return reading


def _strings(node: Node | None) -> list[Node]:
    """The scalars of a string or a list of strings."""
    if node is None:
        return []
    return [node] if node.kind == "scalar" else [item for item in node.items if item.kind == "scalar"]


def _include(reading: Reading, node: Node) -> None:
    paths = _strings(node if node.kind == "scalar" else node.get("path"))
    directory = node.get("project_directory")
    for path in paths:
        reading.add(path, Role.COMPOSE_FILE)
    reading.add(directory, Role.PATH)
    for path in _strings(node.get("env_file")):
        reading.add(path, Role.PATH)
    if paths:
        reading.includes.append(Include([path.value for path in paths], directory.value if directory else None))


def _service(reading: Reading, service: Node) -> None:
    for node in reading._new(service, "service"):
        reading.services.append(any(node.get(key) for key in ("image", "build", "extends", "provider")))
        for name, value in node.entries():
            if name == "build":
                _build(reading, value)
            elif name in ("env_file", "label_file"):
                for item in value.items if value.kind == "sequence" else [value]:
                    _env_file(reading, item)
            elif name == "extends":
                _extends(reading, value)
            elif name == "develop":
                watch = value.get("watch")
                for rule in watch.items if watch else []:
                    for key, setting in rule.entries():
                        reading.add(setting, Role.PATH if key == "path" else Role.OTHER)
            elif name == "volumes":
                for volume in value.items:
                    _volume(reading, volume)
            elif name == "security_opt":
                reading.add(value, Role.SECURITY)
            elif name in _SERVICE_WITHOUT_PATHS:
                reading.add(value, Role.OTHER)
            elif name != "provider" and not name.startswith("x-"):
                reading.foreign.append(name)


def _build(reading: Reading, build: Node) -> None:
    if build.kind == "scalar":
        reading.add(build, Role.CONTEXT)
        return
    context = build.text("context") or "."
    for name, value in build.entries():
        if name == "context":
            reading.add(value, Role.CONTEXT)
        elif name == "dockerfile":
            reading.add(value, Role.DOCKERFILE, context)
        elif name == "additional_contexts":
            reading.add(value, Role.NAMED_CONTEXT if value.kind == "sequence" else Role.CONTEXT)
        elif name == "ssh":
            reading.add(value, Role.NAMED_PATH if value.kind == "sequence" else Role.PATH)
        elif name in ("cache_from", "cache_to"):
            reading.add(value, Role.CACHE)
        elif name in _BUILD_WITHOUT_PATHS:
            reading.add(value, Role.OTHER)


def _env_file(reading: Reading, item: Node) -> None:
    if item.kind == "scalar":
        reading.add(item, Role.PATH)
    for name, value in item.entries():
        reading.add(value, Role.PATH if name == "path" else Role.OTHER)


def _extends(reading: Reading, extends: Node) -> None:
    if extends.kind == "scalar":
        reading.add(extends, Role.OTHER)
        return
    file = extends.get("file")
    reading.add(file, Role.COMPOSE_FILE)
    reading.add(extends.get("service"), Role.OTHER)
    if file is not None and file.kind == "scalar":
        reading.includes.append(Include([file.value], extends=True))


def _volume(reading: Reading, volume: Node) -> None:
    if volume.kind == "scalar":
        reading.add(volume, Role.VOLUME)
        return
    kind = volume.text("type") or "$"
    role = Role.PATH if kind == "bind" else Role.MAYBE_PATH if "$" in kind else Role.OTHER
    for name, value in volume.entries():
        reading.add(value, role if name == "source" else Role.OTHER)


def _volume_definition(reading: Reading, volume: Node) -> None:
    options = volume.get("driver_opts")
    kind = (options.text("o") if options else None) or ""
    # Compose resolves only this path, but in another bind mount a path may be meant as well.
    is_bind = volume.text("driver") == "local" and kind == "bind"
    role = Role.PATH if is_bind else Role.MAYBE_PATH if "bind" in kind or "$" in kind else Role.UNKNOWN
    for name, value in volume.entries():
        if name != "driver_opts":
            reading.add(value, Role.OTHER)
            continue
        for option, setting in value.entries():
            reading.add(setting, role if option == "device" else Role.OTHER)


def _file_definition(reading: Reading, definition: Node) -> None:
    for name, value in definition.entries():
        if name == "file":
            reading.add(value, Role.PATH)
        elif not name.startswith("x-"):
            reading.add(value, Role.OTHER)
