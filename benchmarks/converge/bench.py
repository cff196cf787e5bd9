"""Measure a run with nothing to do, and another playbook for the same Compose project beside it.

    python benchmarks/converge/bench.py --compose /srv/trade2026/infrastructure/docker/docker-compose.core.yml \
        [--textbook PROGRAM] [--rounds 5] [--inventory inventory/local]

The stack must be deployed. PROGRAM is a Python program that is called with the Compose file and an empty folder, and
writes a playbook site.yml there, with its ansible.cfg. The two runs alternate, so that other load on the machine
affects both. Without --textbook, only this project is measured. Prints a Markdown table and writes
.cache/bench-converge.json.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# Counts module processes: Ansible starts the interpreter once per module.
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


def row(name: str, samples: list[Sample]) -> str:
    """A row of the table: medians, with the range of the wall time."""
    walls = [sample.wall_s for sample in samples]
    cpu = statistics.median(sample.cpu_s for sample in samples)
    return (
        f"| {name} | {statistics.median(walls):.1f} s ({min(walls):.1f} to {max(walls):.1f}) | {cpu:.1f} s "
        f"| {samples[-1].processes} |"
    )


def main() -> None:
    """Alternate the runs and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--compose", type=Path, required=True)
    parser.add_argument("--textbook", type=Path, metavar="PROGRAM")
    parser.add_argument("--inventory", default="inventory/local")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        count = folder / "count"
        interpreter = folder / "python"
        interpreter.write_text(COUNTING_INTERPRETER.format(count=count, python=sys.executable), encoding="utf-8")
        interpreter.chmod(0o755)
        counted = ["--extra-vars", f"ansible_python_interpreter={interpreter}"]
        runs = {"core.yml": (["ansible-playbook", "-i", arguments.inventory, "core.yml", *counted], ROOT)}
        if arguments.textbook:
            textbook = folder / "textbook"
            subprocess.run([sys.executable, arguments.textbook, arguments.compose, textbook], check=True)
            runs["textbook playbook"] = (["ansible-playbook", "site.yml", *counted], textbook)
        samples: dict[str, list[Sample]] = {key: [] for key in runs}
        for number in range(arguments.rounds + 1):
            for key, (command, where) in runs.items():
                sample = measure(command, where, count)
                # The first round is not counted: it fills caches, and the other playbook deploys its files.
                if number:
                    samples[key].append(sample)
                    print(f"round {number}: {key} {sample.wall_s:.1f} s", file=sys.stderr)

    print("| run with nothing to do | wall time, median (range) | CPU time, median | module processes |")
    print("|---|---|---|---|")
    for key, found in samples.items():
        print(row(key, found))
    result = {key: [asdict(sample) for sample in found] for key, found in samples.items()}
    (ROOT / ".cache").mkdir(exist_ok=True)
    (ROOT / ".cache/bench-converge.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    if shutil.which("ansible-playbook") is None:
        sys.exit("ansible-playbook is not installed; run: make setup; . .venv/bin/activate")
    os.environ.setdefault("ANSIBLE_NOCOLOR", "1")
    main()
