"""What every way of hiding secrets shares."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

# Stands for a secret wherever one is hidden; the same length for all, so that it tells nothing.
MASK = "********"


def mask_tree(value: Any, text: Callable[[str], str]) -> Any:
    """Any data with `text` applied to every string in it; keys stay, tuples become lists."""
    if isinstance(value, str):
        return text(value)
    if isinstance(value, Mapping):
        return {key: mask_tree(item, text) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [mask_tree(item, text) for item in value]
    return value
