"""Bring the services of a loaded project into one form, whichever syntax they were written in."""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible.module_utils.compose_source.merge import canonical
from ansible.module_utils.compose_source.nodes import Node, SourceError, Where, scalar_text
from ansible.module_utils.compose_source.project import Project
from ansible.module_utils.compose_source.syntax import (
    Mount,
    Port,
    is_windows_path,
    parse_mount,
    parse_port,
    seconds,
    size_bytes,
)
from ansible.module_utils.compose_source.variables import read_env_file


@dataclass(slots=True)
class Service:
    """A service, all values as Compose would use them. Each list of places has one entry a value."""

    name: str
    where: Where
    active: bool
    profiles: list[str]
    image: Node | None = None
    build: dict[str, Any] | None = None
    command: list[str] | None = None
    entrypoint: list[str] | None = None
    ports: list[tuple[Port, Node]] = field(default_factory=list)
    volumes: list[tuple[Mount, Node]] = field(default_factory=list)
    networks: dict[str, Node] = field(default_factory=dict)
    network_mode: str = ""
    environment: dict[str, Node] = field(default_factory=dict)
    missing_env_files: list[tuple[str, Where]] = field(default_factory=list)
    healthcheck: dict[str, Any] | None = None
    healthcheck_node: Node | None = None
    limits: dict[str, Any] = field(default_factory=dict)
    depends_on: dict[str, Node] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    restart: str = ""
    container_name: str = ""
    user: str = ""
    rights: dict[str, Any] = field(default_factory=dict)
    stop: dict[str, Any] = field(default_factory=dict)
    node: Node | None = None


def services_of(project: Project, profiles: Sequence[str]) -> dict[str, Service]:
    """Every service of the project; `active` says whether the profiles let it run. Raises SourceError."""
    from_environment = project.environment.get("COMPOSE_PROFILES", "").split(",")
    wanted = set(profiles) or {name.strip() for name in from_environment if name.strip()}
    section = project.model.get("services")
    if section is None:
        raise SourceError(
            f"{project.model.where.path}: it has no `services`. Name the file that has them in trade2025_compose_files."
        )
    return {name: _service(name, node, project, wanted) for name, node in section.items("`services`")}


def _long(service: Node, name: str, key: str) -> Node | None:
    node = service.get(key)
    return canonical(node, ("services", name, key)) if node else None


def _text(service: Node, key: str) -> str:
    node = service.get(key)
    return node.text(f"`{key}`") if node else ""


def _service(name: str, node: Node, project: Project, wanted: set[str]) -> Service:
    profile_node = node.get("profiles")
    profiles = [part.text("a profile") for part in profile_node.elements("`profiles`")] if profile_node else []
    made = Service(name, node.where, not profiles or "*" in wanted or bool(wanted & set(profiles)), profiles, node=node)
    made.image = node.get("image")
    if made.image is not None:
        made.image.text("`image`")
    made.build = _build(node, name)
    made.command, made.entrypoint = _words(node, "command"), _words(node, "entrypoint")
    made.ports = _ports(node)
    made.volumes = _volumes(node)
    networks = _long(node, name, "networks")
    made.network_mode = _text(node, "network_mode")
    if networks is not None:
        made.networks = dict(networks.items("`networks`"))
    if not made.networks and not made.network_mode:
        made.networks = {"default": Node(None, node.where)}
    made.environment, made.missing_env_files = _environment(node, name, project)
    made.healthcheck_node = node.get("healthcheck")
    made.healthcheck = _healthcheck(made.healthcheck_node)
    made.limits = _limits(node)
    depends = _long(node, name, "depends_on")
    made.depends_on = dict(depends.items("`depends_on`")) if depends else {}
    labels = _long(node, name, "labels")
    made.labels = {key: part.text("a label") for key, part in labels.items("`labels`")} if labels else {}
    made.rights, made.stop = _rights(node), _stop(node)
    made.restart, made.container_name, made.user = (_text(node, key) for key in ("restart", "container_name", "user"))
    return made


