# SPDX-License-Identifier: GPL-3.0-or-later
"""Probes of OpenSearch over HTTP."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import Any, ClassVar

from ansible.module_utils.probes import web
from ansible.module_utils.probes.base import Probe, ProbeError, Target, creating, removing


@dataclass(frozen=True, kw_only=True)
class OpenSearchProbe(Probe):
    """Base of the probes of OpenSearch."""

    port: str = "http"
    user: str = ""
    password_file: str = ""

    def ask(self, target: Target, path: str, method: str = "GET", document: Any = None) -> web.Answer:
        """One request, as the declared user."""
        headers = web.basic(self.user, target.secret(self.password_file))
        if document is None:
            return web.ask(target, self.port, path, method=method, headers=headers)
        return web.ask_json(target, self.port, path, document, method=method, headers=headers)


@dataclass(frozen=True, kw_only=True)
class Health(OpenSearchProbe):
    """The cluster has its nodes and one of the accepted statuses."""

    TYPE: ClassVar[str] = "opensearch_health"
    nodes: int = 1
    status: list[str] = field(default_factory=lambda: ["green", "yellow"])

    def run(self, target: Target) -> str:
        """Ask /_cluster/health."""
        state = self.ask(target, "/_cluster/health").expect(200).mapping()
        if state.get("number_of_nodes") != self.nodes:
            raise ProbeError(f"the cluster has {state.get('number_of_nodes')} nodes, not {self.nodes}")
        if state.get("status") not in self.status:
            raise ProbeError(
                f"the cluster is {state.get('status')}, not {' or '.join(self.status)}: "
                f"{state.get('unassigned_shards')} shards are not assigned"
            )
        return f"the cluster is {state['status']} with {self.nodes} node{'s' if self.nodes > 1 else ''}"


@dataclass(frozen=True, kw_only=True)
class RoundTrip(OpenSearchProbe):
    """A document is indexed and found; its index is removed."""

    TYPE: ClassVar[str] = "opensearch_roundtrip"
    WRITES: ClassVar[bool] = True
    REQUESTS: ClassVar[int] = 6

    def run(self, target: Target) -> str:
        """Create, index, search, delete."""
        index, word = target.unique(), secrets.token_hex(8)
        by_hand = f"DELETE /{index}"
        with removing(f"the index {index}", lambda: self._remove(target, index), by_hand, 2 * target.timeout_s):
            # Hidden, so that a client's search over all indices does not include it. No replica, so that a single node
            # stays green.
            settings = {"settings": {"index": {"number_of_shards": 1, "number_of_replicas": 0, "hidden": True}}}
            with creating():
                created = self.ask(target, f"/{index}", "PUT", settings)
                if not (created.status == 400 and "resource_already_exists" in created.text):
                    created.expect(200)
            self.ask(target, f"/{index}/_doc/{word}?refresh=true", "PUT", {"word": word}).expect(200, 201)
            found = self.ask(target, f"/{index}/_search", "POST", {"query": {"match": {"word": word}}}).expect(200)
            hits = found.mapping().get("hits", {}).get("hits", [])
            if [hit.get("_source") for hit in hits] != [{"word": word}]:
                raise ProbeError(f"the document is not found: {found.excerpt}")
        return "a document was indexed, found and removed"

    def _remove(self, target: Target, index: str) -> None:
        self.ask(target, f"/{index}", "DELETE").expect(200, 404)


PROBES: tuple[type[Probe], ...] = (Health, RoundTrip)
