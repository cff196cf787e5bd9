#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
"""Wait until the services of a machine are healthy, and probe them over their published ports."""

from __future__ import annotations

DOCUMENTATION = r"""
module: service_probe
short_description: Wait until the services of a machine are healthy, and probe them over their published ports
version_added: 1.0.0
description:
  - Waits until the service's container is healthy, then runs all probes of the service against its published ports, in
    one call.
  - A probe that fails is repeated until the ready timeout, unless a repetition cannot succeed (a wrong password, a
    setting that differs) or the container has stopped, restarts in a loop or is unhealthy.
  - A probe that writes uses a unique name (C(trade2026-probe-) and random letters) and removes what it created, even
    if it fails.
  - On failure the message names the failing probe, the likely cause and the remedy; the last log lines are returned in
    a field, with secrets masked.
options:
  services:
    description: The services to probe, in parallel.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the service in the results.
        type: str
        required: true
      title:
        description: Display name of the service, for messages.
        type: str
        required: true
      container:
        description: Name of the container to wait for. Empty for a service that does not run in a container.
        type: str
        default: ""
      address:
        description: Address on which the ports are published.
        type: str
        default: 127.0.0.1
      ports:
        description: Name of a port, as the probes use it, to the port on the host.
        type: dict
        required: true
      ready_timeout_s:
        description: Seconds until the container must be healthy and every probe must pass.
        type: float
        default: 120
      spent_s:
        description: Seconds of O(services[].ready_timeout_s) that earlier calls have used.
        type: float
        default: 0
      timeout_s:
        description:
          - Seconds that one request to the service may take.
          - A probe that sends several requests is cut off after a small multiple of it. After
            O(services[].ready_timeout_s), the call finishes at most one such probe and its clean-up.
        type: float
        default: 5
      probes:
        description:
          - The probes. Each has a C(type), keys that depend on it, and may have a C(name) for the results.
          - Files (C(*_file)) are relative to O(secrets_root); an empty C(password_file) means no password. C(port) is a
            name in O(services[].ports), and has a default for all but C(http) and C(tcp).
          - C(http) C({port, path, method, status, headers, expect_json, expect_text, expect}), C(tcp) C({port}).
          - C(nats_health), C(nats_varz) C({version, expect}), C(nats_jetstream), C(nats_roundtrip)
            C({user, password_file}).
          - C(valkey_ping), C(valkey_roundtrip) C({ttl_s}), C(valkey_config) C({expect}),
            C(valkey_persistence) C({aof}); all with C({user, password_file}).
          - C(questdb_select), C(questdb_roundtrip); both with C({user, password_file}).
          - C(clickhouse_ping), C(clickhouse_version) C({expect}), C(clickhouse_database) C({database}),
            C(clickhouse_roundtrip) C({database}); all but the first with C({user, password_file}).
          - C(seaweedfs_cluster), C(seaweedfs_volumes), C(seaweedfs_filer), C(seaweedfs_s3)
            C({access_key, secret_file, bucket}).
          - C(opensearch_health) C({nodes, status}), C(opensearch_roundtrip); both with C({user, password_file}).
          - C(authn_health), C(authn_jwks), C(authn_metadata) C({issuer}), C(authn_tokens)
            C({issuer, audience, clients_file, scopes}), C(authn_refusals) C({clients_file}).
          - C(opa_health), C(opa_policies) C({expect}), C(opa_decision) C({path, input, expect}).
        type: list
        elements: dict
        default: []
      restore:
        description:
          - The service's parts that a restore point holds, as C(core_plan) returns them. With O(root), the state
            of a service that is verified is recorded as a good restore point.
        type: dict
        default: {}
      was_running:
        description:
          - Whether the service was not changed. Then one that has run for O(good_after_s) is not watched again.
        type: bool
        default: false
  good_after_s:
    description:
      - Seconds that a service must stay healthy, with every probe passing at the end, before its state is recorded as a
        good restore point. A container that ends or restarts before that has failed.
      - They begin when every probe passes for the first time, which may be before the engine's next health check.
    type: float
    default: 0
  patient:
    description:
      - Wait until O(services[].ready_timeout_s) even for a container that is unhealthy. For a state that was verified
        before and may only be slow to start.
    type: bool
    default: false
  keep_points:
    description: Number of restore points that are kept for each service; the last good one is always kept.
    type: int
    default: 10
  keep_days:
    description: Days for which a restore point is kept.
    type: int
    default: 90
  secrets_root:
    description:
      - Folder that files of credentials in O(services[].probes) are relative to.
      - Every secret in it is masked in what the module returns. If one cannot be read, log lines are withheld.
    type: path
    required: true
  log_lines:
    description: How many of the container's last log lines a failure shows.
    type: int
    default: 30
  slice_s:
    description:
      - Seconds after which the module returns although a container is still starting, so that its caller can show
        progress and call again. V(0) waits for O(services[].ready_timeout_s).
    type: float
    default: 0
  root:
    description: Folder of the deployment, for its journal and its restore points. Needed with O(run).
    type: path
  owner:
    description: The user of the run, for the audit log of a run that had nothing to do and therefore has no journal.
    type: dict
    default: {}
  since_boot:
    description: Seconds between the machine's boot and the start of that run.
    type: float
    default: 0
  done:
    description: Operations to record in the journal for the services that passed, each with C(service) and C(what).
    type: list
    elements: dict
    default: []
  finish:
    description: >-
      Whether to end the run in the journal and release the lock, once every service was probed. V(if_passed) leaves a
      run open in which something failed, for the rollback.
    type: str
    choices: [never, if_passed, always]
    default: never
  fail:
    description: >-
      Whether the task fails if a service fails. With V(false) the caller reads C(failed) and C(msg) of each service. An
      error that concerns no single service, such as a journal that cannot be written, fails the task in any case.
    type: bool
    default: true
  failed_services:
    description: Services that failed before they could be probed, for the journal.
    type: list
    elements: str
    default: []
attributes:
  check_mode:
    description: Works in the same way, without probes that write.
    details:
      - Runs only the probes that write nothing, and returns the others in C(not_run).
      - A container that does not exist is not a failure, because the real run would create it. The task is skipped.
    support: partial
requirements:
  - jmespath for C(expect) of C(http)
  - nats-py for C(nats_roundtrip)
  - valkey for the probes of Valkey
  - psycopg with its binary part for C(questdb_roundtrip)
  - clickhouse-driver for C(clickhouse_roundtrip)
  - minio for C(seaweedfs_s3)
  - joserfc for C(authn_tokens)
extends_documentation_fragment:
  - deployment.journal
  - attributes.no_diff
author: [Trade2026 founders (@trade2026)]
"""

