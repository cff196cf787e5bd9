# SPDX-License-Identifier: GPL-3.0-or-later
"""What validation uses from the probes, imported in one place."""

from __future__ import annotations

from ansible.module_utils.probes import authn, clickhouse, nats, opa, opensearch, questdb, seaweedfs, valkey, web
from ansible.module_utils.probes.base import Kind, Probe, ProbeError, Target, notes
from ansible.module_utils.probes.causes import likely_cause
from ansible.module_utils.probes.container import (
    Container,
    Phase,
    classify,
    inspect,
    last_lines,
    parse,
    seconds_between,
)
from ansible.module_utils.probes.limit import LimitReached, limited
from ansible.module_utils.probes.runner import missing_libraries
from ansible.module_utils.probes.spec import all_types, parse_probes

__all__ = [
    "Container",
    "Kind",
    "LimitReached",
    "Phase",
    "Probe",
    "ProbeError",
    "Target",
    "all_types",
    "authn",
    "classify",
    "clickhouse",
    "inspect",
    "last_lines",
    "likely_cause",
    "limited",
    "missing_libraries",
    "nats",
    "notes",
    "opa",
    "opensearch",
    "parse",
    "parse_probes",
    "questdb",
    "seaweedfs",
    "seconds_between",
    "valkey",
    "web",
]

WRONG_CREDENTIALS = Kind.AUTH
NO_ANSWER = Kind.TIMEOUT
