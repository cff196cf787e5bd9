# SPDX-License-Identifier: GPL-3.0-or-later
"""What each service must refuse."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import io
import json
import secrets
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from ansible.module_utils.validation import bridge, clients
from ansible.module_utils.validation.bridge import WRONG_CREDENTIALS, Probe, ProbeError, web
from ansible.module_utils.validation.model import FailedError, Passed, SkippedError, Value
from ansible.module_utils.validation.stack import Service, Stack

# Fields of a probe that name a file with credentials.
CREDENTIALS = ("password_file", "secret_file", "clients_file")
OPEN = "the service accepts what it must refuse"
CLOSE = "close its port until the cause is found, then run the deployment again"
# Lifetime in seconds of the tokens that the tests sign.
LIFETIME_S = 300


@contextlib.contextmanager
def wrong_secrets(service: Service, file: str) -> Iterator[Path]:
    """A folder in which `file` holds other credentials than the real one, of the same form."""
    text = service.target.secret(file)
    try:
        real = json.loads(text)
    except ValueError:
        real = None
    wrong = json.dumps({key: secrets.token_urlsafe(32) for key in real}) if isinstance(real, dict) else ""
    with tempfile.TemporaryDirectory(prefix="trade2026-validate-") as folder:
        path = Path(folder, file)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(wrong or secrets.token_urlsafe(32), encoding="utf-8")
        yield Path(folder)


def wrong_credentials(_stack: Stack, service: Service) -> Passed:
    """The requests of the probes, with other credentials."""
    # Of the probes with the same credentials the first is enough; the ping of a service may need none.
    asked: dict[str, Probe] = {}
    for probe in service.probes:
        for field in CREDENTIALS:
            if (file := getattr(probe, field, "")) and not probe.TYPE.endswith("_refusals"):
                asked.setdefault(f"{file} {getattr(probe, 'port', '')}", probe)
    if not asked:
        raise SkippedError(f"{service.name} accepts clients without credentials, as the site declares")
    for key, probe in asked.items():
        file = key.partition(" ")[0]
        with wrong_secrets(service, file) as folder:
            try:
                probe.run(service.with_secrets(folder))
            except ProbeError as error:
                if error.kind is WRONG_CREDENTIALS:
                    continue
                raise
        raise FailedError(f"{probe.title} succeeds with a wrong secret in place of {file}", OPEN, CLOSE)
    return Passed(f"a wrong secret is refused for {len(asked)} kind{'s' if len(asked) > 1 else ''} of request")


def must_refuse(work: Callable[[], Any], what: str, *reasons: str) -> str:
    """The service's refusal of `work`, which must contain one of `reasons`; raises FailedError."""
    try:
        work()
    except Exception as error:
        text = " ".join(str(error).split())
        if any(reason.lower() in text.lower() for reason in reasons):
            return text[:200]
        raise FailedError(
            f"{what} fails, but not with the expected refusal: {type(error).__name__}: {text[:300]}"
        ) from error
    raise FailedError(f"{what} is accepted", OPEN, CLOSE)


def nats_long_message(_stack: Stack, service: Service) -> Passed:
    """A message above max_payload; over a plain socket, because the client library would not send it."""
    probe = service.probe(bridge.nats.RoundTrip)
    options: dict[str, Any] = {"verbose": False, "pedantic": False}
    if probe.user:
        options |= {"user": probe.user, "pass": service.target.secret(probe.password_file)}
    address = (service.target.address, service.target.port(probe.port))
    with socket.create_connection(address, service.target.timeout_s) as stream, stream.makefile("rb") as lines:
        limit = int(json.loads(lines.readline().partition(b" ")[2])["max_payload"])
        stream.sendall(f"CONNECT {json.dumps(options)}\r\nPING\r\n".encode())
        lines.readline()
        # The server refuses by the size in the header.
        stream.sendall(f"PUB {service.target.unique()} {limit + 1}\r\n".encode())
        answer = lines.readline().decode("utf-8", "replace").strip()
    if "Maximum Payload" not in answer:
        raise FailedError(f"a message of {limit + 1} bytes is answered with {answer or 'nothing'}", OPEN, CLOSE)
    return Passed(f"a message of {limit + 1} bytes is refused: {answer}", {"max_payload": limit})