EXAMPLES = r"""
- name: Probe Valkey
  service_probe:
    secrets_root: /srv/trade2026/secrets
    services:
      - name: valkey
        title: Valkey
        container: valkey
        ports: {client: 6379}
        ready_timeout_s: 120
        probes:
          - {type: valkey_ping, password_file: valkey/password}
          - {type: valkey_roundtrip, password_file: valkey/password}
          - {type: valkey_config, password_file: valkey/password, expect: {appendonly: "yes", maxmemory: 2gb}}
"""

RETURN = r"""
services:
  description:
    - Service to its result, with C(healthy), C(healthy_after_s), C(started_at), C(waited_s), C(verified_at),
      C(probes) and C(not_run).
    - C(restore_point) is the number of the good restore point that holds the service's state.
    - A failed one has C(msg), C(cause), C(remedy), C(container), C(health_log) and C(log) as well; one that is still
      starting at the end of a slice has C(pending).
  returned: always
  type: dict
finished:
  description: Whether the run was ended in the journal.
  returned: success
  type: bool
problems:
  description: Where what was done differs from what was planned, when O(finish) ended a run.
  returned: always
  type: list
  elements: str
"""

import time
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.deployment.audit import AuditError
from ansible.module_utils.deployment.engine import moment
from ansible.module_utils.deployment.journal import Journal, JournalError, read_owner
from ansible.module_utils.probes.service import probe_service
from ansible.module_utils.restore.points import RestoreError, Subject
from ansible.module_utils.restore.record import Keep, Recorder
from ansible.module_utils.shared.children import run_in_children
from ansible.module_utils.shared.docker import Docker, DockerError
from ansible.module_utils.shared.fs import explain

SERVICE = {
    "name": {"type": "str", "required": True},
    "title": {"type": "str", "required": True},
    "container": {"type": "str", "default": ""},
    "address": {"type": "str", "default": "127.0.0.1"},
    "ports": {"type": "dict", "required": True},
    "ready_timeout_s": {"type": "float", "default": 120},
    "spent_s": {"type": "float", "default": 0},
    "timeout_s": {"type": "float", "default": 5},
    "probes": {"type": "list", "elements": "dict", "default": []},
    "restore": {"type": "dict", "default": {}},
    "was_running": {"type": "bool", "default": False},
}


def probe_all(module: AnsibleModule) -> dict[str, dict[str, Any]]:
    """Service → result. Each is probed in its own process, because a time limit needs the alarm of a main thread."""
    return run_in_children({one["name"]: partial(probe_one, module, one) for one in module.params["services"]})


