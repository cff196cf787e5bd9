#!/usr/bin/python
"""Wait until a service is healthy, and prove it over its published ports."""

from __future__ import annotations

DOCUMENTATION = r"""
module: service_probe
short_description: Wait until a service is healthy, and prove it over its published ports
version_added: 1.0.0
description:
  - Waits until the service's container is healthy, then puts all checks of the service to its published ports, in one
    call.
  - A check that fails is put again until the deadline, unless asking again cannot help (a wrong password, another
    setting than declared) or the container has stopped, restarts in a loop or is unhealthy.
  - A check that writes uses a name of its own (C(trade2026-probe-) and random letters) and removes what it made, also
    when it fails.
  - On failure the message names the failing check, the likely cause and the remedy; the last log lines come as a field,
    without secrets.
options:
  service:
    description: Name of the service as people write it, for messages.
    type: str
    required: true
  container:
    description: Name of the container whose health is awaited. Empty for a service that runs in none.
    type: str
    default: ""
  address:
    description: Address on which the ports are published.
    type: str
    default: 127.0.0.1
  ports:
    description: Name of a port, as the checks use it, and the port on the host.
    type: dict
    required: true
  secrets_root:
    description:
      - Folder that files of credentials in O(checks) are relative to.
      - Every secret in it is masked in what the module returns. Where one cannot be read, log lines are withheld.
    type: path
    required: true
  deadline_s:
    description: Seconds until the container must be healthy and every check must hold.
    type: float
    default: 120
  timeout_s:
    description:
      - Seconds that one question to the service may take.
      - A check that asks several is cut off after a small multiple of it. The call ends at most one such check and its
        removal after O(deadline_s).
    type: float
    default: 5
  log_lines:
    description: How many of the container's last log lines a failure shows.
    type: int
    default: 30
  checks:
    description:
      - What to ask. Each check has a C(type), keys of its own, and may have a C(name) for the results.
      - Files (C(*_file)) are relative to O(secrets_root); an empty C(password_file) means no password. C(port) is a
        name in O(ports), and has a default for all but C(http) and C(tcp).
      - C(http) C({port, path, method, status, headers, expect_json, expect_text}), C(tcp) C({port}).
      - C(nats_health), C(nats_varz) C({version, expect}), C(nats_jetstream), C(nats_roundtrip)
        C({user, password_file}).
      - C(valkey_ping), C(valkey_roundtrip) C({ttl_s}), C(valkey_config) C({expect}), C(valkey_persistence) C({aof});
        all with C({user, password_file}).
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
attributes:
  check_mode:
    description: The same, but for checks that write.
    details:
      - Puts only the checks that write nothing, and names the others in RV(not_run).
      - A container that does not exist is no failure, for the real run would make it. The task is skipped.
    support: partial
  diff_mode:
    description: Changes nothing that could be shown.
    support: none
requirements:
  - nats-py for C(nats_roundtrip)
  - valkey for the checks of Valkey
  - psycopg with its binary part for C(questdb_roundtrip)
  - clickhouse-driver for C(clickhouse_roundtrip)
  - minio for C(seaweedfs_s3)
  - joserfc for C(authn_tokens)
author: [Trade2026 founders (@trade2026)]
"""

EXAMPLES = r"""
- name: Prove Valkey
  service_probe:
    service: Valkey
    container: valkey
    ports: {client: 6379}
    secrets_root: /srv/trade2026/secrets
    deadline_s: 120
    checks:
      - {type: valkey_ping, password_file: valkey/password}
      - {type: valkey_roundtrip, password_file: valkey/password}
      - {type: valkey_config, password_file: valkey/password, expect: {appendonly: "yes", maxmemory: 2gb}}

- name: Prove a service of any kind
  service_probe:
    service: Gateway
    ports: {http: 8080}
    secrets_root: /srv/trade2026/secrets
    checks:
      - {type: http, port: http, path: /status, expect_json: {state: up}}
"""

RETURN = r"""
healthy:
  description: Whether the container is healthy; for a service without a container, whether all checks hold.
  returned: always
  type: bool
healthy_after_s:
  description:
    - Seconds from the container's start to the end of its first health check that passed, by the engine's own log.
    - Null when that was too long ago to be in the log.
  returned: always
  type: float
started_at:
  description: When the container started (RFC 3339), empty without one.
  returned: always
  type: str
waited_s:
  description: Seconds that were spent on waiting for the container.
  returned: always
  type: float
checks:
  description: Every check that was put. C(latency_ms) is its last attempt's.
  returned: always
  type: list
  elements: dict
  sample: [{name: valkey_ping, ok: true, latency_ms: 1.8, message: PING is answered, attempts: 1}]
not_run:
  description: Names of the checks that a dry run leaves out, for they write.
  returned: success
  type: list
  elements: str
cause:
  description: The likely cause.
  returned: failure
  type: str
remedy:
  description: What to do about it.
  returned: failure
  type: str
log:
  description: The container's last log lines, without secrets.
  returned: failure
  type: list
  elements: str
health_log:
  description: Results of the container's last health checks, without secrets.
  returned: failure
  type: list
  elements: str
container:
  description: State of the container, empty without one.
  returned: failure
  type: dict
  sample: {status: exited, health: "", exit_code: 1, oom_killed: false, error: "", restarts: 0}
"""

