# SPDX-License-Identifier: GPL-3.0-or-later
"""A site's own secrets, from a vault, appear in no output and no fact, at any verbosity."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from site_under_test import Site

PASSWORD = "a-password-of-the-site-4711"
CLIENT_SECRET = "a-client-secret-of-the-site-4711"
ROOT = Path("/var/tmp/trade2026-test-vault/root")


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """A separate site for the two services."""
    site = Site(root=ROOT, number=5)
    site.remove()
    yield site
    site.remove()
    ROOT.parent.rmdir()


@pytest.fixture
def vaulted(tmp_path: Path) -> list[str]:
    """Arguments that give the site's secrets from an encrypted file."""
    key, file = tmp_path / "key", tmp_path / "secrets.yml"
    key.write_text("the key of the vault\n", encoding="utf-8")
    file.write_text(
        f"valkey_password: {PASSWORD}\nvalkey_auth_enabled: true\nauthn_client_secrets: {{srv:oms: {CLIENT_SECRET}}}\n",
        encoding="utf-8",
    )
    subprocess.run(["ansible-vault", "encrypt", "--vault-password-file", key, file], check=True, capture_output=True)
    assert PASSWORD not in file.read_text(encoding="utf-8")
    return ["--extra-vars", f"@{file}", "--vault-password-file", str(key)]


# The first run creates the secrets and the services; for the others they exist.
# The output of -vv and -vvv is part of that of -vvvv.
@pytest.mark.parametrize("verbosity", ["-vvvv", "-v"])
def test_no_run_prints_a_vaulted_secret(site: Site, verbosity: str, vaulted: list[str]) -> None:
    run = site.play("--diff", "--limit", "valkey,authn", verbosity, *vaulted)
    assert run.code == 0, run.errors
    assert site.secret("valkey/password") == PASSWORD
    assert CLIENT_SECRET in site.secret("authn-clients.json")
    assert PASSWORD not in run.output
    assert CLIENT_SECRET not in run.output
