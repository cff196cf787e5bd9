# SPDX-License-Identifier: GPL-3.0-or-later
"""Comparisons, assessments and numbers that the tests of a stack are based on."""

from __future__ import annotations

import json
import os
import socket
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.module_utils.validation import document, host, kernel, namespace, performance, refusals
from ansible.module_utils.validation.bridge import Kind, ProbeError
from ansible.module_utils.validation.model import Case, FailedError, Passed, SkippedError
from ansible.module_utils.validation.records import checksum, compare
from ansible.module_utils.validation.runner import kind_of, run_case
from hypothesis import given
from hypothesis import strategies as st

RECORDS = [(number, checksum(number)) for number in range(10)]
NUMBERS = [number for number, _check in RECORDS]


def test_complete_records_in_order_pass() -> None:
    found = compare(NUMBERS, RECORDS)
    assert found.holds
    assert found.text == "10 records acknowledged, none lost, none extra, none damaged, 0 out of order"


@pytest.mark.parametrize(
    ("records", "text"),
    [
        (RECORDS[:3] + RECORDS[4:], "1 lost (number 3)"),
        ([*RECORDS, (11, checksum(11))], "1 extra (number 11)"),
        ([*RECORDS, RECORDS[2]], "1 extra (number 2)"),
        ([*RECORDS[:9], (9, "0" * 16)], "1 damaged (number 9)"),
        ([RECORDS[1], RECORDS[0], *RECORDS[2:]], "1 out of order"),
        ([], "10 lost (number 0, 1, 2, 3, 4, 5, 6, 7, 8, 9)"),
    ],
)
def test_lost_extra_and_unordered_records_are_counted_and_named(records: list[tuple[int, str]], text: str) -> None:
    found = compare(NUMBERS, records)
    assert not found.holds
    assert text in found.text


@given(st.sets(st.integers(0, 9)))
def test_every_lost_record_is_reported(lost: set[int]) -> None:
    found = compare(NUMBERS, [record for record in RECORDS if record[0] not in lost])
    assert set(found.lost) == lost
    assert found.holds is (not lost)


def test_addresses_are_read_from_an_answer_of_dns() -> None:
    question = b"\x04nats\x00\x00\x01\x00\x01"
    header = b"\x12\x34\x81\x80\x00\x01\x00\x02\x00\x00\x00\x00"
    alias = b"\xc0\x0c\x00\x05\x00\x01\x00\x00\x00\x00\x00\x02\xc0\x0c"
    address = b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x02\x58\x00\x04\x0a\x00\x00\x07"
    assert namespace.parse_answer(header + question + alias + address, 12 + len(question)) == ["10.0.0.7"]


def test_open_refused_and_silent_addresses_are_distinguished() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        addresses = [server.getsockname(), closed.getsockname()]
        results = namespace.connect(addresses, 2)
        assert [result for result, _ms in results] == [namespace.OPEN, namespace.REFUSED]
        assert namespace.listening(server.getsockname()[1]) == ["127.0.0.1"]
    # TEST-NET-1 of RFC 5737 is routed nowhere; a machine without a route to it refuses at once.
    [(result, _ms)] = namespace.connect([("192.0.2.250", 9)], 0.2)
    assert result != namespace.OPEN


def test_work_in_a_namespace_gives_its_result_and_its_error(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        with pytest.raises(FailedError, match="cannot be examined"):
            namespace.inside(os.getpid(), lambda: 1)
        return
    assert namespace.inside(os.getpid(), lambda: {"a": [1]}) == {"a": [1]}
    with pytest.raises(FailedError, match="ZeroDivisionError"):
        namespace.inside(os.getpid(), lambda: 1 // 0)


def test_capabilities_are_shown_by_name() -> None:
    assert kernel.capability_names(0) == []
    assert kernel.capability_names(1 << 13 | 1) == ["CHOWN", "NET_RAW"]
    assert kernel.capability_names(1 << 60) == ["number 60"]


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("max\n", None),
        ("9223372036854771712\n", None),
        ("-1\n", None),
        ("4096\n", 4096),
        ("200000 100000\n", 200000),
    ],
)
def test_limits_are_read_in_both_versions(tmp_path: Path, text: str, limit: int | None) -> None:
    (tmp_path / "limit").write_text(text, encoding="ascii")
    assert kernel.read_limit(tmp_path / "limit") == limit


def processes(root: Path, cgroup: str, mounts: str) -> Path:
    (root / "7").mkdir()
    (root / "self").mkdir()
    (root / "7/cgroup").write_text(cgroup, encoding="utf-8")
    (root / "self/mountinfo").write_text(mounts, encoding="utf-8")
    return root


