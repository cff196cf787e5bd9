# SPDX-License-Identifier: GPL-3.0-or-later
"""What validation uses from the probes, imported in one place."""

from __future__ import annotations

from ansible.module_utils.probes import authn, clickhouse, nats, opa, opensearch, questdb, seaweedfs, valkey, web
from ansible.module_utils.probes.base import PREFIX, Kind, Probe, ProbeError, Target, created_at, notes
from ansible.module_utils.probes.causes import Strain, likely_cause
from ansible.module_utils.probes.container import (
    Container,
    Log,
    Phase,
    classify,
    inspect,
    parse,
    read_log,
    seconds_between,
)
from ansible.module_utils.probes.limit import LimitReached, limited
from ansible.module_utils.probes.runner import missing_libraries
from ansible.module_utils.probes.spec import all_types, parse_probes

__all__ = [
    "PREFIX",
    "Container",
    "Kind",
    "LimitReached",
    "Log",
    "Phase",
    "Probe",
    "ProbeError",
    "Strain",
    "Target",
    "all_types",
    "authn",
    "classify",
    "clickhouse",
    "created_at",
    "inspect",
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
    "read_log",
    "seaweedfs",
    "seconds_between",
    "valkey",
    "web",
]

WRONG_CREDENTIALS = Kind.AUTH
NO_ANSWER = Kind.TIMEOUT