def _build(service: Node, name: str) -> dict[str, Any] | None:
    node = _long(service, name, "build")
    if node is None:
        return None
    node.items("`build`")
    args = node.get("args")
    if args is not None:
        args = canonical(args, ("services", name, "build", "args"))
    context = node.get("context")
    written = context.text("`context`") if context else "."
    return {
        "context": resolved(written, (context or node).where.base),
        "dockerfile": _text(node, "dockerfile") or ("" if node.get("dockerfile_inline") else "Dockerfile"),
        "target": _text(node, "target"),
        "args": {key: part.text("a build argument") for key, part in args.items("`args`")} if args else {},
    }


def resolved(path: str, base: str) -> str:
    """A path as Compose uses it: `~` and relative ones made absolute, Windows ones and URLs left as they are."""
    if is_windows_path(path) or re.match(r"[a-z][a-z0-9+.\-]*://|git@|github\.com/", path):
        return path
    return posixpath.normpath(posixpath.join(base, posixpath.expanduser(path)))


def _words(service: Node, key: str) -> list[str] | None:
    node = service.get(key)
    if node is None:
        return None
    if isinstance(node.value, list):
        return [part.text(f"an element of `{key}`") for part in node.value]
    text = node.text(f"`{key}`")
    try:
        return shlex.split(text)
    except ValueError:
        raise SourceError(f"{node.where}: a quote in `{key}` is not closed. Close it.") from None


def _ports(service: Node) -> list[tuple[Port, Node]]:
    node = service.get("ports")
    found: dict[Port, Node] = {}
    for element in node.elements("`ports`") if node else []:
        try:
            ports = [_long_port(element)] if isinstance(element.value, dict) else parse_port(element.text("a port"))
        except ValueError as error:
            raise SourceError(f"{element.where}: {error}.") from None
        for port in ports:
            found.setdefault(port, element)
    return list(found.items())


def _long_port(node: Node) -> Port:
    target = node.get("target")
    if target is None:
        raise ValueError("a port in the long form wants `target`")
    text = target.text("`target`")
    if not text.isdigit() or not 0 < int(text) <= 65535:
        raise ValueError(f"`{text}` is no port number")
    published = _text(node, "published")
    if published:
        ports = parse_port(f"{published}:{text}")
        published = ports[0].published
    return Port(_text(node, "host_ip"), published, int(text), _text(node, "protocol").lower() or "tcp")


def _volumes(service: Node) -> list[tuple[Mount, Node]]:
    node = service.get("volumes")
    found: dict[str, tuple[Mount, Node]] = {}
    for element in node.elements("`volumes`") if node else []:
        try:
            mount = _long_mount(element) if isinstance(element.value, dict) else parse_mount(element.text("a volume"))
        except ValueError as error:
            raise SourceError(f"{element.where}: {error}.") from None
        if mount.kind == "bind":
            mount = Mount(mount.kind, resolved(mount.source, element.where.base), mount.target, mount.read_only)
        # Two entries for one place in the container: the later file's wins, as in Compose.
        found[mount.target] = (mount, element)
    return list(found.values())


def _long_mount(node: Node) -> Mount:
    kind, target = _text(node, "type"), _text(node, "target")
    if not kind or (not target and kind != "tmpfs"):
        raise ValueError("a volume in the long form wants `type` and `target`")
    return Mount(kind, _text(node, "source"), target, _text(node, "read_only").lower() == "true")


def _bare(node: Node) -> str | int | float | bool | None:
    return None if isinstance(node.value, dict | list) else node.value


def _flag(node: Node, key: str) -> bool:
    flag = node.get(key)
    return flag is not None and _bare(flag) is True


