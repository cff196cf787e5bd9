# SPDX-License-Identifier: GPL-3.0-or-later
"""Measure a run with nothing to do, beside Docker Compose and another playbook for the same Compose project.

    python benchmarks/converge/bench.py --compose /srv/trade2026/infrastructure/docker/docker-compose.core.yml \\
        [--textbook PROGRAM] [--changes] [--rounds 5] [--inventory inventory/local] [-- -e @site.json]

The stack must be deployed. PROGRAM is a Python program that is called with the Compose file and an empty folder, and
writes a playbook site.yml there, with its ansible.cfg. The runs alternate, so that other load on the machine affects
all of them. With --changes a service is stopped, and all containers are removed, before the runs that have to bring
them back. Prints a Markdown table and writes the samples as JSON.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from timing import ROOT, Sample, counting_interpreter, measure, wall_text, write_samples


def row(name: str, samples: list[Sample]) -> str:
    """A row of the table: medians, with the range of the wall time."""
    cpu = statistics.median(sample.cpu_s for sample in samples)
    return f"| {name} | {wall_text(samples)} | {cpu:.1f} s | {samples[-1].processes} |"


@dataclass(frozen=True)
class Scenario:
    """What is measured: a command, and what has to happen before each of its runs, which is not measured."""

    name: str
    command: list[str]
    folder: Path
    before: tuple[tuple[str, ...], ...] = ()


def scenarios(arguments: argparse.Namespace, counted: list[str], folder: Path) -> list[Scenario]:
    """The runs to compare, in the order in which they take turns."""
    playbook = ["ansible-playbook", "-i", arguments.inventory, "core.yml", *arguments.extra]
    compose = ["docker", "compose", "--file", str(arguments.compose)]
    found = [
        Scenario("core.yml", [*playbook, *counted], ROOT),
        Scenario("core.yml --check", [*playbook, "--check", *counted], ROOT),
        Scenario("docker compose up -d --wait", [*compose, "up", "--detach", "--wait"], ROOT),
    ]
    if arguments.textbook:
        textbook = folder / "textbook"
        subprocess.run([sys.executable, arguments.textbook, arguments.compose, textbook], check=True)
        found.insert(1, Scenario("textbook playbook", ["ansible-playbook", "site.yml", *counted], textbook))
    if arguments.changes:
        stop = (*compose, "stop", arguments.service)
        remove = (*compose, "down")
        found += [
            Scenario(f"core.yml, {arguments.service} stopped", [*playbook, *counted], ROOT, (stop,)),
            Scenario(
                f"docker compose up -d --wait, {arguments.service} stopped",
                [*compose, "up", "--detach", "--wait"],
                ROOT,
                (stop,),
            ),
            Scenario("core.yml, no containers", [*playbook, *counted], ROOT, (remove,)),
            Scenario(
                "docker compose up -d --wait, no containers", [*compose, "up", "--detach", "--wait"], ROOT, (remove,)
            ),
        ]
    return found


def main() -> None:
    """Alternate the runs, print the table, and write the samples."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--compose", type=Path, required=True)
    parser.add_argument("--textbook", type=Path, metavar="PROGRAM")
    parser.add_argument("--inventory", default="inventory/local")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--changes", action="store_true", help="also stop a service, and remove all containers")
    parser.add_argument("--service", default="valkey", help="the service that --changes stops")
    parser.add_argument("--out", type=Path, default=ROOT / ".cache/bench-converge.json")
    parser.add_argument("extra", nargs="*", help="passed on to ansible-playbook, after --")
    arguments = parser.parse_args()

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        count, interpreter = counting_interpreter(folder)
        counted = ["--extra-vars", f"ansible_python_interpreter={interpreter}"]
        runs = scenarios(arguments, counted, folder)
        samples: dict[str, list[Sample]] = {run.name: [] for run in runs}
        for number in range(arguments.rounds + 1):
            for run in runs:
                for command in run.before:
                    subprocess.run(command, check=True, capture_output=True)
                sample = measure(run.command, run.folder, count)
                # The first round is not counted: it fills caches, and the other playbook deploys its files.
                if number:
                    samples[run.name].append(sample)
                    print(f"round {number}: {run.name} {sample.wall_s:.1f} s", file=sys.stderr)

    print("| run | wall time, median (range) | CPU time, median | module processes |\n|---|---|---|---|")
    for key, found in samples.items():
        print(row(key, found))
    write_samples(arguments.out, samples)


if __name__ == "__main__":
    if shutil.which("ansible-playbook") is None:
        sys.exit("ansible-playbook is not installed; run: make setup; . .venv/bin/activate")
    os.environ.setdefault("ANSIBLE_NOCOLOR", "1")
    main()
