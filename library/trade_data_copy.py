#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
"""Copy the live data of Trade2025's services to the data directories of Trade2026's services."""

from __future__ import annotations

DOCUMENTATION = r"""
module: trade_data_copy
short_description: Copy the data of stopped services, verified and resumable
version_added: 1.0.0
description:
  - Copies each of O(sets) from the old tree to the new one, while nothing of either platform runs. The module looks for
    containers and processes that use the data, and refuses to copy while there are any.
  - A copy is staged in a separate folder (C(.trade2025) beside the destinations) and renamed to its destination once
    it is complete, so that a service never sees half of its data.
  - Every file is read back from the disk and compared by its hash. After an interruption, verified files are not
    copied again; large files are verified in steps of 64 MiB. Holes are kept.
  - The source is opened for reading only. Its access times are kept if the system allows that.
  - The action plugin of the same name runs the module in slices of O(slice_s) and shows the progress between them.
options:
  sets:
    description: What to copy.
    type: list
    elements: dict
    required: true
    suboptions:
      service:
        description: Name of the service, for messages.
        type: str
        required: true
      source:
        description: Folder of the old data. A folder that does not exist is reported as V(absent).
        type: path
        required: true
      dest:
        description: Folder of the service's data in the new tree.
        type: path
        required: true
      uid:
        description: Numeric owner of everything that is copied.
        type: int
        required: true
      gid:
        description: Numeric group of everything that is copied.
        type: int
        required: true
  source_roots:
    description: The root of the old tree, in every spelling that a container's mount may have.
    type: list
    elements: str
    required: true
  source_networks:
    description: Networks of the old platform. Nothing is copied while a container on one of them runs.
    type: list
    elements: str
    default: []
  target_root:
    description: The root of the new tree. Nothing is copied while a container runs that mounts a folder of its C(data).
    type: path
    required: true
  target_project:
    description: Compose project of the new platform. Nothing is copied while one of its containers runs.
    type: str
    required: true
  on_conflict:
    description:
      - What to do if a destination already holds data. V(fail) changes nothing. V(backup) keeps it as
        C(.trade2025/SERVICE/replaced-TIME) beside the destinations.
    type: str
    choices: [fail, backup]
    default: fail
  min_free_gib:
    description: Free space that must remain on the file system of the destination, in GiB.
    type: float
    default: 1
  slice_s:
    description: Seconds after which the module returns with RV(finished=false). V(0) works until everything is done.
    type: int
    default: 0
attributes:
  check_mode:
    description: Checks everything that a real run checks, and reports what it would copy. Nothing is created.
    support: full
  diff_mode:
    description: Differences of data are not shown.
    support: none
author: [Trade2026 founders (@trade2026)]
"""

EXAMPLES = r"""
- name: Copy Valkey's data
  trade_data_copy:
    sets:
      - service: valkey
        source: /mnt/c/trade2025/trading/valkey
        dest: /srv/trade2026/data/valkey
        uid: 999
        gid: 1000
    source_roots: [/mnt/c/trade2025, "C:/trade2025"]
    source_networks: [trade2025-backend]
    target_root: /srv/trade2026
    target_project: trade2026-core
    slice_s: 10
"""

RETURN = r"""
finished:
  description: Whether everything is in place. If not, call the module again to continue.
  returned: success
  type: bool
sets:
  description: One entry for each of O(sets).
  returned: success
  type: list
  elements: dict
  contains:
    service: {description: Name of the service., type: str}
    state:
      description: V(copied), V(current), V(absent), V(partial), or in check mode V(would copy).
      type: str
    files: {description: Number of regular files., type: int}
    bytes: {description: Bytes in all files., type: int}
    bytes_left: {description: Bytes that are still to be copied., type: int}
    skipped: {description: "Sockets, FIFOs and devices.", type: list, elements: str}
    digest: {description: "A hash over all names and contents, once the set is copied.", type: str}
    kept: {description: Where earlier data of the destination was moved., type: str}
progress:
  description: How much of all sets is copied, as text.
  returned: success
  type: str
problems:
  description: Everything that prevents the data from being copied.
  returned: failure
  type: list
  elements: str
"""

import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.data_copy.copier import Copier
from ansible.module_utils.data_copy.in_use import Places, containers_using, processes_using
from ansible.module_utils.data_copy.plan import DataSet, Plan, make_plan, space_problems
from ansible.module_utils.data_copy.tree import DataCopyError
from ansible.module_utils.shared.docker import Docker, DockerError
from ansible.module_utils.shared.fs import explain
from ansible.module_utils.shared.sizes import human


