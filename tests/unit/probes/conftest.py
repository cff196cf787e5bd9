# SPDX-License-Identifier: GPL-3.0-or-later
"""Servers that run for one test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from probe_fakes import Resp, Web, serve_socket, serve_web


@pytest.fixture
def web() -> Iterator[Web]:
    with serve_web() as server:
        yield server


@pytest.fixture
def resp() -> Iterator[tuple[Resp, int]]:
    server = Resp()
    with serve_socket(server.talk) as port:
        yield server, port
