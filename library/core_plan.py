#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
"""Inspect a machine once, run the preflight checks, and plan."""

from __future__ import annotations

DOCUMENTATION = r"""
module: core_plan
short_description: Inspect a machine once, run the preflight checks, and plan
version_added: 1.0.0
description:
  - Inspects files, owners, secrets, networks, images, containers, ports, memory, disk and kernel settings in one
    module process. The Docker engine is queried through the Docker SDK for Python. The inspection changes nothing.
  - The preflight checks evaluate the observed state, and a pure function derives the plan, an ordered list of
    operations.
  - The action plugin of the same name describes the services and renders their templates on the controller first.
options:
  machine:
    description: What is declared for the machine as a whole, as the action plugin passes it.
    type: dict
    required: true
  services:
    description: What is declared for each service, with its rendered files, as the action plugin passes it.
    type: list
    elements: dict
    required: true
  secrets:
    description: Declared secrets, without values.
    type: list
    elements: dict
    default: []
  digests:
    description: Secret to the salted digest of the site's own value, for those that have one.
    type: dict
    default: {}
  salt:
    description: Salt of those digests, a new one for each call.
    type: str
    default: ""
  preflight:
    description: Limits and versions for the preflight checks.
    type: dict
    required: true
  other:
    description: Operations that other phases of the run plan themselves, such as the migration of the applications.
    type: list
    elements: dict
    default: []
  begin:
    description: The run that takes the lock if there is something to do. Without it nothing is locked.
    type: dict
  disabled:
    description: Services that the site switches off, each with C(name) and C(container). Their containers are stopped.
    type: list
    elements: dict
    default: []
  expected:
    description: The operations of a saved plan with its fingerprint. The observed state must still match it.
    type: dict
attributes:
  check_mode:
    description: Inspects and plans in the same way, but takes no lock.
    support: full
  diff_mode:
    description: The differences are part of the plan.
    support: none
extends_documentation_fragment:
  - deployment.lock
author: [Trade2026 founders (@trade2026)]
"""

EXAMPLES = r"""
- name: Inspect the machine and plan
  core_plan:
    machine: {root: /srv/trade2026, secrets_root: /srv/trade2026/secrets, project: trade2026-core}
    services: [{name: valkey, container: valkey}]
    preflight: {min_free_gib: 5, bind_address: 127.0.0.1}
  register: core_planned
"""

RETURN = r"""
plan:
  description: The operations, in order, and what cannot be predicted.
  returned: success
  type: dict
text:
  description: The plan, one line for each operation.
  returned: success
  type: str
fingerprint:
  description: Service to part to a hash that changes when that part changes.
  returned: success
  type: dict
preflight_checks:
  description: Every preflight check with its result, and the remedy if it failed.
  returned: always
  type: list
  elements: dict
preflight_failures:
  description: The failures of the preflight checks as one text; empty if all passed.
  returned: success
  type: str
fragments:
  description: Services that have a Compose fragment on the disk.
  returned: success
  type: list
  elements: str
latest_report:
  description: The page of the last run's report; empty without one.
  returned: success
  type: str
rollbacks:
  description: Service to the rollback that an interrupted run left, with C(point) and C(failure).
  returned: success
  type: dict
backups:
  description: Service to the number of the backup that is used if its change of version has to be rolled back.
  returned: success
  type: dict
locked:
  description: Who holds the lock of the machine; empty if nobody does.
  returned: success
  type: dict
uptime:
  description: Seconds since the machine's boot, for the duration of the run in the audit log.
  returned: success
  type: float
"""

