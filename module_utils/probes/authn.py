# SPDX-License-Identifier: GPL-3.0-or-later
"""Probes of authn: an OAuth 2.0 issuer for client credentials (RFC 6749 §4.4, RFC 8414, RFC 9068)."""

from __future__ import annotations

import base64
import json
import secrets
import time
from dataclasses import dataclass, field
from typing import Any, ClassVar
from urllib.parse import quote_plus, urlencode, urlsplit

from ansible.module_utils.probes import web
from ansible.module_utils.probes.base import Kind, Probe, ProbeError, Target
from ansible.module_utils.probes.compare import raise_on_mismatch

JWKS_PATH = "/.well-known/jwks.json"
METADATA_PATH = "/.well-known/oauth-authorization-server"
# Members of a JWK that must never leave the issuer (RFC 7518 §6.3.2, §6.4).
PRIVATE = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
LEAST_BITS = 2048
# Seconds by which the clocks of the container and of this machine may differ.
LEEWAY_S = 5
ALGORITHM = "RS256"


@dataclass(frozen=True, kw_only=True)
class Health(Probe):
    """The server reports that it is up."""

    TYPE: ClassVar[str] = "authn_health"
    port: str = "http"

    def run(self, target: Target) -> str:
        """Ask /health."""
        web.ask(target, self.port, "/health").expect(200)
        return "/health answers 200"


@dataclass(frozen=True, kw_only=True)
class Jwks(Probe):
    """The published keys are public RSA keys of 2048 bits or more, each with a unique id."""

    TYPE: ClassVar[str] = "authn_jwks"
    port: str = "http"

    def run(self, target: Target) -> str:
        """Ask for the key set."""
        keys = _key_set(target, self.port)
        if problems := key_problems(keys):
            raise ProbeError(f"{JWKS_PATH}: {'; '.join(problems)}", Kind.ANSWER)
        return f"{len(keys)} public key{'s' if len(keys) > 1 else ''}"


@dataclass(frozen=True, kw_only=True)
class Metadata(Probe):
    """The metadata names the issuer and the endpoints for tokens and keys."""

    TYPE: ClassVar[str] = "authn_metadata"
    port: str = "http"
    issuer: str

    def run(self, target: Target) -> str:
        """Request the metadata at the address of RFC 8414 §3.1: before the path of the issuer."""
        path = urlsplit(self.issuer).path.rstrip("/") if "://" in self.issuer else ""
        document = web.ask(target, self.port, METADATA_PATH + path).expect(200).mapping()
        if document.get("issuer") != self.issuer:
            raise_on_mismatch([f"the issuer is {document.get('issuer')!r}, not {self.issuer!r}"])
        endpoints = {name: document.get(name) for name in ("token_endpoint", "jwks_uri")}
        wrong = [f"{name} is {value!r}" for name, value in endpoints.items() if not _is_url(value)]
        if "client_credentials" not in (document.get("grant_types_supported") or []):
            wrong.append("grant_types_supported lacks client_credentials")
        if not isinstance(document.get("response_types_supported"), list):
            wrong.append("response_types_supported is missing")
        if wrong:
            raise ProbeError(f"{METADATA_PATH}: {'; '.join(wrong)}")
        return f"the issuer is {self.issuer}"


@dataclass(frozen=True, kw_only=True)
class TokenProbe(Probe):
    """Base of the probes that request a token."""

    port: str = "http"
    path: str = "/token"
    # JSON object: client -> secret, relative to the secrets root.
    clients_file: str

    def clients(self, target: Target) -> dict[str, str]:
        """Client -> secret; raises ProbeError."""
        try:
            clients = json.loads(target.secret(self.clients_file))
        except ValueError:
            clients = None
        if isinstance(clients, dict) and clients and all(isinstance(secret, str) for secret in clients.values()):
            return clients
        raise ProbeError(f"{self.clients_file} is not a JSON object of clients and their secrets", Kind.CONFIG)

    def ask(self, target: Target, client: str, secret: str, scope: str) -> web.Answer:
        """Ask for a token with client_secret_basic."""
        # RFC 6749 §2.3.1: each half is form-encoded first, because the name of a client may contain a colon.
        credentials = f"{quote_plus(client)}:{quote_plus(secret)}".encode()
        headers = {
            "Authorization": "Basic " + base64.b64encode(credentials).decode("ascii"),
            "Content-Type": "application/x-www-form-urlencoded",
        }
        form = {"grant_type": "client_credentials", **({"scope": scope} if scope else {})}
        return web.ask(target, self.port, self.path, method="POST", body=urlencode(form), headers=headers)


