# SPDX-License-Identifier: GPL-3.0-or-later
"""The signing keys: a private JWK set in a file.

The first key signs. All of them are published, so a rotation overlaps: put the new key second, wait until every
verifier has read the set again, move it to the front, and remove the old key when its last token has expired. A key
that only verifies any more may stay as its public half.
"""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from joserfc.errors import JoseError, SecurityWarning
from joserfc.jwk import RSAKey

from authn.config import ALGORITHM
from authn.errors import ConfigurationError

# RFC 7518 section 3.3. The upper bound keeps a slip from making every token take seconds.
LEAST_BITS = 2048
MOST_BITS = 8192

# What may leave the service. A list of what is allowed, so that a private member of a new kind stays inside.
_PUBLIC_MEMBERS = ("kty", "n", "e")


@dataclass(frozen=True)
class KeySet:
    """The checked keys; the first one signs."""

    keys: tuple[RSAKey, ...]
    key_ids: tuple[str, ...]

    @property
    def signing_key(self) -> RSAKey:
        return self.keys[0]

    @property
    def signing_key_id(self) -> str:
        return self.key_ids[0]

    def public(self) -> dict[str, list[dict[str, str]]]:
        """The JWK set to publish: the public members of every key."""
        published = []
        for key, key_id in zip(self.keys, self.key_ids, strict=True):
            members = key.as_dict(private=False)
            published.append(
                {name: str(members[name]) for name in _PUBLIC_MEMBERS} | {"use": "sig", "alg": ALGORITHM, "kid": key_id}
            )
        return {"keys": published}


def load(path: Path) -> KeySet:
    """Read and check the key file.

    Raises:
        ConfigurationError: with every problem of the file, and nothing of its content.
    """
    try:
        document = json.loads(path.read_bytes())
    except OSError as error:
        raise ConfigurationError(
            [f"{path} (JWKS_PATH): cannot be read ({error.strerror}); `python -m authn --new-keys` prints one"]
        ) from None
    except ValueError:
        raise ConfigurationError([f"{path}: is not JSON; write a private JWK set (RFC 7517)"]) from None
    entries = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(entries, list) or not entries:
        raise ConfigurationError([f"{path}: has no keys; write a private JWK set (RFC 7517)"])

    problems: list[str] = []
    keys: list[RSAKey] = []
    key_ids: list[str] = []
    for number, entry in enumerate(entries):
        try:
            key, key_id = _key(entry, signs=number == 0)
        except ValueError as error:
            problems.append(f"{path}: keys[{number}]: {error}")
            continue
        if key_id in key_ids:
            problems.append(
                f"{path}: keys[{number}]: has the kid of another key; a verifier could not distinguish them"
            )
        keys.append(key)
        key_ids.append(key_id)
    if problems:
        raise ConfigurationError(problems)
    return KeySet(tuple(keys), tuple(key_ids))


def generate() -> str:
    """A private JWK set with one new key, as the text of a file."""
    key = RSAKey.generate_key(LEAST_BITS, {"use": "sig", "alg": ALGORITHM}, private=True, auto_kid=True)
    return json.dumps({"keys": [key.as_dict(private=True)]}, indent=2)


def _key(entry: Any, signs: bool) -> tuple[RSAKey, str]:
    """One key and its id. Raises ValueError with a message that holds no member of the key."""
    if not isinstance(entry, dict) or entry.get("kty") != "RSA":
        raise ValueError("is not an RSA key; write a JWK with kty RSA")
    if entry.get("use", "sig") != "sig" or entry.get("alg", ALGORITHM) != ALGORITHM:
        raise ValueError(f"is for something else; write use sig and alg {ALGORITHM}, or leave them out")
    key_id = entry.get("kid", "")
    if not isinstance(key_id, str):
        raise ValueError("has a kid that is not a text; write a text, or leave it out")
    try:
        with warnings.catch_warnings():
            # Of short keys, which are refused below.
            warnings.simplefilter("ignore", SecurityWarning)
            key = RSAKey.import_key({name: entry[name] for name in entry.keys() - {"use", "alg", "key_ops"}})
        bits = key.public_key.key_size
    except (JoseError, ValueError, TypeError, KeyError, AttributeError):
        # The cause may quote the key.
        raise ValueError("is not a valid RSA key; make a new one with `python -m authn --new-keys`") from None
    if signs and not key.is_private:
        raise ValueError("has no private half; the first key signs, so put a private key first")
    if not LEAST_BITS <= bits <= MOST_BITS:
        raise ValueError(f"has {bits} bits; {ALGORITHM} wants {LEAST_BITS} to {MOST_BITS}")
    return key, key_id or key.thumbprint()
