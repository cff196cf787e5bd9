# SPDX-License-Identifier: GPL-3.0-or-later
"""The token endpoint, asked over HTTP, with PyJWT as the verifier that knows nothing of the service."""

from __future__ import annotations

import base64
import json
import time
from typing import Any
from urllib.parse import quote_plus, urlencode

import jwt
import pytest
from conftest import SCOPES, SECRETS, Answer, Server

GRANT = {"grant_type": "client_credentials"}
FORM = "application/x-www-form-urlencoded"


def basic(client_id: str, secret: str) -> dict[str, str]:
    """The header of a client that encodes as RFC 6749 section 2.3.1 says."""
    return raw_basic(f"{quote_plus(client_id)}:{quote_plus(secret)}")


def raw_basic(text: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(text.encode()).decode()}


def verified(server: Server, token: str) -> dict[str, Any]:
    """The claims, as a resource server reads them."""
    metadata = server.ask("GET", "/.well-known/oauth-authorization-server").json
    key = jwt.PyJWKClient(metadata["jwks_uri"]).get_signing_key_from_jwt(token)
    claims: dict[str, Any] = jwt.decode(
        token,
        key,
        algorithms=["RS256"],
        issuer=server.url,
        audience="trading",
        options={"require": ["iss", "sub", "client_id", "aud", "exp", "iat", "jti", "scope"]},
    )
    return claims


@pytest.mark.parametrize("client_id", SECRETS)
def test_every_client_gets_a_token_that_another_library_verifies(server: Server, client_id: str) -> None:
    before = int(time.time())
    answer = server.token(GRANT, basic(client_id, SECRETS[client_id]))
    assert answer.status == 200
    token = answer.json.pop("access_token")
    assert answer.json == {
        "access_token": token,
        "token_type": "Bearer",
        "expires_in": 600,
        "scope": " ".join(SCOPES[client_id]),
    }
    assert jwt.get_unverified_header(token).items() >= {"alg": "RS256", "typ": "at+jwt"}.items()
    claims = verified(server, token)
    assert claims["sub"] == claims["client_id"] == client_id
    assert claims["aud"] == "trading"
    assert claims["scope"] == " ".join(SCOPES[client_id])
    assert before <= claims["iat"] <= time.time()
    assert claims["exp"] - claims["iat"] == 600


def test_no_two_tokens_have_the_same_id(server: Server) -> None:
    tokens = [server.token(GRANT, basic("gateway", SECRETS["gateway"])).json["access_token"] for _ in range(2)]
    assert len({verified(server, token)["jti"] for token in tokens}) == 2


def test_a_tampered_token_is_refused(server: Server) -> None:
    token = server.token(GRANT, basic("gateway", SECRETS["gateway"])).json["access_token"]
    header, payload, signature = token.split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    claims["scope"] = "orders:submit"
    forged = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    with pytest.raises(jwt.InvalidSignatureError):
        verified(server, f"{header}.{forged}.{signature}")
    with pytest.raises(jwt.InvalidSignatureError):
        verified(server, f"{header}.{payload}.{'A' if signature[0] != 'A' else 'B'}{signature[1:]}")


def test_a_token_for_somebody_else_is_refused(server: Server) -> None:
    token = server.token(GRANT, basic("gateway", SECRETS["gateway"])).json["access_token"]
    key = jwt.PyJWKClient(f"{server.url}/.well-known/jwks.json").get_signing_key_from_jwt(token)
    with pytest.raises(jwt.InvalidAudienceError):
        jwt.decode(token, key, algorithms=["RS256"], audience="billing")
    with pytest.raises(jwt.InvalidIssuerError):
        jwt.decode(token, key, algorithms=["RS256"], audience="trading", issuer="http://elsewhere")


@pytest.mark.parametrize("client_id", SECRETS)
@pytest.mark.parametrize("way", ["encoded", "unencoded", "in the body", "in both, the id alone"])
def test_every_way_to_authenticate_works(server: Server, client_id: str, way: str) -> None:
    secret = SECRETS[client_id]
    form, headers = dict(GRANT), {}
    if way == "encoded":
        headers = basic(client_id, secret)
    elif way == "unencoded":
        headers = raw_basic(f"{client_id}:{secret}")
    elif way == "in the body":
        form |= {"client_id": client_id, "client_secret": secret}
    else:
        form |= {"client_id": client_id}
        headers = basic(client_id, secret)
    assert server.token(form, headers).status == 200


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        (None, "orders:submit fills:read"),
        ("fills:read", "fills:read"),
        ("fills:read orders:submit", "fills:read orders:submit"),
        ("fills:read fills:read", "fills:read"),
        ("", "orders:submit fills:read"),
    ],
)
def test_a_client_gets_the_scopes_that_it_asks_for(server: Server, asked: str | None, given: str) -> None:
    form = GRANT if asked is None else {**GRANT, "scope": asked}
    answer = server.token(form, basic("srv:oms", SECRETS["srv:oms"]))
    assert answer.json["scope"] == given
    assert verified(server, answer.json["access_token"])["scope"] == given


