# SPDX-License-Identifier: GPL-3.0-or-later
"""A token request taken apart: pure functions of its header and body (RFC 6749 sections 2.3.1, 3.2, 3.3 and 4.4.2)."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Container, Sequence
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote_plus

from authn.config import SCOPE
from authn.errors import OAuthError

GRANT_TYPE = "client_credentials"
MEDIA_TYPE = "application/x-www-form-urlencoded"
AUTHENTICATION_METHODS = ("client_secret_basic", "client_secret_post")
_PARAMETERS = frozenset({"grant_type", "scope", "client_id", "client_secret"})


@dataclass(frozen=True)
class TokenRequest:
    """What a client asks for.

    Attributes:
        client_id: who it says it is.
        client_secret: how it proves that; never shown by `repr`.
        scopes: what it wants, without repetitions; None when it leaves that to the issuer.
    """

    client_id: str
    client_secret: str = field(repr=False)
    scopes: tuple[str, ...] | None


def parse(content_type: str, authorization: Sequence[str], body: bytes, known: Container[str]) -> TokenRequest:
    """Take a token request apart.

    Args:
        content_type: the header of that name.
        authorization: every header of that name.
        body: the whole body.
        known: the configured client ids, needed to read the credentials of clients that do not encode a colon.

    Raises:
        OAuthError: as RFC 6749 section 5.2 says.
    """
    if content_type.partition(";")[0].strip().lower() != MEDIA_TYPE:
        raise OAuthError("invalid_request", f"the body must be {MEDIA_TYPE}")
    parameters = _parameters(body)
    grant_type = parameters.get("grant_type")
    if grant_type is None:
        raise OAuthError("invalid_request", "grant_type is missing")
    if grant_type != GRANT_TYPE:
        raise OAuthError("unsupported_grant_type", f"the only grant type is {GRANT_TYPE}")
    client_id, client_secret = _credentials(parameters, authorization, known)
    return TokenRequest(client_id, client_secret, _scopes(parameters.get("scope")))


def granted(wanted: tuple[str, ...] | None, allowed: tuple[str, ...]) -> tuple[str, ...]:
    """The scopes of the token: those that were asked for, or all that the client may have (section 3.3).

    Raises:
        OAuthError: `invalid_scope`, when one of them is not allowed.
    """
    if wanted is None:
        return allowed
    if not set(wanted) <= set(allowed):
        raise OAuthError("invalid_scope", "a requested scope is not allowed for this client")
    return wanted


def _parameters(body: bytes) -> dict[str, str]:
    try:
        # A parameter without a value counts as omitted (section 3.1).
        pairs = parse_qsl(body.decode("ascii"), encoding="utf-8", errors="strict", max_num_fields=100)
    except ValueError:
        raise OAuthError("invalid_request", "the body is not form-encoded UTF-8") from None
    # Others are ignored (section 3.2), and extensions have some that may be repeated (RFC 8707).
    pairs = [pair for pair in pairs if pair[0] in _PARAMETERS]
    parameters = dict(pairs)
    if len(parameters) != len(pairs):
        raise OAuthError("invalid_request", "a parameter is given more than once")
    return parameters


def _credentials(parameters: dict[str, str], authorization: Sequence[str], known: Container[str]) -> tuple[str, str]:
    if len(authorization) > 1 or (authorization and "client_secret" in parameters):
        raise OAuthError("invalid_request", "use one way to authenticate")
    if authorization:
        client_id, client_secret = basic_credentials(authorization[0], known)
        if parameters.get("client_id", client_id) != client_id:
            raise OAuthError("invalid_request", "client_id differs from the authenticated client")
        return client_id, client_secret
    if "client_id" not in parameters or "client_secret" not in parameters:
        raise OAuthError("invalid_client", "the client must authenticate")
    return parameters["client_id"], parameters["client_secret"]


def basic_credentials(header: str, known: Container[str]) -> tuple[str, str]:
    """Client id and secret of an `Authorization: Basic` header.

    Section 2.3.1 has a client form-encode both before they are joined by a colon, so the header of a client that
    follows it has exactly one colon. Most clients (curl, requests, Authlib) encode nothing. With a colon in the id,
    such a header has several; then the longest known id before a colon is taken, and both parts as they are.

    Raises:
        OAuthError: `invalid_client` if the header is not valid.
    """
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        raise OAuthError("invalid_client", "the scheme of Authorization must be Basic")
    try:
        text = base64.b64decode(encoded.strip(), validate=True).decode("utf-8")
        colons = [position for position, character in enumerate(text) if character == ":"]
        if len(colons) > 1:
            for position in reversed(colons):
                if text[:position] in known:
                    return text[:position], text[position + 1 :]
        client_id, colon, client_secret = text.partition(":")
        if colon:
            return unquote_plus(client_id, errors="strict"), unquote_plus(client_secret, errors="strict")
    except (binascii.Error, ValueError):
        pass
    raise OAuthError("invalid_client", "the Authorization header is malformed")


def _scopes(text: str | None) -> tuple[str, ...] | None:
    if text is None:
        return None
    scopes = text.split(" ")
    if not all(SCOPE.fullmatch(scope) for scope in scopes):
        raise OAuthError("invalid_scope", "scope is a list of words with one space between them")
    return tuple(dict.fromkeys(scopes))
