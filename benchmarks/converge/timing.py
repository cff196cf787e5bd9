# SPDX-License-Identifier: GPL-3.0-or-later
"""Measure one command: wall time, CPU time, and how many module processes Ansible starts."""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# Ansible starts the interpreter once for each module process.
COUNTING_INTERPRETER = """#!/bin/sh
echo >> '{count}'
exec '{python}' "$@"
"""


@dataclass(frozen=True)
class Sample:
    """One run: wall time and CPU time in seconds, and the number of module processes."""

    wall_s: float
    cpu_s: float
    processes: int


def measure(command: list[str], folder: Path, count: Path) -> Sample:
    """Run a command and measure it; exits if the command fails."""
    count.write_text("", encoding="utf-8")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begin = time.perf_counter()
    done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    wall = time.perf_counter() - begin
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout[-3000:]}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Sample(wall, cpu, count.read_text(encoding="utf-8").count("\n"))


def counting_interpreter(folder: Path) -> tuple[Path, Path]:
    """Write an interpreter that counts its starts; returns the file with a line for each start, and the interpreter."""
    count = folder / "count"
    interpreter = folder / "python"
    interpreter.write_text(COUNTING_INTERPRETER.format(count=count, python=sys.executable), encoding="utf-8")
    interpreter.chmod(0o755)
    return count, interpreter


def wall_text(samples: Sequence[Sample]) -> str:
    """The wall time of some runs: median and range."""
    walls = [sample.wall_s for sample in samples]
    return f"{statistics.median(walls):.1f} s ({min(walls):.1f} to {max(walls):.1f})"


def machine() -> dict[str, object]:
    """The facts without which the figures say nothing: date, processors, memory, load, versions."""
    return {
        "date": time.strftime("%Y-%m-%d"),
        "processors": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "load_before": round(os.getloadavg()[0], 2),
        "engine": _said("docker", "version", "--format", "{{.Server.Version}}"),
        "compose": _said("docker", "compose", "version", "--short"),
        "ansible_core": _said(sys.executable, "-c", "import ansible; print(ansible.__version__)"),
        "python": ".".join(str(part) for part in sys.version_info[:3]),
    }


def _said(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def write_samples(file: Path, samples: Mapping[str, Sequence[Sample]], facts: Mapping[str, object]) -> None:
    """Write the facts of the machine, and all samples by the name of what was measured, as JSON."""
    file.parent.mkdir(parents=True, exist_ok=True)
    result = {**facts, "samples": {name: [asdict(sample) for sample in found] for name, found in samples.items()}}
    file.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