@dataclass(frozen=True, kw_only=True)
class Tokens(TokenProbe):
    """Every client gets a token, signed by a published key, with the claims that RFC 9068 requires."""

    TYPE: ClassVar[str] = "authn_tokens"
    LIBRARY: ClassVar[tuple[str, str] | None] = ("joserfc.jwt", "joserfc")
    REQUESTS: ClassVar[int] = 6
    issuer: str
    audience: str
    # Client -> its scopes. Empty: every client of the file, with the scopes that it gets by default.
    scopes: dict[str, list[str]] = field(default_factory=dict)

    def run(self, target: Target) -> str:
        """One token for each client."""
        clients = self.clients(target)
        if missing := sorted(set(self.scopes) - set(clients)):
            raise ProbeError(f"{self.clients_file} has no secret for {', '.join(missing)}", Kind.CONFIG)
        keys = _key_set(target, self.port)
        wanted = self.scopes or {client: [] for client in clients}
        for client, scopes in wanted.items():
            answer = self.ask(target, client, clients[client], " ".join(scopes))
            if answer.status in (400, 401):
                error = _error(answer)
                kind = Kind.AUTH if error == "invalid_client" else Kind.MISMATCH
                raise ProbeError(f"{client} gets no token: {answer.status} {error}", kind)
            problems = self._problems(answer.expect(200), keys, client, scopes)
            if problems:
                raise ProbeError(f"the token of {client}: {'; '.join(problems)}", Kind.MISMATCH)
        return f"{len(wanted)} clients got a valid token"

    def _problems(self, answer: web.Answer, keys: list[dict[str, Any]], client: str, scopes: list[str]) -> list[str]:
        from joserfc import jwt
        from joserfc.errors import JoseError
        from joserfc.jwk import KeySet

        body = answer.mapping()
        problems = []
        if str(body.get("token_type", "")).lower() != "bearer":
            problems.append(f"token_type is {body.get('token_type')!r}")
        if "no-store" not in answer.headers.get("cache-control", ""):
            problems.append("caches may store the answer (Cache-Control: no-store is missing)")
        try:
            token = jwt.decode(str(body.get("access_token", "")), KeySet.import_key_set({"keys": keys}), [ALGORITHM])
        except (JoseError, ValueError) as error:
            return [*problems, f"its signature does not match the keys of {JWKS_PATH} ({error})"]
        if str(token.header.get("typ", "")).lower() not in ("at+jwt", "application/at+jwt"):
            problems.append(f"typ is {token.header.get('typ')!r}, not at+jwt")
        if token.header.get("kid") not in [key.get("kid") for key in keys]:
            problems.append("its kid is not published")
        return problems + claim_problems(token.claims, self.issuer, self.audience, client, scopes, time.time())


