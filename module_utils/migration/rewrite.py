"""Rewriting references to mapped places and networks in bytes: the pure part of the migration.

A reference is found from its *head*, the first folder name below the drive (or a network's whole name), because a
head can be searched for at memory speed. Backwards from it the text must spell a drive or a root (`_DRIVE`, `_UNIX`:
patterns for reversed text, so that they are anchored and need no fixed width), forwards it must spell a mapped place
up to a boundary. Every decision looks at most `Rules.reach_back` bytes back and `Rules.reach_on` bytes on: that is
what makes `StreamRewriter` give the same result whatever the size of its pieces.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from ansible.module_utils.migration.roots import PREFIX_WORDS, PathRule, Root

# A longer run of separators than this is not taken for one.
_SEPARATOR = rb"(?:[/\\]|%(?:25)?(?:2[fF]|5[cC]))"
_RUN = _SEPARATOR + rb"{1,4}"
_UNIX_SEPARATOR = rb"(?:\\?/|%(?:25)?2[fF])"
_UNIX_RUN = _UNIX_SEPARATOR + rb"{1,4}"
_RUNS = re.compile(_RUN)
_UNITS = re.compile(_SEPARATOR)

# Percent-encoded characters that end a name: everything but letters, digits, `-`, `.`, `_`, `~` and the space.
_ENCODED_BOUNDARY = rb"(?:25)?(?:0[0-9a-fA-F]|2[1-9a-cA-CfF]|3[a-fA-F]|40|5[b-eB-E]|60|7[b-dB-D])"
# Punctuation beyond ASCII, in UTF-8 and in cp1252 (a lone continuation byte is not UTF-8).
_FOREIGN_BOUNDARY = (
    rb"\xc2[\xa0-\xbf]|\xe2[\x80-\xaf]|\xe3\x80[\x80-\x9f]|\xef\xbc[\x80-\x8f\x9a-\xa0]|\xef\xbb\xbf|\xf0\x9f|"
    rb"[\x80-\x82\x84-\x89\x8b\x91-\x99\x9b\xa0-\xa9\xab-\xb1\xb4\xb6-\xb8\xbb-\xbf]"
)
# What must not follow a reference, because the name would go on.
_END = (
    rb"(?![A-Za-z0-9_-]|[~+@][A-Za-z0-9_-]|\$[A-Za-z0-9_{(]|\{|\.{1,8}[A-Za-z0-9_-]"
    rb"|%(?!" + _ENCODED_BOUNDARY + rb")[A-Za-z0-9_]|(?!" + _FOREIGN_BOUNDARY + rb")[\x80-\xff])"
)

# The following patterns are for reversed text.
_R_SEPARATOR = rb"(?:[/\\]|(?:[fF]2|[cC]5)(?:52)?%)"
_R_ENCODED_SEPARATOR = rb"(?:(?:[fF]2|[cC]5)(?:52)?%)"
_R_RUN = _R_SEPARATOR + rb"{1,4}"
_R_COLON = rb"(?::|[aA]3(?:52)?%)"
# A colon that belongs to a drive letter, as against the one between the two sides of a volume.
_R_GLUED = rb"[A-Za-z]-(?:\Z|[\s\"'`=,(\[])"
_R_ENCODED_MARK = rb"(?:[0-9a-cA-C]2|[a-fA-F]3)(?:52)?%"
_R_DRIVE_COLON = rb":[A-Za-z](?:(?![A-Za-z0-9_])|" + _R_GLUED + rb"|[nrt]\\|" + _R_ENCODED_MARK + rb")"
_R_FILE = _R_COLON + rb"(?i:elif)(?![A-Za-z0-9_])"
_R_BEFORE_LETTER = (
    rb"(?=(?!" + _R_DRIVE_COLON + rb")"
    rb"(?![.~+@$%]{1,8}[A-Za-z0-9_-])"  # the name before would end where it now goes on
    rb"(?:\Z|[^A-Za-z0-9_/\\]"
    # An option with its value glued on (-vC:/…), an escaped line end in a string, an encoded mark.
    rb"|" + _R_GLUED + rb"|[nrt]\\|" + _R_ENCODED_MARK + rb"))"
)
_R_BEFORE_SLASH = (
    rb"(?=\Z|[\s\"'`=,;(\[{<>|]|(?!" + _R_DRIVE_COLON + rb"):|[-+?=]:|[\x80-\xbf][\x80-\xaf]\xe2|[\xa0-\xbf]\xc2)"
)
_R_BEFORE_ENCODED_SLASH = rb"(?=[0-9a-cA-C]2(?:52)?%|[b-fB-F]3(?:52)?%)"
_R_SLASH_START = (
    rb"(?:%(sep)s"
    + _R_BEFORE_SLASH
    + rb"|%(sep)s{2,4}(?!:)"
    + _R_BEFORE_SLASH
    + rb"|"
    + _R_ENCODED_SEPARATOR
    + rb"{1,4}"
    + _R_BEFORE_ENCODED_SLASH
    + rb")"
)
_R_MOUNT = rb"(?i:tnm_tsoh|tnm|evirdgyc|tsoh" + _R_RUN + rb"tnm" + _R_RUN + rb"potksed" + _R_RUN + rb"nur)"
_R_HOST = rb"(?i:tsohlacol)"
_DRIVE = re.compile(
    rb"(?P<run>" + _R_RUN + rb")(?:"
    rb"(?P<colon>" + _R_COLON + rb")(?P<letter>[A-Za-z])"
    rb"(?:(?P<url>" + _R_RUN + rb"(?:" + _R_HOST + _R_RUN + rb")?" + _R_FILE + rb")"
    rb"|(?P<extended>\\{1,2}[?.]\\{2,4}(?=\Z|[^A-Za-z0-9_/\\.%:-]))"
    # `/C:/…`, as URLs have it; behind a name it would be the rest of another path, but for a URL's host.
    rb"|(?P<slashes>"
    + _R_RUN
    + rb"(?=[A-Za-z0-9.-]{1,32}//:)|"
    + _R_SLASH_START.replace(b"%(sep)s", _R_SEPARATOR)
    + rb")"
    rb"|" + _R_BEFORE_LETTER + rb")"
    rb"|(?P<unix_letter>[A-Za-z])(?:" + _R_RUN + _R_MOUNT + rb")?"
    rb"(?:(?P<unix_url>"
    + _R_RUN
    + rb"(?:"
    + _R_HOST
    + _R_RUN
    + rb")?"
    + _R_FILE
    + rb")|"
    + _R_SLASH_START.replace(b"%(sep)s", _R_SEPARATOR)
    + rb"))"
)
_R_UNIX_SEPARATOR = rb"(?:/\\?|[fF]2(?:52)?%)"
_UNIX = re.compile(
    rb"(?P<url>" + _R_UNIX_SEPARATOR + rb"{1,4}(?:" + _R_HOST + _R_UNIX_SEPARATOR + rb"{2})?" + _R_FILE + rb")"
    rb"|(?P<run>" + _R_SLASH_START.replace(b"%(sep)s", _R_UNIX_SEPARATOR) + rb")"
)

# A place that reads as a target is left alone whatever stands before it: a rewritten reference may have lost its lead.
_ANY_DRIVE = re.compile(
    _R_RUN
    + rb"(?:"
    + _R_COLON
    + rb"(?P<letter>[A-Za-z])|(?P<unix_letter>[A-Za-z])(?:"
    + _R_RUN
    + _R_MOUNT
    + rb")?"
    + _R_RUN
    + rb")"
)
_ANY_UNIX = re.compile(_R_UNIX_SEPARATOR + rb"{1,4}")

# Marks that may stand before a reference; a target that holds one may complete a reference with what follows it.
_PREFIX_MARKS = re.compile(r"[\s\"'`=,;(\[{<>|:\u0080-\U0010ffff]")

# The rest of a path behind a mapped place, looked at only to turn its backslashes when the target is a Unix path.
_TAIL_MAX = 4096
_NAME = rb"(?:\$env:\w+|[^\x00-\x20\x7f\"'`<>|:;,()\[\]=&/\\\xc2\xe2])+"
_QUOTED_NAME = rb"(?:\$env:\w+|[^\x00-\x1f\x7f\"'`<>|:;/\\\xc2\xe2])+"
_ENCODED_NAME = rb"(?:%(?!(?:25)?(?:2[fF]|5[cC]))|[^%\x00-\x20\x7f\"'`<>|:;,()\[\]=&/\\\xc2\xe2])+"
# With slashes in the mapped part, one backslash before a letter that makes an escape is taken for an escape.
_TAIL_SEPARATORS = {
    0: rb"/{1,4}|(?:\\/){1,4}|\\\\(?=[\w$%.*{])|\\(?=[AcCEFgGhHiIjJkKlLmMoOpPqQRTVXyYzZ_])",
    1: rb"[/\\]{1,4}",
    2: rb"(?:\\\\){1,2}|/{1,4}",
    4: rb"\\{4}|/{1,4}",
}
_TAIL_ENDS = {1: rb"[/\\]{1,4}", 2: rb"(?:\\\\){1,2}", 4: rb"\\{4}"}
_TAIL_BEGINS = frozenset(b"/\\%")
# As many spellings of mapped places are remembered; a tree has few, and each occurs often.
_RENDERINGS_MAX = 4096


class _Tail(NamedTuple):
    """How a path goes on: all of it, one step with its separator as the first group, and a separator at its end."""

    whole: re.Pattern[bytes]
    step: re.Pattern[bytes]
    last: re.Pattern[bytes] | None


class _Rendering(NamedTuple):
    """What a spelling reads afterwards; `tail` (unquoted, quoted) where the separators behind it turn too."""

    new: bytes
    tail: tuple[_Tail, _Tail] | None


def _tail(separators: bytes, name: bytes, last: bytes | None) -> _Tail:
    step = rb"(" + separators + rb")" + name
    whole = rb"(?:(?:" + separators + rb")" + name + rb")*+"
    return _Tail(re.compile(whole), re.compile(step), re.compile(last) if last else None)


_TAILS = {
    (unit, quoted): _tail(separators, _QUOTED_NAME if quoted else _NAME, _TAIL_ENDS.get(unit))
    for unit, separators in _TAIL_SEPARATORS.items()
    for quoted in (False, True)
}
_ENCODED_TAIL = _tail(_RUN, _ENCODED_NAME, rb"(?:%(?:25)?(?:2[fF]|5[cC])){1,4}")

_WORD_BYTES = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")
_BEFORE_HEAD = frozenset(b"/\\fFcC")
_ENCODED_BEFORE = re.compile(rb"%(?:25)?(?:0[9aAdD]|2[0-9a-cA-CfF]|3[a-fA-F]|5[bcdBCD]|7[b-dB-D])\Z")
_ENCODED_SEPARATOR_BEFORE = re.compile(rb"%(?:25)?(?:2[fF]|5[cC])\Z")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_REACH_BACK = 192


class Edit(NamedTuple):
    """Bytes `start` to `end` read `new`; `counts` is false for a separator that only follows a rewritten place."""

    start: int
    end: int
    new: bytes
    counts: bool


class Plan(NamedTuple):
    """What a text reads after the migration, and how many references were rewritten for it."""

    new: bytes
    replacements: int


@dataclass(slots=True)
class _State:
    """Where the scan stands, in positions of the buffer at hand."""

    position: int = 0
    floor: int = 0
    behind_token: bool = False
    tail_end: int = 0
    edits: list[Edit] = field(default_factory=list)
    protected: list[tuple[int, int]] = field(default_factory=list)


class _Place(NamedTuple):
    """One alternative of a `_Core`: the rule that rewrites it, or None for a place that already reads as a target."""

    parts: tuple[str, ...]
    rule: PathRule | None


class _Core(NamedTuple):
    """All places on one drive (or on none), longest first: pattern, and the place of each of its groups."""

    pattern: re.Pattern[bytes]
    places: tuple[_Place, ...]


def _encoded(data: bytes) -> bytes:
    return b"".join(rb"(?i:%%(?:25)?%02x)" % byte for byte in data)


def _part_pattern(part: str) -> bytes:
    """A folder name in UTF-8, in cp1252 or percent-encoded."""
    pattern = b""
    for character in part:
        if character in _UNRESERVED:
            pattern += re.escape(character.encode())
            continue
        spellings: list[bytes] = []
        for variant in dict.fromkeys((character, character.lower(), character.upper())):
            data = variant.encode()
            spellings += [re.escape(data), _encoded(data)]
            if len(data) > 1:
                spellings.append(re.escape(variant.encode("cp1252", "ignore")))
        pattern += b"(?:" + b"|".join(spelling for spelling in dict.fromkeys(spellings) if spelling) + b")"
    return pattern


def _places_pattern(places: Iterable[_Place], separator: bytes, with_case: bool, skip: int = 0) -> bytes:
    """Alternation with one group a place; `skip` leaves out that many leading parts but not their separator."""
    alternatives = []
    for place in places:
        parts = [_part_pattern(part) for part in place.parts[skip:]]
        body = (separator if skip else b"") + separator.join(parts)
        alternatives.append(rb"(" + body + rb")" + _END)
    return (b"(?:" if with_case else b"(?i:") + b"|".join(alternatives) + b")"


def _longest_first(places: Iterable[_Place]) -> list[_Place]:
    return sorted(places, key=lambda place: (-len(place.parts), -sum(map(len, place.parts)), place.rule is not None))


def _core(drive: str, places: Iterable[_Place]) -> _Core:
    ordered = _longest_first(places)
    pattern = _places_pattern(ordered, _RUN if drive else _UNIX_RUN, with_case=not drive)
    return _Core(re.compile(pattern), tuple(ordered))


def _unix_separator(found: bytes) -> bytes:
    """How a found run of separators reads in a Unix path: encoding and JSON's `\\/` are kept, doubling is not."""
    if found.startswith(b"%"):
        hexadecimal = b"2F" if found[-1:].isupper() else b"2f"
        return (b"%25" if found[1:3] == b"25" else b"%") + hexadecimal
    return b"\\/" if found.replace(b"\\/", b"") == b"" else b"/"


