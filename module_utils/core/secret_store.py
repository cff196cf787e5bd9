# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets of the services: created once, kept, never shown."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import secrets
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible.module_utils.core import atomic
from ansible.module_utils.shared.fs import replace_file
from ansible.module_utils.shared.ownership import Ownership

# 256 bits, the strength of the strongest algorithm that uses one of them.
PASSWORD_BYTES = 32
# Shorter ones can be guessed, and masking them would garble an output.
SHORTEST_PASSWORD = 8
# RFC 7518 section 3.3 asks RS256 for 2048 bits or more.
RSA_BITS = 2048
# Cost that the authn service verifies in about 50 ms (N, r, p), as RFC 7914 describes them.
SCRYPT = (16384, 8, 1)


class SecretError(Exception):
    """A declared secret cannot be used; the text is a message for the user and never contains the secret."""


@dataclass
class Outcome:
    """What was or would be written. Names only."""

    created: list[str] = field(default_factory=list)
    replaced: list[str] = field(default_factory=list)
    reowned: list[str] = field(default_factory=list)

    @property
    def changed(self) -> bool:
        return bool(self.created or self.replaced or self.reowned)


def password() -> str:
    """A URL-safe random password."""
    return secrets.token_urlsafe(PASSWORD_BYTES)


def key_set() -> str:
    """A private JWK set with one RSA signing key."""
    from cryptography.hazmat.primitives.asymmetric import rsa

    numbers = rsa.generate_private_key(public_exponent=65537, key_size=RSA_BITS).private_numbers()
    public = numbers.public_numbers
    parts = {
        "n": public.n,
        "e": public.e,
        "d": numbers.d,
        "p": numbers.p,
        "q": numbers.q,
        "dp": numbers.dmp1,
        "dq": numbers.dmq1,
        "qi": numbers.iqmp,
    }
    key: dict[str, str] = {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": str(uuid.uuid4())}
    key.update(
        {name: _base64url(value.to_bytes((value.bit_length() + 7) // 8, "big")) for name, value in parts.items()}
    )
    return json.dumps({"keys": [key]}, indent=2) + "\n"


def scrypt_hash(secret: str) -> str:
    """`scrypt$N$r$p$salt$hash`, the form that the authn service reads."""
    salt = secrets.token_bytes(16)
    n, r, p = SCRYPT
    digest = hashlib.scrypt(secret.encode(), salt=salt, n=n, r=r, p=p, maxmem=64 * 2**20, dklen=32)
    return f"scrypt${n}${r}${p}${_base64url(salt)}${_base64url(digest)}"


def matches_hash(secret: str, stored: str) -> bool:
    """Whether `stored` is a hash of `secret`."""
    try:
        _kind, n, r, p, salt, digest = stored.split("$")
        made = hashlib.scrypt(
            secret.encode(), salt=_from_base64url(salt), n=int(n), r=int(r), p=int(p), maxmem=64 * 2**20, dklen=32
        )
        return secrets.compare_digest(made, _from_base64url(digest))
    except (ValueError, TypeError, OverflowError):
        # A damaged hash, of which `hashlib` reports parameters out of range as a TypeError.
        return False


def matches_any(secret: str, stored: Any) -> bool:
    """Whether one of the hashes of a client, a single one or a list, is of `secret`."""
    known = stored if isinstance(stored, list) else [stored] if stored else []
    return any(matches_hash(secret, str(item)) for item in known)


def read_text(file: Path) -> str | None:
    """The content of a secret; None if there is none. Raises SecretError, also for a symlink to nowhere."""
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError:
        if file.is_symlink():
            raise SecretError(
                f"{file} is a symlink to {file.readlink()}, which does not exist. Mount or correct what it leads to, "
                "or remove the symlink to have a new secret generated."
            ) from None
        return None
    except UnicodeDecodeError:
        raise SecretError(f"{file} is not text. Correct it, or move it away to have a new one generated.") from None


def parse_object(file: Path, text: str | None) -> dict[str, Any]:
    """The secrets or hashes of clients, from the text of their file; empty without a text. Raises SecretError."""
    try:
        content = json.loads(text) if text else {}
    except ValueError as error:
        raise SecretError(
            f"{file} is not JSON ({error}). Correct it, or move it away to have a new one generated."
        ) from None
    if not isinstance(content, dict):
        raise SecretError(
            f"{file} must contain a JSON object. Correct it, or move it away to have a new one generated."
        )
    return content


class SecretStore:
    """The secrets below one folder."""

    def __init__(self, root: Path, check_mode: bool) -> None:
        self.root = root
        self.check_mode = check_mode
        self.outcome = Outcome()

    def ensure(self, entry: Mapping[str, Any]) -> None:
        """Create or correct one declared secret, according to its kind."""
        kinds: dict[str, Callable[[Mapping[str, Any]], None]] = {
            "password": self._ensure_password,
            "jwks": self._ensure_key_set,
            "clients": self._ensure_clients,
        }
        kinds[entry["kind"]](entry)

    def _ensure_password(self, entry: Mapping[str, Any]) -> None:
        current = self._read(entry["path"])
        wanted = entry.get("value") or None
        if wanted is not None and len(wanted) < SHORTEST_PASSWORD:
            raise SecretError(
                f"the value set for the secret {entry['path']} is shorter than {SHORTEST_PASSWORD} characters; "
                "set a longer one, or none to have one generated"
            )
        if wanted is not None and any(character in wanted for character in "\r\n\0"):
            raise SecretError(f"the value set for the secret {entry['path']} has a line break; write it as one line")
        if wanted is not None and (current is None or current.strip() != wanted):
            self._write(entry, wanted + "\n", current is not None)
        elif current is None:
            self._write(entry, password() + "\n", False)
        else:
            self._own(entry)

    def _ensure_key_set(self, entry: Mapping[str, Any]) -> None:
        if self._read(entry["path"]) is None:
            self._write(entry, "" if self.check_mode else key_set(), False)
        else:
            self._own(entry)

    def _ensure_clients(self, entry: Mapping[str, Any]) -> None:
        """Plain secrets for the clients in one file, their hashes for the server in another."""
        plain = self._object(entry["plain"])
        for name, secret in plain.items():
            if not isinstance(secret, str):
                raise SecretError(
                    f"{self.root / entry['plain']}: the secret of {name} must be text. Correct it, or remove it to "
                    "have a new one generated."
                )
        hashes = self._object(entry["path"])
        set_by_site: dict[str, str] = json.loads(entry.get("value") or "{}")
        wanted = {name: set_by_site.get(name) or plain.get(name) or password() for name in entry["clients"]}
        # Clients that are no longer declared lose their access; their secrets stay in the copy that is kept.
        if wanted != plain:
            self._write({"path": entry["plain"], "gid": 0, "mode": 0o600}, _pretty(wanted), bool(plain))
        fresh = {
            name: hashes[name] if matches_any(secret, hashes.get(name)) else scrypt_hash(secret)
            for name, secret in wanted.items()
        }
        if fresh != hashes:
            self._write(entry, _pretty(fresh), bool(hashes))
        else:
            self._own(entry)

    def _object(self, path: str) -> dict[str, Any]:
        return parse_object(self.root / path, self._read(path))

    def _read(self, path: str) -> str | None:
        """The secret; None if there is none, or if its file was emptied."""
        text = read_text(self.root / path)
        return text if text and text.strip() else None

    def _write(self, entry: Mapping[str, Any], text: str, existed: bool) -> None:
        (self.outcome.replaced if existed else self.outcome.created).append(entry["path"])
        if self.check_mode:
            return
        file = self.root / entry["path"]
        if file.parent != self.root:
            file.parent.mkdir(mode=0o750, exist_ok=True)
            Ownership(0 if os.geteuid() == 0 else None, entry["gid"], 0o750).apply(file.parent)
        if existed:
            atomic.back_up(file, self.root)
        replace_file(file, text.encode(), self._ownership(entry))

    def _own(self, entry: Mapping[str, Any]) -> None:
        file = self.root / entry["path"]
        if not self._ownership(entry).missing(file):
            return
        if self.check_mode or self._ownership(entry).apply(file):
            self.outcome.reowned.append(entry["path"])

    @staticmethod
    def _ownership(entry: Mapping[str, Any]) -> Ownership:
        return Ownership(0 if os.geteuid() == 0 else None, entry["gid"], entry.get("mode", 0o640))


def _pretty(content: Mapping[str, Any]) -> str:
    return json.dumps(dict(sorted(content.items())), indent=2) + "\n"


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _from_base64url(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
