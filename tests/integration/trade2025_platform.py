"""Trade2025 as it ran: its own Compose file's commands and settings, over data folders of a tree of the tests'."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from site_under_test import SOURCE_TREE, docker
from stored_data import Door

# The folder below `trading` where each service keeps its data, and the port at which its clients call.
FOLDERS = {
    "nats": "nats",
    "valkey": "valkey",
    "questdb": "questdb",
    "clickhouse": "clickhouse",
    "seaweedfs": "seaweed",
    "opensearch": "opensearch",
}
CLIENT_PORTS = {
    "nats": 4222,
    "valkey": 6379,
    "questdb": 8812,
    "clickhouse": 9000,
    "seaweedfs": 8333,
    "opensearch": 9200,
}
# User and password as the tree's own files say them; the other services ask for none.
CREDENTIALS = {
    "questdb": ("admin", "quest"),
    "clickhouse": ("default", ""),
    "seaweedfs": ("trade2025", "trade2025secret"),
}


class Trade2025:
    """The old platform's six services with data, with names, ports and a network that nobody else has."""

    def __init__(self, base: Path, name: str, subnet: str) -> None:
        self.root = base / "trade2025"
        self.project = name
        self._subnet = subnet
        self._compose_file = base / "trade2025-compose.json"

    def data(self, service: str) -> Path:
        """Where a service keeps its data."""
        return self.root / "trading" / FOLDERS[service]

    def lay_out(self, images: Mapping[str, str]) -> None:
        """Make the tree, with empty data folders, and the Compose file; `images` is service → reference."""
        shutil.copytree(SOURCE_TREE, self.root, symlinks=True)
        for service in FOLDERS:
            # What the sample has there looks like data and is none.
            shutil.rmtree(self.data(service))
            self.data(service).mkdir()
            # As on a Windows drive, where every container may write.
            self.data(service).chmod(0o777)
        declared = yaml.safe_load((self.root / "docker-compose.core.yml").read_text(encoding="utf-8"))["services"]
        services = {service: self._service(service, declared[service], images[service]) for service in FOLDERS}
        network = {"ipam": {"config": [{"subnet": self._subnet}]}}
        text = json.dumps({"name": self.project, "services": services, "networks": {"default": network}})
        self._compose_file.write_text(text, encoding="utf-8")

    def _service(self, name: str, declared: Mapping[str, Any], image: str) -> dict[str, Any]:
        # Without the health check, which tells nothing about the data, and without ClickHouse's settings, the one mount
        # in the long form: the packages' server is older than they are, and refuses them.
        return {
            **{key: declared[key] for key in ("command", "environment") if key in declared},
            "image": image,
            "container_name": self.container(name),
            "ports": [f"127.0.0.1::{CLIENT_PORTS[name]}"],
            "volumes": [self._mount(mount) for mount in declared["volumes"] if isinstance(mount, str)],
        }

    def _mount(self, declared: str) -> str:
        """A mount of the Compose file, with the tree's place on this machine for each spelling of `C:/trade2025`."""
        source, _, target = declared.rpartition(":")
        below = re.sub(r"^c:[\\/]trade2025", "", source, flags=re.IGNORECASE).replace("\\", "/")
        return f"{self.root}{below}:{target}"

    def container(self, service: str) -> str:
        return f"{self.project}-{service}"

    def door(self, service: str) -> Door:
        """Where a service answers: at a loopback port that was free."""
        published = docker("port", self.container(service), str(CLIENT_PORTS[service]))
        return Door(int(published.split()[0].rpartition(":")[2]), *CREDENTIALS.get(service, ()))

    def start(self) -> None:
        folder = ("--project-directory", str(self.root))
        docker("compose", "--file", str(self._compose_file), *folder, "up", "--detach")

    def stop(self, *services: str) -> None:
        """Stop some of the services, or all, as docs/data-migration.md says."""
        docker("compose", "--project-name", self.project, "stop", *services)

    def remove(self) -> None:
        """Take containers, network and tree away, however far they came."""
        docker("compose", "--project-name", self.project, "down", "--timeout", "1", "--volumes")
        shutil.rmtree(self.root, ignore_errors=True)
        self._compose_file.unlink(missing_ok=True)
