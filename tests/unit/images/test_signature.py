# SPDX-License-Identifier: GPL-3.0-or-later
"""Who must have signed which image, and how cosign is asked. tests/official asks the real one."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.images.lock import read_verified, record
from ansible.module_utils.images.plan import Archived, ImageError, State, choose
from ansible.module_utils.images.signature import SignatureError, Signer, contradictions, signer_of, verify
from test_ensure import AUTHN, DIGEST, PYTHON, VALKEY, Engine, Machine

KEY = "-----BEGIN PUBLIC KEY-----\nMFkw\n-----END PUBLIC KEY-----"
OFFICIAL = VALKEY["official"]
REFERENCE = f"valkey/valkey@{DIGEST}"
SIGNER = Signer("*", key=KEY, transparency_log=False)


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        (("*", "valkey/valkey", OFFICIAL), OFFICIAL),
        (("*", "valkey/valkey"), "valkey/valkey"),
        (("*", "valkey"), "*"),
    ],
)
def test_the_most_specific_entry_is_taken(entries: tuple[str, ...], expected: str) -> None:
    signer = signer_of({entry: {"key": KEY} for entry in entries}, OFFICIAL)
    assert signer
    assert signer.entry == expected


def test_an_image_that_needs_no_signature_has_no_signer() -> None:
    assert signer_of({"*": {"key": KEY}, OFFICIAL: {"unsigned": True}}, OFFICIAL) is None


@pytest.mark.parametrize(
    ("signatures", "source", "expected"),
    [
        ({}, "registry", ""),
        ({"*": {"key": KEY}}, "registry", ""),
        ({"valky/valkey": {"key": KEY}}, "registry", f"no entry for {OFFICIAL}"),
        ({"*": {"key": KEY}}, "packages", "unsigned"),
        ({"*": {"unsigned": True}}, "packages", ""),
    ],
)
def test_an_image_without_an_entry_and_one_built_here_are_refused(
    signatures: dict[str, Any], source: str, expected: str
) -> None:
    assert expected in "".join(contradictions(signatures, [OFFICIAL], source))
    assert bool(expected) == bool(contradictions(signatures, [OFFICIAL], source))


@pytest.mark.parametrize(
    ("signer", "expected"),
    [
        (SIGNER, ["--key", "/k.pub", "--insecure-ignore-tlog=true"]),
        (Signer("*", key="awskms://alias/a"), ["--key", "awskms://alias/a"]),
        (
            Signer("*", identity="a@b", issuer="https://c", trusted_root="/root.json"),
            ["--certificate-identity", "a@b", "--certificate-oidc-issuer", "https://c", "--trusted-root", "/root.json"],
        ),
        (
            Signer("*", identity="^https://a/", issuer="https://c"),
            ["--certificate-identity-regexp", "^https://a/", "--certificate-oidc-issuer", "https://c"],
        ),
    ],
)
def test_cosign_is_asked_for_exactly_this_signer(signer: Signer, expected: list[str]) -> None:
    assert signer.command("cosign", REFERENCE, "/k.pub") == ["cosign", "verify", *expected, REFERENCE]


def test_the_public_key_reaches_cosign_and_is_named_as_sha256sum_names_it() -> None:
    seen = []

    def run(words: list[str], **_: Any) -> tuple[int, str, str]:
        seen.append(Path(words[words.index("--key") + 1]).read_text())
        return 0, "", ""

    verify(run, "cosign", REFERENCE, SIGNER)
    assert seen == [f"{KEY}\n"]
    assert hashlib.sha256(seen[0].encode()).hexdigest() in str(SIGNER)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("Error: no signatures found", "is not signed by"),
        ("Error: no matching signatures: invalid signature when validating ASN.1", "is not signed by"),
        ("dial tcp 127.0.0.1:5000: connect: connection refused", "could not be verified"),
    ],
)
def test_a_refusal_names_image_digest_key_and_remedy(said: str, expected: str) -> None:
    with pytest.raises(SignatureError) as caught:
        verify(lambda *_, **__: (10, "", said), "cosign", REFERENCE, SIGNER)
    for part in (REFERENCE, str(SIGNER), "entry `*`", "was not used", said, expected):
        assert part in str(caught.value)


def test_a_missing_cosign_says_how_to_get_it() -> None:
    def run(*_: Any, **__: Any) -> tuple[int, str, str]:
        raise FileNotFoundError(2, "No such file or directory")

    with pytest.raises(SignatureError, match=r"`cosign` cannot be run: No such file.*image_cosign"):
        verify(run, "cosign", REFERENCE, SIGNER)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    machine = Machine(tmp_path, Engine())
    machine.params["signatures"] = {"*": {"key": KEY, "transparency_log": False}}
    return machine


def test_an_image_is_verified_once(machine: Machine) -> None:
    assert machine.ensure("registry", "valkey", VALKEY)["changed"]
    entry = json.loads(Path(machine.params["lock"]).read_text())["images"][OFFICIAL]
    assert entry == {"digest": DIGEST, "verified_by": SIGNER.mark}
    assert not machine.ensure("registry", "valkey", VALKEY)["changed"]
    assert len(machine.engine.verified) == 1


def test_an_image_that_runs_is_verified_if_the_requirement_changes(machine: Machine) -> None:
    signatures = machine.params["signatures"]
    machine.params["signatures"] = {}
    machine.ensure("registry", "valkey", VALKEY)
    machine.params["signatures"] = signatures
    planned = machine.plan("registry", valkey=VALKEY)
    assert planned["missing"] == ["valkey"]
    assert planned["images"]["valkey"]["unverified"] == str(SIGNER)
    pulled = len([words for words in machine.engine.commands if words[0] == "pull"])
    assert machine.ensure("registry", "valkey", VALKEY, check=True)["changed"]
    assert machine.ensure("registry", "valkey", VALKEY)["changed"]
    assert len([words for words in machine.engine.commands if words[0] == "pull"]) == pulled
    assert machine.plan("registry", valkey=VALKEY)["missing"] == []


def test_the_base_of_an_application_is_verified_before_the_build(machine: Machine) -> None:
    machine.migrate()
    machine.engine.signed = False
    with pytest.raises(SignatureError):
        machine.ensure("registry", "authn", AUTHN)
    assert not any(words[0] == "build" for words in machine.engine.commands)
    assert not Path(machine.params["lock"]).exists()
    machine.engine.signed = True
    assert machine.ensure("registry", "authn", AUTHN)["image"]["id"]
    assert machine.engine.verified[-1][-1] == f"{PYTHON.partition(':')[0]}@{DIGEST}"


def test_an_unchanged_digest_stays_verified_and_a_new_one_does_not(machine: Machine) -> None:
    lock = Path(machine.params["lock"])
    assert record(lock, OFFICIAL, DIGEST, SIGNER.mark)
    assert not record(lock, OFFICIAL, DIGEST)
    assert read_verified(lock) == {OFFICIAL: SIGNER.mark}
    assert record(lock, OFFICIAL, "sha256:" + "b" * 64)
    assert read_verified(lock) == {}


@pytest.mark.parametrize("verified_by", ["", "sha256:another"])
def test_a_bundle_whose_signatures_were_not_verified_is_refused(verified_by: str) -> None:
    archived = Archived(
        "localhost/valkey:1", OFFICIAL, "registry", "8", "x", "", "sha256:f", 1, DIGEST, "", verified_by
    )
    signatures = {"*": {"key": KEY, "transparency_log": False}}
    state = State(archive={"valkey": archived}, signatures=signatures)
    with pytest.raises(ImageError, match="was not verified when the bundle was written"):
        choose({"valkey": VALKEY}, "archive", state)


def test_a_bundle_whose_signatures_were_verified_is_taken() -> None:
    archived = Archived(
        "localhost/valkey:1", OFFICIAL, "registry", "8", "x", "", "sha256:f", 1, DIGEST, "", SIGNER.mark
    )
    state = State(archive={"valkey": archived}, signatures={"*": {"key": KEY, "transparency_log": False}})
    assert choose({"valkey": VALKEY}, "archive", state)[0].reference == "localhost/valkey:1"
