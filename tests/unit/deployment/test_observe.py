# SPDX-License-Identifier: GPL-3.0-or-later
"""The inspection of files, owners and secrets only reads, and reveals no secret."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.core.files import FilesError
from ansible.module_utils.core.secret_store import scrypt_hash
from ansible.module_utils.deployment.engine import moment, parse_container
from ansible.module_utils.deployment.observe import (
    observe_files,
    observe_owners,
    observe_secrets,
    salted,
    secrets_fingerprint,
)

CONFIG = "config/valkey/valkey.conf"
SECRET = "a-long-generated-secret"


def params(root: Path, text: str = "requirepass @@secret:valkey/password@@\n", **more: Any) -> dict[str, Any]:
    return {
        "root": str(root),
        "secrets_root": str(root / "secrets"),
        "files": [{"dest": CONFIG, "content": text, "mode": "0640"}],
        "watch": ["valkey/password"],
        **more,
    }


def site(root: Path) -> None:
    (root / "secrets/valkey").mkdir(parents=True)
    (root / "secrets/valkey/password").write_text(SECRET + "\n", encoding="utf-8")
    (root / "config/valkey").mkdir(parents=True)
    (root / CONFIG).write_text(f"requirepass {SECRET}\n", encoding="utf-8")
    (root / CONFIG).chmod(0o640)


def test_files_as_declared_give_no_difference_and_the_time_of_the_last_change(tmp_path: Path) -> None:
    site(tmp_path)
    found = observe_files(params(tmp_path), [CONFIG])
    assert found.files == ()
    assert (found.newest_file, found.newest_change) == (CONFIG, (tmp_path / CONFIG).stat().st_ctime)


def test_a_file_from_the_future_is_ignored_after_the_clock_was_set_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise every run would recreate the container until the clock reaches that time again."""
    site(tmp_path)
    written = (tmp_path / CONFIG).stat().st_ctime
    os.utime(tmp_path / "secrets/valkey/password", (written - 7200, written - 7200))
    monkeypatch.setattr(time, "time", lambda: written - 3600)
    found = observe_files(params(tmp_path), [CONFIG])
    assert (found.newest_file, round(found.newest_change)) == ("secret valkey/password", round(written - 7200))
    monkeypatch.setattr(time, "time", lambda: written + 1)
    assert observe_files(params(tmp_path), [CONFIG]).newest_file == CONFIG


@pytest.mark.parametrize(
    ("content", "cause"), [(b"", "its file was emptied"), (b" \n", "its file was emptied"), (None, "it does not exist")]
)
def test_a_lost_secret_is_planned_again(tmp_path: Path, content: bytes | None, cause: str) -> None:
    site(tmp_path)
    file = tmp_path / "secrets/valkey/password"
    if content is None:
        file.unlink()
    else:
        file.write_bytes(content)
    declared = [{"path": "valkey/password", "kind": "password", "gid": os.getgid(), "mode": 0o640}]
    found = observe_secrets(tmp_path / "secrets", declared, "salt")
    assert [(secret.action, secret.cause) for secret in found] == [("create", cause)]


def test_a_secret_that_is_not_text_is_refused(tmp_path: Path) -> None:
    site(tmp_path)
    (tmp_path / "secrets/valkey/password").write_bytes(b"\xff\xfe")
    declared = [{"path": "valkey/password", "kind": "password", "gid": 0}]
    with pytest.raises(FilesError, match="is not text"):
        observe_secrets(tmp_path / "secrets", declared, "salt")
    with pytest.raises(FilesError, match="is not text"):
        observe_files(params(tmp_path), [CONFIG])


def test_a_differing_file_has_a_diff_without_the_secret(tmp_path: Path) -> None:
    site(tmp_path)
    found = observe_files(params(tmp_path, "port 1\nrequirepass @@secret:valkey/password@@\n"), [CONFIG])
    assert [(file.path, file.what, file.exists) for file in found.files] == [(CONFIG, "content", True)]
    assert "+port 1" in found.files[0].diff
    assert SECRET not in found.files[0].diff


def test_the_fingerprint_changes_with_content_and_mode_and_not_with_the_inspection(tmp_path: Path) -> None:
    site(tmp_path)
    first = observe_files(params(tmp_path)).fingerprint
    assert observe_files(params(tmp_path)).fingerprint == first
    (tmp_path / CONFIG).chmod(0o600)
    second = observe_files(params(tmp_path)).fingerprint
    (tmp_path / CONFIG).write_text("other", encoding="utf-8")
    assert len({first, second, observe_files(params(tmp_path)).fingerprint}) == 3


def test_a_secret_that_will_be_replaced_makes_its_file_differ(tmp_path: Path) -> None:
    site(tmp_path)
    found = observe_files(params(tmp_path, pending_secrets=["valkey/password"]))
    assert [file.what for file in found.files] == ["content"]


