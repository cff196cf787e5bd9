# SPDX-License-Identifier: GPL-3.0-or-later
"""Path maps: where a location is after the migration."""

from __future__ import annotations

import pytest
from ansible.module_utils.rewriting.path_map import PathMap

MAP = PathMap.parse(
    [
        {"from": "C:/Trade2025", "to": "D:/Old"},
        {"from": "C:/trade2025/trading", "to": "/srv/trade2026"},
        {"from": "C:/trade2025/trading/nats", "to": "/srv/trade2026/data/nats"},
        {"from": "/opt/feed", "to": "/mnt/d/feed"},
    ]
)


@pytest.mark.parametrize(
    ("drive", "path", "wanted"),
    [
        ("c", "trade2025", "D:/Old"),
        ("c", "TRADE2025/x", "D:/Old/x"),
        ("c", "trade2025/trading", "/srv/trade2026"),
        ("c", "trade2025/Trading/NATS/Store", "/srv/trade2026/data/nats/Store"),
        ("c", "trade2025/trading/natsbot", "/srv/trade2026/natsbot"),
        ("c", "trade2025/tradingbot", "D:/Old/tradingbot"),
        ("", "opt/feed/a", "/mnt/d/feed/a"),
        ("", "opt/Feed/a", None),
        ("d", "trade2025/trading", None),
        ("c", "", None),
        ("c", "other", None),
    ],
)
def test_the_longest_source_applies(drive: str, path: str, wanted: str | None) -> None:
    moved = MAP.relocate(drive, tuple(path.split("/")) if path else ())
    assert (str(moved) if moved else None) == wanted
