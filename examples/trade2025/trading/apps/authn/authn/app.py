# SPDX-License-Identifier: GPL-3.0-or-later
"""The HTTP interface: routes, responses, and one log line per request."""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib import resources
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from anyio import CapacityLimiter, to_thread
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from authn import request as token_request
from authn import tokens
from authn.clients import ClientSecrets
from authn.config import Config, is_http_url
from authn.errors import OAuthError
from authn.keys import KeySet
from authn.log import FIELDS

METADATA_PATH = "/.well-known/oauth-authorization-server"
JWKS_PATH = "/.well-known/jwks.json"
TOKEN_PATH = "/token"

# Far more than any token request needs.
MOST_BODY_BYTES = 16 * 1024
# Each takes 16 MiB and a processor; more at once would only make all of them slower.
HASHES_AT_ONCE = 4

# RFC 6749 section 5.1 asks for both.
_NOT_STORED = {"Cache-Control": "no-store", "Pragma": "no-cache"}
# Verifiers may keep the keys for a while; a rotation has to wait that long.
_KEYS_FOR_A_WHILE = {"Cache-Control": "public, max-age=300"}
_CHALLENGE = {"WWW-Authenticate": 'Basic realm="authn", charset="UTF-8"'}

_LOGGER = logging.getLogger("authn")
_LOG_KEY = "authn.log"


@dataclass(frozen=True)
class Issuer:
    """What the endpoints work with; all of it is read at start and never changes."""

    config: Config
    keys: KeySet
    secrets: ClientSecrets

    def endpoint(self, path: str, request: Request) -> str:
        """The URL at which a client reaches `path`.

        Where neither `service.public_url` nor an issuer that is a URL says so, the address that the client used.
        """
        config = self.config
        base = config.public_url or (config.issuer if is_http_url(config.issuer) else str(request.base_url))
        return base.rstrip("/") + path


def create(issuer: Issuer) -> Starlette:
    """The application."""
    document = _openapi(issuer.config)

    async def health(_: Request) -> Response:
        return JSONResponse({"status": "healthy"}, headers=_NOT_STORED)

    async def jwks(_: Request) -> Response:
        return JSONResponse(issuer.keys.public(), headers=_KEYS_FOR_A_WHILE)

    async def metadata(request: Request) -> Response:
        # Not to be stored: where only the request tells the address, another client's would be wrong.
        return JSONResponse(_metadata(issuer, request), headers=_NOT_STORED)

    async def openapi(_: Request) -> Response:
        return JSONResponse(document)

    async def token(request: Request) -> Response:
        return await _token(issuer, request)

    # RFC 8414 section 3.1 puts the well-known part between the issuer's host and its path.
    path = urlsplit(issuer.config.issuer).path.rstrip("/") if is_http_url(issuer.config.issuer) else ""
    return Starlette(
        routes=[
            Route("/health", health),
            Route(JWKS_PATH, jwks),
            *(Route(METADATA_PATH + suffix, metadata) for suffix in dict.fromkeys(("", path))),
            Route("/openapi.json", openapi),
            Route(TOKEN_PATH, token, methods=["POST"]),
        ],
        middleware=[Middleware(_AccessLog, known=frozenset(issuer.config.clients))],
        exception_handlers={OAuthError: _oauth_error, HTTPException: _http_error, Exception: _server_error},
        lifespan=_lifespan,
    )


@asynccontextmanager
async def _lifespan(_: Starlette) -> AsyncIterator[dict[str, Any]]:
    yield {"hashing": CapacityLimiter(HASHES_AT_ONCE)}


