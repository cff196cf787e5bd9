# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets go into files on the machine and never into what is shown."""

from __future__ import annotations

import hashlib

from ansible.module_utils.core import placeholders

SECRETS = {"valkey/password": "s3cret-value", "clickhouse/password": "other-value"}


def test_a_secret_is_put_in_its_place() -> None:
    text = "requirepass @@secret:valkey/password@@\n"
    assert placeholders.resolve(text, SECRETS.__getitem__) == "requirepass s3cret-value\n"


def test_a_hash_is_the_sha256_of_the_secret() -> None:
    expected = hashlib.sha256(b"other-value").hexdigest()
    assert placeholders.resolve("@@secret_sha256:clickhouse/password@@", SECRETS.__getitem__) == expected


def test_masking_undoes_resolving() -> None:
    template = "a @@secret:valkey/password@@ b @@secret_sha256:clickhouse/password@@"
    resolved = placeholders.resolve(template, SECRETS.__getitem__)
    assert "s3cret-value" in resolved
    assert placeholders.mask(resolved, template, SECRETS.__getitem__) == template


def test_a_secret_in_the_live_file_is_masked_everywhere() -> None:
    shown = placeholders.mask("# was s3cret-value", "x @@secret:valkey/password@@", SECRETS.__getitem__)
    assert "s3cret-value" not in shown


def test_text_without_a_placeholder_mentions_no_secret() -> None:
    assert not placeholders.mentions_secret("mail me @@ secret:x @@")
    assert placeholders.mentions_secret("@@secret:a/b@@")
