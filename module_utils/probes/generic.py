# SPDX-License-Identifier: GPL-3.0-or-later
"""Probes for any service: an HTTP request, and whether a port accepts connections."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from ansible.module_utils.probes import web
from ansible.module_utils.probes.base import Kind, Probe, ProbeError, Target, unreachable
from ansible.module_utils.probes.compare import subset_differences


def query_difference(expect: Mapping[str, Any], content: Any) -> str:
    """How the result of a JMESPath query differs from the expected one; empty if it does not. Raises ProbeError."""
    try:
        import jmespath
        from jmespath.exceptions import JMESPathError
    except ImportError as error:
        raise ProbeError(f"the Python package jmespath is missing: {error}", Kind.CONFIG) from None
    unknown = sorted(set(expect) - {"query", "equals"})
    if unknown or len(expect) != 2:
        raise ProbeError(f"expect needs `query` and `equals` and nothing else, not {', '.join(expect)}", Kind.CONFIG)
    try:
        found = jmespath.search(str(expect["query"]), content)
    except JMESPathError as error:
        raise ProbeError(f"expect.query {expect['query']!r} is not a JMESPath query: {error}", Kind.CONFIG) from None
    if found == expect["equals"]:
        return ""
    return f"{expect['query']} is {found!r}, {expect['equals']!r} is expected"


@dataclass(frozen=True, kw_only=True)
class Http(Probe):
    """A request is answered with the declared status and, if declared, the declared content."""

    TYPE: ClassVar[str] = "http"
    port: str
    path: str = "/"
    method: str = "GET"
    status: list[int] = field(default_factory=lambda: [200])
    headers: dict[str, str] = field(default_factory=dict)
    # What the JSON answer must contain; it may contain more.
    expect_json: dict[str, Any] = field(default_factory=dict)
    expect_text: str = ""
    # The expected result of a JMESPath query over the JSON answer: {query: "nodes[0].status", equals: green}.
    expect: dict[str, Any] = field(default_factory=dict)

    def run(self, target: Target) -> str:
        """Ask once and compare."""
        answer = web.ask(target, self.port, self.path, method=self.method, headers=self.headers).expect(*self.status)
        if self.expect_text and self.expect_text not in answer.text:
            raise ProbeError(f"{answer.what} does not answer {self.expect_text!r}, but {answer.excerpt}")
        if self.expect_json and (differences := subset_differences(self.expect_json, answer.json())):
            raise ProbeError(f"{answer.what}: {'; '.join(differences)}")
        if self.expect and (difference := query_difference(self.expect, answer.json())):
            raise ProbeError(f"{answer.what}: {difference}")
        return f"{self.method} {self.path} answers {answer.status}"


@dataclass(frozen=True, kw_only=True)
class Tcp(Probe):
    """A port accepts connections. Docker's proxy accepts them even if no process listens: prefer a real request."""

    TYPE: ClassVar[str] = "tcp"
    port: str

    def run(self, target: Target) -> str:
        """Connect and disconnect."""
        number = target.port(self.port)
        try:
            socket.create_connection((target.address, number), target.timeout_s).close()
        except OSError as error:
            raise unreachable(f"port {target.address}:{number}", error, target.timeout_s) from error
        return f"port {number} accepts connections"


PROBES: tuple[type[Probe], ...] = (Http, Tcp)
