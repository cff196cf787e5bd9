# SPDX-License-Identifier: GPL-3.0-or-later
"""Measure runs of core.yml beside Docker Compose and another playbook for the same Compose project.

    python benchmarks/converge/bench.py --compose /srv/trade2026/infrastructure/docker/docker-compose.core.yml \\
        [--textbook PROGRAM] [--changes] [--rounds 5] [--inventory inventory/local] [-- -e @site.json]

The stack must be deployed. PROGRAM is a Python program that is called with the Compose file and an empty folder, and
writes a playbook site.yml there, with its ansible.cfg. The runs take turns, so that other load on the machine affects
all of them. With --changes the configuration of a service is changed, all containers are removed, and the deployment is
purged (its data and secrets stay), before the runs that have to put that right. Prints the ratios that are judged and a
Markdown table, and writes the samples as JSON.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from timing import ROOT, Sample, counting_interpreter, machine, measure, wall_text, write_samples


def row(name: str, samples: list[Sample]) -> str:
    """A row of the table: medians, with the range of the wall time."""
    cpu = statistics.median(sample.cpu_s for sample in samples)
    return f"| {name} | {wall_text(samples)} | {cpu:.1f} s | {samples[-1].processes} |"


@dataclass(frozen=True)
class Ratio:
    """The quotient of two medians, and the goal that it must not exceed."""

    name: str
    value: float
    goal: float

    @property
    def row(self) -> str:
        """A row of the table."""
        return f"| {self.name} | {self.value:.2f} | {self.goal:g} | {'yes' if self.value <= self.goal else 'no'} |"


@dataclass(frozen=True)
class Scenario:
    """What is measured: a command, and a preparation before each of its runs, which is not measured."""

    name: str
    command: list[str]
    folder: Path
    before: tuple[tuple[str, ...], ...] = ()


CONVERGED, DRY_RUN, TEXTBOOK, COMPOSE = (
    "core.yml",
    "core.yml --check",
    "textbook playbook",
    "docker compose up -d --wait",
)
CHANGED, RECREATED = "core.yml, one service changed", "docker compose up -d --wait, one service recreated"
COLD, COLD_OBSERVED = "core.yml, no containers", "core.yml, no containers, observed for 10 s"
UNRENDERED = "core.yml, nothing rendered"
COLD_COMPOSE = "docker compose up -d --wait, no containers"
# A run that changes a service observes it for 10 s before it calls the restore point good; Compose does nothing alike.
UNOBSERVED = ["--extra-vars", "core_good_after_s=0"]


def scenarios(arguments: argparse.Namespace, counted: list[str], folder: Path) -> list[Scenario]:
    """The runs to compare, in the order in which they take turns."""
    playbook = ["ansible-playbook", "-i", arguments.inventory, "core.yml", *arguments.extra]
    compose = ["docker", "compose", "--file", str(arguments.compose)]
    up = [*compose, "up", "--detach", "--wait"]
    found = [
        Scenario(CONVERGED, [*playbook, *counted], ROOT),
        Scenario(DRY_RUN, [*playbook, "--check", *counted], ROOT),
        Scenario(COMPOSE, up, ROOT),
    ]
    if arguments.textbook:
        textbook = folder / "textbook"
        subprocess.run([sys.executable, arguments.textbook, arguments.compose, textbook], check=True)
        found.insert(1, Scenario(TEXTBOOK, ["ansible-playbook", "site.yml", *counted], textbook))
    if arguments.changes:
        change = (*playbook, *UNOBSERVED, "--extra-vars", arguments.change)
        remove = (*compose, "down")
        # Removes containers, networks and every rendered file; data, secrets and images stay.
        purge = tuple(word if word != "core.yml" else "playbooks/purge.yml" for word in playbook)
        purge += ("--extra-vars", f"purge_of={arguments.project}")
        found += [
            Scenario(CHANGED, [*playbook, *UNOBSERVED, *counted], ROOT, (change,)),
            Scenario(RECREATED, [*up, "--no-deps", "--force-recreate", arguments.service], ROOT),
            Scenario(COLD, [*playbook, *UNOBSERVED, *counted], ROOT, (remove,)),
            Scenario(COLD_COMPOSE, up, ROOT, (remove,)),
            Scenario(COLD_OBSERVED, [*playbook, *counted], ROOT, (remove,)),
            Scenario(UNRENDERED, [*playbook, *UNOBSERVED, *counted], ROOT, (purge,)),
        ]
    return found


def ratios(samples: Mapping[str, Sequence[Sample]]) -> list[Ratio]:
    """What is judged, for the runs that were measured."""
    wall = {name: statistics.median(sample.wall_s for sample in found) for name, found in samples.items()}
    cpu = {name: statistics.median(sample.cpu_s for sample in found) for name, found in samples.items()}
    found = [
        Ratio("nothing to do / `docker compose up`, wall time", wall[CONVERGED] / wall[COMPOSE], 12),
        Ratio("`--check` / nothing to do, wall time", wall[DRY_RUN] / wall[CONVERGED], 1),
    ]
    if TEXTBOOK in samples:
        found += [
            Ratio("nothing to do / textbook playbook, wall time", wall[CONVERGED] / wall[TEXTBOOK], 0.2),
            Ratio("nothing to do / textbook playbook, processor time", cpu[CONVERGED] / cpu[TEXTBOOK], 0.2),
        ]
    if CHANGED in samples:
        restart = wall[CONVERGED] + wall[RECREATED]
        found += [
            Ratio("one service changed / nothing to do + `docker compose up` of it", wall[CHANGED] / restart, 1.2),
            Ratio("no containers / `docker compose up`, wall time", wall[COLD] / wall[COLD_COMPOSE], 1.5),
            Ratio("the same, observed for 10 s", wall[COLD_OBSERVED] / wall[COLD_COMPOSE], 1.5),
            Ratio("nothing rendered / `docker compose up`, wall time", wall[UNRENDERED] / wall[COLD_COMPOSE], 1.5),
        ]
    return found


def main() -> None:
    """Alternate the runs, print the table, and write the samples."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--compose", type=Path, required=True)
    parser.add_argument("--textbook", type=Path, metavar="PROGRAM")
    parser.add_argument("--inventory", default="inventory/local")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--changes", action="store_true", help="also change a service, and remove all containers")
    parser.add_argument("--project", default="trade2026-core", help="the Compose project, which --changes purges")
    parser.add_argument("--service", default="valkey", help="the service that --changes changes")
    parser.add_argument("--change", default="valkey_maxmemory=1gb", help="another value of a variable of that service")
    parser.add_argument("--out", type=Path, default=ROOT / ".cache/bench-converge.json")
    parser.add_argument("extra", nargs="*", help="passed on to ansible-playbook, after --")
    arguments = parser.parse_args()

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        count, interpreter = counting_interpreter(folder)
        counted = ["--extra-vars", f"ansible_python_interpreter={interpreter}"]
        runs = scenarios(arguments, counted, folder)
        samples: dict[str, list[Sample]] = {run.name: [] for run in runs}
        facts = machine()
        for number in range(arguments.rounds + 1):
            for run in runs:
                for command in run.before:
                    subprocess.run(command, check=True, capture_output=True)
                sample = measure(run.command, run.folder, count)
                # The first round does not count: it fills caches, and the other playbook deploys its files.
                if number:
                    samples[run.name].append(sample)
                    print(f"round {number}: {run.name} {sample.wall_s:.1f} s", file=sys.stderr)

    found = ratios(samples)
    print("| what is compared | ratio | goal | reached |\n|---|---|---|---|")
    for ratio in found:
        print(ratio.row)
    print("\n| run | wall time, median (range) | CPU time, median | module processes |\n|---|---|---|---|")
    for key, taken in samples.items():
        print(row(key, taken))
    write_samples(
        arguments.out, samples, {**facts, "rounds": arguments.rounds, "ratios": [asdict(one) for one in found]}
    )


if __name__ == "__main__":
    if shutil.which("ansible-playbook") is None:
        sys.exit("ansible-playbook is not installed; run: make setup; . .venv/bin/activate")
    os.environ.setdefault("ANSIBLE_NOCOLOR", "1")
    main()
