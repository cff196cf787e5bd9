#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
"""Complete the result document of a run on the machine, and store the report there."""

from __future__ import annotations

DOCUMENTATION = r"""
module: core_report
short_description: Write the report of a run as a page, JSON and JUnit XML
version_added: 1.0.0
description:
  - Writes C(report.html), C(report.json) and C(junit.xml) to a new folder, from the result document of a run, which
    C(docs/report.schema.json) describes. C(latest) is a symlink to the newest one, or a copy
    on a file system without symlinks.
  - The action plugin of the same name calls this module twice and renders the report on the controller in between. The
    first call adds facts of the machine (containers, networks, versions, earlier runs) and masks every secret.
    The second one writes the files.
  - A run without operations in which every probe passed writes no report. The path of the last one is shown.
  - The report of a run that stopped before a deployment existed is written on the controller, to
    C($XDG_STATE_HOME/trade2026/reports/PROJECT), by default below C(~/.local/state). The task then fails with its path.
options:
  document:
    description: The result document. Exactly one of O(document), O(core_run) and O(stopped) is needed.
    type: dict
  core_run:
    description:
      - What is known at the end of a run of core.yml, from which the action plugin builds the document. C(planned) is
        the result of C(core_plan), C(probed) is service to result of C(service_probe), C(images) service to image,
        C(failures) service to message, C(undone) the services that were not deployed, C(migration) what the
        configuration choices are derived from.
    type: dict
  stopped:
    description: >-
      Why a run ended before anything was deployed, with C(phase), C(message) and C(services).
      C(failure) is the message that the task then fails with, by default C(message).
    type: dict
  root:
    description: Folder of the deployment.
    type: path
  secrets_root:
    description: Folder whose secrets are masked in the document. If one cannot be read, log lines are withheld.
    type: path
  folder:
    description: Folder of the reports, relative to O(root).
    type: str
    default: docs/reports
  keep:
    description: How many reports are kept.
    type: int
    default: 20
  containers:
    description: Service to name of its container, for O(document).
    type: dict
    default: {}
  forbid_inside:
    description: Folders that O(root) must not be in.
    type: list
    elements: path
    default: []
  project:
    description: Name of the Compose project.
    type: str
  site:
    description: Name of the inventory.
    type: str
  collection:
    description: Version of community.docker.
    type: str
  files:
    description: Name to text of the files to store; set by the action plugin.
    type: dict
  started:
    description: When the run began, which is the name of the folder; set by the action plugin.
    type: str
attributes:
  check_mode:
    description: Whether a dry run predicts the result.
    details: A dry run writes no report. The task is skipped.
    support: partial
  diff_mode:
    description: Every report is a new file.
    support: none
requirements:
  - vl-convert-python, jinja2 and junitparser on the controller
author: [Trade2026 founders (@trade2026)]
"""

EXAMPLES = r"""
- name: Write the report of the tests
  core_report:
    document: "{{ core_validated.document }}"
    root: /srv/trade2026
    secrets_root: /srv/trade2026/secrets
    keep: 20
"""

RETURN = r"""
path:
  description: The page of the report.
  returned: success
  type: str
latest:
  description: Whether C(latest) is a C(symlink) or a C(copy).
  returned: when a report was written
  type: str
removed:
  description: Old reports that were removed.
  returned: when a report was written
  type: list
  elements: str
verdict:
  description: The verdict of the report.
  returned: when a report was written
  type: dict
document:
  description: The completed and masked document, from the first call.
  returned: when the action plugin asks for it
  type: dict
deployed:
  description: Whether the machine has a deployment that the report can be stored in, from the first call.
  returned: when the action plugin asks for it
  type: bool
"""

import json
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.deployment import FOLDER
from ansible.module_utils.report import REPORTS
from ansible.module_utils.report.store import Store, StoreError
from ansible.module_utils.shared.docker import Docker


def completed(params: dict[str, Any], store: Store, docker: Docker) -> dict[str, Any]:
    """The document with running state and history, without secrets."""
    # Imported here, because the second call, which stores the files, does not need it.
    from ansible.module_utils.report.machine import add_running_state
    from ansible.module_utils.shared.masking import Mask, mask_tree, secrets_below

    document = add_running_state(params["document"], params["containers"], docker)
    document["machine"]["vulnerabilities"] = known_vulnerabilities(Path(params["root"], "docs/sbom"))
    earlier = store.documents()
    document["history"] = [entry for _name, content in earlier for entry in content["history"]]
    for row in document.get("performance") or []:
        if "previous" not in row:
            row["previous"] = previous(row, document["machine"]["name"], [content for _name, content in earlier])
    known, unreadable = secrets_below(Path(params["secrets_root"]))
    mask = Mask(known).output
    for test in document["tests"]:
        if test.get("log") and unreadable:
            test["log"] = [f"(withheld, because its secrets cannot be masked: {', '.join(unreadable)} cannot be read)"]
        elif test.get("log"):
            # As one text, so that a secret of several lines is found.
            test["log"] = mask("\n".join(test["log"])).splitlines()
    masked: dict[str, Any] = mask_tree(document, mask)
    return masked


def known_vulnerabilities(folder: Path) -> str:
    """What the last run of playbooks/sbom.yml found, or that it scanned nothing."""
    from ansible.module_utils.images.vulnerabilities import INDEX, NOT_SCANNED, in_one_line

    index = folder / INDEX
    try:
        return in_one_line(json.loads(index.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return NOT_SCANNED
    except (OSError, ValueError, KeyError, TypeError):
        return f"not known: {index} is damaged; run playbooks/sbom.yml again"


def previous(row: dict[str, Any], machine: str, earlier: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The history of earlier runs on this machine, oldest first."""
    keys = ("throughput_per_s", "p50_ms", "p95_ms", "p99_ms")
    return [
        {"started": content["run"]["started"], **{key: old[key] for key in keys if key in old}}
        for content in earlier
        for old in content.get("performance", [])
        if content["machine"]["name"] == machine
        and (old["service"], old["operation"]) == (row["service"], row["operation"])
    ]


def main() -> None:
    """Complete a document, or store a report."""
    module = AnsibleModule(
        argument_spec={
            "document": {"type": "dict"},
            "core_run": {"type": "dict"},
            "stopped": {"type": "dict"},
            "root": {"type": "path"},
            # The folder's name is not secret.
            "secrets_root": {"type": "path", "no_log": False},
            "folder": {"type": "str", "default": REPORTS},
            "keep": {"type": "int", "default": 20},
            "containers": {"type": "dict", "default": {}},
            "forbid_inside": {"type": "list", "elements": "path", "default": []},
            "project": {"type": "str"},
            "site": {"type": "str"},
            "collection": {"type": "str"},
            "files": {"type": "dict"},
            "started": {"type": "str"},
        },
        supports_check_mode=True,
    )
    params = module.params
    root = Path(params["root"])
    store = Store(root / params["folder"])
    if params["keep"] < 1:
        module.fail_json(msg=f"keep: {params['keep']} would keep no report; write 1 or more")
    if params["document"]:
        inside = [path for path in map(Path, params["forbid_inside"]) if store.folder.resolve().is_relative_to(path)]
        deployed = (root / FOLDER).is_dir() and not inside
        module.exit_json(
            changed=False, document=completed(params, store, Docker(module.run_command)), deployed=deployed
        )
    if module.check_mode:
        module.exit_json(changed=False, skipped=True, msg="a dry run writes no report")
    try:
        stored = store.write(params["files"], params["started"], params["keep"])
    except StoreError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=True, path=stored.page, latest=stored.latest, removed=list(stored.removed))


if __name__ == "__main__":
    main()
