"""Our reading of Compose projects against that of `docker compose config`, in every way of writing."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.compose_source.nodes import SourceError
from ansible.module_utils.compose_source.project import load
from ansible.module_utils.compose_source.report import described
from ansible.module_utils.compose_source.services import services_of
from ansible.module_utils.compose_source.syntax import seconds

from .projects import BROKEN, PROJECTS, Sample


def _compose(
    root: Path, files: Sequence[str], environment: Mapping[str, str], profiles: Sequence[str]
) -> subprocess.CompletedProcess[str]:
    flags = [word for file in files for word in ("-f", file)] + [
        word for name in profiles for word in ("--profile", name)
    ]
    return subprocess.run(
        ["docker", "compose", *flags, "config", "--format", "json"],
        cwd=root,
        env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/root"), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def _ours(root: Path, sample: Sample) -> dict[str, Any]:
    """Our active services, unmasked, in the few terms that Compose's output is brought into as well."""
    project = load(str(root), sample.files, sample.environment)
    services = services_of(project, sample.profiles)
    found = {}
    for name, service in services.items():
        if not service.active:
            continue
        told = described(service, {}, [str(root)])
        check = told["healthcheck"]
        found[name] = {
            "image": told["image"],
            "build": told["build"] and {key: told["build"][key] for key in ("context", "dockerfile", "args")},
            "command": told["command"],
            "entrypoint": told["entrypoint"],
            "ports": sorted((p["host_ip"], p["published"], p["target"], p["protocol"]) for p in told["ports"]),
            "volumes": sorted((v["type"], v["source"], v["target"], v["read_only"]) for v in told["volumes"]),
            "networks": sorted(n["key"] for n in told["networks"]),
            "environment": told["environment"],
            "labels": told["labels"],
            "depends_on": sorted(told["depends_on"]),
            "restart": told["restart"],
            "user": told["user"],
            "rights": told["rights"],
            "stop": told["stop"],
            "container_name": told["container_name"],
            "memory": told["limits"]["memory"],
            "cpus": told["limits"]["cpus"],
            "pids": told["limits"]["pids"],
            "ulimits": told["limits"]["ulimits"],
            "healthcheck": check
            and {
                "test": check["test"],
                "disable": check["disable"],
                **{key: check[key] for key in ("interval_s", "timeout_s", "start_period_s", "retries")},
            },
        }
    return found


def _theirs(config: Mapping[str, Any]) -> dict[str, Any]:
    """Compose's services in the same terms."""
    found = {}
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
            and {"context": build["context"], "dockerfile": build.get("dockerfile", ""), "args": build.get("args", {})},
            "command": service.get("command"),
            "entrypoint": service.get("entrypoint"),
            "ports": sorted(
                (p.get("host_ip", ""), p.get("published", ""), p["target"], p["protocol"])
                for p in service.get("ports", [])
            ),
            "volumes": sorted(
                (v["type"], v.get("source", ""), v.get("target", ""), v.get("read_only", False))
                for v in service.get("volumes", [])
            ),
            "networks": sorted(service.get("networks", {})),
            "environment": dict(sorted(service.get("environment", {}).items())),
            "labels": service.get("labels", {}),
            "depends_on": sorted(service.get("depends_on", {})),
            "restart": service.get("restart", ""),
            "user": service.get("user", ""),
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
                    for key in ("interval", "timeout", "start_period")
                },
                "retries": check.get("retries"),
            },
        }
    return found


@pytest.mark.parametrize("sample", PROJECTS, ids=lambda sample: sample.name)
def test_services_read_as_compose_reads_them(sample: Sample, tmp_path: Path) -> None:
    sample.write(tmp_path)
    result = _compose(tmp_path, sample.files, sample.environment, sample.profiles)
    assert result.returncode == 0, result.stderr
    # `config` prints a file that Compose can read again, so it doubles every dollar sign.
    assert _ours(tmp_path, sample) == _theirs(json.loads(result.stdout.replace("$$", "$")))


@pytest.mark.parametrize("sample", BROKEN, ids=lambda sample: sample.name)
def test_what_compose_refuses_is_refused_with_the_place(sample: Sample, tmp_path: Path) -> None:
    sample.write(tmp_path)
    assert _compose(tmp_path, sample.files, sample.environment, sample.profiles).returncode != 0
    with pytest.raises(SourceError, match=sample.error):
        services_of(load(str(tmp_path), sample.files, sample.environment), sample.profiles)
