# SPDX-License-Identifier: GPL-3.0-or-later
"""Measure how much of a first run is spent in downloads, compilers and image builds.

    python benchmarks/setup/bench.py [--out FILE] -- make core

Run it where nothing is installed, built or deployed: it measures what it finds. The processes below the command are
listed twenty times a second; the time in which at least one of them downloads, compiles or builds is the least that the
same work takes without this project.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[2]
INTERVAL_S = 0.05
# What a process is called that fetches, unpacks or builds, and with which word in its command line; any if it is empty.
WORKERS = {
    "apt-get": "",
    "debootstrap": "",
    "dpkg": "",
    "git": "clone",
    "go": "",
    "uv": "",
    "mvn": "",
    "java": "maven",
    "pip": "",
    "pip3": "",
    "python3": "pip",
    "python": "pip",
    "docker": "build",
    "ansible-galaxy": "",
}


def worker(process: psutil.Process) -> str:
    """The name of a process that downloads, compiles or builds; empty for any other."""
    with contextlib.suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
        words = process.cmdline()
        for name in (process.name(), Path(words[0]).name if words else ""):
            if name in WORKERS and WORKERS[name] in " ".join(words):
                return name
    return ""


def main() -> None:
    """Run the command, print the times, and write them as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / ".cache/bench-setup.json")
    parser.add_argument("command", nargs="+")
    arguments = parser.parse_args()

    begin = last = time.monotonic()
    busy = 0.0
    by_name: Counter[str] = Counter()
    process = subprocess.Popen(arguments.command)
    watched = psutil.Process(process.pid)
    while process.poll() is None:
        time.sleep(INTERVAL_S)
        now = time.monotonic()
        with contextlib.suppress(psutil.NoSuchProcess):
            found = {worker(child) for child in watched.children(recursive=True)} - {""}
            busy += now - last if found else 0
            by_name.update(dict.fromkeys(found, round(now - last, 4)))
        last = now
    wall = time.monotonic() - begin
    if process.returncode != 0:
        sys.exit(f"{' '.join(arguments.command)} failed with exit code {process.returncode}")
    print(f"{wall:.0f} s, of which {busy:.0f} s in downloads, compilers and image builds: {wall / busy:.2f} times that")
    result = {"wall_s": wall, "busy_s": busy, "by_process_s": {name: round(s, 1) for name, s in by_name.most_common()}}
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
