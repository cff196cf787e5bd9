# SPDX-License-Identifier: GPL-3.0-or-later
"""Probes of OPA over its REST API."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any, ClassVar

from ansible.module_utils.probes import web
from ansible.module_utils.probes.base import Kind, Probe, ProbeError, Target

PACKAGE = re.compile(r"^\s*package\s+([\w.\[\]\"]+)", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Health(Probe):
    """The server is up and its bundles and plugins, if any, are active."""

    TYPE: ClassVar[str] = "opa_health"
    port: str = "http"

    def run(self, target: Target) -> str:
        """Request /health. Without the two parameters, the status is 200 even if no policy was ever loaded."""
        web.ask(target, self.port, "/health?bundles&plugins").expect(200)
        return "/health answers 200"


@dataclass(frozen=True, kw_only=True)
class Policies(Probe):
    """The policies are loaded, each named by its package, its id, or the end of its id (a file name)."""

    TYPE: ClassVar[str] = "opa_policies"
    port: str = "http"
    expect: list[str] = field(default_factory=list)

    def run(self, target: Target) -> str:
        """Ask /v1/policies."""
        policies = web.ask(target, self.port, "/v1/policies").expect(200).mapping().get("result") or []
        ids = [str(policy.get("id", "")) for policy in policies]
        packages = [found for policy in policies for found in PACKAGE.findall(str(policy.get("raw", "")))]
        missing = [name for name in self.expect if name not in packages and not any(_is(id_, name) for id_ in ids)]
        if missing:
            raise ProbeError(
                f"not loaded: {', '.join(missing)}. Loaded are the packages {', '.join(packages) or '(none)'}.",
                Kind.MISMATCH,
            )
        return f"{len(ids)} policies are loaded"


@dataclass(frozen=True, kw_only=True)
class Decision(Probe):
    """A decision has the declared result."""

    TYPE: ClassVar[str] = "opa_decision"
    port: str = "http"
    path: str
    input: Any = field(default_factory=dict)
    expect: Any = True

    def run(self, target: Target) -> str:
        """Ask /v1/data/PATH."""
        answer = web.ask_json(target, self.port, f"/v1/data/{self.path.strip('/')}", {"input": self.input}).expect(200)
        document = answer.mapping()
        if "result" not in document:
            raise ProbeError(f"{self.path} is undefined: no loaded policy defines it", Kind.MISMATCH)
        if document["result"] != self.expect:
            raise ProbeError(
                f"{self.path} is {json.dumps(document['result'])}, not {json.dumps(self.expect)}", Kind.MISMATCH
            )
        return f"{self.path} is {json.dumps(self.expect)}"


def _is(identifier: str, name: str) -> bool:
    return identifier == name or identifier.endswith(f"/{name}")


PROBES: tuple[type[Probe], ...] = (Health, Policies, Decision)
