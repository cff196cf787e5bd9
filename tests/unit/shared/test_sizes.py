# SPDX-License-Identifier: GPL-3.0-or-later
"""Parsing and displaying sizes."""

from __future__ import annotations

import pytest
from ansible.module_utils.shared.sizes import human, parse_size


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("512m", 512 << 20),
        ("2gb", 2 << 30),
        ("1.5g", 3 << 29),
        ("820MiB", 820 << 20),
        ("1 GiB", 1 << 30),
        ("1T", 1 << 40),
        ("2b", 2),
        ("100", 100),
        (7, 7),
    ],
)
def test_a_size_is_parsed(text: str | int, expected: int) -> None:
    assert parse_size(text) == expected


@pytest.mark.parametrize(("text", "expected"), [("2m", 2_000_000), ("2mb", 2 << 20), ("2mib", 2 << 20), ("7", 7)])
def test_a_letter_without_b_is_decimal_if_the_caller_says_so(text: str, expected: int) -> None:
    assert parse_size(text, bare_letter=1000) == expected


@pytest.mark.parametrize("text", ["2 GBB", "", "g", "-1m", "1,5g"])
def test_what_is_not_a_size_is_refused_with_the_remedy(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a size; write a number"):
        parse_size(text)


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (5 << 30, "5.0 GiB"), (3 << 50, "3072.0 TiB")]
)
def test_a_size_is_displayed_readably(size: int, text: str) -> None:
    assert human(size) == text