import hashlib
import os
import re
import shutil
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.core.files import STAGING, FilesError
from ansible.module_utils.core.validate_command import HELPER_LABEL
from ansible.module_utils.deployment import engine as docker_engine
from ansible.module_utils.deployment.journal import (
    Journal,
    JournalError,
    locked_by,
    read_owner,
    uptime,
)
from ansible.module_utils.deployment.model import (
    DesiredMachine,
    DesiredNetwork,
    DesiredService,
    Observed,
    ObservedBackup,
    ObservedContainer,
    ObservedService,
    Operation,
    Plan,
    digest,
)
from ansible.module_utils.deployment.observe import (
    FileObservation,
    observe_files,
    observe_owners,
    observe_secrets,
    secrets_fingerprint,
)
from ansible.module_utils.deployment.plan import SERVICE_LABEL, class_of_change, plan, relies_on, stop_operation
from ansible.module_utils.deployment.saved_plan import StalePlanError, check_machine
from ansible.module_utils.preflight import engine, host, python, tree
from ansible.module_utils.preflight.result import Result, failed, passed, report
from ansible.module_utils.preflight.rollback import check_rollback
from ansible.module_utils.report import REPORTS
from ansible.module_utils.restore.points import RestoreError, RestorePoints, is_half_moved
from ansible.module_utils.shared.docker import Process, finish, start
from ansible.module_utils.shared.fs import explain
from ansible.module_utils.shared.sizes import parse_size
from ansible.module_utils.shared.yaml_text import load_yaml

VERSION_COMMAND = ("docker", "compose", "version", "--short")
# Placeholder in docker-compose.core.yml for every fragment that the machine has.
FRAGMENTS = "@@fragments@@"


