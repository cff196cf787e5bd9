#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
"""Back up the data directories of services."""

from __future__ import annotations

DOCUMENTATION = r"""
module: core_backup
short_description: Back up the data directories of services while their containers are stopped
version_added: 1.1.0
description:
  - Without O(run), nothing is backed up. The module returns what would be backed up, how many bytes that is, and what
    prevents it. With O(begin) it also takes the lock of the machine.
  - With O(run), the data of one service is backed up. Its container is stopped, the data is packed and hashed, and the
    container is started again, even if the copy fails. A container that was already stopped stays stopped. The caller
    probes the service afterwards.
  - A backup is an ordinary compressed tar archive with a manifest, below O(backups_dir). It is written under a
    temporary name, synced and renamed. Owners, modes, times, symlinks and hard links are kept; extended attributes,
    ACLs, sockets, pipes and devices are not.
  - The action plugin of the same name describes the services, shows what is done, and backs up the services one after
    the other.
options:
  backups_dir:
    description: Folder of the backups. It is created only below O(root).
    type: path
    required: true
  services:
    description:
      - The parts of the services that restore points hold, as C(core_plan) returns them in C(restorable). With O(run),
        exactly one service.
    type: list
    elements: dict
    required: true
  forbidden:
    description: Folders that are only read, such as the Trade2025 tree.
    type: list
    elements: path
    default: []
  keep:
    description: How many intact backups of each service are kept. The newest one is always kept.
    type: int
    default: 3
  begin:
    description: The run that takes the lock, as the action plugin passes it.
    type: dict
  run:
    description: The run that holds the lock. Without it nothing is backed up.
    type: str
    default: ""
attributes:
  check_mode:
    description: Returns what would be backed up, and how much data there is.
    support: full
extends_documentation_fragment:
  - deployment
  - deployment.project
  - deployment.lock
  - attributes.no_diff
author: [Trade2026 founders (@trade2026)]
"""

EXAMPLES = r"""
- name: Back up Valkey
  core_backup:
    root: /srv/trade2026
    backups_dir: /mnt/backups/trade2026
    project: trade2026-core
    services: ["{{ core_planned.restorable.valkey }}"]
    run: "{{ core_planned.run }}"
"""

RETURN = r"""
operations:
  description: What would be backed up.
  returned: without O(run)
  type: list
  elements: dict
left_out:
  description: Service to the reason why it is not backed up, for those without data.
  returned: without O(run)
  type: dict
problems:
  description: What prevents the backup.
  returned: without O(run)
  type: list
  elements: str
locked:
  description: Who holds the lock, if another run does.
  returned: without O(run)
  type: dict
backup:
  description:
    - The backup, with C(number), C(folder), C(size), C(archive_size) and C(skipped). Empty if it failed.
  returned: with O(run)
  type: dict
pruned:
  description: Numbers of the older backups that were removed.
  returned: with O(run)
  type: list
  elements: int
started:
  description: Whether the container was stopped and started again.
  returned: with O(run)
  type: bool
interrupted_s:
  description: Seconds between the stop and the start of the container.
  returned: with O(run)
  type: float
probe:
  description: The probes that the running state has passed before, as the module C(service_probe) expects them.
  returned: with O(run)
  type: dict
"""

import signal
import time
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.deployment.journal import Journal, JournalError, locked_by, read_owner
from ansible.module_utils.deployment.model import Operation
from ansible.module_utils.restore import archive
from ansible.module_utils.restore.backups import Backup, Backups, Origin, refuse_folder, require_directories
from ansible.module_utils.restore.points import RestoreError, RestorePoints, Subject
from ansible.module_utils.restore.record import health_alone, owner_of
from ansible.module_utils.shared.docker import Docker, DockerError
from ansible.module_utils.shared.fs import explain
from ansible.module_utils.shared.sizes import human, in_files

PROJECT_LABEL = "com.docker.compose.project"
# States of a container in which its processes may write.
ACTIVE = ("running", "restarting", "paused")


