# SPDX-License-Identifier: GPL-3.0-or-later
"""The rule for commit subjects, and which commits it is applied to."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from script_loader import load

COMMITS = load("lint-commits")


def git(folder: Path, *arguments: str) -> str:
    identity = {
        "GIT_AUTHOR_NAME": "A",
        "GIT_AUTHOR_EMAIL": "a@b",
        "GIT_COMMITTER_NAME": "A",
        "GIT_COMMITTER_EMAIL": "a@b",
    }
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    command = ["git", "-c", "commit.gpgsign=false", *arguments]
    done = subprocess.run(command, cwd=folder, env=environment | identity, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with an old commit that breaks the rule, and two commits after it."""
    folder = tmp_path / "project"
    folder.mkdir()
    git(folder, "init", "--quiet", "--initial-branch=main")
    git(folder, "commit", "--quiet", "--allow-empty", "--message=many things done.")
    monkeypatch.setattr(COMMITS, "BASE", git(folder, "rev-parse", "HEAD"))
    for subject in ("Add a port", "Renamed the port"):
        git(folder, "commit", "--quiet", "--allow-empty", f"--message={subject}")
    monkeypatch.setattr(COMMITS, "ROOT", folder)
    return folder


@pytest.mark.parametrize(
    "subject",
    [
        "Refuse chained path maps",
        "Fix relative build contexts in Compose files",
        "Pass the lock to child processes",
        "Focus the error message",
        "Embed the schema",
        "Need no network for the reference",
        "Format, and wrap at 120 columns",
        "Merge branch 'tooling'",
        "fixup! renamed it.",
        "A" * 72,
    ],
)
def test_a_good_subject_passes(subject: str) -> None:
    assert list(COMMITS.problems(subject)) == []


@pytest.mark.parametrize(
    ("subject", "problem"),
    [
        ("Refused chained path maps", "'Refused' is not an imperative"),
        ("Refusing chained path maps", "'Refusing' is not an imperative"),
        ("Refuses chained path maps", "'Refuses' is not an imperative"),
        ("Made the lock a file", "'Made' is not an imperative"),
        ("refuse chained path maps", "write 'Refuse'"),
        ("Refuse chained path maps.", "ends with a full stop"),
        ("`make plan` shows what changes", "does not begin with a word"),
        ("", "does not begin with a word"),
        ("A" * 73, "it has 73 characters; 72 are allowed"),
    ],
)
def test_a_bad_subject_is_reported(subject: str, problem: str) -> None:
    found = list(COMMITS.problems(subject))
    assert len(found) == 1
    assert problem in found[0]


def test_only_commits_after_the_base_are_checked(history: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert COMMITS.main([]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1
    assert "'Renamed the port': 'Renamed' is not an imperative" in lines[0]


def test_a_shallow_clone_without_the_base_is_checked_as_far_as_it_goes(
    history: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(tmp_path, "clone", "--quiet", "--depth=2", f"file://{history}", "shallow")
    monkeypatch.setattr(COMMITS, "ROOT", tmp_path / "shallow")
    assert sorted(COMMITS.new_commits().values()) == ["Add a port", "Renamed the port"]


def test_a_history_without_the_base_is_an_error(
    history: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(COMMITS, "BASE", "0" * 40)
    assert COMMITS.main([]) == 1
    assert "is not in the history of HEAD" in capsys.readouterr().err


def test_the_hook_reads_the_subject_and_not_the_comments(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    message = tmp_path / "COMMIT_EDITMSG"
    message.write_text(f"# Please enter\n\nAdded a port\n\nReasons.\n{COMMITS.SCISSORS}\ndiff\n", encoding="utf-8")
    assert COMMITS.main([str(message)]) == 1
    assert "'Added a port'" in capsys.readouterr().out
