# SPDX-License-Identifier: GPL-3.0-or-later
"""Each service's probes with a small server that answers like the service: the probe passes, or names the fault.

NATS, the PostgreSQL wire protocol and ClickHouse's native protocol are covered by the integration tests.
"""

from __future__ import annotations

import base64
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote_plus

import pytest
from ansible.module_utils.probes import authn, clickhouse, nats, opa, opensearch, questdb, seaweedfs, valkey
from ansible.module_utils.probes.base import Kind, Probe, ProbeError, Target, notes
from joserfc import jwt
from joserfc.jwk import RSAKey
from probe_fakes import Reply, Request, Resp, Web, closed_port, target


def failure(probe: Probe, where: Target) -> ProbeError:
    with pytest.raises(ProbeError) as caught:
        probe.run(where)
    return caught.value


# --- Valkey


@pytest.mark.parametrize(
    "probe",
    [
        valkey.Ping(password_file="password"),
        valkey.RoundTrip(password_file="password"),
        valkey.Config(password_file="password", expect={"appendonly": True, "maxmemory": "2gb"}),
        valkey.Persistence(password_file="password"),
    ],
    ids=lambda probe: probe.TYPE,
)
def test_valkey_that_runs_as_declared_passes_and_requires_its_password(
    probe: Probe, resp: tuple[Resp, int], tmp_path: Path
) -> None:
    server, port = resp
    server.password = "right"
    where = target(tmp_path, client=port)
    (tmp_path / "password").write_text("right\n")
    assert probe.run(where)
    assert server.data == {}
    (tmp_path / "password").write_text("not-this-one\n")
    error = failure(probe, where)
    assert error.kind is Kind.AUTH
    assert "not-this-one" not in error.message
    assert failure(replace(probe, password_file=""), where).kind is Kind.AUTH


def test_valkey_keys_expire_by_themselves(resp: tuple[Resp, int], tmp_path: Path) -> None:
    server, port = resp
    valkey.RoundTrip(ttl_s=7).run(target(tmp_path, client=port))
    assert server.expiries == [7]


def test_valkey_key_is_removed_when_reading_fails(resp: tuple[Resp, int], tmp_path: Path) -> None:
    server, port = resp
    server.broken["GET"] = "LOADING Valkey is loading the dataset in memory"
    assert "loading the dataset" in failure(valkey.RoundTrip(), target(tmp_path, client=port)).message
    assert server.data == {}


def test_valkey_with_another_configuration_names_each_setting(resp: tuple[Resp, int], tmp_path: Path) -> None:
    probe = valkey.Config(expect={"maxmemory": "1gb", "appendonly": "yes", "nonsense": 1})
    error = failure(probe, target(tmp_path, client=resp[1]))
    assert error.kind is Kind.MISMATCH
    assert "maxmemory is '2147483648', not '1gb'; nonsense is not a setting of this version" in error.message


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("loading", "1", "loading its data"),
        ("aof_enabled", "0", "append-only file is off"),
        ("aof_last_write_status", "err", "aof_last_write_status is 'err'"),
        ("rdb_last_bgsave_status", "err", "rdb_last_bgsave_status is 'err'"),
    ],
)
def test_valkey_that_does_not_keep_data_is_found(
    resp: tuple[Resp, int], tmp_path: Path, key: str, value: str, says: str
) -> None:
    resp[0].info[key] = value
    assert says in failure(valkey.Persistence(), target(tmp_path, client=resp[1])).message


def test_valkey_that_is_not_there_is_refused(tmp_path: Path) -> None:
    assert failure(valkey.Ping(), target(tmp_path, client=closed_port())).kind is Kind.REFUSED


# --- NATS

VARZ = {"version": "2.10.26", "max_payload": 1048576, "jetstream": {"config": {"max_storage": 268435456}}}


def test_nats_that_runs_as_declared_passes(web: Web, tmp_path: Path) -> None:
    web.routes = {
        "GET /healthz": lambda request: (
            (200, {"status": "ok"}) if request.query == "js-enabled-only=true" else (400, "")
        ),
        "GET /varz": (200, VARZ),
        "GET /jsz": (200, {"streams": 2}),
    }
    where = target(tmp_path, monitor=web.port)
    assert nats.Health().run(where)
    assert nats.Varz(expect={"version": "2.10", "max_storage": "268435456", "max_payload": 2**20}).run(where)
    assert nats.Varz(version="2.10.26").run(where) == "version 2.10.26, 0 settings as declared"
    assert "2 streams" in nats.JetStream().run(where)