def test_control_groups_of_version_2(tmp_path: Path) -> None:
    proc = processes(
        tmp_path, "0::/system.slice/docker-a.scope\n", "30 1 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup rw\n"
    )
    found = kernel.cgroup_file(7, "memory", "memory.limit_in_bytes", "memory.max", proc)
    assert found == Path("/sys/fs/cgroup/system.slice/docker-a.scope/memory.max")


def test_control_groups_of_version_1_beside_an_empty_version_2(tmp_path: Path) -> None:
    mounts = (
        "30 1 0:26 / /sys/fs/cgroup/unified rw - cgroup2 cgroup rw\n"
        "31 1 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
        "32 1 0:28 /pod /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n"
    )
    proc = processes(tmp_path, "0::/docker/a\n5:memory:/docker/a\n6:pids:/pod/docker/a\n", mounts)
    found = kernel.cgroup_file(7, "memory", "memory.limit_in_bytes", "memory.max", proc)
    assert found == Path("/sys/fs/cgroup/memory/docker/a/memory.limit_in_bytes")
    found = kernel.cgroup_file(7, "pids", "pids.max", "pids.max", proc)
    assert found == Path("/sys/fs/cgroup/pids/docker/a/pids.max")


PAGES = "sys/kernel/mm/transparent_hugepage/enabled"
SWAPS = "Filename Type Size Used Priority\n"
# File → a good content, a bad one, and the fact.
FACTS = {
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": ("performance", "powersave", "CPU governor"),
    PAGES: ("always [madvise] never", "[always] madvise never", "transparent huge pages"),
    "sys/devices/system/clocksource/clocksource0/current_clocksource": ("tsc", "hpet", "clock source"),
    "proc/stat": ("cpu 9 0 9 900 0 0 0 0 0 0\n", "cpu 9 0 9 900 0 0 0 900 0 0\n", "steal time"),
    "proc/swaps": (SWAPS, f"{SWAPS}/swap file 100 50 -2\n", "swap"),
}


@pytest.mark.parametrize("file", list(FACTS))
def test_facts_of_the_host_are_assessed(tmp_path: Path, file: str) -> None:
    good, bad, fact = FACTS[file]
    judgements = []
    for text in (good, bad):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text(text, encoding="utf-8")
        judgements += [one["judgement"] for one in host.findings(tmp_path) if one["fact"] == fact]
    assert judgements == ["good", "bad"]


def test_a_fact_that_is_not_visible_is_not_called_good(tmp_path: Path) -> None:
    found = {one["fact"]: one["judgement"] for one in host.findings(tmp_path)}
    assert len(found) == 8
    assert found["CPU governor"] == found["clock source"] == found["steal time"] == "unknown"


def test_the_floor_is_measured(tmp_path: Path) -> None:
    found = host.floor(tmp_path)
    assert set(found) == {"request", "fsync", "jitter"}
    for one in found.values():
        assert 0 <= one["p50"] <= one["p95"] <= one["p99"] <= one["max"]
    assert list(tmp_path.iterdir()) == []


@given(st.lists(st.floats(0.001, 10_000), min_size=1))
def test_every_sample_is_in_the_histogram_and_percentiles_are_ordered(times: list[float]) -> None:
    assert sum(int(one["count"]) for one in performance.histogram(times)) == len(times)
    found = performance.distribution(times)
    assert found["p50_ms"] <= found["p95_ms"] <= found["p99_ms"] <= found["max_ms"]


def runs(*medians: float) -> list[dict[str, Any]]:
    return [{"p50_ms": median} for median in medians]


@pytest.mark.parametrize(
    ("p50", "earlier", "is_slower"),
    [(5, (1, 1), False), (1.9, (1, 1, 1), False), (2.1, (1, 1, 1), True), (2.1, (1, 1, 9, 9, 9), False)],
)
def test_only_what_exceeds_the_noise_of_enough_runs_is_a_finding(
    p50: float, earlier: tuple[float, ...], is_slower: bool
) -> None:
    assert (performance.slower_than(p50, runs(*earlier), 100) is not None) is is_slower


def reports(folder: Path, documents: dict[str, str]) -> Any:
    """A stack with these reports: the name of a folder → the text of its report.json."""
    for name, text in documents.items():
        (folder / name).mkdir()
        (folder / name / "report.json").write_text(text, encoding="utf-8")
    return SimpleNamespace(settings=SimpleNamespace(reports=folder), shared={})


