#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
"""List the restore points of services, and return a service to one."""

from __future__ import annotations

DOCUMENTATION = r"""
module: core_restore
short_description: List the restore points and backups of services, and return a service to one
version_added: 1.0.0
description:
  - Restore points are recorded by C(managed_files) before a change and by C(service_probe) after verification,
    below C(.trade2026/restore_points) of O(root). Every one is verified when it is read; a damaged one is reported and
    not used.
  - With O(state=listed) nothing is changed. With O(state=begun) the lock of the machine is taken for the rollback of
    O(services), and nothing else is changed; the action plugin leaves out services that are switched off. With
    O(state=restored) the files, the secrets and the image of one service are put back; the caller then runs Compose and
    probes the service.
  - After a failed change (O(failure)), a service that cannot be rolled back is stopped, unless there was no
    other state before the failed one.
  - With O(restore_data), the data goes back too if the version of the restore point cannot read the present data, and
    in any case without O(failure). The backup is unpacked and compared with its hashes beside the data directory before
    anything is changed. The present data is renamed, and never deleted.
options:
  state:
    description: What to do.
    type: str
    choices: [listed, begun, restored]
    required: true
  services:
    description: Services to list or to begin with, each with C(name) and C(container). With V(restored) exactly one.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the service.
        type: str
        required: true
      container:
        description: Name of its container.
        type: str
        required: true
      files:
        description: Files that are declared now. Those that the restore point does not have are moved away.
        type: list
        elements: str
        default: []
      version:
        description:
          - Version of the image that is replaced. If it is empty, it is looked up in the restore points by image id.
        type: str
        default: ""
  project:
    description: Compose project. Only its backups are used.
    type: str
    required: true
  backups_dir:
    description: Folder of the backups.
    type: path
    required: true
  point:
    description: Number of the restore point; V(0) is the last good one.
    type: int
    default: 0
  backup:
    description:
      - Number of the backup whose data goes back. V(0) is the newest one of the restore point's version. After a failed
        change V(0) means none, because then only a backup that the plan relied on is used.
    type: int
    default: 0
  restore_data:
    description: Consent to return the data to a backup. What was written since that backup is then no longer in use.
    type: bool
    default: false
  verify_backups:
    description: With O(state=listed), compare every backup with its hashes.
    type: bool
    default: false
  failure:
    description: Why the current state failed. Empty for a rollback by hand.
    type: str
    default: ""
  complete:
    description: Complete the rollback that an interrupted run left unfinished, to the restore point that it had chosen.
    type: bool
    default: false
  run:
    description: The run that holds the lock.
    type: str
    default: ""
  begin:
    description: The run that takes the lock with O(state=begun), as the action plugin passes it.
    type: dict
attributes:
  check_mode:
    description: Decides in the same way, and changes nothing.
    support: full
  diff_mode:
    description: Names the files that are put back, and shows no text, because they hold secrets.
    support: none
extends_documentation_fragment:
  - deployment
  - deployment.secrets
  - deployment.lock
author: [Trade2026 founders (@trade2026)]
"""

EXAMPLES = r"""
- name: List the restore points of Valkey
  core_restore:
    root: /srv/trade2026
    secrets_root: /srv/trade2026/secrets
    project: trade2026-core
    backups_dir: /srv/trade2026/.trade2026/backups
    state: listed
    services: [{name: valkey, container: valkey}]
"""

