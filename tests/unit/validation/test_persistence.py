# SPDX-License-Identifier: GPL-3.0-or-later
"""Interruptions: who is counted, what is skipped, and what a run that was killed leaves."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
from ansible.module_utils.probes.base import Target, created_at, new_token
from ansible.module_utils.validation import catalog, leftovers, persistence
from ansible.module_utils.validation.model import FailedError, Group, Result
from ansible.module_utils.validation.records import Store, checksum
from ansible.module_utils.validation.runner import run_group
from ansible.module_utils.validation.stack import Service, Settings, Stack

DAY = 24 * 3600


class Memory(Store):
    """Records in a dictionary: name of the store → numbers that are still there."""

    content: ClassVar[dict[str, list[int]]] = {}

    def write(self, count: int) -> list[int]:
        self.content[self.name] = list(range(count))
        return list(range(count))

    def read(self) -> list[tuple[int, str]]:
        return [(number, checksum(number)) for number in self.content[self.name]]

    def remove(self) -> None:
        del self.content[self.name]

    def setting(self) -> str:
        return "sync = always"

    @staticmethod
    def found(_service: Service) -> list[str]:
        return list(Memory.content)


@pytest.fixture(autouse=True)
def memory(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[int]]:
    stores = {"valkey": Memory, "nats": Memory}
    for module in (persistence, leftovers):
        monkeypatch.setattr(module, "STORES", stores)
    Memory.content.clear()
    return Memory.content


class Engine:
    """The engine: every container with the number of its starts; `down` are those that do not start again."""

    def __init__(self, *names: str) -> None:
        self.starts = dict.fromkeys(names, 1)
        self.down: set[str] = set()
        self.can_start = True

    def restart(self) -> None:
        for name in self.starts:
            self.starts[name] += 1

    def attempt(self, *words: str, **_options: Any) -> tuple[int, str, str]:
        if words[0] == "start" and self.can_start:
            self.down -= set(words[1:])
        return 0, "", ""

    def inspect(self, _kind: str, *names: str) -> dict[str, Any]:
        return {
            name: {
                "State": {
                    "Status": "exited" if name in self.down else "running",
                    "StartedAt": f"2026-11-26T06:00:0{self.starts[name]}Z",
                }
            }
            for name in names
        }


def stack_of(engine: Any, tmp_path: Path, **settings: Any) -> Stack:
    services = {
        name: Service(name, {"role": name, "container": name}, {}, Target("127.0.0.1", {}, tmp_path, 1), (), engine)
        for name in ("nats", "valkey", "opa")
    }
    common = {"project": "p", "bind_address": "127.0.0.1", "networks": {}, "kinds": ("persistence",), "records": 3}
    consent = {"disruptive": True, "engine_restart": True}
    return Stack(Settings(tmp_path, tmp_path, **{**common, **consent, **settings}), services, engine)


def group(stack: Stack, fault: str) -> Group:
    [found] = [one for one in catalog.groups(stack, ["persistence"]) if one.key == f"persistence.{fault}"]
    return found


def by_service(results: Sequence[Result]) -> dict[str, Result]:
    return {result.service: result for result in results}


@pytest.fixture
def engine() -> Engine:
    return Engine("nats", "valkey", "opa")


def with_command(stack: Stack, *words: str) -> Stack:
    stack.settings.engine_command = words
    return stack


def test_after_the_restart_of_the_engine_every_record_is_counted(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, memory: dict[str, list[int]]
) -> None:
    mark = tmp_path / "restarted"
    stack = with_command(stack_of(engine, tmp_path), "touch", str(mark))
    # The engine that the command would restart.
    monkeypatch.setattr(persistence, "answers", lambda _stack: engine.restart() is None)
    found = by_service(run_group(stack, group(stack, "engine")))
    assert mark.exists()
    assert {result.status for result in found.values()} == {"passed"}
    assert found["platform"].message.startswith("3 of 3 containers were restarted, and all are healthy")
    assert [(row["service"], row["acknowledged"], row["lost"]) for row in stack.durability] == [
        ("nats", 3, 0),
        ("valkey", 3, 0),
    ]
    assert memory == {}


@pytest.mark.parametrize("can_start", [True, False])
def test_a_container_that_stays_down_is_named_and_started(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, can_start: bool
) -> None:
    monkeypatch.setattr("ansible.module_utils.validation.stack.STOPPED_S", 0.0)
    stack = with_command(stack_of(engine, tmp_path), "true")
    engine.can_start = can_start
    monkeypatch.setattr(persistence, "answers", lambda _stack: engine.down.add("nats") is None)
    found = by_service(run_group(stack, group(stack, "engine")))
    assert found["platform"].status == "failed"
    assert "nats has stopped with exit code 0" in found["platform"].message
    assert "treats them as stopped by hand" in found["platform"].cause
    assert "run core.yml, which starts what is down" in found["platform"].remedy
    assert found["valkey"].status == "passed"
    if can_start:
        assert "this test has started them" in found["platform"].message
        assert found["nats"].status == "passed"
        assert [row["service"] for row in stack.durability] == ["nats", "valkey"]
    else:
        assert "this test cannot start them either: nats has stopped" in found["platform"].message
        assert found["nats"].status == "skipped"
        assert "see persistence.platform.engine" in found["nats"].message


def test_a_lost_record_is_found(engine: Engine, tmp_path: Path, memory: dict[str, list[int]]) -> None:
    stack = stack_of(engine, tmp_path)

    def lose(_stack: Stack, _services: list[Service]) -> None:
        memory[persistence.store_of(stack, stack.services["nats"], "x").name] = [2]

    fault = persistence.Fault("x", "a loss", lose)
    persistence.interrupted(fault)(stack, stack.platform)
    with pytest.raises(FailedError, match=r"after a loss: 3 records acknowledged, 2 lost \(number 0, 1\)"):
        persistence.survived(fault)(stack, stack.services["nats"])
    assert persistence.survived(fault)(stack, stack.services["valkey"]).evidence == {"setting": "sync = always"}


def test_without_systemd_the_restart_of_the_engine_is_skipped_with_the_reason(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, memory: dict[str, list[int]]
) -> None:
    monkeypatch.setattr(persistence, "SYSTEMD", tmp_path / "none")
    stack = with_command(stack_of(engine, tmp_path), "systemctl", "restart", "docker")
    results = run_group(stack, group(stack, "engine"))
    assert [result.status for result in results] == ["skipped"] * 3
    for result in results:
        assert result.message.startswith(
            "not tested, because this machine has no systemd; core_validate_engine_command"
        )
    # Nothing was written for a test that cannot run.
    assert memory == {}


@pytest.mark.parametrize(
    ("command", "why"),
    [(("false",), "`false` failed"), (("/no/such/program",), "`/no/such/program` cannot be run")],
)
def test_a_command_that_fails_is_named_and_the_records_are_removed(
    engine: Engine, tmp_path: Path, memory: dict[str, list[int]], command: tuple[str, ...], why: str
) -> None:
    stack = with_command(stack_of(engine, tmp_path), *command)
    found = by_service(run_group(stack, group(stack, "engine")))
    assert found["platform"].message.startswith(why)
    assert "core_validate_engine_command" in found["platform"].remedy
    assert found["valkey"].message == "there was no interruption; see persistence.platform.engine"
    assert memory == {}


def test_an_engine_that_does_not_answer_again_is_found(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(persistence, "ENGINE_S", 0.2)
    stack = with_command(stack_of(engine, tmp_path), "true")
    monkeypatch.setattr(engine, "attempt", lambda *_words, **_options: (1, "", "cannot connect"))
    with pytest.raises(FailedError, match="the engine does not answer"):
        persistence.engine(stack, [])


def test_a_name_contains_its_time() -> None:
    now = 1_795_000_000.7
    token = new_token(now)
    for name in (f"trade2026-probe-{token}", f"trade2026_probe_{token}_kill", f"trade2026-probe-{token}-99"):
        assert created_at(name) == int(now)
    for name in (
        "trade2026-probe-notes",
        f"my-trade2026-probe-{token}",
        "trade2026-probe-5f0c2a",
        f"trade2026-{token}",
    ):
        assert created_at(name) is None
    assert new_token(now) != token


def test_only_what_is_older_than_a_run_is_removed(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, memory: dict[str, list[int]]
) -> None:
    monkeypatch.setattr(leftovers, "time", SimpleNamespace(time=lambda: 1_795_000_000.0))
    monkeypatch.setattr(leftovers, "MOST", 2)
    ages = {"week": 7 * DAY, "day": DAY + 60, "third": DAY + 1, "running": DAY - 60, "now": 0}
    names = {word: f"trade2026-probe-{new_token(1_795_000_000 - age)}-{word}" for word, age in ages.items()}
    memory.update({name: [] for name in names.values()} | {"trade2026-probe-notes": [], "orders": []})
    stack = stack_of(engine, tmp_path)
    first = leftovers.removed(stack, stack.services["nats"])
    assert first.message.startswith(f"removed what killed runs left: {names['week']}, {names['day']};")
    assert first.message.endswith("left for the next run: 1")
    assert first.evidence == {"removed": 2}
    assert names["third"] in memory
    leftovers.removed(stack, stack.services["nats"])
    assert set(memory) == {names["running"], names["now"], "trade2026-probe-notes", "orders"}
    assert leftovers.removed(stack, stack.services["nats"]).message == "killed runs left nothing"


def test_what_cannot_be_removed_is_named(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, memory: dict[str, list[int]]
) -> None:
    name = f"trade2026-probe-{new_token(0)}-kill"
    memory[name] = []

    def refuse(_store: Memory) -> None:
        raise ValueError("not allowed")

    monkeypatch.setattr(Memory, "remove", refuse)
    stack = stack_of(engine, tmp_path)
    with pytest.raises(FailedError, match=f"{name} \\(not allowed\\)"):
        leftovers.removed(stack, stack.services["nats"])
