# SPDX-License-Identifier: GPL-3.0-or-later
"""Relative paths in Compose files: edited at the positions of their YAML nodes, or left whole with a reason.

Compose resolves a relative path against one folder, usually that of the file (`ComposeContext.folders`). If the map
moves that folder and the target of the path differently, the path has to change. Absolute paths are handled by
`rewriter.Rules`, in these nodes too.
"""

from __future__ import annotations

import hashlib
import posixpath
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from ansible.module_utils.rewriting.compose_nodes import Node, ParseError, parse
from ansible.module_utils.rewriting.compose_reasons import Reason
from ansible.module_utils.rewriting.compose_schema import Role, Use, read
from ansible.module_utils.rewriting.edits import Edit
from ansible.module_utils.rewriting.path_map import Location, MapError, PathMap, parse_location
from ansible.module_utils.shared.masking import mask_line

_ABSOLUTE = re.compile(r"/|\\\\|[A-Za-z]:(?:[/\\]|\Z)")
_REMOTE = re.compile(r"github\.com/|git@|.*://")
# What Compose treats as a folder although the text begins like something else.
_NEEDS_DOT = re.compile(r"[~$-]|github\.com/|git@|service:|[A-Za-z]:|.*://")
_EXPLICIT = re.compile(r"\.{1,2}(?:[/\\]|\Z)")
_VARIABLE_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_BRACED = re.compile(r"\$\{(?P<name>[A-Za-z_]\w*)(?P<operator>:?[-?+]|\})?", re.ASCII)
_SECCOMP = re.compile(r"seccomp[:=](?P<path>.+)", re.S)
_CACHE_PLACE = re.compile(r"(?:\A|,)\s*(?:src|dest)=(?P<path>[^,]+)")
# Characters shown of the line of a leftover.
_TEXT_MAX = 200
# A line that seems to contain a relative path, in a file that is not YAML.
_SUGGESTS_PATH = re.compile(
    r"(?m)^[ \t]*(?:-[ \t]+)?(?:[\w.\"'-]+[ \t]*:[ \t]+)?[\[\"' ]*(?P<path>\.{1,2}[/\\][^\s\"':,\]}]*)"
    r"|^[ \t]*(?:-[ \t]+)?(?:build|context|dockerfile|env_file|label_file|file|path|source|project_directory)[ \t]*:"
    r"[ \t]+[\"']?(?P<named>[^\s\"':,\]}]+)"
)


class ComposeLeftover(NamedTuple):
    """A path that was left although it may have to change; `line` counts from 1."""

    line: int
    text: str
    reason: Reason


@dataclass(slots=True)
class ComposePlan:
    """The edits of a Compose file, at positions in its bytes, and the references that stay."""

    edits: list[Edit] = field(default_factory=list)
    leftovers: list[ComposeLeftover] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder that relative paths are resolved against: before the migration, and after it if the map says so."""

    drive: str
    parts: tuple[str, ...]
    after: Location | None


@dataclass(frozen=True, slots=True)
class ComposeContext:
    """How Compose reads one file of the tree.

    Attributes:
        folders: what its relative paths are resolved against; several if several projects read it, none if the
            location of the tree in the map is not known.
        is_certain: whether it is a Compose file; if not, no path is edited, and those that move are reported.
        is_root: whether it is read as a project's own file, not only through `include` or `extends`.
        variables: values of variables that `.env` files give.
        guesses: other folders that it may be read from, if it is given with `-f` after another file.
        tree: the names in the tree's root folder; a path that leads out of it shows that a guess is wrong.
    """

    folders: tuple[Folder, ...]
    is_certain: bool = True
    is_root: bool = True
    variables: tuple[tuple[str, str], ...] = ()
    guesses: tuple[Folder, ...] = ()
    tree: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """Equal for contexts in which a file is read in the same way."""
        return hashlib.sha256(repr(self).encode("utf-8", "surrogateescape")).hexdigest()[:32]


class _Piece(NamedTuple):
    """A part of a text: `name` is None for plain characters; `start` and `end` are positions in the text."""

    start: int
    end: int
    text: str
    name: str | None = None
    operator: str = ""


class _Change(NamedTuple):
    """Replace the characters `start` to `end` of a scalar's value by `new`."""

    start: int
    end: int
    new: str


