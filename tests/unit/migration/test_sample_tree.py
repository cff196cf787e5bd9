# SPDX-License-Identifier: GPL-3.0-or-later
"""The sample Trade2025 tree has every kind of reference, and the roles' own map leaves none of them behind."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml
from ansible.module_utils.rewriting.path_map import parse_location
from ansible.module_utils.rewriting.rewriter import Rules
from ansible.module_utils.services.record import resolve_path_map
from migration_case import migrate, rules_of, snapshot

ROOT = Path(__file__).resolve().parents[3]
SAMPLE = ROOT / "examples/trade2025"
APPS = SAMPLE / "trading/apps"

# Kind of reference → its bytes in the applications that the main job migrates.
KINDS = {
    "slashes": rb"C:/trade2025/trading",
    "backslashes": rb"C:\\trade2025\\trading\\[a-z]",
    "escaped": rb"C:\\\\trade2025\\\\trading",
    "escaped twice": rb"C:\\\\\\\\trade2025",
    "JSON's slash": rb"C:\\/trade2025",
    "Git Bash": rb"`/c/trade2025",
    "Git Bash without conversion": rb"`//c/trade2025",
    "WSL": rb"/mnt/c/trade2025",
    "Docker Desktop": rb"/host_mnt/c/trade2025",
    "Docker Desktop, new": rb"/run/desktop/mnt/host/c/trade2025",
    "Cygwin": rb"/cygdrive/c/trade2025",
    "file URL": rb"file:///C:/trade2025",
    "file URL, colon encoded": rb"file:///c%3A/trade2025",
    "percent-encoded": rb"C%3A%2Ftrade2025",
    "percent-encoded backslashes": rb"C%3A%5Ctrade2025",
    "mixed and doubled separators, any case": rb"c:\\Trade2025/Trading\\CONFIG//opa",
    "trailing separator": rb"opa\\`",
    "long path": rb"\\\\\?\\C:\\trade2025",
    "a space in quotes": rb'"C:\\trade2025[^"\n]* [^"\n]*"',
    "glued to an option": rb"-vC:/trade2025",
    "relative in Compose": rb"\.\./\.\./config/opa:",
    "network in a command": rb"--network trade2025-frontend",
    "network as a key": rb"\n +trade2025-frontend:\n",
    "network in a list": rb'\["trade2025-frontend", "trade2025-backend"\]',
    "network in a name": rb"http://opa\.trade2025-frontend:",
    "UTF-16 LE": rb"\xff\xfeW\x00i\x00",
    "UTF-16 BE": rb"\xfe\xff\x00k\x00e",
    "UTF-8 with a mark": rb"\xef\xbb\xbf",
    "cp1252": rb"fr\xfcher",
    "CRLF": rb"\r\n",
}


def default_rules() -> Rules:
    """The map of roles/trade2026, with its variables at their defaults."""
    defaults = yaml.safe_load((ROOT / "roles/trade2026/defaults/main.yml").read_text(encoding="utf-8"))
    return rules_of(
        resolve_path_map(defaults["trade2026_path_map"], "C:/trade2025", "/srv/trade2026"),
        {f"trade2025-{key}": network["name"] for key, network in defaults["trade2026_networks"].items()},
    )


@pytest.mark.parametrize("kind", KINDS)
def test_the_applications_hold_this_kind(kind: str) -> None:
    files = [path for path in APPS.rglob("*") if path.is_file()]
    assert any(re.search(KINDS[kind], path.read_bytes()) for path in files)


def test_the_applications_are_migrated_with_nothing_left_over(tmp_path: Path) -> None:
    before = snapshot(APPS)
    dest = tmp_path / "apps"
    report = migrate(APPS, dest, default_rules(), strict=True)
    assert report.leftovers_total == 0
    assert snapshot(APPS) == before

    places = (dest / "opa_authorizer/PLACES.md").read_text(encoding="utf-8")
    assert places.count("/srv/trade2026/config/backend/opa") + places.count("%2Fsrv%2Ftrade2026") >= 14
    development = (dest / "opa_authorizer/docker-compose.dev.yml").read_text(encoding="utf-8")
    assert "- ../../../config/backend/opa:/app/policies:ro" in development
    assert "\t# a tab before this comment" in development
    logging = json.loads((dest / "authn/settings/logging.json").read_bytes())
    assert json.loads(logging["handlers"])["file"]["filename"] == "/srv/trade2026/logs/authn.log"
    assert logging["archive"] == "/srv/trade2026/logs/archive"
    assert "/srv/trade2026/config/backend/authn" in (dest / "authn/settings/service.reg").read_text(encoding="utf-16")
    assert (dest / "authn/settings/service.be.txt").read_bytes().startswith(b"\xfe\xff")
    assert (dest / "authn/settings/run.ps1").read_bytes().endswith(b"python -m authn\t \r\n")
    assert (
        b"fr\xfcher, aus Z\xfcrich\r\npath = /srv/trade2026/secrets/\r\n"
        in (dest / "authn/settings/alt.ini").read_bytes()
    )
    assert str((dest / "authn/settings/opa.yaml").readlink()) == "../../opa_authorizer/config.yaml"
    assert str((dest / "authn/settings/live").readlink()) == "/srv/trade2026/config/backend/authn"


def test_of_the_whole_tree_only_mentions_that_are_not_references_are_left(tmp_path: Path) -> None:
    report = migrate(SAMPLE, tmp_path / "tree", default_rules(), compose_base=parse_location("C:/trade2025", "base"))
    # Paths and networks of other programs, and the platform's name if it is not a path.
    no_reference = re.compile(
        r"tradingbot|trade2025-frontend-v2|xtrade2025|com\.trade2025\.|CLICKHOUSE_DB|# Trade2025|\"?aud(ience)?\"?: |"
        r"\"(name|accessKey|secretKey)\": |"
        # A brace for folders that the map moves to different places is in doubt, even in a comment.
        r"\\\{nats,valkey,questdb,\.\.\.\}"
    )
    # A Windows shortcut is binary: it is copied as it is and reported.
    shortcut = report.leftovers.pop("trading/scripts/Trade2025 Core.lnk")
    assert len(shortcut) > 1
    lines = [item.text for found in report.leftovers.values() for item in found]
    assert [text for text in lines if not no_reference.search(text)] == []
