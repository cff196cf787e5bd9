"""What to migrate, and how; and which places are refused."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from ansible.module_utils.migration import tree
from ansible.module_utils.migration.errors import MigrationError
from ansible.module_utils.rewriting.path_map import Location, PathMap
from ansible.module_utils.rewriting.rewriter import Rules


@dataclass(frozen=True, slots=True)
class Settings:
    """What to migrate, and how. Paths are absolute; `state` None means a folder in the destination."""

    src: str
    dest: str
    rules: Rules
    mentions: tuple[str, ...] = ("trade2025",)
    exclude: tuple[str, ...] = tree.DEFAULT_EXCLUDES
    strict: bool = False
    on_conflict: str = "fail"
    prune: bool = False
    compose_base: Location | None = None
    state_dir: str | None = None
    dry: bool = False
    with_diff: bool = False
    workers: int = 0


def infer_base(src: str, path_map: PathMap) -> Location | None:
    """Where the map's side of the world has `src`: the shortest mapped place whose last name is in the path of `src`.

    `/backup/Trade2025/trading` is `C:/trade2025/trading` for a map with `C:/trade2025`.
    """
    names = [part for part in src.split("/") if part]
    folded = [name.lower() for name in names]
    for rule in sorted(path_map.entries, key=lambda rule: len(rule.source.parts)):
        wanted = [part.lower() for part in rule.source.parts]
        for start in range(len(names) - len(wanted), -1, -1):
            if folded[start : start + len(wanted)] == wanted:
                parts = (*rule.source.parts, *names[start + len(wanted) :])
                return Location(rule.source.drive, parts, rule.source.text_drive, parts)
    return None


def check_places(src: str, dest: str, state_dir: str | None = None) -> None:
    """Refuse a source and a destination between which nothing can be migrated safely.

    Raises:
        MigrationError: what is wrong, and what to do.
    """
    source, target = Path(src), Path(dest)
    if not os.path.lexists(src):
        raise MigrationError(f"src={src} does not exist; set it to the Trade2025 tree")
    if not source.is_dir():
        raise MigrationError(f"src={src} is no directory; set it to the Trade2025 tree")
    if not os.access(src, os.R_OK | os.X_OK):
        raise MigrationError(f"src={src} cannot be read; give this user read permission, or run with become")
    if target.is_symlink():
        raise MigrationError(f"dest={dest} is a symlink to {target.readlink()}; write the directory itself")
    if os.path.lexists(dest) and not target.is_dir():
        raise MigrationError(f"dest={dest} is no directory; remove it or choose another dest")
    real_src, real_dest = os.path.realpath(src), os.path.realpath(dest)
    if real_src == real_dest or (target.is_dir() and target.samefile(source)):
        raise MigrationError(f"src and dest are the same directory {real_src}; choose another dest")
    if real_dest.startswith(real_src.rstrip("/") + "/"):
        raise MigrationError(f"dest={dest} is inside src={src}, which must not be written to; choose another dest")
    if real_src.startswith(real_dest.rstrip("/") + "/"):
        raise MigrationError(f"src={src} is inside dest={dest}; choose a dest beside it")
    real_state = os.path.realpath(state_dir) if state_dir else real_dest
    if (real_state + "/").startswith(real_src.rstrip("/") + "/"):
        raise MigrationError(
            f"state_dir={state_dir} is inside src={src}, which must not be written to; choose a directory beside dest"
        )
    parent = target
    while not os.path.lexists(parent):
        parent = parent.parent
    if not parent.is_dir():
        raise MigrationError(f"dest={dest} cannot be made: {parent} is no directory; remove it or choose another dest")
