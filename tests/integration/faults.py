# SPDX-License-Identifier: GPL-3.0-or-later
"""Ways in which a new version or configuration of a service does not start, for the rollback drill.

Each lets the service's own validate command pass, so that the fault appears only when the container runs.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from site_under_test import PROJECT_ROOT, Site, docker

RECIPES = PROJECT_ROOT / "roles/image/files/packages"
# Recipe of each service's image, or of the base that it is built on.
RECIPE = {"authn": "python"}
# What the new version runs in place of the service.
PROGRAMS = {
    "image": "exec /program-that-does-not-exist",
    "memory": "exec {tools}tail /dev/zero",
    "hang": "exec {tools}sleep 3600",
}
KINDS = ("image", "setting", "memory", "port", "hang")
# A variable with a port that the service publishes.
PORTS = {
    "nats": ("nats_client_port", 4222),
    "valkey": ("valkey_port", 6379),
    "questdb": ("questdb_http_port", 9000),
    "clickhouse": ("clickhouse_http_port", 8123),
    "seaweedfs": ("seaweedfs_s3_port", 8333),
    "opensearch": ("opensearch_http_port", 9200),
    "authn": ("authn_port", 8114),
    "opa": ("opa_port", 8181),
}
PORT_SHIFT = 350
# Smaller limits for services whose default is gigabytes, which would be filled before the kernel kills the program.
SMALL = {
    "valkey": {"valkey_memory_limit": "96m", "valkey_maxmemory": "32mb"},
    "nats": {"nats_memory_limit": "96m", "nats_go_memory_limit": "64MiB", "nats_jetstream_max_memory": "16MB"},
    "seaweedfs": {"seaweedfs_memory_limit": "256m", "seaweedfs_go_memory_limit": "200MiB"},
}
# Seconds to wait for the lock of the run whose port is to be taken.
LOCK_TIMEOUT_S = 300


@dataclass
class Faults:
    """The faults of one run: service → kind."""

    site: Site
    kinds: Mapping[str, str]
    folder: Path
    variables: dict[str, Any] = field(default_factory=dict)
    ports: list[int] = field(default_factory=list)

    def prepare(self) -> None:
        """Work out the variables of the run, with a folder of recipes that hold the bad versions."""
        recipes = self.folder / "recipes"
        shutil.rmtree(recipes, ignore_errors=True)
        shutil.copytree(RECIPES, recipes)
        for service, kind in self.kinds.items():
            if kind in PROGRAMS:
                self.variables["image_recipe_folder"] = str(recipes)
                self._damage(recipes / RECIPE.get(service, service), service, kind)
            if kind == "memory":
                self.variables.update(SMALL.get(service, {}))
            if kind == "setting":
                # Too little for the container's first process to start the service.
                self.variables[f"{service}_pids_limit"] = 1
            if kind == "port":
                name, port = PORTS[service]
                self.variables[name] = port + PORT_SHIFT
                self.ports.append(self.site.port(port + PORT_SHIFT))

    def _damage(self, recipe: Path, service: str, kind: str) -> None:
        """A version of the image that still validates files, but runs another program than the service."""
        good = self.site.inspect(service)[service]["Config"]["Image"]
        if service in ("authn", "opa"):
            good = base_of(recipe.name)
        tools = "/busybox " if service == "opa" else ""
        program = PROGRAMS[kind].format(tools=tools)
        original = "/opa " if service == "opa" else ""
        accepted = "*' -t '*|*' check '*|*' --check-config '*"
        words = f'case \\" $* \\" in {accepted}) exec {original}\\"$@\\";; esac; {program}'
        shell = '"/busybox", "sh"' if service == "opa" else '"sh"'
        lines = ["ARG BASE_IMAGE", f"FROM {good}"]
        if service == "opa":
            lines.append(f"COPY --from={base_of('probe')} /bin/busybox /busybox")
        lines.append(f'ENTRYPOINT [{shell}, "-c", "{words}", "drill"]')
        # Nothing is downloaded or compiled: the good image contains everything.
        file = recipe / "recipe.yml"
        described = yaml.safe_load(file.read_text(encoding="utf-8"))
        kept = {
            key: described[key]
            for key in ("title", "official", "version", "built_from", "from", "python")
            if key in described
        }
        file.write_text(yaml.safe_dump(kept), encoding="utf-8")
        (recipe / "Dockerfile").write_text("\n".join(lines) + "\n", encoding="utf-8")

    def begin(self, **variables: Any) -> tuple[subprocess.Popen[str], list[socket.socket]]:
        """Start the main job with the faults; returns it with the ports that were taken from it."""
        lock = self.site.root / ".trade2026/journal/lock"
        # A run that was killed leaves one.
        assert not lock.exists(), lock.read_text(encoding="utf-8")
        process = self.site.begin(**self.variables, **variables)
        return process, self._take_ports(process, lock)

    def _take_ports(self, process: subprocess.Popen[str], lock: Path) -> list[socket.socket]:
        """Take the ports once the run has inspected the machine, before it starts the containers."""
        if not self.ports:
            return []
        limit = time.monotonic() + LOCK_TIMEOUT_S
        while not lock.exists():
            assert process.poll() is None, f"the run ended before it took its lock: {process.communicate()[0][-3000:]}"
            assert time.monotonic() < limit, f"no lock within {LOCK_TIMEOUT_S} s"
            time.sleep(0.05)
        taken = []
        for port in self.ports:
            listener = socket.socket()
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("127.0.0.1", port))
            listener.listen()
            taken.append(listener)
        return taken


def base_of(recipe: str) -> str:
    """The newest image that was built from a recipe of this project."""
    found = docker("image", "ls", "--format", "{{.Repository}}:{{.Tag}}", f"localhost/trade2026/{recipe}").split()
    assert found, f"no image of the recipe {recipe} is on this machine"
    return found[0]


def tags() -> set[str]:
    """The tags of all images on the machine."""
    return set(docker("image", "ls", "--format", "{{.Repository}}:{{.Tag}}").split())
