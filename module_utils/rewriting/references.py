# SPDX-License-Identifier: GPL-3.0-or-later
"""Read a reference from its first name to its certain end, and find the entry of the path map that covers it.

A reference is read as a whole: every step of it, up to where it certainly ends. If more than one end is plausible and
the readings would be rewritten differently, the reference is in doubt: it gets a `reason` and stays as it is.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from ansible.module_utils.rewriting.path_map import Location, PathMapEntry
from ansible.module_utils.rewriting.patterns import ENCODED_SEPARATOR, ESCAPED_SEPARATOR, RUNS, UNRESERVED, part_pattern

# Maximum length of a reference; a longer one is in doubt. As far again is searched for text that may belong to it.
REFERENCE_MAX = 4096
LOOK_AHEAD = 512

# Quotes, brackets, spaces and sentence marks outside ASCII, in UTF-8 and (after ASCII) in cp1252. They end a name.
_FOREIGN_SPACE = rb"\xc2\xa0|\xe2\x80[\x80-\x8b\xa8\xa9\xaf]|\xe3\x80\x80|\xef\xbb\xbf|(?<![\x80-\xff])\xa0"
_FOREIGN_END = (
    rb"\xc2[\xab\xbb]|\xe2\x86[\x90-\x99]|\xe2\x87[\x90-\x95]|\xe2\x80[\x98\x9a-\xa0\xa2\xa6\xb9\xba]|\xe3\x80[\x81\x82\x88-\x91\x94-\x9f]"
    rb"|\xef\xbc[\x81\x88\x89\x8c\x8e\x9a\x9b\x9f]|\xf0\x9f[\x80-\xbf]{2}|(?<![\x80-\xff])[\x85\x91\x93\x94\xab\xbb]"
)
_APOSTROPHE = rb"'|\xe2\x80\x99|(?<![\x80-\xff])\x92"
_SPACES = re.compile(rb"(?:[ \t]|" + _FOREIGN_SPACE + rb")*")
_FOREIGN_SPACE_HERE, _FOREIGN_END_HERE, _APOSTROPHE_HERE = map(re.compile, (_FOREIGN_SPACE, _FOREIGN_END, _APOSTROPHE))
# Characters that every name may contain, wherever it occurs.
_PLAIN = re.compile(
    rb"(?:[A-Za-z0-9_.~@-]|\+(?![A-Za-z]:[/\\])|(?!"
    + _FOREIGN_SPACE
    + rb"|"
    + _FOREIGN_END
    + rb"|"
    + _APOSTROPHE
    + rb")[\x80-\xff])*"
)
_VERBATIM = re.compile(rb"[^/\x00]*")
# Marks after the last name that end a sentence, close a bracket or end a pattern.
_TRAILING_MARKS = re.compile(
    rb"(?:[.,;:!?)\]}'$]|" + _APOSTROPHE + rb"|" + _FOREIGN_END + rb")*"
    rb"(?=[\x00-\x20\"`<>|]|\Z|" + _FOREIGN_SPACE + rb"|\\[nrt\"'](?![A-Za-z0-9_]))"
)
_ENDS = frozenset(b'\x00\x01\x02\x03\x04\x05\x06\x07\x08\t\n\x0b\x0c\r\x0e\x0f\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19'
                  b'\x1a\x1b\x1c\x1d\x1e\x1f\x7f"<>|`:')  # fmt: skip
_WORD = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_") | frozenset(range(128, 256))
_WILD = re.compile(
    rb"\$\{[^}\r\n]*\}|\$\((?:[^()\r\n]|\((?:[^()\r\n]|\([^()\r\n]*\))*\))*\)"
    rb"|(?i:\$(?:env|global|local|private|script|using|variable):\w+)|\$\w+|\{\{.*?\}\}|\{[^{}\r\n]*\}"
    rb"|%\(\w+\)\w|%\w+(?::(?:~[-,0-9]+|[^%=\r\n]*=[^%\r\n]*))?%|%[-0-9.*~]*[A-Za-z]"
    rb"(?![0-9A-Fa-f])|%[0-9*](?![0-9A-Fa-f])"
    rb"|!\w+(?::(?:~[-,0-9]+|[^!=\r\n]*=[^!\r\n]*))?!|\[[^\]/\\\r\n]*\]\+?|\([^()/\\\r\n]*\|[^()/\\\r\n]*\)"
    rb"|\*+|\?|@\w+@|#\{[^}\r\n]*\}"
    rb"|<%.*?%>|<[A-Za-z][\w .-]*>(?=[/\\])|&lt;[\w .-]*&gt;|\.{3}|\xe2\x80\xa6|%(?![0-9A-Fa-f]{2})"
)
# The start of an expression. If it is not closed before the quotes, these are a part of it: `"C:\\x\\$($a["k"])\\y"`.
_OPENS = re.compile(rb"\$[({]|#?\{|<%|\(\?[:<P=!]")
# PowerShell escapes a character by a backtick. In quotes it does so with `$`, elsewhere with a space as well.
_ESCAPED_BY_BACKTICK = re.compile(rb"`(?:\$| +[^\s`])")
# The same for a single name, without the required surroundings.
_WILD_PARTS = re.compile(rb"\.[*+]\??|\([^()/\\]*[*+?|^\[][^()/\\]*\)|" + _WILD.pattern.replace(rb"(?=[/\\])", b""))
_QUERY = re.compile(rb"[?&](?:amp;)?[A-Za-z_][\w.-]*=|\?(?=[^\w*?.\[{]|\Z)")
# What a regular expression has in place of a name: `.*`, `.+`, `(…)` with a metacharacter in it.
_ANY_NAME = re.compile(rb"\.[*+]\??|\([^()/\\]*[*+?|^\[][^()/\\]*\)")
_BRACKETS = re.compile(rb"\([^()/\\\r\n\"<>|:]*\)")
_NAMED_ENTITIES = rb"amp|lt|gt|quot|apos|nbsp"
_ENTITY = re.compile(rb"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|" + _NAMED_ENTITIES + rb");")
_CHARACTER_ESCAPE = re.compile(rb"\\{1,4}(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2}))")
_PERCENT = re.compile(rb"%(?:25)?([0-9a-fA-F]{2})")
# A new path or a new argument: the reference before it has ended.
_PATH_START = rb"[\"'(\[{<@]*(?:[A-Za-z]\\?:[/\\]|[/\\]|[A-Za-z][A-Za-z0-9+.-]{1,15}:|~[/\\]|\.{1,2}(?:[/\\]|\Z))"
_VARIABLE_START = rb"[\"'(\[{<@]*(?:\$\{?\w|%\w+%|!\w+!|\{\{|%~?[0-9])"
_START = rb"(?:" + _PATH_START + rb"|" + _VARIABLE_START + rb")"
NEW_WORD_IN_QUOTES = re.compile(
    _PATH_START + rb"|--?[A-Za-z]|--(?:\s|\Z)|\+[A-Za-z]|&&|\|\||(?:[#=;]+>?|->|=>|\\|\^|>>?|\xe2\x86[\x90-\x99])\Z|//"
)
_NEW_WORD = re.compile(NEW_WORD_IN_QUOTES.pattern + rb"|" + _VARIABLE_START)
# A path on a drive, where a name would not contain one: `copy a+C:\\b`, `-ffile-prefix-map=C:/a=C:/b`.
_DRIVE_START = re.compile(rb"[\"']?(?:[A-Za-z]\\?:[/\\]|/(?:(?:mnt|host_mnt|cygdrive)/)?[A-Za-z]/)")
_NEW_DRIVE = re.compile(rb"[A-Za-z]:[/\\]")
_DRIVE_IN_NAME = re.compile(rb"(?:[^A-Za-z0-9_/\\]|\\[nrt])[A-Za-z]\Z")
_AFTER_MARK = re.compile(rb"\s*(?:[A-Za-z_][\w.-]*=|" + _START + rb"|[\"'`\s]|\Z)")
_START_INSIDE = re.compile(rb"[=,;(:]+" + _START)
_REGION = re.compile(rb"[^\x00-\x08\x0a-\x1f\x7f\"<>|`]*")
_GLUED = re.compile(rb"[^\x00-\x20\x7f\"<>|:`]*")
_WORDS = re.compile(rb"\S+")
_DOTS = re.compile(rb"(?:[/\\;]|5[cC]|2[fF]|\A)\.\.(?![A-Za-z0-9_.-])")
# After a program's name a space may begin its arguments.
_PROGRAM = re.compile(rb"(?i)\.(?:exe|bat|cmd|com|ps1|py|sh|jar|msi|vbs|pl|rb|js)\Z")
# A path that continues after the quotes around a part of it, as in shells: `"C:\\x"\\y`, `/x"/y"`.
_BEHIND_QUOTES = re.compile(
    rb"(?:\\{0,3}[\"'`]){1,2}(?:/(?!/)|\\+(?![nrt\"'`\\](?![A-Za-z0-9_])))(\.\.(?![A-Za-z0-9_.]))?[A-Za-z0-9_$.%*{~]"
)
# In a shell, text directly behind quotes (or in quotes directly behind a path) belongs to the same word: `"/x"-old`,
# `/x/"$y"`, `/x/`cmd``. A method call does not.
_JOINED_BY_QUOTES = re.compile(
    rb"(?:\\{0,3}[\"'`]){1,2}(?![A-Za-z]:[/\\])(?:[A-Za-z0-9_$*]|\{[^{}\s]*,|%\w+%|-\w|\.\w+(?![\w(.\[]))([^\s\"'`]*)"
)
_SLASH_AND_BACKSLASH = re.compile(rb"/+\\\Z")
_QUOTED_STEP = re.compile(rb"[\"`][^\"`\r\n]*[\"`]\\")
_BEYOND_ASCII = re.compile(rb"[\x80-\xff]")
_INDENT = re.compile(rb"(?:\A|\n)([ \t]*)[^\n]*\Z")
# A line of a folded block scalar of YAML, whose lines are joined by spaces.
_FOLDED = re.compile(rb"[:-][ \t]+>[-+0-9]*[ \t]*(?:#[^\n]*)?\r?\n(?:[ \t]+\S[^\n]*\n)*[ \t]+[^\n]*\Z")
# A word followed by a colon and an absolute path, and the first word of the YAML list item before it.
MOUNT = re.compile(rb"[A-Za-z][A-Za-z0-9+.-]+:/(?!/)")
_LIST_ITEM = re.compile(rb"(?:\A|\n)[ \t]*-[ \t]+\S+\Z")
_NEXT_LINE = re.compile(rb"[ \t]*\r?\n([ \t]*)(\S[^\r\n]*)")
_LIST_MARK = re.compile(rb"(?:[-*+]|[0-9]+[.)])\s|[^\s:]+:(?:\s|\Z)")

_QUOTES = {b'"': b'"', b"'": b"'", b"`": b"`", b"*": b"*"}
# Quotes of more than one byte: escaped, encoded, or outside ASCII. German ones open low and close high.
_LONG_QUOTES = {
    mark: mark
    for mark in (
        b"&quot; &apos; &#34; &#39; &#x22; &#x27; \\u0022 \\u0027 \\x22 \\x27 %22 %27 &lt; \xe2\x80\x9d".split(b" ")
    )
} | {
    b"&gt;": b"&lt;",
    b"\xe2\x80\x9c": b"\xe2\x80\x9d",
    b"\xe2\x80\x9e": b"\xe2\x80",
    b"\xe2\x80\x98": b"\xe2\x80\x99",
    b"\xe2\x80\x9a": b"\xe2\x80",
    b"\xc2\xab": b"\xc2\xbb",
    b"\xc2\xbb": b"\xc2\xab",
    b"\xe3\x80\x8c": b"\xe3\x80\x8d",
    b"\xe3\x80\x8e": b"\xe3\x80\x8f",
}
_LONG_QUOTE_ENDS = tuple(_LONG_QUOTES)
_TAG_BEFORE = re.compile(rb"<[A-Za-z_][^<>]*>\Z")
# A quote that opens a word, not one that closes another.
_QUOTE_OF_WORD = re.compile(rb"(?:(?<=[=(\[{,:])|\A)([\"'`])[^\"'`]*\Z")
_SENTENCE = re.compile(rb"[,.;:!?](?:\s|\Z)")


@dataclass(slots=True)
class Node:
    """One folder of the tree that a map's locations form."""

    children: dict[str, Node] = field(default_factory=dict)
    entry: PathMapEntry | None = None
    is_target: bool = False
    odd: re.Pattern[bytes] | None = None


