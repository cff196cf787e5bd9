# SPDX-License-Identifier: GPL-3.0-or-later
"""Find secrets in variables and command lines, and mask them everywhere."""

from __future__ import annotations

import pytest
from ansible.module_utils.shared.masking import MASK, Mask, is_secret_name, secrets_of_text, secrets_of_variable

# Prefixes of a token and a key, so that the file itself contains neither.
JWT = "eyJ" + "x" * 12 + ".eyJ" + "x" * 8 + ".abc"
PEM_BEGIN = "-----BEGIN " + "RSA PRIVATE KEY-----"


@pytest.mark.parametrize(
    "name",
    [
        "PASSWORD",
        "DB_PASSWORD",
        "dbPassword",
        "MYSQL_ROOT_PASSWORD",
        "API_KEY",
        "apiKey",
        "AWS_SECRET_ACCESS_KEY",
        "JWT_SECRET",
        "GITHUB_TOKEN",
        "CLIENT_SECRET_1",
        "requirepass.password",
        "secret-key",
        "PGPASSWORD",
    ],
)
def test_names_of_secrets_are_recognized(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "PASSWORD_FILE",
        "SECRETS_DIR",
        "TOKEN_TTL",
        "TOKEN_URL",
        "COMPASS",
        "BYPASS_CACHE",
        "MONKEY",
        "KEYSPACE",
        "JWKS_PATH",
        "PASSWORD_MIN_LENGTH",
        "AWS_ACCESS_KEY_ID",
        "TOKENIZER",
        "AUTHOR",
        "PUBLIC_KEY",
    ],
)
def test_other_names_are_not_taken_for_secret(name: str) -> None:
    assert not is_secret_name(name)


@pytest.mark.parametrize(
    ("text", "secrets"),
    [
        ("valkey-server --requirepass abcdef", ["abcdef"]),
        ("x --password='a b'", ["a b"]),
        ("x --api-key=k1k2k3", ["k1k2k3"]),
        ("postgres://u:p4ss@h/db and amqp://v:w0rd@h", ["p4ss", "w0rd"]),
        ("TOKEN=abc run", ["abc"]),
        ("valkey-cli -h x -a abcdef ping", ["abcdef"]),
        ("curl -f -u name:abcdef http://h/", ["abcdef"]),
        ("mysqladmin ping -h localhost -pabcdef", ["abcdef"]),
        (f"x {JWT}", [JWT]),
        ("run -u app:app", []),
        ("curl -f http://h:80/", []),
        ("valkey-cli -a $PASS ping", []),
        ("x --password $PASS", []),
        ("x --password-file /run/x", []),
        ("http://host:80/x", []),
        ("x --compass north", []),
    ],
)
def test_secrets_in_lines_are_found(text: str, secrets: list[str]) -> None:
    assert secrets_of_text(text) == secrets


@pytest.mark.parametrize("value", ["", " ", "true", "/run/secrets/x", "./x", "C:/x", "3600"])
def test_other_values_are_not_taken_for_secret(value: str) -> None:
    assert secrets_of_variable("DB_PASSWORD", value) == []


def test_the_longest_secret_is_masked_first_and_a_short_one_only_as_a_whole_word() -> None:
    mask = Mask(["secret", "secretlonger", "ab"])
    assert mask.data({"x": ["a secretlonger b", {"y": "usecretu"}], "n": 1}) == {
        "x": [f"a {MASK} b", {"y": f"u{MASK}u"}],
        "n": 1,
    }
    assert mask.text("ab cab") == f"{MASK} cab"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("clickhouse", MASK),
        ("clickhouse-client --password clickhouse", f"clickhouse-client --password {MASK}"),
        ("http://u:clickhouse@clickhouse:8123/", f"http://u:{MASK}@clickhouse:8123/"),
        ("PGPASSWORD=clickhouse psql -h clickhouse", f"PGPASSWORD={MASK} psql -h clickhouse"),
        ("http://clickhouse:8123/", "http://clickhouse:8123/"),
        ("the-other-secret", MASK),
        ("Authorization: Bearer abcdefgh12345", f"Authorization: Bearer {MASK}"),
        (f"{PEM_BEGIN}\nabc\n{PEM_BEGIN.replace('BEGIN', 'END')}", MASK),
    ],
)
def test_a_secret_that_equals_a_name_is_hidden_only_where_it_is_a_value(value: str, shown: str) -> None:
    mask = Mask(["clickhouse", "the-other-secret"], ["clickhouse", "clickhouse-server"])
    assert mask.value(value) == shown
    assert mask.text("service clickhouse uses the-other-secret") == f"service clickhouse uses {MASK}"