class BackingUp:
    """The backups of some services of one machine."""

    def __init__(self, module: AnsibleModule) -> None:
        params: dict[str, Any] = module.params
        self.params = params
        self.root = Path(params["root"])
        self.folder = Path(params["backups_dir"])
        self.subjects = [Subject.of(service) for service in params["services"]]
        self.docker = Docker(module.run_command)
        self.containers = self.docker.inspect("container", *(subject.container for subject in self.subjects))

    def container(self, subject: Subject) -> dict[str, Any]:
        """The service's container as the engine reports it; empty if there is none.

        Raises RestoreError if the container belongs to another project.
        """
        found = self.containers.get(subject.container) or {}
        project = ((found.get("Config") or {}).get("Labels") or {}).get(PROJECT_LABEL)
        if found and project != self.params["project"]:
            raise RestoreError(
                f"container {subject.container} belongs to {project or 'no Compose project'}, not to this site"
            )
        return found

    def plan(self) -> dict[str, Any]:
        """What would be backed up, and what prevents it."""
        operations: list[Operation] = []
        left_out: dict[str, str] = {}
        problems: list[str] = []
        forbidden = [Path(folder) for folder in self.params["forbidden"]]
        data = {subject.service: subject.data for subject in self.subjects}
        if refusal := refuse_folder(self.folder, self.root, data, forbidden):
            problems.append(refusal)
        reserved = 0
        for subject in self.subjects:
            listing = archive.scan(self.root, subject.data)
            if not subject.data:
                left_out[subject.service] = "it keeps no data"
                continue
            if not listing.files:
                left_out[subject.service] = f"{', '.join(subject.data)} holds no file"
                continue
            backups = Backups(self.folder, self.params["project"], subject.service)
            try:
                require_directories(self.root, subject)
                state = (self.container(subject).get("State") or {}).get("Status", "no container")
                backups.require_space(listing, reserved)
            except RestoreError as error:
                problems.append(str(error))
                continue
            reserved += listing.allocated
            number = max(backups.numbers(), default=0) + 1
            operations.append(
                Operation(
                    subject.service,
                    f"backup {number}",
                    "create",
                    f"{in_files(listing.size, len(listing.files))}, {state}",
                    str(backups.folder / str(number)),
                    "playbooks/backup.yml" + ("; the service is stopped meanwhile" if state in ACTIVE else ""),
                    restarts=state in ACTIVE,
                )
            )
        return {
            "operations": [operation.to_dict() for operation in operations],
            "left_out": left_out,
            "problems": problems,
            "locked": {},
        }

    def take(self, journal: Journal) -> dict[str, Any]:
        """Back up the data of one service, and start its container again whatever happens."""
        (subject,) = self.subjects
        backups = Backups(self.folder, self.params["project"], subject.service)
        container = self.container(subject)
        active = (container.get("State") or {}).get("Status") in ACTIVE
        answer: dict[str, Any] = {"backup": {}, "pruned": [], "started": False, "interrupted_s": 0.0, "probe": {}}
        answer["probe"] = self._probe(subject, str(container.get("Image", "")))
        journal.require(self.params["run"])
        # Checked before the service is stopped, and again by `take`, when the service has written its last data.
        backups.require_space(archive.scan(self.root, subject.data))
        failure = ""
        began = time.monotonic()
        try:
            if active:
                self.docker.call("container", "stop", subject.container)
            backup = backups.take(self.root, subject, self._origin(subject, container))
            answer["backup"] = self._row(backups, backup)
        except (RestoreError, DockerError, OSError) as error:
            failure = explain(error)
        finally:
            if active:
                # Also after an interruption, which is an exception here.
                start_failure = self._start(subject)
        answer["interrupted_s"] = round(time.monotonic() - began, 1) if active else 0.0
        answer["started"] = active
        if active and start_failure:
            failure = f"{failure}\n{start_failure}".strip()
        if failure:
            return {**answer, "failed": True, "msg": failure}
        journal.done(self.params["run"], [(subject.service, f"backup {answer['backup']['number']}")])
        return {**answer, "changed": True, "pruned": backups.prune(self.params["keep"])}

    def _start(self, subject: Subject) -> str:
        """Start the container; returns the error."""
        code, out, err = self.docker.attempt("container", "start", subject.container)
        if code == 0:
            return ""
        return (
            f"{subject.container} could not be started again: {(err or out).strip()}. "
            f"Do: ansible-playbook core.yml --limit {subject.service}"
        )

    def _origin(self, subject: Subject, container: dict[str, Any]) -> Origin:
        owner = owner_of(self.root)
        image_id, image = str(container.get("Image", "")), str((container.get("Config") or {}).get("Image", ""))
        version = RestorePoints(self.root, subject.service).version_of(image_id)
        if not version and ":" in image:
            version = image.partition("@")[0].rpartition(":")[2]
        return Origin(image, image_id, version, owner["run"], owner["who"])

    def _probe(self, subject: Subject, image_id: str) -> dict[str, Any]:
        """The probes of the running state, which may differ from the declared state."""
        good = RestorePoints(self.root, subject.service).newest("good")
        probe = dict(good.probe) if good and good.image.id == image_id else health_alone(subject)
        return {**probe, "ready_timeout_s": subject.ready_timeout_s}

    def _row(self, backups: Backups, backup: Backup) -> dict[str, Any]:
        return {
            "number": backup.number,
            "folder": str(backups.archive(backup.number).parent),
            "size": in_files(backup.size, backup.files),
            "archive_size": human(backup.archive_size),
            "skipped": list(backup.skipped),
        }


def interrupted(_number: int, _frame: Any) -> None:
    """Raise an exception if the connection ends, so that the container is started again."""
    raise SystemExit(1)


def main() -> None:
    """Plan the backups, or back up one service."""
    module = AnsibleModule(
        argument_spec={
            "root": {"type": "path", "required": True},
            "backups_dir": {"type": "path", "required": True},
            "project": {"type": "str", "required": True},
            "services": {"type": "list", "elements": "dict", "required": True},
            "forbidden": {"type": "list", "elements": "path", "default": []},
            "keep": {"type": "int", "default": 3},
            "begin": {"type": "dict"},
            "run": {"type": "str", "default": ""},
            "take_over": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    params: dict[str, Any] = module.params
    journal = Journal(Path(params["root"]))
    try:
        if params["run"] and not module.check_mode:
            for number in (signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, interrupted)
            answer = BackingUp(module).take(journal)
        else:
            locked = locked_by(journal, params["begin"], params["take_over"])
            answer = {"locked": locked} if locked else BackingUp(module).plan()
            if params["begin"] and not locked and answer["operations"] and not answer["problems"]:
                operations = [Operation(**row) for row in answer["operations"]]
                journal.begin(read_owner(params["begin"]), operations, params["take_over"], action="backup")
    except (JournalError, RestoreError, DockerError, OSError) as error:
        module.fail_json(msg=explain(error))
    if answer.get("failed"):
        module.fail_json(**answer)
    module.exit_json(**{"changed": False, **answer})


if __name__ == "__main__":
    main()
