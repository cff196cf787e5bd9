# SPDX-License-Identifier: GPL-3.0-or-later
"""Time the migration engine against what an engineer would do by hand, in alternating runs.

Run by `make bench-migrate`. Works in a directory on a tmpfs, because on a disk the write-back would dominate. Every
contender starts from the same tree in the page cache and writes to a directory that was removed before.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tree_maker import make_tree

ROOT = Path(__file__).resolve().parents[2]
PATH_MAP = [
    {"from": "C:/trade2025/trading/apps", "to": "/srv/trade2026/backend/apps"},
    *(
        {"from": f"C:/trade2025/trading/{name}", "to": f"/srv/trade2026/data/{name}"}
        for name in ("nats", "valkey", "questdb", "clickhouse", "seaweed", "opensearch")
    ),
    {"from": "C:/trade2025/trading", "to": "/srv/trade2026"},
    {"from": "C:/trade2025", "to": "/srv/trade2026"},
]
NETWORK_MAP = {f"trade2025-{name}": f"trade2026-{name}" for name in ("frontend", "lowlatency", "backend")}
# Texts to compare the results of the contenders by hand with those of the engine.
SAMPLES = (
    "C:/trade2025/trading/nats/a",
    r"C:\trade2025\trading\nats\a",
    r"C:\\trade2025\\trading\\nats\\a",
    "/c/trade2025/trading/nats",
    "/mnt/c/trade2025/x",
    "file:///C:/trade2025/x",
    "C%3A%2Ftrade2025%2Fx",
    "c:/Trade2025/x",
    "C:/trade2025/tradingbot",
    "C:/trade2025-old/x",
    "trade2025-frontend-v2",
    "xtrade2025-backend",
)


def load_engine() -> None:
    """Make the project's module utilities importable under Ansible's name."""
    import ansible.module_utils

    ansible.module_utils.__path__.append(str(ROOT / "module_utils"))


def migrate(src: Path, dest: Path, workers: int = 0) -> dict[str, float]:
    """Run the engine once in this process; returns seconds and counts."""
    load_engine()
    from ansible.module_utils.migration.context import Context, infer_base
    from ansible.module_utils.migration.engine import migrate as run_engine
    from ansible.module_utils.migration.scan import DEFAULT_EXCLUDES
    from ansible.module_utils.rewriting.path_map import PathMap
    from ansible.module_utils.rewriting.rewriter import Rules

    start = time.perf_counter()
    rules = Rules(PathMap.parse(PATH_MAP), NETWORK_MAP)
    base = infer_base(str(src), rules.path_map)
    report = run_engine(
        Context(str(src), str(dest), rules, exclude=DEFAULT_EXCLUDES, compose_base=base, workers=workers)
    )
    seconds = time.perf_counter() - start
    # The high-water mark of this process starts with the process; that of getrusage is inherited from the parent.
    own = int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
    peak = max(own, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
    return {
        "seconds": seconds,
        "rewritten": report.files_rewritten,
        "replacements": report.replacements,
        "changed": report.changed,
        "peak_mb": peak / 1024,
    }


def sed_script() -> str:
    """The maps as a sed script: three spellings of each path, longest first, and the networks."""
    lines = []
    for entry in PATH_MAP:
        names = entry["from"].split("/")
        for separator in ("/", r"\\", r"\\\\"):
            pattern = separator.join(names)
            lines.append(f"s#{pattern}#{entry['to']}#g")
    lines += [f"s#{old}#{new}#g" for old, new in NETWORK_MAP.items()]
    return "\n".join(lines) + "\n"


def patterns() -> str:
    """The fixed strings that show which files sed must read."""
    return "C:/trade2025\nC:\\trade2025\nC:\\\\trade2025\n" + "\n".join(NETWORK_MAP) + "\n"


def shell(command: str) -> None:
    """Run a pipeline; an empty result of grep is not an error."""
    done = subprocess.run(["bash", "-c", command], check=False)
    if done.returncode not in (0, 1, 123):
        raise SystemExit(f"`{command}` ended with {done.returncode}")


def contenders(work: Path, src: Path) -> dict[str, Callable[[], float]]:
    """Name → function of each contender: it prepares, does the work and returns the seconds."""
    (work / "sed").write_text(sed_script())
    (work / "patterns").write_text(patterns())
    engine, hand, ripgrep, synced = (work / name for name in ("engine", "hand", "ripgrep", "rsync"))

    def timed(command: str, *fresh: Path) -> float:
        for path in fresh:
            shutil.rmtree(path, ignore_errors=True)
        start = time.perf_counter()
        shell(command)
        return time.perf_counter() - start

    def by_engine(fresh: bool) -> float:
        if fresh:
            shutil.rmtree(engine, ignore_errors=True)
        command = [sys.executable, __file__, "--engine", str(src), str(engine)]
        start = time.perf_counter()
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        process_seconds.setdefault("cold" if fresh else "again", []).append(time.perf_counter() - start)
        figures = json.loads(done.stdout)
        last.update({("cold" if fresh else "again"): figures})
        return float(figures["seconds"])

    sed = f"xargs -0 -r sed -i -f {work}/sed"
    return {
        "engine, cold": lambda: by_engine(True),
        "engine, nothing to do": lambda: by_engine(False),
        "cp, grep, sed": lambda: timed(f"cp -r {src} {hand} && grep -rlZIF -f {work}/patterns {hand} | {sed}", hand),
        "cp, rg, sed": lambda: timed(
            f"cp -r {src} {ripgrep} && rg -l0 --no-ignore --hidden -F -f {work}/patterns {ripgrep} | {sed}", ripgrep
        ),
        "rsync, cold": lambda: timed(f"rsync -a {src}/ {synced}/", synced),
        "rsync, nothing to do": lambda: timed(f"rsync -a {src}/ {synced}/"),
    }


process_seconds: dict[str, list[float]] = {}
last: dict[str, dict[str, float]] = {}


def what_sed_gets_wrong(work: Path) -> list[tuple[str, str, str]]:
    """The samples for which sed's result differs from the engine's: text, engine's, sed's."""
    load_engine()
    from ansible.module_utils.rewriting.path_map import PathMap
    from ansible.module_utils.rewriting.rewriter import Rules

    rules = Rules(PathMap.parse(PATH_MAP), NETWORK_MAP)
    wrong = []
    for sample in SAMPLES:
        done = subprocess.run(["sed", "-f", str(work / "sed")], input=sample.encode(), capture_output=True, check=True)
        ours = rules.plan(sample.encode()).new
        if done.stdout != ours:
            wrong.append((sample, ours.decode(), done.stdout.decode()))
    return wrong


def heap_per_thousand(src: Path, work: Path, files: int) -> float:
    """Peak of the Python heap of a run in one process, in MB for 1,000 files, without the content of a file."""
    code = (
        "import sys, json, tracemalloc; sys.path.insert(0, sys.argv[1]); import bench; bench.load_engine();"
        "import ansible.module_utils.migration.engine; from pathlib import Path; tracemalloc.start();"
        "bench.migrate(Path(sys.argv[2]), Path(sys.argv[3]), 1); print(tracemalloc.get_traced_memory()[1])"
    )
    dest = work / "heap"
    command = [sys.executable, "-c", code, str(Path(__file__).parent), str(src), str(dest)]
    peak = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    shutil.rmtree(dest)
    return peak / 1e6 / (files / 1000)


def large_file(work: Path, size: int) -> dict[str, float]:
    """A file of `size` bytes with references, migrated by a separate process."""
    src, dest = work / "large", work / "large-dest"
    src.mkdir()
    line = b"2025-01-02 replay of C:\\trade2025\\trading\\nats\\x took 3 ms on trade2025-backend\n"
    filler = b"x" * 4000 + b"\n"
    block = (line + filler * 255) * 4
    with (src / "large.csv").open("wb") as file:
        for _ in range(size // len(block) + 1):
            file.write(block)
    command = [sys.executable, __file__, "--engine", str(src), str(dest)]
    figures: dict[str, float] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    shutil.rmtree(src)
    shutil.rmtree(dest)
    return figures


def through_ansible(src: Path, work: Path) -> dict[str, float]:
    """Whole `ansible-playbook` runs with one task: cold and with nothing to do, seconds; empty without Ansible."""
    tool = Path(sys.executable).with_name("ansible-playbook")
    if not tool.exists():
        return {}
    dest = work / "ansible"
    task = {"src": str(src), "dest": str(dest), "path_map": PATH_MAP, "network_map": NETWORK_MAP}
    play = [{"hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": [{"trade_migrate": task}]}]
    playbook = work / "play.yml"
    playbook.write_text(json.dumps(play))
    environment = os.environ | {
        "ANSIBLE_LIBRARY": str(ROOT / "library"),
        "ANSIBLE_MODULE_UTILS": str(ROOT / "module_utils"),
        "ANSIBLE_LOCALHOST_WARNING": "false",
        "ANSIBLE_INVENTORY_UNPARSED_WARNING": "false",
    }
    result = {}
    for name in ("cold", "nothing to do"):
        start = time.perf_counter()
        subprocess.run([tool, playbook], check=True, capture_output=True, env=environment, cwd=work)
        result[name] = time.perf_counter() - start
    shutil.rmtree(dest)
    return result


def processor_seconds() -> float:
    """Processor time of all finished children, which other load on the machine affects less than the wall time."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def table(results: dict[str, list[float]], processor: dict[str, list[float]]) -> str:
    """The timings as a Markdown table."""
    lines = ["| contender | median s | min s | max s | processor s |", "|---|---|---|---|---|"]
    for name, values in results.items():
        used = f"{statistics.median(processor[name]):.3f}" if name in processor else ""
        lines.append(f"| {name} | {statistics.median(values):.3f} | {min(values):.3f} | {max(values):.3f} | {used} |")
    return "\n".join(lines)


