# SPDX-License-Identifier: GPL-3.0-or-later
"""The basis of all probes: secrets in files, HTTP, the time limit, comparison, and removal of what a probe creates."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible.module_utils.probes import web as http
from ansible.module_utils.probes.base import Kind, ProbeError, notes, removing
from ansible.module_utils.probes.compare import normalize, same_version, subset_differences
from ansible.module_utils.probes.generic import Http, Tcp
from ansible.module_utils.probes.limit import LimitReached, limited
from hypothesis import given
from hypothesis import strategies as st
from probe_fakes import Web, closed_port, serve_socket, target


def failure(call: Callable[[], object]) -> ProbeError:
    with pytest.raises(ProbeError) as caught:
        call()
    return caught.value


def test_a_secret_is_read_without_its_line_end(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("s3 cret \r\n")
    assert target(tmp_path).secret("password") == "s3 cret "
    assert target(tmp_path).secret("") == ""


@pytest.mark.parametrize("file", ["gone", "../outside", "/etc/hostname"])
def test_a_secret_that_is_not_there_is_named(tmp_path: Path, file: str) -> None:
    root = tmp_path / "secrets"
    root.mkdir()
    (tmp_path / "outside").write_text("x")
    error = failure(lambda: target(root).secret(file))
    assert error.kind is Kind.CONFIG
    assert file in error.message


def test_an_unknown_port_names_the_nearest(tmp_path: Path) -> None:
    assert "do you mean 'monitor'" in failure(lambda: target(tmp_path, monitor=1, client=2).port("montor")).message


@pytest.mark.parametrize(
    ("left", "right"),
    [("2gb", 2 * 2**30), ("2g", 2 * 10**9), ("64 MB", "67108864"), (True, "yes"), ("False", "no"), ("A  b", "a b")],
)
def test_settings_compare_in_any_spelling(left: object, right: object) -> None:
    assert normalize(left) == normalize(right)


@given(
    st.integers(min_value=0, max_value=2**40),
    st.sampled_from([("kb", 2**10), ("mb", 2**20), ("gb", 2**30), ("k", 1000)]),
)
def test_a_size_with_a_unit_is_so_many_bytes(count: int, unit: tuple[str, int]) -> None:
    assert normalize(f"{count}{unit[0]}") == normalize(count * unit[1])


@pytest.mark.parametrize(
    ("expected", "actual", "same"),
    [
        ("2.10", "2.10.26", True),
        ("2.1", "2.10.26", False),
        ("24.9.3.128", "24.9.3.128", True),
        ("24.9.3", "24.9.2.42", False),
        ("v1.22.2-static", "1.22.2", True),
        ("nonsense", "1.2", False),
    ],
)
def test_a_version_is_a_line_of_releases(expected: str, actual: str, same: bool) -> None:
    assert same_version(expected, actual) is same


def test_a_subset_names_each_difference_by_its_path() -> None:
    actual = {"a": {"b": 1, "more": 2}, "c": [1]}
    assert subset_differences({"a": {"b": "1"}, "c": [1]}, actual) == []
    assert subset_differences({"a": {"b": 2, "x": 0}, "d": 1}, actual) == [
        "a.b is 1, not 2",
        "a.x is missing",
        "d is missing",
    ]
    assert subset_differences({"c": {"d": 1}}, actual) == ["c is [1], not a mapping"]


def test_http_ignores_the_proxy_of_the_environment(tmp_path: Path, web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{closed_port()}")
    monkeypatch.setenv("no_proxy", "")
    web.routes["GET /x"] = (200, "fine")
    assert http.ask(target(tmp_path, http=web.port), "http", "/x").text == "fine"


def test_a_redirect_is_not_followed(tmp_path: Path, web: Web) -> None:
    web.routes["GET /"] = (302, "", {"Location": "/elsewhere"})
    assert http.ask(target(tmp_path, http=web.port), "http", "/").status == 302
    assert len(web.requests) == 1


def test_a_refused_connection_is_reported(tmp_path: Path) -> None:
    port = closed_port()
    error = failure(lambda: http.ask(target(tmp_path, http=port), "http", "/"))
    assert (error.kind, str(port) in error.message) == (Kind.REFUSED, True)


@pytest.mark.parametrize(
    ("says", "message"),
    [
        (b"", "closed before the answer was complete"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort", "4 bytes are missing"),
        (b"SSH-2.0-x\r\n", "not HTTP"),
    ],
)
def test_an_incomplete_or_foreign_answer_is_reported(tmp_path: Path, says: bytes, message: str) -> None:
    def talk(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(says)

    with serve_socket(talk) as port:
        error = failure(lambda: http.ask(target(tmp_path, http=port), "http", "/"))
    assert error.kind is Kind.TIMEOUT
    assert message in error.message


def test_a_server_that_does_not_answer_fails_at_the_timeout(tmp_path: Path) -> None:
    with serve_socket(lambda connection: time.sleep(1)) as port:
        error = failure(lambda: http.ask(target(tmp_path, 0.1, http=port), "http", "/"))
    assert "no answer within 0.1 s" in error.message


def test_an_answer_that_drips_for_ever_ends_at_the_limit(tmp_path: Path) -> None:
    def drip(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            connection.sendall(b".")
            time.sleep(0.02)

    with serve_socket(drip) as port:
        begun = time.monotonic()
        with pytest.raises(LimitReached), limited(0.2):
            http.ask(target(tmp_path, 5, http=port), "http", "/")
    assert time.monotonic() - begun < 2


def test_there_is_no_limit_where_there_are_no_signals() -> None:
    seen = []

    def work() -> None:
        with limited(0.01):
            time.sleep(0.05)
            seen.append("done")

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == ["done"]


def test_removal_runs_after_success_and_after_failure() -> None:
    removed = []
    with removing("it", lambda: removed.append(1), "by hand", 1):
        pass
    with pytest.raises(ValueError, match="body"), removing("it", lambda: removed.append(2), "by hand", 1):
        raise ValueError("body")
    assert removed == [1, 2]


def test_removal_has_its_own_time_limit_if_the_body_used_up_all_time() -> None:
    removed = []

    def remove() -> None:
        time.sleep(0.05)
        removed.append("removed")

    with pytest.raises(LimitReached) as caught, limited(0.05), removing("it", remove, "by hand", 1):
        time.sleep(1)
    assert removed == ["removed"]
    assert notes(caught.value) == []


def test_what_could_not_be_removed_is_reported_with_the_remedy() -> None:
    def remove() -> None:
        raise OSError("gone away")

    def succeed() -> None:
        with removing("the table t", remove, "run DROP TABLE t", 1):
            pass

    assert failure(succeed).message == "the table t may be left over (gone away): run DROP TABLE t"
    with pytest.raises(ValueError, match="body") as caught, removing("the table t", remove, "run DROP TABLE t", 1):
        raise ValueError("body")
    assert notes(caught.value) == ["the table t may be left over (gone away): run DROP TABLE t"]


def test_removal_that_hangs_is_cut_off() -> None:
    def succeed() -> None:
        with limited(5), removing("it", lambda: time.sleep(5), "by hand", 0.05):
            pass

    begun = time.monotonic()
    assert "no answer in time" in failure(succeed).message
    assert time.monotonic() - begun < 2


def test_http_probe_compares_status_text_and_json(tmp_path: Path, web: Web) -> None:
    web.routes["POST /state"] = lambda request: (201, {"state": "up", "token": request.headers.get("x-token")})
    where = target(tmp_path, http=web.port)
    probe = Http(
        port="http",
        path="/state",
        method="POST",
        status=[200, 201],
        headers={"X-Token": "t"},
        expect_json={"token": "t"},
    )
    assert probe.run(where) == "POST /state answers 201"
    assert "answers 201, not 200" in failure(lambda: Http(port="http", path="/state", method="POST").run(where)).message
    wrong = Http(port="http", path="/state", method="POST", status=[201], expect_json={"state": "down"})
    assert "state is 'up', not 'down'" in failure(lambda: wrong.run(where)).message
    wrong = Http(port="http", path="/state", method="POST", status=[201], expect_text="nothing")
    assert "does not answer 'nothing'" in failure(lambda: wrong.run(where)).message


def test_tcp_probe_connects(tmp_path: Path, web: Web) -> None:
    assert "accepts connections" in Tcp(port="x").run(target(tmp_path, x=web.port))
    assert failure(lambda: Tcp(port="x").run(target(tmp_path, x=closed_port()))).kind is Kind.REFUSED