def test_nats_with_another_configuration_names_each_setting(web: Web, tmp_path: Path) -> None:
    web.routes["GET /varz"] = (200, VARZ)
    error = failure(
        nats.Varz(expect={"version": "2.11", "max_payload": 1, "gone": 1}), target(tmp_path, monitor=web.port)
    )
    assert error.kind is Kind.MISMATCH
    for part in ("version is 2.10.26, not 2.11", "max_payload is 1048576, not 1", "gone is not in /varz"):
        assert part in error.message


def test_nats_without_jetstream_is_found(web: Web, tmp_path: Path) -> None:
    web.routes = {"GET /healthz": (503, {"status": "unavailable"}), "GET /jsz": (200, {"disabled": True})}
    where = target(tmp_path, monitor=web.port)
    assert "answers 503" in failure(nats.Health(), where).message
    assert "JetStream is off" in failure(nats.JetStream(), where).message


# --- QuestDB


def test_questdb_select_gives_one_and_sends_credentials(web: Web, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("pw")
    web.routes["GET /exec"] = (200, {"dataset": [[1]]})
    assert questdb.Select(user="u", password_file="password").run(target(tmp_path, http=web.port)) == "SELECT 1 gives 1"
    assert web.requests[0].headers["authorization"] == "Basic " + base64.b64encode(b"u:pw").decode()
    assert web.requests[0].query == "query=SELECT%201"


@pytest.mark.parametrize(
    ("reply", "kind"),
    [((200, {"dataset": []}), Kind.ANSWER), ((200, "<html>"), Kind.ANSWER), ((401, "no"), Kind.AUTH)],
)
def test_questdb_that_answers_wrongly_is_found(web: Web, tmp_path: Path, reply: Reply, kind: Kind) -> None:
    web.routes["GET /exec"] = reply
    assert failure(questdb.Select(), target(tmp_path, http=web.port)).kind is kind


# --- ClickHouse


def clickhouse_server(request: Request) -> Reply:
    if (request.headers.get("x-clickhouse-user"), request.headers.get("x-clickhouse-key")) != ("trade", "pw"):
        # A response of 18.16, without a header for the code.
        return (
            500,
            "Code: 193, e.displayText() = DB::Exception: Wrong password for user trade, e.what() = DB::Exception",
        )
    return 200, {b"SELECT version()": "18.16.1\n", b"SHOW DATABASES": "default\ntrade2026\n"}[request.body]


@pytest.fixture
def clickhouse_where(web: Web, tmp_path: Path) -> Target:
    (tmp_path / "password").write_text("pw\n")
    web.routes = {"GET /ping": (200, "Ok.\n"), "POST /": clickhouse_server}
    return target(tmp_path, http=web.port)


CREDENTIALS = {"user": "trade", "password_file": "password"}


def test_clickhouse_that_runs_as_declared_passes(clickhouse_where: Target, web: Web) -> None:
    assert clickhouse.Ping().run(clickhouse_where)
    assert clickhouse.Version(expect="18.16", **CREDENTIALS).run(clickhouse_where) == "version 18.16.1"
    assert clickhouse.Database(database="trade2026", **CREDENTIALS).run(clickhouse_where)
    assert web.requests
    assert not any("pw" in request.path + request.query for request in web.requests)


def test_clickhouse_errors_are_distinguished(clickhouse_where: Target) -> None:
    assert failure(clickhouse.Version(), clickhouse_where).kind is Kind.AUTH
    assert failure(clickhouse.Version(expect="24.9", **CREDENTIALS), clickhouse_where).kind is Kind.MISMATCH
    error = failure(clickhouse.Database(database="gone", **CREDENTIALS), clickhouse_where)
    assert "gone does not exist; found: default, trade2026" in error.message


def test_clickhouse_of_today_names_the_code_in_a_header(web: Web, tmp_path: Path) -> None:
    web.routes["POST /"] = (
        403,
        "Code: 516. DB::Exception: default: Authentication failed",
        {"X-ClickHouse-Exception-Code": "516"},
    )
    assert failure(clickhouse.Version(), target(tmp_path, http=web.port)).kind is Kind.AUTH


# --- SeaweedFS

TOPOLOGY = {"Topology": {"Free": 13, "Max": 20, "DataCenters": [{"Racks": [{"DataNodes": [{"Url": "a:8080"}]}]}]}}


def test_seaweedfs_that_runs_passes(web: Web, tmp_path: Path) -> None:
    web.routes = {
        "GET /cluster/status": (200, {"IsLeader": True, "Leader": "seaweedfs:9333"}),
        "GET /dir/status": (200, TOPOLOGY),
        "GET /": (200, {"Path": "", "Entries": []}),
    }
    where = target(tmp_path, master=web.port, filer=web.port)
    assert "seaweedfs:9333" in seaweedfs.Cluster().run(where)
    assert "room for 13" in seaweedfs.Volumes().run(where)
    assert seaweedfs.Filer().run(where)
    assert web.requests[-1].headers["accept"] == "application/json"


@pytest.mark.parametrize(
    ("probe", "path", "answer", "says"),
    [
        (seaweedfs.Cluster(), "/cluster/status", {"IsLeader": False}, "no leader"),
        (seaweedfs.Volumes(), "/dir/status", {"Topology": {"DataCenters": None}}, "no volume server"),
        (seaweedfs.Volumes(), "/dir/status", {"Topology": {**TOPOLOGY["Topology"], "Free": 0}}, "none free"),
        (seaweedfs.Filer(), "/", {"error": "x"}, "does not list"),
    ],
)
def test_seaweedfs_faults_are_named(web: Web, tmp_path: Path, probe: Probe, path: str, answer: Any, says: str) -> None:
    web.routes[f"GET {path}"] = (200, answer)
    assert says in failure(probe, target(tmp_path, master=web.port, filer=web.port)).message


class Bucket:
    """S3 with one object per path; `trusts` decides who may read."""

    def __init__(self, trusts: str = "key") -> None:
        self.things: dict[str, bytes] = {}
        self.trusts = trusts
        self.gets = 0

    def __call__(self, request: Request) -> Reply:
        known = "Credential=trade/" in request.headers.get("authorization", "")
        # The right key is used first; the fake cannot verify signatures: the second read has the wrong secret.
        self.gets += request.method == "GET"
        if (not known or (request.method == "GET" and self.gets == 2)) and self.trusts == "key":
            return 403, self.error("AccessDenied"), {"Content-Type": "application/xml"}
        if request.method == "PUT":
            self.things[request.path] = request.body
            return 200, "", {"ETag": '"e"'}
        if request.method == "DELETE":
            return (204 if self.things.pop(request.path, None) is not None else 404), b""
        if request.path not in self.things:
            return 404, self.error("NoSuchKey"), {"Content-Type": "application/xml"}
        return 200, self.things[request.path]

    @staticmethod
    def error(code: str) -> str:
        return f"<Error><Code>{code}</Code><Message>m</Message><Resource>/</Resource></Error>"


@pytest.mark.parametrize("bucket", ["", "mine"])
def test_seaweedfs_s3_leaves_nothing_behind(web: Web, tmp_path: Path, bucket: str) -> None:
    (tmp_path / "s3").write_text("secret-of-trade")
    store = Bucket()
    web.routes = dict.fromkeys(("GET", "PUT", "DELETE"), store)
    probe = seaweedfs.S3(access_key="trade", secret_file="s3", bucket=bucket)
    assert "no key are refused" in probe.run(target(tmp_path, s3=web.port))
    assert store.things == {}
    assert store.gets == 4


def test_seaweedfs_s3_open_to_everybody_is_found_and_cleaned(web: Web, tmp_path: Path) -> None:
    (tmp_path / "s3").write_text("secret-of-trade")
    store = Bucket(trusts="everybody")
    web.routes = dict.fromkeys(("GET", "PUT", "DELETE"), store)
    error = failure(seaweedfs.S3(access_key="trade", secret_file="s3"), target(tmp_path, s3=web.port))
    assert error.kind is Kind.UNEXPECTED_ACCESS
    assert store.things == {}


def test_seaweedfs_s3_with_an_unknown_key_reports_wrong_credentials(web: Web, tmp_path: Path) -> None:
    (tmp_path / "s3").write_text("secret-of-trade")
    web.routes = dict.fromkeys(("GET", "PUT", "DELETE"), Bucket())
    error = failure(seaweedfs.S3(access_key="nobody", secret_file="s3"), target(tmp_path, s3=web.port))
    assert (error.kind, notes(error)) == (Kind.AUTH, [])


# --- OpenSearch


class Index:
    """OpenSearch with one index."""

    def __init__(self) -> None:
        self.settings: dict[str, Any] = {}
        self.documents: dict[str, Any] = {}

    def __call__(self, request: Request) -> Reply:
        index, _, rest = request.path.strip("/").partition("/")
        if request.method == "DELETE":
            return (200, {}) if self.settings.pop(index, None) and not self.documents.clear() else (404, {})
        if request.method == "PUT" and not rest:
            if index in self.settings:
                return 400, {"error": {"type": "resource_already_exists_exception"}}
            self.settings[index] = json.loads(request.body)["settings"]["index"]
            return 200, {}
        if request.method == "PUT":
            self.documents[rest] = json.loads(request.body)
            return 201, {}
        word = json.loads(request.body)["query"]["match"]["word"]
        return 200, {"hits": {"hits": [{"_source": one} for one in self.documents.values() if one["word"] == word]}}


def test_opensearch_that_runs_passes_and_keeps_nothing(web: Web, tmp_path: Path) -> None:
    index = Index()
    web.routes = dict.fromkeys(("PUT", "POST", "DELETE"), index)
    web.routes["GET /_cluster/health"] = (200, {"number_of_nodes": 1, "status": "yellow"})
    where = target(tmp_path, http=web.port)
    assert opensearch.Health().run(where) == "the cluster is yellow with 1 node"
    assert opensearch.RoundTrip().run(where)
    created = next(request for request in web.requests if request.method == "PUT")
    assert json.loads(created.body)["settings"]["index"] == {
        "number_of_shards": 1,
        "number_of_replicas": 0,
        "hidden": True,
    }
    assert (index.settings, index.documents) == ({}, {})


@pytest.mark.parametrize("reply", [(500, {"error": "flood-stage watermark"}), (200, {"hits": {"hits": []}})])
def test_opensearch_index_is_removed_when_its_document_is_not_found(web: Web, tmp_path: Path, reply: Reply) -> None:
    index = Index()
    web.routes = {"PUT": index, "DELETE": index, "POST": reply}
    assert failure(opensearch.RoundTrip(), target(tmp_path, http=web.port)).kind is Kind.ANSWER
    assert index.settings == {}


def test_opensearch_index_of_an_earlier_attempt_is_used_and_removed(web: Web, tmp_path: Path) -> None:
    index = Index()
    web.routes = dict.fromkeys(("PUT", "POST", "DELETE"), index)
    where = target(tmp_path, http=web.port)
    index.settings[where.unique()] = {"left": True}
    assert opensearch.RoundTrip().run(where)
    assert index.settings == {}


def test_an_index_that_opensearch_refused_to_create_is_not_reported_as_left_over(web: Web, tmp_path: Path) -> None:
    web.routes = {"PUT": (403, {"error": "no permissions"}), "DELETE": (403, {"error": "no permissions"})}
    error = failure(opensearch.RoundTrip(), target(tmp_path, http=web.port))
    assert (error.kind, notes(error)) == (Kind.AUTH, [])
    assert [request.method for request in web.requests] == ["PUT"]


def test_opensearch_faults_are_named(web: Web, tmp_path: Path) -> None:
    web.routes["GET /_cluster/health"] = (200, {"number_of_nodes": 1, "status": "red", "unassigned_shards": 4})
    where = target(tmp_path, http=web.port)
    assert "is red, not green or yellow: 4 shards" in failure(opensearch.Health(), where).message
    assert "has 1 nodes, not 3" in failure(opensearch.Health(nodes=3), where).message


# --- OPA

POLICIES = {
    "result": [{"id": "app/policies/example_policy.rego", "raw": "# package no\npackage example\n\nallow := true"}]
}


@pytest.fixture
def opa_where(web: Web, tmp_path: Path) -> Target:
    web.routes = {
        "GET /health": (200, {}),
        "GET /v1/policies": (200, POLICIES),
        "POST /v1/data/example/allow": lambda request: (
            200,
            {"result": json.loads(request.body) == {"input": {"a": 1}}},
        ),
        "POST /v1/data/example/gone": (200, {}),
    }
    return target(tmp_path, http=web.port)


def test_opa_that_runs_as_declared_passes(opa_where: Target) -> None:
    assert opa.Health().run(opa_where)
    assert opa.Policies(expect=["example", "example_policy.rego", "app/policies/example_policy.rego"]).run(opa_where)
    assert opa.Decision(path="example/allow", input={"a": 1}).run(opa_where) == "example/allow is true"
    assert opa.Decision(path="/example/allow/", expect=False).run(opa_where)


def test_opa_faults_are_named(opa_where: Target) -> None:
    assert (
        "not loaded: other, no. Loaded are the packages example"
        in failure(opa.Policies(expect=["other", "no"]), opa_where).message
    )
    assert "is false, not true" in failure(opa.Decision(path="example/allow"), opa_where).message
    assert "is undefined" in failure(opa.Decision(path="example/gone"), opa_where).message


# --- authn

KEY = RSAKey.generate_key(2048, {"kid": "k1", "use": "sig", "alg": "RS256"})
OTHER_KEY = RSAKey.generate_key(2048, {"kid": "k1"})
CLIENTS = {"srv:oms": "s3cret+%:/", "srv:risk": "other"}
SCOPES = {"srv:oms": ["orders:submit", "fills:read"], "srv:risk": ["risk:probe"]}


class Issuer:
    """The token endpoint; `claims`, `header` and `key` make its tokens invalid."""

    def __init__(self) -> None:
        self.claims: dict[str, Any] = {}
        self.header: dict[str, Any] = {}
        self.key = KEY
        self.headers = {"Cache-Control": "no-store"}
        self.credulous = False

    def __call__(self, request: Request) -> Reply:
        scheme, _, encoded = request.headers["authorization"].partition(" ")
        client, secret = map(unquote_plus, base64.b64decode(encoded).decode().split(":"))
        if scheme != "Basic" or (CLIENTS.get(client) != secret and not self.credulous):
            return 401, {"error": "invalid_client"}, {"WWW-Authenticate": 'Basic realm="authn"'}
        asked = parse_qs(request.body.decode()).get("scope", [" ".join(SCOPES[client])])[0].split()
        if not set(asked) <= set(SCOPES[client]) and not self.credulous:
            return 400, {"error": "invalid_scope"}
        now = int(time.time())
        claims = {
            "iss": "http://me", "aud": "trade2026", "sub": client, "client_id": client, "iat": now, "exp": now + 60,
            "jti": "1", "scope": " ".join(asked), **self.claims,
        }  # fmt: skip
        header = {"alg": "RS256", "typ": "at+jwt", "kid": "k1", **self.header}
        return 200, {"access_token": jwt.encode(header, claims, self.key), "token_type": "Bearer"}, self.headers


@pytest.fixture
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture
def authn_where(web: Web, tmp_path: Path, issuer: Issuer) -> Target:
    (tmp_path / "clients.json").write_text(json.dumps(CLIENTS))
    web.routes = {
        "GET /health": (200, {}),
        "GET /.well-known/jwks.json": (200, {"keys": [KEY.as_dict(private=False)]}),
        "GET /.well-known/oauth-authorization-server": (200, METADATA),
        "POST /token": issuer,
    }
    return target(tmp_path, http=web.port)


METADATA = {
    "issuer": "http://me",
    "token_endpoint": "http://me/token",
    "jwks_uri": "http://me/jwks",
    "response_types_supported": [],
    "grant_types_supported": ["client_credentials"],
}
TOKENS = authn.Tokens(clients_file="clients.json", issuer="http://me", audience="trade2026", scopes=SCOPES)


def test_authn_that_runs_as_declared_passes(authn_where: Target) -> None:
    assert authn.Health().run(authn_where)
    assert authn.Jwks().run(authn_where) == "1 public key"
    assert authn.Metadata(issuer="http://me").run(authn_where)
    assert authn.Refusals(clients_file="clients.json").run(authn_where)
    assert TOKENS.run(authn_where) == "2 clients got a valid token"


@pytest.mark.parametrize(
    ("claims", "says"),
    [
        ({"iss": "http://other"}, "iss is 'http://other'"),
        ({"aud": ["a", "b"]}, "aud is ['a', 'b']"),
        ({"sub": "me"}, "sub is 'me'"),
        ({"client_id": None}, "client_id is None"),
        ({"exp": 1}, "which is in the past"),
        ({"iat": 99999999999}, "which is in the future"),
        ({"jti": ""}, "jti is missing"),
        ({"scope": "all"}, "scope is 'all'"),
    ],
)
def test_authn_token_with_a_wrong_claim_is_found(
    authn_where: Target, issuer: Issuer, claims: dict[str, Any], says: str
) -> None:
    issuer.claims = claims
    error = failure(TOKENS, authn_where)
    assert error.message.startswith("the token of srv:oms: ")
    assert says in error.message


def test_authn_token_signed_by_another_key_is_found(authn_where: Target, issuer: Issuer) -> None:
    issuer.key = OTHER_KEY
    assert "signature does not match" in failure(TOKENS, authn_where).message


def test_authn_token_of_another_type_is_found(authn_where: Target, issuer: Issuer) -> None:
    issuer.header, issuer.headers = {"typ": "JWT"}, {}
    message = failure(TOKENS, authn_where).message
    assert "typ is 'JWT', not at+jwt" in message
    assert "no-store" in message


def test_authn_that_does_not_know_a_client_reports_wrong_credentials(authn_where: Target) -> None:
    (authn_where.secrets_root / "clients.json").write_text(json.dumps({**CLIENTS, "srv:oms": "rotated"}))
    error = failure(TOKENS, authn_where)
    assert (error.kind, error.message) == (Kind.AUTH, "srv:oms gets no token: 401 invalid_client")


@pytest.mark.parametrize("content", ["[]", "{}", "nonsense", '{"a": 1}'])
def test_an_invalid_authn_clients_file_is_named(authn_where: Target, content: str) -> None:
    (authn_where.secrets_root / "clients.json").write_text(content)
    assert "clients.json is not a JSON object" in failure(TOKENS, authn_where).message


def test_authn_client_without_a_secret_is_named(authn_where: Target) -> None:
    (authn_where.secrets_root / "clients.json").write_text('{"srv:oms": "x"}')
    assert "no secret for srv:risk" in failure(TOKENS, authn_where).message


def test_authn_that_lets_in_everybody_is_found_and_its_token_not_shown(authn_where: Target, issuer: Issuer) -> None:
    issuer.credulous = True
    error = failure(authn.Refusals(clients_file="clients.json"), authn_where)
    assert (error.kind, error.message) == (Kind.UNEXPECTED_ACCESS, "a wrong secret gets a token")


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ([], "no key is published"),
        ([KEY.as_dict(private=True)], "has private members"),
        ([{"kty": "EC", "kid": "k"}], "is not an RSA key"),
        ([{**KEY.as_dict(private=False), "kid": ""}], "has no kid"),
        ([KEY.as_dict(private=False)] * 2, "the same kid"),
        ([{"kty": "RSA", "kid": "k", "e": "AQAB", "n": "a" * 171}], "has 1024 bits"),
    ],
)
def test_published_private_or_weak_authn_keys_are_found(
    authn_where: Target, web: Web, keys: list[dict[str, Any]], says: str
) -> None:
    web.routes["GET /.well-known/jwks.json"] = (200, {"keys": keys})
    message = failure(authn.Jwks(), authn_where).message
    assert says in message
    assert str(KEY.as_dict(private=True)["d"]) not in message


def test_authn_metadata_lie_before_the_path_of_the_issuer(authn_where: Target, web: Web) -> None:
    web.routes["GET /.well-known/oauth-authorization-server/auth"] = (200, {**METADATA, "issuer": "http://me/auth"})
    assert authn.Metadata(issuer="http://me/auth").run(authn_where)
    assert failure(authn.Metadata(issuer="authn"), authn_where).kind is Kind.MISMATCH


def test_authn_metadata_that_lack_something_are_found(authn_where: Target, web: Web) -> None:
    web.routes["GET /.well-known/oauth-authorization-server"] = (200, {"issuer": "http://me", "jwks_uri": "jwks"})
    message = failure(authn.Metadata(issuer="http://me"), authn_where).message
    for part in (
        "token_endpoint is None",
        "jwks_uri is 'jwks'",
        "client_credentials",
        "response_types_supported is missing",
    ):
        assert part in message
