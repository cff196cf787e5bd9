# SPDX-License-Identifier: GPL-3.0-or-later
"""The deployed stack for the tests: the services with their containers, and the machine."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from ansible.module_utils.shared.docker import Docker
from ansible.module_utils.validation.bridge import Container, Phase, Probe, Target, classify, parse, parse_probes
from ansible.module_utils.validation.model import PLATFORM, FailedError, SkippedError, until

# Seconds after which a container that has stopped, or does not exist, will not come back by itself.
STOPPED_S = 20.0

P = TypeVar("P", bound=Probe)


@dataclass
class Service:
    """A service: what was declared for it, and its container."""

    name: str
    record: Mapping[str, Any]
    image: Mapping[str, Any]
    target: Target
    probes: tuple[Probe, ...]
    docker: Docker

    @property
    def role(self) -> str:
        """Role that describes the service."""
        return str(self.record["role"])

    @property
    def container(self) -> str:
        """Name of the container."""
        return str(self.record["container"])

    @property
    def networks(self) -> dict[str, str]:
        """Key → name of the networks that were declared."""
        return dict(self.record["networks"])

    @cached_property
    def document(self) -> dict[str, Any]:
        """`docker inspect` of the container; empty if there is none."""
        return self.docker.inspect("container", self.container).get(self.container, {})

    def refresh(self) -> None:
        """Inspect the container again when it is needed the next time."""
        self.__dict__.pop("document", None)

    @property
    def seen(self) -> Container | None:
        """The container; None if there is none."""
        return parse(self.container, self.document) if self.document else None

    @property
    def pid(self) -> int:
        """The container's first process on the host; raises SkippedError if it does not run."""
        pid = int((self.document.get("State") or {}).get("Pid") or 0)
        if not pid:
            raise SkippedError(f"{self.name} does not run; see component.{self.name}.running")
        return pid

    @property
    def addresses(self) -> dict[str, str]:
        """Name of a network → the container's address on it."""
        networks = (self.document.get("NetworkSettings") or {}).get("Networks") or {}
        return {name: str(one["IPAddress"]) for name, one in networks.items() if one.get("IPAddress")}

    def state(self) -> tuple[Phase, str]:
        """Whether the container is healthy, and what is wrong."""
        if self.seen is None:
            return Phase.FAILED, "does not exist"
        return classify(self.seen, self.seen.restarts)

    def probe(self, kind: type[P]) -> P:
        """The declared probe of a type; raises SkippedError if the role declares none."""
        for probe in self.probes:
            if isinstance(probe, kind):
                return probe
        raise SkippedError(f"{self.name} declares no probe {kind.TYPE}")

    def with_secrets(self, folder: Path) -> Target:
        """The target with the credentials from another folder."""
        return replace(self.target, secrets_root=folder)

    @property
    def is_settled(self) -> bool:
        """Whether the container is healthy, or will not get healthy by itself unless the engine starts it again."""
        phase, _why = self.state()
        # A container that runs and is unhealthy may only be slow: it was healthy before.
        runs = self.seen is not None and self.seen.status == "running"
        return phase is Phase.HEALTHY or not (phase is Phase.STARTING or runs)


@dataclass
class Settings:
    """The site's settings for validation."""

    root: Path
    secrets_root: Path
    project: str
    bind_address: str
    # Key → {name, subnet}
    networks: Mapping[str, Mapping[str, str]]
    # Kinds of tests in this run.
    kinds: tuple[str, ...] = ()
    probe_image: str = ""
    disruptive: bool = False
    engine_restart: bool = False
    # Restarts the engine.
    engine_command: tuple[str, ...] = ()
    durability: str = "balanced"
    records: int = 100
    # Operation → milliseconds for its 99th percentile.
    budgets: Mapping[str, float] = field(default_factory=dict)
    noise_percent: float = 100
    # Folder of earlier reports.
    reports: Path | None = None


