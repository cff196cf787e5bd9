# SPDX-License-Identifier: GPL-3.0-or-later
"""The policies pass their tests, in the image that runs them. The coverage shows that the tests were run."""

from __future__ import annotations

import json
import subprocess

from site_under_test import PROJECT_ROOT, Site


def opa(site: Site, *args: str) -> str:
    image = site.inspect("opa")["opa"]["Config"]["Image"]
    role = PROJECT_ROOT / "roles/opa"
    done = subprocess.run(
        [
            "docker",
            "run",
            "--rm",
            "--network",
            "none",
            "--volume",
            f"{role}:/role:ro",
            "--entrypoint",
            "/opa",
            image,
            *args,
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_every_line_of_the_policies_is_tested(deployed: Site) -> None:
    report = json.loads(opa(deployed, "test", "--coverage", "/role/files/tests", "/role/templates/config"))
    assert report["coverage"] == 100
    assert report["covered_lines"] > 0


def test_the_policies_are_formatted_and_strict(deployed: Site) -> None:
    opa(deployed, "fmt", "--fail", "--list", "/role/files/tests", "/role/templates/config")
    opa(deployed, "check", "--strict", "/role/files/tests", "/role/templates/config")
