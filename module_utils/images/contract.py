# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare what the roles assume about an image with the image itself. Pure, except for reading a tar stream."""

from __future__ import annotations

import posixpath
import subprocess
import tarfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import IO, Any

from ansible.module_utils.images.plan import ImageError
from ansible.module_utils.shared.docker import Docker

# Label that distinguishes a container left by a killed run from a service's container.
LABEL = "com.trade2026.audit=true"

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# Files whose content is read.
ACCOUNTS = ("/etc/passwd", "/etc/group")
# As many links as the kernel follows.
MAX_LINKS = 40
READ, EXECUTE = 4, 1


@dataclass(frozen=True)
class Contract:
    """What a role assumes about its image.

    entrypoint: last word of the image's entrypoint, which runs our command; empty where it has none.
    accounts: user name → uid:gid. any_user: whether the image runs as any user, whichever it names.
    tools: programs that the health check, the validate command or the command call.
    owners: path → uid:gid. readable: paths that the service's user must be able to read. environment: name → value.
    working_dir: where relative paths begin. exposed: ports.
    """

    entrypoint: str = ""
    accounts: Mapping[str, str] = field(default_factory=dict)
    any_user: bool = False
    tools: tuple[str, ...] = ()
    owners: Mapping[str, str] = field(default_factory=dict)
    readable: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    working_dir: str = ""
    exposed: tuple[int, ...] = ()


@dataclass(frozen=True)
class Service:
    """What the service's definition adds: its user, its mounts (volumes and tmpfs), and the signal that stops it."""

    uid: int
    gid: int
    mounts: tuple[str, ...] = ()
    stop_signal: str = "SIGTERM"


@dataclass(frozen=True)
class Node:
    """A path in an image."""

    mode: int
    uid: int
    gid: int
    directory: bool = False
    link: str = ""


@dataclass(frozen=True)
class Tree:
    """The file system of an image: absolute path → node, and the content of the files in ACCOUNTS."""

    nodes: Mapping[str, Node]
    contents: Mapping[str, str] = field(default_factory=dict)

    def resolve(self, path: str) -> tuple[str, Node | None]:
        """The path after following links, and its node."""
        for _link in range(MAX_LINKS):
            parts, at = [part for part in path.split("/") if part], "/"
            for number, part in enumerate(parts):
                at = posixpath.join(at, part)
                node = self.nodes.get(at)
                if node and node.link:
                    target = posixpath.join(posixpath.dirname(at), node.link)
                    path = posixpath.normpath(posixpath.join(target, *parts[number + 1 :]))
                    break
            else:
                return at, self.nodes.get(at)
        return path, None

    def may(self, path: str, service: Service, bits: int) -> bool:
        """Whether the service's user may read (4) or execute (1) a path's target, and traverse the folders above."""
        real, node = self.resolve(path)
        if node is None or not _permits(node, service, bits):
            return False
        above = posixpath.dirname(real)
        while above != "/":
            folder = self.nodes.get(above)
            if folder and not _permits(folder, service, EXECUTE):
                return False
            above = posixpath.dirname(above)
        return True


@dataclass(frozen=True)
class Finding:
    """A difference, and its consequence."""

    what: str
    expected: str
    found: str
    consequence: str