def test_foreign_owners_are_counted_up_to_a_bound(tmp_path: Path) -> None:
    data = tmp_path / "data/valkey/appendonlydir"
    data.mkdir(parents=True)
    for number in range(5):
        (data / str(number)).write_text("", encoding="utf-8")
    assert observe_owners(tmp_path, ["data/valkey"], os.getuid()) == []
    (found,) = observe_owners(tmp_path, ["data/valkey"], os.getuid() + 1)
    assert (found.wrong, found.examined, found.owner) == (6, 6, os.getuid())
    (found,) = observe_owners(tmp_path, ["data/valkey"], os.getuid() + 1, bound=3)
    assert found.examined == 3
    assert observe_owners(tmp_path, ["data/none"], 5) == []
    mounted = ["data/valkey/appendonlydir"]
    assert observe_owners(tmp_path, ["data/valkey"], os.getuid() + 1, mount_points=mounted) == []


def test_secrets_are_compared_by_salted_digests(tmp_path: Path) -> None:
    site(tmp_path)
    entry = {"path": "valkey/password", "kind": "password", "gid": os.getgid(), "mode": 0o644}
    (tmp_path / "secrets/valkey/password").chmod(0o644)

    def actions(**more: Any) -> list[str]:
        return [secret.action for secret in observe_secrets(tmp_path / "secrets", [{**entry, **more}], "salt")]

    assert actions() == []
    assert actions(digest=salted(SECRET, "salt")) == []
    assert actions(digest=salted(SECRET, "pepper")) == ["write"]
    assert actions(path="nats/password") == ["create"]


def test_a_secret_that_is_a_symlink_to_nowhere_is_named(tmp_path: Path) -> None:
    (tmp_path / "valkey").mkdir()
    (tmp_path / "valkey/password").symlink_to("/nowhere/secret")
    with pytest.raises(FilesError, match="is a symlink to /nowhere/secret, which does not exist"):
        observe_secrets(tmp_path, [{"path": "valkey/password", "kind": "password", "gid": 0}], "salt")


def test_clients_that_are_added_removed_or_set_are_found(tmp_path: Path) -> None:
    (tmp_path / "authn").mkdir()
    (tmp_path / "clients.json").write_text(json.dumps({"a": SECRET}), encoding="utf-8")
    (tmp_path / "authn/hashes.json").write_text(json.dumps({"a": scrypt_hash(SECRET)}), encoding="utf-8")
    (tmp_path / "authn/hashes.json").chmod(0o644)
    entry = {"path": "authn/hashes.json", "plain": "clients.json", "kind": "clients", "gid": os.getgid(), "mode": 0o644}

    def found(clients: list[str], digest: dict[str, str] | None = None) -> list[tuple[str, str]]:
        declared = [{**entry, "clients": clients, "digest": digest}]
        return [(secret.path, secret.cause) for secret in observe_secrets(tmp_path, declared, "salt")]

    assert found(["a"]) == []
    assert found(["a"], {"a": salted(SECRET, "salt")}) == []
    assert found(["a", "b"])[0] == ("clients.json", "new: b")
    assert found([])[0] == ("clients.json", "no longer declared: a")
    assert found(["a"], {"a": "another"})[0] == ("clients.json", "another value set: a")


def test_the_fingerprint_of_secrets_does_not_reveal_their_content(tmp_path: Path) -> None:
    site(tmp_path)
    entry = [{"path": "valkey/password"}]
    before = secrets_fingerprint(tmp_path / "secrets", entry)
    file = tmp_path / "secrets/valkey/password"
    seen = file.stat()
    file.write_text("b" * (seen.st_size - 1) + "\n", encoding="utf-8")
    os.utime(file, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    assert secrets_fingerprint(tmp_path / "secrets", entry) == before
    os.utime(file)
    assert secrets_fingerprint(tmp_path / "secrets", entry) != before


def test_what_the_engine_reports_about_a_container_is_parsed() -> None:
    document = {
        "Id": "k1",
        "Name": "/valkey",
        "Image": "sha256:1",
        "State": {"Status": "running", "StartedAt": "2026-01-01T00:00:01.123456789Z", "Health": {"Status": "healthy"}},
        "Config": {"Image": "valkey:8", "Labels": {"a": "b"}},
        "HostConfig": {
            "Memory": 5,
            "MemorySwap": 5,
            "NanoCpus": 6,
            "PidsLimit": None,
            "PortBindings": {"6379/tcp": [{"HostIp": "127.0.0.1", "HostPort": "16379"}]},
        },
        "NetworkSettings": {"Networks": {"n": {"NetworkID": "n1", "Aliases": None}}},
    }
    found = parse_container(document)
    assert (found.name, found.status, found.health, found.host_ports) == ("valkey", "running", "healthy", (16379,))
    assert (found.memory, found.pids, found.networks["n"].aliases) == (5, 0, ())
    assert found.started == 1767225601.123456
    assert parse_container({**document, "State": {"Status": "running", "Paused": True}}).status == "paused"


def test_a_container_that_never_started_has_no_time() -> None:
    assert moment("0001-01-01T00:00:00Z") == 0.0
    assert moment("") == 0.0
