# SPDX-License-Identifier: GPL-3.0-or-later
"""playbooks/sbom.yml with the real Syft: predicted, written, kept."""

from __future__ import annotations

import json
from typing import Any

from site_under_test import Run, Site

from .releases import default_version

SERVICES = ("nats", "valkey")


def run(site: Site, *words: str) -> Run:
    done = site.play("--limit", ",".join(SERVICES), *words, playbook="playbooks/sbom.yml")
    assert done.code == 0, done.errors
    return done


def document(site: Site, service: str) -> dict[str, Any]:
    return dict(json.loads((site.root / f"docs/sbom/{service}.cdx.json").read_text(encoding="utf-8")))


def test_the_software_of_each_image_is_listed_once(site: Site) -> None:
    # The image of Syft has to exist before a dry run can predict more than its build.
    first = run(site)
    assert first.changed_hosts
    versions = {name: {one["name"]: one["version"] for one in document(site, name)["components"]} for name in SERVICES}
    assert versions["nats"]["github.com/nats-io/nats-server/v2"] == f"v{default_version('nats')}"
    assert default_version("valkey") in versions["valkey"]["valkey-server"]

    page = (site.root / "docs/sbom/README.md").read_text(encoding="utf-8")
    assert "Not scanned: no database." in page
    provenance = json.loads((site.root / "docs/sbom/provenance.json").read_text(encoding="utf-8"))["images"]
    assert {image["service"] for image in provenance} >= set(SERVICES)
    assert all(image["inputs"] for image in provenance)

    assert not run(site).changed_hosts
    (site.root / "docs/sbom/valkey.cdx.json").unlink()
    assert "written: valkey" in " ".join(run(site, "--check").output.split())
    assert not (site.root / "docs/sbom/valkey.cdx.json").exists()
