# SPDX-License-Identifier: GPL-3.0-or-later
"""Where reports are kept: a folder for each, and `latest`. The site sets how many are kept.

FOLDER/2026-11-26T06-30-00Z/report.html   the page
                            report.json   docs/report.schema.json
                            junit.xml
FOLDER/latest                             a symlink to the newest, or a copy of it
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible.module_utils.report.document import history_entry
from ansible.module_utils.shared.fs import explain, sync

LATEST = "latest"
PAGE, DATA, JUNIT = "report.html", "report.json", "junit.xml"
# Names of the folders, without colons, which Windows does not allow. Nothing else is ever removed.
NAME = re.compile(r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\dZ(?:-\d+)?")


class StoreError(Exception):
    """The report cannot be written; the text is a message for the user."""


@dataclass(frozen=True)
class Stored:
    """Where a report is, what `latest` is (symlink or copy), and which old reports were removed."""

    folder: Path
    latest: str
    removed: tuple[str, ...] = ()

    @property
    def page(self) -> str:
        """The path to open."""
        return str(self.folder / PAGE)


class Store:
    """The reports below one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def reports(self) -> list[Path]:
        """The folders of the reports, oldest first."""
        if not self.folder.is_dir():
            return []
        found = [path for path in self.folder.iterdir() if NAME.fullmatch(path.name) and not path.is_symlink()]
        return sorted((path for path in found if path.is_dir()), key=_age)

    def documents(self) -> list[tuple[str, dict[str, Any]]]:
        """Name of the folder and document of every report that can be read, oldest first."""
        found = []
        for path in self.reports():
            try:
                content = json.loads((path / DATA).read_text(encoding="utf-8"))
                found.append((path.name, {**content, "history": [history_entry(content, path.name)]}))
            except (OSError, ValueError, KeyError, TypeError):
                # A report of another format, or an edited one: it stays, but is not part of the history.
                continue
        return found

    def write(self, files: Mapping[str, str], started: str, keep: int) -> Stored:
        """Write a report, point `latest` to it, and remove all but the newest `keep`; raises StoreError."""
        try:
            self.folder.mkdir(mode=0o755, parents=True, exist_ok=True)
            target = self._free(started)
            staged = self.folder / f".{target.name}.{secrets.token_hex(4)}"
            try:
                staged.mkdir(mode=0o755)
                for name, text in files.items():
                    _write(staged / name, text)
                sync(staged)
                staged.rename(target)
            finally:
                shutil.rmtree(staged, ignore_errors=True)
            latest = self._point(target)
            removed = self._prune(target, keep)
            sync(self.folder)
        except OSError as error:
            raise StoreError(f"the report cannot be written: {explain(error, self.folder)}") from error
        return Stored(target, latest, removed)

    def _free(self, started: str) -> Path:
        """A folder that does not exist, named after the start of the run."""
        moment = re.sub(r"\.\d+", "", started).replace(":", "-").removesuffix("+00-00").removesuffix("Z") + "Z"
        if not NAME.fullmatch(moment):
            raise StoreError(f"run.started: {started} is not a time in UTC, such as 2026-11-26T06:30:00Z")
        number, path = 2, self.folder / moment
        while path.exists():
            path, number = self.folder / f"{moment}-{number}", number + 1
        return path

    def _point(self, target: Path) -> str:
        """Replace `latest` with a symlink, or with a copy if the file system has no symlinks."""
        latest, staged = self.folder / LATEST, self.folder / f".{LATEST}.{secrets.token_hex(4)}"
        try:
            staged.symlink_to(target.name, target_is_directory=True)
        except OSError:
            shutil.copytree(target, staged)
        kind = "symlink" if staged.is_symlink() else "copy"
        old = self.folder / f".{LATEST}.old.{secrets.token_hex(4)}"
        if latest.is_dir() and not latest.is_symlink():
            latest.rename(old)
        staged.replace(latest)
        shutil.rmtree(old, ignore_errors=True)
        return kind

    def _prune(self, target: Path, keep: int) -> tuple[str, ...]:
        old = [path for path in self.reports() if path != target]
        removed = old[: max(0, len(old) - keep + 1)]
        for path in removed:
            shutil.rmtree(path)
        return tuple(path.name for path in removed)


def _age(path: Path) -> tuple[str, int]:
    """Sort key: folders by time, and those of the same second by number."""
    moment, _z, number = path.name.partition("Z")
    return moment, int(number.removeprefix("-") or 1)


def _write(path: Path, text: str) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    path.chmod(0o644)