def nats_storage_limit(_stack: Stack, service: Service) -> Passed:
    """A stream that reserves more than JetStream may store."""
    probe = service.probe(bridge.nats.Varz)
    limit = int(probe.expect["max_storage"])
    with clients.jetstream(service) as stream:
        name = service.target.unique()

        def create() -> None:
            stream.call(stream.context.add_stream(name=name, subjects=[name], storage="file", max_bytes=limit + 1))
            stream.call(stream.context.delete_stream(name))

        text = must_refuse(create, f"a stream of {limit + 1} bytes", "insufficient storage", "10047")
    return Passed(f"a stream of {limit + 1} bytes is refused: {text}", {"max_storage": limit})


def valkey_protected(_stack: Stack, service: Service) -> Passed:
    """Commands through which a client could write files or load code."""
    with service.probe(bridge.valkey.Config).client(service.target) as client:
        # The value is the current one, so that the command would change nothing if it were accepted.
        folder = client.config_get("dir")["dir"]
        texts = [
            must_refuse(lambda: client.config_set("dir", folder), "CONFIG SET dir", "protected config"),
            must_refuse(lambda: client.execute_command("DEBUG", "JMAP"), "DEBUG", "not allowed"),
            must_refuse(lambda: client.execute_command("MODULE", "LOAD", "/nothing.so"), "MODULE LOAD", "not allowed"),
        ]
    return Passed(f"{len(texts)} commands are refused: {texts[0]}")


def valkey_eviction(_stack: Stack, service: Service) -> Passed:
    """The memory limit and eviction policy that the server reports in INFO, not those in its configuration."""
    wanted = service.probe(bridge.valkey.Config).expect
    with service.probe(bridge.valkey.Config).client(service.target) as client:
        memory = client.info("memory")
    actual: dict[str, Value] = {
        "maxmemory": int(memory["maxmemory"]),
        "maxmemory-policy": str(memory["maxmemory_policy"]),
    }
    different = [
        f"{name} is {value}, not {wanted[name]}" for name, value in actual.items() if str(wanted[name]) != str(value)
    ]
    if different:
        raise FailedError("; ".join(different))
    return Passed(f"at {actual['maxmemory']} bytes keys are evicted by {actual['maxmemory-policy']}", actual)


def questdb_dropped_table(_stack: Stack, service: Service) -> Passed:
    """INSERT into a table that was dropped."""
    table = service.target.unique("_")
    with clients.questdb(service) as connection:
        connection.execute(f'CREATE TABLE "{table}" (x INT, ts TIMESTAMP) TIMESTAMP(ts) PARTITION BY DAY WAL')
        connection.execute(f'DROP TABLE "{table}"')
        text = must_refuse(
            lambda: connection.execute(f'INSERT INTO "{table}" VALUES (1, now())'),
            "a write to a dropped table",
            "does not exist",
        )
    return Passed(f"a write to a dropped table is refused: {text}")


def questdb_bad_row(_stack: Stack, service: Service) -> Passed:
    """A line that is not of the line protocol, over HTTP."""
    select = service.probe(bridge.questdb.Select)
    headers = web.basic(select.user, service.target.secret(select.password_file))
    table = service.target.unique("_")
    answer = web.ask(service.target, select.port, "/write", method="POST", body=f"{table} x=\n", headers=headers)
    if answer.status < 400:
        raise FailedError(f"a malformed line is answered with {answer.status}", OPEN, "see the log of the service")
    return Passed(f"a malformed line is answered with {answer.status}", {"status": answer.status})


def clickhouse_dropped_table(_stack: Stack, service: Service) -> Passed:
    """INSERT into a table that was dropped, and a query of a user that does not exist."""
    probe = service.probe(bridge.clickhouse.RoundTrip)
    table = f"`{probe.database}`.`{service.target.unique('_')}`"
    probe.query(service.target, f"CREATE TABLE {table} (x UInt8) ENGINE = MergeTree() ORDER BY x")
    probe.query(service.target, f"DROP TABLE {table}")
    text = must_refuse(
        lambda: probe.query(service.target, f"INSERT INTO {table} VALUES (1)"),
        "a write to a dropped table",
        "doesn't exist",
        "does not exist",
        "UNKNOWN_TABLE",
    )
    return Passed(f"a write to a dropped table is refused: {text[:160]}")


def clickhouse_unknown_user(_stack: Stack, service: Service) -> Passed:
    """A user that does not exist, and the image's own user without a password."""
    probe = service.probe(bridge.clickhouse.Version)
    for user in (service.target.unique("_"), "default"):
        other = dataclasses.replace(probe, user=user, password_file="")
        try:
            other.run(service.target)
        except ProbeError as error:
            if error.kind is WRONG_CREDENTIALS:
                continue
            raise
        raise FailedError(f"the user {user!r} may query without a password", OPEN, CLOSE)
    return Passed("an unknown user, and the user default without a password, are refused")


