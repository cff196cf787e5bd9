# SPDX-License-Identifier: GPL-3.0-or-later
"""Facts of the machine: its floor, the best latencies that it allows, and what slows services down. Read-only."""

from __future__ import annotations

import math
import os
import re
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

# Number of measurements for the floor.
REQUESTS, WRITES, SLEEPS = 500, 50, 300
SLEEP_S = 0.001
# Share of the processors' time that a hypervisor may take before it affects the latencies.
STEAL_GOOD, STEAL_BAD = 0.005, 0.05
# Offset from the reference clock, in seconds.
OFFSET_GOOD, OFFSET_BAD = 0.001, 0.1
# Microseconds that a processor may take to leave its deepest idle state.
EXIT_GOOD_US = 10
GOOD_CLOCKS = ("tsc", "arch_sys_counter", "kvm-clock")

Finding = dict[str, str]


def finding(fact: str, value: str, judgement: str, why: str) -> Finding:
    """A fact with its assessment."""
    return {"fact": fact, "value": value, "judgement": judgement, "why": why}


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def findings(root: Path = Path("/")) -> list[Finding]:
    """All facts that are assessed; `root` is the folder that contains the kernel's file systems."""
    return [
        governor(root), idle_states(root), huge_pages(root), clock_source(root), steal(root), swap(root), numa(root),
        clock_offset(),
    ]  # fmt: skip


def governor(root: Path) -> Finding:
    """The frequency governor of the processors."""
    found = {_read(path) for path in root.glob("sys/devices/system/cpu/cpu*/cpufreq/scaling_governor")} - {""}
    if not found:
        return finding(
            "CPU governor", "not visible", "unknown", "In a virtual machine the host decides; ask its operator."
        )
    good = found == {"performance"}
    why = "Frequency changes add to latencies; `cpupower frequency-set -g performance` stops them."
    return finding(
        "CPU governor", ", ".join(sorted(found)), "good" if good else "bad", "Constant frequency." if good else why
    )


def idle_states(root: Path) -> Finding:
    """How long a processor takes to wake up."""
    states = sorted(root.glob("sys/devices/system/cpu/cpu0/cpuidle/state*"))
    active = [
        (_read(one / "name"), int(_read(one / "latency") or 0)) for one in states if _read(one / "disable") != "1"
    ]
    if not active:
        return finding("C-states", "not visible", "unknown", "In a virtual machine the host decides; ask its operator.")
    name, latency = max(active, key=lambda state: state[1])
    good = latency <= EXIT_GOOD_US
    why = f"Waking up from {name} takes {latency} µs; limit the states with intel_idle.max_cstate or idle=poll."
    return finding(
        "C-states", f"deepest {name}, {latency} µs", "good" if good else "acceptable", "Shallow." if good else why
    )


def huge_pages(root: Path) -> Finding:
    """Transparent huge pages."""
    match = re.search(r"\[(\w+)\]", _read(root / "sys/kernel/mm/transparent_hugepage/enabled"))
    if not match:
        return finding("transparent huge pages", "not visible", "unknown", "The kernel does not report it.")
    if match[1] == "always":
        why = "Snapshots of Valkey copy 2 MB for each page that is touched, and compaction stalls; write madvise."
        return finding("transparent huge pages", match[1], "bad", why)
    return finding("transparent huge pages", match[1], "good", "Only programs that ask for them get them.")


def clock_source(root: Path) -> Finding:
    """The clock source of the kernel."""
    source = _read(root / "sys/devices/system/clocksource/clocksource0/current_clocksource")
    if not source:
        return finding("clock source", "not visible", "unknown", "The kernel does not report it.")
    good = source in GOOD_CLOCKS
    why = "With this source, reading the time is a system call, which slows down every message."
    return finding("clock source", source, "good" if good else "bad", "Read without a system call." if good else why)


def steal(root: Path) -> Finding:
    """Processor time that a hypervisor gave to others, since the machine started."""
    fields = _read(root / "proc/stat").partition("\n")[0].split()[1:]
    if len(fields) < 8:
        return finding("steal time", "not visible", "unknown", "The kernel does not report it.")
    share = int(fields[7]) / max(1, sum(map(int, fields[:8])))
    judgement = "good" if share < STEAL_GOOD else "acceptable" if share < STEAL_BAD else "bad"
    why = "Time that the hypervisor gave to other machines; above 5 %, ask for dedicated processors."
    return finding("steal time", f"{share:.2%} since the start", judgement, why)


