# SPDX-License-Identifier: GPL-3.0-or-later
"""Result documents like those of the sample site, generated from a seed. Extreme cases are derived from them."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

BEGAN = datetime(2026, 11, 26, 6, 30, tzinfo=UTC)
KINDS = ["preflight", "component", "integration", "performance", "persistence", "network"]
# Service → title, image, user, ports, networks, seconds to healthy, median latency in ms, operation, unit.
SERVICES: dict[str, tuple[str, str, dict[str, int], list[str], float, float, str, str]] = {
    "nats": (
        "NATS",
        "nats:2.10.29-alpine",
        {"client": 4222, "monitor": 8222},
        ["lowlatency"],
        2.1,
        0.21,
        "JetStream publish with acknowledgement, 256 bytes",
        "message",
    ),
    "valkey": (
        "Valkey",
        "valkey/valkey:8.1.8-alpine",
        {"client": 6379},
        ["backend"],
        1.9,
        0.08,
        "SET of 256 bytes",
        "request",
    ),
    "questdb": (
        "QuestDB",
        "questdb/questdb:9.3.4",
        {"http": 9000, "pg": 8812, "ilp": 9009},
        ["backend"],
        9.4,
        1.9,
        "insert over the PostgreSQL protocol",
        "row",
    ),
    "clickhouse": (
        "ClickHouse",
        "clickhouse/clickhouse-server:24.9.3.128",
        {"http": 8123, "native": 9100},
        ["backend"],
        6.2,
        3.4,
        "aggregate over 100,000 rows",
        "query",
    ),
    "seaweedfs": (
        "SeaweedFS",
        "chrislusf/seaweedfs:4.44",
        {"s3": 8333, "master": 9333, "filer": 8888, "volume": 8080},
        ["backend"],
        7.7,
        2.6,
        "PUT of 4 KiB over S3",
        "request",
    ),
    "opensearch": (
        "OpenSearch",
        "opensearchproject/opensearch:2.19.5",
        {"http": 9200, "metrics": 9600},
        ["backend"],
        28.3,
        6.8,
        "index one document",
        "document",
    ),
    "authn": (
        "Authn",
        "localhost/authn:7d1f6f0c9a12",
        {"http": 8114},
        ["frontend", "backend"],
        3.0,
        4.4,
        "token by client credentials",
        "token",
    ),
    "opa": (
        "OPA",
        "localhost/opa:b488aafd422b",
        {"http": 8181},
        ["frontend", "backend"],
        2.2,
        0.62,
        "policy decision",
        "decision",
    ),
}
NETWORKS = {"frontend": "172.23.0.0/16", "lowlatency": "172.22.0.0/16", "backend": "172.24.0.0/16"}
PROBES = {
    "nats": ["health", "version and limits", "JetStream is on", "a message makes a round trip"],
    "valkey": ["PING", "a key is set, read and expires", "settings are in force", "append-only file is written"],
    "questdb": ["HTTP query", "a row makes a round trip over PostgreSQL"],
    "clickhouse": ["ping", "version", "database exists", "rows make a round trip"],
    "seaweedfs": ["cluster", "volumes", "filer", "an object makes a round trip over S3"],
    "opensearch": ["cluster health", "a document makes a round trip"],
    "authn": ["health", "published keys", "metadata", "tokens", "wrong credentials are refused"],
    "opa": ["health", "policies are loaded", "an order is allowed", "an order is denied", "unknown scope is denied"],
}
FAULTS = ["graceful restart", "kill -9", "down and up", "engine restart"]
SYNC = {
    "nats": "sync_interval 2m",
    "valkey": "appendfsync everysec",
    "questdb": "cairo.commit.mode nosync",
    "clickhouse": "fsync_after_insert 0",
    "seaweedfs": "-fsync false",
    "opensearch": "translog.durability request",
}
CHOICES = [
    ("image", "{image}", "{old}", "The tag is reassigned to newer images; a released version is pinned."),
    ("ports", "127.0.0.1:{port}", "0.0.0.0:{port}", "The address that the site sets, by default loopback."),
    ("networks", "{network}", "trade2025-backend", "The networks of Trade2026."),
    ("user", "1000:1000", "the image's", "A user other than root, which owns the service's data."),
    (
        "rights",
        "read-only root, no capability, no new privileges",
        "Docker's capabilities",
        "Rights that the service does not need are dropped.",
    ),
    ("memory", "2g", "no limit", "The limit keeps one service from starving the others."),
    (
        "health check",
        "CMD-SHELL wget -q -O - 'http://127.0.0.1:{port}/healthz' | grep -q ok || exit 1",
        "CMD wget --spider -q http://localhost:{port}/",
        "localhost may resolve to ::1, where nothing listens.",
    ),
]


def at(seconds: float) -> str:
    """A time of the run."""
    return (BEGAN + timedelta(seconds=seconds)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def sample(seed: int = 2026) -> dict[str, Any]:
    """Five kinds on eight services, all of which pass."""
    chance = random.Random(seed)
    services = [_service(name, chance) for name in SERVICES]
    tests = [*_preflight(), *_component(chance), *_integration(chance), *_network(chance)]
    performance = [_performance(name, chance) for name in SERVICES]
    durability = [_durability(name, fault, chance) for name in SYNC for fault in FAULTS]
    tests += [_performance_test(row) for row in performance] + [_persistence_test(row) for row in durability]
    return {
        "format": 1,
        "run": {
            "id": _hex(chance, 32),
            "playbook": "validate.yml",
            "started": at(0),
            "ended": at(412.6),
            "site": "inventory/local",
            "project": "trade2026-core",
            "root": "/srv/trade2026",
            "command": "ansible-playbook playbooks/validate.yml -e core_validate_disruptive=true",
            "user": "operator",
            "host": "controller-1",
            "kinds": KINDS[1:],
            "disruptive": True,
            "durability": "balanced",
        },
        "machine": {
            "name": "localhost",
            "cpu": "AMD EPYC 9354P 32-Core Processor",
            "cores": 8,
            "memory_bytes": 33_565_908_992,
            "kernel": "6.1.0-41-amd64",
            "distribution": "Debian GNU/Linux 12 (bookworm)",
            "engine": "20.10.24+dfsg1",
            "compose": "2.26.1-4",
            "ansible": "2.19.5",
            "collection": "4.8.2",
            "python": "3.11.2",
            "project_version": _hex(chance, 12),
        },
        "services": services,
        "networks": [
            {"name": f"trade2026-{key}", "id": _hex(chance, 64), "subnet": subnet, "mtu": 1500, "internal": False}
            for key, subnet in NETWORKS.items()
        ],
        "reachability": _reachability(chance),
        "tests": tests,
        "performance": performance,
        "floor": {
            "no_op": {
                "title": "No-op request over loopback",
                "unit": "ms",
                "samples": 5000,
                "p50": 0.031,
                "p95": 0.052,
                "p99": 0.083,
                "max": 0.71,
            },
            "fsync": {
                "title": "fsync of 4 KiB on the data disk",
                "unit": "ms",
                "samples": 400,
                "p50": 1.42,
                "p95": 2.38,
                "p99": 4.91,
                "max": 12.6,
            },
            "jitter": {
                "title": "Scheduling jitter of a busy loop",
                "unit": "ms",
                "samples": 10000,
                "p50": 0.004,
                "p95": 0.061,
                "p99": 0.93,
                "max": 8.2,
            },
        },
        "durability": durability,
        "host_findings": _findings(),
        "choices": _choices(),
        "operations": _operations(),
        "history": [
            {
                "id": _hex(chance, 32),
                "playbook": "validate.yml",
                "started": at(-86400 * (9 - day)),
                "duration_s": round(chance.uniform(380, 470), 1),
                "status": "failed" if day == 4 else "passed",
                "passed": len(tests) - (2 if day == 4 else 0),
                "failed": 2 if day == 4 else 0,
                "skipped": 0,
                "folder": at(-86400 * (9 - day))[:19].replace(":", "-"),
            }
            for day in range(9)
        ],
    }


def failing(seed: int = 2026) -> dict[str, Any]:
    """One service is down, another has lost records, and a third one is slow."""
    document = sample(seed)
    document["services"][5].update(state="exited", health="")
    document["services"][5]["timeline"].update(healthy=None, verified=None)
    broken = {
        "opensearch.component.1": (
            "no answer on 127.0.0.1:9200: connection refused",
            "The container has stopped with exit code 78: vm.max_map_count is 65530, OpenSearch needs 262144.",
            "Raise it on the machine: sysctl -w vm.max_map_count=262144, then run core.yml again.",
        ),
        "opensearch.component.2": (
            "no answer on 127.0.0.1:9200: connection refused",
            "The container has stopped; see the test above.",
            "Make the test above pass first.",
        ),
        "nats.persistence.kill-9": (
            "3 of 2,000 acknowledged messages are gone after kill -9",
            "sync_interval is 2m: the server acknowledges before the disk has the message.",
            "Set core_durability: durable, which costs 38 % of the throughput, or accept the loss.",
        ),
        "questdb.performance": (
            "p99 is 31.4 ms, the budget is 20 ms; the last five runs had 8.1 to 9.6 ms",
            "The data disk is slower than before: fsync p99 is 48 ms, it was 5 ms.",
            "Look for other load on the disk (iostat -x 1), or move trade2026_root to a faster one.",
        ),
    }
    for test in document["tests"]:
        if test["id"] in broken:
            message, cause, remedy = broken[test["id"]]
            test.update(status="failed", message=message, cause=cause, remedy=remedy)
        if test["id"] == "opensearch.component.1":
            test["log"] = [
                "[2026-11-26T06:31:10,114][INFO ][o.o.n.Node] [opensearch] initialized",
                "[2026-11-26T06:31:12,870][ERROR][o.o.b.Bootstrap] [opensearch] node validation exception",
                "[1] bootstrap checks failed",
                "[1]: max virtual memory areas vm.max_map_count [65530] is too low, increase to at least [262144]",
            ]
        if test["service"] == "opensearch" and test["kind"] in ("performance", "persistence"):
            test.update(status="skipped", message="the service does not run")
    for row in document["durability"]:
        if row["service"] == "nats" and row["fault"] == "kill -9":
            row["lost"] = 3
    document["durability"] = [row for row in document["durability"] if row["service"] != "opensearch"]
    document["performance"] = [row for row in document["performance"] if row["service"] != "opensearch"]
    for row in document["performance"]:
        if row["service"] == "questdb":
            row.update(p99_ms=31.4, max_ms=88.0)
    for row in document["reachability"]:
        if row["target"] == "opensearch" and row["expected"] == "open":
            row["actual"] = "closed"
        if row["source"] == "opensearch":
            row["actual"] = "unknown"
    return document


def before_deployment() -> dict[str, Any]:
    """A run that failed at the preflight checks: nothing was deployed, and nothing is known about containers."""
    document = sample()
    failures = {
        "memory": ("the limits add up to 12.5 GiB, the machine has 7.6 GiB", "Set core_size: small."),
        "host ports": ("127.0.0.1:9000 is in use by `minio`", "Stop it, or set questdb_http_port."),
    }
    tests = _preflight()
    for test in tests:
        if test["title"] in failures:
            message, remedy = failures[test["title"]]
            test.update(status="failed", message=message, remedy=remedy)
    run = {key: value for key, value in document["run"].items() if key not in ("kinds", "disruptive", "durability")}
    run.update(
        playbook="core.yml",
        command="ansible-playbook core.yml",
        ended=at(4.2),
        failed_before_deploy={"phase": "preflight checks", "message": "2 of 14 preflight checks failed."},
    )
    machine = {key: document["machine"][key] for key in ("name", "ansible", "project_version")}
    services = [{"name": name, "title": values[0]} for name, values in SERVICES.items()]
    return {"format": 1, "run": run, "machine": machine, "services": services, "tests": tests}


def smallest() -> dict[str, Any]:
    """Only what the schema requires."""
    document = sample()
    run = {key: document["run"][key] for key in ("id", "started", "ended", "playbook", "project", "root")}
    return {"format": 1, "run": run, "machine": {"name": "localhost"}, "services": [], "tests": []}


def many(count: int = 64) -> dict[str, Any]:
    """A site with many services, all of which fail in every kind."""
    document = sample()
    names = [f"valkey-sessions-{number:02}" for number in range(count)]
    template = document["services"][1]
    document["services"] = [{**template, "name": name, "title": f"Valkey {name[-2:]}"} for name in names]
    document["tests"] = [
        {
            **_test(f"{name}.{kind}", kind, name, f"the {kind} of {name} is as declared"),
            "status": "failed",
            "message": "connection refused",
            "cause": "The container is paused.",
            "remedy": f"docker unpause {name}",
        }
        for name in names
        for kind in KINDS[1:]
    ]
    document["performance"] = [{**document["performance"][1], "service": name} for name in names]
    document["durability"] = [{**document["durability"][4], "service": name, "lost": 7} for name in names]
    document["reachability"] = [
        {"source": names[0], "target": name, "network": "trade2026-backend", "expected": "open", "actual": "closed"}
        for name in names[1:]
    ]
    document["choices"] = [{**document["choices"][0], "service": name} for name in names]
    document["operations"] = [{**document["operations"][0], "service": name} for name in names]
    return document


def odd() -> dict[str, Any]:
    """Very long names, texts without spaces, no optional parts, and values at their limits."""
    document = sample()
    long = "a" * 63
    service = document["services"][0]
    service.update(name=long, title="An extraordinarily long display name of a service that nobody would choose")
    service["networks"][0]["aliases"] = [long] * 3
    service["image"]["reference"] = f"registry.example.invalid:5000/{long}/{long}:{long}"
    document["networks"][1]["name"] = service["networks"][0]["name"] = f"{long}-network"
    document["run"].update(command="ansible-playbook " + "x" * 2000, root="/srv/" + "/".join([long] * 3))
    rows = [row for row in document["tests"] if row["service"] == "nats"]
    for row in rows:
        row.update(service=long, id=f"{long}.{row['id']}", title=long * 2, message="y" * 600, status="failed")
        row.update(cause="z" * 300, remedy=f"`{long * 3}`", log=["w" * 5000, ""], evidence={long: 0.1, "none": None})
    document["reachability"] = []
    document["performance"] = [
        {key: document["performance"][0][key] for key in ("operation", "samples", "throughput_per_s", "max_ms")}
        | {"service": long, "p50_ms": 0, "p95_ms": 0, "p99_ms": 0}
    ]
    document["durability"] = [{**document["durability"][0], "service": long, "lost": 10**9, "acknowledged": 10**9}]
    document["floor"] = {"one": {"title": long, "unit": "ms"}}
    document["history"] = [
        {key: document["history"][0][key] for key in ("id", "started", "status", "passed", "failed")}
    ]
    return document


def _service(name: str, chance: random.Random) -> dict[str, Any]:
    title, image, ports, networks, to_healthy, *_rest = SERVICES[name]
    built = image.startswith("localhost/")
    started = 21 + chance.uniform(0, 3)
    return {
        "name": name,
        "title": title,
        "image": {
            "reference": image if built else f"localhost/trade2026/{name}:{image.partition(':')[2]}-{_hex(chance, 12)}",
            "source": "build" if built else "packages",
            "version": "" if built else image.rpartition(":")[2].partition("-")[0],
            "id": f"sha256:{_hex(chance, 64)}",
            "digest": "",
            "official": "" if built else image,
            "built_from": "the migrated sources" if built else "packages of Debian and PyPI",
            "difference": "24.8 of chdb, as 24.9 is in no package registry" if name == "clickhouse" else "",
        },
        "state": "running",
        "health": "healthy",
        "started_at": at(started),
        "ports": [
            {"name": port, "host_ip": "127.0.0.1", "host": number, "container": 9000 if number == 9100 else number}
            for port, number in ports.items()
        ],
        "networks": [
            {
                "name": f"trade2026-{key}",
                "ip": f"{NETWORKS[key][:-5]}.{2 + list(SERVICES).index(name)}",
                "aliases": [name],
            }
            for key in networks
        ],
        "timeline": {
            "planned": at(6.1),
            "started": at(started),
            "healthy": at(started + to_healthy),
            "verified": at(started + to_healthy + chance.uniform(0.2, 1.5)),
        },
    }


def _test(identifier: str, kind: str, service: str, title: str, **more: Any) -> dict[str, Any]:
    return {"id": identifier, "kind": kind, "service": service, "title": title, "status": "passed", **more}


def _preflight() -> list[dict[str, Any]]:
    titles = ["Docker engine", "Docker Compose", "networks", "host ports", "memory", "disk space", "vm.max_map_count"]
    return [
        _test(f"machine.preflight.{title.replace(' ', '-')}", "preflight", "machine", title, message="as required")
        for title in titles
    ]


def _component(chance: random.Random) -> list[dict[str, Any]]:
    return [
        _test(
            f"{name}.component.{number}",
            "component",
            name,
            title,
            source="7.3, the service answers",
            duration_s=round(chance.uniform(0.004, 0.4), 3),
            message="as declared",
        )
        for name, titles in PROBES.items()
        for number, title in enumerate(titles, 1)
    ]


def _integration(chance: random.Random) -> list[dict[str, Any]]:
    steps = ["an order gets through the platform and is found again by its id", "a denied order leaves no trace"]
    return [
        _test(
            f"platform.integration.{number}",
            "integration",
            "platform",
            title,
            source="rule 5",
            duration_s=round(chance.uniform(1, 4), 2),
            evidence={"order": "o-000017", "stores": 6},
        )
        for number, title in enumerate(steps, 1)
    ]


def _network(chance: random.Random) -> list[dict[str, Any]]:
    return [
        _test(f"{name}.network.{what}", "network", name, title, duration_s=round(chance.uniform(0.02, 0.3), 3))
        for name in SERVICES
        for what, title in (
            ("names", "it reaches the services on its networks by name, and no other"),
            ("ports", "its ports answer on the bind address, and on no other"),
        )
    ]


def _reachability(chance: random.Random) -> list[dict[str, Any]]:
    rows = []
    for source, one in SERVICES.items():
        for target, other in SERVICES.items():
            shared = [key for key in one[3] if key in other[3]]
            if source != target:
                state = "open" if shared else "closed"
                row = {
                    "source": source,
                    "target": target,
                    "network": f"trade2026-{shared[0]}" if shared else "",
                    "port": next(iter(other[2].values())),
                    "expected": state,
                    "actual": state,
                }
                rows.append(row | ({"latency_ms": round(chance.uniform(0.04, 0.09), 3)} if shared else {}))
    return rows


def _performance(name: str, chance: random.Random) -> dict[str, Any]:
    _title, _image, _ports, _networks, _healthy, median, operation, unit = SERVICES[name]
    drawn = sorted(median * math.exp(chance.gauss(0, 0.45)) for _count in range(4000))
    at_rank = {rank: round(drawn[int(len(drawn) * rank / 100)], 4) for rank in (50, 95, 99)}
    edges = [median * 1.25**power for power in range(-7, 13)]
    counts = [sum(1 for value in drawn if low < value <= high) for low, high in zip([0, *edges], edges, strict=False)]
    rate = 1000 / median * chance.uniform(0.8, 1.1)
    return {
        "service": name,
        "operation": operation,
        "unit": unit,
        "tool": f"{name} client",
        "samples": len(drawn),
        "warm_up": 400,
        "throughput_per_s": round(rate, 1),
        "p50_ms": at_rank[50],
        "p95_ms": at_rank[95],
        "p99_ms": at_rank[99],
        "max_ms": round(drawn[-1], 4),
        "histogram": [
            {"up_to_ms": round(edge, 4), "count": count} for edge, count in zip(edges, counts, strict=True) if count
        ],
        "budget": {"p99_ms": round(median * 10, 2), "throughput_per_s": round(rate / 3)},
        "previous": [
            {
                "started": at(-86400 * (9 - day)),
                "throughput_per_s": round(rate * chance.uniform(0.92, 1.06), 1),
                "p50_ms": round(at_rank[50] * chance.uniform(0.95, 1.08), 4),
                "p95_ms": round(at_rank[95] * chance.uniform(0.93, 1.12), 4),
                "p99_ms": round(at_rank[99] * chance.uniform(0.9, 1.25), 4),
            }
            for day in range(9)
        ],
    }


def _performance_test(row: Mapping[str, Any]) -> dict[str, Any]:
    message = f"{row['throughput_per_s']} {row['unit']}s/s, p99 {row['p99_ms']} ms"
    title = f"{row['operation']}: within its budget and as fast as in the last runs"
    return _test(f"{row['service']}.performance", "performance", row["service"], title, message=message, duration_s=4.1)


def _durability(name: str, fault: str, chance: random.Random) -> dict[str, Any]:
    return {
        "service": name,
        "fault": fault,
        "acknowledged": 2000,
        "lost": 0,
        "extra": chance.choice([0, 0, 0, 1]) if fault == "kill -9" else 0,
        "out_of_order": 0,
        "setting": SYNC[name],
        "profile": "balanced",
    }


def _persistence_test(row: Mapping[str, Any]) -> dict[str, Any]:
    fault = str(row["fault"])
    return _test(
        f"{row['service']}.persistence.{fault.replace(' ', '-').replace('--', '-')}",
        "persistence",
        str(row["service"]),
        f"every acknowledged record is there after {fault}",
        source="rule 6",
        message=f"{row['acknowledged']} of {row['acknowledged']} records are there",
        duration_s=6.5,
    )


def _findings() -> list[dict[str, Any]]:
    rows = [
        ("CPU governor", "performance", "good", "The clock does not change under load."),
        ("Transparent huge pages", "madvise", "good", "Only programs that ask for them get them."),
        ("Clock source", "tsc", "good", "Reading the time costs no system call."),
        ("Clock offset", "18 µs (chrony)", "good", "RTS 25 allows 100 µs for high-frequency trading."),
        ("Deepest C-state", "C6, 133 µs to leave", "acceptable", "Set processor.max_cstate=1 for steady latency."),
        ("Steal time", "0.4 %", "acceptable", "Another guest uses the processor at times."),
        ("Swap", "2 GiB, 14 MiB used", "bad", "A swapped page costs milliseconds. Turn swap off or add memory."),
        ("NUMA nodes", "1", "good", "No memory is remote."),
    ]
    return [{"fact": fact, "value": value, "judgement": judged, "why": why} for fact, value, judged, why in rows]


def _choices() -> list[dict[str, Any]]:
    rows = []
    for name, (_title, image, ports, networks, *_rest) in SERVICES.items():
        words = {
            "image": image,
            "old": f"{image.partition(':')[0]}:latest",
            "port": next(iter(ports.values())),
            "network": ", ".join(f"trade2026-{key}" for key in networks),
        }
        for setting, value, old, why in CHOICES:
            rows.append(
                {
                    "service": name,
                    "setting": setting,
                    "value": value.format(**words),
                    "trade2025": old.format(**words),
                    "why": why,
                }
            )
    return rows


def _operations() -> list[dict[str, Any]]:
    rows = []
    for name in SERVICES:
        rows.append(
            {
                "service": name,
                "what": f"file config/infrastructure/{name}/{name}.conf",
                "action": "create",
                "current": "",
                "desired": "as declared",
                "cause": "it does not exist",
                "restarts": False,
                "status": "done",
            }
        )
        rows.append(
            {
                "service": name,
                "what": "container",
                "action": "start",
                "current": "absent",
                "desired": "running",
                "cause": "it does not exist",
                "restarts": True,
                "status": "done",
            }
        )
    return rows


def _hex(chance: random.Random, length: int) -> str:
    return "".join(chance.choice("0123456789abcdef") for _place in range(length))