class Inspection:
    """The observation of one machine, and everything that is derived from it."""

    def __init__(self, params: Mapping[str, Any]) -> None:
        self.params = params
        self.machine: dict[str, Any] = params["machine"]
        self.root = Path(self.machine["root"])
        self.secrets_root = Path(self.machine["secrets_root"])
        self.services: list[dict[str, Any]] = params["services"]
        self.networks = tuple(
            DesiredNetwork(
                name=network["name"],
                subnet=network["subnet"],
                driver=network.get("driver", "bridge"),
                internal=bool(network.get("internal", False)),
                ipv6=bool(network.get("ipv6", False)),
                options=dict(network.get("options", {})),
            )
            for network in self.machine["networks"]
        )
        self.docker_error = ""
        self.compose_error = ""
        self.seen_engine = docker_engine.ObservedEngine("", swap_limit=False)
        self.published: dict[int, str] = {}
        # Container of a service that is switched off → who has open connections to it.
        self.clients: dict[str, list[str]] = {}
        self.helpers: list[tuple[str, str]] = []

    def run(self) -> None:
        """Inspect the machine: Compose, the engine, and the files in parallel."""
        version = start(VERSION_COMMAND)
        with ThreadPoolExecutor(max_workers=1) as executor:
            asked = executor.submit(self._ask_engine)
            hashes = self._inspect_files()
        asked.result()
        code, self.compose_version, error = finish(version)
        if code != 0:
            self.compose_version, self.compose_error = "", error
        code, out, error = finish(hashes)
        self.compose_hashes = (
            dict(line.split() for line in out.splitlines() if len(line.split()) == 2) if code == 0 else {}
        )
        if code != 0 and not self.compose_error:
            self.compose_error = error

    def _inspect_files(self) -> Process:
        """Inspect secrets, files and restore points; returns the process that hashes the Compose definition."""
        declared = [{**entry, "digest": self.params["digests"].get(entry["path"])} for entry in self.params["secrets"]]
        secrets = observe_secrets(self.secrets_root, declared, self.params["salt"])
        pending = sorted(secret.path for secret in secrets if secret.action != "own")
        self.secrets = tuple(secrets)
        self.files: dict[str, FileObservation] = {}
        for service in self.services:
            self.files[service["name"]] = observe_files(
                {
                    "root": str(self.root),
                    "secrets_root": str(self.secrets_root),
                    "directories": service["directories"],
                    "files": service["files"],
                    "watch": service["watch"],
                    "pending_secrets": pending,
                },
                [file["dest"] for file in service["files"] if not file.get("reveal")],
            )
        hashes = start(
            (
                "docker",
                "compose",
                "--project-name",
                self.machine["project"],
                "--project-directory",
                str(self.root / self.machine["services_dir"]),
                "--file",
                "-",
                "config",
                "--hash",
                "*",
            ),
            self._definition(),
        )
        points = {service["name"]: RestorePoints(self.root, service["name"]) for service in self.services}
        self.rollbacks = {name: found for name in points if (found := points[name].rollback())}
        self.machine_files = observe_files(
            {
                "root": str(self.root),
                "forbid_inside": self.machine["forbid_inside"],
                "directories": self.machine["directories"] if self.machine["foundation"] == "ensure" else [],
                "files": [self._document(entry) for entry in self.machine["documents"]],
            }
        )
        return hashes

    def _document(self, entry: Mapping[str, Any]) -> dict[str, Any]:
        """A file of the machine; one that includes the fragments names all that will exist."""
        folder = self.root / self.machine["services_dir"]
        names = {path.stem for path in folder.glob("[!.]*.yml")} | {service["name"] for service in self.services}
        names -= set(self.machine.get("disabled") or [])
        lines = []
        for line in str(entry["content"]).splitlines(keepends=True):
            lines += [line.replace(FRAGMENTS, name) for name in sorted(names)] if FRAGMENTS in line else [line]
        return {"dest": entry["dest"], "content": "".join(lines), "mode": entry.get("mode", "0644")}

    def stops(self) -> list[Operation]:
        """The operations for services that the site switches off."""
        return [
            stop_operation(service["name"], container, "core_enabled is false", self.clients.get(container.name, []))
            for service in self.params["disabled"]
            for container in self.containers_of(service)
            if container.status in docker_engine.RUNNING
            and container.labels.get(engine.PROJECT_LABEL) == self.machine["project"]
        ]

    def _definition(self) -> str:
        """All fragments as one Compose definition, in JSON, which is valid YAML."""
        import json

        merged: dict[str, Any] = {"name": self.machine["project"], "services": {}, "networks": {}}
        self.definitions: dict[str, dict[str, Any]] = {}
        for service in self.services:
            content = load_yaml(self.files[service["name"]].texts[service["fragment"]])
            self.definitions[service["name"]] = content["services"][service["name"]]
            merged["services"].update(content["services"])
            merged["networks"].update(content.get("networks") or {})
        return json.dumps(merged)

    def _ask_engine(self) -> None:
        try:
            client = docker_engine.connect()
            self.seen_engine = docker_engine.observe_engine(
                client,
                self.machine["project"],
                [service["container"] for service in [*self.services, *self.params["disabled"]]],
                [service["image"]["reference"] for service in self.services],
            )
            self.published = docker_engine.published_ports(client)
            for container in [entry for service in self.params["disabled"] for entry in self.containers_of(service)]:
                if container.status in docker_engine.RUNNING:
                    self.clients[container.name] = docker_engine.clients_of(client, container.id)
            self.helpers = docker_engine.helpers(client, HELPER_LABEL, str(self.root))
        except docker_engine.EngineError as error:
            self.docker_error = str(error)

    def desired(self) -> DesiredMachine:
        """The desired state according to the rendered definitions."""
        return DesiredMachine(
            self.machine["project"], self.networks, tuple(self._desired_service(service) for service in self.services)
        )

    def _desired_service(self, service: Mapping[str, Any]) -> DesiredService:
        definition, image = self.definitions[service["name"]], service["image"]
        names = {network["key"]: network["name"] for network in self.machine["networks"]}
        memory = parse_size(definition.get("mem_limit", 0))
        return DesiredService(
            name=service["name"],
            container=service["container"],
            uid=int(service["uid"]),
            image=image["reference"],
            image_kind=image["kind"],
            image_from=image["built_from"],
            image_id=self.seen_engine.images.get(image["reference"], "") if image["known"] else "",
            image_known=bool(image["known"]),
            image_unverified=image["unverified"],
            config_hash=self.files[service["name"]].config_hash,
            compose_hash=self.compose_hashes.get(service["name"], ""),
            networks=frozenset(names[key] for key in definition.get("networks", [])),
            memory=memory,
            memory_swap=parse_size(definition.get("memswap_limit", 0)) if self.seen_engine.swap_limit else None,
            nano_cpus=round(float(definition.get("cpus", 0)) * 1e9),
            pids=int(definition.get("pids_limit", 0)),
            role=service["restore"]["role"],
            version=service["restore"]["version"],
            has_data=bool(service["restore"]["data"]),
        )

    def containers_of(self, service: Mapping[str, Any]) -> tuple[ObservedContainer, ...]:
        """Every container with the service's label, and the one with its container's name."""
        return tuple(
            container
            for container in self.seen_engine.containers
            if container.labels.get(SERVICE_LABEL) == service["name"] or container.name == service["container"]
        )

    def _declares_what_failed(self, service: Mapping[str, Any]) -> bool:
        """Whether the state that an interrupted rollback was leaving is still declared.

        Data that is half in its place has to get there first, whatever is declared.
        """
        if is_half_moved(self.rollbacks.get(service["name"], {})):
            return True
        text = self.files[service["name"]].texts.get(service["fragment"], "")
        found = self.rollbacks.get(service["name"], {}).get("declared")
        return found == hashlib.sha256(text.encode()).hexdigest()

    def _version_that_runs(self, service: Mapping[str, Any]) -> str:
        """From the restore points, which record the version of their image; else from the image's tag."""
        for container in self.containers_of(service):
            point = RestorePoints(self.root, service["name"]).newest()
            if point is not None and point.image.id == container.image_id:
                return point.subject.version
            return container.image.partition("@")[0].rpartition(":")[2] if ":" in container.image else ""
        return ""

    def _backup(self, service: Mapping[str, Any], version: str) -> ObservedBackup | None:
        """The newest backup of a service for which another version is declared than runs."""
        from ansible.module_utils.restore.backups import Backups, why_not_fresh

        containers, settings = self.containers_of(service), self.params["preflight"]
        if not containers or not service["restore"]["data"] or version == service["restore"]["version"]:
            return None
        found = Backups(Path(settings["backups_dir"]), self.machine["project"], service["name"]).newest()
        if found is None:
            return None
        stale = why_not_fresh(found, containers[0].image_id, int(settings["backup_fresh_s"]))
        return ObservedBackup(found.number, found.text, stale)

    def relied_on(self, desired: DesiredMachine, observed: Observed) -> dict[str, int]:
        """Service → the backup that is used if its change of version has to be rolled back."""
        found = {}
        for service in desired.services:
            have = observed.services[service.name]
            if backup := relies_on(class_of_change(service, have), have):
                found[service.name] = backup.number
        return found

    def observed(self) -> Observed:
        """The observation in the form that the plan needs."""
        services = {}
        for service in self.services:
            files = self.files[service["name"]]
            version = self._version_that_runs(service)
            services[service["name"]] = ObservedService(
                files=files.files,
                newest_file=files.newest_file,
                newest_change=files.newest_change,
                owners=tuple(
                    observe_owners(
                        self.root, service["data"], int(service["uid"]), mount_points=service["mount_points"]
                    )
                ),
                containers=self.containers_of(service),
                version=version,
                rollback_to=int(self.rollbacks.get(service["name"], {}).get("point", 0)),
                failed_is_declared=self._declares_what_failed(service),
                backup=self._backup(service, version),
            )
        other = [Operation(**operation) for operation in self.params["other"]]
        other += [
            Operation("machine", f"container {name}", "remove", status, "", "left by an interrupted run")
            for name, status in self.helpers
        ]
        other += self.stops()
        return Observed(
            services=services,
            networks=self.seen_engine.networks,
            files=self.machine_files.files,
            secrets=self.secrets,
            other=tuple(other),
        )

    def fingerprint(self) -> dict[str, dict[str, str]]:
        """Service → part → a hash that changes when that part changes."""
        found = {
            "machine": {
                "variables": digest([self.machine, self.params["preflight"]]),
                "files": self.machine_files.fingerprint,
                "networks": digest([[network.name, _network(self.seen_engine, network)] for network in self.networks]),
                # Without the diffs, which only a run with --diff has.
                "source": digest([{**operation, "diff": ""} for operation in self.params["other"]]),
            }
        }
        for service in self.services:
            name = service["name"]
            secrets = [secret for secret in self.params["secrets"] if secret["service"] == name]
            containers = [
                [
                    entry.id,
                    entry.name,
                    entry.status,
                    entry.started,
                    sorted(entry.networks),
                    entry.memory,
                    entry.nano_cpus,
                ]
                for entry in self.containers_of(service)
            ]
            found[name] = {
                "variables": digest({key: value for key, value in service.items() if key != "image"}),
                "files": self.files[name].fingerprint,
                "image": digest([service["image"], self.seen_engine.images.get(service["image"]["reference"], "")]),
                "container": digest(containers),
                "secrets": secrets_fingerprint(self.secrets_root, secrets),
            }
        return found

    def preflight_checks(self, desired: DesiredMachine, observed: Observed) -> list[Result]:
        """The results of the preflight checks."""
        limits = self.params["preflight"]
        ensure = self.machine["foundation"] == "ensure"
        services = [
            {
                **service["preflight"],
                "own_containers": [
                    entry.name
                    for entry in self.containers_of(service)
                    if entry.labels.get(engine.PROJECT_LABEL) == self.machine["project"]
                ],
            }
            for service in self.services
        ]
        total = re.search(r"^MemTotal:\s+(\d+) kB", Path("/proc/meminfo").read_text(encoding="utf-8"), re.MULTILINE)
        results = [
            *python.check_packages(),
            *tree.check_writable(self.root),
            *tree.check_tree(
                self.root,
                self.machine["required_directories"],
                self.machine["required_documents"],
                will_create=ensure,
            ),
            *tree.check_disk(self.root, float(limits["min_free_gib"])),
            *tree.check_secrets(self.secrets_root, bool(limits["accept_readable_secrets"])),
            *host.check_memory(services, int(total[1]) * 1024 if total else 0, float(limits["memory_share"])),
            *host.check_processors(services, os.cpu_count() or 1),
            *host.check_bounds(services),
            *host.check_map_count(services, int(Path("/proc/sys/vm/max_map_count").read_text(encoding="utf-8"))),
            *host.check_nofile(services, host.engine_nofile()),
            *host.check_bind(limits["bind_address"]),
            *host.check_open(services, limits["bind_address"], bool(limits["accept_open_services"])),
            *check_rollback(desired.services, observed.services, limits.get("accept_no_rollback") or ()),
        ]
        if self.docker_error:
            results.append(
                failed(
                    "Docker engine",
                    self.docker_error,
                    "start the engine (`make setup` does on this machine), then run again",
                )
            )
        else:
            results += engine.check_version("Docker engine", self.seen_engine.version, limits["min_engine"])
            results += engine.check_networks(self.networks, self.seen_engine.networks, will_create=ensure)
            results += engine.check_containers(
                services, self.seen_engine.containers, self.machine["project"], str(self.root)
            )
        results += engine.check_version("Docker Compose", self.compose_version, limits["min_compose"])
        results += engine.check_version("community.docker", limits["collection"], limits["min_collection"])
        tables = [
            path.read_text(encoding="utf-8") for path in map(Path, ("/proc/net/tcp", "/proc/net/tcp6")) if path.exists()
        ]
        results += host.check_ports(services, limits["bind_address"], host.listeners(tables), self.published)
        if self.compose_version and self.compose_error:
            results.append(
                failed(
                    "Compose definition",
                    self.compose_error,
                    "it is rendered from roles/core/templates/compose.yml.j2 and the role's vars; correct those",
                )
            )
        return results or [passed("preflight", "nothing to check")]


