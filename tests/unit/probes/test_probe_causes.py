# SPDX-License-Identifier: GPL-3.0-or-later
"""Captured log lines of the services lead to the right cause; lines of a normal start lead to none."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible.module_utils.probes.base import Kind
from ansible.module_utils.probes.causes import Cause, Strain, likely_cause
from ansible.module_utils.probes.container import Container

RUNNING = Container("x", "running", "healthy", 0, False, "", 0, "")
EXITED = replace(RUNNING, status="exited", health="", exit_code=1)


@pytest.mark.parametrize(
    ("line", "cause"),
    [
        ("*** FATAL CONFIG FILE ERROR (Version 8.0.1) ***", "configuration"),
        ('nats-server: /etc/nats/nats.conf:3:1: unknown field "jetsream"', "configuration"),
        ("1 error occurred: policy.rego:5: rego_parse_error: unexpected eof token", "configuration"),
        (
            "Poco::Exception. Code: 1000, e.code() = 0, e.displayText() = SAXParseException: not well-formed",
            "configuration",
        ),
        ("Can't open or create append-only dir appendonlydir: Permission denied", "no permission to read or write"),
        (
            "nats-server: could not create storage directory - mkdir /data/jetstream: permission denied",
            "no permission to read or write",
        ),
        ("java.nio.file.AccessDeniedException: /usr/share/opensearch/data/nodes", "no permission to read or write"),
        ("write /data/x.aof: no space left on device", "disk is full"),
        ("open /etc/app.pid: read-only file system", "read-only"),
        ("java.lang.OutOfMemoryError: Java heap space", "memory"),
        ("listen tcp 0.0.0.0:8222: bind: address already in use", "port is in use"),
        ("Bind for 127.0.0.1:36379 failed: port is already allocated", "port is in use"),
        ("# Bad file format reading the append only file appendonly.aof.1.incr.aof", "damaged"),
        ("# Unrecoverable error reading the append only file: Success", "damaged"),
        ("7:M 26 Nov 2026 13:54:37.594 # Invalid AOF manifest file format", "damaged"),
        ("# Wrong signature trying to load DB from file", "damaged"),
        ("org.apache.lucene.index.CorruptIndexException: checksum failed", "damaged"),
        ("max virtual memory areas vm.max_map_count [65530] is too low", "memory maps"),
        ("accept tcp: too many open files", "limit of open files"),
        (
            "max file descriptors [4096] for opensearch process is too low, increase to at least [65535]",
            "limit of open files",
        ),
        ("exec /usr/local/bin/x: exec format error", "cannot run here"),
        ("[FATAL tini (7)] exec busybox failed: No such file or directory", "cannot run here"),
    ],
)
def test_a_line_of_the_log_identifies_the_cause(line: str, cause: str) -> None:
    found = likely_cause(None, "has stopped with exit code 1", EXITED, ["starting", line, "bye"])
    assert cause in found.what
    assert found.remedy


@pytest.mark.parametrize(
    "line",
    [
        "-XX:+ExitOnOutOfMemoryError, -Xms400m",
        "Ready to accept connections tcp",
        "Server is ready",
        "[main] LogConfigUtils Setting up logging.",
        "I i.q.ServerMain vm.max_map_count checked [value=262144]",
        "A server-main max file descriptors checked [limit=1048576]",
    ],
)
def test_a_line_of_a_normal_start_is_not_a_cause(line: str) -> None:
    assert likely_cause(Kind.ANSWER, "the cluster is red", RUNNING, [line]).what == "not known"


def test_docker_reports_that_memory_ran_out() -> None:
    assert "memory" in likely_cause(None, "", replace(EXITED, out_of_memory=True), ["permission denied"]).what
    assert "memory" in likely_cause(None, "", replace(EXITED, exit_code=137), []).what


@pytest.mark.parametrize("code", [0, 143])
def test_a_container_that_was_stopped_does_not_count_as_a_fault(code: int) -> None:
    assert "was stopped" in likely_cause(None, "", replace(EXITED, exit_code=code), ["permission denied once"]).what


def test_what_was_answered_counts_more_than_the_log() -> None:
    assert "disk is full" in likely_cause(Kind.ANSWER, "No space left on device", RUNNING, ["permission denied"]).what


@pytest.mark.parametrize(
    ("kind", "cause"),
    [
        (Kind.AUTH, "other credentials"),
        (Kind.MISMATCH, "older configuration"),
        (Kind.UNEXPECTED_ACCESS, "should reject"),
        (Kind.TIMEOUT, "does not answer"),
        (Kind.REFUSED, "not published"),
    ],
)
def test_the_kind_of_failure_identifies_the_cause(kind: Kind, cause: str) -> None:
    assert cause in likely_cause(kind, "x", RUNNING, []).what


def test_refused_without_a_container_and_slow_start() -> None:
    assert "is not running" in likely_cause(Kind.REFUSED, "x", None, []).what
    assert "more slowly" in likely_cause(None, "x", replace(RUNNING, health="starting"), [], starting=True).what


QUIET, BUSY = Strain(3.9, 2), Strain(40.2, 2)
STARTING = replace(RUNNING, health="unhealthy")
LATE = replace(STARTING, health_log=("exit code -1: Health check exceeded timeout (5s)", "exit code 1: not ready"))


def under(strain: Strain, container: Container, kind: Kind | None = None, log: str = "loading") -> Cause:
    return likely_cause(kind, "x", container, [log], strain=strain)


@pytest.mark.parametrize(("container", "kind"), [(STARTING, None), (RUNNING, Kind.TIMEOUT), (STARTING, Kind.TIMEOUT)])
def test_an_overloaded_machine_is_named_with_the_settings_that_help(container: Container, kind: Kind | None) -> None:
    found = under(BUSY, container, kind)
    assert found.what.startswith("the machine is overloaded, and the service may only be slow")
    assert "the load average is 40.2 on 2 processors" in found.what
    assert "core_ready_timeout_factor" in found.remedy
    assert "core_probe_timeout_s" in found.remedy
    assert "overloaded" not in under(QUIET, container, kind).what


def test_a_health_check_that_times_out_while_the_service_is_at_work_is_a_sign_too() -> None:
    found = under(replace(QUIET, log_age_s=4), LATE)
    assert "1 of its last 2 health checks timed out while it was still writing to its log" in found.what
    # Silent for a minute, or a check that fails in time: nothing speaks for a service that is only slow.
    assert "overloaded" not in under(replace(QUIET, log_age_s=60), LATE).what
    assert "overloaded" not in under(replace(QUIET, log_age_s=None), LATE).what
    assert "overloaded" not in under(replace(QUIET, log_age_s=4), STARTING).what


@pytest.mark.parametrize(
    ("container", "kind", "log", "cause"),
    [
        (EXITED, None, "bye", "not known"),
        (RUNNING, Kind.ANSWER, "ready", "not known"),
        (RUNNING, Kind.MISMATCH, "ready", "older configuration"),
        (STARTING, None, "No space left on device", "disk is full"),
        (RUNNING, Kind.REFUSED, "ready", "not published"),
    ],
)
def test_load_does_not_explain_what_has_another_cause(
    container: Container, kind: Kind | None, log: str, cause: str
) -> None:
    assert cause in under(BUSY, container, kind, log).what


def test_the_load_is_that_of_this_machine() -> None:
    found = Strain.now(2.5)
    assert found.load >= 0
    assert found.processors >= 1
    assert found.log_age_s == 2.5


@pytest.mark.parametrize(("kind", "cause"), [(Kind.REFUSED, "not published"), (Kind.TIMEOUT, "does not answer")])
def test_a_healthy_services_log_does_not_outrank_what_the_probe_saw(kind: Kind, cause: str) -> None:
    line = "max virtual memory areas vm.max_map_count [65530] is too low, increase to at least [262144]"
    assert cause in likely_cause(kind, "the connection is refused", RUNNING, [line]).what
    assert "memory maps" in likely_cause(kind, "x", replace(RUNNING, health="starting"), [line]).what
