# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets are created once, follow the site's own value, and are never lost."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import jwt
import pytest
from ansible.module_utils.core.secret_store import SecretError, SecretStore, matches_hash

PASSWORD = {"path": "valkey/password", "kind": "password", "gid": 0}
KEYS = {"path": "authn/jwks.json", "kind": "jwks", "gid": 0}
CLIENTS = {
    "path": "authn/clients.json",
    "kind": "clients",
    "gid": 0,
    "plain": "authn-clients.json",
    "clients": ["srv:oms", "srv:risk"],
}


def ensure(root: Path, *entries: dict[str, Any], check_mode: bool = False) -> Any:
    store = SecretStore(root, check_mode=check_mode)
    for entry in entries:
        store.ensure(entry)
    return store.outcome


def test_a_password_is_created_once_and_kept(tmp_path: Path) -> None:
    assert ensure(tmp_path, PASSWORD, check_mode=True).created == ["valkey/password"]
    assert not list(tmp_path.iterdir())
    assert ensure(tmp_path, PASSWORD).created == ["valkey/password"]
    first = (tmp_path / "valkey/password").read_text()
    assert len(first.strip()) >= 43
    assert not ensure(tmp_path, PASSWORD).changed
    assert (tmp_path / "valkey/password").read_text() == first
    assert stat.S_IMODE((tmp_path / "valkey/password").stat().st_mode) == 0o640
    assert stat.S_IMODE((tmp_path / "valkey").stat().st_mode) == 0o750


def test_a_sites_own_password_takes_precedence_and_the_old_one_is_kept(tmp_path: Path) -> None:
    ensure(tmp_path, PASSWORD)
    old = (tmp_path / "valkey/password").read_text()
    assert ensure(tmp_path, {**PASSWORD, "value": "of the site"}).replaced == ["valkey/password"]
    assert (tmp_path / "valkey/password").read_text() == "of the site\n"
    copies = list(tmp_path.glob(".trade2026/replaced/*/valkey/password"))
    assert [copy.read_text() for copy in copies] == [old]
    assert stat.S_IMODE((tmp_path / ".trade2026/replaced").stat().st_mode) == 0o700
    assert not ensure(tmp_path, {**PASSWORD, "value": "of the site"}).changed


def test_a_password_of_two_lines_is_refused_without_being_shown(tmp_path: Path) -> None:
    with pytest.raises(SecretError) as caught:
        ensure(tmp_path, {**PASSWORD, "value": "line-one\nline-two"})
    assert "line-one" not in str(caught.value)


def test_a_mode_relaxed_by_hand_is_restored(tmp_path: Path) -> None:
    ensure(tmp_path, PASSWORD)
    (tmp_path / "valkey/password").chmod(0o644)
    assert ensure(tmp_path, PASSWORD, check_mode=True).reowned == ["valkey/password"]
    assert ensure(tmp_path, PASSWORD).reowned == ["valkey/password"]
    assert stat.S_IMODE((tmp_path / "valkey/password").stat().st_mode) == 0o640


def test_a_guessable_password_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SecretError, match="shorter than 8"):
        ensure(tmp_path, {**PASSWORD, "value": "quest"})
    assert not list(tmp_path.iterdir())


def test_the_key_set_signs_what_its_public_half_verifies(tmp_path: Path) -> None:
    ensure(tmp_path, KEYS)
    key = json.loads((tmp_path / "authn/jwks.json").read_text())["keys"][0]
    token = jwt.encode({"sub": "x"}, jwt.PyJWK(key).key, algorithm="RS256", headers={"kid": key["kid"]})
    public = jwt.PyJWK({name: key[name] for name in ("kty", "n", "e", "kid", "alg", "use")})
    assert jwt.decode(token, public.key, algorithms=["RS256"]) == {"sub": "x"}
    assert not ensure(tmp_path, KEYS).changed


def test_each_client_gets_a_secret_and_the_server_only_hashes(tmp_path: Path) -> None:
    ensure(tmp_path, CLIENTS)
    plain = json.loads((tmp_path / "authn-clients.json").read_text())
    hashes = json.loads((tmp_path / "authn/clients.json").read_text())
    assert set(plain) == set(hashes) == {"srv:oms", "srv:risk"}
    for name, secret in plain.items():
        assert secret not in json.dumps(hashes)
        assert matches_hash(secret, hashes[name])
        assert not matches_hash(secret + "x", hashes[name])
    assert stat.S_IMODE((tmp_path / "authn-clients.json").stat().st_mode) == 0o600
    assert not ensure(tmp_path, CLIENTS).changed


