#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
"""Look up the software of images in a database of known vulnerabilities."""

from __future__ import annotations

DOCUMENTATION = r"""
module: image_scan
short_description: Scan images for known vulnerabilities
version_added: "1.0.0"
description:
  - Grype compares the documents of C(image_sbom) with its database, in a container without a network. The module writes
    a report for each image, and a page with the counts by severity and the age of the database.
  - A report is kept while the document, the database and the version of Grype are the same.
  - Without a database, the page says that nothing was scanned, and reports of earlier scans are removed.
options:
  services:
    description: The services whose documents are scanned.
    type: list
    elements: str
    required: true
  tool:
    description: The image of Grype, as the role C(image) returned it. Needed with O(database).
    type: dict
    default: {}
  database:
    description:
      - The database; a file on the machine that C(grype db import) accepts, or the URL of a mirror's C(latest.json).
      - Empty means that there is none.
    type: str
    default: ''
  cache:
    description: Folder on the machine that keeps the unpacked database.
    type: path
    required: true
  folder:
    description: The folder with the documents, where the reports are written too.
    type: path
    required: true
attributes:
  check_mode:
    description: Reports the images that would be scanned with the database that the machine has.
    support: full
extends_documentation_fragment:
  - attributes.no_diff
author: [Trade2026 founders (@trade2026)]
"""

EXAMPLES = r"""
- name: Scan the image of NATS
  image_scan:
    services: [nats]
    tool: {reference: "anchore/grype:v0.119.0", version: v0.119.0, id: "sha256:1c2…"}
    database: /media/vulnerability-db_v6.1.9_2026-11-26.tar.zst
    cache: /var/cache/trade2026/images/grype
    folder: /srv/trade2026/docs/sbom
"""

RETURN = r"""
scanned:
  description: Services whose image was scanned, or would be.
  returned: success
  type: list
  elements: str
lines:
  description: The age of the database and a line with the known vulnerabilities of each image.
  returned: success
  type: list
  elements: str
"""

import json
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.core.atomic import make_directories
from ansible.module_utils.images.archive import seal
from ansible.module_utils.images.plan import ImageError
from ansible.module_utils.images.vulnerabilities import (
    INDEX,
    NOT_SCANNED,
    Database,
    Vulnerability,
    counts,
    page,
    report_name,
    summary,
    vulnerabilities,
)
from ansible.module_utils.shared.docker import Docker, DockerError
from ansible.module_utils.shared.fs import explain, write_file
from ansible.module_utils.shared.ownership import Ownership

PAGE = "VULNERABILITIES.md"
IMPORTED = "imported"
READABLE = Ownership(mode=0o644)
SETTINGS = {
    "GRYPE_DB_CACHE_DIR": "/database",
    "GRYPE_DB_AUTO_UPDATE": "false",
    "GRYPE_CHECK_FOR_APP_UPDATE": "false",
    # The page shows the age. A site without a network would otherwise have no scan at all.
    "GRYPE_DB_VALIDATE_AGE": "false",
}


