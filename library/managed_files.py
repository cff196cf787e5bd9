#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bring the directories and files of services to their declared state, in one module process."""

from __future__ import annotations

DOCUMENTATION = r"""
module: managed_files
short_description: Validate and write the directories and files of services, with secrets inserted on the machine
version_added: 1.0.0
description:
  - Creates directories and writes files below one root. Files are replaced atomically; the replaced file is kept as a
    copy under C(.trade2026/replaced).
  - Text of the form C(@@secret:PATH@@) becomes the secret of that name, C(@@secret_sha256:PATH@@) its SHA-256 in hex.
    Secrets are read on the machine, so they are neither in variables nor in logs; diffs show the placeholder.
  - Text of the form C(@@config_hash@@) becomes a hash over all other files of the service and over
    O(services[].watch).
  - When a file changes, O(services[].validate) runs first on a staged copy. If it fails, nothing of the service is
    replaced.
  - On a file system that stores no owners and modes (a Windows drive), they do not count as a difference.
options:
  root:
    description: Folder that relative paths are relative to. It is created if it is missing.
    type: path
    required: true
  forbid_inside:
    description: Folders in which O(root) must not be, not even through symlinks.
    type: list
    elements: path
    default: []
  secrets_root:
    description: Folder of the secrets that placeholders name. Required if a file has such a placeholder.
    type: path
  services:
    description: The services, each with its directories and files. Several are handled in parallel.
    type: list
    elements: dict
    required: true
    suboptions:
      service:
        description: Name of the service in the results and in the journal.
        type: str
        required: true
      directories:
        description: Directories to ensure, parents first.
        type: list
        elements: dict
        default: []
        suboptions:
          path:
            description: Path, relative to O(root) or absolute.
            type: path
            required: true
          uid:
            description: Numeric owner.
            type: int
          gid:
            description: Numeric group.
            type: int
          mode:
            description:
              - Permissions in octal, as a string.
              - Without it a new directory gets 0755, and an existing one keeps what it has.
            type: str
      files:
        description: Files to write.
        type: list
        elements: dict
        default: []
        suboptions:
          dest:
            description: Path, relative to O(root) or absolute.
            type: path
            required: true
          template:
            description:
              - Full path of a template on the controller. The action plugin renders it into
                O(services[].files[].content).
            type: path
          content:
            description: The text, with placeholders.
            type: str
          uid:
            description: Numeric owner.
            type: int
          gid:
            description: Numeric group.
            type: int
          mode:
            description: Permissions in octal, as a string.
            type: str
            default: "0644"
          reveal:
            description: Return the final text in C(texts) of the result. Refused for a file that holds a secret.
            type: bool
            default: false
      watch:
        description: Further files, relative to O(secrets_root), whose content is part of the configuration hash.
        type: list
        elements: path
        default: []
      validate:
        description: The service's validate command for its configuration.
        type: dict
        suboptions:
          image:
            description: Image to run the command in. Check mode skips the command if the image is missing.
            type: str
            required: true
          command:
            description: Command line; exit code 0 accepts.
            type: list
            elements: str
            required: true
          entrypoint:
            description: Replaces the image's entrypoint.
            type: str
          user:
            description: Numeric C(uid:gid) that the command runs as.
            type: str
            required: true
          environment:
            description: Environment variables of the command.
            type: dict
            default: {}
          tmpfs:
            description: In-memory folders, as for C(docker run --tmpfs).
            type: list
            elements: str
            default: []
          mounts:
            description: Folders of the staged copy that are mounted for the command.
            type: list
            elements: dict
            default: []
            suboptions:
              source:
                description: Folder relative to O(root) (configuration, staged) or O(secrets_root) (secrets, live).
                type: path
                required: true
              target:
                description: Path inside the container.
                type: path
                required: true
              kind:
                description: Where the folder comes from.
                type: str
                choices: [config, secret]
                default: config
          timeout_s:
            description: Seconds after which the command counts as failed.
            type: int
            default: 60
      owners:
        description: Directories below which every entry that belongs to another user is given to the owner.
        type: list
        elements: dict
        default: []
        suboptions:
          path:
            description: Path, relative to O(root).
            type: path
            required: true
          uid:
            description: Numeric owner.
            type: int
            required: true
          gid:
            description: Numeric group.
            type: int
            required: true
      restore:
        description:
          - The service's parts that a restore point holds, as the action plugin C(core_files) passes them. If the
            files on the disk differ from the newest restore point, they are recorded as one before they are replaced.
        type: dict
      expected:
        description: The operations in the plan. If any other is needed, the module fails and changes nothing.
        type: list
        elements: str
attributes:
  check_mode:
    description:
      - Predicts what would be written and writes nothing. A secret that does not exist yet is predicted as changed.
    support: full
  diff_mode:
    description: Shows each file's text, with placeholders where the secrets are.
    support: full
extends_documentation_fragment:
  - deployment.journal
  - deployment.fail
author: [Trade2026 founders (@trade2026)]
"""

EXAMPLES = r"""
- name: Ensure Valkey's configuration is current
  managed_files:
    root: /srv/trade2026
    secrets_root: /srv/trade2026/secrets
    services:
      - service: valkey
        directories:
          - {path: data/valkey, uid: 999, gid: 1000, mode: "0750"}
        files:
          - dest: config/infrastructure/valkey/valkey.conf
            content: "port 6379\nrequirepass @@secret:valkey/password@@\n"
            gid: 1000
            mode: "0640"
"""

