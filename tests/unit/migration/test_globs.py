# SPDX-License-Identifier: GPL-3.0-or-later
"""Which paths a glob matches."""

from __future__ import annotations

import pytest
from ansible.module_utils.migration.globs import Excluder


@pytest.mark.parametrize(
    ("glob", "path", "excluded"),
    [
        ("*.log", "a/b.log", True),
        ("*.log", "a/b.logs", False),
        ("logs/", "a/logs", True),
        ("a/*", "a/b", True),
        ("a/*", "x/a/b", False),
        ("**/b", "b", True),
        ("a/**/b", "a/x/y/b", True),
        ("a/**", "a/x/y", True),
        ("./a", "a", True),
        ("caf?", "x/café", True),
        ("[éà]t", "ét", True),
        ("[!a]b", "ab", False),
        ("[!a]b", "cb", True),
        ("?", "\udcff", True),
        ("a.b", "axb", False),
    ],
)
def test_a_glob_matches_the_documented_paths(glob: str, path: str, excluded: bool) -> None:
    found = Excluder([glob]).match(path.rpartition("/")[2], path.encode("utf-8", "surrogateescape"))
    assert found == (glob if excluded else None)


def test_globs_that_exclude_nothing_are_known() -> None:
    excluder = Excluder(("a", "*.log", "x/**"))
    for path in ("a", "b/c.log", "y"):
        excluder.match(path.rpartition("/")[2], path.encode())
    assert excluder.unused() == ["x/**"]


def test_a_glob_that_cannot_be_used_is_named() -> None:
    with pytest.raises(ValueError, match=r"'\[z-a\]' is not a valid glob"):
        Excluder(("[z-a]",))