def seaweedfs_refusals(_stack: Stack, service: Service) -> Passed:
    """Writing with a wrong secret and without a key."""
    from minio.error import S3Error

    probe = service.probe(bridge.seaweedfs.S3)
    bucket = service.target.unique()
    for who, key, secret in (("a wrong secret", probe.access_key, secrets.token_hex(16)), ("no key", "", "")):
        client = clients.s3(service, key, secret)
        try:
            client.put_object(bucket, "object", io.BytesIO(b"x"), 1)
        except S3Error as error:
            if error.code in ("AccessDenied", "SignatureDoesNotMatch", "InvalidAccessKeyId"):
                continue
            raise FailedError(f"a write with {who} fails, but not with the expected refusal: {error.code}") from error
        raise FailedError(f"a write with {who} is accepted", OPEN, CLOSE)
    return Passed("writes with a wrong secret and without a key are refused")


def opensearch_wildcard(_stack: Stack, service: Service) -> Passed:
    """DELETE of indices by a pattern. It matches none, so that nothing is lost if it is accepted."""
    probe = service.probe(bridge.opensearch.Health)
    answer = probe.ask(service.target, f"/{service.target.unique()}-*", "DELETE")
    if answer.status != 400:
        raise FailedError(
            f"DELETE with a wildcard is answered with {answer.status}",
            "action.destructive_requires_name is off: one request could remove every index",
            "run the deployment again, which turns it on",
        )
    return Passed(f"DELETE with a wildcard is answered with 400: {answer.excerpt[:120]}")


def opensearch_wrong_type(_stack: Stack, service: Service) -> Passed:
    """A document whose field is not of the declared type."""
    probe = service.probe(bridge.opensearch.RoundTrip)
    index = service.target.unique()
    mapping = {
        "settings": {"index": {"number_of_shards": 1, "number_of_replicas": 0, "hidden": True}},
        "mappings": {"properties": {"price": {"type": "double"}}},
    }
    try:
        probe.ask(service.target, f"/{index}", "PUT", mapping).expect(200)
        answer = probe.ask(service.target, f"/{index}/_doc/1", "PUT", {"price": "high"})
    finally:
        probe.ask(service.target, f"/{index}", "DELETE").expect(200, 404)
    if answer.status != 400:
        raise FailedError(
            f"a text in a field of numbers is answered with {answer.status}", OPEN, "see the index's mapping"
        )
    return Passed("a text in a field of numbers is answered with 400")


def authn_refusals(_stack: Stack, service: Service) -> Passed:
    """Token requests that must be refused according to RFC 6749, each with its error code."""
    probe = service.probe(bridge.authn.Tokens)
    client, secret = next(iter(probe.clients(service.target).items()))

    def code(body: dict[str, str], who: tuple[str, str]) -> str:
        headers = {
            "Authorization": "Basic " + base64.b64encode(f"{quote(who[0])}:{quote(who[1])}".encode()).decode("ascii"),
            "Content-Type": "application/x-www-form-urlencoded",
        }
        path = probe.path
        answer = web.ask(service.target, probe.port, path, method="POST", body=urlencode(body), headers=headers)
        return f"{answer.status} {answer.mapping().get('error') if answer.status != 200 else 'a token'}"

    grant = {"grant_type": "client_credentials"}
    wanted = {
        "an unknown client": (code(grant, (service.target.unique(), secret)), "401 invalid_client"),
        "an empty secret": (code(grant, (client, "")), "401 invalid_client"),
        "another grant": (code({"grant_type": "password"}, (client, secret)), "400 unsupported_grant_type"),
        "a scope of another client": (code({**grant, "scope": "no:such"}, (client, secret)), "400 invalid_scope"),
    }
    wrong = [f"{what} gets {got}, not {right}" for what, (got, right) in wanted.items() if got != right]
    if wrong:
        raise FailedError("; ".join(wrong), OPEN, CLOSE)
    return Passed(f"{', '.join(wanted)} are refused")


def signing_key(authn: Service) -> Any:
    """The issuer's private key, to sign tokens that must be refused for another reason than their signature."""
    from joserfc.jwk import KeySet

    for secret in authn.record["secrets"]:
        if secret["kind"] == "jwks":
            document = json.loads(authn.target.secret(secret["path"]))
            return KeySet.import_key_set(document).keys[0]
    raise SkippedError(f"{authn.name} has no signing key")


