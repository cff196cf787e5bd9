# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of OPA over its REST API."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any, ClassVar

from ansible.module_utils.probes import web
from ansible.module_utils.probes.check import Check, CheckError, Kind, Target

PACKAGE = re.compile(r"^\s*package\s+([\w.\[\]\"]+)", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Health(Check):
    """The server is up and its bundles and plugins, if any, are active."""

    TYPE: ClassVar[str] = "opa_health"
    port: str = "http"

    def run(self, target: Target) -> str:
        """Ask /health; without the two words it is 200 also when no policy was ever loaded."""
        web.ask(target, self.port, "/health?bundles&plugins").expect(200)
        return "/health answers 200"


@dataclass(frozen=True, kw_only=True)
class Policies(Check):
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
            raise CheckError(
                f"not loaded: {', '.join(missing)}. Loaded are the packages {', '.join(packages) or '(none)'}.",
                Kind.EXPECTATION,
            )
        return f"{len(ids)} policies are loaded"


@dataclass(frozen=True, kw_only=True)
class Decision(Check):
    """A decision comes out as declared."""

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
            raise CheckError(f"{self.path} is undefined: no loaded policy defines it", Kind.EXPECTATION)
        if document["result"] != self.expect:
            raise CheckError(
                f"{self.path} is {json.dumps(document['result'])}, not {json.dumps(self.expect)}", Kind.EXPECTATION
            )
        return f"{self.path} is {json.dumps(self.expect)}"


def _is(identifier: str, name: str) -> bool:
    return identifier == name or identifier.endswith(f"/{name}")


CHECKS: tuple[type[Check], ...] = (Health, Policies, Decision)