class _Replacement(NamedTuple):
    """A change of a scalar as a change of the file: replace the characters `start` to `end` of its text by `new`."""

    node: Node
    change: _Change
    start: int
    end: int
    new: str


# The verdict on a path: nothing to do (None), a change, or a reason to leave it.
_Verdict: TypeAlias = "_Change | Reason | None"


def plan_paths(data: bytes, context: ComposeContext, path_map: PathMap) -> ComposePlan:
    """The edits that the relative paths of a Compose file need, and what is left over, with reasons.

    Args:
        data: the file, in UTF-8.
        context: how Compose reads it.
        path_map: the path map.
    """
    try:
        text = data.decode("utf-8")
        roots = parse(text)
    except UnicodeDecodeError:
        return ComposePlan(leftovers=_suggested(data.decode("latin-1"), context, path_map, Reason.NOT_YAML))
    except ParseError as error:
        reason = Reason.NO_PARSER if error.code == "no-parser" else Reason.NOT_YAML
        return ComposePlan(leftovers=_suggested(text, context, path_map, reason))
    planner = _Planner(text, context, path_map)
    for node, uses in read(roots).uses.values():
        planner.take(node, uses)
    return planner.plan(roots)


def _suggested(text: str, context: ComposeContext, path_map: PathMap, reason: Reason) -> list[ComposeLeftover]:
    """Texts that look like relative paths that would move, in a file whose structure is not known."""
    found = []
    judge = _Judge(context, path_map)
    for match in _SUGGESTS_PATH.finditer(text):
        group = match.lastgroup or ""
        if judge.path(match[group]) is not None:
            line = text.count("\n", 0, match.start(group)) + 1
            found.append(ComposeLeftover(line, _line(text, *match.span(group)), reason))
    return found


def _line(text: str, start: int, end: int) -> str:
    """The text of the lines from one position to another, as one line."""
    first, last = text.rfind("\n", 0, start) + 1, text.find("\n", end)
    lines = text[first : last if last >= 0 else len(text)].split("\n")
    return mask_line(" ".join(filter(None, map(str.strip, lines))))[:_TEXT_MAX]


class _Planner:
    """Collects edits and leftovers of one file."""

    def __init__(self, text: str, context: ComposeContext, path_map: PathMap) -> None:
        self._text, self._context, self._path_map = text, context, path_map
        self._judge = _Judge(context, path_map)
        self._changes: list[_Replacement] = []
        self._left: dict[int, ComposeLeftover] = {}

    def take(self, node: Node, uses: list[Use]) -> None:
        """Decide about one scalar; the verdicts for all its uses have to agree."""
        verdicts = [self._judge.use(node, use) for use in uses]
        reasons = [verdict for verdict in verdicts if isinstance(verdict, Reason)]
        if reasons:
            self._leave(node, reasons[0])
        elif any(verdict != verdicts[0] for verdict in verdicts):
            self._leave(node, Reason.SEVERAL_USES)
        elif isinstance(verdicts[0], _Change):
            self._change(node, verdicts[0])

    def _leave(self, node: Node, reason: Reason) -> None:
        self._left[id(node)] = ComposeLeftover(
            node.line, _line(self._text, node.start, max(node.start, node.end - 1)), reason
        )

    def _change(self, node: Node, change: _Change) -> None:
        if not self._context.is_certain:
            self._leave(node, Reason.NOT_COMPOSE)
            return
        spans = node.spans(self._text)
        if spans is None:
            self._leave(node, Reason.SEVERAL_LINES)
            return
        spelled = _spelled(change.new, node.style)
        self._changes.append(_Replacement(node, change, spans[change.start][0], spans[change.end - 1][1], spelled))

    def plan(self, roots: list[Node]) -> ComposePlan:
        """The whole plan, in bytes. The edited text is parsed again: only the changed paths may differ."""
        self._changes.sort(key=lambda item: item.start)
        if self._changes and not self._reads_as_wanted(roots, self._changes):
            alone = [item for item in self._changes if self._reads_as_wanted(roots, [item])]
            together = alone if self._reads_as_wanted(roots, alone) else []
            for item in self._changes:
                if item not in together:
                    self._leave(item.node, Reason.NEEDS_QUOTES)
            self._changes = together
        positions = {position for item in self._changes for position in (item.start, item.end)}
        byte = dict(_byte_positions(self._text, sorted(positions)))
        edits = [Edit(byte[item.start], byte[item.end], item.new.encode()) for item in self._changes]
        return ComposePlan(edits, sorted(self._left.values(), key=lambda item: item.line))

    def _reads_as_wanted(self, roots: list[Node], changes: list[_Replacement]) -> bool:
        pieces, position = [], 0
        wanted = {}
        for item in changes:
            pieces += [self._text[position : item.start], item.new]
            position = item.end
            value, change = item.node.value, item.change
            wanted[id(item.node)] = value[: change.start] + change.new + value[change.end :]
        pieces.append(self._text[position:])
        try:
            again = parse("".join(pieces))
        except ParseError:
            return False
        return _shape(again, {}) == _shape(roots, wanted)


