# SPDX-License-Identifier: GPL-3.0-or-later
"""The Python interpreter of the modules on the machine."""

from __future__ import annotations

import importlib.util
import sys

from ansible.module_utils.preflight.result import Result, failed, passed

# Module → package, as requirements/run.in has them: what the modules and the probes import.
PACKAGES = {
    "clickhouse_driver": "clickhouse-driver",
    "cryptography": "cryptography",
    "docker": "docker",
    "jmespath": "jmespath",
    "joserfc": "joserfc",
    "minio": "minio",
    "nats": "nats-py",
    "psycopg": "psycopg[binary]",
    "requests": "requests",
    "valkey": "valkey",
    "yaml": "PyYAML",
    "zstandard": "zstandard",
}


def check_packages() -> list[Result]:
    """The Python packages that modules and probes need are installed."""
    missing = sorted(package for module, package in PACKAGES.items() if importlib.util.find_spec(module) is None)
    if not missing:
        return [passed("Python packages", f"{len(PACKAGES)} packages for {sys.executable}")]
    return [
        failed(
            "Python packages",
            f"{sys.executable} has no {', '.join(missing)}",
            "run `make setup`, or install requirements/run.txt there, or name another ansible_python_interpreter",
        )
    ]