RETURN = r"""
services:
  description:
    - Service to its restore points, its backups, the damaged ones of both, and the point and the backup that a rollback
      would use.
  returned: with O(state=listed) and O(state=begun)
  type: dict
locked:
  description: Who holds the lock of the machine; empty if nobody does.
  returned: with O(state=begun)
  type: dict
restored:
  description: Whether files and image were put back, so that the service can be started. False if they run already.
  returned: with O(state=restored)
  type: bool
point:
  description: Number of the restore point; V(0) if there is none to return to.
  returned: with O(state=restored)
  type: int
probe:
  description: The probes that the restore point passed, as the module C(service_probe) expects them.
  returned: with O(state=restored)
  type: dict
subject:
  description: The service's parts that the restore point holds, as the module C(service_probe) expects them.
  returned: with O(state=restored)
  type: dict
image:
  description: Reference and version of its image, and where it came from (C(source)).
  returned: with O(state=restored)
  type: dict
refusal:
  description: Why the service is not rolled back; empty if it is.
  returned: with O(state=restored)
  type: str
evidence:
  description: Why the replaced state failed, with the likely cause and the last log lines.
  returned: with O(state=restored)
  type: str
data:
  description:
    - The backup whose data is in use now, with C(number), C(taken_at), and C(kept), the paths of the previous data.
      Empty if the data was not touched.
  returned: with O(state=restored)
  type: dict
done:
  description: What was put back.
  returned: with O(state=restored)
  type: list
  elements: str
"""

import contextlib
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.deployment.journal import Journal, JournalError, locked_by, read_owner
from ansible.module_utils.deployment.model import Operation
from ansible.module_utils.images.plan import source_of
from ansible.module_utils.restore.backups import Backup, Backups
from ansible.module_utils.restore.data import Move, stage, swap, unpacked
from ansible.module_utils.restore.listing import Listing
from ansible.module_utils.restore.points import RestoreError, RestorePoint, RestorePoints, is_half_moved, now
from ansible.module_utils.restore.rollback import (
    Failed,
    Refusal,
    Rollback,
    evidence,
    fragment_digest,
    refuse,
    runs,
    unchanged,
)
from ansible.module_utils.shared.docker import Docker, DockerError
from ansible.module_utils.shared.fs import explain

SERVICE = {
    "name": {"type": "str", "required": True},
    "container": {"type": "str", "required": True},
    "files": {"type": "list", "elements": "str", "default": []},
    "version": {"type": "str", "default": ""},
}


