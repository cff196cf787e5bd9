# SPDX-License-Identifier: GPL-3.0-or-later
"""Compose files of a tree: a file affects how others are read, even if only one of them changes."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible.module_utils.rewriting.path_map import parse_location
from migration_case import check_then_run, migrate, rules_of

RULES = rules_of({"C:/t": "/srv/t", "C:/t/nats": "/srv/t/data/nats"})
OPTIONS = {"rules": RULES, "compose_base": parse_location("C:/t", "base")}
FRAGMENT = "configs: {conf: {file: PATH}}\n"


@pytest.fixture
def src(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    (root / "parts").mkdir(parents=True)
    (root / "docker-compose.yml").write_text("include: [parts/secrets.fragment]\n")
    (root / "parts/secrets.fragment").write_text(FRAGMENT.replace("PATH", "../nats/key"))
    (root / "parts/other.fragment").write_text(FRAGMENT.replace("PATH", "../nats/key"))
    return root


def _fragments(dest: Path) -> list[str]:
    return [(dest / f"parts/{name}.fragment").read_text() for name in ("secrets", "other")]


def test_an_included_file_is_a_compose_file(src: Path, tmp_path: Path) -> None:
    dest = tmp_path / "dest"
    check_then_run(src, dest, **OPTIONS)
    assert _fragments(dest) == [FRAGMENT.replace("PATH", path) for path in ("../data/nats/key", "../nats/key")]
    assert not check_then_run(src, dest, **OPTIONS).changed


def test_a_file_is_read_again_when_another_one_changes_how_it_is_read(src: Path, tmp_path: Path) -> None:
    dest = tmp_path / "dest"
    migrate(src, dest, **OPTIONS)
    (src / "docker-compose.yml").write_text("include: [{path: parts/secrets.fragment, project_directory: parts/x}]\n")
    check_then_run(src, dest, **OPTIONS)
    assert _fragments(dest)[0] == FRAGMENT.replace("PATH", "../nats/key")
    (src / "docker-compose.yml").write_text("include: [parts/other.fragment]\n")
    check_then_run(src, dest, **OPTIONS)
    assert _fragments(dest) == [FRAGMENT.replace("PATH", path) for path in ("../nats/key", "../data/nats/key")]
    (src / "parts/other.fragment").write_text("# changed\n" + FRAGMENT.replace("PATH", "../nats/key"))
    check_then_run(src, dest, **OPTIONS)
    assert _fragments(dest)[1] == "# changed\n" + FRAGMENT.replace("PATH", "../data/nats/key")
    (src / "docker-compose.yml").unlink()
    check_then_run(src, dest, **OPTIONS)
    assert _fragments(dest)[1] == "# changed\n" + FRAGMENT.replace("PATH", "../nats/key")


def test_without_the_place_of_the_source_what_may_move_is_reported(src: Path, tmp_path: Path) -> None:
    report = check_then_run(src, tmp_path / "dest", rules=RULES, compose_base=None)
    [left] = report.leftovers.pop("parts/secrets.fragment")
    assert (left.line, left.text) == (1, "configs: {conf: {file: ../nats/key}}")
    assert left.reason.startswith("no-base: ")
    assert report.leftovers == {}
