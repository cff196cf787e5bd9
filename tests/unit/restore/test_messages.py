# SPDX-License-Identifier: GPL-3.0-or-later
"""The messages of a rollback: both errors, the list of restore points, and the summary of the run."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]
FILTERS: dict[str, Any] = runpy.run_path(str(ROOT / "filter_plugins/core.py"))["FilterModule"]().filters()
EVIDENCE = "Valkey failed verification: it restarts in a loop."
RESTORED = {
    "point": 2,
    "evidence": EVIDENCE,
    "refusal": "",
    "image": {"reference": "valkey:8", "version": "8"},
    "done": ["a.conf"],
}


def test_a_rollback_says_why_the_change_failed_and_what_runs() -> None:
    message = FILTERS["core_rolled_back_message"](RESTORED, "why")
    assert message.startswith(EVIDENCE)
    assert "returned to restore point 2: valkey:8 runs, is healthy and passes its probes" in message


def test_a_refused_rollback_says_why_the_change_failed_and_why_it_was_refused() -> None:
    message = FILTERS["core_rolled_back_message"]({**RESTORED, "refusal": "It has none."}, "why")
    assert message.splitlines() == [EVIDENCE, "It has none."]
    by_hand = FILTERS["core_rolled_back_message"]({**RESTORED, "refusal": "It has none."}, "")
    assert by_hand == "It has none."


def test_a_failed_rollback_names_both_errors_and_what_was_tried() -> None:
    lines = FILTERS["core_rollback_failed"]("the port is taken", RESTORED, "why").splitlines()
    assert lines[0] == EVIDENCE
    assert lines[1] == "It could not be returned to restore point 2 either: the port is taken"
    assert lines[2].startswith("Tried: a.conf. Nothing is deleted")


def test_a_rollback_that_did_not_begin_names_both_errors() -> None:
    lines = FILTERS["core_rollback_failed"]("the manifest is damaged", {"failed": True}, "why").splitlines()
    assert lines[:2] == ["why", "It could not be returned to a restore point either: the manifest is damaged"]
    assert "nothing was put back" in lines[2]


def point(number: int, **more: Any) -> dict[str, Any]:
    row = {"number": number, "status": "good", "recorded_at": "2026-11-26T06:12:22Z", "who": "ada@vm"}
    return {**row, "image": "valkey:8@sha256:1", "changes": [], "return": "this is what runs", **more}


def test_the_list_names_damaged_points_and_interrupted_rollbacks() -> None:
    damaged = ["restore point 2 is damaged"]
    services = {
        "valkey": {"points": [point(1)], "damaged": damaged, "interrupted": 1, "target": 1, "backups": []},
        "nats": {"points": [], "damaged": [], "interrupted": 0, "target": 0, "backups": []},
    }
    lines = FILTERS["core_restore_points"](services).splitlines()
    assert lines[1].split() == [
        *("valkey", "1", "2026-11-26T06:12:22Z", "ada@vm", "good", "valkey:8", "nothing"),
        *("this", "is", "what", "runs"),
    ]
    assert lines[2].split() == ["nats", "none"]
    assert "restore point 2 is damaged" in lines
    assert any("a rollback to restore point 1 was interrupted" in line for line in lines)


def test_a_rollback_shows_its_targets_and_those_that_have_none() -> None:
    backup = {"number": 3, "taken_at": "2026-11-26T06:12:22Z"}
    services: dict[str, Any] = {
        "valkey": {"points": [point(1)], "target": 1, "target_backup": backup},
        "nats": {"points": [], "target": 0, "target_backup": {}},
    }
    lines = FILTERS["core_restore_targets"](services).splitlines()
    assert lines[1].split()[:3] == ["valkey", "1", "valkey:8"]
    assert lines[1].endswith("data goes back to backup 3 of 2026-11-26T06:12:22Z")
    assert "no good restore point" in lines[2]


@pytest.mark.parametrize(
    ("damage", "verified", "hashes"), [("", False, "not verified"), ("", True, "verified"), ("bad", False, "damaged")]
)
def test_the_list_has_the_backups(damage: str, verified: bool, hashes: str) -> None:
    backup = {
        "number": 3,
        "taken_at": "2026-11-26T06:12:22Z",
        "who": "ada@vm",
        "version": "8.1.8",
        "size": "1.0 MiB in 4 files",
        "archive_size": "300 B",
        "archive": "/b/3/data.tar.zst",
        "damage": damage,
        "verified": verified,
    }
    services = {"valkey": {"points": [], "damaged": [], "interrupted": 0, "target": 0, "backups": [backup]}}
    line = FILTERS["core_restore_points"](services).splitlines()[-1]
    assert line.startswith("valkey   3       2026-11-26T06:12:22Z ada@vm  8.1.8    1.0 MiB in 4 files  300 B /b/3/")
    assert line.endswith(f"  {hashes}")


def test_a_restore_of_data_says_its_time_and_where_the_previous_data_is() -> None:
    data = {"number": 3, "taken_at": "2026-11-26T06:12:22Z", "kept": ["/r/data/valkey.replaced-1"]}
    text = FILTERS["core_rolled_back_message"]({**RESTORED, "data": data}, "it failed")
    assert "Its data is that of backup 3 of 2026-11-26T06:12:22Z" in text
    assert "The previous data: /r/data/valkey.replaced-1." in text


def test_the_summary_says_which_restore_point_runs() -> None:
    planned = {"probes": [{"name": "valkey", "address": "127.0.0.1", "ports": {"client": 6379}}]}
    images = {"valkey": {"reference": "valkey/valkey:8", "version": "8", "source": "registry"}}
    [row] = FILTERS["core_summary"](planned, {}, images, ["valkey"], {"valkey": 2}).splitlines()[1:]
    assert row.split()[:3] == ["valkey", "valkey/valkey:8", "registry"]
    assert "FAILED, back to restore point 2" in row