from pathlib import Path
from typing import Any, NoReturn

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.probes.check import Target
from ansible.module_utils.probes.container import Container, Phase, inspect, judge, last_lines, seconds_between
from ansible.module_utils.probes.proof import Clock, Proof, Wait, missing_libraries, prove, wait_healthy
from ansible.module_utils.probes.spec import SpecError, parse_checks
from ansible.module_utils.shared.docker import Docker, DockerError


class Probe:
    """One call of the module: the wait, the proof, and the report."""

    def __init__(self, module: AnsibleModule, target: Target, clock: Clock) -> None:
        self.module = module
        self.params = module.params
        self.target = target
        self.clock = clock
        self.docker = Docker(module.run_command)
        self.until = clock.now() + self.params["deadline_s"]
        self.result = blank_result()

    def run(self) -> NoReturn:
        """Wait, ask, answer."""
        try:
            checks = parse_checks(self.params["checks"])
        except SpecError as error:
            self.module.fail_json(
                msg=f"the checks of {self.params['service']} are declared wrongly: {error}", **self.result
            )
        left_out = [check for check in checks if check.WRITES and self.module.check_mode]
        checks = [check for check in checks if check not in left_out]
        if missing := missing_libraries(checks):
            self.module.fail_json(
                msg=f"{self.params['service']} cannot be asked: {'; '.join(missing)}. "
                "Do: run `make setup`, or install it there.",
                **self.result,
            )
        if self.params["container"]:
            self.wait()
        proof = prove(checks, self.target, self.until, self.look, self.clock)
        self.result["checks"] = [outcome.as_dict() for outcome in proof.outcomes]
        if proof.failures:
            self.fail(proof)
        self.module.exit_json(**{**self.result, "healthy": True}, not_run=[check.title for check in left_out])

    def wait(self) -> None:
        """Wait for the container; does not return when it does not get healthy."""
        name = self.params["container"]
        begun = self.clock.now()
        waited = wait_healthy(self.docker, name, self.until, self.clock)
        self.result["waited_s"] = round(self.clock.now() - begun, 1)
        if waited.container is None and self.module.check_mode:
            self.module.exit_json(
                **self.result,
                not_run=[],
                skipped=True,
                msg=f"the container {name} does not exist yet; the real run makes and proves it",
            )
        if waited.container:
            self.result["started_at"] = waited.container.started_at
        if waited.phase is not Phase.HEALTHY or waited.container is None:
            self.fail(waited)
        self.result["healthy"] = True
        seen = waited.container
        self.result["healthy_after_s"] = seconds_between(seen.started_at, seen.first_healthy_at)

    def look(self) -> tuple[Container | None, str]:
        """The container now, and why it cannot answer any more, if it cannot."""
        if not self.params["container"]:
            return None, ""
        container = inspect(self.docker, self.params["container"])
        if container is None:
            return None, "was removed while it was asked"
        phase, why = judge(container, container.restarts)
        return container, why if phase is Phase.FAILED else ""

    def fail(self, seen: Wait | Proof) -> NoReturn:
        """Answer with all that helps to find the fault, and no secret."""
        from ansible.module_utils.probes import report

        name = self.params["container"]
        if isinstance(seen, Wait):
            failure = report.of_wait(seen, name, self.params["deadline_s"])
        else:
            failure = report.of_proof(seen, name)
            self.result["healthy"] = bool(name) and not seen.stopped
        log = last_lines(self.docker, name, self.params["log_lines"]) if failure.container else []
        self.module.fail_json(
            **report.answer(self.params["service"], failure, log, self.result, self.target.secrets_root)
        )


def blank_result() -> dict[str, Any]:
    """What the module returns when it has seen nothing yet."""
    return {
        "changed": False,
        "healthy": False,
        "healthy_after_s": None,
        "started_at": "",
        "waited_s": 0.0,
        "checks": [],
    }


def read_ports(declared: dict[str, Any]) -> dict[str, int]:
    """Name -> port; raises ValueError."""
    ports = {}
    for name, value in declared.items():
        try:
            number = int(value)
        except (TypeError, ValueError):
            number = 0
        if not 0 < number < 65536:
            raise ValueError(f"ports: {name}={value!r} is not a port; write a number from 1 to 65535")
        ports[str(name)] = number
    return ports


def main() -> None:
    """Read the parameters, and run."""
    module = AnsibleModule(
        argument_spec={
            "service": {"type": "str", "required": True},
            "container": {"type": "str", "default": ""},
            "address": {"type": "str", "default": "127.0.0.1"},
            "ports": {"type": "dict", "required": True},
            # The folder's name is no secret.
            "secrets_root": {"type": "path", "required": True, "no_log": False},
            "deadline_s": {"type": "float", "default": 120},
            "timeout_s": {"type": "float", "default": 5},
            "log_lines": {"type": "int", "default": 30},
            "checks": {"type": "list", "elements": "dict", "default": []},
        },
        supports_check_mode=True,
    )
    params: dict[str, Any] = module.params
    try:
        target = Target(
            params["address"], read_ports(params["ports"]), Path(params["secrets_root"]), params["timeout_s"]
        )
        if params["timeout_s"] <= 0 or params["deadline_s"] <= 0:
            raise ValueError("timeout_s and deadline_s are seconds above 0")
        Probe(module, target, Clock()).run()
    except (ValueError, DockerError) as error:
        module.fail_json(msg=f"{params['service']} cannot be asked: {error}", **blank_result())


if __name__ == "__main__":
    main()
