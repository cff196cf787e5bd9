# SPDX-License-Identifier: GPL-3.0-or-later
"""Time a run with nothing to do for a growing number of services.

    python benchmarks/converge/scale.py [--services 8 16 32 64] [--rounds 5] [--out FILE]

The services are stand-ins: small web servers of the role `roles/standin`, on a separate site, which is removed at the
end. The sizes take turns, so that other load on the machine affects all of them.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from timing import ROOT, Sample, counting_interpreter, machine, measure, wall_text, write_samples

PROJECT = "trade2026-bench"
FOLDER = Path("/var/tmp/trade2026-bench")
FIRST_PORT = 18000


def write_inventory(folder: Path, count: int) -> Path:
    """A site of `count` stand-ins; every size has its own root and Compose project.

    Ports and subnets do not overlap either, so that all sizes are deployed at the same time.
    """
    place = folder / f"inventory-{count}"
    (place / "group_vars").mkdir(parents=True)
    hosts = {
        f"standin{count}-{number:02d}": {"core_role": "standin", "standin_port": FIRST_PORT + 100 * count + number}
        for number in range(count)
    }
    inventory = {
        "all": {
            "hosts": {"localhost": {"ansible_connection": "local"}},
            "children": {
                "core_services": {
                    "hosts": hosts,
                    "vars": {"docker_host": "localhost", "ansible_connection": "local"},
                }
            },
        }
    }
    # JSON is valid YAML, and Ansible reads a file with this suffix with its YAML plugin.
    (place / "hosts.yml").write_text(json.dumps(inventory), encoding="utf-8")
    networks = {
        name: {"name": f"{PROJECT}-{count}-{name}", "subnet": f"172.26.{count + place_in_site}.0/24"}
        for place_in_site, name in enumerate(("frontend", "lowlatency", "backend"))
    }
    site = {
        "trade2025_root": str(ROOT / "examples/trade2025"),
        "trade2026_root": str(FOLDER / str(count)),
        "trade2026_networks": networks,
        "core_project": f"{PROJECT}-{count}",
        "core_container_prefix": f"bench{count}-",
        "image_source": "packages",
        "ansible_python_interpreter": sys.executable,
    }
    (place / "group_vars/all.yml").write_text(json.dumps(site), encoding="utf-8")
    return place


def playbook(name: str, inventory: Path, *arguments: str) -> list[str]:
    """The command line of a playbook for that site."""
    return ["ansible-playbook", "-i", str(inventory), name, *arguments]


def remove(count: int) -> list[str]:
    """Remove the containers and networks of the site of that size, and its root; returns what the engine refused."""
    project = f"{PROJECT}-{count}"
    problems = []
    for listing, removal in (
        (["ps", "--all", "--quiet", "--filter", f"label=com.docker.compose.project={project}"], ["rm", "--force"]),
        (["network", "ls", "--quiet", "--filter", f"name=^{project}-"], ["network", "rm"]),
    ):
        listed = subprocess.run(["docker", *listing], capture_output=True, text=True, check=True).stdout.split()
        if listed:
            done = subprocess.run(["docker", *removal, *listed], capture_output=True, text=True, check=False)
            problems += done.stderr.splitlines() if done.returncode else []
    subprocess.run(["rm", "-rf", "--one-file-system", str(FOLDER / str(count))], check=True)
    return problems


def row(count: int, samples: list[Sample]) -> str:
    """A row of the table: medians, with the range of the wall time."""
    wall = statistics.median(sample.wall_s for sample in samples)
    cpu = statistics.median(sample.cpu_s for sample in samples)
    return (
        f"| {count} | {wall_text(samples)} | {cpu:.1f} s | {wall / count:.2f} s | {cpu / count:.2f} s "
        f"| {samples[-1].processes} |"
    )


def main() -> None:
    """Deploy every size, alternate the runs, print the table, write the samples, and remove the sites."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--services", type=int, nargs="+", default=[8, 16, 32, 64])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=ROOT / ".cache/bench-scale.json")
    arguments = parser.parse_args()
    os.environ["ANSIBLE_ROLES_PATH"] = f"{ROOT}/roles:{ROOT}/benchmarks/converge/roles"

    samples: dict[int, list[Sample]] = {count: [] for count in arguments.services}
    facts = {**machine(), "rounds": arguments.rounds}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        count_file, interpreter = counting_interpreter(folder)
        counted = ("--extra-vars", f"ansible_python_interpreter={interpreter}")
        sites = {count: write_inventory(folder, count) for count in arguments.services}
        try:
            for count, site in sites.items():
                print(f"deploying {count} stand-ins", file=sys.stderr)
                measure(playbook("core.yml", site), ROOT, count_file)
            for number in range(1, arguments.rounds + 1):
                for count, site in sites.items():
                    sample = measure(playbook("core.yml", site, *counted), ROOT, count_file)
                    samples[count].append(sample)
                    print(f"round {number}: {count} services {sample.wall_s:.1f} s", file=sys.stderr)
            # Before the removal, which the engine may refuse.
            report(arguments.out, samples, facts)
        finally:
            left = [problem for count in sites for problem in remove(count)]
    if left:
        sys.exit("The samples are written, but not everything was removed:\n" + "\n".join(left))


def report(out: Path, samples: dict[int, list[Sample]], facts: dict[str, object]) -> None:
    """Print the table, and write the samples."""
    print("| services | wall time, median (range) | CPU time | wall per service | CPU per service | module processes |")
    print("|---|---|---|---|---|---|")
    for count, found in samples.items():
        print(row(count, found))
    write_samples(out, {str(count): found for count, found in samples.items()}, facts)


if __name__ == "__main__":
    main()
