# SPDX-License-Identifier: GPL-3.0-or-later
"""Access tokens as RFC 9068 shapes them."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from joserfc import jwt

from authn.config import ALGORITHM, Config
from authn.keys import KeySet


@dataclass(frozen=True)
class AccessToken:
    """A signed token, and its id for the log."""

    text: str
    token_id: str


def issue(config: Config, keys: KeySet, client_id: str, scopes: Sequence[str], now: float) -> AccessToken:
    """Sign a token.

    Args:
        config: says issuer, audience and life.
        keys: the first one signs.
        client_id: the authenticated client, also the token's subject: no other party takes part in this grant.
        scopes: what the token allows.
        now: seconds since the epoch.
    """
    token_id = str(uuid.uuid4())
    claims: dict[str, Any] = {
        "iss": config.issuer,
        "sub": client_id,
        "client_id": client_id,
        "aud": config.audience[0] if len(config.audience) == 1 else list(config.audience),
        "iat": int(now),
        "exp": int(now) + config.expiration_s,
        "jti": token_id,
        "scope": " ".join(scopes),
    }
    header = {"alg": ALGORITHM, "typ": "at+jwt", "kid": keys.signing_key_id}
    return AccessToken(jwt.encode(header, claims, keys.signing_key, algorithms=[ALGORITHM]), token_id)
