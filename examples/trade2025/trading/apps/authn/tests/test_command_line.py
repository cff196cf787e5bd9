# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line, as an operator and a deployment use it."""

from __future__ import annotations

import json

from authn.clients import SecretHash
from conftest import Site


def test_a_good_configuration_is_said_with_exit_code_0(site: Site) -> None:
    result = site.run("--check-config")
    assert (result.code, result.err) == (0, "")
    assert "3 clients, 1 keys" in result.out


def test_the_problems_of_all_three_files_are_said_with_exit_code_2(site: Site) -> None:
    site.configure(lambda document: document["jwt"].update(algorithm="HS256"))
    (site.folder / "jwks.json").write_text("{}", encoding="utf-8")
    (site.folder / "clients.json").unlink()
    for arguments in (["--check-config"], []):
        result = site.run(*arguments)
        assert result.code == 2
        assert result.out == ""
        lines = result.err.splitlines()
        assert len(lines) == 4
        for name, line in zip(("config.yaml", "jwks.json", "clients.json"), lines[1:], strict=True):
            assert name in line


def test_new_keys_and_a_new_hash_are_accepted(site: Site) -> None:
    created = site.run("--new-keys")
    assert created.code == 0
    (site.folder / "jwks.json").write_text(created.out, encoding="utf-8")
    hashed = site.run("--hash-secret", stdin="new secret\n")
    assert SecretHash.parse(hashed.out.strip()).matches("new secret")
    path = site.folder / "clients.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "gateway": hashed.out.strip()}), encoding="utf-8")
    assert site.run("--check-config").code == 0


def test_an_empty_secret_is_refused(site: Site) -> None:
    result = site.run("--hash-secret", stdin="\n")
    assert result.code == 2
    assert "one line" in result.err