RETURN = r"""
services:
  description:
    - Service to its result. C(changes) is what was or would be changed, with the reason; C(edited) the files that
      existed and differed from the declared text; C(config_hash) the SHA-256 over the final content of all files and
      the watched ones; C(texts) the final text of the files that have O(services[].files[].reveal), by their C(dest);
      C(copies) the copies of replaced files; C(restore_point) the number of the restore point that was recorded before,
      V(0) for none.
    - A failed one has C(failed), C(msg), and C(written), whether a file was replaced before the failure.
  returned: always
  type: dict
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.core.files import DIFFERS, FilesError, ManagedFiles
from ansible.module_utils.deployment.journal import Journal, JournalError
from ansible.module_utils.deployment.model import operation_name
from ansible.module_utils.restore.points import RestoreError, Subject
from ansible.module_utils.restore.record import Recorder
from ansible.module_utils.shared.children import run_in_children
from ansible.module_utils.shared.docker import Docker, DockerError
from ansible.module_utils.shared.fs import explain
from ansible.module_utils.shared.ownership import give_away

OWNED = {"uid": {"type": "int"}, "gid": {"type": "int"}}
SERVICE = {
    "service": {"type": "str", "required": True},
    "directories": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "path": {"type": "path", "required": True},
            "mode": {"type": "str"},
            **OWNED,
        },
    },
    "files": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "dest": {"type": "path", "required": True},
            "template": {"type": "path"},
            "content": {"type": "str"},
            "mode": {"type": "str", "default": "0644"},
            "reveal": {"type": "bool", "default": False},
            **OWNED,
        },
    },
    "watch": {"type": "list", "elements": "path", "default": []},
    "validate": {
        "type": "dict",
        "options": {
            "image": {"type": "str", "required": True},
            "command": {"type": "list", "elements": "str", "required": True},
            "entrypoint": {"type": "str"},
            "user": {"type": "str", "required": True},
            "environment": {"type": "dict", "default": {}},
            "tmpfs": {"type": "list", "elements": "str", "default": []},
            "mounts": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "source": {"type": "path", "required": True},
                    "target": {"type": "path", "required": True},
                    "kind": {"type": "str", "choices": ["config", "secret"], "default": "config"},
                },
            },
            "timeout_s": {"type": "int", "default": 60},
        },
    },
    "owners": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "path": {"type": "path", "required": True},
            "uid": {"type": "int", "required": True},
            "gid": {"type": "int", "required": True},
        },
    },
    "expected": {"type": "list", "elements": "str"},
    "restore": {"type": "dict"},
}


def refuse_unplanned(found: Sequence[str], expected: Sequence[str] | None) -> None:
    """Raise FilesError if an operation is needed that the plan does not list."""
    unplanned = sorted(set(found) - set(expected)) if expected is not None else []
    if unplanned:
        raise FilesError(
            f"the plan does not list: {', '.join(unplanned)}. The machine has changed since the plan; nothing was "
            "written, run again"
        )


def ensure(module: AnsibleModule, service: dict[str, Any]) -> dict[str, Any]:
    """The result for one service."""
    root = Path(module.params["root"])
    docker = Docker(module.run_command)
    shared = ("root", "secrets_root", "forbid_inside")
    params = {**{name: module.params[name] for name in shared}, **service}
    recorded: list[int] = []

    def record() -> None:
        """Record the state before the change."""
        if service["restore"]:
            recorder = Recorder(root, Path(params["secrets_root"]), Subject.of(service["restore"]), docker)
            point = recorder.before_change()
            recorded.extend([point.number] if point else [])

    work = None
    try:
        work = ManagedFiles(params, docker, check_mode=module.check_mode)
        plan = work.plan()
        done = [operation_name(change["path"], change["what"], root) for change in plan.changes]
        refuse_unplanned(done, service["expected"])
        journal = Journal(root)
        if not module.check_mode:
            journal.require(module.params["run"])
        copies = work.apply(plan, record)
        if not module.check_mode:
            for entry in service["owners"]:
                give_away(root / entry["path"], entry["uid"], entry["gid"])
                done.append(f"owners below {entry['path']}")
            journal.done(module.params["run"], [(service["service"], what) for what in done])
    except (FilesError, DockerError, JournalError, RestoreError) as error:
        return {"failed": True, "msg": str(error), "written": bool(work and work.written)}
    except OSError as error:
        return {"failed": True, "msg": explain(error), "written": bool(work and work.written)}
    return {
        "changed": bool(plan.changes or service["owners"]),
        "changes": plan.changes,
        "edited": [change["path"] for change in plan.changes if change["why"] == DIFFERS],
        "config_hash": plan.config_hash,
        "texts": plan.texts,
        "copies": copies,
        "restore_point": recorded[0] if recorded else 0,
        "diff": plan.diff,
    }


def main() -> None:
    """Read the arguments, bring every service up to date, report."""
    module = AnsibleModule(
        argument_spec={
            "root": {"type": "path", "required": True},
            "forbid_inside": {"type": "list", "elements": "path", "default": []},
            "secrets_root": {"type": "path"},
            "services": {"type": "list", "elements": "dict", "required": True, "options": SERVICE},
            "run": {"type": "str", "default": ""},
            "fail": {"type": "bool", "default": True},
        },
        supports_check_mode=True,
    )
    services = module.params["services"]
    answers = run_in_children({one["service"]: partial(ensure, module, one) for one in services})
    diff = [entry for answer in answers.values() for entry in answer.pop("diff", [])]
    result: dict[str, Any] = {
        "changed": any(answer.get("changed") for answer in answers.values()),
        "services": answers,
    }
    if module._diff:
        result["diff"] = diff
    failures = [str(answer["msg"]) for answer in answers.values() if answer.get("failed")]
    if failures and module.params["fail"]:
        module.fail_json(msg="\n".join(failures), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
