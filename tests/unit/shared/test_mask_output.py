# SPDX-License-Identifier: GPL-3.0-or-later
"""`Mask.output` masks every secret in all of its spellings, and leaves other text readable."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from urllib.parse import quote

import pytest
from ansible.module_utils.shared.masking import MASK, Mask, secret_values, secrets_below
from hypothesis import given
from hypothesis import strategies as st

SECRET = "N5q/8+Zk=2 'x\""


@given(st.text(min_size=1, max_size=40).filter(lambda text: text.strip()), st.text(max_size=30), st.text(max_size=30))
def test_a_secret_is_always_hidden(secret: str, before: str, after: str) -> None:
    secret = secret.strip()
    shown = Mask([secret]).output(f"{before} {secret} {after}")
    assert f" {secret} " not in shown.replace(MASK, "") or f" {secret} " in f"{before} {after} "


@pytest.mark.parametrize(
    "spelling",
    [SECRET, quote(SECRET, safe=""), json.dumps(SECRET)[1:-1], base64.b64encode(SECRET.encode()).decode()],
)
def test_every_spelling_of_a_secret_is_masked(spelling: str) -> None:
    assert Mask([SECRET]).output(f"said <{spelling}> once") == f"said <{MASK}> once"


def test_a_short_secret_is_masked_only_as_a_whole_word() -> None:
    assert Mask(["cat"]).output("cat in concatenate") == f"{MASK} in concatenate"


@pytest.mark.parametrize(
    ("line", "hidden"),
    [
        ("connect nats://trade:hunter22@host:4222", "hunter22"),
        ("Authorization: Basic dHJhZGU6aHVudGVyMjI=", "dHJhZGU6aHVudGVyMjI="),
        ("authorization: Bearer abcdefgh.ijkl", "abcdefgh.ijkl"),
        ("token eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln", "eyJzdWIiOiJ4In0"),
        ("requirepass hunter22", "hunter22"),
        ('{"password": "hunter 22", "user": "x"}', "hunter 22"),
        ("secretKey=hunter22,", "hunter22"),
        ("CREATE USER x IDENTIFIED BY 'hunter22'", "hunter22"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIabc\n-----END RSA PRIVATE KEY-----", "MIIabc"),
        ("-----BEGIN PRIVATE KEY-----\nMIIcut", "MIIcut"),
    ],
)
def test_what_looks_like_a_secret_is_masked(line: str, hidden: str) -> None:
    shown = Mask([]).output(line)
    assert hidden not in shown
    assert MASK in shown


@pytest.mark.parametrize(
    "line", ["Server is ready", "Basic auth is on", "no password was given", "GET http://127.0.0.1:9000/exec"]
)
def test_other_lines_are_unchanged(line: str) -> None:
    assert Mask([]).output(line) == line


def test_the_strings_of_json_are_secrets_except_public_parts_of_a_key() -> None:
    key = {"kty": "RSA", "kid": "key-number-1", "n": "public-modulus", "e": "AQAB", "d": "private-exponent"}
    assert secret_values(json.dumps({"keys": [key]})) == {"private-exponent"}
    assert secret_values(json.dumps({"srv:oms": "a-long-secret", "short": "x"})) == {"a-long-secret"}
    assert secret_values("first\nsecond\n\n") == {"first", "second"}


def test_the_secrets_of_a_folder_are_found(tmp_path: Path) -> None:
    (tmp_path / "valkey").mkdir()
    (tmp_path / "valkey/password").write_text("one-secret\n")
    (tmp_path / "clients.json").write_text('{"a": "another-secret"}')
    assert secrets_below(tmp_path) == ({"one-secret", "another-secret"}, [])
    assert secrets_below(tmp_path / "gone") == (set(), [])


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "password").write_text("x")

    def refuse(*_: object, **__: object) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_text", refuse)
    assert secrets_below(tmp_path) == (set(), [str(tmp_path / "password")])
