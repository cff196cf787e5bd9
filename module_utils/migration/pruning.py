"""What vanished from the source."""

from __future__ import annotations

import os
from collections.abc import Callable

from ansible.module_utils.migration import tree
from ansible.module_utils.migration.report import Report
from ansible.module_utils.migration.run import Run, stands_below
from ansible.module_utils.rewriting.mentions import printable


class Pruner:
    """One pass over what vanished; `carry` holds the records that stay in the manifest."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._pruned: set[bytes] = set()
        self.carry: dict[bytes, bytes] = {}

    def prune(self, report: Report, write: bool) -> None:
        """Decide about everything that the manifest knows and the source has no more."""
        known, seen = self._run.manifest.records, self._run.records
        if len(known) <= len(seen) and known.keys() <= seen.keys():
            return
        vanished = sorted((path for path in known if path not in seen), reverse=True)
        for path in vanished:
            record = known[path]
            if stands_below(self._run.source, path) or not self._run.settings.prune:
                self.carry[path] = record
            elif record.startswith(b"D"):
                self._prune_directory(path, record, report, write)
            elif self._run.is_unchanged(path):
                report.pruned.append(printable(path))
                self._pruned.add(path)
                self._run.written_into.add(path.rpartition(b"/")[0])
                if write:
                    self._remove(path, os.unlink)
            elif self._stands(path):
                report.kept.append(printable(path))
                self.carry[path] = record

    def _prune_directory(self, path: bytes, record: bytes, report: Report, write: bool) -> None:
        """Remove a directory that is empty once its pruned files are gone."""
        if self._run.dest is None:
            return
        try:
            descriptor = tree.open_strictly(self._run.dest, path)
        except OSError:
            return
        try:
            with os.scandir(descriptor) as entries:
                left = [e.name for e in entries if path + b"/" + os.fsencode(e.name) not in self._pruned]
        finally:
            os.close(descriptor)
        if left:
            self.carry[path] = record
            return
        report.pruned.append(printable(path))
        self._pruned.add(path)
        self._run.written_into.add(path.rpartition(b"/")[0])
        if write:
            self._remove(path, os.rmdir)

    def _remove(self, path: bytes, remove: Callable[..., None]) -> None:
        parent, name = self._run.at_dest(path)
        try:
            remove(name, dir_fd=parent)
        finally:
            os.close(parent)

    def _stands(self, path: bytes) -> bool:
        return self._run.dest is not None and stands_below(self._run.dest, path)
