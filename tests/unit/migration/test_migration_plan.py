# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan is a value: it lists what is done, check mode and a real run have the same, and nothing else happens."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.migration import apply as apply_module
from ansible.module_utils.migration import engine
from ansible.module_utils.migration.context import Context, MigrationError
from ansible.module_utils.migration.scan import scan
from hypothesis import given, settings
from hypothesis import strategies as st
from migration_case import DOCUMENTED, check_then_run, migrate, rules_of, snapshot, summary


@pytest.fixture
def src(tmp_path: Path) -> Path:
    root = tmp_path / "trade2025"
    (root / "deep/er").mkdir(parents=True)
    (root / "a").write_text("C:/trade2025/trading/a")
    (root / "deep/b").write_text("b")
    (root / "deep/er/c").write_text("c")
    os.link(root / "a", root / "deep/again")
    (root / "link").symlink_to("a")
    return root


@pytest.fixture(scope="module")
def in_memory() -> Iterator[Path]:
    """A folder in memory if there is one: a run syncs its file system, and many runs would wait for the disk."""
    memory = "/dev/shm"
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as folder:
        yield Path(folder)


def test_the_first_plan_creates_everything(src: Path, tmp_path: Path) -> None:
    assert check_then_run(src, tmp_path / "dest").plan == (
        "create directory .\n"
        "create directory deep\n"
        "create directory deep/er\n"
        "create symlink link\n"
        "create file a\n"
        "create file deep/b\n"
        "create file deep/er/c\n"
        "create further name of a deep/again\n"
    )
    assert check_then_run(src, tmp_path / "dest").plan == ""


def test_the_plan_names_every_kind_of_operation(src: Path, tmp_path: Path) -> None:
    dest = tmp_path / "dest"
    for name in ("changed", "by-hand", "both", "mode", "gone", "removed"):
        (src / name).write_text(name)
    migrate(src, dest)
    (src / "changed").write_text("new")
    (dest / "by-hand").write_text("mine")
    (src / "both").write_text("theirs")
    (dest / "both").write_text("mine")
    (src / "mode").chmod(0o600)
    (src / "gone").unlink()
    (dest / "removed").unlink()
    (dest / "link").unlink()
    (dest / "link").write_text("mine")
    (src / "deep/er").chmod(0o700)
    assert check_then_run(src, dest, on_conflict="backup", prune=True).plan == (
        "touch directory deep/er\n"
        "keep symlink link\n"
        "replace file both: changed by hand since the last migration, and its source changed too\n"
        "keep file by-hand\n"
        "update file changed\n"
        "touch file mode\n"
        "create file removed\n"
        "remove file gone: vanished from the source\n"
    )
    (dest / "both").write_text("mine again")
    (src / "both").write_text("theirs again")
    report = check_then_run(src, dest)
    assert "conflict file both" in report.plan
    assert report.failure


