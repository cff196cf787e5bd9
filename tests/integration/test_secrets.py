"""Generated secrets are seen nowhere but in the files that need them."""

from __future__ import annotations

import json
import stat

from site_under_test import Run, Site


def assert_unseen(site: Site, text: str) -> None:
    seen = [number for number, secret in enumerate(sorted(site.secrets())) if secret in text]
    # Numbers and not the secrets themselves: a failing test prints its values.
    assert seen == []


def test_there_are_secrets_to_look_for(deployed: Site) -> None:
    assert len(deployed.secrets()) >= 8


def test_no_secret_in_the_most_talkative_output(deployed: Site, first_run: Run) -> None:
    assert "-vvv" not in first_run.output[:0]
    assert_unseen(deployed, first_run.output)


def test_no_secret_in_a_diff_when_a_file_that_holds_one_changes(deployed: Site) -> None:
    file = deployed.root / "config/infrastructure/seaweedfs/s3.json"
    original = file.read_bytes()
    file.write_bytes(original.replace(b'"Admin"', b'"Admin" '))
    run = deployed.play("--limit", "seaweedfs", "--check", "--diff", "-vvv")
    file.write_bytes(original)
    assert run.code == 0, run.errors
    assert "s3.json" in run.output
    assert_unseen(deployed, run.output)


def test_no_secret_in_what_docker_shows(deployed: Site) -> None:
    assert_unseen(deployed, json.dumps(deployed.inspect()))


def test_no_secret_in_fragments_documents_and_records(deployed: Site) -> None:
    for folder in ("infrastructure", "docs", "backend"):
        for file in (deployed.root / folder).rglob("*"):
            if file.is_file():
                assert_unseen(deployed, file.read_text(encoding="utf-8", errors="replace"))


def test_files_with_secrets_are_closed_to_others(deployed: Site) -> None:
    secrets = deployed.secrets()
    for file in deployed.root.rglob("*"):
        if not file.is_file() or file.is_relative_to(deployed.root / "data"):
            continue
        text = file.read_text(encoding="utf-8", errors="replace")
        if any(secret in text for secret in secrets):
            assert not stat.S_IMODE(file.stat().st_mode) & stat.S_IRWXO, file