def _join(separators: list[bytes], parts: Iterable[bytes]) -> bytes:
    """Each part behind its separator; the last separator serves for the parts beyond it."""
    last = len(separators) - 1
    return b"".join(separators[min(index, last)] + part for index, part in enumerate(parts))


def _part_bytes(part: str, encoding_level: int) -> bytes:
    data = part.encode()
    if not encoding_level:
        return data
    percent = b"%25" if encoding_level == 2 else b"%"
    return b"".join(
        bytes((byte,)) if chr(byte) in _UNRESERVED or byte in b"!$&'()*+,;=:@" else percent + b"%02X" % byte
        for byte in data
    )


def _encoding_level(separators: list[bytes], url: bool) -> int:
    encoded = [run for run in separators if run.startswith(b"%")]
    if encoded:
        return 2 if encoded[0][1:3] == b"25" else 1
    return 1 if url else 0


def _url_lead(lead: bytes) -> bytes:
    """`file:///` without the slash that belongs to the path: `file://`, and `file:` where there was but one."""
    start = lead.lower().find(b":") + 1 if b":" in lead else lead.lower().find(b"3a") + 2
    if lead[start:].lower().strip(b"/\\").startswith(b"localhost"):
        return lead[: start + lead[start:].lower().find(b"localhost") + len(b"localhost")]
    units = _UNITS.findall(lead[start:])
    return lead[:start] + (b"".join(units[:2]) if len(units) >= 2 else b"")