def _shape(roots: list[Node], wanted: dict[int, str]) -> list[tuple[object, ...]]:
    """The nodes as a list that is equal for texts of the same meaning."""
    numbers: dict[int, int] = {}
    found: list[tuple[object, ...]] = []
    waiting = list(reversed(roots))
    while waiting:
        node = waiting.pop()
        if id(node) in numbers:
            found.append(("again", numbers[id(node)]))
            continue
        numbers[id(node)] = len(numbers)
        keys = [key for key, _value in node.pairs]
        found.append((node.kind, wanted.get(id(node), node.value), len(node.items), len(keys), len(node.merged)))
        waiting += reversed([*node.items, *keys, *(value for _key, value in node.pairs), *node.merged])
    return found


def _byte_positions(text: str, positions: Iterable[int]) -> Iterator[tuple[int, int]]:
    """The byte position of each of the sorted character positions."""
    last = count = 0
    for position in positions:
        count += len(text[last:position].encode())
        last = position
        yield position, count


def _spelled(new: str, style: str) -> str:
    """A part of a scalar in its style of quoting; parsing the result shows whether that is possible."""
    if style == "'":
        return new.replace("'", "''")
    if style == '"':
        return new.replace("\\", "\\\\").replace('"', '\\"')
    return new


def _pieces(text: str) -> list[_Piece] | None:
    """A text split into plain characters and variables, as Compose does; None if Compose would reject it."""
    found: list[_Piece] = []
    position = 0
    while position < len(text):
        dollar = text.find("$", position)
        if dollar < 0:
            dollar = len(text)
        if dollar > position:
            found.append(_Piece(position, dollar, text[position:dollar]))
            position = dollar
            continue
        if text.startswith("$$", position):
            found.append(_Piece(position, position + 2, "$"))
            position += 2
            continue
        braced = _BRACED.match(text, position)
        if braced:
            end = _closing(text, position)
            if end is None or braced["operator"] is None:
                return None
            inner = "" if braced["operator"] == "}" else text[braced.end() : end - 1]
            operator = "" if braced["operator"] == "}" else braced["operator"]
            found.append(_Piece(position, end, inner, braced["name"], operator))
            position = end
            continue
        name = _VARIABLE_NAME.match(text, position + 1)
        if not name:
            return None
        found.append(_Piece(position, name.end(), "", name.group()))
        position = name.end()
    return found


def _closing(text: str, start: int) -> int | None:
    """The position after the brace that ends a variable."""
    depth = 0
    for position in range(start, len(text)):
        if text.startswith("${", position):
            depth += 1
        elif text[position] == "}":
            depth -= 1
            if depth == 0:
                return position + 1
    return None


def volume_source(spec: str) -> str:
    """The source of a short volume as Compose splits it off, with its variables; "" if there is none."""
    if len(spec) <= 2:
        return ""
    depth = 0
    for position, character in enumerate(spec):
        if spec.startswith("${", position):
            depth += 1
        elif character == "}" and depth:
            depth -= 1
        elif character == ":" and not depth and not (position == 1 and spec[0].isalpha()):
            return spec[:position]
    return ""


