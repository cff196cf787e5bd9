# SPDX-License-Identifier: GPL-3.0-or-later
"""Templates that depend on the version of the image."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible.module_utils.controller.templates import render
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar

ROOT = Path(__file__).resolve().parents[3]


def rendered(template: str, version: str) -> list[str]:
    """The lines of a template of `roles/` for a version of the image."""
    loader, variables = DataLoader(), {"core_image": {"version": version}}
    return render(ROOT / "roles" / template, Templar(loader, variables=variables), loader, variables).splitlines()


@pytest.mark.parametrize("version", ["2.19.3", "2.19.6"])
def test_opensearch_2_allows_its_security_manager(version: str) -> None:
    lines = rendered("opensearch/templates/config/jvm.options.j2", version)
    assert "18-:-Djava.security.manager=allow" in lines
    assert not [line for line in lines if "javaagent" in line]


@pytest.mark.parametrize("version", ["3.0.0", "3.9.0"])
def test_opensearch_3_starts_with_its_agent_and_asks_for_no_security_manager(version: str) -> None:
    lines = rendered("opensearch/templates/config/jvm.options.j2", version)
    assert "-javaagent:agent/opensearch-agent.jar" in lines
    assert not [line for line in lines if "security.manager" in line or "SecuredForkJoin" in line]
