# SPDX-License-Identifier: GPL-3.0-or-later
"""Trade2025's services with the commands and settings of its Compose file, on data folders of the tests."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from site_under_test import SOURCE_TREE, docker
from stored_data import Endpoint

# The folder in `trading` with the data of each service, and the port that its clients use.
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
# User and password from the files of the tree; the other services have none.
CREDENTIALS = {
    "questdb": ("admin", "quest"),
    "clickhouse": ("default", ""),
    "seaweedfs": ("trade2025", "trade2025secret"),
}


class Trade2025:
    """The old platform's six services with data. Nothing else uses their names, ports and network."""

    def __init__(self, base: Path, name: str, subnet: str) -> None:
        self.root = base / "trade2025"
        self.project = name
        self._subnet = subnet
        self._compose_file = base / "trade2025-compose.json"

    def data(self, service: str) -> Path:
        """The data folder of a service."""
        return self.root / "trading" / FOLDERS[service]

    def lay_out(self, images: Mapping[str, str]) -> None:
        """Create the tree, with empty data folders, and the Compose file; `images` is service → reference."""
        shutil.copytree(SOURCE_TREE, self.root, symlinks=True)
        for service in FOLDERS:
            # The sample contains files there that only look like data.
            shutil.rmtree(self.data(service))
            self.data(service).mkdir()
            # As on a Windows drive, which every container may write to.
            self.data(service).chmod(0o777)
        declared = yaml.safe_load((self.root / "docker-compose.core.yml").read_text(encoding="utf-8"))["services"]
        services = {service: self._service(service, declared[service], images[service]) for service in FOLDERS}
        network = {"ipam": {"config": [{"subnet": self._subnet}]}}
        text = json.dumps({"name": self.project, "services": services, "networks": {"default": network}})
        self._compose_file.write_text(text, encoding="utf-8")

    def _service(self, name: str, declared: Mapping[str, Any], image: str) -> dict[str, Any]:
        # Without the health check, which does not concern the data, and without ClickHouse's settings (the one mount in
        # long form): the server built from packages is older than these settings and rejects them.
        return {
            **{key: declared[key] for key in ("command", "environment") if key in declared},
            "image": image,
            "container_name": self.container(name),
            "ports": [f"127.0.0.1::{CLIENT_PORTS[name]}"],
            "volumes": [self._mount(mount) for mount in declared["volumes"] if isinstance(mount, str)],
        }

    def _mount(self, declared: str) -> str:
        """A mount of the Compose file, with the root of the tree for each spelling of `C:/trade2025`."""
        source, _, target = declared.rpartition(":")
        below = re.sub(r"^c:[\\/]trade2025", "", source, flags=re.IGNORECASE).replace("\\", "/")
        return f"{self.root}{below}:{target}"

    def container(self, service: str) -> str:
        return f"{self.project}-{service}"

    def endpoint(self, service: str) -> Endpoint:
        """The endpoint of a service, on a free loopback port."""
        published = docker("port", self.container(service), str(CLIENT_PORTS[service]))
        return Endpoint(int(published.split()[0].rpartition(":")[2]), *CREDENTIALS.get(service, ()))

    def start(self) -> None:
        folder = ("--project-directory", str(self.root))
        docker("compose", "--file", str(self._compose_file), *folder, "up", "--detach")

    def stop(self, *services: str) -> None:
        """Stop some of the services, or all, as docs/data-migration.md says."""
        docker("compose", "--project-name", self.project, "stop", *services)

    def remove(self) -> None:
        """Remove containers, network and tree, as far as they exist."""
        docker("compose", "--project-name", self.project, "down", "--timeout", "1", "--volumes")
        shutil.rmtree(self.root, ignore_errors=True)
        self._compose_file.unlink(missing_ok=True)
