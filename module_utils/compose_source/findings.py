"""What is worth saying about a project: each finding names the service, the kind, the place and the remedy."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address

from ansible.module_utils.compose_source.masking import secrets_of_text, secrets_of_variable
from ansible.module_utils.compose_source.nodes import Node
from ansible.module_utils.compose_source.project import Project
from ansible.module_utils.compose_source.services import Service
from ansible.module_utils.compose_source.syntax import Port, is_below, published_ports
from ansible.module_utils.compose_source.variables import SubstitutionError, substitute
from ansible.module_utils.shared.masking import MASK


@dataclass(frozen=True, slots=True)
class Finding:
    """One remark. `service` is empty where it concerns the project; `where` is file:line."""

    service: str
    kind: str
    message: str
    where: str

    def as_dict(self) -> dict[str, str]:
        """The finding as a module returns it."""
        return {"service": self.service, "kind": self.kind, "message": self.message, "where": self.where}


def find_all(project: Project, services: Mapping[str, Service], tree: Sequence[str]) -> list[Finding]:
    """Every finding, in the order of kinds and then of services. `tree` are all names of the tree's own place."""
    found: list[Finding] = []
    found += obsolete_keys(project)
    found += unset_variables(project)
    found += port_clashes(services)
    for service in services.values():
        found += unpinned_image(service)
        found += literal_secrets(service)
        found += undefined_names(service, project, services)
        found += missing_files(service)
        found += outside_mounts(service, tree)
        found += healthcheck_tools(service)
    return found


# --- the project -----------------------------------------------------------------------------------------------------

_OBSOLETE_SERVICE_KEYS = {
    "links": "containers of one network find each other by name",
    "external_links": "containers of one network find each other by name",
    "volume_driver": "name the driver in the top-level `volumes`",
    "log_driver": "use `logging`",
    "log_opt": "use `logging`",
    "net": "use `network_mode` or `networks`",
}


def obsolete_keys(project: Project) -> Iterator[Finding]:
    """Keys that Compose ignores or discourages."""
    version = project.model.get("version")
    if version is not None:
        message = "`version` is ignored by Compose v2, which warns of it. Leave it out."
        yield Finding("", "obsolete_key", message, str(version.where))
    for section in ("networks", "volumes"):
        node = project.model.get(section)
        for name, entry in node.items(f"`{section}`") if node else []:
            external = entry.get("external")
            if external is not None and isinstance(external.value, dict):
                message = f"`external: {{name: …}}` of {section}.{name} is obsolete: write `external: true`, `name:`."
                yield Finding("", "obsolete_key", message, str(external.where))
    services = project.model.get("services")
    for name, service in services.items("`services`") if services else []:
        for key, remedy in _OBSOLETE_SERVICE_KEYS.items():
            entry_node = service.get(key)
            if entry_node is not None:
                yield Finding(name, "obsolete_key", f"`{key}` is obsolete: {remedy}.", str(entry_node.where))


def unset_variables(project: Project) -> Iterator[Finding]:
    """Variables that are used without a value: Compose puts nothing in their place."""
    for name, where in project.unset.items():
        message = f"the variable {name} has no value and no default: nothing stands in its place."
        yield Finding("", "unset_variable", message, where)


def port_clashes(services: Mapping[str, Service]) -> Iterator[Finding]:
    """Two services, or one twice, on the same host port. Of each pair the later one gets the finding."""
    taken: list[tuple[str, Port, Node]] = []
    for service in services.values():
        if not service.active:
            continue
        for port, node in service.ports:
            # A range for one target leaves Docker the choice, so it clashes with nothing in particular.
            if len(published_ports(port.published)) != 1:
                continue
            for other, other_port, other_node in taken:
                if _clash(port, other_port):
                    whom = f"{'itself' if other == service.name else other} ({other_node.where})"
                    message = (
                        f"host port {port.published}/{port.protocol} for {port.target} is also published by {whom} for "
                        f"{other_port.target}: the second one cannot start. Give one of them another host port."
                    )
                    yield Finding(service.name, "port_clash", message, str(node.where))
            taken.append((service.name, port, node))


def _clash(one: Port, other: Port) -> bool:
    if (one.published, one.protocol) != (other.published, other.protocol):
        return False
    mine, yours = _address(one.host_ip), _address(other.host_ip)
    return not mine or not yours or mine == yours


def _address(text: str) -> str:
    """A canonical address; empty for every one. A wildcard of one family counts as all: Docker's proxy takes both."""
    try:
        address = ip_address(text) if text else None
    except ValueError:
        return text
    return "" if address is None or address.is_unspecified else str(address)