@dataclass
class Stack:
    """All services of a machine."""

    settings: Settings
    services: dict[str, Service]
    docker: Docker
    # State that the tests of a group share, and measurements for the result document.
    shared: dict[str, Any] = field(default_factory=dict)
    reachability: list[dict[str, Any]] = field(default_factory=list)
    performance: list[dict[str, Any]] = field(default_factory=list)
    durability: list[dict[str, Any]] = field(default_factory=list)
    floor: dict[str, dict[str, Any]] = field(default_factory=dict)
    findings: list[dict[str, str]] = field(default_factory=list)

    def of_role(self, role: str) -> Service:
        """The service of a role; raises SkippedError if this run has none."""
        for service in self.services.values():
            if service.role == role:
                return service
        raise SkippedError(f"no service of this run has the role {role}")

    def having(self, role: str) -> Iterator[Service]:
        """Every service of a role."""
        return (service for service in self.services.values() if service.role == role)

    @cached_property
    def platform(self) -> Service:
        """The platform, as the subject of tests."""
        any_one = next(iter(self.services.values()))
        return replace(any_one, name=PLATFORM)

    def refresh(self) -> None:
        """Inspect every container again, in one call."""
        names = {service.container: service for service in self.services.values()}
        found = self.docker.inspect("container", *names)
        for name, service in names.items():
            service.__dict__["document"] = found.get(name, {})

    def wait_healthy(self, seconds: float) -> dict[str, str]:
        """Wait until every container is healthy; returns those that are not, each with what is wrong."""
        begun = time.monotonic()

        def unhealthy() -> dict[str, str]:
            self.refresh()
            states = {name: service.state() for name, service in self.services.items()}
            return {name: f"{name} {why}" for name, (phase, why) in states.items() if phase is not Phase.HEALTHY}

        def settled() -> bool:
            left = unhealthy()
            # The engine may be about to start a container that has stopped.
            is_over = time.monotonic() - begun > STOPPED_S
            return not left or (is_over and all(self.services[name].is_settled for name in left))

        until(settled, seconds, 0.3)
        return unhealthy()

    @cached_property
    def network_documents(self) -> dict[str, dict[str, Any]]:
        """Name → `docker network inspect`, for the declared networks that exist."""
        return self.docker.inspect("network", *(str(network["name"]) for network in self.settings.networks.values()))

    def compose(self, *arguments: str, timeout_s: int = 300) -> str:
        """Output of `docker compose` on the deployment's file; raises FailedError."""
        file = self.settings.root / "infrastructure/docker/docker-compose.core.yml"
        code, out, err = self.docker.attempt("compose", "--file", str(file), *arguments, timeout_s=timeout_s)
        if code != 0:
            raise FailedError(f"`docker compose {' '.join(arguments)}` failed: {err.strip()[-400:]}")
        return out


def build_stack(params: Mapping[str, Any], run: Callable[..., tuple[int, str, str]]) -> Stack:
    """The stack from the module's parameters."""
    docker = Docker(run)
    settings = Settings(
        root=Path(params["root"]),
        secrets_root=Path(params["secrets_root"]),
        project=params["project"],
        bind_address=params["bind_address"],
        networks=params["networks"],
        kinds=tuple(params["kinds"]),
        probe_image=params["probe_image"] or "",
        disruptive=params["disruptive"],
        engine_restart=params["engine_restart"],
        engine_command=tuple(params["engine_command"]),
        durability=params["durability"],
        records=params["records"],
        budgets={key: float(value) for key, value in params["budgets"].items()},
        noise_percent=params["noise_percent"],
        reports=Path(params["reports"]) if params["reports"] else None,
    )
    services = {}
    for entry in params["services"]:
        record, probing = entry["record"], entry["probing"]
        # Parameters of Ansible's own types cannot always be compared with plain ones.
        record = json.loads(json.dumps(record))
        target = Target(
            probing["address"],
            {str(name): int(port) for name, port in probing["ports"].items()},
            settings.secrets_root,
            float(probing["timeout_s"]),
        )
        services[record["name"]] = Service(
            record["name"], record, entry["image"], target, tuple(parse_probes(probing["probes"])), docker
        )
    return Stack(settings, services, docker)
