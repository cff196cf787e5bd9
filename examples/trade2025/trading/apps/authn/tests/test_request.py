# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests taken apart: properties over any input."""

from __future__ import annotations

import base64
from collections.abc import Callable
from urllib.parse import quote_plus, urlencode

import pytest
from authn import request
from authn.errors import OAuthError
from hypothesis import example, given, settings
from hypothesis import strategies as st

settings.register_profile("authn", database=None, deadline=None)
settings.load_profile("authn")

ANY_TEXT = st.text(st.characters(codec="utf-8"))
CLIENT_IDS = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1)


def header(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


def outcome(call: Callable[[], tuple[str, ...]]) -> tuple[str, ...] | str:
    """What a call returns, or the code of its error."""
    try:
        return call()
    except OAuthError as error:
        return error.code


@given(CLIENT_IDS, ANY_TEXT, st.frozensets(CLIENT_IDS))
@example("a", "b:c", frozenset({"a%3Ab"}))
def test_encoded_credentials_survive_whatever_they_hold(client_id: str, secret: str, known: frozenset[str]) -> None:
    encoded = f"{quote_plus(client_id)}:{quote_plus(secret)}"
    assert request.basic_credentials(header(encoded), known) == (client_id, secret)


@given(CLIENT_IDS, CLIENT_IDS, st.text(st.characters(codec="utf-8", exclude_characters=":")))
def test_unencoded_credentials_with_a_colon_in_the_id_survive(left: str, right: str, secret: str) -> None:
    client_id = f"{left}:{right}"
    assert request.basic_credentials(header(f"{client_id}:{secret}"), {client_id}) == (client_id, secret)


@pytest.mark.parametrize(
    ("text", "known", "expected"),
    [
        ("srv:oms:secret", {"srv:oms"}, ("srv:oms", "secret")),
        ("srv%3Aoms:secret", {"srv:oms"}, ("srv:oms", "secret")),
        ("srv:oms:se:cret%21", {"srv:oms"}, ("srv:oms", "se:cret%21")),
        ("srv:oms:secret", {"srv", "srv:oms"}, ("srv:oms", "secret")),
        ("srv:oms:secret", {"srv"}, ("srv", "oms:secret")),
        ("srv:oms:secret", set(), ("srv", "oms:secret")),
        ("gateway:a%21+b", {"gateway"}, ("gateway", "a! b")),
    ],
)
def test_how_a_header_is_split(text: str, known: set[str], expected: tuple[str, str]) -> None:
    assert request.basic_credentials(header(text), known) == expected


@given(
    st.one_of(st.text(), ANY_TEXT.map(header), st.binary().map(lambda raw: "Basic " + base64.b64encode(raw).decode()))
)
def test_any_header_is_read_or_refused(text: str) -> None:
    result = outcome(lambda: request.basic_credentials(text, ()))
    assert result == "invalid_client" or [type(part) for part in result] == [str, str]


@given(st.one_of(st.binary(), st.dictionaries(st.sampled_from(["grant_type", "scope", "client_id"]), ANY_TEXT)))
def test_any_body_is_read_or_refused(body: bytes | dict[str, str]) -> None:
    raw = body if isinstance(body, bytes) else urlencode(body).encode()
    with pytest.raises(OAuthError) as caught:
        request.parse(request.MEDIA_TYPE, [], raw, ())
    assert caught.value.code in ("invalid_request", "invalid_client", "unsupported_grant_type", "invalid_scope")


@given(st.lists(st.sampled_from(["a", "b", "c"])), st.lists(st.sampled_from(["a", "b", "c"]), unique=True))
def test_no_token_holds_more_than_is_allowed(wanted: list[str], allowed: list[str]) -> None:
    result = outcome(lambda: request.granted(tuple(wanted), tuple(allowed)))
    assert result == (tuple(wanted) if set(wanted) <= set(allowed) else "invalid_scope")


def test_a_request_does_not_show_its_secret() -> None:
    asked = request.parse(request.MEDIA_TYPE, [header("a:hidden")], b"grant_type=client_credentials", {"a"})
    assert asked.client_secret == "hidden"
    assert "hidden" not in repr(asked)


def test_two_authorization_headers_are_refused() -> None:
    with pytest.raises(OAuthError) as caught:
        request.parse(request.MEDIA_TYPE, [header("a:b"), header("a:b")], b"grant_type=client_credentials", {"a"})
    assert caught.value.code == "invalid_request"