def _network(seen: docker_engine.ObservedEngine, network: DesiredNetwork) -> str:
    found = seen.networks.get(network.name)
    return found.id if found else ""


def latest_report(root: Path) -> str:
    """The page of the last run's report; empty without one."""
    page = root / REPORTS / "latest/report.html"
    return str(page) if page.is_file() else ""


def begin(module: AnsibleModule, inspection: Inspection, planned: Plan, before: str) -> None:
    """Take the lock for the plan; refuse if another run has finished since the inspection began."""
    journal = Journal(inspection.root)
    unknown = [service["name"] for service in inspection.services if not service["image"]["known"]]
    journal.begin(read_owner(module.params["begin"]), planned.operations, module.params["take_over"], unknown)
    # Remove what a killed run staged for a validate command.
    shutil.rmtree(inspection.root / STAGING, ignore_errors=True)
    if journal.finished_run() != before:
        journal.release(module.params["begin"]["run"])
        raise JournalError("another run finished while this one inspected the machine; run again")
    run = module.params["begin"]["run"]
    try:
        docker_engine.remove_helpers(HELPER_LABEL, str(inspection.root), inspection.helpers)
        journal.done(run, [("machine", f"container {name}") for name, _status in inspection.helpers])
    except (docker_engine.EngineError, OSError):
        # The caller does not learn that the run has begun, so it cannot end it.
        journal.finish(run, {operation.service for operation in planned.operations})
        raise


