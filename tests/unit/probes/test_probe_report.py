# SPDX-License-Identifier: GPL-3.0-or-later
"""What a failure shows: the cause in full, and no secret."""

from __future__ import annotations

from pathlib import Path

from ansible.module_utils.probes.container import Log
from ansible.module_utils.probes.report import Failure, answer

SECRET = "kept-in-a-file-0123456789"  # pragma: allowlist secret


def test_the_name_of_a_probe_hides_nothing_of_its_message(tmp_path: Path) -> None:
    failure = Failure("authn_tokens", "POST /token: no answer within 5 s", None)
    assert "authn_tokens: POST /token: no answer within 5 s." in answer("authn", failure, Log(), {}, tmp_path)["msg"]


def test_secrets_in_a_message_and_in_a_log_are_hidden(tmp_path: Path) -> None:
    (tmp_path / "password").write_text(SECRET, encoding="utf-8")
    failure = Failure("authn_tokens", f"it answered {SECRET} and client_secret: guessed", None)
    shown = answer("authn", failure, Log((f"password={SECRET}", "token: another")), {}, tmp_path)
    assert "it answered ********" in shown["msg"]
    assert not any(text in str(shown) for text in (SECRET, "guessed", "another"))
