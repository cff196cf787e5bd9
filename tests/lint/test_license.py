# SPDX-License-Identifier: GPL-3.0-or-later
"""Every file that needs a license statement has the same one."""

from __future__ import annotations

import subprocess
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
LICENSE = "GPL-3.0-or-later"
HEAD = f"# SPDX-License-Identifier: {LICENSE}"


def python_files() -> list[Path]:
    """The Python files that are in git or would be added, with and without a suffix."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    files = [ROOT / name for name in sorted(set(listed.split("\0"))) if name]
    return [
        file
        for file in files
        if file.suffix in (".py", ".pyi")
        or (file.parent == ROOT / "scripts" and file.read_bytes().startswith(b"#!/usr/bin/env python3\n"))
    ]


def test_every_python_file_names_the_license() -> None:
    files = [file for file in python_files() if file.is_file()]
    assert len(files) > 150
    without = []
    for file in files:
        lines = file.read_text(encoding="utf-8").splitlines()
        head = lines[1:2] if lines and lines[0].startswith("#!") else lines[:1]
        if head != [HEAD]:
            without.append(str(file.relative_to(ROOT)))
    assert without == []


def test_every_role_names_the_license() -> None:
    files = sorted(ROOT.glob("roles/*/meta/main.yml"))
    assert len(files) == len(list((ROOT / "roles").iterdir()))
    licenses = {file.parts[-3]: yaml.safe_load(file.read_text("utf-8"))["galaxy_info"]["license"] for file in files}
    assert set(licenses.values()) == {LICENSE}


def test_readme_and_license_file_name_the_license() -> None:
    for name in ("README.md", "LICENSE"):
        assert f"SPDX-License-Identifier: {LICENSE}" in (ROOT / name).read_text(encoding="utf-8")