def main() -> None:
    """Inspect, check and plan; take the lock if `begin` is given and there is something to do."""
    module = AnsibleModule(
        argument_spec={
            "machine": {"type": "dict", "required": True},
            "services": {"type": "list", "elements": "dict", "required": True},
            # Only names; what is derived from values is in `digests`.
            "secrets": {"type": "list", "elements": "dict", "default": [], "no_log": False},
            "digests": {"type": "dict", "default": {}, "no_log": True},
            "salt": {"type": "str", "default": "", "no_log": True},
            "preflight": {"type": "dict", "required": True},
            "other": {"type": "list", "elements": "dict", "default": []},
            "begin": {"type": "dict"},
            "take_over": {"type": "str", "default": ""},
            "disabled": {"type": "list", "elements": "dict", "default": []},
            "expected": {"type": "dict"},
        },
        supports_check_mode=True,
    )
    params: dict[str, Any] = module.params
    inspection = Inspection(params)
    journal = Journal(inspection.root)
    try:
        locked = locked_by(journal, params["begin"], params["take_over"])
        if locked:
            module.exit_json(changed=False, locked=locked)
        before = journal.finished_run()
        inspection.run()
        desired, observed = inspection.desired(), inspection.observed()
        planned = plan(desired, observed)
        results = inspection.preflight_checks(desired, observed)
        fragments = inspection.root / inspection.machine["services_dir"]
        answer = {
            "changed": False,
            "plan": planned.to_dict(),
            "text": planned.text,
            "fingerprint": inspection.fingerprint(),
            "preflight_checks": [result.as_dict() for result in results],
            "preflight_failures": "" if all(result.ok for result in results) else report(results),
            "fragments": sorted(path.stem for path in fragments.glob("[!.]*.yml")),
            "rollbacks": inspection.rollbacks,
            "backups": inspection.relied_on(desired, observed),
            "locked": {},
            "latest_report": latest_report(inspection.root),
            "uptime": uptime(),
        }
        if params["expected"]:
            check_machine(params["expected"], {**planned.to_dict(), "fingerprint": answer["fingerprint"]})
        if params["take_over"] and params["begin"] and not planned.operations:
            # Nothing is left to do of the run that was killed, so its lock is removed.
            journal.begin(read_owner(params["begin"]), (), params["take_over"])
            journal.release(params["begin"]["run"])
        if params["begin"] and planned.operations and not answer["preflight_failures"] and not module.check_mode:
            begin(module, inspection, planned, before)
            answer["locked"] = params["begin"]
    except StalePlanError as error:
        module.fail_json(msg=f"The saved plan is stale; nothing was done.\n{error}")
    except (FilesError, JournalError, RestoreError, docker_engine.EngineError) as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=explain(error))
    module.exit_json(**answer)


if __name__ == "__main__":
    main()
