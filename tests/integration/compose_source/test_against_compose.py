# SPDX-License-Identifier: GPL-3.0-or-later
"""`trade_source_info`'s model of Compose projects compared with `docker compose config`, for all forms of syntax."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.compose_source.compose import SourceError
from ansible.module_utils.compose_source.report import read
from ansible.module_utils.compose_source.services import seconds

from .samples import Sample, read_samples

WINDOWS_LINES = Sample(
    "byte order mark, Windows line ends and two documents",
    {
        "docker-compose.core.yml": "\ufeffservices:\n  a:\n    image: a:1\n    command: >\n      one\n      two\n"
        "---\nservices:\n  a:\n    image: a:2\n".replace("\n", "\r\n"),
        ".env": "A=1\r\nB=2\r\n",
    },
)
PROJECTS = [*read_samples("projects.txt"), WINDOWS_LINES]
REFUSED = read_samples("refused.txt")


def _config(root: Path, sample: Sample, profiles: Sequence[str], *words: str) -> subprocess.CompletedProcess[str]:
    """The output that an operator would see who has only the sample's variables in the shell."""
    flags = [word for file in sample.files for word in ("-f", file)]
    flags += [word for name in profiles for word in ("--profile", name)]
    return subprocess.run(
        ["docker", "compose", *flags, "config", *words],
        cwd=root,
        env={"PATH": os.environ["PATH"], **sample.environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def _ours(services: Mapping[str, Any]) -> dict[str, Any]:
    """The module's services in the form in which they are compared."""
    found = {}
    for name, service in services.items():
        limits = service["limits"]
        found[name] = {
            **{key: value for key, value in service.items() if key not in ("active", "where", "limits")},
            "ports": sorted((p["host_ip"], p["published"], p["target"], p["protocol"]) for p in service["ports"]),
            "volumes": sorted((v["type"], v["source"], v["target"], v["read_only"]) for v in service["volumes"]),
            "networks": sorted((network["key"], network["name"]) for network in service["networks"]),
            "depends_on": sorted(service["depends_on"]),
            **limits,
        }
    return found


def _theirs(config: Mapping[str, Any]) -> dict[str, Any]:
    """Compose's own output in the module's terms."""
    found = {}
    networks = config.get("networks", {})
    for name, service in config["services"].items():
        check = service.get("healthcheck")
        limits = service.get("deploy", {}).get("resources", {}).get("limits", {})
        build = service.get("build")
        memory = limits.get("memory", service.get("mem_limit"))
        cpus = limits.get("cpus", service.get("cpus"))
        pids = limits.get("pids", service.get("pids_limit"))
        found[name] = {
            "image": service.get("image", ""),
            "build": build
            and {
                "context": build["context"],
                "dockerfile": build.get("dockerfile", ""),
                "target": build.get("target", ""),
                "args": build.get("args", {}),
            },
            "command": service.get("command"),
            "entrypoint": service.get("entrypoint"),
            "ports": sorted(
                (p.get("host_ip", ""), p.get("published", ""), p["target"], p.get("protocol", "tcp"))
                for p in service.get("ports", [])
            ),
            "volumes": sorted(
                (v["type"], v.get("source", ""), v.get("target", ""), v.get("read_only", False))
                for v in service.get("volumes", [])
            ),
            "networks": sorted((key, networks.get(key, {}).get("name", key)) for key in service.get("networks", {})),
            "network_mode": service.get("network_mode", ""),
            "profiles": service.get("profiles", []),
            "environment": dict(sorted(service.get("environment", {}).items())),
            "labels": service.get("labels", {}),
            "depends_on": sorted(service.get("depends_on", {})),
            "restart": service.get("restart", ""),
            "user": str(service.get("user", "")),
            "rights": {
                **{key: service.get(key, False) for key in ("privileged", "read_only")},
                **{key: service.get(key, []) for key in ("cap_add", "cap_drop", "security_opt")},
            },
            "stop": {
                "signal": service.get("stop_signal", ""),
                "grace_s": seconds(service["stop_grace_period"]) if "stop_grace_period" in service else None,
            },
            "container_name": service.get("container_name", ""),
            "memory": None if memory is None else int(memory),
            "cpus": None if cpus is None else float(cpus),
            "pids": None if pids is None else int(pids),
            "ulimits": service.get("ulimits", {}),
            "healthcheck": check
            and {
                "test": check.get("test") or [],
                "disable": check.get("disable", False) or (check.get("test") or [])[:1] == ["NONE"],
                **{
                    f"{key}_s": seconds(check[key]) if key in check else None
                    for key in ("interval", "timeout", "start_period", "start_interval")
                },
                "retries": check.get("retries"),
            },
        }
    return found


@pytest.mark.parametrize("sample", PROJECTS, ids=lambda sample: sample.name)
def test_a_project_reads_as_compose_reads_it(sample: Sample, tmp_path: Path) -> None:
    sample.write(tmp_path)
    result = read(str(tmp_path), sample.files, [], sample.profiles, sample.environment)
    chosen = _config(tmp_path, sample, sample.profiles, "--format", "json")
    every = _config(tmp_path, sample, ["*"], "--format", "json", "--no-consistency")
    assert (chosen.returncode, every.returncode) == (0, 0), chosen.stderr + every.stderr
    # `config` prints a file that Compose can read again, so it doubles every dollar sign.
    config = json.loads(every.stdout.replace("$$", "$"))
    assert _ours(result["services"]) == _theirs(config)
    active = {name for name, service in result["services"].items() if service["active"]}
    assert active == set(json.loads(chosen.stdout)["services"])
    assert result["project"] == config["name"]
    for section in ("networks", "volumes"):
        names = {key: entry["name"] for key, entry in config.get(section, {}).items()}
        assert {key: entry["name"] for key, entry in result[section].items()} == names
    _assert_places_exist(result, sample)


def _assert_places_exist(result: Mapping[str, Any], sample: Sample) -> None:
    assert set(result["files"]) <= set(sample.tree)
    assert all(service["where"] for service in result["services"].values())
    for place in [row["where"] for row in [*result["findings"], *result["services"].values()]]:
        file, _colon, line = place.rpartition(":")
        assert 1 <= int(line) <= len(sample.tree[file].splitlines()), place


@pytest.mark.parametrize("sample", REFUSED, ids=lambda sample: sample.name)
def test_what_compose_refuses_is_refused_with_its_message(sample: Sample, tmp_path: Path) -> None:
    sample.write(tmp_path)
    assert _config(tmp_path, sample, sample.profiles).returncode != 0
    with pytest.raises(SourceError, match=sample.error):
        read(str(tmp_path), sample.files, [], sample.profiles, sample.environment)


def test_the_corpus_is_large_enough() -> None:
    assert len(PROJECTS) >= 40
    assert len(REFUSED) >= 15
