"""The tree that a Compose file is read into: every value knows the file and line that it came from."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

Scalar: TypeAlias = str | int | float | bool | None


class SourceError(Exception):
    """A Compose project that cannot be read; the message says what, where and what to do."""


@dataclass(frozen=True, slots=True)
class Where:
    """A place in a file: `base` is the folder against which relative paths at this place are resolved."""

    path: str
    line: int
    base: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}"


@dataclass(frozen=True, slots=True)
class Node:
    """One value with its place.

    `raw` is a scalar's text before variables were put in; `mark` is `reset` or `override` where the file carries
    that tag, and empty otherwise.
    """

    value: Scalar | dict[str, Node] | list[Node]
    where: Where
    raw: str | None = None
    mark: str = ""

    def get(self, key: str) -> Node | None:
        """The entry of a mapping; None where there is none, where it is null, or where this is no mapping."""
        found = self.value.get(key) if isinstance(self.value, dict) else None
        return None if found is None or found.value is None else found

    def items(self, what: str) -> list[tuple[str, Node]]:
        """The entries of a mapping. Raises SourceError where this is something else."""
        if self.value is None:
            return []
        if not isinstance(self.value, dict):
            raise SourceError(f"{self.where}: {what} must be a mapping (`name: value` lines), not {self.kind()}.")
        return list(self.value.items())

    def elements(self, what: str) -> list[Node]:
        """The elements of a list; a lone scalar counts as a list of one. Raises SourceError for a mapping."""
        if self.value is None:
            return []
        if isinstance(self.value, dict):
            raise SourceError(f"{self.where}: {what} must be a list (`- value` lines), not a mapping.")
        return self.value if isinstance(self.value, list) else [self]

    def text(self, what: str) -> str:
        """The scalar as Compose writes it. Raises SourceError for a list or a mapping."""
        if isinstance(self.value, dict | list):
            raise SourceError(f"{self.where}: {what} must be one value, not {self.kind()}.")
        return scalar_text(self.value)

    def kind(self) -> str:
        """What this is, in words for a message."""
        if isinstance(self.value, dict):
            return "a mapping"
        if isinstance(self.value, list):
            return "a list"
        return "nothing" if self.value is None else "a single value"

    def plain(self) -> object:
        """The bare data, without places."""
        if isinstance(self.value, dict):
            return {key: node.plain() for key, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        return self.value

    def scalars(self) -> Iterator[Node]:
        """Every scalar in the tree."""
        if isinstance(self.value, dict):
            for node in self.value.values():
                yield from node.scalars()
        elif isinstance(self.value, list):
            for node in self.value:
                yield from node.scalars()
        else:
            yield self


def scalar_text(value: Scalar) -> str:
    """A scalar as Compose (a Go program) prints it: `true`, `1.5`, `1e+21`; null is empty."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _float_text(value)
    return str(value)


def _float_text(value: float) -> str:
    """Go's `%v`: no trailing `.0`, an exponent only from 1e21 up and below 1e-4."""
    if not math.isfinite(value):
        return {"inf": "+Inf", "-inf": "-Inf"}.get(str(value), "NaN")
    if value == int(value) and abs(value) < 1e21:
        return str(int(value))
    return repr(value)
