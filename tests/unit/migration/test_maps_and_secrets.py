# SPDX-License-Identifier: GPL-3.0-or-later
"""Maps that cannot be used are refused with a remedy; secrets are hidden."""

from __future__ import annotations

import pytest
from ansible.module_utils.rewriting.path_map import MapError
from ansible.module_utils.shared.masking import mask_line, mask_lines
from migration_case import rules_of


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("trading/nats", "/srv/x", "is not absolute"),
        ("C:/trade2025", "srv/x", "is not absolute"),
        ("C:/", "/srv/x", "whole drive"),
        ("C:/trade2025", "/", "whole drive"),
        ("C:/trade2025", "/mnt/c", "whole drive"),
        ("C:/trade2025", "/mnt", "where drives are mounted"),
        ("C:/trade2025/..", "/srv/x", "step"),
        ("C:/trade2025", "//server/share", "network share"),
        ("C:/trade2025", "\\\\server\\share", "network share"),
        ("C:/trade2025", "/srv/x\ny", "control character"),
        ("C:/trade?", "/srv/x", "which Windows does not allow"),
    ],
)
def test_a_location_that_cannot_be_used_is_refused(old: str, new: str, reason: str) -> None:
    with pytest.raises(MapError, match=reason):
        rules_of({old: new})


def test_one_location_cannot_move_to_two() -> None:
    with pytest.raises(MapError, match="keep one of them"):
        rules_of([{"from": "C:/trade2025", "to": "/srv/a"}, {"from": "/mnt/c/Trade2025/", "to": "/srv/b"}])


@pytest.mark.parametrize("name", ["", "a", "two words", "-x", "mnt"])
def test_an_invalid_network_name_is_refused(name: str) -> None:
    with pytest.raises(MapError, match="network_map"):
        rules_of({}, {"trade2025-backend": name})


@pytest.mark.parametrize(
    "line",
    [
        "password: hunter2",
        'DB_PASSWORD="hunter2"',
        '{"client_secret": "hunter2", "x": 1}',
        "export API_KEY=hunter2",
        "url = postgres://me:hunter2@host/db",
        "Authorization: Bearer hunter2hunter2",
        "--password hunter2 x",
        "'accessKey': 'hunter2',",
        '"d": "hunter2hunter2hunter2"',
        "$secretToken = 'hunter2'",
    ],
)
def test_a_secret_is_hidden(line: str) -> None:
    assert "hunter2" not in mask_line(line)
    assert "********" in mask_line(line)


@pytest.mark.parametrize(
    "line", ["path: C:/trade2025/x", "tokens of speech", "key: value", "image: nats:2.10", "http://host:80/x"]
)
def test_what_is_not_secret_is_shown(line: str) -> None:
    assert mask_line(line) == line


def test_blocks_are_hidden_and_lines_stay_in_place() -> None:
    lines = [
        "a: 1\n",
        "-----BEGIN PRIVATE KEY-----\n",
        "MIIhunter2\n",
        "-----END PRIVATE KEY-----\n",
        "secret: |\n",
        "  hunter2\n",
        "b: 2\n",
    ]
    masked = mask_lines(lines)
    assert len(masked) == len(lines)
    assert "hunter2" not in "".join(masked)
    assert (masked[0], masked[-1]) == ("a: 1\n", "b: 2\n")
