# SPDX-License-Identifier: GPL-3.0-or-later
"""Windows paths, and paths of Windows drives on Linux."""

from __future__ import annotations

import pytest
from ansible.module_utils.shared.windows_paths import is_below, plain_path


@pytest.mark.parametrize(
    "spelling",
    [
        "C:/Trade2025/x",
        "c:\\trade2025\\x\\",
        "/c/trade2025/x",
        "//C/trade2025//x",
        "/mnt/c/TRADE2025/./x",
        "/host_mnt/c/trade2025/y/../x",
        "/run/desktop/mnt/host/c/trade2025/x",
    ],
)
def test_every_spelling_of_a_windows_path_is_one_place(spelling: str) -> None:
    assert plain_path(spelling) == "c:/trade2025/x"
    assert is_below(spelling, ["C:/trade2025"])
    assert is_below(spelling, ["C:\\trade2025\\"])
    assert not is_below(spelling, ["C:/trade2025/x/deeper", "C:/trade20", "D:/trade2025"])


def test_a_unix_path_keeps_its_case_and_its_place() -> None:
    assert plain_path("/srv/Trade2025/../X") == "/srv/X"
    assert plain_path("/cc/x") == "/cc/x"
    assert is_below("/srv/x", ["/"])