class Rules:
    """A path map and a network map, compiled.

    Args:
        path_rules: from `roots.parse_path_map`.
        network_map: from `roots.check_network_map`.
    """

    def __init__(self, path_rules: Iterable[PathRule], network_map: dict[str, str]) -> None:
        self.path_rules = tuple(path_rules)
        self.network_map = dict(network_map)
        self._guarded = self._needs_guard()
        self._renderings: dict[bytes, _Rendering] = {}
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
        self.reach_back = _REACH_BACK
        self.reach_on = max(longest, 0, *map(len, self.network_map)) + _TAIL_MAX + 64

    def _needs_guard(self) -> bool:
        """Whether a rewritten text could be taken for a reference again, so that targets must be known as well."""
        heads = {rule.source.parts[0].lower() for rule in self.path_rules} | {name.lower() for name in self.network_map}
        for rule in self.path_rules:
            text = str(rule.target).lower()
            if any(head in text for head in heads):
                return True
            if any(
                part.lower() in PREFIX_WORDS or len(part) == 1 or _PREFIX_MARKS.search(part)
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
            re.compile(b"(?:" + b"|".join(re.escape(name.encode()) for name in alternatives) + b")" + _END)
            if alternatives
            else None
        )
        words = {part.lower() for rule in self.path_rules for part in rule.source.parts} | PREFIX_WORDS
        # As a folder name such a target would complete a reference that was none.
        self._networks_not_in_paths = frozenset(
            old.encode() for old, new in names.items() if any(word in new.lower() for word in words)
        )

    def _compile_places(self) -> None:
        places: dict[str, dict[tuple[str, ...], _Place]] = {}
        for rule in self.path_rules:
            places.setdefault(rule.source.drive, {})[rule.source.key[1]] = _Place(rule.source.parts, rule)
        targets: dict[str, dict[tuple[str, ...], _Place]] = {}
        for rule in self.path_rules:
            targets.setdefault(rule.target.drive, {})[rule.target.key[1]] = _Place(rule.target.parts, None)
        if self._guarded:
            for drive, known in targets.items():
                places.setdefault(drive, {}).update(known)
        self._cores = {drive: _core(drive, known.values()) for drive, known in places.items()}
        self._targets = (
            {drive: _core(drive, known.values()) for drive, known in targets.items()} if self._guarded else {}
        )
        # What, standing behind a rule's target, would be rewritten once more.
        self._again: dict[PathRule, _Core] = {}
        for rule in self.path_rules:
            drive, prefix = rule.target.key
            longer = [
                place
                for key, place in places.get(drive, {}).items()
                if len(key) > len(prefix) and key[: len(prefix)] == prefix
            ]
            if any(place.rule for place in longer):
                ordered = _longest_first(longer)
                pattern = _places_pattern(ordered, _RUN, with_case=not drive, skip=len(prefix))
                self._again[rule] = _Core(re.compile(pattern), tuple(ordered))

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
            if all(run in head and all(c in _UNRESERVED for c in head[: head.index(run)]) for head in heads):
                stems = self.stems = frozenset(head[: head.index(run)].lower() + run for head in heads)
                self._stem_lengths = tuple(sorted({len(stem) for stem in stems}, reverse=True))
                behind = b"|".join(rb"(?<=(?i:" + re.escape(stem.encode()) + rb"))" for stem in sorted(stems))
                self._heads = re.compile(re.escape(run.encode()) + rb"(?:" + behind + rb")")
                return
        with_case = sorted(
            {re.escape(name.encode()) for name in names} | {_part_pattern(p) for d, p in places if not d}
        )
        without_case = sorted({_part_pattern(part) for drive, part in places if drive})
        alternatives = [b"(?:" + b"|".join(with_case) + b")"] if with_case else []
        if without_case:
            alternatives.append(b"(?i:" + b"|".join(without_case) + b")")
        self._heads = re.compile(b"|".join(alternatives))

    @property
    def fingerprint_text(self) -> str:
        """A text that differs where two rules would rewrite differently."""
        paths = sorted(
            f"{rule.source.key}>{rule.target.text_drive}:{rule.target.text_parts}" for rule in self.path_rules
        )
        return repr((paths, sorted(self.network_map.items())))

    def may_concern(self, data: bytes) -> bool:
        """Whether `data` holds a head at all; false means that nothing in it is rewritten."""
        return self._heads is not None and self._heads.search(data) is not None

    def plan(self, data: bytes) -> Plan:
        """What `data` reads after the migration."""
        if not self.may_concern(data):
            return Plan(data, 0)
        state = _State()
        self._scan(data, state, len(data))
        return _apply(data, state.edits)

    def protected(self, data: bytes) -> list[tuple[int, int]]:
        """The ranges of `data` that already read as a target although they look like a source."""
        if not self._guarded:
            return []
        state = _State()
        self._scan(data, state, len(data))
        return state.protected

    def _scan(self, data: bytes, state: _State, limit: int) -> None:
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

    def _path_at(self, data: bytes, head: int, state: _State) -> int:
        """Handle a mapped place whose first name stands at `head`; returns its end, 0 when there is none."""
        if not head or data[head - 1] not in _BEFORE_HEAD:
            return 0
        base = max(state.floor if state.behind_token else 0, head - _REACH_BACK)
        reversed_text = data[base:head][::-1]
        prefix = _DRIVE.match(reversed_text)
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
            prefix = _UNIX.match(reversed_text)
            if prefix and not (head - prefix.end() == state.floor and state.behind_token):
                return self._take(data, head - prefix.end(), found, core, state, prefix)
        return self._target_at(data, head, reversed_text, state) if self._guarded else 0

    def _target_at(self, data: bytes, head: int, reversed_text: bytes, state: _State) -> int:
        """Pass over a place that reads as a target; returns its end, 0 when there is none."""
        for pattern in (_ANY_DRIVE, _ANY_UNIX):
            prefix = pattern.match(reversed_text)
            if not prefix:
                continue
            drive = (prefix["letter"] or prefix["unix_letter"]).decode().lower() if pattern is _ANY_DRIVE else ""
            core = self._targets.get(drive)
            found = core.pattern.match(data, head) if core else None
            if found:
                state.protected.append((head - prefix.end(), found.end()))
                state.floor, state.behind_token = found.end(), True
                return found.end()
        return 0

    def _take(
        self, data: bytes, start: int, found: re.Match[bytes], core: _Core, state: _State, prefix: re.Match[bytes]
    ) -> int:
        """Note the edit, or the absence of one, for the place between `start` and the end of `found`."""
        rule = core.places[(found.lastindex or 1) - 1].rule
        end = found.end()
        state.floor, state.behind_token = end, True
        state.edits = [edit for edit in state.edits if edit.start < start] if state.tail_end > start else state.edits
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
            rendering = _render(rule.target, data[start : found.start()], found.group(), prefix)
            if len(self._renderings) < _RENDERINGS_MAX:
                self._renderings[spelling] = rendering
        state.edits.append(Edit(start, end, rendering.new, True))
        if rendering.tail and end < len(data) and data[end] in _TAIL_BEGINS:
            tail = rendering.tail[start > 0 and data[start - 1] in b"\"'`"]
            state.tail_end = _turn_tail(data, end, tail, state.edits)
        return end

    def _network_at(self, data: bytes, head: int, state: _State) -> int:
        """Handle a network name at `head`; returns its end, 0 when there is none."""
        found = self._networks.match(data, head) if self._networks else None
        if not found or (state.behind_token and head == state.floor):
            return 0
        name = found.group()
        is_target = name.decode() in self._network_targets
        if head:
            before = data[max(0, head - 6) : head]
            if before[-1] in _WORD_BYTES and not _ENCODED_BEFORE.search(before):
                escaped = before[-1] in b"nrt" and before[-2:-1] == b"\\" and head >= state.tail_end
                if not escaped:
                    return 0
            if (
                not is_target
                and name in self._networks_not_in_paths
                and (before[-1] in b"/\\" or _ENCODED_SEPARATOR_BEFORE.search(before))
            ):
                return 0
        end = found.end()
        state.floor, state.behind_token = end, True
        if is_target:
            state.protected.append((head, end))
        else:
            state.edits.append(Edit(head, end, self.network_map[name.decode()].encode(), counts=True))
        return end