def look(docker: Docker, reference: str) -> Tree:
    """The file system of an image."""
    # The command is never run, but without it no container can be created from an image that has no command.
    container = docker.call("create", "--network", "none", "--label", LABEL, reference, "true").strip()
    try:
        with subprocess.Popen(
            ["docker", "export", container], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as export:
            if export.stdout is None:
                raise AssertionError("the output of `docker export` is a pipe")
            tree = read_tree(export.stdout)
            export.stdout.read()
        if export.returncode:
            raise ImageError(f"image {reference}: `docker export` failed with exit code {export.returncode}")
        return tree
    finally:
        docker.call("rm", "--volumes", container)


def read_tree(stream: IO[bytes]) -> Tree:
    """The tree of a tar stream, as `docker export` writes it."""
    nodes: dict[str, Node] = {}
    contents: dict[str, str] = {}
    with tarfile.open(fileobj=stream, mode="r|") as archive:
        for member in archive:
            path = posixpath.normpath("/" + member.name)
            link = member.linkname if member.issym() else "/" + member.linkname if member.islnk() else ""
            nodes[path] = Node(member.mode, member.uid, member.gid, member.isdir(), link)
            if path in ACCOUNTS and member.isfile():
                file = archive.extractfile(member)
                contents[path] = file.read().decode(errors="replace") if file else ""
    return Tree(nodes, contents)


def audit(contract: Contract, service: Service, inspect: Mapping[str, Any], tree: Tree) -> list[Finding]:
    """Every difference between what a role assumes about its image and the image itself."""
    config = inspect.get("Config") or {}
    return [
        *_user(contract, service, config, tree),
        *_start(contract, config),
        *_tools(contract, service, config, tree),
        *_paths(contract, service, tree),
        *_declarations(contract, service, config),
    ]


def _user(contract: Contract, service: Service, config: Mapping[str, Any], tree: Tree) -> list[Finding]:
    findings = []
    accounts = _accounts(tree)
    for name, ids in contract.accounts.items():
        if accounts.get(name) != ids:
            findings.append(
                Finding(
                    f"account {name}",
                    ids,
                    accounts.get(name, "absent"),
                    "the image's files may belong to another user than the container runs as",
                )
            )
    user = str(config.get("User") or "").partition(":")[0]
    own = accounts.get(user, user).partition(":")[0]
    if not contract.any_user and own not in ("", "0", str(service.uid)):
        findings.append(
            Finding(
                "user",
                f"root, or {service.uid}",
                str(config["User"]),
                f"the image is built for another user than {service.uid}, which the container runs as",
            )
        )
    return findings


def _start(contract: Contract, config: Mapping[str, Any]) -> list[Finding]:
    findings = []
    entrypoint = [str(word) for word in config.get("Entrypoint") or []]
    last = entrypoint[-1] if entrypoint else ""
    if last != contract.entrypoint:
        findings.append(
            Finding(
                "entrypoint",
                contract.entrypoint or "none",
                " ".join(entrypoint) or "none",
                "the service's command is handed to another program",
            )
        )
    directory = str(config.get("WorkingDir") or "/")
    if contract.working_dir and directory != contract.working_dir:
        findings.append(
            Finding("working directory", contract.working_dir, directory, "relative paths lead somewhere else")
        )
    return findings


def _tools(contract: Contract, service: Service, config: Mapping[str, Any], tree: Tree) -> list[Finding]:
    variables = dict(str(entry).partition("=")[::2] for entry in config.get("Env") or [])
    folders = variables.get("PATH", DEFAULT_PATH).split(":")
    findings = []
    for tool in contract.tools:
        places = [tool] if tool.startswith("/") else [posixpath.join(folder, tool) for folder in folders if folder]
        if not any(tree.may(place, service, EXECUTE) for place in places):
            found = "not executable" if any(tree.resolve(place)[1] for place in places) else "absent"
            findings.append(
                Finding(f"tool {tool}", "executable", found, "health check, validate command or start fail")
            )
    for name, value in contract.environment.items():
        if variables.get(name) != value:
            findings.append(
                Finding(f"variable {name}", value, variables.get(name, "unset"), "the image's start script differs")
            )
    return findings


def _paths(contract: Contract, service: Service, tree: Tree) -> list[Finding]:
    findings = []
    for path, ids in contract.owners.items():
        _real, node = tree.resolve(path)
        found = f"{node.uid}:{node.gid}" if node else "absent"
        if found != ids:
            findings.append(Finding(f"owner of {path}", ids, found, "the service may not be able to write there"))
    for path in contract.readable:
        if not tree.may(path, service, READ):
            found = "not readable" if tree.resolve(path)[1] else "absent"
            findings.append(
                Finding(path, f"readable by {service.uid}:{service.gid}", found, "the service cannot read it")
            )
    return findings


def _declarations(contract: Contract, service: Service, config: Mapping[str, Any]) -> list[Finding]:
    findings = []
    exposed = {str(port).partition("/")[0] for port in config.get("ExposedPorts") or {}}
    for port in contract.exposed:
        if str(port) not in exposed:
            findings.append(
                Finding(f"port {port}", "exposed", "not exposed", "the service may listen on another port by default")
            )
    for volume in config.get("Volumes") or {}:
        if volume.rstrip("/") not in {mount.rstrip("/") for mount in service.mounts}:
            findings.append(
                Finding(f"volume {volume}", "mounted", "not mounted", "data written there is in an anonymous volume")
            )
    signal = str(config.get("StopSignal") or "")
    if signal not in ("", service.stop_signal):
        findings.append(
            Finding("stop signal", service.stop_signal, signal, "the image's authors stop it by another signal")
        )
    return findings


def _permits(node: Node, service: Service, bits: int) -> bool:
    shift = 6 if node.uid == service.uid else 3 if node.gid == service.gid else 0
    return (node.mode >> shift) & bits == bits


def _accounts(tree: Tree) -> dict[str, str]:
    """User name → uid:gid, from the image's /etc/passwd."""
    fields = [line.split(":") for line in tree.contents.get("/etc/passwd", "").splitlines()]
    return {words[0]: f"{words[2]}:{words[3]}" for words in fields if len(words) >= 4}


def as_data(findings: list[Finding]) -> list[dict[str, str]]:
    """Findings as a module returns them."""
    return [asdict(finding) for finding in findings]
