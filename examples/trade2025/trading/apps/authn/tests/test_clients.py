# SPDX-License-Identifier: GPL-3.0-or-later
"""The clients' secrets."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from authn import clients
from authn.clients import SecretHash
from authn.errors import ConfigurationError

# With a salt that is always the same, so that the tests' names are.
SALT = b"sixteen bytes 16"
GOOD = SecretHash(16384, 8, 1, SALT, hashlib.scrypt(b"secret", salt=SALT, n=16384, r=8, p=1, dklen=32))


def stored(tmp_path: Path, content: Any) -> Path:
    path = tmp_path / "clients.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def test_a_hash_matches_its_secret_alone() -> None:
    again = SecretHash.parse(str(GOOD))
    assert again == GOOD
    assert again.matches("secret")
    assert not again.matches("Secret")


def test_a_hash_made_elsewhere_is_read() -> None:
    # N, r and p of RFC 7914's third test vector; password and salt are its own.
    digest = hashlib.scrypt(b"pleaseletmein", salt=b"SodiumChlorideXX", n=16384, r=8, p=1, dklen=32)
    text = f"scrypt$16384$8$1$U29kaXVtQ2hsb3JpZGVYWA${base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"
    assert SecretHash.parse(text).matches("pleaseletmein")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "form"),
        ("plain text secret", "form"),
        (7, "form"),
        (str(GOOD).replace("scrypt", "bcrypt"), "form"),
        (str(GOOD).replace("16384", "1024"), "costs N=1024"),
        (str(GOOD).replace("16384", "16385"), "costs N=16385"),
        (str(GOOD).replace("16384", str(2**30)), "costs"),
        (str(GOOD).replace("$8$1$", "$8$99$"), "costs"),
        (str(GOOD)[:-4], "32 bytes"),
        (str(GOOD)[:-1] + "!", "base64url"),
        ("scrypt$16384$8$1$AAAA$" + str(GOOD).rpartition("$")[2], "salt of 16 bytes"),
    ],
)
def test_a_hash_that_is_none_is_said_and_not_repeated(text: Any, says: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=says) as caught:
        clients.load(stored(tmp_path, {"a": [text]}), {"a": ()})
    assert not {part for part in str(text).split("$") if len(part) > 16 and part in str(caught.value)}


def test_either_of_two_secrets_is_accepted_while_they_are_rotated(tmp_path: Path) -> None:
    secrets = clients.load(stored(tmp_path, {"a": [str(SecretHash.of("old")), str(SecretHash.of("new"))]}), {"a": ()})
    assert [secrets.verify("a", secret) for secret in ("old", "new", "other")] == [True, True, False]


def test_a_client_that_is_not_configured_has_no_access(tmp_path: Path) -> None:
    secrets = clients.load(stored(tmp_path, {"a": str(GOOD), "left-over": str(GOOD)}), {"a": ()})
    assert secrets.verify("a", "secret")
    assert not secrets.verify("left-over", "secret")


def test_every_question_costs_the_same_hashes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = {"one": str(GOOD), "three": [str(SecretHash.of(secret)) for secret in ("x", "y", "z")]}
    secrets = clients.load(stored(tmp_path, content), content)
    costs: list[tuple[int, int, int]] = []
    scrypt: Callable[..., bytes] = hashlib.scrypt

    def counting(*args: Any, n: int, r: int, p: int, **named: Any) -> bytes:
        costs.append((n, r, p))
        return scrypt(*args, n=n, r=r, p=p, **named)

    monkeypatch.setattr(hashlib, "scrypt", counting)
    work = []
    for client_id, secret in [("one", "secret"), ("one", "no"), ("three", "x"), ("three", "no"), ("nobody", "no")]:
        costs.clear()
        secrets.verify(client_id, secret)
        work.append(tuple(costs))
    assert set(work) == {((16384, 8, 1),) * 3}


def test_every_client_without_a_hash_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        clients.load(stored(tmp_path, {"b": str(GOOD)}), {"a": (), "b": (), "c": ()})
    assert [problem.split(": ")[1] for problem in caught.value.problems] == ["a", "c"]


@pytest.mark.parametrize("content", ["[]", "nonsense", '"text"', "", "\udcff"])
def test_a_file_that_is_no_object_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "clients.json"
    path.write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(ConfigurationError, match="not a JSON object"):
        clients.load(path, {"a": ()})
