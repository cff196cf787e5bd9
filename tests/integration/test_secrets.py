# SPDX-License-Identifier: GPL-3.0-or-later
"""Generated secrets appear only in the files that need them."""

from __future__ import annotations

import json
import re
import stat

import pytest
from site_under_test import Run, Site


def leaked(site: Site, text: str) -> list[int]:
    """Which secrets a text contains: their numbers, because a failing test prints its values."""
    secrets = sorted(site.secrets())
    assert len(secrets) >= 8
    return [number for number, secret in enumerate(secrets) if secret in text]


def test_a_leaked_secret_would_be_found(deployed: Site) -> None:
    assert len(leaked(deployed, f"the password is {deployed.secret('clickhouse/password')}.")) == 1


def test_no_secret_in_the_most_verbose_output(deployed: Site, first_run: Run) -> None:
    # Ansible prints this only with -vvv.
    assert "Using module file" in first_run.output
    assert leaked(deployed, first_run.output) == []


def test_no_secret_in_the_diff_of_a_file_with_secrets(deployed: Site) -> None:
    file = deployed.root / "config/infrastructure/seaweedfs/s3.json"
    original = file.read_bytes()
    edited = original.replace(b'"Admin"', b'"Admin" ')
    assert edited != original
    file.write_bytes(edited)
    try:
        run = deployed.play("--limit", "seaweedfs", "--check", "--diff", "-vvv")
    finally:
        file.write_bytes(original)
    assert run.code == 0, run.errors
    assert run.changed_hosts == {"seaweedfs"}
    # The live file may hold an unknown old secret, so it is not shown; the declared text has placeholders.
    assert re.search(r'^ *\+ +"actions": \["Admin"', run.output, re.MULTILINE)
    assert "(not shown: this file holds secrets)" in run.output
    assert '"Admin" ' not in run.output
    assert leaked(deployed, run.output) == []


def test_no_secret_in_docker_inspect(deployed: Site) -> None:
    assert leaked(deployed, json.dumps(deployed.containers())) == []


@pytest.mark.parametrize("folder", ["infrastructure", "docs", "backend"])
def test_no_secret_in_fragments_documents_and_applications(deployed: Site, folder: str) -> None:
    files = [file for file in (deployed.root / folder).rglob("*") if file.is_file()]
    assert files
    assert [file for file in files if leaked(deployed, file.read_text(encoding="utf-8", errors="replace"))] == []


def test_only_the_owner_and_the_group_can_read_files_with_secrets(deployed: Site) -> None:
    with_secrets = []
    for file in deployed.root.rglob("*"):
        if not file.is_file() or file.is_relative_to(deployed.root / "data"):
            continue
        if leaked(deployed, file.read_text(encoding="utf-8", errors="replace")):
            with_secrets.append(file)
            assert not stat.S_IMODE(file.stat().st_mode) & stat.S_IRWXO, file
    found = {str(file.relative_to(deployed.root)) for file in with_secrets}
    assert {"config/infrastructure/questdb/server.conf", "config/infrastructure/seaweedfs/s3.json"} <= found
    generated = {"authn-clients.json", "authn/jwks.json", "clickhouse/password", "seaweedfs/s3_secret"}
    assert {f"secrets/{name}" for name in generated} <= found
