# SPDX-License-Identifier: GPL-3.0-or-later
"""The audit of images on the real engine: the stand-ins, and wrong images, one for each assumption."""

from __future__ import annotations

import io
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import image_audit
import pytest
from ansible.module_utils.images.contract import LABEL
from ansible.module_utils.shared.docker import Docker

REPOSITORY = "localhost/trade2026-test/audit"
CONTRACT: dict[str, Any] = {
    "entrypoint": "/bin/entry",
    "accounts": {"tiny": "999:1000"},
    "tools": ["tool"],
    "owners": {"/data": "999:1000"},
    "readable": ["/etc/tiny.conf"],
    "environment": {"TINY_HOME": "/data"},
    "working_dir": "/data",
    "exposed": [8080],
}
# path: mode, uid, gid, content (a folder has none)
FILES: dict[str, tuple[int, int, int, str | None]] = {
    "bin": (0o755, 0, 0, None),
    "bin/entry": (0o755, 0, 0, "#!/bin/sh\n"),
    "bin/tool": (0o755, 0, 0, "#!/bin/sh\n"),
    "data": (0o755, 999, 1000, None),
    "etc": (0o755, 0, 0, None),
    "etc/passwd": (0o644, 0, 0, "tiny:x:999:1000::/data:/bin/sh\n"),
    "etc/tiny.conf": (0o640, 0, 1000, "text\n"),
}
LINES = {
    "PATH": "ENV PATH=/bin",
    "TINY_HOME": "ENV TINY_HOME=/data",
    "WORKDIR": "WORKDIR /data",
    "VOLUME": "VOLUME /data",
    "EXPOSE": "EXPOSE 8080",
    "ENTRYPOINT": 'ENTRYPOINT ["/bin/entry"]',
}


def run(words: list[str], **_: Any) -> tuple[int, str, str]:
    """Replaces `AnsibleModule.run_command`."""
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def build(tmp_path: Path) -> Iterator[Callable[..., str]]:
    """Builds the tiny image, with files or Dockerfile lines changed, and returns its reference."""
    reference = f"{REPOSITORY}:{tmp_path.name}"

    def build(files: dict[str, Any], lines: dict[str, str]) -> str:
        with tarfile.open(tmp_path / "root.tar", "w") as archive:
            for path, value in {**FILES, **files}.items():
                if value is None:
                    continue
                member = tarfile.TarInfo(path)
                member.mode, member.uid, member.gid, content = value
                member.type = tarfile.DIRTYPE if content is None else tarfile.REGTYPE
                member.size = len(content or "")
                archive.addfile(member, io.BytesIO((content or "").encode()))
        dockerfile = ["FROM scratch", "ADD root.tar /", *(line for line in {**LINES, **lines}.values() if line)]
        (tmp_path / "Dockerfile").write_text("\n".join(dockerfile) + "\n")
        subprocess.run(
            ["docker", "build", "--quiet", "--tag", reference, str(tmp_path)],
            env={"PATH": "/usr/bin:/bin:/usr/sbin:/usr/local/bin", "DOCKER_BUILDKIT": "0"},
            check=True,
            capture_output=True,
        )
        return reference

    yield build
    subprocess.run(["docker", "image", "rm", "--force", reference], capture_output=True, check=True)


def whats(reference: str) -> list[str]:
    """What the audit reports about an image."""
    service = {"reference": reference, "user": {"uid": 999, "gid": 1000}, "mounts": ["/data"], "stop_signal": "SIGTERM"}
    findings = image_audit.audit_all(Docker(run), {"services": {"tiny": service}, "contracts": {"tiny": CONTRACT}})
    return [finding["what"] for finding in findings["tiny"]]


@pytest.mark.parametrize(
    ("files", "lines", "expected"),
    [
        pytest.param({}, {}, [], id="right"),
        pytest.param({"etc/passwd": (0o644, 0, 0, "tiny:x:5:5::/:/bin/sh\n")}, {}, ["account tiny"], id="account"),
        pytest.param({}, {"USER": "USER 5:5"}, ["user"], id="user"),
        pytest.param({}, {"ENTRYPOINT": 'ENTRYPOINT ["/bin/tool"]'}, ["entrypoint"], id="entrypoint"),
        pytest.param({}, {"WORKDIR": "WORKDIR /etc"}, ["working directory"], id="working directory"),
        pytest.param({"bin/tool": None}, {}, ["tool tool"], id="tool absent"),
        pytest.param({"bin/tool": (0o700, 0, 0, "#!/bin/sh\n")}, {}, ["tool tool"], id="tool of root's own"),
        pytest.param({"data": (0o755, 0, 0, None)}, {}, ["owner of /data"], id="owner"),
        pytest.param({"etc/tiny.conf": (0o600, 0, 0, "text\n")}, {}, ["/etc/tiny.conf"], id="unreadable"),
        pytest.param({}, {"TINY_HOME": ""}, ["variable TINY_HOME"], id="environment"),
        pytest.param({}, {"EXPOSE": "EXPOSE 9090"}, ["port 8080"], id="port"),
        pytest.param({}, {"CACHE": "VOLUME /cache"}, ["volume /cache"], id="volume"),
        pytest.param({}, {"STOPSIGNAL": "STOPSIGNAL SIGQUIT"}, ["stop signal"], id="stop signal"),
    ],
)
def test_each_assumption_is_checked(
    build: Callable[..., str], files: dict[str, Any], lines: dict[str, str], expected: list[str]
) -> None:
    assert whats(build(files, lines)) == expected
    left = subprocess.run(
        ["docker", "ps", "--all", "--quiet", "--filter", f"label={LABEL}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert left.stdout == ""


def test_a_missing_image_is_named() -> None:
    with pytest.raises(image_audit.ImageError, match=f"{REPOSITORY}:none is not on the machine"):
        whats(f"{REPOSITORY}:none")
