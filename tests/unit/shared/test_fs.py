# SPDX-License-Identifier: GPL-3.0-or-later
"""Files are replaced atomically, read without changing them, and walked without following symlinks."""

from __future__ import annotations

import errno
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.shared import fs
from ansible.module_utils.shared.ownership import Ownership


@pytest.mark.parametrize("relative", [False, True])
def test_a_file_is_replaced_whole(tmp_path: Path, relative: bool) -> None:
    directory = os.open(tmp_path, os.O_RDONLY) if relative else None
    path: Any = "file" if relative else tmp_path / "file"
    (tmp_path / "file").write_text("old")
    with fs.atomic_write(path, directory, mode=0o640) as file:
        file.write(b"new")
        assert (tmp_path / "file").read_text() == "old"
    assert (tmp_path / "file").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    if directory is not None:
        os.close(directory)


def test_a_file_gets_its_owner_before_it_takes_its_place(tmp_path: Path) -> None:
    fs.write_file(tmp_path / "file", b"x", Ownership(mode=0o604))
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o604


def test_what_a_killed_process_left_beside_a_file_is_removed_with_the_next_write(tmp_path: Path) -> None:
    """It may hold a secret, and a service might read everything in its folder."""
    child = os.fork()
    if child == 0:
        os.rename = lambda *_names, **_more: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore[assignment]
        fs.write_file(tmp_path / "file", b"secret", Ownership())
        os._exit(1)
    os.waitpid(child, 0)
    assert len(list(tmp_path.glob(".file.*"))) == 1
    others = {".file.by-hand", ".file2.0123abcd", ".file.0123abcdef"}
    for name in others:
        (tmp_path / name).touch()
    fs.replace_file(tmp_path / "file", b"new", Ownership())
    assert {path.name for path in tmp_path.iterdir()} == {"file", *others}


@pytest.mark.parametrize("call", ["fsync", "rename", "write"])
def test_what_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    (tmp_path / "file").write_text("old")

    def fail(*_args: Any, **_more: Any) -> Any:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    if call != "write":
        monkeypatch.setattr(os, call, fail)

    def replace() -> None:
        with fs.atomic_write(tmp_path / "file") as file:
            file.write(b"new")
            if call == "write":
                fail()

    with pytest.raises(OSError, match="No space") as error:
        replace()
    assert fs.explain(error.value).startswith(f"{tmp_path / 'file'}: ")
    assert (tmp_path / "file").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_walk_sees_parents_first_and_follows_no_symlink(tmp_path: Path) -> None:
    (tmp_path / "b/c").mkdir(parents=True)
    (tmp_path / "a-x").mkdir()
    (tmp_path / "a").mkdir()
    for name in ("b/f", "a/f", "left-out"):
        (tmp_path / name).write_text("x")
    (tmp_path / "loop").symlink_to(".")
    root = os.open(tmp_path, os.O_RDONLY)
    found = [
        (directory.path, [entry.path for entry in entries])
        for directory, _descriptor, entries in fs.walk(root, lambda name, _path, _item: name == "left-out")
    ]
    os.close(root)
    assert found == [
        (b"", [b"a", b"a-x", b"b", b"loop"]),
        (b"a", [b"a/f"]),
        (b"a-x", []),
        (b"b", [b"b/c", b"b/f"]),
        (b"b/c", []),
    ]


def test_a_log_survives_a_torn_record(tmp_path: Path) -> None:
    for records in ((b"one", b"two"), (b"three",)):
        log = fs.AppendLog(str(tmp_path / "log"), b"\n")
        log.append(records)
        os.write(log.descriptor, b"torn")
        log.close()
    records = fs.read_log((tmp_path / "log").read_bytes(), b"\n")
    assert records == [b"one", b"two", b"torn", b"three"]
    assert fs.read_log(b"", b"\n") == []


def test_holes_are_recognized_by_their_position(tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb") as file:
        file.truncate(4 << 20)
        file.seek(2 << 20)
        file.write(b"x" * 4096)
    descriptor = os.open(tmp_path / "file", os.O_RDONLY)
    ranges = list(fs.data_ranges(descriptor, 0, 4 << 20))
    assert sum(end - start for start, end in ranges) < 1 << 20
    assert any(start <= 2 << 20 < end for start, end in ranges)
    assert fs.has_holes(descriptor, os.fstat(descriptor), 65536)
    os.close(descriptor)
    (tmp_path / "whole").write_bytes(b"x" * 100_000)
    descriptor = os.open(tmp_path / "whole", os.O_RDONLY)
    assert not fs.has_holes(descriptor, os.fstat(descriptor), 65536)
    os.close(descriptor)


@pytest.mark.parametrize(
    ("name", "text"), [(b"plain", "plain"), (b"two\nlines", "two\\nlines"), (b"\xff", "\\xff"), ("ü".encode(), "ü")]
)
def test_a_display_name_has_only_printable_characters(name: bytes, text: str) -> None:
    assert fs.display_name(name) == text


NO_SPACE = "No space left on device; free some space there, then run again"


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/a/file"), f"/a/file: {NO_SPACE}"),
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), f"/place: {NO_SPACE}"),
        (shutil.Error([("/from", "/to", "[Errno 28] No space left on device: '/to'")]), f"/to: {NO_SPACE}"),
        (shutil.Error([("/from", "/to", "not a file")]), "/to: not a file; correct it, then run again"),
        (shutil.Error("one text"), "/place: one text; correct it, then run again"),
        (OSError(), "/place: OSError; correct it, then run again"),
        (ValueError("a text for people"), "a text for people"),
    ],
)
def test_an_error_says_where_what_and_what_to_do(error: Exception, text: str) -> None:
    assert fs.explain(error, "/place") == text