def in_use(docker: Docker, places: Places, plans: list[Plan]) -> list[str]:
    """Everything that uses the data in the source or the target."""
    inodes: set[tuple[int, int]] = set()
    for plan in plans:
        if plan.tree is not None and plan.state == "copy":
            inodes |= {entry.inode for entry in plan.tree.files}
    return containers_using(docker, places) + processes_using(inodes)


def row_of(plan: Plan, state: str) -> dict[str, Any]:
    """One set of the result."""
    return {
        "service": plan.data.service,
        "state": state,
        "files": len(plan.tree.files) if plan.tree else 0,
        "bytes": plan.size,
        "bytes_left": plan.size_left,
        "skipped": list(plan.tree.skipped) if plan.tree else [],
        "digest": "",
        "kept": "",
    }


def progress(results: list[dict[str, Any]]) -> str:
    """The progress of all sets together."""
    total, left = sum(row["bytes"] for row in results), sum(row["bytes_left"] for row in results)
    now = next((row["service"] for row in results if row["state"] == "partial"), "")
    part = 100.0 if not total else 100.0 * (total - left) / total
    return f"{human(total - left)} of {human(total)} ({part:.0f} %)" + (f", now {now}" if now else "")


def work(params: dict[str, Any], docker: Docker, check_mode: bool) -> dict[str, Any]:
    """Plan everything, then copy one set after the other until the time is up. Raises DataCopyError."""
    deadline = time.monotonic() + params["slice_s"] if params["slice_s"] else float("inf")
    places = Places(params["source_roots"], params["source_networks"], params["target_root"], params["target_project"])
    plans = [make_plan(DataSet(**row), params["on_conflict"]) for row in params["sets"]]
    problems = in_use(docker, places, plans)
    problems += [f"{plan.data.service}: {plan.blocked}" for plan in plans if plan.blocked]
    problems += space_problems(plans, round(params["min_free_gib"] * 2**30))
    if problems:
        return {"problems": problems}

    results: list[dict[str, Any]] = []
    changed = False
    for plan in plans:
        if plan.state != "copy":
            results.append(row_of(plan, plan.state))
            continue
        changed = True
        if check_mode or time.monotonic() > deadline:
            results.append(row_of(plan, "would copy" if check_mode else "partial"))
            continue
        results.append(copy(plan, deadline, docker, places))
    finished = not any(row["state"] == "partial" for row in results)
    return {"changed": changed, "finished": finished, "sets": results, "progress": progress(results)}


def copy(plan: Plan, deadline: float, docker: Docker, places: Places) -> dict[str, Any]:
    """Carry out one plan, as far as the time allows."""

    def still_stopped() -> None:
        problems = in_use(docker, places, [plan])
        if problems:
            raise DataCopyError(
                f"{plan.data.service}: {'; '.join(problems)}. The copy is staged and is kept; run again."
            )

    copier = Copier(plan, deadline, still_stopped)
    whole = copier.run()
    row = row_of(plan, "copied" if whole else "partial")
    row["bytes_left"] = 0 if whole else max(0, row["bytes_left"] - copier.bytes_done)
    row["digest"] = copier.digest() if whole else ""
    row["kept"] = copier.kept
    return row


def main() -> None:
    """Read the arguments, copy, and return the result."""
    module = AnsibleModule(
        argument_spec={
            "sets": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "service": {"type": "str", "required": True},
                    "source": {"type": "path", "required": True},
                    "dest": {"type": "path", "required": True},
                    "uid": {"type": "int", "required": True},
                    "gid": {"type": "int", "required": True},
                },
            },
            "source_roots": {"type": "list", "elements": "str", "required": True},
            "source_networks": {"type": "list", "elements": "str", "default": []},
            "target_root": {"type": "path", "required": True},
            "target_project": {"type": "str", "required": True},
            "on_conflict": {"type": "str", "choices": ["fail", "backup"], "default": "fail"},
            "min_free_gib": {"type": "float", "default": 1},
            "slice_s": {"type": "int", "default": 0},
        },
        supports_check_mode=True,
    )
    try:
        result = work(module.params, Docker(module.run_command), module.check_mode)
    except (DataCopyError, DockerError) as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=f"{explain(error)}. The next run continues the copy where it stopped.")
    if "problems" in result:
        remedy = "Stop both platforms (`docker compose stop`) where they run, remove the other causes, and run again."
        message = "\n- ".join(["The data cannot be copied now:", *result["problems"]])
        module.fail_json(msg=f"{message}\n{remedy}", **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