def claims(stack: Stack, **changes: Any) -> dict[str, Any]:
    """The claims of a good token, with changes."""
    authn = stack.of_role("authn")
    probe = authn.probe(bridge.authn.Tokens)
    client = next(iter(probe.clients(authn.target)))
    now = int(time.time())
    return {
        "iss": probe.issuer, "aud": probe.audience, "sub": client, "client_id": client, "iat": now,
        "exp": now + LIFETIME_S, "jti": secrets.token_hex(8), "scope": "orders:submit", **changes,
    }  # fmt: skip


def signed(key: Any, content: dict[str, Any]) -> str:
    """A token with a signature."""
    from joserfc import jwt

    return jwt.encode({"alg": "RS256", "typ": "at+jwt", "kid": key.kid}, content, key)


def unsigned(content: dict[str, Any]) -> str:
    """A token whose header says that it has no signature (alg none)."""
    parts = ({"alg": "none", "typ": "at+jwt"}, content)
    return ".".join(
        [*(base64.urlsafe_b64encode(json.dumps(part).encode()).decode("ascii").rstrip("=") for part in parts), ""]
    )


def tampered(token: str) -> str:
    """The token with the claims of another one and its own signature."""
    head, body, signature = token.split(".")
    content = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    content["scope"] += " risk:check"
    return ".".join(
        (head, base64.urlsafe_b64encode(json.dumps(content).encode()).decode("ascii").rstrip("="), signature)
    )


def allowed(service: Service, token: str, action: str) -> bool:
    """The decision on an action for the bearer of a token; raises ProbeError."""
    probe = service.probe(bridge.opa.Health)
    document = {"input": {"token": token, "action": action}}
    answer = web.ask_json(service.target, probe.port, "/v1/data/trade2026/authz/allow", document).expect(200).mapping()
    if "result" not in answer:
        raise FailedError(
            "trade2026/authz/allow is undefined", "the policy trade2026.authz is not loaded", "deploy again"
        )
    return bool(answer["result"])


def opa_tokens(make: Callable[[Stack, Any], str], what: str) -> Callable[[Stack, Service], Passed]:
    """A test that a token is refused, next to a good one that is accepted."""

    def run(stack: Stack, service: Service) -> Passed:
        key = signing_key(stack.of_role("authn"))
        if not allowed(service, signed(key, claims(stack)), "orders:submit"):
            raise FailedError(
                "a good token is refused, so that the refusal of a bad one proves nothing",
                "the policy denies everybody, or OPA cannot fetch authn's keys",
                "see the policy trade2026.authz below config/backend, and whether authn answers",
            )
        if allowed(service, make(stack, key), "orders:submit"):
            raise FailedError(f"{what} is accepted", "the policy trade2026.authz was changed", "deploy again")
        return Passed(f"{what} is refused, a good token is accepted")

    return run


def foreign(stack: Stack, _key: Any) -> str:
    """A token that is signed with a foreign key."""
    from joserfc.jwk import RSAKey

    return signed(RSAKey.generate_key(2048, {"kid": "foreign"}), claims(stack))


# Name of the test → what the token is, and how it is made.
BAD_TOKENS: dict[str, tuple[str, Callable[[Stack, Any], str]]] = {
    "expired_token": ("an expired token", lambda stack, key: signed(key, claims(stack, exp=1))),
    "tampered_token": ("a token with changed claims", lambda stack, key: tampered(signed(key, claims(stack)))),
    "unsigned_token": ("a token with alg none", lambda stack, _key: unsigned(claims(stack))),
    "foreign_token": ("a token signed with a foreign key", foreign),
    "wrong_audience": ("a token for another audience", lambda stack, key: signed(key, claims(stack, aud="elsewhere"))),
}


def opa_read_only(_stack: Stack, service: Service) -> Passed:
    """A new policy over the network."""
    if "opa_read_only" not in [probe.title for probe in service.probes]:
        raise SkippedError("the site has set opa_read_only to false")
    path = f"/v1/policies/{service.target.unique('_')}"
    answer = web.ask(service.target, "http", path, method="PUT", body="package trade2026_probe")
    if answer.status < 400:
        web.ask(service.target, "http", path, method="DELETE")
        raise FailedError("a client may load a policy", OPEN, CLOSE)
    return Passed(f"a new policy is answered with {answer.status}", {"status": answer.status})