GOOD = basic("gateway", SECRETS["gateway"])


@pytest.mark.parametrize(
    ("form", "headers", "status", "error"),
    [
        pytest.param({**GRANT, "scope": "risk:check"}, GOOD, 400, "invalid_scope", id="scope of another client"),
        pytest.param(
            {**GRANT, "scope": "data:publish risk:check"}, GOOD, 400, "invalid_scope", id="one scope too many"
        ),
        pytest.param({**GRANT, "scope": "data:publish  data:publish"}, GOOD, 400, "invalid_scope", id="two spaces"),
        pytest.param({**GRANT, "scope": 'data:"'}, GOOD, 400, "invalid_scope", id="a quote in the scope"),
        pytest.param({"grant_type": "password"}, GOOD, 400, "unsupported_grant_type", id="another grant"),
        pytest.param({"grant_type": ""}, GOOD, 400, "invalid_request", id="an empty grant counts as none"),
        pytest.param({}, GOOD, 400, "invalid_request", id="no grant"),
        pytest.param(f"{urlencode(GRANT)}&{urlencode(GRANT)}", GOOD, 400, "invalid_request", id="a grant twice"),
        pytest.param(
            {**GRANT, "client_id": "gateway", "client_secret": "x"}, GOOD, 400, "invalid_request", id="two ways"
        ),
        pytest.param({**GRANT, "client_id": "srv:oms"}, GOOD, 400, "invalid_request", id="two ids"),
        pytest.param(b"grant_type=\xff", GOOD, 400, "invalid_request", id="not text"),
        pytest.param(b"grant_type=%ff", GOOD, 400, "invalid_request", id="not UTF-8"),
        pytest.param("x=" + 20_000 * "x", GOOD, 413, "invalid_request", id="a long body"),
        pytest.param(GRANT, {**GOOD, "Content-Type": "application/json"}, 400, "invalid_request", id="another type"),
        pytest.param(GRANT, {}, 401, "invalid_client", id="no credentials"),
        pytest.param({**GRANT, "client_id": "gateway"}, {}, 401, "invalid_client", id="no secret"),
        pytest.param(GRANT, {"Authorization": "Bearer x"}, 401, "invalid_client", id="another scheme"),
        pytest.param(GRANT, {"Authorization": "Basic %%%"}, 401, "invalid_client", id="not base64"),
        pytest.param(GRANT, raw_basic("gateway"), 401, "invalid_client", id="no colon"),
        pytest.param(GRANT, basic("gateway", ""), 401, "invalid_client", id="an empty secret"),
        pytest.param(GRANT, basic("gateway", "wrong"), 401, "invalid_client", id="a wrong secret"),
        pytest.param(GRANT, basic("gateway", SECRETS["srv:oms"]), 401, "invalid_client", id="another's secret"),
        pytest.param({**GRANT, "client_id": "gateway", "client_secret": "x"}, {}, 401, "invalid_client", id="in body"),
    ],
)
def test_errors_are_those_of_the_rfc(
    server: Server, form: dict[str, str] | bytes | str, headers: dict[str, str], status: int, error: str
) -> None:
    answer = server.token(form, headers)
    assert (answer.status, answer.json["error"]) == (status, error)
    assert answer.json.keys() == {"error", "error_description"}
    assert answer.headers.get("www-authenticate", "").startswith("Basic ") == (status == 401)


def test_no_answer_of_the_token_endpoint_is_stored(server: Server) -> None:
    answers = [
        server.token(GRANT, GOOD),
        server.token(GRANT, basic("gateway", "wrong")),
        server.token({}, GOOD),
        server.ask("GET", "/token"),
    ]
    assert [answer.status for answer in answers] == [200, 401, 400, 405]
    assert {answer.headers["cache-control"] for answer in answers} == {"no-store"}


def test_an_unknown_client_and_a_wrong_secret_look_the_same(server: Server) -> None:
    def seen(answer: Answer) -> tuple[int, str, dict[str, str]]:
        return answer.status, answer.text, {name: value for name, value in answer.headers.items() if name != "date"}

    assert seen(server.token(GRANT, basic("srv:nobody", "wrong"))) == seen(
        server.token(GRANT, basic("srv:oms", "wrong"))
    )


def test_credentials_in_the_address_are_refused(server: Server) -> None:
    answer = server.ask("POST", "/token?client_secret=x", urlencode(GRANT), {**GOOD, "Content-Type": FORM})
    assert (answer.status, answer.json["error"]) == (400, "invalid_request")
    assert server.ask("POST", "/token?other=x", urlencode(GRANT), {**GOOD, "Content-Type": FORM}).status == 200


def test_parameters_that_nobody_knows_are_ignored(server: Server) -> None:
    assert server.token(urlencode([*GRANT.items(), ("resource", "x"), ("resource", "y")]), GOOD).status == 200