def _render_from_drive(target: Root, before: bytes, separators: list[bytes], prefix: re.Match[bytes]) -> bytes:
    """The target in the spelling of a reference that named a drive; `before` is its text up to the first name."""
    url = prefix["url"] or prefix["unix_url"]
    level = _encoding_level(separators, bool(url))
    parts = [_part_bytes(part, level) for part in target.text_parts]
    if target.text_drive:
        group = "letter" if prefix["letter"] else "unix_letter"
        letter = prefix[group]
        place = len(before) - prefix.end(group)
        drive = target.text_drive.upper() if letter.isupper() else target.text_drive.lower()
        kept = before[:place] + drive.encode() + before[place + 1 : len(before) - len(separators[0])]
        return kept + _join(separators, parts)
    lead = _url_lead(url[::-1]) if url else b""
    return lead + _join([_unix_separator(run) for run in separators], parts)


def _render_from_unix(target: Root, before: bytes, runs: list[bytes], prefix: re.Match[bytes]) -> bytes:
    """The target in the spelling of a reference that was a Unix path."""
    url = prefix["url"]
    first = _UNITS.findall(before)[-1] if not before.endswith(b"\\/") else b"\\/"
    separators = [first, *runs]
    level = _encoding_level(separators, bool(url))
    parts = [_part_bytes(part, level) for part in target.text_parts]
    if target.text_drive:
        colon = {0: b":", 1: b"%3A", 2: b"%253A"}[level if first.startswith(b"%") else 0]
        return (url[::-1] if url else b"") + target.text_drive.encode() + colon + _join(separators, parts)
    lead = _url_lead(url[::-1]) if url else b""
    return lead + _join([_unix_separator(run) for run in separators], parts)


