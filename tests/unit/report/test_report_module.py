# SPDX-License-Identifier: GPL-3.0-or-later
"""The module core_report: what it adds, masks and writes."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
from pathlib import Path
from typing import Any

import core_report
import pytest
import sample_documents
from ansible.module_utils.report import junit
from ansible.module_utils.report.document import complete
from ansible.module_utils.report.page import render
from ansible.module_utils.report.store import Store
from ansible.module_utils.shared import masking
from ansible.module_utils.shared.docker import Docker
from ansible.module_utils.testing import patch_module_args
from core_report import completed, previous

ROOT = Path(__file__).resolve().parents[3]


# Answers like the engine's command line: the container `valkey` and the network `b` exist.
DOCKER = """#!/bin/sh
case "$1 $2" in
    "version --format") echo 20.10.24 ;;
    "container inspect") cat "${0%/*}/container.json"; echo "Error: No such container: gone" >&2; exit 1 ;;
    "network inspect") [ "$3" = b ] && cat "${0%/*}/network.json" ;;
esac
"""
CONTAINER = {
    "Image": "sha256:abc",
    "Config": {"Image": "valkey:8"},
    "State": {"Status": "running", "StartedAt": "2026-11-26T06:30:00.5Z", "Health": {"Status": "healthy"}},
    "NetworkSettings": {
        "Ports": {"6379/tcp": [{"HostIp": "127.0.0.1", "HostPort": "16379"}], "1/tcp": None},
        "Networks": {"b": {"IPAddress": "10.0.0.2", "Aliases": ["valkey"]}},
    },
}
NETWORK = {
    "Name": "b",
    "Id": "1",
    "IPAM": {"Config": [{"Subnet": "10.0.0.0/24"}]},
    "Internal": True,
    "Options": None,
}


def call(words: list[str], **_options: Any) -> tuple[int, str, str]:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def program(folder: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a program `docker` before all others."""
    (folder / "docker").write_text(text, encoding="utf-8")
    (folder / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


@pytest.fixture
def engine(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path_factory.mktemp("bin")
    (folder / "container.json").write_text(json.dumps([CONTAINER]), encoding="utf-8")
    (folder / "network.json").write_text(json.dumps([NETWORK]), encoding="utf-8")
    program(folder, DOCKER, monkeypatch)


def parameters(root: Path, document: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"document": document, "root": str(root), "secrets_root": str(root / "secrets"), "containers": {}, **more}


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize(
    ("index", "expected"),
    [
        (None, "Not scanned: no database."),
        ("{}", "not known: "),
        (
            json.dumps(
                {
                    "scanned": "2026-11-26T12:00:00+00:00",
                    "built": "2026-11-20T06:00:00+00:00",
                    "schema": "v6.1.9",
                    "counts": {"Critical": 1, "High": 0, "Medium": 0, "Low": 2, "Negligible": 0, "Unknown": 0},
                }
            ),
            "1 critical, 2 low at the scan on 2026-11-26 12:00 UTC, with a database 6 days old, out of date.",
        ),
    ],
)
def test_known_vulnerabilities_are_those_of_the_last_scan(tmp_path: Path, index: str | None, expected: str) -> None:
    if index:
        (tmp_path / "docs/sbom").mkdir(parents=True)
        (tmp_path / "docs/sbom/vulnerabilities.json").write_text(index)
    found = completed(parameters(tmp_path, sample_documents.smallest()), Store(tmp_path), Docker(call))
    assert found["machine"]["vulnerabilities"].startswith(expected)


@pytest.mark.usefixtures("engine")
def test_the_running_state_comes_from_the_engine(tmp_path: Path) -> None:
    document = sample_documents.smallest()
    document["services"] = [
        {"name": "valkey", "title": "Valkey", "ports": [{"name": "client", "host": 16379, "container": 16379}]},
        {"name": "nats", "title": "NATS"},
    ]
    containers = {"valkey": "valkey", "nats": "gone"}
    found = completed(parameters(tmp_path, document, containers=containers), Store(tmp_path), Docker(call))
    valkey, nats = found["services"]
    assert (valkey["state"], valkey["health"], valkey["started_at"]) == ("running", "healthy", "2026-11-26T06:30:00.5Z")
    assert valkey["ports"] == [{"name": "client", "host_ip": "127.0.0.1", "host": 16379, "container": 6379}]
    assert valkey["networks"] == [{"name": "b", "ip": "10.0.0.2", "aliases": ["valkey"]}]
    assert valkey["image"] == {"reference": "valkey:8", "id": "sha256:abc"}
    assert nats["state"] == "absent"
    assert found["networks"] == [{"name": "b", "id": "1", "subnet": "10.0.0.0/24", "mtu": 1500, "internal": True}]
    assert found["machine"]["engine"] == "20.10.24"
    assert found["machine"]["cores"] == os.cpu_count()


def test_an_engine_that_does_not_answer_leaves_the_state_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, "#!/bin/sh\necho Cannot connect to the Docker daemon >&2; exit 1\n", monkeypatch)
    document = {**sample_documents.smallest(), "services": [{"name": "nats", "title": "NATS"}]}
    found = completed(parameters(tmp_path, document), Store(tmp_path), Docker(call))
    assert found["services"] == document["services"]
    assert "networks" not in found


def test_no_secret_is_in_any_file_of_a_report(tmp_path: Path) -> None:
    folder = tmp_path / "secrets/valkey"
    folder.mkdir(parents=True)
    # A password, a value in JSON, one that is only found by its name, and one in a block of several lines.
    planted = [secrets.token_urlsafe(24) for _count in range(4)]
    (folder / "password").write_text(planted[0] + "\n", encoding="utf-8")
    (folder / "clients").write_text(json.dumps({"app": planted[1]}), encoding="utf-8")
    document = sample_documents.failing()
    document["run"]["command"] = f"ansible-playbook -e x={planted[0]}"
    failed = next(test for test in document["tests"] if test["status"] == "failed")
    block = ["-----BEGIN " + "PRIVATE KEY-----", planted[3], "-----END " + "PRIVATE KEY-----"]
    log = [f"requirepass {planted[0]}", f"S3_SECRET={planted[2]}", *block]
    failed.update(message=f"refused {planted[1]}", log=log)
    failed["evidence"] = {"answer": f"Bearer {planted[2]}"}
    document["choices"][0]["value"] = f"--requirepass {planted[0]}"
    document["operations"][0]["current"] = planted[1]
    found = complete(completed(parameters(tmp_path, document), Store(tmp_path), Docker(call)))
    texts = [json.dumps(found), junit.render(found), render(found, ROOT / "roles/core/templates/report")]
    assert [text.count("********") > 2 for text in texts] == [True, True, True]
    assert [secret for secret in planted for text in texts if secret in text] == []


def test_a_secret_that_cannot_be_read_withholds_the_logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Root can read every file, whatever its mode.
    monkeypatch.setattr(masking, "secrets_below", lambda root: (set(), [str(root / "password")]))
    found = completed(parameters(tmp_path, sample_documents.failing()), Store(tmp_path), Docker(call))
    logs = [test["log"] for test in found["tests"] if test.get("log")]
    assert logs
    assert all("withheld" in log[0] for log in logs)


def test_earlier_runs_are_the_history_and_the_trend(tmp_path: Path) -> None:
    store = Store(tmp_path / "docs/reports")
    earlier = complete(sample_documents.failing())
    store.write({"report.json": json.dumps(earlier)}, "2026-11-20T06:30:00Z", keep=5)
    document = sample_documents.sample()
    for row in document["performance"]:
        del row["previous"]
    found = completed(parameters(tmp_path, document), store, Docker(call))
    assert [entry["folder"] for entry in found["history"]] == ["2026-11-20T06-30-00Z"]
    trend = {row["service"]: row["previous"] for row in found["performance"]}
    assert [row["p99_ms"] for row in trend["questdb"]] == [31.4]
    assert trend["opensearch"] == []


def test_measurements_of_another_machine_are_not_compared() -> None:
    row = sample_documents.sample()["performance"][0]
    other = sample_documents.sample()
    other["machine"]["name"] = "elsewhere"
    assert previous(row, "localhost", [other]) == []


def run_module(capsys: pytest.CaptureFixture[str], **params: Any) -> dict[str, Any]:
    """The module's result for the parameters."""
    with patch_module_args(params), pytest.raises(SystemExit):
        core_report.main()
    answer: dict[str, Any] = json.loads(capsys.readouterr().out)
    return answer


def test_the_module_writes_a_report_but_not_in_check_mode(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write = {"root": str(tmp_path), "files": {"report.html": "<p>"}, "started": "2026-11-26T06:30:00Z", "keep": 2}
    dry = run_module(capsys, **write, _ansible_check_mode=True)
    assert (dry["changed"], list(tmp_path.iterdir())) == (False, [])
    done = run_module(capsys, **write)
    assert done["changed"]
    assert Path(done["path"]) == tmp_path / "docs/reports/2026-11-26T06-30-00Z/report.html"
    assert Path(done["path"]).read_text(encoding="utf-8") == "<p>"
    dry = run_module(capsys, **write, _ansible_check_mode=True)
    assert not dry["changed"]
    again = run_module(capsys, **write)
    assert again["changed"]
    assert again["path"] != done["path"]


@pytest.mark.parametrize(
    ("journal", "forbidden", "deployed"), [(True, False, True), (True, True, False), (False, False, False)]
)
def test_a_report_is_stored_only_in_a_deployment_and_never_in_the_source(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    journal: bool,
    forbidden: bool,
    deployed: bool,
) -> None:
    if journal:
        (tmp_path / "root/.trade2026").mkdir(parents=True)
    answer = run_module(
        capsys,
        root=str(tmp_path / "root"),
        secrets_root=str(tmp_path / "secrets"),
        document={**sample_documents.smallest(), "networks": [{"name": "b"}]},
        forbid_inside=[str(tmp_path)] if forbidden else [],
    )
    assert answer["deployed"] is deployed


def test_keeping_no_report_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answer = run_module(capsys, root=str(tmp_path), files={"a": "b"}, started="x", keep=0)
    assert answer["msg"] == "keep: 0 would keep no report; write 1 or more"