def _environment(service: Node, name: str, project: Project) -> tuple[dict[str, Node], list[tuple[str, Where]]]:
    """The variables, those of `env_file` below those of `environment`; and the env files that are not there."""
    found: dict[str, Node] = {}
    missing: list[tuple[str, Where]] = []
    files = _long(service, name, "env_file")
    for element in files.elements("`env_file`") if files else []:
        path_node = element.get("path") if isinstance(element.value, dict) else element
        if path_node is None:
            raise SourceError(f"{element.where}: an `env_file` in the long form wants `path`.")
        required = element.get("required") if isinstance(element.value, dict) else None
        path = resolved(path_node.text("`env_file`"), path_node.where.base)
        try:
            earlier = {key: part.text("a variable") for key, part in found.items() if part.value is not None}
            for key, value in read_env_file(Path(path), path, {**earlier, **project.environment}).items():
                found[key] = Node(value, path_node.where, raw="")
        except FileNotFoundError:
            if required is None or _bare(required) is not False:
                missing.append((path, path_node.where))
    own = _long(service, name, "environment")
    for key, part in own.items("`environment`") if own else []:
        part.text(f"the variable {key}")
        if part.value is None:
            found[key] = Node(project.environment.get(key), part.where, raw="")
        else:
            found[key] = Node(scalar_text(_bare(part)), part.where, part.raw)
    return found, missing


def _healthcheck(node: Node | None) -> dict[str, Any] | None:
    if node is None:
        return None
    node.items("`healthcheck`")
    test = node.get("test")
    words: list[str] = []
    if test is not None:
        words = (
            [part.text("a word of `test`") for part in test.value]
            if isinstance(test.value, list)
            else ["CMD-SHELL", test.text("`test`")]
        )
    checked: dict[str, Any] = {
        "test": words,
        "disable": words[:1] == ["NONE"] or _flag(node, "disable"),
    }
    for key in ("interval", "timeout", "start_period", "start_interval"):
        value = node.get(key)
        checked[f"{key}_s"] = _number(value, seconds) if value else None
    retries = node.get("retries")
    checked["retries"] = _number(retries, int) if retries else None
    return checked


def _number(node: Node, convert: Callable[[str], float]) -> float:
    text = node.text("a number")
    try:
        return convert(text)
    except ValueError as error:
        raise SourceError(f"{node.where}: {str(error) if '`' in str(error) else f'`{text}` is no number'}.") from None


def _rights(service: Node) -> dict[str, Any]:
    """What the container may do beyond or short of what Docker gives it."""
    rights: dict[str, Any] = {}
    for key in ("privileged", "read_only"):
        rights[key] = _flag(service, key)
    for key in ("cap_add", "cap_drop", "security_opt"):
        node = service.get(key)
        rights[key] = [part.text(f"an element of `{key}`") for part in node.elements(f"`{key}`")] if node else []
    return rights


def _stop(service: Node) -> dict[str, Any]:
    grace = service.get("stop_grace_period")
    return {"signal": _text(service, "stop_signal"), "grace_s": _number(grace, seconds) if grace else None}


_LIMITS: tuple[tuple[str, str, Callable[[str], float]], ...] = (
    ("memory", "mem_limit", size_bytes),
    ("cpus", "cpus", float),
    ("pids", "pids_limit", int),
)


def _limits(service: Node) -> dict[str, Any]:
    """Memory in bytes, processors, processes and ulimits; `deploy` wins over the older short names, as in Compose."""
    limits: dict[str, Any] = {"memory": None, "cpus": None, "pids": None, "ulimits": {}}
    deploy = service.get("deploy")
    resources = deploy.get("resources") if deploy else None
    deployed = resources.get("limits") if resources else None
    for key, old, convert in _LIMITS:
        node = (deployed.get(key) if deployed else None) or service.get(old)
        if node is not None:
            limits[key] = _number(node, convert)
    ulimits = service.get("ulimits")
    for name, node in ulimits.items("`ulimits`") if ulimits else []:
        if isinstance(node.value, dict):
            limits["ulimits"][name] = {key: _number(part, int) for key, part in node.value.items()}
        else:
            limits["ulimits"][name] = _number(node, int)
    return limits
