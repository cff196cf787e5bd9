# SPDX-License-Identifier: GPL-3.0-or-later
"""Read the Compose projects of projects.txt and refused.txt."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

FOLDER = Path(__file__).parent


@dataclass(slots=True)
class Sample:
    """A project: its files by path, how it is read, and what the module's message must match if Compose rejects it."""

    name: str
    tree: dict[str, str] = field(default_factory=dict)
    files: list[str] = field(default_factory=lambda: ["docker-compose.core.yml"])
    environment: dict[str, str] = field(default_factory=dict)
    profiles: list[str] = field(default_factory=list)
    error: str = ""

    def write(self, root: Path) -> None:
        """Write the project's files below `root`."""
        for name, text in self.tree.items():
            file = root / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8", newline="")

    def option(self, name: str, value: str) -> None:
        """Set the option of an `@` line."""
        if name == "files":
            self.files = value.split()
        elif name == "profiles":
            self.profiles = value.split()
        elif name == "environment":
            key, _sign, text = value.partition("=")
            self.environment[key] = text
        elif name == "error":
            self.error = value
        else:
            raise ValueError(f"{self.name}: unknown option @{name}")


def read_samples(file_name: str) -> list[Sample]:
    """All samples of a file in this folder."""
    return list(_samples((FOLDER / file_name).read_text(encoding="utf-8").split("\n")))


def _samples(lines: list[str]) -> Iterator[Sample]:
    sample, file = None, ""
    for line in lines:
        if line.startswith("=== "):
            if sample is not None:
                yield sample
            sample, file = Sample(line[4:]), ""
        elif sample is not None and line.startswith("--- "):
            file = line[4:]
            sample.tree[file] = ""
        elif sample is not None and line.startswith("@"):
            sample.option(*line[1:].split(" ", 1))
        elif sample is not None and file:
            sample.tree[file] += f"{line}\n"
    if sample is not None:
        yield sample
