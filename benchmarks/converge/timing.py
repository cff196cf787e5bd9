# SPDX-License-Identifier: GPL-3.0-or-later
"""Measure one command: wall time, CPU time, and how many module processes Ansible starts."""

from __future__ import annotations

import json
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


def write_samples(file: Path, samples: Mapping[str, Sequence[Sample]]) -> None:
    """Write all samples as JSON, by the name of what was measured."""
    file.parent.mkdir(parents=True, exist_ok=True)
    result = {name: [asdict(sample) for sample in found] for name, found in samples.items()}
    file.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
