# SPDX-License-Identifier: GPL-3.0-or-later
"""The configuration file."""

from __future__ import annotations

from pathlib import Path

import pytest
from authn import config
from authn.errors import ConfigurationError
from conftest import SCOPES, Site

WHOLE = """
service: {name: authn, port: 8114, bind: "::1", public_url: "https://login.example.org/", log_level: debug}
jwt: {algorithm: RS256, issuer: authn, audience: [trading, reports], expiration: 3600}
clients:
  srv:oms: {scopes: ["orders:submit", "orders:submit", "fills:read"]}
"""


def load(tmp_path: Path, text: str) -> config.Config:
    path = tmp_path / "config.yaml"
    path.write_text(text, encoding="utf-8")
    return config.load(path)


def problems(tmp_path: Path, text: str) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path, text)
    return [problem.removeprefix(f"{tmp_path}/config.yaml: ") for problem in caught.value.problems]


def test_every_setting_is_read(tmp_path: Path) -> None:
    assert load(tmp_path, WHOLE) == config.Config(
        name="authn",
        bind="::1",
        port=8114,
        public_url="https://login.example.org",
        log_level="debug",
        issuer="authn",
        audience=("trading", "reports"),
        expiration_s=3600,
        clients={"srv:oms": ("orders:submit", "fills:read")},
    )


def test_what_is_left_out_has_a_default(site: Site) -> None:
    site.configure(lambda document: document["service"].pop("bind"))
    loaded = config.load(Path(site.environment["CONFIG_PATH"]))
    assert (loaded.bind, loaded.public_url, loaded.log_level) == ("0.0.0.0", None, "info")
    assert list(loaded.clients) == list(SCOPES)


@pytest.mark.parametrize(
    ("old", "new", "where"),
    [
        ("port: 8114", "port: 70000", "service.port"),
        ("port: 8114", "port: true", "service.port"),
        ("port: 8114", "port: '8114'", "service.port"),
        ("port: 8114, ", "", "service.port"),
        ("port: 8114", "port: 8114, prot: 1", "service.prot"),
        ("name: authn", "name: ''", "service.name"),
        ('"::1"', "localhost", "service.bind"),
        ('"::1"', "7", "service.bind"),
        ("https://login.example.org/", "login.example.org", "service.public_url"),
        ("https://login.example.org/", "https://user@login.example.org/", "service.public_url"),
        ("https://login.example.org/", "https://login.example.org:x/", "service.public_url"),
        ("log_level: debug", "log_level: loud", "service.log_level"),
        ("RS256", "none", "jwt.algorithm"),
        ("issuer: authn", "issuer: 'http://authn/?x=1'", "jwt.issuer"),
        ("issuer: authn", "issuer: 7", "jwt.issuer"),
        ("[trading, reports]", "[]", "jwt.audience"),
        ("[trading, reports]", "[trading, 7]", "jwt.audience[1]"),
        ("3600", "0", "jwt.expiration"),
        ("3600", "100000", "jwt.expiration"),
        ("3600", "soon", "jwt.expiration"),
        ("jwt:", "jot:", "jot"),
        ('["orders:submit", "orders:submit", "fills:read"]', "[]", "clients.srv:oms.scopes"),
        ('"fills:read"]', '"fills read"]', "clients.srv:oms.scopes"),
        ('"fills:read"]', "7]", "clients.srv:oms.scopes"),
        ("scopes:", "scope:", "clients.srv:oms.scope"),
        ("srv:oms:", "7:", "clients.7"),
        ("srv:oms:", '"sürv":', "clients.sürv"),
        ("  srv:oms: {scopes", "  {}\n#", "clients"),
    ],
)
def test_what_is_wrong_is_named_by_its_place(tmp_path: Path, old: str, new: str, where: str) -> None:
    assert WHOLE.count(old) >= 1
    assert problems(tmp_path, WHOLE.replace(old, new, 1))[0].split(": ")[0] == where


def test_all_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    text = WHOLE.replace("8114", "0").replace("RS256", "HS256").replace("3600", "-1").replace("scopes:", "scoops:")
    assert len(problems(tmp_path, text)) == 5


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "the file: is empty"),
        ("- a", "the file: is a list"),
        ("a: [", "line 1: not valid YAML"),
        ("a: 1\nb: 2\na: 3", "line 3: not valid YAML, the key 'a' is given twice"),
        ("a: !!python/object:os.system x", "not valid YAML"),
        ("? [a]\n: b", "not valid YAML"),
    ],
)
def test_a_file_that_is_none_is_said(tmp_path: Path, text: str, says: str) -> None:
    assert says in problems(tmp_path, text)[0]


def test_a_file_that_is_not_utf8_is_said(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_bytes(b"service: \xfc")
    with pytest.raises(ConfigurationError, match="byte 9 is not UTF-8"):
        config.load(path)
