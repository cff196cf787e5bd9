"""Sizes as Compose takes them."""

from __future__ import annotations

import re

UNITS = {"": 1, "b": 1, "k": 2**10, "kb": 2**10, "m": 2**20, "mb": 2**20, "g": 2**30, "gb": 2**30}


def size(text: str | int) -> int:
    """Bytes of a Compose size such as `512m`; raises ValueError."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmg]?i?b?)\s*", str(text).lower())
    if match is None:
        raise ValueError(f"{text!r} is not a size; write a number with b, k, m or g")
    return int(float(match[1]) * UNITS[match[2].replace("i", "")])