def probe_one(module: AnsibleModule, service: dict[str, Any]) -> dict[str, Any]:
    """The result for one service."""
    params = {
        **service,
        "secrets_root": module.params["secrets_root"],
        "log_lines": module.params["log_lines"],
        "patient": module.params["patient"],
        "good_after_s": 0 if service["was_running"] else module.params["good_after_s"],
    }
    answer = probe_service(params, module.check_mode, module.run_command, module.params["slice_s"])
    if answer.get("healthy") and not answer.get("failed"):
        answer["verified_at"] = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return answer


def record(module: AnsibleModule, answers: dict[str, dict[str, Any]]) -> None:
    """Record good restore points of the verified services.

    Raises RestoreError, JournalError, DockerError or OSError.
    """
    params = module.params
    if not params["root"] or module.check_mode:
        return
    keep = Keep(params["keep_points"], params["keep_days"])
    for service in params["services"]:
        answer = answers[service["name"]]
        if not service["restore"] or answer.get("failed") or not answer.get("image_id"):
            continue
        if service["was_running"] and age(answer["started_at"]) < params["good_after_s"]:
            # It is recorded by a later run, if it is still the same.
            continue
        # The state may be that of a run that has taken over, and the rollback that ends here too.
        Journal(Path(params["root"])).require(params["run"])
        recorder = Recorder(
            Path(params["root"]),
            Path(params["secrets_root"]),
            Subject.of(service["restore"]),
            Docker(module.run_command),
        )
        probe = {key: value for key, value in service.items() if key != "restore"}
        answer["restore_point"] = recorder.proved(answer["image"], answer["image_id"], probe, keep).number


def age(started_at: str) -> float:
    """Seconds since one of the engine's timestamps."""
    return time.time() - moment(started_at)


def note(module: AnsibleModule, answers: dict[str, dict[str, Any]], recorded: bool) -> tuple[bool, list[str]]:
    """Write the journal; return whether the run ended, and where done and planned operations differ.

    `recorded` is whether the restore points were recorded.
    """
    params = module.params
    if module.check_mode or not (params["run"] or params["owner"]):
        return False, []
    journal = Journal(Path(params["root"]))
    failed = {name for name, answer in answers.items() if answer.get("failed")} | set(params["failed_services"])
    pending = {name for name, answer in answers.items() if answer.get("pending")}
    if not params["run"]:
        if not pending:
            journal.record_run(read_owner(params["owner"]), params["since_boot"], failed)
        return not pending, []
    open_ones = failed | pending
    journal.done(
        params["run"], [(row["service"], row["what"]) for row in params["done"] if row["service"] not in open_ones]
    )
    ends = params["finish"] == "always" or (params["finish"] == "if_passed" and recorded and not failed)
    if not ends or pending:
        return False, []
    return True, journal.finish(params["run"], failed)


def main() -> None:
    """Probe all services, and return all results."""
    module = AnsibleModule(
        argument_spec={
            "services": {"type": "list", "elements": "dict", "required": True, "options": SERVICE},
            # The folder's name is not secret.
            "secrets_root": {"type": "path", "required": True, "no_log": False},
            "log_lines": {"type": "int", "default": 30},
            "slice_s": {"type": "float", "default": 0},
            "root": {"type": "path"},
            "run": {"type": "str", "default": ""},
            "owner": {"type": "dict", "default": {}},
            "since_boot": {"type": "float", "default": 0},
            "done": {"type": "list", "elements": "dict", "default": []},
            "finish": {"type": "str", "choices": ["never", "if_passed", "always"], "default": "never"},
            "fail": {"type": "bool", "default": True},
            "failed_services": {"type": "list", "elements": "str", "default": []},
            "good_after_s": {"type": "float", "default": 0},
            "patient": {"type": "bool", "default": False},
            "keep_points": {"type": "int", "default": 10},
            "keep_days": {"type": "int", "default": 90},
        },
        supports_check_mode=True,
    )
    answers = probe_all(module)
    services = [str(answer.get("msg", name)) for name, answer in answers.items() if answer.get("failed")]
    failures = []
    try:
        record(module, answers)
    except (RestoreError, JournalError, DockerError, OSError) as error:
        failures.append(f"a restore point cannot be recorded: {explain(error)}")
    try:
        finished, problems = note(module, answers, not failures)
    except (AuditError, JournalError, OSError) as error:
        module.fail_json(msg=f"the journal cannot be written: {explain(error)}", services=answers, problems=[])
    if module.params["fail"]:
        failures = services + failures
    if failures:
        module.fail_json(msg="\n".join(failures), services=answers, problems=problems)
    if problems:
        module.fail_json(
            msg="What was done differs from what was planned:\n" + "\n".join(problems),
            services=answers,
            problems=problems,
        )
    module.exit_json(changed=False, services=answers, finished=finished, problems=[])


if __name__ == "__main__":
    main()