def build_tree(locations: Iterable[tuple[Location, PathMapEntry | None]]) -> dict[str, Node]:
    """The locations as a tree per drive; the entry None marks a location that already is a target."""
    roots: dict[str, Node] = {}
    for location, entry in locations:
        drive, parts = location.key
        node = roots.setdefault(drive, Node())
        for part in parts:
            child = node.children.get(part)
            if child is None:
                child = node.children[part] = Node()
                odd = sorted((name for name in node.children if set(name) - _SIMPLE), key=len, reverse=True)
                if odd:
                    flags = rb"(?i:" if drive else rb"(?:"
                    node.odd = re.compile(flags + b"|".join(map(part_pattern, odd)) + rb")")
            node = child
        if entry:
            node.entry = entry
        else:
            node.is_target = True
    return roots


_SIMPLE = frozenset(UNRESERVED | {"+", "@"})


class Region(NamedTuple):
    """The surroundings of a reference: how far it may reach, and whether quotes determine that."""

    stop: int
    quoted: bool = False
    unclosed: bool = False
    verbatim: bool = False


class Step(NamedTuple):
    """One step of a path: the separators before it, its bytes, and its name."""

    separator: bytes
    raw: bytes
    name: str


@dataclass(frozen=True, slots=True)
class Reading:
    """The result of reading a reference: its steps without `.` and `..`, the entry that covers it, and how many steps.

    `reason` says why the reference stays; `reported` whether that is reported even without a mention.
    """

    end: int
    steps: tuple[Step, ...]
    entry: PathMapEntry | None
    covered: int
    trailing: bytes
    is_target: bool
    reason: str
    reported: bool
    quoted: bool
    # Whether another plain name as the last step would be rewritten in the same way.
    is_free: bool


