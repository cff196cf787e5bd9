# SPDX-License-Identifier: GPL-3.0-or-later
"""All tests of a stack, in the order in which they run.

The sentence of a test says what holds if it passes. `source` are numbers of module_utils/validation/criteria.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from ansible.module_utils.validation import (
    component,
    integration,
    kernel,
    leftovers,
    network,
    performance,
    persistence,
    refusals,
)
from ansible.module_utils.validation.bridge import Probe, all_types
from ansible.module_utils.validation.model import KINDS, PLATFORM, Case, Group, Run
from ansible.module_utils.validation.records import STORES
from ansible.module_utils.validation.stack import Service, Stack


@dataclass(frozen=True)
class Row:
    """A test as a row of a table: name, sentence, what runs, criteria."""

    name: str
    title: str
    run: Run
    source: tuple[str, ...] = ("R5.component",)


LIMITS = ("R5.config",)

EVERY_SERVICE = (
    Row(
        "running",
        "The container runs and is healthy.",
        component.running,
        ("A3.1", "A3.2", "A4.1", "S5.1", "S5.3", "M1", "M2"),
    ),
    Row("restart_policy", "The engine restarts the container after a failure.", component.restart_policy, LIMITS),
    Row("log", "Its log since its last start has no fatal error.", component.log_is_clean, ("A3.3", "S5.2", "M3")),
    Row("memory_limit", "The kernel limits its memory as declared.", kernel.memory_limit, LIMITS),
    Row("pids_limit", "The kernel limits the number of its processes as declared.", kernel.pids_limit, LIMITS),
    Row("cpu_limit", "The kernel limits its processor time as declared.", kernel.cpu_limit, LIMITS),
    Row("capabilities", "None of its processes has a capability or can get one.", kernel.capabilities, LIMITS),
    Row("no_new_privileges", "None of its processes can gain privileges.", kernel.no_new_privileges, LIMITS),
    Row("seccomp", "The kernel filters the system calls of all its processes.", kernel.seccomp, LIMITS),
    Row("user", "All its processes run as the declared user, which is not root.", kernel.user, LIMITS),
    Row("read_only_root", "Its root file system is mounted read-only.", kernel.read_only_root, LIMITS),
    Row("mounts", "Exactly what was declared is mounted, configuration read-only.", kernel.mounts, ("S2.4", "G3.1")),
)

# Probe → criteria, in addition to "each service responds".
PROBES: dict[str, tuple[str, ...]] = {
    "nats_health": ("S6.1",),
    "nats_jetstream": ("A4.2",),
    "nats_roundtrip": ("A4.2", "S6.1"),
    "valkey_ping": ("S6.2",),
    "valkey_roundtrip": ("A4.3", "S6.2"),
    "questdb_select": ("A4.4", "S6.3"),
    "questdb_roundtrip": ("A4.4", "S6.3"),
    "clickhouse_ping": ("S6.4",),
    "clickhouse_version": ("A4.5",),
    "clickhouse_roundtrip": ("A4.5", "S6.4"),
    "seaweedfs_cluster": ("A4.6", "S6.5"),
    "seaweedfs_s3": ("S6.5",),
    "opensearch_health": ("A4.7", "S6.6"),
    "opensearch_roundtrip": ("S6.6",),
    "authn_health": ("S6.7",),
    "authn_jwks": ("S6.7",),
    "authn_tokens": ("A4.8",),
    "opa_health": ("S6.8",),
    "opa_decision": ("A4.9", "S6.8"),
}

TOKENS = ("A4.9", "R5.component")

REFUSALS: dict[str, tuple[Row, ...]] = {
    "nats": (
        Row("long_message", "A message above the limit is refused.", refusals.nats_long_message),
        Row("storage_limit", "A stream larger than JetStream's store is refused.", refusals.nats_storage_limit),
    ),
    "valkey": (
        Row("protected_commands", "Clients cannot write files or load code.", refusals.valkey_protected),
        Row("eviction", "Memory limit and eviction policy are in force.", refusals.valkey_eviction),
    ),
    "questdb": (
        Row("dropped_table", "A write to a dropped table is refused.", refusals.questdb_dropped_table),
        Row("malformed_row", "A malformed line is refused with an error.", refusals.questdb_bad_row),
    ),
    "clickhouse": (
        Row("dropped_table", "A write to a dropped table is refused.", refusals.clickhouse_dropped_table),
        Row("unknown_user", "Unknown users and the default user are refused.", refusals.clickhouse_unknown_user),
    ),
    "seaweedfs": (
        Row("wrong_key", "S3 refuses writes with a wrong secret and without a key.", refusals.seaweedfs_refusals),
    ),
    "opensearch": (
        Row("wildcard_delete", "Indices cannot be removed by a wildcard pattern.", refusals.opensearch_wildcard),
        Row("wrong_type", "A value of another type than declared is refused.", refusals.opensearch_wrong_type),
    ),
    "authn": (
        Row(
            "refusals",
            "Unknown clients, empty secrets, other grants and foreign scopes are refused.",
            refusals.authn_refusals,
        ),
    ),
    "opa": (
        *(
            Row(name, f"{what[0].upper()}{what[1:]} is refused.", refusals.opa_tokens(make, what), TOKENS)
            for name, (what, make) in refusals.BAD_TOKENS.items()
        ),
        Row("read_only", "Nobody can load a policy over the network.", refusals.opa_read_only),
    ),
}

WRONG = Row("wrong_credentials", "Wrong credentials are refused.", refusals.wrong_credentials)
LEFT = Row("leftovers", "What killed runs left in it a day ago is removed.", leftovers.removed, ("R5.persistence",))

SUBNETS = Row(
    "subnets",
    "The networks have their subnets, and the containers addresses in them.",
    network.subnets,
    ("G2.1", "G2.2", "G2.3", "G2.4"),
)

LATENCY = Row(
    "latency",
    "A round trip on the lowlatency network stays within its budget.",
    network.lowlatency,
    ("R5.performance", "R5.network"),
)

NETWORK = (
    Row(
        "memberships",
        "The container is on its declared networks and on no other.",
        network.memberships,
        ("S2.3", "A1.3"),
    ),
    Row(
        "reaches",
        "It reaches every service on its networks by Docker DNS name.",
        network.reaches,
        ("M4", "G3.2", "R5.network"),
    ),
    Row("isolated", "It reaches no service with which it shares no network.", network.isolated, ("R5.network",)),
    Row(
        "published",
        "Its ports answer on the bind address and on no other.",
        network.published,
        ("S6.1", "S6.2", "S6.3", "S6.4", "S6.5", "S6.6", "S6.7", "S6.8", "R5.network"),
    ),
    Row("mtu", "Its interfaces have the MTU of their networks.", network.mtu, ("R5.network",)),
)


ORDER = ("R5.integration",)
RECORDS = ("R5.persistence",)
LOAD = ("R5.performance",)
STORED = "Acknowledged records are read back intact, in order."
BACK = "Every container comes back healthy after"
LOST = "No record that was acknowledged is lost by"

INTEGRATION = (
    Row("token", "A client gets a token with the scope for orders, and one without.",
        integration.step(integration.token), (*ORDER, "A4.8")),
    Row("permitted", "An order with a token that has the scope is allowed.",
        integration.step(integration.permitted), (*ORDER, "A4.9")),
    Row("published", "Its fills are stored on a stream.", integration.step(integration.published), (*ORDER, "A4.2")),
    Row("denied", "An order with a token without the scope is denied.",
        integration.step(integration.denied), (*ORDER, "A4.9")),
    Row("consumed", "A consumer gets the fills in their order.", integration.step(integration.consumed), ORDER),
    Row("cached", "Its state is in the cache.", integration.step(integration.cached), (*ORDER, "A4.3")),
    Row("recorded", "Its fills are rows of the time series.", integration.step(integration.recorded), ORDER),
    Row("aggregated", "Its value is computed from its fills.", integration.step(integration.aggregated), ORDER),
    Row("indexed", "It is a document of the search engine.", integration.step(integration.indexed), ORDER),
    Row("archived", "Its confirmation is a blob.", integration.step(integration.archived), ORDER),
    Row("found_again", "Every service finds it by its id.", integration.step(integration.found_again), (*ORDER, "M5")),
    Row("no_trace", "The denied order is in no service.", integration.step(integration.no_trace), ORDER),
    Row("removed", "What the order created is removed.", integration.removed, ORDER),
)  # fmt: skip


def case(kind: str, service: str, row: Row, limit_s: float = 60, found_by: str = "") -> Case:
    """A test of one service."""
    return Case(f"{kind}.{service}.{row.name}", kind, service, row.title, row.source, row.run, limit_s, found_by)


def component_cases(service: Service) -> Iterator[Case]:
    """The component tests of one service."""
    for row in EVERY_SERVICE:
        yield case("component", service.name, row)
    names: dict[str, int] = {}
    for probe in service.probes:
        # A role may declare several probes of a type.
        names[probe.title] = names.get(probe.title, 0) + 1
        name = probe.title if names[probe.title] == 1 else f"{probe.title}_{names[probe.title]}"
        source = ("A4.1", *PROBES.get(probe.TYPE, ()))
        limit_s = probe.REQUESTS * service.target.timeout_s
        row = Row(name, _sentence(type(probe)), component.probing(probe), source)
        yield case("component", service.name, row, limit_s)
    yield case("component", service.name, WRONG)
    for row in REFUSALS.get(service.role, ()):
        yield case("component", service.name, row)
    if service.role in STORES:
        yield case("component", service.name, LEFT)


def network_groups(stack: Stack) -> Iterator[Group]:
    """The network tests, one group for each service."""
    yield Group("network", "network", PLATFORM, (case("network", PLATFORM, SUBNETS),))
    for service in stack.services.values():
        cases = [case("network", service.name, row) for row in NETWORK]
        if service.role == "nats":
            cases.append(case("network", service.name, LATENCY))
        yield Group(f"network.{service.name}", "network", service.name, tuple(cases))


def component_groups(stack: Stack) -> Iterator[Group]:
    """The component tests, one group for each service."""
    for service in stack.services.values():
        yield Group(f"component.{service.name}", "component", service.name, tuple(component_cases(service)))


def integration_groups(_stack: Stack) -> Iterator[Group]:
    """The path of an order through the services, one group."""
    yield Group(
        "integration", "integration", PLATFORM, tuple(case("integration", PLATFORM, row) for row in INTEGRATION)
    )


def persistence_groups(stack: Stack) -> Iterator[Group]:
    """Records that are stored and read, and one group for each interruption that the site consents to."""
    services = persistence.stateful(stack)
    for service in services:
        row = Row("stored", STORED, persistence.stored, RECORDS)
        yield Group(
            f"persistence.{service.name}", "persistence", service.name, (case("persistence", service.name, row, 120),)
        )
    faults = persistence.FAULTS if stack.settings.disruptive else ()
    if stack.settings.disruptive and stack.settings.engine_restart:
        faults = (*faults, persistence.ENGINE)
    for fault in faults:
        back = Row(fault.name, f"{BACK} {fault.sentence}.", persistence.interrupted(fault), RECORDS)
        cases = [case("persistence", PLATFORM, back, 900)]
        row = Row(fault.name, f"{LOST} {fault.sentence}.", persistence.survived(fault), RECORDS)
        cases += [case("persistence", service.name, row, 120, fault.test) for service in services]
        what = "every container of this machine" if fault is persistence.ENGINE else "all services of this run"
        yield Group(
            f"persistence.{fault.name}",
            "persistence",
            PLATFORM,
            tuple(cases),
            f"This interrupts {what} for one to three minutes: {fault.sentence}.",
        )


def performance_groups(stack: Stack) -> Iterator[Group]:
    """A load on each service."""
    for service in stack.services.values():
        rows = [
            Row(
                operation.name,
                f"99 % stay within the budget ({operation.sentence}).",
                performance.loaded(operation),
                LOAD,
            )
            for operation in performance.OPERATIONS.get(service.role, ())
        ]
        if rows:
            cases = tuple(case("performance", service.name, row, 120) for row in rows)
            yield Group(f"performance.{service.name}", "performance", service.name, cases)


def groups(stack: Stack, kinds: Sequence[str]) -> list[Group]:
    """The groups of the kinds, in the order of KINDS."""
    found: list[Group] = []
    makers: dict[str, Callable[[Stack], Iterator[Group]]] = {
        "component": component_groups,
        "performance": performance_groups,
        "persistence": persistence_groups,
        "integration": integration_groups,
        "network": network_groups,
    }
    for kind in (kind for kind in KINDS if kind in kinds and kind in makers):
        found += makers[kind](stack)
    return found


def cases(groups: Iterable[Group]) -> list[Case]:
    """All tests of the groups."""
    return [case for group in groups for case in group.cases]


def declared() -> list[tuple[str, str, tuple[str, ...]]]:
    """Id, sentence and criteria of every test that a deployment of all services has; `*` stands for each service."""
    found = [(f"component.*.{row.name}", row.title, row.source) for row in EVERY_SERVICE]
    found += [
        (f"component.{name.partition('_')[0]}.{name}", _sentence(probe), ("A4.1", *PROBES.get(name, ())))
        for name, probe in all_types().items()
        if name.partition("_")[0] in REFUSALS
    ]
    found += [
        (f"component.{role}.{row.name}", row.title, row.source) for role, rows in REFUSALS.items() for row in rows
    ]
    found += [(f"integration.{PLATFORM}.{row.name}", row.title, row.source) for row in INTEGRATION]
    found += [
        (f"performance.{role}.{operation.name}", f"99 % stay within the budget ({operation.sentence}).", LOAD)
        for role, operations in performance.OPERATIONS.items()
        for operation in operations
    ]
    found.append(("persistence.*.stored", STORED, RECORDS))
    for fault in (*persistence.FAULTS, persistence.ENGINE):
        found.append((fault.test, f"{BACK} {fault.sentence}.", RECORDS))
        found.append((f"persistence.*.{fault.name}", f"{LOST} {fault.sentence}.", RECORDS))
    found += [(f"network.{PLATFORM}.{row.name}", row.title, row.source) for row in (SUBNETS,)]
    found += [(f"network.*.{row.name}", row.title, row.source) for row in NETWORK]
    found.append((f"network.nats.{LATENCY.name}", LATENCY.title, LATENCY.source))
    found += [(f"component.*.{row.name}", row.title, row.source) for row in (WRONG, LEFT)]
    return sorted(found)


def _sentence(probe: type[Probe]) -> str:
    return " ".join((probe.__doc__ or probe.TYPE).split("\n\n")[0].split())
