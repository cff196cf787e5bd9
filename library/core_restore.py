#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
"""List the restore points of services, and return a service to one."""

from __future__ import annotations

DOCUMENTATION = r"""
module: core_restore
short_description: List the restore points of services, and return a service to one
version_added: 1.0.0
description:
  - Restore points are recorded by C(managed_files) before a change and by C(service_probe) after verification,
    below C(.trade2026/restore_points) of O(root). Every one is verified when it is read; a damaged one is reported and
    not used.
  - With O(state=listed) nothing is changed. With O(state=begun) the lock of the machine is taken for the rollback of
    O(services), and nothing else is changed. With O(state=restored) the files, the secrets and the image of one
    service are put back; the caller then runs Compose and probes the service.
  - After a failed change (O(failure)), a service that cannot be rolled back is stopped, unless there was no
    other state before the failed one.
options:
  root:
    description: Folder of the deployment.
    type: path
    required: true
  secrets_root:
    description: Folder of the secrets.
    type: path
    required: true
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
  point:
    description: Number of the restore point; V(0) is the last good one.
    type: int
    default: 0
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
  take_over:
    description: The run that holds the lock and is known to have ended.
    type: str
    default: ""
attributes:
  check_mode:
    description: Decides in the same way, and changes nothing.
    support: full
  diff_mode:
    description: Names the files that are put back, and shows no text, because they hold secrets.
    support: none
author: [Trade2026 founders (@trade2026)]
"""

EXAMPLES = r"""
- name: List the restore points of Valkey
  core_restore:
    root: /srv/trade2026
    secrets_root: /srv/trade2026/secrets
    state: listed
    services: [{name: valkey, container: valkey}]
"""

RETURN = r"""
services:
  description: Service to its restore points, the damaged ones, and the point that a rollback would return to.
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
done:
  description: What was put back.
  returned: with O(state=restored)
  type: list
  elements: str
"""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.deployment.journal import Journal, JournalError, locked_by, read_owner
from ansible.module_utils.deployment.model import Operation
from ansible.module_utils.images.plan import source_of
from ansible.module_utils.restore.listing import Listing
from ansible.module_utils.restore.points import RestoreError, RestorePoint, RestorePoints, now
from ansible.module_utils.restore.rollback import (
    Failed,
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
        self.points = RestorePoints(self.root, self.service["name"])
        self.name: str = self.service["container"]
        # Whether this completes a rollback that another run left unfinished.
        self.completes: bool = params["complete"]
        left = self.points.rollback() if self.completes else {}
        self.number: int = params["point"] or int(left.get("point", 0))
        self.container = self.docker.inspect("container", self.name).get(self.name) or {}

    def run(self) -> dict[str, Any]:
        """Decide, then put back or stop."""
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
        if point and not self.failure and runs(self.root, self.secrets_root, point, self.container):
            return answer
        version = self.service["version"] or self._version_that_runs()
        refusal = refuse(point, Failed(version, self.container), self.root, by_hand=not self.failure)
        if refusal or point is None:
            return {**answer, "refusal": refusal.why if refusal else "", "changed": self._stop(bool(refusal))}
        if self.module.check_mode:
            return {**answer, "restored": True, "changed": True}
        self.points.begin_rollback(
            {
                "point": point.number,
                "run": self.module.params["run"],
                "began": now(),
                "failure": answer["evidence"],
                "declared": fragment_digest(self.root, point.subject),
                "by_hand": not self.failure,
            }
        )
        rollback = Rollback(self.root, self.secrets_root, self.docker, point)
        rollback.carry_out(self.service["files"])
        return {**answer, "restored": True, "changed": True, "done": rollback.done}

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

    def _version_that_runs(self) -> str:
        image_id = self.container.get("Image")
        points, _damaged = self.points.readable()
        return next((point.subject.version for point in reversed(points) if point.image.id == image_id), "")

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
            "point": {"type": "int", "default": 0},
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
        listing = Listing(
            Path(params["root"]), Path(params["secrets_root"]), params["services"], params["point"], module.run_command
        )
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
