# SPDX-License-Identifier: GPL-3.0-or-later
"""Reports on the disk: written atomically, `latest` is the newest, surplus old ones are removed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import sample_documents
from ansible.module_utils.report.document import complete
from ansible.module_utils.report.store import Store, StoreError

FILES = {"report.html": "<p>", "report.json": "{}", "junit.xml": "<testsuites/>"}


def started(day: int) -> str:
    return f"2026-11-{day:02}T06:30:00.123Z"


def names(store: Store) -> list[str]:
    return [path.name for path in store.reports()]


def test_a_report_is_a_folder_of_its_own(tmp_path: Path) -> None:
    store = Store(tmp_path / "docs/reports")
    stored = store.write(FILES, started(1), keep=5)
    assert stored.folder.name == "2026-11-01T06-30-00Z"
    assert {path.name: path.read_text() for path in stored.folder.iterdir()} == FILES
    assert stored.page == str(stored.folder / "report.html")
    assert (stored.latest, (store.folder / "latest").readlink()) == ("symlink", Path(stored.folder.name))
    assert sorted(path.name for path in store.folder.iterdir()) == [stored.folder.name, "latest"]


def test_two_runs_of_one_second_do_not_share_a_folder(tmp_path: Path) -> None:
    store = Store(tmp_path)
    written = [store.write(FILES, started(1), keep=50).folder.name for _count in range(11)]
    assert len(set(written)) == 11
    assert names(store) == written
    assert (tmp_path / "latest").readlink().name == written[-1]


def test_old_reports_are_removed_and_nothing_else(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for name in ("2026-01-01T00-00-00Z.kept", "notes", "2025"):
        (tmp_path / name).mkdir()
    (tmp_path / "2020-01-01T00-00-00Z").write_text("a file")
    for day in range(1, 6):
        stored = store.write(FILES, started(day), keep=3)
    assert names(store) == [f"2026-11-0{day}T06-30-00Z" for day in (3, 4, 5)]
    assert stored.removed == ("2026-11-02T06-30-00Z",)
    kept = {path.name for path in tmp_path.iterdir()}
    assert kept >= {"2026-01-01T00-00-00Z.kept", "notes", "2025", "2020-01-01T00-00-00Z"}


def test_a_report_with_an_old_time_is_not_removed_by_its_own_run(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for day in (8, 9):
        store.write(FILES, started(day), keep=2)
    store.write(FILES, started(1), keep=2)
    assert names(store) == ["2026-11-01T06-30-00Z", "2026-11-09T06-30-00Z"]


def test_without_symlinks_latest_is_a_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: object, **_options: object) -> None:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "symlink_to", refuse)
    store = Store(tmp_path)
    for day in (1, 2):
        stored = store.write({**FILES, "report.html": f"day {day}"}, started(day), keep=2)
    assert stored.latest == "copy"
    assert (tmp_path / "latest/report.html").read_text() == "day 2"
    assert sorted(path.name for path in tmp_path.iterdir()) == [*names(store), "latest"]
    monkeypatch.undo()
    assert store.write(FILES, started(3), keep=3).latest == "symlink"
    assert sorted(path.name for path in tmp_path.iterdir()) == [*names(store), "latest"]


def test_a_report_that_cannot_be_written_leaves_the_old_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path)
    store.write(FILES, started(1), keep=1)

    def full(*_args: object, **_options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("ansible.module_utils.report.store._write", full)
    with pytest.raises(StoreError, match="No space left on device"):
        store.write(FILES, started(2), keep=1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["2026-11-01T06-30-00Z", "latest"]


def test_a_time_that_is_not_in_utc_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"run\.started: 2026-11-26T06:30:00\+02:00 is not a time in UTC"):
        Store(tmp_path).write(FILES, "2026-11-26T06:30:00+02:00", keep=1)


def test_the_history_leaves_out_what_cannot_be_read(tmp_path: Path) -> None:
    store = Store(tmp_path)
    good = json.dumps(complete(sample_documents.failing()))
    for day, text in ((1, good), (2, "{"), (3, "{}"), (4, good)):
        store.write({"report.json": text}, started(day), keep=9)
    entries = [entry for _name, content in store.documents() for entry in content["history"]]
    assert [entry["folder"] for entry in entries] == ["2026-11-01T06-30-00Z", "2026-11-04T06-30-00Z"]
    assert entries[0]["failed"] == 4
