# SPDX-License-Identifier: GPL-3.0-or-later
"""The signing keys."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from authn import keys
from authn.errors import ConfigurationError
from joserfc.jwk import ECKey, RSAKey

PRIVATE_MEMBERS = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"}


def load(tmp_path: Path, *entries: Any) -> keys.KeySet:
    path = tmp_path / "jwks.json"
    path.write_text(json.dumps({"keys": entries}), encoding="utf-8")
    return keys.load(path)


@pytest.fixture(scope="session")
def private_key(key_file_text: str) -> dict[str, Any]:
    return dict(json.loads(key_file_text)["keys"][0])


def test_the_first_key_signs_and_all_are_published(tmp_path: Path, private_key: dict[str, Any]) -> None:
    other = RSAKey.generate_key(2048, auto_kid=True).as_dict(private=True)
    loaded = load(tmp_path, other, private_key)
    assert loaded.signing_key_id == other["kid"]
    published = loaded.public()["keys"]
    assert [key["kid"] for key in published] == [other["kid"], private_key["kid"]]
    assert not any(PRIVATE_MEMBERS & set(key) for key in published)


def test_a_key_that_only_verifies_may_be_public(tmp_path: Path, private_key: dict[str, Any]) -> None:
    retired = RSAKey.generate_key(2048, auto_kid=True).as_dict(private=False)
    assert load(tmp_path, private_key, retired).public()["keys"][1]["kid"] == retired["kid"]


def test_a_key_without_an_id_gets_its_thumbprint(tmp_path: Path, private_key: dict[str, Any]) -> None:
    bare = {name: value for name, value in private_key.items() if name != "kid"}
    assert load(tmp_path, bare).signing_key_id == RSAKey.import_key(bare).thumbprint()


def test_a_private_key_without_the_chinese_remainders_is_read(tmp_path: Path, private_key: dict[str, Any]) -> None:
    short = {name: private_key[name] for name in ("kty", "kid", "n", "e", "d")}
    assert load(tmp_path, short).signing_key.is_private


def changed(key: dict[str, Any], **members: Any) -> dict[str, Any]:
    return {name: value for name, value in {**key, **members}.items() if value is not None}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (dict.fromkeys(PRIVATE_MEMBERS), "no private half"),
        ({"use": "enc"}, "for something else"),
        ({"alg": "RS512"}, "for something else"),
        ({"kid": 7}, "kid"),
        ({"n": None}, "not a valid RSA key"),
        ({"n": "AQAB"}, "not a valid RSA key"),
        ({"d": "not base64 !"}, "not a valid RSA key"),
        ({"kty": "oct", "k": "c2VjcmV0"}, "not an RSA key"),
    ],
)
def test_a_key_that_cannot_sign_is_said_and_not_shown(
    tmp_path: Path, private_key: dict[str, Any], change: dict[str, Any], says: str
) -> None:
    with pytest.raises(ConfigurationError, match=says) as caught:
        load(tmp_path, changed(private_key, **change))
    assert private_key["d"] not in str(caught.value)


@pytest.mark.filterwarnings("ignore:Key size")
def test_every_bad_key_is_named(tmp_path: Path, private_key: dict[str, Any]) -> None:
    weak = RSAKey.generate_key(1024).as_dict(private=True)
    curve = ECKey.generate_key("P-256").as_dict(private=True)
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path, private_key, weak, curve, private_key, "text")
    places = [problem.split(": ")[1] for problem in caught.value.problems]
    assert places == ["keys[1]", "keys[2]", "keys[3]", "keys[4]"]
    assert "1024 bits" in caught.value.problems[0]


@pytest.mark.parametrize("content", [b"", b"\xff", b"[]", b"{}", b'{"keys": []}', b'{"keys": {}}'])
def test_a_file_without_keys_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "jwks.json"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError):
        keys.load(path)
