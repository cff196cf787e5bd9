# SPDX-License-Identifier: GPL-3.0-or-later
"""Draw Vega-Lite specifications as SVG in a process of its own.

vl-convert needs half a second for its first picture and blocks its process meanwhile. A process that is started early
is ready when the report's data is complete. It ends when its input ends.
"""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from collections.abc import Mapping
from typing import Any, TextIO, cast

VERSION = "v6_1"


class DrawingError(Exception):
    """The picture cannot be drawn; the text is a message for the user."""


@functools.cache
def start() -> subprocess.Popen[str]:
    """The process that draws; started by the first call."""
    return subprocess.Popen(
        [sys.executable, "-P", __file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )


def draw(spec: Mapping[str, Any]) -> str:
    """The SVG of a specification; raises DrawingError."""
    process = start()
    # Both are pipes.
    specs, answers = cast(TextIO, process.stdin), cast(TextIO, process.stdout)
    try:
        specs.write(json.dumps(spec) + "\n")
        specs.flush()
        answer = json.loads(answers.readline())
    except (BrokenPipeError, ValueError):
        _out, errors = process.communicate()
        start.cache_clear()
        lines = errors.strip().splitlines()
        raise DrawingError(f"vl-convert cannot draw: {lines[-1] if lines else 'its process ended'}") from None
    if "error" in answer:
        raise DrawingError(f"vl-convert cannot draw: {answer['error']}")
    return str(answer["svg"])


def serve(specs: TextIO, answers: TextIO) -> None:
    """Draw a specification per line."""
    import vl_convert

    # The first picture loads Vega.
    vl_convert.vegalite_to_svg({"data": {"values": []}, "mark": "point"}, vl_version=VERSION)
    for line in specs:
        try:
            answer = {"svg": vl_convert.vegalite_to_svg(json.loads(line), vl_version=VERSION)}
        except ValueError as error:
            # Below the first lines is where in Vega it happened.
            answer = {"error": " ".join(str(error).splitlines()[:2])}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    serve(sys.stdin, sys.stdout)