def swap(root: Path) -> Finding:
    """Swap space."""
    rows = [line.split() for line in _read(root / "proc/swaps").splitlines()[1:]]
    swappiness = _read(root / "proc/sys/vm/swappiness")
    if not rows:
        return finding("swap", "none", "good", "No page of a service can be moved to a disk.")
    used = sum(int(row[3]) for row in rows)
    why = "A page that was swapped out is read back in milliseconds; containers here may not swap, other programs may."
    value = f"{len(rows)} areas, {used} KiB in use, swappiness {swappiness}"
    return finding("swap", value, "bad" if used else "acceptable", why)


def numa(root: Path) -> Finding:
    """NUMA nodes."""
    nodes = len(list(root.glob("sys/devices/system/node/node[0-9]*")))
    if nodes <= 1:
        return finding("NUMA", f"{nodes or 1} node", "good", "All memory is equally fast.")
    why = "Memory of another node is slower; pin latency-critical services to one node (cpuset)."
    return finding("NUMA", f"{nodes} nodes", "acceptable", why)


def clock_offset() -> Finding:
    """The offset of the clock from its reference, as chrony reports it."""
    try:
        done = subprocess.run(["chronyc", "-n", "tracking"], capture_output=True, text=True, check=False, timeout=5)
        code, out = done.returncode, done.stdout
    except (OSError, subprocess.TimeoutExpired):
        code, out = 127, ""
    match = re.search(r"^System time\s*:\s*([\d.]+) seconds (fast|slow)", out, re.MULTILINE)
    if code != 0 or not match:
        why = "Timestamps of several machines can be compared only if their clocks are synchronized; install chrony."
        return finding("clock offset", "chrony does not run", "unknown", why)
    seconds = float(match[1])
    judgement = "good" if seconds < OFFSET_GOOD else "acceptable" if seconds < OFFSET_BAD else "bad"
    return finding("clock offset", f"{seconds * 1000:.3f} ms {match[2]}", judgement, "Offset from chrony's reference.")


def floor(data: Path) -> dict[str, dict[str, Any]]:
    """The best latencies that the machine allows, measured without the services."""
    return {
        "request": _measured("No-op request over the loopback", requests()),
        "fsync": _measured("4 KiB written and forced to the disk of the data", writes(data)),
        "jitter": _measured("Time slept beyond 1 ms", sleeps()),
    }


def requests() -> list[float]:
    """Milliseconds of requests to an echo server in this process."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def echo() -> None:
            connection, _address = server.accept()
            with connection:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                while data := connection.recv(64):
                    connection.sendall(data)

        threading.Thread(target=echo, daemon=True).start()
        times = []
        with socket.create_connection(server.getsockname()) as client:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for _count in range(REQUESTS):
                begun = time.perf_counter()
                client.sendall(b"ping")
                client.recv(64)
                times.append((time.perf_counter() - begun) * 1000)
    return times


def writes(folder: Path) -> list[float]:
    """Milliseconds of forced writes to a temporary file."""
    times = []
    # It has no name, so a run that is killed leaves nothing.
    with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
        for _count in range(WRITES):
            begun = time.perf_counter()
            file.write(bytes(4096))
            os.fsync(file.fileno())
            times.append((time.perf_counter() - begun) * 1000)
    return times


def sleeps() -> list[float]:
    """Milliseconds by which sleeping exceeded the requested time."""
    times = []
    for _count in range(SLEEPS):
        begun = time.perf_counter()
        time.sleep(SLEEP_S)
        times.append((time.perf_counter() - begun - SLEEP_S) * 1000)
    return times


def percentile(ordered: Sequence[float], share: float) -> float:
    """The smallest value that `share` of the sorted values do not exceed."""
    return ordered[max(0, math.ceil(len(ordered) * share) - 1)]


def _measured(title: str, times: list[float]) -> dict[str, Any]:
    ordered = sorted(max(0.0, value) for value in times)
    shares = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
    values = {name: round(percentile(ordered, share), 4) for name, share in shares.items()}
    return {"title": title, "unit": "ms", "samples": len(ordered), **values, "max": round(ordered[-1], 4)}