def _render(target: Root, before: bytes, core: bytes, prefix: re.Match[bytes]) -> _Rendering:
    """How a reference reads afterwards; `before` is its text up to the first name, `core` the text from there."""
    runs = _RUNS.findall(core)
    if prefix.re is _UNIX:
        return _Rendering(_render_from_unix(target, before, runs, prefix), None)
    separators = [prefix["run"][::-1], *runs]
    new = _render_from_drive(target, before, separators, prefix)
    return _Rendering(new, None if target.text_drive else _tails(separators))


def _tails(separators: list[bytes]) -> tuple[_Tail, _Tail]:
    """How the path goes on behind a place with these separators: outside quotes, and in them."""
    if any(run.startswith(b"%") for run in separators):
        return _ENCODED_TAIL, _ENCODED_TAIL
    unit = min((len(run) for run in separators if not run.strip(b"\\")), default=0)
    unit = 4 if unit >= 4 else 2 if unit >= 2 else unit
    return _TAILS[unit, False], _TAILS[unit, True]


def _turn_tail(data: bytes, end: int, tail: _Tail, edits: list[Edit]) -> int:
    """Turn the separators of the path that goes on at `end`, as far as its spelling says that they are separators.

    Returns where that path ends.
    """
    stop = end + _TAIL_MAX
    whole = tail.whole.match(data, end, stop)
    position = whole.end() if whole else end
    text = data[end:position]
    if b"\\" in text or b"//" in text or b"%" in text:
        step, at = tail.step, end
        while at < position and (found := step.match(data, at, position)):
            _turn(found.start(1), found.group(1), edits)
            at = found.end()
    trailing = tail.last.match(data, position, stop) if tail.last else None
    if trailing:
        _turn(position, trailing.group(), edits)
        position = trailing.end()
    return position


