"""Rewriting references to mapped places and networks in bytes: the pure part of the migration.

A reference is found from its *head*, the first folder name below the drive (or a network's whole name), because a
head can be searched for at memory speed. Backwards from it the text must spell a drive or a root (`DRIVE`, `UNIX`:
patterns for reversed text, so that they are anchored and need no fixed width), forwards it must spell a mapped place
up to a boundary. Every decision looks at most `Rules.reach_back` bytes back and `Rules.reach_on` bytes on: that is
what makes `StreamRewriter` give the same result whatever the size of its pieces.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from ansible.module_utils.rewriting.edits import Edit, Plan, apply_edits
from ansible.module_utils.rewriting.path_map import PREFIX_WORDS, PathMap, PathMapEntry
from ansible.module_utils.rewriting.patterns import (
    ANY_DRIVE,
    ANY_UNIX,
    BEFORE_HEAD,
    DRIVE,
    ENCODED_BEFORE,
    ENCODED_SEPARATOR_BEFORE,
    END,
    PREFIX_MARKS,
    REACH_BACK,
    RUN,
    UNIX,
    UNRESERVED,
    WORD_BYTES,
    part_pattern,
)
from ansible.module_utils.rewriting.places import Core, Place, compile_places, longest_first, places_pattern
from ansible.module_utils.rewriting.rendering import Rendering, render
from ansible.module_utils.rewriting.tails import TAIL_BEGINS, TAIL_MAX, turn_tail

# As many spellings of mapped places are remembered; a tree has few, and each occurs often.
_RENDERINGS_MAX = 4096


@dataclass(slots=True)
class ScanState:
    """Where the scan stands, in positions of the buffer at hand."""

    position: int = 0
    floor: int = 0
    behind_token: bool = False
    tail_start: int = 0
    tail_end: int = 0
    edits: list[Edit] = field(default_factory=list)
    protected: list[tuple[int, int]] = field(default_factory=list)


class Rules:
    """A path map and a network map, compiled.

    Args:
        path_map: the paths.
        network_map: from `path_map.check_network_map`.
    """

    def __init__(self, path_map: PathMap, network_map: dict[str, str]) -> None:
        self.path_map = path_map
        self.network_map = dict(network_map)
        self._guarded = self._needs_guard()
        self._renderings: dict[bytes, Rendering] = {}
        self._compile_networks()
        self._compile_places()
        self._compile_heads()
        longest = max(
            (
                sum(15 * len(part) + 24 for part in place.parts)
                for core in self._cores.values()
                for place in core.places
            ),
            default=0,
        )
        self.reach_back = REACH_BACK
        self.reach_on = max(longest, 0, *map(len, self.network_map)) + TAIL_MAX + 64

    def _needs_guard(self) -> bool:
        """Whether a rewritten text could be taken for a reference again, so that targets must be known as well."""
        heads = {rule.source.parts[0].lower() for rule in self.path_map.entries} | {
            name.lower() for name in self.network_map
        }
        for rule in self.path_map.entries:
            text = str(rule.target).lower()
            if any(head in text for head in heads):
                return True
            if any(
                part.lower() in PREFIX_WORDS or len(part) == 1 or PREFIX_MARKS.search(part)
                for part in rule.target.text_parts
            ):
                return True
        return any(head in name.lower() for name in self.network_map.values() for head in heads)

    def _compile_networks(self) -> None:
        names = dict(self.network_map)
        self._network_targets = frozenset(names.values())
        alternatives = sorted(
            {*names, *(self._network_targets if self._guarded else ())}, key=lambda name: (-len(name), name)
        )
        self._networks = (
            re.compile(b"(?:" + b"|".join(re.escape(name.encode()) for name in alternatives) + b")" + END)
            if alternatives
            else None
        )
        words = {part.lower() for rule in self.path_map.entries for part in rule.source.parts} | PREFIX_WORDS
        # As a folder name such a target would complete a reference that was none.
        self._networks_not_in_paths = frozenset(
            old.encode() for old, new in names.items() if any(word in new.lower() for word in words)
        )

    def _compile_places(self) -> None:
        places: dict[str, dict[tuple[str, ...], Place]] = {}
        for rule in self.path_map.entries:
            places.setdefault(rule.source.drive, {})[rule.source.key[1]] = Place(rule.source.parts, rule)
        targets: dict[str, dict[tuple[str, ...], Place]] = {}
        for rule in self.path_map.entries:
            targets.setdefault(rule.target.drive, {})[rule.target.key[1]] = Place(rule.target.parts, None)
        if self._guarded:
            for drive, known in targets.items():
                places.setdefault(drive, {}).update(known)
        self._cores = {drive: compile_places(drive, known.values()) for drive, known in places.items()}
        self._targets = (
            {drive: compile_places(drive, known.values()) for drive, known in targets.items()} if self._guarded else {}
        )
        # What, standing behind a rule's target, would be rewritten once more.
        self._again: dict[PathMapEntry, Core] = {}
        for rule in self.path_map.entries:
            drive, prefix = rule.target.key
            longer = [
                place
                for key, place in places.get(drive, {}).items()
                if len(key) > len(prefix) and key[: len(prefix)] == prefix
            ]
            if any(place.rule for place in longer):
                ordered = longest_first(longer)
                pattern = places_pattern(ordered, RUN, with_case=not drive, skip=len(prefix))
                self._again[rule] = Core(re.compile(pattern), tuple(ordered))

    def _compile_heads(self) -> None:
        """Find heads by digits that all of them hold: a search for bytes without case runs at memory speed."""
        places = {(drive, place.parts[0]) for drive, core in self._cores.items() for place in core.places}
        names = set(self.network_map) | (set(self._network_targets) if self._guarded else set())
        # How all heads begin, in lower case, where they can be searched for by digits.
        self.stems: frozenset[str] = frozenset()
        self._heads: re.Pattern[bytes] | None = None
        self._stem_lengths: tuple[int, ...] = ()
        heads = {part for _drive, part in places} | names
        if not heads:
            return
        for run in sorted(re.findall(r"[0-9]{3,}", min(heads)), key=len, reverse=True):
            if all(run in head and all(c in UNRESERVED for c in head[: head.index(run)]) for head in heads):
                stems = self.stems = frozenset(head[: head.index(run)].lower() + run for head in heads)
                self._stem_lengths = tuple(sorted({len(stem) for stem in stems}, reverse=True))
                behind = b"|".join(rb"(?<=(?i:" + re.escape(stem.encode()) + rb"))" for stem in sorted(stems))
                self._heads = re.compile(re.escape(run.encode()) + rb"(?:" + behind + rb")")
                return
        with_case = sorted({re.escape(name.encode()) for name in names} | {part_pattern(p) for d, p in places if not d})
        without_case = sorted({part_pattern(part) for drive, part in places if drive})
        alternatives = [b"(?:" + b"|".join(with_case) + b")"] if with_case else []
        if without_case:
            alternatives.append(b"(?i:" + b"|".join(without_case) + b")")
        self._heads = re.compile(b"|".join(alternatives))

    @property
    def fingerprint_text(self) -> str:
        """A text that differs where two rules would rewrite differently."""
        paths = sorted(
            f"{rule.source.key}>{rule.target.text_drive}:{rule.target.text_parts}" for rule in self.path_map.entries
        )
        return repr((paths, sorted(self.network_map.items())))

    def may_concern(self, data: bytes) -> bool:
        """Whether `data` holds a head at all; false means that nothing in it is rewritten."""
        return self._heads is not None and self._heads.search(data) is not None

    def plan(self, data: bytes) -> Plan:
        """What `data` reads after the migration."""
        if not self.may_concern(data):
            return Plan(data, 0)
        state = ScanState()
        self.scan(data, state, len(data))
        return apply_edits(data, state.edits)

    def protected(self, data: bytes) -> list[tuple[int, int]]:
        """The ranges of `data` that already read as a target although they look like a source."""
        if not self._guarded:
            return []
        state = ScanState()
        self.scan(data, state, len(data))
        return state.protected

    def scan(self, data: bytes, state: ScanState, limit: int) -> None:
        """Find the references whose head stands before `limit`, and move the state to there."""
        if self._heads is None:
            state.position = limit
            return
        search = self._heads.search
        lengths = self._stem_lengths
        while True:
            found = search(data, state.position)
            if found is None:
                break
            if lengths:
                heads = [found.end() - length for length in lengths]
                after = found.end()
                if heads[-1] >= limit:
                    break
            else:
                heads = [found.start()]
                after = found.start() + 1
                if heads[0] >= limit:
                    break
            for head in heads:
                if head < state.floor or head >= limit:
                    continue
                end = self._path_at(data, head, state) or self._network_at(data, head, state)
                if end:
                    after = end
                    break
            state.position = after
        state.position = max(state.position, limit)

    def _path_at(self, data: bytes, head: int, state: ScanState) -> int:
        """Handle a mapped place whose first name stands at `head`; returns its end, 0 when there is none."""
        if not head or data[head - 1] not in BEFORE_HEAD:
            return 0
        base = max(state.floor if state.behind_token else 0, head - REACH_BACK)
        reversed_text = data[base:head][::-1]
        prefix = DRIVE.match(reversed_text)
        if prefix:
            drive = (prefix["letter"] or prefix["unix_letter"]).decode().lower()
            core = self._cores.get(drive)
            found = core.pattern.match(data, head) if core else None
            if core and found:
                glued = prefix["unix_letter"] and head - prefix.end() == state.floor and state.behind_token
                if not glued:
                    return self._take(data, head - prefix.end(), found, core, state, prefix)
        core = self._cores.get("")
        found = core.pattern.match(data, head) if core else None
        if core and found:
            prefix = UNIX.match(reversed_text)
            if prefix and not (head - prefix.end() == state.floor and state.behind_token):
                return self._take(data, head - prefix.end(), found, core, state, prefix)
        return self._target_at(data, head, reversed_text, state) if self._guarded else 0

    def _target_at(self, data: bytes, head: int, reversed_text: bytes, state: ScanState) -> int:
        """Pass over a place that reads as a target; returns its end, 0 when there is none."""
        for pattern in (ANY_DRIVE, ANY_UNIX):
            prefix = pattern.match(reversed_text)
            if not prefix:
                continue
            drive = (prefix["letter"] or prefix["unix_letter"]).decode().lower() if pattern is ANY_DRIVE else ""
            core = self._targets.get(drive)
            found = core.pattern.match(data, head) if core else None
            if found:
                state.protected.append((head - prefix.end(), found.end()))
                state.floor, state.behind_token = found.end(), True
                return found.end()
        return 0

    def _take(
        self, data: bytes, start: int, found: re.Match[bytes], core: Core, state: ScanState, prefix: re.Match[bytes]
    ) -> int:
        """Note the edit, or the absence of one, for the place between `start` and the end of `found`."""
        rule = core.places[(found.lastindex or 1) - 1].rule
        end = found.end()
        state.floor, state.behind_token = end, True
        if state.tail_end > start:
            self._end_tail(state, start)
        if rule is None:
            state.protected.append((start, end))
            return end
        if self._again:
            again = self._again.get(rule)
            followed = again.pattern.match(data, end) if again else None
            if again and followed and again.places[(followed.lastindex or 1) - 1].rule:
                return end
        spelling = data[start:end]
        rendering = self._renderings.get(spelling)
        if rendering is None:
            rendering = render(rule.target, data[start : found.start()], found.group(), prefix)
            if len(self._renderings) < _RENDERINGS_MAX:
                self._renderings[spelling] = rendering
        state.edits.append(Edit(start, end, rendering.new, True))
        if rendering.tail and end < len(data) and data[end] in TAIL_BEGINS:
            tail = rendering.tail[start > 0 and data[start - 1] in b"\"'`"]
            state.tail_start = end
            state.tail_end = turn_tail(data, end, tail, state.edits)
        return end

    def _end_tail(self, state: ScanState, start: int) -> None:
        """Let a path that went on end at `start`, where a reference begins: only its own edits are looked at."""
        edits, kept = state.edits, len(state.edits)
        while kept and edits[kept - 1].start >= state.tail_start:
            kept -= 1
        edits[kept:] = [edit for edit in edits[kept:] if edit.start < start]

    def _network_at(self, data: bytes, head: int, state: ScanState) -> int:
        """Handle a network name at `head`; returns its end, 0 when there is none."""
        found = self._networks.match(data, head) if self._networks else None
        if not found or (state.behind_token and head == state.floor):
            return 0
        name = found.group()
        is_target = name.decode() in self._network_targets
        if head:
            before = data[max(0, head - 6) : head]
            if before[-1] in WORD_BYTES and not ENCODED_BEFORE.search(before):
                escaped = before[-1] in b"nrt" and before[-2:-1] == b"\\" and head >= state.tail_end
                if not escaped:
                    return 0
            if (
                not is_target
                and name in self._networks_not_in_paths
                and (before[-1] in b"/\\" or ENCODED_SEPARATOR_BEFORE.search(before))
            ):
                return 0
        end = found.end()
        state.floor, state.behind_token = end, True
        if is_target:
            state.protected.append((head, end))
        else:
            state.edits.append(Edit(head, end, self.network_map[name.decode()].encode(), counts=True))
        return end
