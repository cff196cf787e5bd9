# SPDX-License-Identifier: GPL-3.0-or-later
"""Globs for the paths of a tree."""

from __future__ import annotations

import os
import re


def _translate(glob: str) -> str:
    """A glob as a regular expression: `*` and `?` stop at a slash, `**` does not."""
    pattern, position = "", 0
    while position < len(glob):
        if glob.startswith("**/", position):
            pattern, position = pattern + "(?:[^/]+/)*", position + 3
        elif glob.startswith("**", position):
            pattern, position = pattern + ".*", position + 2
        elif glob[position] == "*":
            pattern, position = pattern + "[^/]*", position + 1
        elif glob[position] == "?":
            pattern, position = pattern + "[^/]", position + 1
        elif glob[position] == "[" and (end := glob.find("]", position + 2)) > 0:
            body = re.sub(r"([\\\[])", r"\\\1", glob[position + 1 : end])
            pattern += "[" + ("^" + body[1:] if body.startswith("!") else body) + "]"
            position = end + 1
        else:
            pattern, position = pattern + re.escape(glob[position]), position + 1
    return pattern


class Glob:
    """One glob: without a slash it matches a name at any depth, with one a path from the source's root.

    A `?` matches one character, however many bytes it has.

    Raises:
        ValueError: the glob cannot be used; the message says why.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        plain = text.rstrip("/").removeprefix("./")
        self.anchored = "/" in plain
        self.plain = plain.lstrip("/")
        self.is_literal = not self.anchored and not re.search(r"[*?\[]", self.plain)
        try:
            self._pattern = re.compile(_translate(self.plain), re.S)
        except re.error as exc:
            raise ValueError(f"{text!r} is not a valid glob ({exc}); write * ? ** or [abc]") from exc

    def matches(self, path: bytes, name: str | None = None) -> bool:
        """Whether the glob matches this path; `name` is its last part, if the caller has it."""
        if self.anchored:
            return self._pattern.fullmatch(os.fsdecode(path)) is not None
        last = name if name is not None else os.fsdecode(path.rpartition(b"/")[2])
        return self._pattern.fullmatch(last) is not None


class Excluder:
    """Decides which entries are excluded, and records which globs matched."""

    def __init__(self, globs: tuple[str, ...]) -> None:
        self._globs = tuple(dict.fromkeys(globs))
        self._by_name: dict[str, str] = {}
        self._by_pattern: list[Glob] = []
        self._used: set[str] = set()
        for text in self._globs:
            glob = Glob(text)
            if not glob.plain:
                continue
            if glob.is_literal:
                self._by_name[glob.plain] = text
            else:
                self._by_pattern.append(glob)

    def match(self, name: str, path: bytes) -> str | None:
        """The glob that excludes the entry, or None."""
        text = self._by_name.get(name)
        if text is None:
            for glob in self._by_pattern:
                if glob.matches(path, name):
                    text = glob.text
                    break
            else:
                return None
        self._used.add(text)
        return text

    def unused(self) -> list[str]:
        """The globs that excluded nothing."""
        return [text for text in self._globs if text not in self._used]