class _Judge:
    """Decides about single paths."""

    def __init__(self, context: ComposeContext, path_map: PathMap) -> None:
        self._context = context
        self._folders = context.folders
        self._variables: dict[str, list[str]] = {}
        for name, value in context.variables:
            self._variables.setdefault(name, []).append(value)
        self._path_map = path_map

    # Paths in a scalar.

    def _paths_in(self, node: Node, role: Role) -> Iterator[tuple[int, str]]:
        """The paths that a scalar holds in a role, each with its position in the value."""
        value = node.value
        if not node.style and value in ("", "~", "null", "Null", "NULL"):
            return
        if role is Role.VOLUME:
            source = volume_source(value)
            if source and source[0] in ".~$":
                yield 0, source
        elif role in (Role.CONTEXT, Role.COMPOSE_FILE):
            if not _REMOTE.match(value) and not (role is Role.CONTEXT and value.startswith("service:")):
                yield 0, value
        elif role in (Role.NAMED_CONTEXT, Role.NAMED_PATH):
            name, sign, rest = value.partition("=")
            is_path = role is Role.NAMED_PATH or not (_REMOTE.match(rest) or rest.startswith("service:"))
            if sign and is_path:
                yield len(name) + 1, rest
        elif role is Role.SECURITY:
            seccomp = _SECCOMP.fullmatch(value)
            if seccomp and seccomp["path"] not in ("unconfined", "builtin"):
                yield seccomp.start("path"), seccomp["path"]
        elif role is Role.CACHE:
            for place in _CACHE_PLACE.finditer(value):
                yield place.start("path"), place["path"]
        elif role in (Role.PATH, Role.MAYBE_PATH, Role.DOCKERFILE):
            yield 0, value

    # Verdicts.

    def use(self, node: Node, use: Use) -> _Verdict:
        """The verdict on a scalar in one of its uses."""
        if use.role is Role.OTHER:
            return None
        if use.role is Role.UNKNOWN:
            path = volume_source(node.value) or node.value
            verdict = self.path(path, must_look_relative=True)
            return None if verdict is None else Reason.UNKNOWN_KEY
        for start, path in self._paths_in(node, use.role):
            if use.role is Role.DOCKERFILE:
                verdict = self._dockerfile(path, use.build_context)
            else:
                verdict = self.path(path, needs_dot=use.role is Role.VOLUME)
            if use.role is Role.MAYBE_PATH and verdict is not None:
                return Reason.UNKNOWN_KEY
            if use.role is Role.CACHE or (use.role is Role.SECURITY and not self._context.is_root):
                verdict = None if verdict is None else Reason.UNKNOWN_FOLDER
            if isinstance(verdict, _Change):
                return _Change(start + verdict.start, start + verdict.end, verdict.new)
            if verdict is not None:
                return verdict
        return None

    def path(self, path: str, needs_dot: bool = False, must_look_relative: bool = False) -> _Verdict:
        """The verdict on a path, for all folders that it may be relative to."""
        if must_look_relative and not _EXPLICIT.match(path):
            return None
        folders = [*self._folders, *(guess for guess in self._context.guesses if self._is_inside(path, guess))]
        verdicts = [self._in_folder(path, folder, needs_dot) for folder in folders]
        return self._agreed(verdicts)

    def _agreed(self, verdicts: list[_Verdict]) -> _Verdict:
        """The combined verdict for several folders."""
        if not self._folders and any(verdict not in (None, Reason.VARIABLE) for verdict in verdicts):
            return Reason.NO_BASE
        return verdicts[0] if all(verdict == verdicts[0] for verdict in verdicts) else Reason.SEVERAL_FOLDERS

    def _is_inside(self, path: str, folder: Folder) -> bool:
        place, tree = self._resolve(path, folder), self._context.tree
        return place is not None and place[: len(tree)] == tree

    def _dockerfile(self, path: str, context: str) -> _Verdict:
        if _REMOTE.match(context) or _ABSOLUTE.match(path):
            return None
        verdicts: list[_Verdict] = []
        for folder in self._folders or self._context.guesses:
            inner = self._context_folder(context, folder)
            if inner is not None:
                verdicts.append(self._in_folder(path, inner, needs_dot=False))
            else:
                verdicts.append(Reason.UNKNOWN_FOLDER if ".." in re.split(r"[/\\]", path) else None)
        return self._agreed(verdicts)

    def _context_folder(self, context: str, folder: Folder) -> Folder | None:
        """A build context as a folder; None if it is not known."""
        pieces = _pieces(context)
        if pieces is None or any(piece.name for piece in pieces) or context.startswith("~"):
            return None
        literal = "".join(piece.text for piece in pieces)
        if _ABSOLUTE.match(literal):
            try:
                location = parse_location(literal, "context")
            except MapError:
                return None
            drive, parts = location.drive, location.parts
        else:
            resolved = self._resolve(literal, folder)
            if resolved is None:
                return None
            drive, parts = folder.drive, resolved
        return Folder(drive, parts, self._path_map.relocate(drive, parts))

    def _in_folder(self, path: str, folder: Folder, needs_dot: bool) -> _Verdict:
        pieces = _pieces(path)
        if not pieces:
            return None if pieces == [] else (Reason.VARIABLE if _EXPLICIT.match(path) else None)
        first = pieces[0]
        if first.name is not None:
            return self._behind_variable(path, pieces, folder, needs_dot)
        if _ABSOLUTE.match(first.text):
            return None
        if first.text.startswith("~"):
            return self._at_home("".join(piece.text for piece in pieces)[1:])
        variable = next((piece for piece in pieces if piece.name is not None), None)
        if variable is None:
            old = "".join(piece.text for piece in pieces)
            new = self._moved(old, folder, needs_dot)
            return self._as_change(0, len(path), old, new, needs_dot)
        return self._before_variable(path, variable, folder, needs_dot)

    @staticmethod
    def _as_change(start: int, end: int, old: str, new: str | Reason, needs_dot: bool) -> _Verdict:
        if isinstance(new, Reason):
            return new
        if new == old:
            return None
        if needs_dot and ":" in new:
            return Reason.NEEDS_QUOTES
        return _Change(start, end, new.replace("$", "$$"))

    def _at_home(self, rest: str) -> _Verdict:
        parts = tuple(part for part in re.split(r"[/\\]", rest) if part not in ("", "."))
        return Reason.HOME if rest[:1] in ("", "/", "\\") and parts and self._touches_a_home(parts) else None

    def _before_variable(self, path: str, variable: _Piece, folder: Folder, needs_dot: bool) -> _Verdict:
        """A path with a variable in it: the part before the variable is rewritten, if nothing else moves."""
        before = path[: variable.start]
        cut = max(before.rfind("/"), before.rfind("\\") if folder.drive else -1)
        # A variable in the first step names something in the folder itself.
        prefix = "".join(piece.text for piece in _pieces(path[:cut]) or []) if cut > 0 else "."
        resolved = self._resolve(prefix, folder)
        if resolved is None:
            return Reason.PLACE_NOT_MAPPED if folder.after else None
        # The variable may contain any number of steps.
        begin = "".join(piece.text for piece in _pieces(path[cut + 1 : variable.start]) or [])
        begin = begin.lower() if folder.drive else begin
        if any(name.startswith(begin) for name in self._below(folder.drive, resolved)):
            return Reason.SEVERAL_PLACES
        new = self._moved(prefix, folder, needs_dot)
        if isinstance(new, Reason) or new == prefix:
            return new if isinstance(new, Reason) else None
        if cut < 0 or ".." in re.split(r"[/\\]", path[cut + 1 :]):
            return Reason.SEVERAL_PLACES
        return self._as_change(0, cut, prefix, new, needs_dot)

    def _behind_variable(self, path: str, pieces: list[_Piece], folder: Folder, needs_dot: bool) -> _Verdict:
        """A path that begins with a variable: its value, from `.env` or its default, decides."""
        first = pieces[0]
        rest = path[first.end :]
        if first.name is None:
            raise AssertionError("the first piece is a variable, which has a name")
        if first.name in ("HOME", "USERPROFILE"):
            return self._at_home(rest)
        if first.name == "PWD":
            verdict = self._in_folder("." + rest, folder, needs_dot)
            return None if verdict is None else Reason.VARIABLE_VALUE
        values = [value for value in self._variables.get(first.name, []) if value or ":" not in first.operator]
        for value in values:
            if needs_dot and value[:1] not in ("", ".", "~"):
                continue
            if not value and rest[:1] in ("/", "\\"):
                continue
            if self._in_folder(value.replace("$", "$$") + rest, folder, needs_dot) is not None:
                return Reason.VARIABLE_VALUE
        if first.operator in (":-", "-"):
            return self._default(first, rest, folder, needs_dot)
        return None if values else Reason.VARIABLE

    def _default(self, first: _Piece, rest: str, folder: Folder, needs_dot: bool) -> _Verdict:
        """`${NAME:-default}rest`: the default is treated as a path, if the rest moves along with it."""
        default = first.text
        if needs_dot and default[:1] not in (".", "~", "$"):
            return None
        if not default:
            return None
        alone = self._in_folder(default, folder, needs_dot)
        whole = self._in_folder(default + rest, folder, needs_dot)
        if not rest:
            verdict = alone
        elif whole is None and alone is None:
            return None
        elif isinstance(alone, _Change) and rest[0] == "/":
            changed = default[: alone.start] + alone.new + default[alone.end :] + rest
            wanted = default + rest
            if isinstance(whole, _Change):
                wanted = wanted[: whole.start] + whole.new + wanted[whole.end :]
            if isinstance(whole, Reason) or posixpath.normpath(changed) != posixpath.normpath(wanted):
                return whole if isinstance(whole, Reason) else Reason.VARIABLE_VALUE
            verdict = alone
        else:
            return next((found for found in (whole, alone) if isinstance(found, Reason)), Reason.VARIABLE_VALUE)
        if isinstance(verdict, _Change):
            if "}" in verdict.new:
                return Reason.NEEDS_QUOTES
            start = first.end - 1 - len(default)
            return _Change(start + verdict.start, start + verdict.end, verdict.new)
        return verdict

    # Path arithmetic.

    @staticmethod
    def _resolve(path: str, folder: Folder) -> tuple[str, ...] | None:
        """The location that a path names; None above the drive's root."""
        steps = list(folder.parts)
        for step in re.split(r"[/\\]", path) if folder.drive else path.split("/"):
            if step == "..":
                if not steps:
                    return None
                steps.pop()
            elif step not in ("", "."):
                steps.append(step)
        return tuple(steps)

    def _moved(self, path: str, folder: Folder, needs_dot: bool) -> str | Reason:
        """A relative path as it has to be after the migration."""
        new = self._moved_once(path, folder, needs_dot)
        if isinstance(new, Reason) or new == path:
            return new
        again = self._moved_once(new, folder, needs_dot)
        # A result that no entry of the map covers is not changed by the next run.
        return new if isinstance(again, Reason) or again == new else Reason.MOVES_AGAIN

    def _moved_once(self, path: str, folder: Folder, needs_dot: bool) -> str | Reason:
        place = self._resolve(path, folder)
        here = folder.after
        there = self._path_map.relocate(folder.drive, place) if place is not None else None
        if there is None:
            return path if here is None else Reason.PLACE_NOT_MAPPED
        if here is None:
            return Reason.FILE_NOT_MAPPED
        if here.text_drive.lower() != there.text_drive.lower():
            return Reason.OTHER_DRIVE
        relative = posixpath.relpath("/" + "/".join(there.text_parts), "/" + "/".join(here.text_parts))
        backslashes = "\\" in path and bool(folder.drive)
        spelled = path.replace("\\", "/") if backslashes else path
        if posixpath.normpath(spelled) == relative and not (backslashes and not here.text_drive):
            return path
        inside = relative != "." and not relative.startswith("../") and relative != ".."
        if inside and (needs_dot or _EXPLICIT.match(path) or _NEEDS_DOT.match(relative)):
            relative = "./" + relative
        if spelled.endswith("/") and spelled.strip("./"):
            relative += "/"
        return relative.replace("/", "\\") if backslashes and "/" not in path and here.text_drive else relative

    def _below(self, drive: str, parts: tuple[str, ...]) -> list[str]:
        """The entries of the map below a location, as relative paths, in lower case on a drive."""
        key = Location(drive, parts, "", parts).key[1]
        found = []
        for entry in self._path_map.entries:
            source_drive, source = entry.source.key
            if source_drive == drive and len(source) > len(key) and source[: len(key)] == key:
                found.append("/".join(source[len(key) :]))
        return found

    def _touches_a_home(self, parts: tuple[str, ...]) -> bool:
        """Whether a path below some home directory may concern the map."""
        for entry in self._path_map.entries:
            names = tuple(name.lower() for name in entry.source.parts)
            if names[0] in ("users", "home", "root"):
                rest = names[1 if names[0] == "root" else 2 :]
                shared = min(len(rest), len(parts))
                if rest[:shared] == tuple(part.lower() for part in parts[:shared]):
                    return True
        return False