def region_of(data: bytes, start: int, head: int, base: int) -> Region:
    """How far a reference that begins at `start` may reach, from the quotes before it."""
    stop = min(len(data), head + REFERENCE_MAX)
    before = data[base:start]
    closer = _QUOTES.get(before[-1:])
    if closer:
        escapes = len(before) - 1 - len(before[:-1].rstrip(b"\\"))
        closer = b"\\" * escapes + closer
    elif before.endswith(_LONG_QUOTE_ENDS):
        closer = next(close for mark, close in _LONG_QUOTES.items() if before.endswith(mark))
    elif before.endswith(b">") and _TAG_BEFORE.search(before):
        closer = b"<"
    opened = closer is not None
    if closer is None:
        word_start = max(before.rfind(b" "), before.rfind(b"\n"), before.rfind(b"\t")) + 1
        word = _QUOTE_OF_WORD.search(before, word_start) if word_start < len(before) else None
        if word is None:
            return Region(stop)
        line = before[before.rfind(b"\n") + 1 : word.end(1)]
        if line.count(word.group(1)) % 2 == 0:
            return Region(stop)
        closer = word.group(1)
    line_end = data.find(b"\n", head, stop)
    line_end = stop if line_end < 0 else line_end
    close = data.find(closer, head, line_end)
    if closer == b"'":
        while close >= 0 and (
            data[close + 1 : close + 2] == b"'" or (close + 1 < line_end and data[close + 1] in _WORD)
        ):
            close = data.find(closer, close + (2 if data[close + 1 : close + 2] == b"'" else 1), line_end)
    if close < 0:
        return Region(stop, unclosed=opened and closer in (b'"', b"'"))
    if closer == b"*" and data[close - 1] in b"/\\":
        # A wildcard, not the emphasis mark of Markdown.
        return Region(stop)
    if closer == b"<" and _SENTENCE.search(data, head, close):
        return Region(stop)
    return Region(close, quoted=True)


