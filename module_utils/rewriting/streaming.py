"""Rewriting a text that does not fit into memory."""

from __future__ import annotations

from ansible.module_utils.rewriting.edits import Edit
from ansible.module_utils.rewriting.rewriter import Rules, ScanState


class StreamRewriter:
    """Rewrites a text that comes in pieces; what comes out does not depend on where the pieces end.

    Holds a piece and some kilobytes at a time.
    """

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._buffer = b""
        self._emitted = 0
        self._state = ScanState()
        self.replacements = 0

    def feed(self, piece: bytes, final: bool = False) -> bytes:
        """Take the next piece and return what is settled by it; `final` flushes."""
        rules, state = self._rules, self._state
        self._buffer += piece
        buffer = self._buffer
        limit = len(buffer) if final else len(buffer) - rules.reach_on
        if limit <= state.position and not final:
            return b""
        rules.scan(buffer, state, limit)
        cut = len(buffer) if final else max(self._emitted, limit - rules.reach_back)
        for edit in state.edits:
            if edit.start < cut < edit.end:
                cut = edit.end
        ready = sorted(edit for edit in state.edits if edit.end <= cut)
        pieces, position = [], self._emitted
        for edit in ready:
            pieces += [buffer[position : edit.start], edit.new]
            position = edit.end
            self.replacements += edit.counts
        pieces.append(buffer[position:cut])
        keep = max(0, cut - rules.reach_back - 16)
        self._buffer = buffer[keep:]
        self._emitted = cut - keep
        state.edits = [
            Edit(edit.start - keep, edit.end - keep, edit.new, edit.counts) for edit in state.edits if edit.end > cut
        ]
        state.protected.clear()
        state.position -= keep
        state.tail_start = max(0, state.tail_start - keep)
        state.tail_end = max(0, state.tail_end - keep)
        if state.floor < keep:
            state.behind_token = False
        state.floor = max(0, state.floor - keep)
        return b"".join(pieces)
