# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare what a service reports with what was declared."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ansible.module_utils.probes.base import Kind, ProbeError
from ansible.module_utils.shared.sizes import parse_size

SIZE = re.compile(r"\d+ *[kmgt]?b?")
VERSION = re.compile(r"\d+(?:\.\d+)*")


def normalize(value: object) -> str:
    """A setting in a normal form: sizes as bytes, booleans as yes and no, single spaces, lower case.

    >>> normalize("2gb"), normalize(2147483648), normalize(True)
    ('2147483648', '2147483648', 'yes')
    """
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = " ".join(str(value).split()).lower()
    # Not every number is a size: 1.5 is a version or a factor.
    if SIZE.fullmatch(text):
        return str(parse_size(text, bare_letter=1000))
    return {"true": "yes", "false": "no"}.get(text, text)


def same_version(expected: str, actual: str) -> bool:
    """Whether `actual` is `expected`, or a release of that line; a suffix after the numbers is ignored.

    >>> same_version("2.10", "2.10.29"), same_version("2.1", "2.10.29"), same_version("18.16.1+ds-7", "18.16.1")
    (True, False, True)
    """
    want, have = VERSION.search(str(expected)), VERSION.search(str(actual))
    if not want or not have:
        return expected == actual
    return (have[0] + ".").startswith(want[0] + ".")


def lookup(document: Any, path: str) -> Any:
    """The value at the dotted `path`; raises KeyError."""
    for part in path.split("."):
        if not isinstance(document, Mapping) or part not in document:
            raise KeyError(path)
        document = document[part]
    return document


def subset_differences(expected: Any, actual: Any, where: str = "") -> list[str]:
    """The differences of `actual` from `expected`; additional content is allowed.

    >>> subset_differences({"a": {"b": 1}}, {"a": {"b": 2}, "c": 3})
    ['a.b is 2, not 1']
    """
    if isinstance(expected, Mapping):
        if not isinstance(actual, Mapping):
            return [f"{where or 'the answer'} is {actual!r}, not a mapping"]
        found = []
        for key, value in expected.items():
            place = f"{where}.{key}" if where else str(key)
            found += subset_differences(value, actual[key], place) if key in actual else [f"{place} is missing"]
        return found
    if expected == actual or normalize(expected) == normalize(actual):
        return []
    return [f"{where or 'the answer'} is {actual!r}, not {expected!r}"]


def raise_on_mismatch(differences: list[str]) -> None:
    """Raise ProbeError if settings differ from what was declared."""
    if differences:
        raise ProbeError(f"it runs with other settings than declared: {'; '.join(differences)}", Kind.MISMATCH)