class Scanner:
    """Grype, its database, and its reports in the folder with the documents."""

    def __init__(self, docker: Docker, params: Mapping[str, Any]) -> None:
        self._docker = docker
        self._params = params
        self.folder = Path(params["folder"])
        self._cache = Path(params["cache"])

    def grype(self, *words: str, mounts: tuple[str, ...] = (), network: str = "none", **settings: str) -> str:
        """Output of a command of Grype in a container."""
        environment = [f"--env={name}={value}" for name, value in {**SETTINGS, **settings}.items()]
        command = ("run", "--rm", f"--network={network}", "--read-only", "--cap-drop=ALL", "--user=0:0")
        return self._docker.call(
            *(*command, "--security-opt=no-new-privileges", "--tmpfs=/tmp", *environment),
            *(f"--volume={mount}" for mount in mounts),
            *(self._params["tool"]["reference"], *words),
        )

    def ensure_database(self) -> bool:
        """Import the database, if the machine does not have it; true if it was imported."""
        source, make = str(self._params["database"]), f"{self._cache}:/database"
        make_directories(self._cache)
        if "://" in source:
            before = self._state()
            # The update replaces a database that was imported from a file.
            (self._cache / IMPORTED).unlink(missing_ok=True)
            trust = "/etc/ssl/certs:/etc/ssl/certs:ro"
            self.grype("db", "update", mounts=(make, trust), network="host", GRYPE_DB_UPDATE_URL=source)
            return self._state() != before
        if self._is_imported():
            return False
        path = Path(source)
        shutil.rmtree(self._cache)
        make_directories(self._cache)
        self.grype("db", "import", f"/source/{path.name}", mounts=(make, f"{path.parent}:/source:ro"))
        write_file(self._cache / IMPORTED, seal(path).sha256.encode(), READABLE)
        return True

    def _is_imported(self) -> bool:
        path, marker = Path(self._params["database"]), self._cache / IMPORTED
        if not path.is_file():
            raise ImageError(
                f"{path}: there is no such file on the machine; set image_vulnerability_database to a database of "
                "Grype, or to nothing to scan no image"
            )
        return marker.is_file() and marker.read_text(encoding="utf-8") == seal(path).sha256

    def _state(self) -> str:
        """What identifies the imported database; empty if there is none."""
        path = self._cache / "6/import.json"
        return path.read_text(encoding="utf-8") if path.is_file() else ""

    def database(self) -> Database:
        """The imported database; ImageError if Grype cannot use it."""
        answer = self.grype("db", "status", "--output", "json", mounts=(f"{self._cache}:/database:ro",))
        try:
            status = json.loads(answer)
            built = datetime.fromisoformat(status["built"])
            schema, valid = str(status["schemaVersion"]), bool(status["valid"])
        except (ValueError, KeyError, TypeError) as error:
            raise ImageError(f"Grype's answer about its database cannot be read: {answer[:200]}") from error
        if not valid:
            raise ImageError(f"{self._params['database']}: Grype cannot use this database: {status.get('error')}")
        return Database(built.astimezone(UTC), schema, datetime.now(UTC).replace(microsecond=0))

    def subject(self, service: str, database: str) -> dict[str, str]:
        """What a report is about: the document, the database and the program."""
        document = self.folder / f"{service}.cdx.json"
        digest = seal(document).sha256 if document.is_file() else ""
        return {"document": digest, "database": database, "grype": str(self._params["tool"]["version"])}

    def index(self) -> dict[str, Any]:
        """What the last scans were about; empty if there was none."""
        try:
            return dict(json.loads((self.folder / INDEX).read_text(encoding="utf-8")))
        except (OSError, ValueError):
            return {}

    def stale(self, database: str) -> list[str]:
        """Services without a report about their present document by this database and program."""
        images = self.index().get("images", {})
        return [
            service
            for service in self._params["services"]
            if images.get(service) != self.subject(service, database) or not self._report(service).is_file()
        ]

    def predicted(self) -> list[str]:
        """Services that a run would scan. A database that is not imported yet may be any other one."""
        imported = "://" in self._params["database"] or self._is_imported()
        usable = imported and self._state() and self._params["tool"]["id"]
        return self.stale(mark(self.database())) if usable else list(self._params["services"])

    def scan(self, service: str) -> None:
        """Write the report about the image of one service."""
        mounts = (f"{self._cache}:/database:ro", f"{self.folder}:/documents:ro")
        text = self.grype(f"sbom:/documents/{service}.cdx.json", "--output", "json", mounts=mounts)
        try:
            vulnerabilities(json.loads(text))
        except (ValueError, KeyError, TypeError) as error:
            raise ImageError(f"{service}: Grype wrote no report that can be read: {error}") from error
        write_file(self._report(service), text.encode(), READABLE)

    def finish(self, database: Database, scanned: list[str]) -> bool:
        """Write the index and the page; true if one of them changed."""
        before = self.index()
        if not scanned and before.get("scanned"):
            database = Database(database.built, database.schema, datetime.fromisoformat(before["scanned"]))
        images = {name: entry for name, entry in before.get("images", {}).items() if self._report(name).is_file()}
        images |= {name: self.subject(name, mark(database)) for name in self._params["services"]}
        results = self.results(database, images)
        content = {
            "scanned": database.scanned.isoformat(),
            "built": database.built.isoformat(),
            "schema": database.schema,
            "counts": counts(one for found in results.values() for one in found),
            "images": dict(sorted(images.items())),
        }
        changed = self._replace(INDEX, json.dumps(content, indent=2) + "\n")
        outdated = [name for name in images if name not in results]
        return self._replace(PAGE, page(database, results, outdated)) or changed

    def results(self, database: Database, images: Mapping[str, Any]) -> dict[str, tuple[Vulnerability, ...]]:
        """Service → the known vulnerabilities of its image, according to this database.

        A limited run keeps the reports of other services, which may be from an older database.
        """
        return {
            name: vulnerabilities(json.loads(self._report(name).read_text(encoding="utf-8")))
            for name, entry in images.items()
            if entry["database"] == mark(database)
        }

    def nothing(self, check: bool) -> bool:
        """Say that nothing was scanned, and remove older reports; true if that changed something."""
        older = [*self.folder.glob(report_name("*")), *self.folder.glob(INDEX)]
        text, path = page(None, {}), self.folder / PAGE
        changed = bool(older) or not path.is_file() or path.read_text(encoding="utf-8") != text
        if changed and not check:
            for file in older:
                file.unlink()
            self._replace(PAGE, text)
        return changed

    def _report(self, service: str) -> Path:
        return self.folder / report_name(service)

    def _replace(self, name: str, text: str) -> bool:
        path = self.folder / name
        if path.is_file() and path.read_text(encoding="utf-8") == text:
            return False
        write_file(path, text.encode(), READABLE)
        return True


def mark(database: Database) -> str:
    """What identifies a database in the index."""
    return f"{database.built.isoformat()} {database.schema}"


def run(scanner: Scanner, params: Mapping[str, Any], check: bool) -> dict[str, Any]:
    """The module's result."""
    if not params["database"]:
        return {"changed": scanner.nothing(check), "scanned": [], "lines": [NOT_SCANNED]}
    if not params["tool"]:
        raise ImageError("the image of Grype is needed to scan (parameter tool)")
    if check:
        scanned = scanner.predicted()
        return {"changed": bool(scanned), "scanned": scanned, "lines": []}
    changed = scanner.ensure_database()
    database = scanner.database()
    stale = scanner.stale(mark(database))
    for service in stale:
        scanner.scan(service)
    changed = scanner.finish(database, stale) or changed
    now = datetime.now(UTC)
    lines = [f"database of {database.built:%Y-%m-%d %H:%M} UTC, {database.age(now)}"]
    lines += [
        f"{service}: {summary(found)}"
        for service, found in sorted(scanner.results(database, scanner.index()["images"]).items())
    ]
    return {"changed": changed or bool(stale), "scanned": stale, "lines": lines}


def main() -> None:
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            "services": {"type": "list", "elements": "str", "required": True},
            "tool": {"type": "dict", "default": {}},
            "database": {"type": "str", "default": ""},
            "cache": {"type": "path", "required": True},
            "folder": {"type": "path", "required": True},
        },
        supports_check_mode=True,
    )
    scanner = Scanner(Docker(module.run_command), module.params)
    try:
        result = run(scanner, module.params, module.check_mode)
    except (ImageError, DockerError) as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=explain(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
