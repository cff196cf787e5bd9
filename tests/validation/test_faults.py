# SPDX-License-Identifier: GPL-3.0-or-later
"""One deliberate fault at a time: each is found by the right test, with a message that names the cause."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import valkey
from ansible.module_utils.probes.base import new_token
from site_under_test import Site, docker, kill_with_children
from validating import validate

HOST = "127.0.0.1"
LOST = 17


def container(site: Site, service: str) -> str:
    return f"{site.prefix}{service}"


def wait_healthy(site: Site, service: str, seconds: float = 120) -> None:
    limit = time.monotonic() + seconds
    while site.inspect(service)[service]["State"].get("Health", {}).get("Status") != "healthy":
        assert time.monotonic() < limit, f"{service} does not get healthy"
        time.sleep(0.3)


def client(site: Site) -> Any:
    return valkey.Valkey(host=HOST, port=site.port(6379), password=site.secret("valkey/password"), socket_timeout=10)


@contextmanager
def stopped(site: Site) -> Iterator[None]:
    docker("stop", container(site, "valkey"))
    try:
        yield
    finally:
        docker("start", container(site, "valkey"))
        wait_healthy(site, "valkey")


@contextmanager
def paused(site: Site) -> Iterator[None]:
    docker("pause", container(site, "valkey"))
    try:
        yield
    finally:
        docker("unpause", container(site, "valkey"))


@contextmanager
def slow(site: Site) -> Iterator[None]:
    """The container may send 2,000 bytes a second: a queueing discipline that every kernel has, unlike netem."""
    pid = str(site.inspect("nats")["nats"]["State"]["Pid"])
    inside = ["nsenter", "--target", pid, "--net", "tc", "qdisc"]
    where = ["dev", "eth0", "root"]
    shape = ["tbf", "rate", "16kbit", "burst", "1600", "latency", "2s"]
    subprocess.run([*inside, "add", *where, *shape], check=True)
    try:
        yield
    finally:
        subprocess.run([*inside, "del", *where], check=True)


@contextmanager
def edited(site: Site, service: str, file: Path, change: Callable[[str], str]) -> Iterator[None]:
    """A configuration file that somebody edited, read by the service at a restart."""
    text = file.read_text(encoding="utf-8")
    assert change(text) != text
    file.write_text(change(text), encoding="utf-8")
    docker("restart", container(site, service))
    wait_running(site, service)
    try:
        yield
    finally:
        file.write_text(text, encoding="utf-8")
        docker("restart", container(site, service))
        wait_healthy(site, service)


def wait_running(site: Site, service: str) -> None:
    """Wait until the service listens again; its health check may fail because of the fault."""
    port = site.port({"valkey": 6379, "opa": 8181}[service])
    limit = time.monotonic() + 60
    while True:
        # Docker's proxy accepts at once; only a reply, or a timeout of the read, shows that the service is listening.
        with socket.create_connection((HOST, port), 5) as stream:
            stream.settimeout(0.3)
            try:
                if stream.recv(1) == b"":
                    assert time.monotonic() < limit
                    time.sleep(0.2)
                    continue
            except TimeoutError:
                return
            except ConnectionError:
                assert time.monotonic() < limit
                continue
        return


def wrong_password(site: Site) -> AbstractContextManager[None]:
    file = site.root / "config/infrastructure/valkey/valkey.conf"
    return edited(site, "valkey", file, lambda text: re.sub(r"(?m)^requirepass .*$", "requirepass another-one", text))


def policy_that_denies_all(site: Site) -> AbstractContextManager[None]:
    file = site.root / "config/backend/opa/trade2026_authz.rego"
    return edited(site, "opa", file, lambda text: text.replace("input.action in scopes", "input.action == {}"))


@contextmanager
def dropped_network(site: Site) -> Iterator[None]:
    name = site.networks["frontend"]["name"]
    docker("network", "disconnect", name, container(site, "authn"))
    try:
        yield
    finally:
        docker("network", "connect", "--alias", "authn", name, container(site, "authn"))


@contextmanager
def fragment(site: Site, service: str, change: Callable[[str], str]) -> Iterator[None]:
    """A Compose fragment that somebody edited and applied."""
    file = site.root / f"infrastructure/docker/services/{service}.yml"
    text = file.read_text(encoding="utf-8")
    assert change(text) != text

    def apply(content: str) -> None:
        file.write_text(content, encoding="utf-8")
        compose = str(site.root / "infrastructure/docker/docker-compose.core.yml")
        docker("compose", "--file", compose, "up", "--detach", "--no-deps", service)
        wait_healthy(site, service)

    try:
        apply(change(text))
        yield
    finally:
        apply(text)


def open_port(site: Site) -> AbstractContextManager[None]:
    return fragment(site, "valkey", lambda text: text.replace("'127.0.0.1:", "'0.0.0.0:"))


def added_capability(site: Site) -> AbstractContextManager[None]:
    return fragment(site, "valkey", lambda text: text.replace("    cap_drop:", "    cap_add: [NET_RAW]\n    cap_drop:"))


@contextmanager
def corrupted_file(site: Site) -> Iterator[None]:
    """The middle of the append-only file is overwritten while the service is down."""
    name, data = container(site, "valkey"), site.root / "data/valkey"
    copy = site.root.parent / "copy"
    with client(site) as connection:
        for number in range(500):
            connection.set(f"fault:{number}", "x" * 100)
    docker("stop", name)
    shutil.copytree(data, copy)
    [file] = data.glob("appendonlydir/*.incr.aof")
    with file.open("r+b") as stream:
        stream.seek(file.stat().st_size // 2)
        stream.write(b"\x00garbage\xff" * 20)
    docker("start", name)
    try:
        yield
    finally:
        docker("stop", name)
        for path in copy.rglob("*.aof"):
            # Into the existing file, so that it keeps its owner.
            (data / path.relative_to(copy)).write_bytes(path.read_bytes())
        shutil.rmtree(copy)
        docker("start", name)
        wait_healthy(site, "valkey")
        with client(site) as connection:
            connection.delete(*(f"fault:{number}" for number in range(500)))


@contextmanager
def full_volume(site: Site) -> Iterator[None]:
    filler = site.root / "data/valkey/filler"
    done = subprocess.run(["dd", "if=/dev/zero", f"of={filler}", "bs=4k"], capture_output=True, text=True, check=False)
    assert "No space left" in done.stderr
    with client(site) as connection:
        # Until the server notices: it writes once a second.
        limit = time.monotonic() + 30
        while refusal(connection) == "":
            assert time.monotonic() < limit
            time.sleep(0.2)
    try:
        yield
    finally:
        filler.unlink()
        with client(site) as connection:
            limit = time.monotonic() + 60
            while refusal(connection):
                assert time.monotonic() < limit
                time.sleep(0.3)
            connection.delete("fault")


def refusal(connection: Any) -> str:
    """Why a write is refused; empty if it succeeds."""
    try:
        connection.set("fault", "x" * 8192)
    except valkey.ResponseError as error:
        return str(error)
    return ""


@contextmanager
def lost_record(site: Site) -> Iterator[None]:
    """Remove one record between its acknowledgement and the check, to simulate a lost write."""
    done = threading.Event()

    def remove() -> None:
        while not done.is_set():
            with client(site) as connection:
                for key in connection.scan_iter("trade2026-probe-*-restart"):
                    if connection.llen(key) == 100 and connection.lrem(key, 1, connection.lindex(key, LOST)):
                        return
            done.wait(0.01)

    thread = threading.Thread(target=ignoring_connections(remove))
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def ignoring_connections(work: Callable[[], None]) -> Callable[[], None]:
    def wrapped() -> None:
        try:
            work()
        except valkey.ValkeyError as error:
            print(f"the record was not removed: {error}")

    return wrapped


@dataclass(frozen=True)
class Fault:
    """A fault, the tests that are run, the test that must find it, and what its message must name."""

    breaking: Callable[[Site], AbstractContextManager[None]]
    kinds: list[str]
    services: str
    found_by: str
    names: str
    variables: dict[str, Any] = field(default_factory=dict)


FAULTS = {
    "a service stopped": Fault(stopped, ["component"], "valkey", "component.valkey.running", r"was stopped"),
    "a service paused": Fault(paused, ["component"], "valkey", "component.valkey.running", r"docker unpause \S*valkey"),
    "a service slow": Fault(slow, ["network"], "nats", "network.nats.latency", r"queueing discipline .*tbf"),
    "a wrong password in a configuration": Fault(
        wrong_password, ["component"], "valkey", "component.valkey.valkey_ping", r"other credentials than those"
    ),
    "a dropped network": Fault(
        dropped_network, ["network"], "authn,opa", "network.authn.memberships", r"not on trade2026-test9-frontend"
    ),
    "a policy that denies all": Fault(
        policy_that_denies_all,
        ["integration"],
        "authn,opa",
        "integration.platform.permitted",
        r"policy trade2026\.authz denies everybody",
    ),
    "a corrupted data file": Fault(
        corrupted_file, ["component"], "valkey", "component.valkey.running", r"data is damaged"
    ),
    "a full volume": Fault(full_volume, ["component"], "valkey", "component.valkey.valkey_roundtrip", r"disk is full"),
    "a port on 0.0.0.0": Fault(
        open_port, ["network"], "valkey", "network.valkey.published", r"not declared: 0\.0\.0\.0:"
    ),
    "a capability added": Fault(
        added_capability, ["component"], "valkey", "component.valkey.capabilities", r"NET_RAW.*cap_add"
    ),
    "a record lost": Fault(
        lost_record,
        ["persistence"],
        "valkey",
        "persistence.valkey.restart",
        rf"1 lost \(number {LOST}\)",
        {"core_validate_disruptive": True},
    ),
}


@pytest.mark.parametrize("name", list(FAULTS))
def test_a_fault_is_found_by_the_right_test_with_its_cause(site: Site, name: str) -> None:
    fault = FAULTS[name]
    with fault.breaking(site):
        found = validate(site, fault.kinds, "--limit", fault.services, **fault.variables)
    assert found.failures, f"nothing was found: {found.run.output[-2000:]}"
    assert fault.found_by in found.failures, found.failures
    text = found.failures[fault.found_by]
    assert re.search(fault.names, " ".join(text.split())), text
    assert found.run.code != 0
    # The terminal shows the same.
    assert f"{fault.found_by}: " in found.run.output


def test_without_a_fault_nothing_is_found(site: Site) -> None:
    found = validate(site, ["component", "network"], "--limit", "nats,valkey,authn,opa")
    assert found.failures == {}, found.failures
    assert found.run.code == 0, found.run.errors


def test_leftovers_of_a_killed_run_do_not_fail_the_next_and_are_removed_a_day_later(site: Site) -> None:
    process = site.begin("--limit", "valkey", playbook="playbooks/validate.yml", core_validate_kinds=["performance"])
    limit = time.monotonic() + 60
    with client(site) as connection:
        while not any(connection.scan_iter("trade2026-probe-*")):
            assert time.monotonic() < limit
            time.sleep(0.05)
    kill_with_children(process)
    with client(site) as connection:
        keys = [key.decode() for key in connection.scan_iter("trade2026-probe-*")]
        assert keys
        found = validate(site, ["component"], "--limit", "valkey")
        assert found.failures == {}, found.failures
        # Another run may still use them.
        assert connection.exists(*keys) == len(keys)
        # The time is in the name: as if the run had been killed two days ago.
        old = [f"trade2026-probe-{new_token(time.time() - 48 * 3600)}-{number}" for number, _key in enumerate(keys)]
        for key, name in zip(keys, old, strict=True):
            connection.rename(key, name)
        found = validate(site, ["component"], "--limit", "valkey")
        assert connection.exists(*old) == 0
    assert found.failures == {}, found.failures
    assert found.tests["component.valkey.leftovers"]["evidence"] == {"removed": len(keys)}