def report(started: str, *services: str) -> str:
    """The text of a report with a measurement of each of the services."""
    row = {"operation": "publish", "throughput_per_s": 1, "p50_ms": 1, "p95_ms": 1, "p99_ms": 1}
    rows = [{**row, "service": service} for service in services]
    return json.dumps({"run": {"started": started}, "performance": rows})


def started(stack: Any, service: str = "nats") -> list[str]:
    return [one["started"] for one in performance.earlier_runs(stack, service, "publish")]


def test_earlier_reports_are_read_oldest_first_and_broken_ones_skipped(tmp_path: Path) -> None:
    stack = reports(tmp_path, {"2": report("2", "nats"), "1": report("1", "nats"), "3": "{"})
    (tmp_path / "latest").symlink_to(tmp_path / "2")
    assert started(stack) == ["1", "2"]
    assert started(reports(tmp_path / "none", {})) == []


def test_runs_without_measurements_do_not_count_among_the_last_runs(tmp_path: Path) -> None:
    measured = {f"{number:02}": report(f"{number:02}", "nats") for number in range(12)}
    # Reports of core.yml, and of a validation that was limited to another service.
    others = {f"{number:02}": report(f"{number:02}") for number in range(20, 29)}
    last = {"40": report("40", "valkey")}
    stack = reports(tmp_path, {**measured, **others, **last})
    assert started(stack) == list(measured)[-performance.EARLIER :]
    assert started(stack, "valkey") == ["40"]


def test_an_unsigned_token_has_an_empty_signature() -> None:
    assert refusals.unsigned({"sub": "a"}).endswith(".")
    assert len(refusals.unsigned({"sub": "a"}).split(".")) == 3


def refusing(text: str) -> None:
    raise RuntimeError(text)


def test_a_refusal_has_to_be_the_expected_one() -> None:
    assert refusals.must_refuse(lambda: refusing("table does not exist"), "a write", "does not exist")
    with pytest.raises(FailedError, match="is accepted"):
        refusals.must_refuse(lambda: None, "a write", "does not exist")
    with pytest.raises(FailedError, match="not with the expected refusal"):
        refusals.must_refuse(lambda: refusing("disk on fire"), "a write", "does not exist")


class FakeStack:
    """A stack without services, for tests of the platform."""

    platform = None


def outcome(run: Any) -> dict[str, Any]:
    case = Case("component.platform.x", "component", "platform", "It holds.", ("A4.1",), run, 0.2)
    return run_case(FakeStack(), case).to_dict()  # type: ignore[arg-type]


def raising(error: BaseException) -> Any:
    def run(_stack: Any, _service: Any) -> Passed:
        raise error

    return run


def test_every_way_a_test_can_end_becomes_a_result() -> None:
    assert outcome(lambda _stack, _service: Passed("found", {"n": 1}))["status"] == "passed"
    assert outcome(raising(SkippedError("no such service")))["message"] == "no such service"
    assert outcome(raising(FailedError("wrong", "cause", "remedy")))["remedy"] == "remedy"
    assert outcome(raising(ProbeError("no answer")))["status"] == "failed"
    assert outcome(raising(ValueError("odd")))["message"] == "ValueError: odd"
    slow = outcome(lambda _stack, _service: threading.Event().wait(5))
    assert (slow["status"], slow["message"]) == ("failed", "no answer within 0.2 s")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ConnectionRefusedError(111, "refused"), Kind.REFUSED),
        (TimeoutError("timed out"), Kind.TIMEOUT),
        (ValueError("odd"), None),
    ],
)
def test_a_refused_connection_is_not_taken_for_a_slow_service(error: Exception, kind: Kind | None) -> None:
    assert kind_of(error) is kind


def test_a_failed_test_is_reported_in_one_line() -> None:
    test = {"id": "network.nats.mtu", "message": "it is 1400.", "cause": "somebody changed it", "remedy": "deploy"}
    text = document.failure_text(test)
    assert text == "network.nats.mtu: it is 1400. Likely cause: somebody changed it. Do: deploy."


def test_the_summary_has_a_row_for_each_service() -> None:
    tests = [
        {"service": "nats", "kind": "component", "status": "passed"},
        {"service": "nats", "kind": "component", "status": "failed"},
        {"service": "opa", "kind": "network", "status": "skipped"},
    ]
    assert document.summary(tests) == [
        ["SERVICE", "COMPONENT", "NETWORK"],
        ["nats", "1/2", "-"],
        ["opa", "-", "skipped"],
    ]
