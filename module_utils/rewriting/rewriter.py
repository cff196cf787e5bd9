# SPDX-License-Identifier: GPL-3.0-or-later
"""Rewrite references to mapped locations and networks in bytes: the pure part of the migration.

A reference is found by its *head*, the first folder name below the drive (or a network's whole name), because a head
can be searched for at memory speed. The text before it must be a drive or a root (`DRIVE`, `UNIX`). From there the
reference is read as a whole (`references`), and rewritten as a whole or not at all (`substitution`). No decision
depends on more than `Rules.reach_back` bytes before the head and `Rules.reach_on` bytes after it, so a text that
arrives in pieces is rewritten like one that arrives at once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from ansible.module_utils.rewriting.edits import Edit, Plan, apply_edits
from ansible.module_utils.rewriting.networks import NETWORK_LOOK_BACK, NetworkNames
from ansible.module_utils.rewriting.path_map import Location, PathMap, PathMapEntry
from ansible.module_utils.rewriting.patterns import (
    BEFORE_HEAD,
    DRIVE,
    REACH_BACK,
    RUNS,
    STEP_BEFORE,
    UNCLEAR_START,
    UNIX,
    UNRESERVED,
    part_pattern,
)
from ansible.module_utils.rewriting.references import (
    LOOK_AHEAD,
    MOUNT,
    NEW_WORD_IN_QUOTES,
    REFERENCE_MAX,
    Reader,
    Region,
    build_tree,
    region_of,
)
from ansible.module_utils.rewriting.substitution import Substituter, encoding_level

# A backslash or a drive's letter that may be the second half of a double-byte character.
_HALVES = re.compile(rb"[\x80-\xff](?:\\|[A-Za-z]:)")
_SHORT_NAME_END = re.compile(rb"~[1-9][0-9]?(?![0-9A-Za-z_~-])")


# Number of cached decisions; a tree has few different references, and each occurs often.
_DECISIONS_MAX = 4096
_PLAIN_REFERENCE = re.compile(rb"(?!.*\\[ux])[A-Za-z0-9_./\\-]+")
# A name that has no special meaning in any context.
_FREE_NAME = re.compile(rb"[A-Za-z0-9_.]*[A-Za-z0-9_]\Z")
_NOT_FOLDED = re.compile(rb"\r?\n(?=[^ \t])")
# Maximum number of steps between a drive and a head that follows `..`.
_STEPS_MAX = 12
# Characters with which a path may continue after quotes.
_GOES_ON = re.compile(rb"[/\\\"'`A-Za-z0-9_$*%.{-]")
# A path on another machine: `user@host:/x`, the device `:/x` of NFS, and the arguments of commands that copy or mount.
_REMOTE_BEFORE = re.compile(
    rb"(?:[\w.-]@[\w.-]+|(?<![\w.-])(?:scp|rsync|sftp|mount|sshfs)\s(?:[^\n|;&]*\s)?[\"']?[A-Za-z][\w.-]+"
    rb"|[\"'\s]):\Z"
)
_QUOTE_BYTES = (b'"', b"'", b"`")


class Clarity(Enum):
    """Whether a backslash may be the second half of a double-byte character."""

    CLEAR = "clear"
    # It may if the bytes around it are not UTF-8.
    UNKNOWN = "unknown"
    UNCLEAR = "unclear"


def _is_unclear(data: bytes, start: int, end: int, clarity: Clarity) -> bool:
    """Whether a byte of the reference may be a part of another character."""
    if clarity is Clarity.CLEAR or not _HALVES.search(data, max(0, start - 1), end):
        return False
    if clarity is Clarity.UNCLEAR:
        return True
    begin = start
    while begin and start - begin < 4 and data[begin - 1] >= 128:
        begin -= 1
        if data[begin] >= 0xC0:
            # The first byte of a character.
            break
    try:
        data[begin:end].decode()
    except UnicodeDecodeError:
        return True
    return False


class _Decision(NamedTuple):
    """The decision on a reference of `length` bytes: its new text, or None and the reason why it stays."""

    length: int
    new: bytes | None
    reason: str
    reported: bool


class Kept(NamedTuple):
    """A range that stays; `reason` is empty for a reference that already is as it should be.

    `reported` is false for a path that the map does not cover: it is reported only if it mentions the old name.
    """

    start: int
    end: int
    reason: str
    reported: bool


@dataclass(slots=True)
class ScanState:
    """The position of the scan in the current buffer."""

    position: int = 0
    floor: int = 0
    clarity: Clarity = Clarity.CLEAR
    edits: list[Edit] = field(default_factory=list)
    kept: list[Kept] = field(default_factory=list)


class Rules:
    """A path map and a network map, compiled.

    Args:
        path_map: the paths.
        network_map: from `path_map.check_network_map`.
    """

    def __init__(self, path_map: PathMap, network_map: dict[str, str]) -> None:
        self.path_map = path_map
        self.network_map = dict(network_map)
        guarded = self._needs_guard()
        sources: list[tuple[Location, PathMapEntry | None]] = [(entry.source, entry) for entry in path_map.entries]
        targets: list[tuple[Location, PathMapEntry | None]] = [(entry.target, None) for entry in path_map.entries]
        targets = targets if guarded else []
        self._roots = build_tree([*sources, *targets])
        names = {*self.network_map, *(self.network_map.values() if guarded else ())}
        self._networks = NetworkNames(self.network_map, names)
        self._compile_heads([location for location, _entry in [*sources, *targets]], names)
        self._decisions: dict[tuple[bytes, bytes], _Decision] = {}
        # Results for references up to their last name, which does not matter.
        self._above: dict[tuple[bytes, bytes], bytes] = {}
        self._substituter = Substituter(path_map)
        # Whether no rewritten path can be a reference again.
        self._moves_once = not any(
            source.drive == target.drive and source.key[1][: len(target.key[1])] == target.key[1]
            for source in (entry.source for entry in path_map.entries)
            for target in (entry.target for entry in path_map.entries)
        )
        self._plain_targets = all(entry.target.is_plain for entry in path_map.entries)
        self._short_names = self._compile_short_names()
        self.reach_back = REACH_BACK + NETWORK_LOOK_BACK
        self.reach_on = REFERENCE_MAX + 2 * LOOK_AHEAD

    def _compile_short_names(self) -> re.Pattern[bytes] | None:
        """Folder names on drives that have a short name: `TRADE2~1`, or `TR1A2B~1` if many begin alike."""
        names = {part for entry in self.path_map.entries if entry.source.drive for part in entry.source.parts}
        stems = set()
        for name in names:
            base, _dot, extension = name.rpartition(".") if "." in name.lstrip(".") else (name, "", "")
            if len(base) > 8 or len(extension) > 3 or set(name) & set(" +,;=[]") or base.count("."):
                plain = re.sub(r"[ .]", "", re.sub(r"[+,;=\[\]]", "_", base))
                stems |= {re.escape(plain[:6].encode()), re.escape(plain[:2].encode()) + rb"[0-9a-f]{4}"}
        if not stems:
            return None
        return re.compile(rb"(?i)(?:[/\\]|%(?:2f|5c))(?:" + b"|".join(sorted(stems)) + rb")\Z")

    def _needs_guard(self) -> bool:
        """Whether a rewritten text contains a source's name, so that targets must be recognized as well."""
        heads = {entry.source.parts[0].lower() for entry in self.path_map.entries}
        heads |= {name.lower() for name in self.network_map}
        texts = [str(entry.target).lower() for entry in self.path_map.entries]
        texts += [name.lower() for name in self.network_map.values()]
        return any(head in text for head in heads for text in texts)

    def _compile_heads(self, locations: list[Location], names: set[str]) -> None:
        """Find heads by digits that all of them contain: a search for bytes without case runs at memory speed."""
        places = {(location.drive, location.parts[0]) for location in locations}
        # The common prefix of all heads, in lower case, if they can be searched for by digits.
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
        """A text that differs for rules that would rewrite differently."""
        paths = sorted(
            f"{entry.source.key}>{entry.target.text_drive}:{entry.target.text_parts}" for entry in self.path_map.entries
        )
        return repr((paths, sorted(self.network_map.items())))

    def may_concern(self, data: bytes) -> bool:
        """Whether `data` contains a head at all; if not, nothing in it is rewritten."""
        return self._heads is not None and self._heads.search(data) is not None

    def plan(self, data: bytes, clarity: Clarity = Clarity.CLEAR) -> Plan:
        """`data` after the migration."""
        if not self.may_concern(data):
            return Plan(data, 0)
        state = ScanState(clarity=clarity)
        self.scan(data, state, len(data))
        return apply_edits(data, state.edits)

    def protected(self, data: bytes) -> list[tuple[int, int]]:
        """The ranges of `data` that already are targets although they look like a source."""
        return [(item.start, item.end) for item in self.kept(data) if not item.reason]

    def kept(self, data: bytes) -> list[Kept]:
        """The ranges of a result that stay although they look like references, sorted.

        A reference that would be rewritten now was left in the first place because its bytes were unclear.
        """
        if not self.may_concern(data):
            return []
        state = ScanState()
        self.scan(data, state, len(data))
        unwritten = [Kept(edit.start, edit.end, "unclear-bytes", reported=True) for edit in state.edits]
        return sorted([*state.kept, *unwritten]) if unwritten else state.kept

    def references(self, data: bytes) -> Iterator[tuple[int, int]]:
        """The references in data that is not rewritten, including paths in doubt."""
        if self.may_concern(data):
            state = ScanState()
            self.scan(data, state, len(data))
            yield from ((edit.start, edit.end) for edit in state.edits)
            yield from (
                (item.start, item.end) for item in state.kept if item.reported and item.reason != "not-the-network"
            )

    def heads(self, data: bytes) -> Iterator[tuple[int, int]]:
        """The positions of names that references begin with."""
        if self._heads:
            for found in self._heads.finditer(data):
                yield found.span()

    def short_names(self, data: bytes) -> Iterator[tuple[int, int]]:
        """Short (8.3) names of mapped folders, as in `C:\\TRADE2~1`."""
        if self._short_names and b"~" in data:
            for found in _SHORT_NAME_END.finditer(data):
                name = self._short_names.search(data[max(0, found.start() - 9) : found.start()])
                if name:
                    yield found.start() - len(name.group()) + 1, found.end()

    def plan_path(self, path: bytes) -> Plan:
        """The result for a text that is a single path, such as a symlink's target."""
        for pattern in (DRIVE, UNIX):
            for separator in re.finditer(rb"[/\\]+", path):
                first = separator.end()
                prefix = pattern.match(path[:first][::-1])
                if not prefix or prefix.end() != first:
                    continue
                drive = (prefix["letter"] or prefix["unix_letter"]).decode().lower() if pattern is DRIVE else ""
                if drive not in self._roots:
                    continue
                run = (prefix["run"] or separator.group())[::-1]
                reader = Reader(path, Region(len(path), quoted=True, verbatim=True), run, 0, bool(drive), 0)
                reading = reader.read(first, self._roots[drive], run)
                if reading.reason or reading.entry is None:
                    continue
                done = self._substituter.substitute(reading, path[:first], prefix, in_markup=False)
                return Plan(path, 0) if done.reason else Plan(done.new, 1)
        return Plan(path, 0)

    def scan(self, data: bytes, state: ScanState, limit: int) -> None:
        """Find the references whose head is before `limit`, and advance the state to there."""
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
                end = self._path_at(data, head, state) or self._unclear_path_at(data, head, state)
                end = end or self._network_at(data, head, state)
                if end:
                    after = max(end, after) if lengths else end
                    break
            state.position = after
        state.position = max(state.position, limit)

    def _path_at(self, data: bytes, head: int, state: ScanState) -> int:
        """Handle the reference whose first name is at `head`; returns its end, or 0."""
        if not head or data[head - 1] not in BEFORE_HEAD:
            return 0
        base = max(state.floor, head - REACH_BACK, 0)
        reversed_text = data[base:head][::-1]
        skipped = 0
        for _step in range(_STEPS_MAX):
            for pattern in (DRIVE, UNIX):
                prefix = pattern.match(reversed_text, skipped)
                if not prefix:
                    continue
                drive = (prefix["letter"] or prefix["unix_letter"]).decode().lower() if pattern is DRIVE else ""
                if drive not in self._roots:
                    continue
                start = head - prefix.end()
                first = head - skipped
                # A path directly after the previous reference is part of something else.
                if start == state.floor and start and not prefix.groupdict().get("letter"):
                    continue
                if skipped:
                    prefix = pattern.match(reversed_text[skipped:])
                    if prefix is None:
                        raise AssertionError("what matched with steps before it matches without")
                return self._take(data, first, start, base, drive, prefix, state)
            # Steps before the head matter if `.` or `..` among them lead to it.
            step = STEP_BEFORE.match(reversed_text, skipped)
            if not step or (not skipped and step["name"] not in (b".", b"..")):
                break
            skipped = step.end()
        return 0

    def _unclear_path_at(self, data: bytes, head: int, state: ScanState) -> int:
        """Leave a path of the map whose start is not understood; returns its end, or 0 if there is none."""
        if not head or data[head - 1] not in BEFORE_HEAD:
            return 0
        base = max(state.floor, head - REACH_BACK, 0)
        found = UNCLEAR_START.match(data[base:head][::-1])
        if not found:
            return 0
        drive = (found["letter"] or found["unix_letter"] or b"").decode().lower()
        if drive not in self._roots:
            return 0
        run = data[head - 1 : head]
        region = region_of(data, head - found.end(), head, base)
        reading = Reader(data, region, run, 0, bool(drive), base).read(head, self._roots[drive], run)
        # What follows a separator that is longer than any cannot be read.
        unread = bool(found["run"] and not RUNS.fullmatch(found["run"][::-1]))
        unread = unread and bool(reading.steps) and reading.steps[0].name.lower() in self._roots[drive].children
        if reading.is_target or (reading.entry is None and not reading.reported and not unread):
            return 0
        state.kept.append(Kept(head - found.end(), reading.end, "unclear-start", reported=True))
        state.floor = reading.end
        return reading.end

    def _take(
        self, data: bytes, first: int, start: int, base: int, drive: str, prefix: re.Match[bytes], state: ScanState
    ) -> int:
        """Decide about the reference whose first name is at `first`; returns its end."""
        end = self._plain_end(data, first, start) if self._plain_targets else 0
        decision = self._remembered(data, start, end) if end else None
        if decision is None:
            decision = self._decide(data, first, start, base, drive, prefix, end)
        end = start + decision.length
        new, reason = decision.new, decision.reason
        if new is not None and data[start - 1 : start] == b":" and _REMOTE_BEFORE.search(data, base, start):
            new, reason = None, "unclear-start"
        if new is not None and state.clarity is not Clarity.CLEAR and _is_unclear(data, start, end, state.clarity):
            new, reason = None, "unclear-bytes"
        if new is not None:
            state.edits.append(Edit(start, end, new))
        else:
            state.kept.append(Kept(start, end, reason, decision.reported or reason != decision.reason))
        state.floor = end
        return end

    @staticmethod
    def _plain_end(data: bytes, first: int, start: int) -> int:
        """The certain end of a plain reference, one without any ambiguous character; 0 for others.

        The decision about it depends only on its text, two bytes before it, and the byte after it.
        """
        token = _PLAIN_REFERENCE.match(data, first, first + 256)
        if token is None:
            return 0
        end = token.end()
        byte = data[end : end + 1]
        if byte in (b":", b">", b"|") or (byte == b'"' and not _GOES_ON.match(data, end + 1)):
            return end
        if data[start - 1 : start] in _QUOTE_BYTES:
            return 0
        if byte == b" ":
            if data[start - 2 : start] == b"- " and MOUNT.match(data, end + 1, end + 65):
                return 0
            return end if NEW_WORD_IN_QUOTES.match(data, end + 1, end + 65) else 0
        # A more deeply indented line may continue the name.
        return end if byte in (b"\n", b"\r") and _NOT_FOLDED.match(data, end) else 0

    def _remembered(self, data: bytes, start: int, end: int) -> _Decision | None:
        """The cached decision about a plain reference, or about one that differs only in the last name."""
        around = data[max(0, start - 2) : start] + data[end : end + 1]
        text = data[start:end]
        known = self._decisions.get((around, text))
        if known is None:
            name = max(text.rfind(b"/"), text.rfind(b"\\")) + 1
            above = self._above.get((around, text[:name]))
            if above and _FREE_NAME.match(text, name):
                return _Decision(len(text), above + text[name:], "", reported=False)
        return known

    def _decide(
        self, data: bytes, first: int, start: int, base: int, drive: str, prefix: re.Match[bytes], plain_end: int
    ) -> _Decision:
        """Read a reference and decide; cache the decision if the reference is plain."""
        root = self._roots[drive]
        if prefix.re is DRIVE:
            run, url = prefix["run"][::-1], bool(prefix["url"] or prefix["unix_url"])
        else:
            run, url = (prefix["run"] or prefix["url"])[::-1], bool(prefix["url"])
        region = region_of(data, start, first, base)
        level = encoding_level([run], url)
        reading = Reader(data, region, run, level, bool(drive), max(0, start - REACH_BACK)).read(first, root, run)
        length = reading.end - start
        if reading.reason or reading.entry is None:
            decision = _Decision(length, None, reading.reason, reading.reported)
        else:
            in_markup = data[region.stop : region.stop + 1] in (b"<", b"&")
            new, reason = self._substituter.substitute(reading, data[start:first], prefix, in_markup)
            # A regular expression between slashes would end at the first slash of a Unix path.
            in_slashes = prefix.re is DRIVE and (data[max(0, start - 2) : start] == b"/^" or prefix["slashes"] == b"/")
            if (in_slashes and b"\\" in run) or data[start - 1 : start] in (b"}", b"$"):
                # A variable before the drive may be a part of the path; `$C` is one.
                reason = "unclear-start"
            decision = _Decision(length, None if reason else new, reason, reported=bool(reason))
        if plain_end and len(self._decisions) + len(self._above) < _DECISIONS_MAX:
            around = data[max(0, start - 2) : start] + data[plain_end : plain_end + 1]
            text = data[start:plain_end]
            last = reading.steps[-1].raw if reading.is_free else b""
            if last and decision.new and reading.end == plain_end and _FREE_NAME.match(last) and self._moves_once:
                name = len(text) - len(last)
                self._above[around, text[:name]] = decision.new[: len(decision.new) - len(last)]
            else:
                self._decisions[around, text] = decision
        return decision

    def _network_at(self, data: bytes, head: int, state: ScanState) -> int:
        """Handle a network name at `head`; returns its end, or 0."""
        if state.floor and head == state.floor:
            return 0
        end, new, reason = self._networks.at(data, head)
        if not end:
            return 0
        if new is not None:
            state.edits.append(Edit(head, end, new))
        else:
            state.kept.append(Kept(head, end, reason, reported=bool(reason)))
        state.floor = end
        return end