def main() -> None:
    """Run the benchmark, or one engine run for it."""
    if sys.argv[1:2] == ["--engine"]:
        print(json.dumps(migrate(Path(sys.argv[2]), Path(sys.argv[3]))))
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--megabytes", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=2025)
    parser.add_argument("--large-megabytes", type=int, default=4096, help="0 leaves the large file out")
    parser.add_argument("--scratch", type=Path, default=Path("/dev/shm"), help="a directory on a tmpfs")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "migrate" / "results")
    options = parser.parse_args()
    missing = [tool for tool in ("rsync", "rg") if not shutil.which(tool)]
    if missing:
        print(f"Without {' and '.join(missing)}: apt-get install rsync ripgrep", file=sys.stderr)
    work = Path(tempfile.mkdtemp(prefix="bench-migrate-", dir=options.scratch))
    try:
        src = work / "trade2025"
        files, size = make_tree(src, options.files, options.megabytes * 1_000_000, options.seed)
        print(f"{files} files, {size / 1e6:.0f} MB, seed {options.seed}, {os.cpu_count()} processors", flush=True)
        runs = {
            name: run
            for name, run in contenders(work, src).items()
            if not (name.startswith("rsync") and "rsync" in missing) and not ("rg" in name and "rg" in missing)
        }
        results: dict[str, list[float]] = {name: [] for name in runs}
        processor: dict[str, list[float]] = {name: [] for name in runs}
        for number in range(options.rounds):
            for name, run in runs.items():
                before = processor_seconds()
                results[name].append(run())
                processor[name].append(processor_seconds() - before)
            print(f"round {number + 1} of {options.rounds} done", flush=True)
        for name, seconds in process_seconds.items():
            label = "engine with the start of Python, " + ("cold" if name == "cold" else "nothing to do")
            results[label] = seconds
        for name, value in through_ansible(src, work).items():
            results[f"whole ansible-playbook, {name} (one run)"] = [value]
        report = {
            "machine": f"{os.cpu_count()} processors, Python {platform.python_version()}, {platform.release()}",
            "tree": {"files": files, "bytes": size, "seed": options.seed},
            "seconds": results,
            "processor_seconds": processor,
            "load_at_end": os.getloadavg(),
            "engine": last,
            "heap_mb_per_1000_files": heap_per_thousand(src, work, files),
            "wrong_by_hand": what_sed_gets_wrong(work),
        }
        for name in ("engine", "hand", "ripgrep", "rsync"):
            shutil.rmtree(work / name, ignore_errors=True)
        if options.large_megabytes:
            report["large_file"] = large_file(work, options.large_megabytes * 1024 * 1024)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "bench.json").write_text(json.dumps(report, indent=2) + "\n")
    text = [table(results, processor), "", f"Heap: {report['heap_mb_per_1000_files']:.2f} MB for 1,000 files."]
    if "large_file" in report:
        large = report["large_file"]
        text.append(
            f"A file of {options.large_megabytes} MB: {large['seconds']:.1f} s, "
            f"{large['peak_mb']:.0f} MB resident at most."
        )
    text += ["", f"Load of the machine at the end: {report['load_at_end'][0]:.1f} on {report['machine']}."]
    text += ["", "| text | the engine | sed |", "|---|---|---|"]
    text += [f"| `{sample}` | `{ours}` | `{theirs}` |" for sample, ours, theirs in report["wrong_by_hand"]]
    (options.out / "bench.md").write_text("\n".join(text) + "\n")
    print("\n".join(text))


if __name__ == "__main__":
    main()
