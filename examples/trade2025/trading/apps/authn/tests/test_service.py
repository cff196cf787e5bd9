# SPDX-License-Identifier: GPL-3.0-or-later
"""The other endpoints, the log, and the life of the process."""

from __future__ import annotations

import json
import re

import jwt
import pytest
from authn import keys
from conftest import SCOPES, SECRETS, START_DEADLINE_S, Server, Site, start_server

FORM = {"grant_type": "client_credentials", "client_id": "gateway", "client_secret": SECRETS["gateway"]}


def test_health_says_healthy(server: Server) -> None:
    answer = server.ask("GET", "/health")
    assert (answer.status, answer.json) == (200, {"status": "healthy"})


def test_the_key_set_holds_public_members_alone(server: Server) -> None:
    document = server.ask("GET", "/.well-known/jwks.json").json
    assert [sorted(key) for key in document["keys"]] == [["alg", "e", "kid", "kty", "n", "use"]]


def test_the_metadata_is_that_of_the_rfc(server: Server) -> None:
    assert server.ask("GET", "/.well-known/oauth-authorization-server").json == {
        "issuer": server.url,
        "token_endpoint": f"{server.url}/token",
        "jwks_uri": f"{server.url}/.well-known/jwks.json",
        "scopes_supported": [scope for scopes in SCOPES.values() for scope in scopes],
        "response_types_supported": [],
        "grant_types_supported": ["client_credentials"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
    }


def test_the_openapi_document_names_every_endpoint(server: Server) -> None:
    paths = server.ask("GET", "/openapi.json").json["paths"]
    for path, operations in paths.items():
        for method in operations:
            assert server.ask(method.upper(), path).status != 404
    assert {"/health", "/token", "/.well-known/jwks.json", "/.well-known/oauth-authorization-server"} == set(paths)


def test_the_openapi_document_knows_the_scopes(server: Server) -> None:
    schemas = server.ask("GET", "/openapi.json").json["components"]["schemas"]
    pattern = schemas["TokenRequest"]["properties"]["scope"]["pattern"]
    accepted = ["", "orders:submit", "orders:submit data:publish", "nope", "orders:submit ", "orders:submitX"]
    assert [bool(re.search(pattern, text)) for text in accepted] == [True, True, True, False, False, False]


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/", 404), ("GET", "/token", 405), ("POST", "/health", 405)]
)
def test_what_is_not_there_is_said_in_json(server: Server, method: str, path: str, status: int) -> None:
    answer = server.ask(method, path)
    assert answer.status == status
    assert answer.json.keys() == {"error"}


def test_an_issuer_that_is_a_name_gives_the_address_that_was_asked(site: Site) -> None:
    with start_server(site, issuer="authn") as server:
        metadata = server.ask("GET", "/.well-known/oauth-authorization-server").json
        assert metadata["issuer"] == "authn"
        assert metadata["token_endpoint"] == f"{server.url}/token"


def test_an_issuer_with_a_path_and_several_audiences(site: Site) -> None:
    with start_server(site, issuer="http://127.0.0.1:1/tenant", audience=["orders", "reports"]) as server:
        # RFC 8414 section 3.1 puts the issuer's path behind the well-known part.
        metadata = server.ask("GET", "/.well-known/oauth-authorization-server/tenant").json
        assert metadata["token_endpoint"] == "http://127.0.0.1:1/tenant/token"
        token = server.token(FORM).json["access_token"]
        key = jwt.PyJWKClient(f"{server.url}/.well-known/jwks.json").get_signing_key_from_jwt(token)
        assert jwt.decode(token, key, algorithms=["RS256"], audience="reports")["aud"] == ["orders", "reports"]


def test_a_token_of_the_old_key_stays_good_while_keys_are_rotated(site: Site, key_file_text: str) -> None:
    with start_server(site) as server:
        token = server.token(FORM).json["access_token"]
    rotated = {"keys": [*json.loads(keys.generate())["keys"], *json.loads(key_file_text)["keys"]]}
    (site.folder / "jwks.json").write_text(json.dumps(rotated), encoding="utf-8")
    with start_server(site) as server:
        fresh = server.token(FORM).json["access_token"]
        client = jwt.PyJWKClient(f"{server.url}/.well-known/jwks.json")
        used = [client.get_signing_key_from_jwt(text) for text in (token, fresh)]
        for text, key in zip((token, fresh), used, strict=True):
            assert jwt.decode(text, key, algorithms=["RS256"], audience="trading")["sub"] == "gateway"
    assert used[0].key_id != used[1].key_id


def test_sigterm_ends_the_service_with_exit_code_0_and_its_log_holds_no_secret(site: Site) -> None:
    with start_server(site) as server:
        token = server.token(FORM).json["access_token"]
        server.token({**FORM, "client_id": "sent-in-the-wrong-field"})
        server.ask("GET", "/health?x=in-the-query")
        assert server.stop() == 0
        text = server.log.read_text(encoding="utf-8")
    entries = [json.loads(line) for line in text.splitlines()]
    requests = [entry for entry in entries if entry["event"] == "request"]
    assert [(entry["path"], entry["status"], entry["client_id"]) for entry in requests] == [
        ("/token", 200, "gateway"),
        ("/token", 401, None),
    ]
    assert requests[0]["jti"] == jwt.decode(token, options={"verify_signature": False})["jti"]
    for hidden in (SECRETS["gateway"], token, "sent-in-the-wrong-field", "in-the-query", "Authorization"):
        assert hidden not in text


def test_a_taken_port_is_said_in_the_log(site: Site, server: Server) -> None:
    site.configure(lambda document: document["service"].update(port=server.port))
    log = site.folder / "log"
    with log.open("w", encoding="utf-8") as output:
        assert site.spawn(output).wait(START_DEADLINE_S) not in (0, 2)
    events = [json.loads(line)["event"] for line in log.read_text(encoding="utf-8").splitlines()]
    assert any("address already in use" in event for event in events)