# --- a service -------------------------------------------------------------------------------------------------------

# Projects whose releases have two numbers, so that such a tag does not move.
_TWO_NUMBER_RELEASES = ("chrislusf/seaweedfs",)
_VERSION = re.compile(r"v?(\d+(?:\.\d+)*)(?![0-9.])")
_EXACT = re.compile(r"(?:.*[.\-])?(?:\d{8,}|\d{4}-\d{2}-\d{2}|[0-9a-f]{7,64})(?:[T.\-].*)?$")


def split_image(reference: str) -> tuple[str, str, str]:
    """Repository, tag and digest of an image's name; the last two may be empty."""
    name, _sep, digest = reference.partition("@")
    head, slash, last = name.rpartition("/")
    last, _sep, tag = last.partition(":")
    return head + slash + last, tag, digest


def unpinned_image(service: Service) -> Iterator[Finding]:
    """Tags that name another image tomorrow."""
    if service.image is None:
        if service.build is None and service.node is not None and service.node.get("provider") is None:
            message = "it has neither `image` nor `build`, so it cannot start."
            yield Finding(service.name, "no_image", message, str(service.where))
        return
    reference = service.image.text("`image`")
    repository, tag, digest = split_image(reference)
    if digest or service.build is not None:
        return
    if not tag or tag == "latest":
        what = "a name without tag means `latest`, which" if not tag else "the tag `latest`"
        message = f"{reference}: {what} names whatever was released last. Name a release, and its digest."
        yield Finding(service.name, "unpinned_tag", message, str(service.image.where))
        return
    match = _VERSION.match(tag)
    numbers = match[1].split(".") if match else []
    enough = 2 if repository.endswith(_TWO_NUMBER_RELEASES) else 3
    if len(numbers) >= enough or _EXACT.match(tag):
        return
    line = ".".join(numbers) if numbers else tag
    reason = f"moves with every release of the {line} line" if numbers else "names no release and moves"
    message = f"{reference}: the tag `{tag}` {reason}. Name a release, and its digest."
    yield Finding(service.name, "unpinned_tag", message, str(service.image.where))


def literal_of(node: Node) -> str:
    """What of a value stands in the file itself: its text, or with variables what is left when they are empty."""
    if node.raw is None:
        return str(node.text("a value"))
    try:
        left: str = substitute(node.raw, {}).text
    except SubstitutionError:
        return ""
    return left


def literal_secrets(service: Service) -> Iterator[Finding]:
    """Passwords, keys and tokens that stand in the file. The message never shows them."""
    for name, node in service.environment.items():
        if node.value is not None and secrets_of_variable(name, literal_of(node)):
            message = (
                f"the variable {name} holds a secret in plain text ({MASK}). Keep it in a file for the service alone."
            )
            yield Finding(service.name, "literal_secret", message, str(node.where))
    source = service.node
    build = source.get("build") if source else None
    args = build.get("args") if build else None
    for name, value in (service.build or {}).get("args", {}).items():
        node_of_arg = args.value.get(name) if args is not None and isinstance(args.value, dict) else None
        literal = literal_of(node_of_arg) if node_of_arg is not None else value
        if secrets_of_variable(name, literal):
            message = (
                f"the build argument {name} is a secret in plain text ({MASK}), kept in the image. Use a build secret."
            )
            yield Finding(service.name, "literal_secret", message, str((args or build or service).where))
    for key, part in (("command", source), ("entrypoint", source), ("test", service.healthcheck_node)):
        words = part.get(key) if part is not None else None
        if words is not None:
            text = " ".join(literal_of(word) for word in words.scalars() if word.value is not None)
            if secrets_of_text(text):
                message = f"`{key}` holds a secret in plain text ({MASK}): process lists show it. Read it from a file."
                yield Finding(service.name, "literal_secret", message, str(words.where))


def undefined_names(service: Service, project: Project, services: Mapping[str, Service]) -> Iterator[Finding]:
    """Networks, volumes, secrets, configs and services that are used and defined nowhere."""

    def defined(section: str) -> set[str]:
        node = project.model.get(section)
        return {name for name, _node in node.items(f"`{section}`")} if node else set()

    networks = defined("networks")
    for name, node in service.networks.items():
        if name != "default" and name not in networks:
            yield _undefined(service, "network", name, str(node.where), "networks")
    volumes = defined("volumes")
    for mount, node in service.volumes:
        if mount.kind == "volume" and mount.source and mount.source not in volumes:
            yield _undefined(service, "volume", mount.source, str(node.where), "volumes")
    for section, what in (("secrets", "secret"), ("configs", "config")):
        used = service.node.get(section) if service.node else None
        for element in used.elements(f"`{section}`") if used else []:
            source = element.get("source") if isinstance(element.value, dict) else element
            name = source.text(f"a {what}") if source is not None else ""
            if name and name not in defined(section):
                yield _undefined(service, what, name, str(element.where), section)
    for name, node in service.depends_on.items():
        if name not in services:
            message = f"it depends on the service {name}, which is defined nowhere: Compose refuses the file."
            yield Finding(service.name, "undefined_service", message, str(node.where))


