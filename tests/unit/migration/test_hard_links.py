# SPDX-License-Identifier: GPL-3.0-or-later
"""Hard links stay together, and are separated if their results differ."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible.module_utils.migration.globs import Glob
from migration_case import check_then_run, rules_of, snapshot

RULES = rules_of({"C:/trade2025": "/srv/t", "C:/trade2025/trading/nats": "/srv/t/data/nats"})
COMPOSE = "services:\n  nats:\n    volumes:\n      - ./trading/nats:/data\n"


@pytest.fixture
def src(tmp_path: Path) -> Path:
    root = tmp_path / "trade2025"
    (root / "sub").mkdir(parents=True)
    return root


def same(dest: Path, *names: str) -> bool:
    return len({(dest / name).stat().st_ino for name in names}) == 1


def test_a_compose_file_and_its_saved_name_part(src: Path, tmp_path: Path) -> None:
    """`a-saved.txt` is not a Compose file: its text stays. It comes first, and must not decide for the other."""
    dest = tmp_path / "dest"
    (src / "a-saved.txt").write_text(COMPOSE)
    for name in ("docker-compose.yml", "z-saved.txt", "sub/docker-compose.yml"):
        os.link(src / "a-saved.txt", src / name)
    before = snapshot(src)
    report = check_then_run(src, dest, rules=RULES)
    assert (dest / "a-saved.txt").read_text() == COMPOSE
    assert (dest / "docker-compose.yml").read_text() == COMPOSE.replace("./trading/nats", "./data/nats")
    # In another folder the same text names another location, which moves along with the file.
    assert (dest / "sub/docker-compose.yml").read_text() == COMPOSE
    assert same(dest, "a-saved.txt", "z-saved.txt", "sub/docker-compose.yml")
    assert not same(dest, "a-saved.txt", "docker-compose.yml")
    assert (report.files_total, report.files_rewritten) == (4, 1)
    assert "create further name of a-saved.txt z-saved.txt" in report.plan
    assert not check_then_run(src, dest, rules=RULES).changed
    assert snapshot(src) == before


def test_parted_names_follow_their_source(src: Path, tmp_path: Path) -> None:
    dest = tmp_path / "dest"
    (src / "a-saved.txt").write_text(COMPOSE)
    os.link(src / "a-saved.txt", src / "docker-compose.yml")
    check_then_run(src, dest, rules=RULES)
    (src / "a-saved.txt").write_text(COMPOSE.replace("/data", "/new"))
    report = check_then_run(src, dest, rules=RULES)
    assert (dest / "a-saved.txt").read_text().endswith("./trading/nats:/new\n")
    assert (dest / "docker-compose.yml").read_text().endswith("./data/nats:/new\n")
    assert report.failure == ""
    # Without the relative path both have the same content: they are one file again.
    (src / "a-saved.txt").write_text("services: {}\n")
    check_then_run(src, dest, rules=RULES)
    assert same(dest, "a-saved.txt", "docker-compose.yml")
    assert not check_then_run(src, dest, rules=RULES).changed


def test_a_parted_name_that_was_changed_by_hand_is_a_conflict(src: Path, tmp_path: Path) -> None:
    dest = tmp_path / "dest"
    (src / "a-saved.txt").write_text(COMPOSE)
    os.link(src / "a-saved.txt", src / "docker-compose.yml")
    check_then_run(src, dest, rules=RULES)
    (dest / "docker-compose.yml").write_text("by hand")
    assert check_then_run(src, dest, rules=RULES).kept == ["docker-compose.yml"]
    (src / "a-saved.txt").write_text(COMPOSE + "# more\n")
    report = check_then_run(src, dest, rules=RULES, on_conflict="backup")
    assert [path for path, _reason, _action in report.conflicts] == ["docker-compose.yml"]
    assert [backup.read_text() for backup in dest.glob("*.bak")] == ["by hand"]
    assert (dest / "docker-compose.yml").read_text().endswith("# more\n")


def test_hard_links_whose_encodings_differ_are_separated(src: Path, tmp_path: Path) -> None:
    """The second byte of 表 in code page 932 is a backslash: the path needs a known encoding to be rewritten."""
    dest = tmp_path / "dest"
    text = "C:\\trade2025\\trading\\nats\\表示\\能力.csv\r\n"
    (src / "a.bat").write_bytes(text.encode("cp932"))
    os.link(src / "a.bat", src / "b.txt")
    check_then_run(src, dest, rules=RULES, encodings=((Glob("*.bat"), "cp932"),))
    assert (dest / "a.bat").read_bytes().decode("cp932") == "/srv/t/data/nats/表示/能力.csv\r\n"
    assert (dest / "b.txt").read_bytes() != (dest / "a.bat").read_bytes()


def test_every_name_reports_what_is_left_over(src: Path, tmp_path: Path) -> None:
    (src / "a").write_text("about trade2025\n")
    os.link(src / "a", src / "b")
    for _run in range(2):
        report = check_then_run(src, tmp_path / "dest", rules=RULES)
        assert {path: [item.line for item in found] for path, found in report.leftovers.items()} == {"a": [1], "b": [1]}
        assert report.leftovers_total == 2
    strict = check_then_run(src, tmp_path / "strict", rules=RULES, strict=True)
    assert "strict: 2 mentions" in strict.failure
