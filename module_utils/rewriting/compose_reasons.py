# SPDX-License-Identifier: GPL-3.0-or-later
"""Why a relative path in a Compose file is left as it is: stable codes, and what they mean."""

from __future__ import annotations

from enum import StrEnum

from ansible.module_utils.rewriting import reasons


class Reason(StrEnum):
    """Codes of the reasons; `REASONS` has a sentence for each."""

    NOT_YAML = "not-yaml"
    NO_PARSER = "no-parser"
    NOT_COMPOSE = "not-compose"
    PLACE_NOT_MAPPED = "place-not-mapped"
    FILE_NOT_MAPPED = "file-not-mapped"
    OTHER_DRIVE = "other-drive"
    MOVES_AGAIN = "moves-again"
    VARIABLE = "variable"
    VARIABLE_VALUE = "variable-value"
    SEVERAL_PLACES = "several-places"
    SEVERAL_FOLDERS = "several-folders"
    SEVERAL_USES = "several-uses"
    SEVERAL_LINES = "several-lines"
    NEEDS_QUOTES = "needs-quotes"
    UNKNOWN_KEY = "unknown-key"
    UNKNOWN_FOLDER = "unknown-folder"
    NO_BASE = "no-base"
    HOME = "home"


REASONS = {
    Reason.NOT_YAML: "the file cannot be read as YAML, so what this line means is unknown",
    Reason.NO_PARSER: "the Python package `yaml` is missing on this machine, so Compose files are not read",
    Reason.NOT_COMPOSE: "the file resembles a Compose file but has keys that no Compose file has",
    Reason.PLACE_NOT_MAPPED: "the file moves, and no entry of the path map covers the location that this path names",
    Reason.FILE_NOT_MAPPED: "the location that this path names moves, but no entry of the path map covers the file",
    Reason.OTHER_DRIVE: "the file and the location that this path names move to different drives",
    Reason.MOVES_AGAIN: reasons.REASONS["moves-again"],
    Reason.VARIABLE: "the path begins with a variable whose value is unknown",
    Reason.VARIABLE_VALUE: "the path begins with a variable whose value names a location that moves",
    Reason.SEVERAL_PLACES: reasons.REASONS["several-places"],
    Reason.SEVERAL_FOLDERS: "the file is read from several folders, and the path would have to differ between them",
    Reason.SEVERAL_USES: "an anchor gives this text to several keys, and it would have to differ between them",
    Reason.SEVERAL_LINES: "the path is spread over several lines",
    Reason.NEEDS_QUOTES: reasons.REASONS["needs-quotes"],
    Reason.UNKNOWN_KEY: "it looks like the path of a location that moves, but Compose may not treat it as a path",
    Reason.UNKNOWN_FOLDER: "the location seems to move, and it is unknown which folder the path is relative to",
    Reason.NO_BASE: "the location of the source in the path map is unknown; set `source_path`",
    Reason.HOME: "the path begins at the home directory, which may contain a location of the path map",
}


def describe(reason: Reason) -> str:
    """A reason as it is reported: the code and a sentence."""
    return f"{reason.value}: {REASONS[reason]}"