@dataclass(frozen=True, kw_only=True)
class Refusals(TokenProbe):
    """A wrong secret and a scope that is not allowed are rejected as RFC 6749 §5.2 requires."""

    TYPE: ClassVar[str] = "authn_refusals"
    REQUESTS: ClassVar[int] = 2

    def run(self, target: Target) -> str:
        """Send two requests that must be rejected."""
        client, secret = next(iter(self.clients(target).items()))
        answer = self.ask(target, client, secrets.token_urlsafe(32), "")
        self._must_refuse(answer, "a wrong secret", 401, "invalid_client")
        answer = self.ask(target, client, secret, target.unique())
        self._must_refuse(answer, "a scope that is not configured", 400, "invalid_scope")
        return "a wrong secret and a scope that is not configured are rejected"

    @staticmethod
    def _must_refuse(answer: web.Answer, what: str, status: int, error: str) -> None:
        # The answer is not quoted: if it is not a rejection, it contains a token.
        if answer.status == 200:
            raise ProbeError(f"{what} gets a token", Kind.UNEXPECTED_ACCESS)
        if answer.status != status or _error(answer) != error:
            raise ProbeError(f"{what} gets {answer.status} {_error(answer)}, not {status} {error}")
        if status == 401 and not answer.headers.get("www-authenticate", "").lower().startswith("basic"):
            raise ProbeError(f"{what} is rejected without the header WWW-Authenticate")


def key_problems(keys: list[dict[str, Any]]) -> list[str]:
    """The errors in a published key set; no part of a private key is repeated."""
    problems = [] if keys else ["no key is published"]
    for number, key in enumerate(keys, 1):
        who = f"key {key.get('kid') or number}"
        if leaked := sorted(PRIVATE & set(key)):
            problems.append(f"{who} has private members ({', '.join(leaked)})")
        if key.get("kty") != "RSA" or not key.get("n") or not key.get("e"):
            problems.append(f"{who} is not an RSA key")
        elif (bits := len(str(key["n"]).rstrip("=")) * 6 // 8 * 8) < LEAST_BITS:
            problems.append(f"{who} has {bits} bits, fewer than {LEAST_BITS}")
        if not key.get("kid"):
            problems.append(f"{who} has no kid")
    names = [key["kid"] for key in keys if key.get("kid")]
    if len(set(names)) < len(names):
        problems.append("two keys have the same kid")
    return problems


def claim_problems(
    claims: dict[str, Any], issuer: str, audience: str, client: str, scopes: list[str], now: float
) -> list[str]:
    """The errors in the claims of an access token (RFC 9068 §2.2)."""
    audiences = claims.get("aud") if isinstance(claims.get("aud"), list) else [claims.get("aud")]
    expires, issued = claims.get("exp"), claims.get("iat")
    granted = set(str(claims.get("scope") or "").split())
    allowed = granted == set(scopes) if scopes else bool(granted)
    rules = {
        f"iss is {claims.get('iss')!r}, not {issuer!r}": claims.get("iss") == issuer,
        f"aud is {claims.get('aud')!r}, not {audience!r}": audience in (audiences or []),
        f"sub is {claims.get('sub')!r}, not {client!r}": claims.get("sub") == client,
        f"client_id is {claims.get('client_id')!r}, not {client!r}": claims.get("client_id") == client,
        f"exp is {expires!r}, which is in the past": isinstance(expires, int | float) and expires > now,
        f"iat is {issued!r}, which is in the future": isinstance(issued, int | float) and issued <= now + LEEWAY_S,
        "jti is missing": bool(claims.get("jti")),
        f"scope is {claims.get('scope')!r}, not {' '.join(scopes)!r}": allowed,
    }
    return [problem for problem, holds in rules.items() if not holds]


def _key_set(target: Target, port: str) -> list[dict[str, Any]]:
    keys = web.ask(target, port, JWKS_PATH).expect(200).mapping().get("keys")
    if not isinstance(keys, list) or not all(isinstance(key, dict) for key in keys):
        raise ProbeError(f"{JWKS_PATH} is not a key set")
    return keys


def _error(answer: web.Answer) -> str:
    """The error code of a rejection; "" if there is none."""
    try:
        document = json.loads(answer.body)
    except ValueError:
        return ""
    return str(document.get("error", "")) if isinstance(document, dict) else ""


def _is_url(value: Any) -> bool:
    return isinstance(value, str) and urlsplit(value).scheme in ("http", "https") and bool(urlsplit(value).netloc)


PROBES: tuple[type[Probe], ...] = (Health, Jwks, Metadata, Tokens, Refusals)
