# SPDX-License-Identifier: GPL-3.0-or-later
"""The clients' secrets: a file of scrypt hashes (RFC 7914), and a comparison that reveals only whether they match."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from authn.errors import ConfigurationError

# N, r and p of new hashes: about 50 ms and 16 MiB (128 * N * r). Secrets are random, so this only slows guessing.
COST = (16_384, 8, 1)
# Bounds for hashes from elsewhere: not cheaper than ours, and not so dear that they stop the service.
_LEAST_N = 2**14
_MOST_MEMORY = 64 * 2**20
_MOST_P = 4
_DIGEST_BYTES = 32
_SALT_BYTES = 16


@dataclass(frozen=True)
class SecretHash:
    """One stored hash: `scrypt$N$r$p$salt$hash`, the last two in base64url without padding."""

    n: int
    r: int
    p: int
    salt: bytes
    digest: bytes

    @classmethod
    def parse(cls, text: Any) -> SecretHash:
        """Raises ValueError, whose message does not repeat the hash."""
        parts = text.split("$") if isinstance(text, str) else []
        if len(parts) != 6 or parts[0] != "scrypt" or not all(part.isascii() and part.isdigit() for part in parts[1:4]):
            raise ValueError("is not of the form scrypt$N$r$p$salt$hash")
        n, r, p = (int(part) for part in parts[1:4])
        if n < _LEAST_N or n & (n - 1) or r < 1 or 128 * n * r > _MOST_MEMORY or not 1 <= p <= _MOST_P:
            raise ValueError(f"costs N={n}, r={r}, p={p}; make it with N={COST[0]}, r={COST[1]}, p={COST[2]}")
        salt, digest = _from_base64url(parts[4]), _from_base64url(parts[5])
        if len(salt) < _SALT_BYTES or len(digest) != _DIGEST_BYTES:
            raise ValueError(f"wants a salt of {_SALT_BYTES} bytes or more and a hash of {_DIGEST_BYTES} bytes")
        return cls(n, r, p, salt, digest)

    @classmethod
    def of(cls, secret: str) -> SecretHash:
        """A new hash of a secret, with a random salt."""
        salt = secrets.token_bytes(_SALT_BYTES)
        return cls(*COST, salt, _scrypt(secret, *COST, salt))

    @classmethod
    def decoy(cls, like: SecretHash) -> SecretHash:
        """A hash of nothing that takes the work of `like`."""
        return cls(like.n, like.r, like.p, secrets.token_bytes(len(like.salt)), secrets.token_bytes(_DIGEST_BYTES))

    def __str__(self) -> str:
        salt, digest = (base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in (self.salt, self.digest))
        return f"scrypt${self.n}${self.r}${self.p}${salt}${digest}"

    def matches(self, secret: str) -> bool:
        return secrets.compare_digest(_scrypt(secret, self.n, self.r, self.p, self.salt), self.digest)


class ClientSecrets:
    """Says whether a secret is a client's.

    Every question costs the same number of hashes, whether the client exists or not and however many secrets it has:
    the response time does not reveal which clients exist.
    """

    def __init__(self, hashes: Mapping[str, tuple[SecretHash, ...]]) -> None:
        self._hashes = dict(hashes)
        stored = [item for items in self._hashes.values() for item in items]
        most = max((len(items) for items in self._hashes.values()), default=0)
        self._decoys = tuple(
            SecretHash.decoy(max(stored, key=lambda item: item.n * item.r * item.p)) for _ in range(most)
        )

    def verify(self, client_id: str, secret: str) -> bool:
        """Blocks for as long as the hashes take."""
        stored = self._hashes.get(client_id, ())
        answers = [item.matches(secret) for item in (*stored, *self._decoys[len(stored) :])]
        return any(answers[: len(stored)])


def load(path: Path, client_ids: Mapping[str, Any]) -> ClientSecrets:
    """Read and check the file of hashes: a JSON object, client id -> hash or list of hashes.

    Args:
        path: the file.
        client_ids: the configured clients; each must have a hash. Other entries of the file have no effect.

    Raises:
        ConfigurationError: with every problem of the file, and nothing of its content.
    """
    try:
        document = json.loads(path.read_bytes())
    except OSError as error:
        raise ConfigurationError(
            [f"{path} (CLIENTS_PATH): cannot be read ({error.strerror}); mount the file of the clients' hashes there"]
        ) from None
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise ConfigurationError([f"{path}: is not a JSON object; write {{client id: hash}}"])

    problems: list[str] = []
    hashes: dict[str, tuple[SecretHash, ...]] = {}
    for client_id in client_ids:
        entry = document.get(client_id)
        texts = entry if isinstance(entry, list) else [entry] if entry else []
        if not texts:
            problems.append(f"{path}: {client_id}: has no hash; add what `python -m authn --hash-secret` prints")
        parsed = []
        for text in texts:
            try:
                parsed.append(SecretHash.parse(text))
            except ValueError as error:
                problems.append(f"{path}: {client_id}: a hash {error}")
        hashes[client_id] = tuple(parsed)
    if problems:
        raise ConfigurationError(problems)
    return ClientSecrets(hashes)


def _scrypt(secret: str, n: int, r: int, p: int, salt: bytes) -> bytes:
    # OpenSSL counts a little more than 128 * N * r.
    return hashlib.scrypt(secret.encode(), salt=salt, n=n, r=r, p=p, maxmem=2 * _MOST_MEMORY, dklen=_DIGEST_BYTES)


def _from_base64url(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("is not base64url") from None