def _undefined(service: Service, what: str, name: str, where: str, section: str) -> Finding:
    message = f"the {what} {name} is used and not defined: Compose refuses the file. Define it under `{section}`."
    return Finding(service.name, f"undefined_{what}", message, where)


def missing_files(service: Service) -> Iterator[Finding]:
    """Files of variables that are named and not there."""
    for path, where in service.missing_env_files:
        message = f"its env_file {path} is not there: Compose refuses the file. Bring it."
        yield Finding(service.name, "missing_env_file", message, str(where))


def outside_mounts(service: Service, tree: Sequence[str]) -> Iterator[Finding]:
    """Mounts from places that the migration does not move."""
    for mount, node in service.volumes:
        if mount.kind in ("bind", "npipe") and mount.source and not is_below(mount.source, tree):
            message = f"{mount.source} (at {mount.target}) lies outside of the Trade2025 tree and is not migrated."
            if mount.source.endswith("docker.sock"):
                message += " Whoever reaches this socket is root on the machine."
            yield Finding(service.name, "mount_outside", message, str(node.where))


# Official images (their last two name parts) and the tools that their own files show them to lack.
_LACKS: dict[str, tuple[str, ...]] = {
    "nats": ("curl",),
    "valkey/valkey": ("curl",),
    "questdb/questdb": ("wget", "curl"),
    "clickhouse/clickhouse-server": ("curl",),
    "opensearchproject/opensearch": ("wget",),
    "openpolicyagent/opa": ("wget", "curl", "sh"),
}


def healthcheck_tools(service: Service) -> Iterator[Finding]:
    """Health checks that are not there or that call a program which the image does not have."""
    check, node = service.healthcheck, service.healthcheck_node
    if check is None or node is None or check["disable"] or not check["test"]:
        why = "is switched off" if check is not None and check["disable"] else "is not defined"
        message = f"a health check {why}: Compose takes the service for ready as soon as it starts."
        yield Finding(service.name, "no_healthcheck", message, str((node or service).where))
        return
    where = str(node.where)
    words = _programs(check["test"])
    repository = ""
    if service.image is not None and service.build is None:
        repository = split_image(service.image.text("`image`"))[0]
    lacking = _LACKS.get("/".join(repository.split("/")[-2:]), _LACKS.get(repository.rpartition("/")[2], ()))
    for tool in lacking:
        if tool in words:
            message = f"its health check calls {tool}, which the image {repository} lacks: it never gets healthy."
            yield Finding(service.name, "healthcheck_tool", message, where)
    if any("://localhost" in word or word == "localhost" for word in check["test"]):
        message = "its health check asks `localhost`, which some tools take for ::1, where few listen. Use 127.0.0.1."
        yield Finding(service.name, "healthcheck_address", message, where)


def _programs(test: list[str]) -> set[str]:
    """The programs that a health check calls; the shell counts as one."""
    if test[:1] == ["CMD"]:
        return {word.rpartition("/")[2] for word in test[1:2]} | _of_shell(test[1:])
    script = " ".join(test[1:] if test[:1] == ["CMD-SHELL"] else test)
    return {"sh"} | _commands(script)


def _of_shell(words: list[str]) -> set[str]:
    """The programs of a script that is given to a shell with `-c`."""
    shells = {"sh", "bash", "ash", "dash"}
    if words and words[0].rpartition("/")[2] in shells and "-c" in words[:-1]:
        return _commands(words[words.index("-c") + 1])
    return set()


_SHELL_WORDS = ("!", "if", "then", "do", "while", "exec", "for", "else")


def _commands(script: str) -> set[str]:
    found = set()
    for part in re.split(r"\|\||&&|[;|&\n(){}]", script):
        try:
            words = shlex.split(part)
        except ValueError:
            words = part.split()
        words = [word for word in words if "=" not in word and word not in _SHELL_WORDS]
        if words:
            found.add(words[0].rpartition("/")[2])
    return found