class Restoring:
    """The return of one service."""

    def __init__(self, module: AnsibleModule) -> None:
        params: dict[str, Any] = module.params
        self.module = module
        self.root = Path(params["root"])
        self.secrets_root = Path(params["secrets_root"])
        self.failure: str = params["failure"]
        (self.service,) = params["services"]
        self.docker = Docker(module.run_command)
        self.journal = Journal(self.root)
        self.points = RestorePoints(self.root, self.service["name"])
        self.name: str = self.service["container"]
        # Whether this completes a rollback that another run left unfinished.
        self.completes: bool = params["complete"]
        self.left = self._left()
        self.number: int = params["point"] or (int(self.left.get("point", 0)) if self.completes else 0)
        self.backups = Backups(Path(params["backups_dir"]), params["project"], self.service["name"])
        self.restore_data: bool = params["restore_data"]
        self.container = self.docker.inspect("container", self.name).get(self.name) or {}

    def run(self) -> dict[str, Any]:
        """Decide, then put back or stop; raises JournalError if another run has taken over."""
        if not self.module.check_mode:
            self.journal.require(self.module.params["run"])
        point = self.points.read(self.number) if self.number else self.points.newest("good") or self._healthy_before()
        answer: dict[str, Any] = {
            "changed": False,
            "restored": False,
            "point": point.number if point else 0,
            "probe": {**point.probe, "ready_timeout_s": point.subject.ready_timeout_s} if point else {},
            "image": self._image(point) if point else {},
            "subject": asdict(point.subject) if point else {},
            "refusal": "",
            "evidence": self._evidence(),
            "data": {},
            "done": [],
        }
        if (
            point
            and self.failure
            and not self.completes
            and unchanged(self.root, self.secrets_root, point, self.container)
        ):
            answer["refusal"] = (
                f"The declared state equals restore point {point.number}, the last good one. There is nothing to "
                "return to, and the service is left as it is."
            )
            return answer
        by_hand = not self.failure
        if point and by_hand and not self.restore_data and runs(self.root, self.secrets_root, point, self.container):
            return answer
        # The data that a killed run was putting back for this point.
        data = self.left.get("data") or {} if point and self.left.get("point") == point.number else {}
        if is_half_moved(self.left) and not data:
            raise RestoreError(
                f"the rollback of {self.service['name']} to restore point {self.left['point']} and to the data of "
                f"backup {self.left['data']['number']} was interrupted while the data was renamed. Complete it first: "
                f"ansible-playbook playbooks/rollback.yml --limit {self.service['name']} "
                f"-e core_restore_point={self.left['point']}"
            )
        if point:
            self._refuse_unclear_data(point)
        backup = self._backup(point) if point and not data else None
        refusal = None if point and data else self._refuse(point, backup, by_hand)
        if refusal or point is None:
            return {**answer, "refusal": refusal.why if refusal else "", "changed": self._stop(bool(refusal))}
        if self.module.check_mode:
            return {**answer, "restored": True, "changed": True}
        if backup and self.restore_data and (by_hand or self._needs_data(point)):
            moves = stage(self.backups, backup, self.root)
            data = {"number": backup.number, "taken_at": backup.taken_at, "moves": [asdict(move) for move in moves]}
        # Unpacking data takes long.
        self.journal.require(self.module.params["run"])
        self.points.begin_rollback(
            {
                "point": point.number,
                "run": self.module.params["run"],
                "began": now(),
                "failure": answer["evidence"],
                "declared": fragment_digest(self.root, point.subject),
                "by_hand": by_hand,
                "data": data,
            }
        )
        rollback = Rollback(self.root, self.secrets_root, self.docker, point)
        if data:
            answer["data"] = self._swap(data)
            rollback.done.append(
                f"data of backup {data['number']} of {data['taken_at']} (previous data: "
                f"{', '.join(answer['data']['kept']) or 'none'})"
            )
        rollback.carry_out(self.service["files"])
        return {**answer, "restored": True, "changed": True, "done": rollback.done}

    def _left(self) -> dict[str, Any]:
        """The rollback that a killed run left unfinished. If it cannot be read, a rollback by hand starts over."""
        if self.completes:
            return self.points.rollback()
        with contextlib.suppress(RestoreError):
            return self.points.rollback()
        return {}

    def _refuse_unclear_data(self, point: RestorePoint) -> None:
        """Raise RestoreError if a damaged note of a rollback does not say whether data was being renamed."""
        places = [(self.root / name).resolve() for name in point.subject.data]
        beside = [str(path) for live in places for path in unpacked(live)]
        if self.points.marker.exists() and not self.left and beside:
            raise RestoreError(
                f"{self.points.marker} is damaged, and data of a backup is in {', '.join(beside)}. It may have to take "
                f"the place of {', '.join(map(str, places))}. Rename it if so, or remove it; remove "
                f"{self.points.marker}, then run again. Nothing was changed"
            )

    def _backup(self, point: RestorePoint) -> Backup | None:
        """A backup that the point's version can read; raises RestoreError if the one named by hand cannot be used."""
        number: int = self.module.params["backup"]
        version, image_id = point.subject.version, point.image.id
        if number:
            try:
                found = self.backups.read(number)
                if found.holds(version, image_id):
                    return found
                raise RestoreError(
                    f"backup {number} of {self.service['name']} is of version {found.version or 'unknown'}, and "
                    f"restore point {point.number} runs {version or 'unknown'}; name another backup or restore point"
                )
            except RestoreError:
                if not self.failure:
                    raise
        return self.backups.newest_of(version, image_id)

    def _refuse(self, point: RestorePoint | None, backup: Backup | None, by_hand: bool) -> Refusal | None:
        """Why the service is not rolled back, or None. With consent, the data of a backup may be used."""
        if point and self.restore_data and by_hand and not backup:
            return Refusal(
                f"There is no backup of version {point.subject.version or 'unknown'} of {self.service['name']}, which "
                f"restore point {point.number} runs. Nothing was changed.",
                stop=False,
            )
        refusal = refuse(point, self._failed(), self.root, by_hand, backup)
        if not (refusal and point and backup and self.restore_data):
            return refusal
        # After a failed change, only a backup that the plan relied on is used.
        return None if by_hand or backup.number == self.module.params["backup"] else refusal

    def _needs_data(self, point: RestorePoint) -> bool:
        return refuse(point, self._failed(), self.root, by_hand=False) is not None

    def _failed(self) -> Failed:
        if not self.container and not self.failure and (last := self.points.newest("good")):
            # The container was removed. The data is of the version that passed its probes last.
            return Failed(last.subject.version, {"Image": last.image.id})
        version = self.service["version"] or self.points.version_of(str(self.container.get("Image")))
        return Failed(version, self.container)

    def _swap(self, data: dict[str, Any]) -> dict[str, Any]:
        """Put the unpacked data in its place; the container must not write meanwhile."""
        state = (self.container.get("State") or {}).get("Status")
        if state in ("running", "restarting", "paused"):
            self.docker.call("container", "stop", self.name)
        kept = swap(Move.of(data["moves"]))
        return {"number": data["number"], "taken_at": data["taken_at"], "kept": kept}

    def _healthy_before(self) -> RestorePoint | None:
        """The state before this run's change, if its container was healthy; used if there is no good restore point."""
        newest = self.points.newest()
        return newest if newest and newest.probe and newest.run and newest.run == self.module.params["run"] else None

    def _image(self, point: RestorePoint) -> dict[str, str]:
        """The point's image, as the summary and the report show it."""
        source = source_of(self.docker.inspect("image", point.image.id).get(point.image.id, {}))
        return {"reference": point.image.reference, "version": point.subject.version, "source": source}

    def _evidence(self) -> str:
        if not self.failure or self.completes:
            return self.failure
        return evidence(self.docker, self.name, self.points, self.secrets_root, self.failure)

    def _stop(self, wanted: bool) -> bool:
        """Stop a container that failed and cannot be rolled back; otherwise it would restart for ever."""
        if not wanted or not self.failure or not self.container:
            return False
        if not self.module.check_mode:
            self.docker.call("container", "stop", self.name)
        return True