async def _token(issuer: Issuer, request: Request) -> Response:
    note = request.scope[_LOG_KEY]
    # Section 2.3.1: not in the URI, which ends up in logs. Whoever sends them there should learn it.
    if {"client_id", "client_secret"} & {name for name, _ in parse_qsl(request.url.query, keep_blank_values=True)}:
        raise OAuthError("invalid_request", "credentials belong in the header or the body, not in the address")
    asked = token_request.parse(
        request.headers.get("content-type", ""),
        request.headers.getlist("authorization"),
        await _body(request),
        issuer.config.clients,
    )
    note["client_id"] = asked.client_id
    if not await to_thread.run_sync(
        issuer.secrets.verify, asked.client_id, asked.client_secret, limiter=request.state.hashing
    ):
        raise OAuthError("invalid_client", "unknown client or wrong secret")
    scopes = token_request.granted(asked.scopes, issuer.config.clients[asked.client_id])
    issued = tokens.issue(issuer.config, issuer.keys, asked.client_id, scopes, time.time())
    note |= {"jti": issued.token_id, "scope": " ".join(scopes)}
    return JSONResponse(
        {
            "access_token": issued.text,
            "token_type": "Bearer",
            "expires_in": issuer.config.expiration_s,
            "scope": " ".join(scopes),
        },
        headers=_NOT_STORED,
    )


async def _body(request: Request) -> bytes:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MOST_BODY_BYTES:
            raise OAuthError("invalid_request", f"the body is longer than {MOST_BODY_BYTES} bytes", status=413)
    return body


def _openapi(config: Config) -> dict[str, Any]:
    """The OpenAPI document, with the scopes of this configuration."""
    document: dict[str, Any] = json.loads(resources.files("authn").joinpath("openapi.json").read_text(encoding="utf-8"))
    # Escapes that a JavaScript expression knows too, which is what a JSON schema's pattern is.
    one = "|".join(re.sub(r"[$()*+./?[\]^{|}]", r"\\\g<0>", scope) for scope in _scopes(config))
    document["components"]["schemas"]["TokenRequest"]["properties"]["scope"]["pattern"] = f"^(({one})( ({one}))*)?$"
    return document


def _scopes(config: Config) -> list[str]:
    """Every scope that some client may have, once."""
    return list(dict.fromkeys(scope for allowed in config.clients.values() for scope in allowed))


def _metadata(issuer: Issuer, request: Request) -> dict[str, Any]:
    return {
        "issuer": issuer.config.issuer,
        "token_endpoint": issuer.endpoint(TOKEN_PATH, request),
        "jwks_uri": issuer.endpoint(JWKS_PATH, request),
        "scopes_supported": _scopes(issuer.config),
        # Required by RFC 8414, and empty: there is no authorization endpoint.
        "response_types_supported": [],
        "grant_types_supported": [token_request.GRANT_TYPE],
        "token_endpoint_auth_methods_supported": list(token_request.AUTHENTICATION_METHODS),
    }


async def _oauth_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, OAuthError)
    request.scope[_LOG_KEY] |= {"error": error.code, "reason": error.description}
    headers = _NOT_STORED | (_CHALLENGE if error.status == 401 else {})
    return JSONResponse({"error": error.code, "error_description": error.description}, error.status, headers)


async def _http_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "invalid_request")
    return JSONResponse({"error": code}, error.status_code, {**_NOT_STORED, **(error.headers or {})})


async def _server_error(_: Request, __: Exception) -> Response:
    return JSONResponse({"error": "server_error"}, 500, _NOT_STORED)


class _AccessLog:
    """One line a request: who, what, how it ended, how long it took."""

    def __init__(self, app: ASGIApp, known: frozenset[str]) -> None:
        self._app = app
        self._known = known

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        note: dict[str, Any] = {}
        scope[_LOG_KEY] = note
        status = 500

        async def noting_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noting_send)
        finally:
            # What was sent as the id may be a secret in the wrong place, so only known ids are shown.
            if "client_id" in note and note["client_id"] not in self._known:
                note["client_id"] = None
            fields = {
                "method": scope["method"],
                "path": scope["path"],
                "status": status,
                "duration_ms": round((time.perf_counter() - started) * 1000, 1),
                "peer": (scope.get("client") or [None])[0],
                **note,
            }
            level = logging.DEBUG if scope["path"] == "/health" and status == 200 else logging.INFO
            _LOGGER.log(level, "request", extra={FIELDS: fields})
