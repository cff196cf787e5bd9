# SPDX-License-Identifier: GPL-3.0-or-later
"""The document of a run of core.yml, from results of the modules."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.module_utils.preflight.result import Result, failed, failed_checks, passed, report
from ansible.module_utils.report.core_run import CoreRun, command_line, document_of
from ansible.module_utils.report.document import complete
from test_schema import problems

RUN = {
    "id": "1",
    "playbook": "core.yml",
    "started": "2026-11-26T06:30:00Z",
    "ended": "2026-11-26T06:31:00Z",
    "project": "trade2026-core",
    "root": "/srv/trade2026",
}
MASKED = "********"


def operation(service: str, what: str = "container") -> dict[str, Any]:
    return {"service": service, "what": what, "action": "start", "current": "absent", "desired": "running",
            "cause": "it does not exist", "restarts": True, "diff": "-a\n+b"}  # fmt: skip


def answer(**more: Any) -> dict[str, Any]:
    """The result of `service_probe` for a healthy service."""
    return {
        "healthy": True,
        "healthy_after_s": 2.5,
        "started_at": "2026-11-26T06:30:20.123456789Z",
        "verified_at": "2026-11-26T06:30:24.000Z",
        "probes": [
            {"name": "valkey_ping", "ok": True, "latency_ms": 1.5, "message": "PONG", "attempts": 1},
            {"name": "valkey_ping", "ok": True, "latency_ms": 2, "message": "PONG", "attempts": 1},
        ],
        **more,
    }


def core_run(**more: Any) -> CoreRun:
    """A run with operations for valkey and nats, and none for opa."""
    rows = [operation("machine", "network n"), operation("nats"), operation("valkey")]
    names = ["nats", "valkey", "opa"]
    planned = {
        "plan": {"operations": rows},
        "planned_at": "2026-11-26T06:30:10Z",
        "by_service": {name: [row for row in rows if row["service"] == name] for name in ["machine", *names]},
        "probes": [
            {"name": name, "title": name.upper(), "container": name, "address": "127.0.0.1", "ports": {"http": 80}}
            for name in names
        ],
        "services": {name: {"image": {"official": f"{name}:1"}} for name in names},
    }
    images = {name: {"reference": f"{name}:1", "source": "registry", "version": "1"} for name in names}
    probed = {name: answer() for name in names}
    defaults: dict[str, Any] = {"planned": planned, "images": images, "probed": probed}
    checks = [passed("memory", "enough").as_dict()]
    return CoreRun(run=RUN, machine={"name": "localhost"}, checks=checks, **{**defaults, **more})


def test_a_successful_run_has_a_valid_document_with_a_green_verdict() -> None:
    document = document_of(core_run())
    assert problems(document) == []
    assert complete(document)["verdict"]["status"] == "passed"
    assert [test["id"] for test in document["tests"] if test["service"] == "valkey"] == [
        "valkey.component.valkey-ping", "valkey.component.valkey-ping-2",
    ]  # fmt: skip
    assert document["tests"][0]["kind"] == "preflight"
    assert {row["status"] for row in document["operations"]} == {"done"}
    assert "diff" not in document["operations"][0]


def test_the_timeline_has_what_was_started_and_marks_what_was_left_alone() -> None:
    services = {service["name"]: service for service in document_of(core_run())["services"]}
    assert services["valkey"]["timeline"] == {
        "planned": "2026-11-26T06:30:10Z",
        "started": "2026-11-26T06:30:20.123456789Z",
        "healthy": "2026-11-26T06:30:22.623Z",
        "verified": "2026-11-26T06:30:24.000Z",
    }
    assert services["opa"]["timeline"] == {"verified": "2026-11-26T06:30:24.000Z"}


def test_a_failed_probe_has_cause_remedy_and_log() -> None:
    broken = answer(failed=True, msg="it failed", cause="another password", remedy="rotate it", log=["WRONGPASS"])
    broken["probes"][1].update(ok=False, message="NOAUTH")
    document = document_of(core_run(probed={"valkey": broken}, failures={"valkey": "it failed"}))
    assert problems(document) == []
    failures = [test for test in document["tests"] if test["status"] == "failed"]
    assert len(failures) == 1
    assert failures[0]["message"] == "NOAUTH"
    assert (failures[0]["cause"], failures[0]["remedy"]) == ("another password", "rotate it")
    assert failures[0]["log"] == ["WRONGPASS"]
    assert [row["status"] for row in document["operations"]] == ["done", "done", "failed"]


def test_a_service_that_failed_before_its_probes_has_a_test_of_its_own() -> None:
    document = document_of(core_run(probed={}, failures={"nats": "the image cannot be pulled"}))
    failures = [test for test in document["tests"] if test["status"] == "failed"]
    assert [(test["id"], test["message"]) for test in failures] == [
        ("nats.component.deployment", "the image cannot be pulled")
    ]
    assert "--limit nats" in failures[0]["remedy"]
    assert complete(document)["verdict"]["status"] == "failed"


def test_services_that_a_stopped_batch_left_alone_are_not_a_success() -> None:
    document = document_of(core_run(probed={"nats": answer()}, undone=["valkey"]))
    row = next(test for test in document["tests"] if test["service"] == "valkey")
    assert (row["status"], row["message"]) == (
        "skipped", "not deployed, because another service failed before it",
    )  # fmt: skip
    assert complete(document)["verdict"]["status"] == "failed"


def test_a_run_that_stopped_knows_the_names_of_its_services() -> None:
    run = {**RUN, "failed_before_deploy": {"phase": "plan", "message": "no memory"}}
    document = document_of(CoreRun(run=run, machine={"name": "m"}, services=["nats"]))
    assert problems(document) == []
    assert document["services"] == [{"name": "nats", "title": "nats"}]
    assert complete(document)["verdict"]["sentence"] == "Nothing was deployed"


def test_choices_name_the_value_of_trade2025_only_if_it_is_known() -> None:
    definition = {
        "image": {"official": "nats:1"}, "ports": [], "networks": ["backend"], "volumes": [], "environment": {},
        "healthcheck": {"test": ["CMD", "x"], "interval_s": 1, "timeout_s": 1, "retries": 1, "start_period_s": 1},
        "user": {"uid": 1, "gid": 1}, "limits": {"memory": "1g", "cpus": 1, "pids": 1},
        "stop": {"signal": "SIGTERM", "grace_s": 10}, "migration_notes": [], "command": ["nats"], "entrypoint": None,
        "tmpfs": [], "secrets": [], "config": [], "ulimits": {}, "sysctls": {},
    }  # fmt: skip
    site = {"bind_address": "127.0.0.1", "port_offset": 0, "networks": {"backend": {"name": "b"}}, "secrets": "secrets"}
    planned = {**core_run().planned, "services": {"nats": definition}}
    migration = {"source": {"available": False, "services": {}}, "names": {}, "site": site}
    found = document_of(core_run(planned=planned, migration=migration))["choices"]
    assert {row["trade2025"] for row in found} == {"not known"}
    assert {"image", "memory", "user"} <= {row["setting"] for row in found}


def test_failed_checks_are_read_back_from_their_message() -> None:
    results: list[Result] = [
        passed("disk", "enough"),
        failed("host ports", "127.0.0.1:9000 is in use: minio", "stop it,\nor set questdb_http_port"),
        failed("memory", "too little\nby 5 GiB", "set core_size: small"),
    ]
    assert failed_checks(report(results)) == [result.as_dict() for result in results if not result.ok]
    assert failed_checks("another message: with a colon") == []


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["/opt/venv/bin/python3", "/opt/venv/bin/ansible-playbook", "core.yml"], "ansible-playbook core.yml"),
        (["ansible-playbook", "-e", "core_batch=1", "x.yml"], "ansible-playbook -e core_batch=1 x.yml"),
        (["ansible-playbook", "-e", "valkey_password=hunter2"], f"ansible-playbook -e 'valkey_password={MASKED}'"),
        (["ansible-playbook", '--extra-vars={"a": "hunter2"}'], "ansible-playbook '--extra-vars={a}'"),
        (["ansible-playbook", "-e", "a=1 b_secret=hunter2"], f"ansible-playbook -e 'a={MASKED}'"),
        (["ansible-playbook", "-e", "@vars.yml"], "ansible-playbook -e @vars.yml"),
    ],
)
def test_secrets_in_a_command_line_are_masked(words: list[str], text: str) -> None:
    assert command_line(words) == text