def begin(module: AnsibleModule, listing: Listing) -> dict[str, Any]:
    """Take the lock for the rollback of the services that have a point to return to."""
    params: dict[str, Any] = module.params
    journal = Journal(Path(params["root"]))
    locked = locked_by(journal, params["begin"], params["take_over"])
    if locked:
        return {"locked": locked}
    operations = [
        Operation(name, f"restore point {target}", "restore", "", str(target), "a rollback by hand")
        for name, target in listing.targets().items()
    ]
    backups = {name: listing.target_backup(name) for name in listing.targets()}
    operations += [
        Operation(name, f"data of backup {backup['number']}", "restore", "", backup["taken_at"], "rollback_data_of")
        for name, backup in backups.items()
        if backup
    ]
    if operations and not module.check_mode:
        journal.begin(read_owner(params["begin"]), operations, params["take_over"], action="rollback")
    return {"locked": {}, "run": params["begin"]["run"] if operations and not module.check_mode else ""}


def main() -> None:
    """List, begin or restore, depending on `state`."""
    module = AnsibleModule(
        argument_spec={
            "root": {"type": "path", "required": True},
            # The folder's name is not secret.
            "secrets_root": {"type": "path", "required": True, "no_log": False},
            "state": {"type": "str", "choices": ["listed", "begun", "restored"], "required": True},
            "services": {"type": "list", "elements": "dict", "required": True, "options": SERVICE},
            "project": {"type": "str", "required": True},
            "backups_dir": {"type": "path", "required": True},
            "point": {"type": "int", "default": 0},
            "backup": {"type": "int", "default": 0},
            "restore_data": {"type": "bool", "default": False},
            "verify_backups": {"type": "bool", "default": False},
            "failure": {"type": "str", "default": ""},
            "complete": {"type": "bool", "default": False},
            "run": {"type": "str", "default": ""},
            "begin": {"type": "dict"},
            "take_over": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    params: dict[str, Any] = module.params
    try:
        if params["state"] == "restored":
            module.exit_json(**Restoring(module).run())
        listing = Listing(params, module.run_command)
        answer = {"changed": False, "services": listing.to_dict()}
        if params["state"] == "begun":
            answer |= begin(module, listing)
    except (RestoreError, DockerError, JournalError) as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=explain(error))
    module.exit_json(**answer)


if __name__ == "__main__":
    main()