def test_a_new_client_leaves_the_others_as_they_are(tmp_path: Path) -> None:
    ensure(tmp_path, CLIENTS)
    before = json.loads((tmp_path / "authn/clients.json").read_text())
    more = {**CLIENTS, "clients": [*CLIENTS["clients"], "srv:new"]}
    ensure(tmp_path, more)
    after = json.loads((tmp_path / "authn/clients.json").read_text())
    assert set(after) == {*before, "srv:new"}
    assert all(after[name] == before[name] for name in before)


def test_a_client_that_is_no_longer_declared_loses_its_access(tmp_path: Path) -> None:
    ensure(tmp_path, CLIENTS)
    ensure(tmp_path, {**CLIENTS, "clients": ["srv:oms"]})
    for file in ("authn/clients.json", "authn-clients.json"):
        assert set(json.loads((tmp_path / file).read_text())) == {"srv:oms"}
    kept = next(tmp_path.glob(".trade2026/replaced/*/authn-clients.json"))
    assert "srv:risk" in json.loads(kept.read_text())


def test_a_damaged_file_is_named_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "authn").mkdir()
    (tmp_path / "authn/clients.json").write_text("{", encoding="utf-8")
    with pytest.raises(SecretError, match=r"clients\.json is not JSON"):
        ensure(tmp_path, CLIENTS)
    assert (tmp_path / "authn/clients.json").read_text() == "{"


@pytest.mark.parametrize(
    "damage",
    [5, None, {"a": 1}, [7], "scrypt$16384$8$1$AAAA$A", "scrypt$" + "9" * 30 + "$8$1$AAAA$AAAA", "é$1$1$1$1$1"],
)
def test_a_damaged_hash_is_replaced_by_one_of_the_same_secret(tmp_path: Path, damage: object) -> None:
    ensure(tmp_path, CLIENTS)
    file, plain = tmp_path / "authn/clients.json", json.loads((tmp_path / "authn-clients.json").read_text())
    file.write_text(json.dumps({**json.loads(file.read_text()), "srv:oms": damage}), encoding="utf-8")
    assert ensure(tmp_path, CLIENTS).replaced == ["authn/clients.json"]
    assert matches_hash(plain["srv:oms"], json.loads(file.read_text())["srv:oms"])
    assert not ensure(tmp_path, CLIENTS).changed


@pytest.mark.parametrize("damage", [5, ["confidential"], {"confidential": 1}])
def test_a_clients_secret_that_is_not_text_is_named_and_not_shown(tmp_path: Path, damage: object) -> None:
    ensure(tmp_path, CLIENTS)
    file = tmp_path / "authn-clients.json"
    file.write_text(json.dumps({"srv:oms": damage}), encoding="utf-8")
    with pytest.raises(SecretError, match="the secret of srv:oms must be text") as error:
        ensure(tmp_path, CLIENTS)
    assert "confidential" not in str(error.value)


def test_a_symlink_to_nowhere_is_no_reason_for_a_new_secret(tmp_path: Path) -> None:
    """The disk or the vault that it leads to may not be mounted."""
    for entry, path in ((PASSWORD, "valkey/password"), (CLIENTS, "authn-clients.json")):
        file = tmp_path / path
        file.parent.mkdir(exist_ok=True)
        file.symlink_to("/nowhere/secret")
        with pytest.raises(SecretError, match=f"{file} is a symlink to /nowhere/secret, which does not exist"):
            ensure(tmp_path, entry)
        assert file.is_symlink()


@pytest.mark.parametrize("content", [b"", b" \n"])
def test_an_emptied_secret_is_created_again(tmp_path: Path, content: bytes) -> None:
    entry = {"path": "valkey/password", "kind": "password", "gid": os.getgid()}
    ensure(tmp_path, entry)
    file = tmp_path / "valkey/password"
    file.write_bytes(content)
    assert ensure(tmp_path, entry).created == ["valkey/password"]
    assert len(file.read_text(encoding="utf-8").strip()) > 30


def test_a_secret_that_is_not_text_is_named_and_left_alone(tmp_path: Path) -> None:
    entry = {"path": "valkey/password", "kind": "password", "gid": os.getgid()}
    ensure(tmp_path, entry)
    file = tmp_path / "valkey/password"
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(SecretError, match="is not text"):
        ensure(tmp_path, entry)
    assert file.read_bytes() == b"\xff\xfe"
