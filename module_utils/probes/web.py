# SPDX-License-Identifier: GPL-3.0-or-later
"""HTTP requests without proxies, redirects or persistent connections.

Uses the standard library, because a probe sends one request at a time and must start quickly.
"""

from __future__ import annotations

import base64
import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ansible.module_utils.probes.base import Kind, ProbeError, Target, unreachable

# Maximum bytes of an answer. The largest real ones, /varz of NATS and a list of policies, are far smaller.
BODY_LIMIT = 8 * 1024 * 1024
EXCERPT = 200


@dataclass(frozen=True)
class Answer:
    """A response; `what` describes the request, for messages."""

    what: str
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        """The body as text; invalid bytes are replaced."""
        return self.body.decode("utf-8", "replace")

    @property
    def excerpt(self) -> str:
        """The beginning of the body on one line, for messages."""
        line = " ".join(self.text.split())
        return (line[:EXCERPT] + "…" if len(line) > EXCERPT else line) or "an empty body"

    def json(self) -> Any:
        """The body as JSON; raises ProbeError."""
        try:
            return json.loads(self.body)
        except ValueError:
            raise ProbeError(f"{self.what} does not answer with JSON: {self.excerpt}") from None

    def mapping(self) -> dict[str, Any]:
        """The body as a JSON object; raises ProbeError."""
        document = self.json()
        if not isinstance(document, dict):
            raise ProbeError(f"{self.what} answers with JSON that is not an object: {self.excerpt}")
        return document

    def expect(self, *statuses: int) -> Answer:
        """Return itself if its status is one of `statuses`; raises ProbeError otherwise."""
        if self.status in statuses:
            return self
        wanted = " or ".join(map(str, statuses))
        kind = Kind.AUTH if self.status in (401, 403) else Kind.ANSWER
        raise ProbeError(f"{self.what} answers {self.status}, not {wanted}: {self.excerpt}", kind)


def ask(
    target: Target,
    port: str,
    path: str,
    *,
    method: str = "GET",
    body: bytes | str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """Send one request to the port called `port`; raises ProbeError without a complete answer."""
    number = target.port(port)
    # Messages omit the query, which is long; the path identifies the request.
    what = f"{method} {path.partition('?')[0]} on {target.address}:{number}"
    connection = http.client.HTTPConnection(target.address, number, timeout=target.timeout_s)
    try:
        content = body.encode() if isinstance(body, str) else body
        connection.request(method, path, content, {"Connection": "close", **(headers or {})})
        response = connection.getresponse()
        read = response.read(BODY_LIMIT + 1)
        # A partial read does not detect that the rest is missing.
        missing = 0 if len(read) > BODY_LIMIT else response.length
    except OSError as error:
        raise unreachable(what, error, target.timeout_s) from error
    except http.client.HTTPException as error:
        raise ProbeError(
            f"{what}: the answer is not HTTP, or incomplete ({type(error).__name__})", Kind.TIMEOUT
        ) from error
    finally:
        connection.close()
    if missing:
        raise ProbeError(f"{what}: the answer is incomplete, {missing} bytes are missing", Kind.TIMEOUT)
    if len(read) > BODY_LIMIT:
        raise ProbeError(f"{what} answers more than {BODY_LIMIT} bytes")
    return Answer(what, response.status, {name.lower(): value for name, value in response.getheaders()}, read)


def ask_json(
    target: Target,
    port: str,
    path: str,
    document: Any,
    *,
    method: str = "POST",
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """Send `document` as JSON."""
    typed = {"Content-Type": "application/json", **(headers or {})}
    return ask(target, port, path, method=method, body=json.dumps(document), headers=typed)


def basic(user: str, password: str) -> dict[str, str]:
    """The header for basic authentication; empty without a user."""
    if not user:
        return {}
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode("ascii")}
