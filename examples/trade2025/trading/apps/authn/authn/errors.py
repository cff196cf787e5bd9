# SPDX-License-Identifier: GPL-3.0-or-later
"""Two kinds of errors: at start (the operator must correct them) and in a request (the client must)."""

from __future__ import annotations

from collections.abc import Iterable


class ConfigurationError(Exception):
    """Everything that keeps the service from starting, one line each: where, what, and what to do."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = list(problems)
        super().__init__("\n".join(self.problems))


class OAuthError(Exception):
    """An error response of RFC 6749 section 5.2.

    Attributes:
        code: the value of `error`.
        description: the value of `error_description`; ASCII without quotes and backslashes, as the RFC demands.
        status: HTTP status, 401 for `invalid_client`, else 400 unless given.
    """

    def __init__(self, code: str, description: str, status: int | None = None) -> None:
        super().__init__(code, description)
        self.code = code
        self.description = description
        self.status = status or (401 if code == "invalid_client" else 400)
