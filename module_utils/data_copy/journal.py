# SPDX-License-Identifier: GPL-3.0-or-later
"""The record of what a copy has verified so far, so that an interrupted copy continues where it stopped."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import Any

from ansible.module_utils.data_copy.content import ALGORITHM, STEP
from ansible.module_utils.shared import fs


class Journal:
    """Lines of JSON, appended: a file that is whole, or one step of a file that is not whole yet.

    A line counts for a file only while its size and time are those of the line.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._whole: dict[str, tuple[int, int, str]] = {}
        self._steps: dict[str, tuple[int, int, dict[int, str]]] = {}
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            data = b""
        for line in fs.read_log(data, b"\n"):
            try:
                self._read(json.loads(line))
            except (ValueError, KeyError, TypeError):
                continue
        self._log: fs.AppendLog | None = None

    def _read(self, line: dict[str, Any]) -> None:
        if (line["hash"], line["step_size"]) != (ALGORITHM, STEP):
            return
        path, size, time = str(line["path"]), int(line["size"]), int(line["mtime_ns"])
        if "whole" in line:
            self._whole[path] = (size, time, str(line["whole"]))
            return
        known = self._steps.get(path)
        if known is None or known[:2] != (size, time):
            known = (size, time, {})
            self._steps[path] = known
        known[2][int(line["step"])] = str(line["digest"])

    def whole(self, entry: fs.Entry) -> str | None:
        """The hash of a file that was copied and verified; None if it was not, or has changed since."""
        known = self._whole.get(os.fsdecode(entry.path))
        return known[2] if known is not None and known[:2] == (entry.size, entry.mtime_ns) else None

    def steps(self, entry: fs.Entry) -> list[bytes]:
        """The hashes of a file's first steps that were copied and verified."""
        known = self._steps.get(os.fsdecode(entry.path))
        found: list[bytes] = []
        if known is not None and known[:2] == (entry.size, entry.mtime_ns):
            while len(found) in known[2]:
                found.append(bytes.fromhex(known[2][len(found)]))
        return found

    def add(self, lines: list[tuple[fs.Entry, dict[str, Any]]]) -> None:
        """Append lines and force them to the disk. What they say must be on the disk already."""
        with self._lock:
            if self._log is None:
                self._log = fs.AppendLog(str(self._path), b"\n")
            records = []
            for entry, more in lines:
                path = os.fsdecode(entry.path)
                about = {"path": path, "size": entry.size, "mtime_ns": entry.mtime_ns}
                records.append(json.dumps({**about, "hash": ALGORITHM, "step_size": STEP, **more}).encode())
                if "whole" in more:
                    self._whole[path] = (entry.size, entry.mtime_ns, str(more["whole"]))
            self._log.append(records)
            self._log.sync()

    def close(self) -> None:
        """Close the file."""
        if self._log is not None:
            self._log.close()
            self._log = None