def _decoded(raw: bytes, level: int) -> str:
    """A name as the map writes it."""
    for _round in range(level):
        raw = unquote_to_bytes(raw)
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        text = raw.decode("cp1252", "surrogateescape")
    if "&" in text and ";" in text:
        text = html.unescape(text)
    if "\\" in text:
        text = re.sub(r"\\+(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2}))", lambda m: chr(int(m[1] or m[2], 16)), text)
        text = re.sub(r"\\(.)", r"\1", text)
    if "^" in text:
        text = re.sub(r"\^([&|<>^()%!])", r"\1", text)
    return text


def backslash_unit(run: bytes) -> int:
    """The number of backslashes per separator in a spelling with the separators `run`; 0 for other spellings."""
    if run.strip(b"\\"):
        return 2 if run.startswith(b"\\") and b"/" not in run else 0
    return 4 if len(run) >= 4 else 2 if len(run) >= 2 else 1


class Reader:
    """Reads one reference; an instance is used once."""

    def __init__(self, data: bytes, region: Region, run: bytes, level: int, fold: bool, base: int) -> None:
        self._data, self._region, self._stop = data, region, region.stop
        self._first_run, self._level, self._fold, self._base = run, level, fold, base
        self._unit = backslash_unit(run)
        self._slashes = self._unit == 0 and not (ENCODED_SEPARATOR.match(run) and run[-1:] in b"cC")
        self._reason = ""
        self._reported = False
        self._quoted = region.quoted
        self._goes_on = False
        self._root: Node | None = None
        self._separated = False
        # Whether only the spelling of the separators after the reference is in doubt.
        self._only_turns = True

    def read(self, head: int, root: Node, run: bytes) -> Reading:
        """Read the reference whose first name is at `head`."""
        data, stop = self._data, self._stop
        self._root = root
        steps: list[Step] = []
        nodes: list[Node | None] = [root]
        separator, position, end, trailing = run, head, head, b""
        dots = passed = False
        while True:
            node = nodes[-1]
            start = position
            position, wild, ended = self._name(position, node)
            raw = data[start:position]
            if ended and not self._region.verbatim:
                # `-->` closes a comment.
                stripped = raw.rstrip(b"-.") if data[position : position + 1] == b">" else raw.rstrip(b".")
                if stripped:
                    raw = stripped
                elif len(raw) == 1:
                    raw = b""
                position = start + len(raw)
            if not raw and ended:
                trailing = separator if steps or dots else b""
                break
            end = position
            name = _decoded(raw, self._level)
            if name == "..":
                dots = True
                if steps:
                    steps.pop()
                    nodes.pop()
                else:
                    self._doubt("leaves-map")
                    nodes = [None]
            elif name == ".":
                dots = True
            else:
                child = self._child(node, name, raw)
                if child is None and node is not None and node.children and self._may_end_before(raw, position, node):
                    self._doubt("name-goes-on")
                if wild and node is not None and child is None and self._may_be(raw, node):
                    self._doubt("several-places")
                    self._reported = True
                steps.append(Step(separator, raw, name))
                nodes.append(child)
                if child is not None and (child.entry or child.is_target):
                    passed = True
            if ended or self._reason:
                break
            found, position = self._separator(position, nodes[-1])
            if not found:
                break
            separator, end = found, position
            if position >= stop:
                trailing = separator
                break
        if not self._reason and not self._region.verbatim:
            self._look_behind_quotes(end, nodes[-1], trailing)
        if end >= self._stop and not self._quoted and not self._region.verbatim and self._stop < len(data):
            self._doubt("unclear-end")
            self._only_turns = False
        return self._result(end, steps, nodes, trailing, dots, passed)

    def _look_behind_quotes(self, end: int, node: Node | None, trailing: bytes) -> None:
        """A path that continues after its quotes is in doubt if what follows matters."""
        found = _BEHIND_QUOTES.match(self._data, end, min(len(self._data), end + 16))
        if found:
            self._only_turns = not (node and node.children) and not found.group(1)
            if not self._only_turns or not self._slashes:
                self._doubt("unclear-end")
            return
        found = _JOINED_BY_QUOTES.match(self._data, end, min(len(self._data), end + LOOK_AHEAD))
        if not found or (self._quoted and self._data[end] == 96):
            # In Markdown a word may follow the marks of code.
            return
        if node is not None and (node.children or not trailing):
            self._doubt("several-places" if trailing else "name-goes-on")
        elif not self._slashes and (
            b"\\" in found.group(1) or (not self._quoted and _QUOTED_STEP.match(self._data, end, end + LOOK_AHEAD))
        ):
            self._doubt("unclear-end")

    def _result(
        self, end: int, steps: list[Step], nodes: list[Node | None], trailing: bytes, dots: bool, passed: bool
    ) -> Reading:
        covered = max((at for at, node in enumerate(nodes) if node and (node.entry or node.is_target)), default=0)
        node = nodes[covered] if covered else None
        entry = node.entry if node and not node.is_target else None
        is_target = bool(node and node.is_target)
        reason, reported = self._reason, self._reported
        if reason == "unclear-end" and self._only_turns and entry and entry.target.text_drive:
            # With a Windows target the rest stays as it is, whether or not it belongs to the path.
            reason = ""
        if entry is None and not is_target:
            if dots and passed:
                reason, reported = "leaves-map", True
            elif self._goes_on:
                reason, reported = "name-goes-on", True
            elif not reported:
                reason = "unmapped"
        elif is_target:
            reason, reported = "", False
        elif reason:
            reported = True
        above = nodes[-2] if len(nodes) > 1 else nodes[-1]
        is_free = covered < len(steps) and not trailing and not (above and above.children)
        return Reading(end, tuple(steps), entry, covered, trailing, is_target, reason, reported, self._quoted, is_free)

    def _doubt(self, reason: str) -> None:
        if not self._reason:
            self._reason = reason

    def _key(self, name: str) -> str:
        return name.lower() if self._fold else name

    def _child(self, node: Node | None, name: str, raw: bytes) -> Node | None:
        if node is None or not node.children:
            return None
        child = node.children.get(self._key(name))
        if child is None and not self._level and b"%" in raw:
            child = node.children.get(self._key(_decoded(raw, 1)))
        return child

    def _may_end_before(self, raw: bytes, position: int, node: Node) -> bool:
        """Whether a folder of the map is followed by characters that may not belong to its name.

        These are dashes and the like at the name's end, and letters of scripts that put no space between words.
        """
        if self._region.verbatim or (self._quoted and position == self._stop):
            return False
        # Windows ignores dots at the end of a name.
        begins = {raw.rstrip(b"-+~@.")}
        foreign = _BEYOND_ASCII.search(raw)
        if foreign:
            begins.add(raw[: foreign.start()])
        return any(begin != raw and self._child(node, _decoded(begin, self._level), begin) for begin in begins)

    def _may_be(self, raw: bytes, node: Node) -> bool:
        """Whether a name with a variable or wildcard may stand for a folder of the map."""
        literal = [re.escape(self._key(_decoded(piece, self._level))) for piece in _WILD_PARTS.split(raw)]
        pattern = re.compile(".*".join(literal), re.S)
        return any(pattern.fullmatch(name) for name in node.children)

    def _name(self, position: int, node: Node | None) -> tuple[int, bool, bool]:
        """Read one name: its end, whether it contains a variable or wildcard, whether the reference ends with it."""
        data, stop = self._data, self._stop
        if self._region.verbatim:
            found = _VERBATIM.match(data, position, stop)
            position = found.end() if found else stop
            return position, False, position >= stop
        start, wild = position, False
        if node is not None and node.odd:
            odd = node.odd.match(data, position, stop)
            if odd:
                position = odd.end()
        while True:
            position = _PLAIN.match(data, position, stop).end()  # type: ignore[union-attr]
            if position >= stop:
                if stands_for_any(data[start:position]):
                    return position, True, True
                return position, wild, True
            byte = data[position]
            if byte in b"/\\" or (byte in b"%&" and RUNS.match(data, position, stop)):
                if byte == 92:
                    kind, after = self._backslash(start, position, node)
                    if kind == "character":
                        position = after
                        continue
                    return position, wild, kind == "end"
                return position, wild or stands_for_any(data[start:position]), False
            kind, after = self._mark(start, position, node)
            if kind == "end":
                return position, wild or stands_for_any(data[start:position]), True
            if kind == "doubt":
                sensitive = self._sensitive(start, position, node)
                self._doubt("name-goes-on" if sensitive else "unclear-end")
                return position, wild, True
            wild = wild or kind == "wild"
            position = after

    def _sensitive(self, start: int, position: int, node: Node | None) -> bool:
        """Whether the name so far is a folder of the map, so that a longer name would mean another folder."""
        raw = self._data[start:position]
        return self._child(node, _decoded(raw, self._level), raw) is not None or (
            node is not None and self._child(node, _decoded(raw.rstrip(b"."), self._level), raw) is not None
        )

    def _mark(self, start: int, position: int, node: Node | None) -> tuple[str, int]:
        """The meaning of a character that may belong to a name or not: `end`, `name`, `wild` or `doubt`."""
        data, stop = self._data, self._stop
        byte = data[position]
        if not self._level and _OPENS.match(data, position) and not _WILD.match(data, position, stop):
            if node is not None and node.children:
                self._doubt("several-places")
            return "doubt", position
        placeholder = _WILD.match(data, position, stop) if byte in b"<&" else None
        if placeholder:
            return "wild", placeholder.end()
        if (
            byte == 96
            and _ESCAPED_BY_BACKTICK.match(data, position)
            and not (self._quoted and data[position + 1] == 32)
        ):
            return "doubt", position
        if byte == 58 and self._begins_again(position):
            self._only_turns = False
            return "doubt", position
        if byte in _ENDS:
            return self._end_of_line(start, position, node) if byte in b"\r\n" else ("end", position)
        dots = position
        while dots > start and data[dots - 1] == 46:
            dots -= 1
        marks = _TRAILING_MARKS.match(data, dots, stop)
        if marks and marks.end() >= position:
            if marks.end() < stop and data[marks.end()] in b" \t":
                return self._space(start, dots, marks.end(), node)
            if marks.end() < stop and data[marks.end()] in b"\r\n":
                return self._end_of_line(start, marks.end(), node)
            if marks.end() > position:
                return "end", position
        if byte == 32 or _FOREIGN_SPACE_HERE.match(data, position):
            return self._space(start, position, position, node)
        if self._level:
            return self._encoded_mark(start, position, node)
        if _FOREIGN_END_HERE.match(data, position):
            return "end", position
        if byte in b"=+" and _DRIVE_START.match(data, position + 1, stop):
            return "end", position
        sensitive = self._sensitive(start, position, node)
        if byte == 38:
            return self._ampersand(start, position, sensitive)
        wild = _WILD.match(data, position, stop)
        if wild and not _QUERY.match(data, position, stop):
            return "wild", wild.end()
        if byte == 63:
            return "end", position
        after = position + 1
        apostrophe = _APOSTROPHE_HERE.match(data, position)
        if apostrophe:
            after = apostrophe.end()
            if data[position : position + 2] == b"''" and not sensitive:
                # SQL, YAML and PowerShell double an apostrophe within quotes.
                after = position + 2
            if after >= stop or data[after] not in _WORD:
                return "end", position
            # In a shell `/x/'y'` is `/x/y`.
            joined = position == start and not self._quoted and node is not None and bool(node.children)
            return ("doubt" if sensitive or joined else "name"), after
        if byte in b",;":
            if _AFTER_MARK.match(data, after, min(stop, after + 64)):
                return "end", position
            if sensitive and byte == 44:
                return "doubt", position
            return self._far(position, after)
        if byte in b")]}":
            if self._quoted and not sensitive:
                return "name", after
            followed = after < stop and data[after] in b"/\\"
            return ("doubt" if followed else "end"), position
        if byte == 40:
            brackets = _BRACKETS.match(data, position, stop)
            if sensitive:
                return "doubt", position
            return ("name", brackets.end()) if brackets else self._far(position, after)
        return ("doubt" if sensitive else "name"), after

    def _begins_again(self, colon: int) -> bool:
        """Whether another path begins at the letter before a colon: `C:/a-C:/a`. In `C:/a-b:/x` a mount follows."""
        letter = _DRIVE_IN_NAME.search(self._data, max(self._base, colon - 4), colon)
        run = RUNS.match(self._data, colon + 1, self._stop)
        if not letter or not run:
            return False
        name = _PLAIN.match(self._data, run.end(), self._stop).group()  # type: ignore[union-attr]
        return self._root is not None and self._child(self._root, _decoded(name, self._level), name) is not None

    def _far(self, position: int, after: int) -> tuple[str, int]:
        """Marks that often separate and often belong to names: in doubt only if separators follow that would change."""
        if self._quoted:
            return "name", after
        rest = _GLUED.match(self._data, after, min(self._stop, after + LOOK_AHEAD))
        if rest is None:
            raise AssertionError("the pattern matches the empty text")
        continues = self._continues(rest.group(), sensitive=False)
        kind, _after = self._space(position, position, rest.end(), None)
        return ("doubt" if continues else kind), position

    def _ampersand(self, start: int, position: int, sensitive: bool) -> tuple[str, int]:
        data, stop = self._data, self._stop
        entity = _ENTITY.match(data, position, stop)
        if entity:
            character = html.unescape(entity.group().decode())
            if character in "\"'<>|:*?`\n\r\t":
                followed = entity.end() < stop and data[entity.end()] in _WORD
                if character == "'" and followed:
                    return ("doubt" if sensitive else "name"), entity.end()
                return "end", position
            if sensitive:
                return "doubt", position
            return "name", entity.end()
        if data[position : position + 2] == b"&&" or _QUERY.match(data, position, stop):
            return "end", position
        return ("doubt", position) if sensitive else self._far(position, position + 1)

    def _encoded_mark(self, start: int, position: int, node: Node | None) -> tuple[str, int]:
        """The same as `_mark` for percent-encoded text and URLs, where other characters end a path."""
        data, stop = self._data, self._stop
        sensitive = self._sensitive(start, position, node)
        found = _PERCENT.match(data, position, stop)
        if not found:
            wild = _WILD.match(data, position, stop)
            if wild and data[position] in b"${%*":
                return "wild", wild.end()
            if data[position] in b",=" and _AFTER_MARK.match(data, position + 1, min(stop, position + 65)):
                return "end", position
            goes_on = position + 1 < stop and data[position + 1] in _WORD
            if sensitive and data[position] in b",='(!$[" and goes_on and not _QUERY.match(data, position, stop):
                return "doubt", position
            return ("name", position + 1) if data[position] in b"!$'()=" and goes_on else ("end", position)
        byte = int(found.group(1), 16)
        if byte in _ENDS or byte in b"'\"":
            return "end", position
        if byte in b"*?":
            return "wild", found.end()
        if byte in _WORD or byte in b" -.~+@":
            return "name", found.end()
        following = _PERCENT.match(data, found.end(), stop)
        if following:
            closes = int(following.group(1), 16) in b"\"'<>\r\n\t`,;)]}"
        else:
            closes = found.end() >= stop or data[found.end()] not in _WORD
        if closes:
            return "end", position
        if sensitive:
            return "doubt", position
        rest = _GLUED.match(data, found.end(), min(stop, found.end() + LOOK_AHEAD)).group()  # type: ignore[union-attr]
        return ("doubt" if ENCODED_SEPARATOR.search(rest) else "end"), position

    def _space(self, start: int, name_end: int, position: int, node: Node | None) -> tuple[str, int]:
        """The meaning of a space after a name, which depends on the words that follow.

        A word that begins a path, an option or an operator ends the reference. A word with a separator in it may
        continue the path: in quotes it does, elsewhere the reference is in doubt.
        """
        if self._level:
            return "end", position
        sensitive = self._sensitive(start, name_end, node)
        kind = self._words(position, sensitive)
        if kind == "doubt" and self._quoted and self._separated and not _PROGRAM.search(self._data[start:name_end]):
            self._goes_on = self._goes_on or sensitive
            return "name", _SPACES.match(self._data, position, self._stop).end()  # type: ignore[union-attr]
        return kind, position

    def _words(self, position: int, sensitive: bool) -> str:
        """Whether the words from `position` on may continue the path: `end` or `doubt`."""
        region = _REGION.match(self._data, position, min(self._stop, position + LOOK_AHEAD))
        if region is None:
            raise AssertionError("the pattern matches the empty text")
        begins = NEW_WORD_IN_QUOTES if self._quoted else _NEW_WORD
        words = 0
        self._separated = False
        for found in _WORDS.finditer(region.group()):
            word = found.group()
            if begins.match(word):
                # `- C:/x my:/data`: a list item whose path may continue up to the colon of a mount.
                mounts = sensitive and MOUNT.match(word) and _LIST_ITEM.search(self._data[self._base : position])
                self._separated = self._separated or bool(mounts)
                break
            inside = _START_INSIDE.search(word)
            colon = word.find(b":")
            cut = min(inside.start() if inside else len(word), colon if colon >= 0 else len(word))
            words += 1
            # All words are examined, because a step `..` in a later one takes precedence.
            self._separated = self._continues(word[:cut], sensitive) or self._separated
            if cut < len(word):
                break
        return "doubt" if self._separated or (self._quoted and sensitive and words) else "end"

    def _continues(self, word: bytes, sensitive: bool) -> bool:
        """Whether a word holds separators that would be rewritten if it belonged to the path."""
        if _DOTS.search(word):
            self._only_turns = False
            return True
        if ESCAPED_SEPARATOR.search(word):
            return True
        if self._slashes:
            return sensitive and b"/" in word
        unit = self._unit
        if unit <= 1:
            return b"\\" in word
        return b"\\" * unit in word or bool(re.search(rb"\\(?![nrtbfu0x\"'\\])\w", word))

    def _end_of_line(self, start: int, position: int, node: Node | None) -> tuple[str, int]:
        """A name at the end of a line, which YAML may continue on the next line if that is indented more."""
        data = self._data
        following = _NEXT_LINE.match(data, position, min(len(data), position + LOOK_AHEAD))
        if self._quoted or self._level or not following:
            return "end", position
        sensitive = self._sensitive(start, position, node)
        if not self._region.unclosed:
            before = data[self._base : start]
            own = _INDENT.search(before)
            deeper = own and len(following.group(1)) > len(own.group(1))
            if not deeper and not (own and len(following.group(1)) == len(own.group(1)) and _FOLDED.search(before)):
                return "end", position
        elif sensitive:
            return "doubt", position
        if _LIST_MARK.match(following.group(2)):
            return "end", position
        return self._words(following.start(2), sensitive), position

    def _backslash(self, start: int, position: int, node: Node | None) -> tuple[str, int]:
        """The meaning of backslashes after a name: `separator`, `end`, or a `character` of the name."""
        data, stop = self._data, self._stop
        run = RUNS.match(data, position, stop)
        if run is None:
            raise AssertionError("a separator is at this position")
        found = run.group()
        if found.strip(b"\\"):
            escape = _CHARACTER_ESCAPE.match(data, position, stop)
            if not escape or b"/" in found or RUNS.match(data, position, escape.end()):
                return "separator", position
        count = len(found) - len(found.lstrip(b"\\"))
        unit = self._unit
        if unit == 1 or (unit >= 2 and count >= unit):
            return "separator", position
        if unit == 0 and count >= 2:
            after = position + count
            goes_on = after < stop and (data[after] in _WORD or data[after] in b"$%.*{")
            return ("separator" if goes_on else "end"), position
        after = position + count
        if after >= stop or data[after] in b"\"'`\r\n":
            if after < stop and self._is_joined_to_next_line(after):
                if self._sensitive(start, position, node):
                    self._doubt("name-goes-on")
                elif start == position and node is not None and node.children:
                    self._doubt("several-places")
            return "end", position
        escape = _CHARACTER_ESCAPE.match(data, position, stop)
        if escape:
            character = chr(int(escape.group(1) or escape.group(2), 16))
            if character in "\"'<>|:*?`" or ord(character) < 32:
                return "end", position
            if self._sensitive(start, position, node):
                self._doubt("name-goes-on")
                return "end", position
            return "character", escape.end()
        raw = data[start:position]
        child = self._child(node, _decoded(raw, self._level), raw)
        following = _PLAIN.match(data, after, stop).group()  # type: ignore[union-attr]
        if child is not None and self._child(child, _decoded(following, self._level), following):
            return "separator", position
        letter = data[after : after + 1]
        if letter in (b"n", b"r", b"t") and _NEW_DRIVE.match(data, after + 1, stop):
            return "end", position
        if letter in (b"n", b"r", b"t", b"a", b"b", b"f", b"v", b"0") and len(following) == 1:
            return "end", position
        if unit == 0 and data[after] not in _WORD:
            if data[after] in b" ()[]{}&#,;=!$'^%":
                return "character", after + 1
            return "end", position
        if unit == 0 and letter not in (b"n", b"r", b"t", b"a", b"b", b"f", b"v", b"u", b"x", b"0", b"d", b"s", b"w"):
            return "separator", position
        self._doubt("name-goes-on" if child is not None else "unclear-end")
        return "end", position

    def _is_joined_to_next_line(self, position: int) -> bool:
        """Whether a backslash before `position` joins the next line: a shell keeps its indentation, YAML does not."""
        following = _NEXT_LINE.match(self._data, position, min(len(self._data), position + LOOK_AHEAD))
        return following is not None and (self._region.unclosed or not following.group(1))

    def _separator(self, position: int, node: Node | None) -> tuple[bytes, int]:
        """The separators at `position`; empty if there are none."""
        if self._region.verbatim:
            found = RUNS.match(self._data, position, self._stop)
            return (found.group(), found.end()) if found else (b"", position)
        data, stop = self._data, self._stop
        found = RUNS.match(data, position, stop)
        if not found:
            return b"", position
        run = found.group()
        # `\\\"`: the separator of a text that is escaped twice, and an escaped quote.
        if (
            not run.strip(b"\\")
            and self._unit >= 2
            and len(run) > self._unit
            and data[found.end() : found.end() + 1] in (b'"', b"'")
        ):
            run = run[: self._unit]
        if self._unit == 0 and _SLASH_AND_BACKSLASH.match(run):
            if data[found.end() : found.end() + 1] in (b"\n", b"\r"):
                # It joins the next line.
                run = run[:-1]
            else:
                # An escape of a regular expression, such as `/\w+`, or a separator.
                self._doubt("several-places" if node is not None and node.children else "unclear-end")
                self._only_turns = False
                return b"", position
        return run, position + len(run)


def stands_for_any(raw: bytes) -> bool:
    """Whether a name is a placeholder for any name: three dots, or a part of a regular expression."""
    return raw in (b"...", b"\xe2\x80\xa6") or _ANY_NAME.search(raw) is not None