def test_a_scan_prints_and_opens_no_file(src: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = os.open

    def directories_only(path: Any, flags: int, *args: Any, **more: Any) -> int:
        assert flags & os.O_DIRECTORY, path
        return original(path, flags, *args, **more)

    source = os.open(src, os.O_RDONLY | os.O_DIRECTORY)
    monkeypatch.setattr(os, "open", directories_only)
    found = scan(Context(str(src), str(tmp_path / "dest"), DOCUMENTED, source_fd=source))
    os.close(source)
    assert [entry.path for entry in found.new] == [b"a", b"deep/b", b"deep/er/c"]
    assert found.further_names[0][1] == b"a"
    assert "deep/again" in str(found)


@pytest.mark.parametrize("change", ["write", "create", "remove"])
def test_what_changes_after_the_plan_is_not_overwritten(
    src: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    """Apply does what the plan says or stops; it makes no decisions."""
    dest = tmp_path / "dest"
    migrate(src, dest)
    (src / "a").write_text("new")
    (src / "fresh").write_text("fresh")
    original = engine.apply

    def apply(*args: Any) -> Any:
        if change == "remove":
            (dest / "a").unlink()
        else:
            (dest / ("a" if change == "write" else "fresh")).write_text("by hand, meanwhile")
        return original(*args)

    monkeypatch.setattr(engine, "apply", apply)
    expected: Any = contextlib.nullcontext()
    if change != "remove":
        expected = pytest.raises(MigrationError, match="changed in the destination while the migration ran")
    with expected:
        migrate(src, dest)
    monkeypatch.undo()
    texts = {path.read_text() for path in dest.iterdir() if path.is_file()}
    assert ("by hand, meanwhile" in texts) == (change != "remove")
    if change == "remove":
        assert "new" in texts


@pytest.mark.parametrize("case", ["prune", "touch", "directory", "symlink", "large"])
def test_a_change_by_hand_at_the_last_moment_is_not_lost(
    src: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    """What the plan removes, touches or replaces is looked at again right before that."""
    dest = tmp_path / "dest"
    (src / "other").write_text("other")
    migrate(src, dest)
    late, wanted = dest / "other", "by hand, meanwhile"
    if case == "touch":
        (src / "other").chmod(0o600)
    elif case == "large":
        (src / "other").write_text("new")
    else:
        (src / "other").unlink()
    if case == "directory":
        (src / "other").mkdir()
    elif case == "symlink":
        (src / "other").symlink_to("a")
    if case == "large":
        # The site writes while the new content of a file, which may be large, is being written.
        original = apply_module.read_content

        def read_content(*args: Any) -> Any:
            late.write_text(wanted)
            return original(*args)

        monkeypatch.setattr(apply_module, "read_content", read_content)
    else:
        apply = engine.apply

        def apply_later(*args: Any) -> Any:
            late.write_text(wanted)
            return apply(*args)

        monkeypatch.setattr(engine, "apply", apply_later)
    with pytest.raises(MigrationError, match="other: changed in the destination while the migration ran"):
        migrate(src, dest, prune=True)
    assert late.read_text() == wanted
    monkeypatch.undo()
    if case != "prune":
        assert migrate(src, dest, prune=True, check_mode=True).failure or case == "touch"
    assert late.read_text() == wanted


def test_globs_that_exclude_nothing_are_reported(src: Path, tmp_path: Path) -> None:
    report = check_then_run(src, tmp_path / "dest", exclude=("deep\\er", "a", "*.iso", "deep/b"))
    assert report.warnings == [
        "exclude: 'deep\\\\er' matches nothing in the source; write the path with slashes: 'deep/er'",
        "exclude: '*.iso' matches nothing in the source; correct it or remove it",
    ]


# The property: for any trees, the preview equals the result, and a second run has nothing to do.

SPELLINGS = (
    "C:/trade2025/trading/{}",
    "C:\\trade2025\\trading\\{}",
    "C:\\\\trade2025\\\\trading\\\\{}",
    "/mnt/c/trade2025/trading/{}",
    "file:///C:/trade2025/trading/{}",
    "/c/trade2025/trading/{}",
    "C%3A%2Ftrade2025%2Ftrading%2F{}",
)
NAMES = ("a", "b.txt", "docker-compose.yml", "sub", "sub/c", "sub/deep/d", "trade2025_x", "é")
PLACES = ("nats", "apps", "nats-old", "nats/x", "other")
STATES = ("text", "binary", "utf-16", "link", "second name", "compose", "none")
maps = st.dictionaries(
    st.sampled_from(("C:/trade2025/trading", "C:/trade2025/trading/nats", "C:/trade2025/trading/apps")),
    st.sampled_from(("/srv/t", "/srv/t/data", "D:/new", "/opt/b")),
    min_size=1,
)
trees = st.dictionaries(
    st.sampled_from(NAMES),
    st.tuples(st.sampled_from(STATES), st.sampled_from(SPELLINGS), st.sampled_from(PLACES), st.integers(0, 3)),
    max_size=6,
)


def build(root: Path, tree: dict[str, tuple[str, str, str, int]]) -> None:
    """Create the tree, as far as its parts are compatible."""
    root.mkdir(exist_ok=True)
    first: Path | None = None
    for name, (kind, spelling, place, salt) in sorted(tree.items()):
        path = root / name
        if any(parent.is_symlink() or parent.is_file() for parent in path.parents) or os.path.lexists(path):
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        text = f"{salt} {spelling.format(place)}\n" * (salt + 1)
        if kind == "text":
            path.write_text(text)
        elif kind == "binary":
            path.write_bytes(text.encode() + b"\0")
        elif kind == "utf-16":
            path.write_text(text, encoding="utf-16")
        elif kind == "compose":
            path.write_text(f"services:\n  x:\n    volumes:\n      - ./{place}:/data\n# {salt}\n")
        elif kind == "link":
            path.symlink_to(spelling.format(place))
        elif kind == "second name" and first:
            os.link(first, path)
        if kind in ("text", "compose"):
            first = path


def disturb(dest: Path, chance: random.Random) -> None:
    """What a site may do to the destination: files changed, removed, replaced by other kinds."""
    for path in sorted(dest.rglob("*")):
        if ".trade_migrate" in path.parts or not os.path.lexists(path) or chance.random() > 0.3:
            continue
        if path.is_dir() and not path.is_symlink():
            continue
        what = chance.choice(("write", "remove", "link", "mode"))
        if what == "mode" and not path.is_symlink():
            path.chmod(0o600)
            continue
        path.unlink()
        if what == "write":
            path.write_text("by hand")
        elif what == "link":
            path.symlink_to("elsewhere")


@settings(max_examples=60)
@given(maps, trees, trees, st.sampled_from(("fail", "backup", "overwrite")), st.booleans(), st.integers(0, 1000))
def test_the_preview_equals_the_write(
    in_memory: Path,
    path_map: dict[str, str],
    first: dict[str, tuple[str, str, str, int]],
    second: dict[str, tuple[str, str, str, int]],
    on_conflict: str,
    prune: bool,
    seed: int,
) -> None:
    root = in_memory / "case"
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    src, dest = root / "trade2025", root / "dest"
    rules = rules_of(path_map)
    options: dict[str, Any] = {"rules": rules, "on_conflict": on_conflict, "prune": prune}
    for tree in (first, second):
        shutil.rmtree(src, ignore_errors=True)
        build(src, tree)
        before = snapshot(src)
        report = check_then_run(src, dest, **options)
        again = check_then_run(src, dest, **options)
        if not report.failure:
            # What the site changed stays, so there is nothing else to do.
            assert not again.changed, again.plan
            assert not again.failure
            assert summary(again)["leftovers"] == summary(report)["leftovers"]
        assert snapshot(src) == before
        if dest.exists():
            disturb(dest, random.Random(seed))


@settings(max_examples=60)
@given(maps, trees)
def test_a_reference_is_rewritten_or_stays_whole_and_is_reported(
    in_memory: Path, path_map: dict[str, str], tree: dict[str, tuple[str, str, str, int]]
) -> None:
    root = in_memory / "case"
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    src, dest = root / "trade2025", root / "dest"
    build(src, tree)
    report = check_then_run(src, dest, rules=rules_of(path_map))
    for path in sorted(src.rglob("*")):
        if path.is_dir() or path.is_symlink():
            continue
        name = str(path.relative_to(src))
        old, new = path.read_bytes(), (dest / name).read_bytes()
        kept = old == new
        left = [item.line for item in report.leftovers.get(name, [])]
        encoding = "utf-16" if old.startswith(b"\xff\xfe") else "utf-8"
        for number, (line, result) in enumerate(
            zip(old.decode(encoding).splitlines(), new.decode(encoding).splitlines(), strict=True), 1
        ):
            whole = line == result
            assert whole or "trade2025" not in result.lower(), (line, result)
            if "trade2025" in line.lower() and whole:
                assert kept or number in left
                assert number in left or 0 in left