def _turn(start: int, run: bytes, edits: list[Edit]) -> None:
    new = _unix_separator(run)
    if new != run and run.strip(b"\\/") + new != b"\\/":
        edits.append(Edit(start, start + len(run), new, counts=False))


def _apply(data: bytes, edits: list[Edit]) -> Plan:
    if not edits:
        return Plan(data, 0)
    pieces, position = [], 0
    for edit in sorted(edits):
        pieces += [data[position : edit.start], edit.new]
        position = edit.end
    pieces.append(data[position:])
    return Plan(b"".join(pieces), sum(edit.counts for edit in edits))


class StreamRewriter:
    """Rewrites a text that comes in pieces; what comes out does not depend on where the pieces end.

    Holds a piece and some kilobytes at a time.
    """

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._buffer = b""
        self._emitted = 0
        self._state = _State()
        self.replacements = 0

    def feed(self, piece: bytes, final: bool = False) -> bytes:
        """Take the next piece and return what is settled by it; `final` flushes."""
        rules, state = self._rules, self._state
        self._buffer += piece
        buffer = self._buffer
        limit = len(buffer) if final else len(buffer) - rules.reach_on
        if limit <= state.position and not final:
            return b""
        rules._scan(buffer, state, limit)
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
        state.tail_end = max(0, state.tail_end - keep)
        if state.floor < keep:
            state.behind_token = False
        state.floor = max(0, state.floor - keep)
        return b"".join(pieces)
