# SPDX-License-Identifier: GPL-3.0-or-later
"""Independent clients work with the published ports."""

from __future__ import annotations

import asyncio
import datetime
import json
import urllib.parse
import urllib.request
import uuid
from typing import Any

import botocore.exceptions
import clickhouse_driver
import jwt
import nats
import psycopg
import pytest
import valkey
from clients import HOST, TIMEOUT_S, s3
from site_under_test import Site


def get(site: Site, port: int, path: str, data: bytes | None = None) -> Any:
    with urllib.request.urlopen(f"http://{HOST}:{site.port(port)}{path}", data=data, timeout=TIMEOUT_S) as answer:
        return json.load(answer)


def test_nats_py_publishes_and_reads_back_through_jetstream(deployed: Site) -> None:
    async def roundtrip() -> bytes:
        client = await nats.connect(f"nats://{HOST}:{deployed.port(4222)}", connect_timeout=TIMEOUT_S)
        stream = client.jetstream()
        name = f"test-{uuid.uuid4().hex}"
        await stream.add_stream(name=name, subjects=[f"{name}.>"])
        try:
            await stream.publish(f"{name}.orders", b"buy")
            return bytes((await stream.get_last_msg(name, f"{name}.orders")).data or b"")
        finally:
            await stream.delete_stream(name)
            await client.close()

    assert asyncio.run(roundtrip()) == b"buy"


def test_valkey_py_sets_and_gets(deployed: Site) -> None:
    client = valkey.Valkey(host=HOST, port=deployed.port(6379), socket_timeout=TIMEOUT_S)
    key = f"test:{uuid.uuid4()}"
    assert client.set(key, "1", ex=60)
    assert client.get(key) == b"1"
    assert client.delete(key) == 1


def test_psycopg_queries_questdb_with_the_generated_password_and_not_with_the_public_one(deployed: Site) -> None:
    address = {"host": HOST, "port": deployed.port(8812), "dbname": "qdb", "connect_timeout": TIMEOUT_S}
    with psycopg.connect(**address, user="trade2026", password=deployed.secret("questdb/password")) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(**address, user="admin", password="quest")


def test_clickhouse_driver_writes_and_reads(deployed: Site) -> None:
    password = deployed.secret("clickhouse/password")
    client = clickhouse_driver.Client(
        HOST, deployed.port(9100), user="trade2026", password=password, database="trade2026", connect_timeout=TIMEOUT_S
    )
    table = f"test_{uuid.uuid4().hex}"
    client.execute(f"CREATE TABLE {table} (day Date, x Int32) ENGINE = MergeTree ORDER BY x PARTITION BY toYYYYMM(day)")
    try:
        client.execute(f"INSERT INTO {table} (day, x) VALUES", [{"day": datetime.date(2026, 1, 2), "x": 7}])
        assert client.execute(f"SELECT sum(x) FROM {table}") == [(7,)]
    finally:
        client.execute(f"DROP TABLE {table}")


def test_clickhouse_refuses_clients_without_a_password(deployed: Site) -> None:
    for user in ("default", "trade2026"):
        client = clickhouse_driver.Client(HOST, deployed.port(9100), user=user, password="", connect_timeout=TIMEOUT_S)
        with pytest.raises(clickhouse_driver.errors.ServerException):
            client.execute("SELECT 1")


def test_boto3_stores_and_fetches_and_a_wrong_key_is_refused(deployed: Site) -> None:
    client = s3(deployed.port(8333), "trade2026", deployed.secret("seaweedfs/s3_secret"))
    bucket = f"test-{uuid.uuid4().hex}"
    client.create_bucket(Bucket=bucket)
    try:
        client.put_object(Bucket=bucket, Key="a", Body=b"object")
        assert client.get_object(Bucket=bucket, Key="a")["Body"].read() == b"object"
        with pytest.raises(botocore.exceptions.ClientError, match=r"SignatureDoesNotMatch|AccessDenied|403"):
            s3(deployed.port(8333), "trade2026", "wrong").get_object(Bucket=bucket, Key="a")
        client.delete_object(Bucket=bucket, Key="a")
    finally:
        client.delete_bucket(Bucket=bucket)


def test_opensearch_answers_over_plain_http(deployed: Site) -> None:
    health = get(deployed, 9200, "/_cluster/health")
    assert health["status"] in {"green", "yellow"}
    assert health["number_of_nodes"] == 1


def issued(site: Site, scope: str) -> str:
    """A token that authn issues to the client srv:oms."""
    secret = json.loads(site.secret("authn-clients.json"))["srv:oms"]
    form = {"grant_type": "client_credentials", "client_id": "srv:oms", "client_secret": secret, "scope": scope}
    answer = get(site, 8114, "/token", urllib.parse.urlencode(form).encode())
    return str(answer["access_token"])


def test_pyjwt_verifies_a_token_and_refuses_a_tampered_one(deployed: Site) -> None:
    base = f"http://{HOST}:{deployed.port(8114)}"
    metadata = get(deployed, 8114, "/.well-known/oauth-authorization-server")
    token = issued(deployed, "fills:read")
    key = jwt.PyJWKClient(f"{base}/.well-known/jwks.json", timeout=TIMEOUT_S).get_signing_key_from_jwt(token)
    claims = jwt.decode(token, key, algorithms=["RS256"], audience="trade2026", issuer=metadata["issuer"])
    assert claims["sub"] == "srv:oms"
    assert claims["scope"] == "fills:read"
    head, body, signature = token.split(".")
    tampered = ".".join((head, body[:-2] + ("AA" if body[-2:] != "AA" else "BB"), signature))
    with pytest.raises(jwt.InvalidTokenError):
        jwt.decode(tampered, key, algorithms=["RS256"], audience="trade2026")


def test_opa_evaluates_the_example_policy(deployed: Site) -> None:
    assert get(deployed, 8181, "/v1/data/example/allow", b'{"input": {}}')["result"] is True


def test_opa_allows_what_the_scope_of_a_token_allows(deployed: Site) -> None:
    token = issued(deployed, "fills:read")
    for action, allowed in {"fills:read": True, "orders:submit": False}.items():
        question = json.dumps({"input": {"token": token, "action": action}}).encode()
        assert get(deployed, 8181, "/v1/data/trade2026/authz/allow", question)["result"] is allowed, action
