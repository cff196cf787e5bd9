"""What a copy has verified so far, written as it goes, so that an interrupted one goes on where it was."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import Any

from ansible.module_utils.data_copy.content import ALGORITHM, STEP
from ansible.module_utils.data_copy.tree import Entry


class Journal:
    """Lines of JSON, appended: a file that is whole, or one step of a file that is not whole yet.

    A line counts for a file only while its size and time are those of the line. A torn last line is left out.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._whole: dict[str, tuple[int, int, str]] = {}
        self._steps: dict[str, tuple[int, int, dict[int, str]]] = {}
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            text = ""
        for line in text.splitlines():
            try:
                self._read(json.loads(line))
            except (ValueError, KeyError, TypeError):
                continue
        self._file: Any = None

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

    def whole(self, entry: Entry) -> str | None:
        """The hash of a file that was copied and verified; None when it was not, or is another one now."""
        known = self._whole.get(entry.path)
        return known[2] if known is not None and known[:2] == (entry.size, entry.mtime_ns) else None

    def steps(self, entry: Entry) -> list[bytes]:
        """The hashes of a file's first steps that were copied and verified."""
        known = self._steps.get(entry.path)
        found: list[bytes] = []
        if known is not None and known[:2] == (entry.size, entry.mtime_ns):
            while len(found) in known[2]:
                found.append(bytes.fromhex(known[2][len(found)]))
        return found

    def add(self, lines: list[tuple[Entry, dict[str, Any]]]) -> None:
        """Append lines and force them to the disk. What they say must be on the disk already."""
        with self._lock:
            if self._file is None:
                self._file = self._path.open("a", encoding="utf-8")
                # A line that a crash cut off must not swallow the next one.
                self._file.write("\n")
            for entry, more in lines:
                about = {"path": entry.path, "size": entry.size, "mtime_ns": entry.mtime_ns}
                line = {**about, "hash": ALGORITHM, "step_size": STEP, **more}
                self._file.write(json.dumps(line) + "\n")
                if "whole" in more:
                    self._whole[entry.path] = (entry.size, entry.mtime_ns, str(more["whole"]))
            self._file.flush()
            os.fdatasync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None
