"""Walking the source, and what of it is left out."""

from __future__ import annotations

import functools
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

# What tools make again, and logs: of no use in the migrated tree.
DEFAULT_EXCLUDES = (
    ".git",
    ".svn",
    ".hg",
    "__pycache__",
    "*.pyc",
    "node_modules",
    ".venv",
    "venv",
    ".tox",
    ".mypy_cache",
    ".pytest_cache",
    ".ruff_cache",
    ".DS_Store",
    "Thumbs.db",
    "logs",
    "*.log",
)
# The state that an earlier migration left in its destination.
STATE_NAME = b".trade_migrate"
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_PATH_STEP = 3000


class Entry(NamedTuple):
    """One file, symlink or directory of the source.

    `path` is relative to the root. `size` in bytes, `mtime_ns` and `ctime_ns` in nanoseconds since 1970; `link` is
    (device, inode) where the file has several names, else None.
    """

    path: bytes
    size: int
    mtime_ns: int
    ctime_ns: int
    mode: int
    link: tuple[int, int] | None = None


class Skipped(NamedTuple):
    """Something of the source that is not copied, and why; no reason for a file that may not be read."""

    path: bytes
    reason: str


@dataclass(slots=True)
class Tree:
    """What a source holds: directories parents first, the rest in their order."""

    directories: list[Entry] = field(default_factory=list)
    files: list[Entry] = field(default_factory=list)
    links: list[Entry] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)


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
            body = glob[position + 1 : end].replace("\\", "\\\\")
            pattern += "[" + ("^" + body[1:] if body.startswith("!") else body) + "]"
            position = end + 1
        else:
            pattern, position = pattern + re.escape(glob[position]), position + 1
    return pattern


class Excluder:
    """Decides which entries are left out.

    Args:
        globs: without a slash a glob is for a name at any depth, with one for a path from the source's root.
    """

    def __init__(self, globs: list[str]) -> None:
        self._by_name: dict[str, str] = {}
        self._by_pattern: list[tuple[re.Pattern[str], bool, str]] = []
        for glob in dict.fromkeys(globs):
            plain = glob.rstrip("/").removeprefix("./")
            anchored = "/" in plain
            plain = plain.lstrip("/")
            if not plain:
                continue
            if not anchored and not re.search(r"[*?\[]", plain):
                self._by_name[plain] = glob
            else:
                self._by_pattern.append((re.compile(_translate(plain), re.S), anchored, glob))

    def match(self, name: str, path: bytes) -> str | None:
        """The glob that excludes the entry, or None. A `?` stands for a character, however many bytes that has."""
        glob = self._by_name.get(name)
        if glob is not None:
            return glob
        for pattern, anchored, glob in self._by_pattern:
            if pattern.fullmatch(os.fsdecode(path) if anchored else name):
                return glob
        return None


def open_directory(root: int, path: bytes) -> int:
    """Open a directory below `root` (a descriptor) without following a symlink at its end, however deep it is."""
    if len(path) < _PATH_STEP:
        return os.open(path or b".", _DIRECTORY, dir_fd=root)
    return open_strictly(root, path)


def open_strictly(root: int, path: bytes) -> int:
    """Open a directory below `root` without following a symlink anywhere on the way.

    For places of the destination that no walk has just passed through: a site may have moved a folder elsewhere and
    left a symlink, and what is behind it is not ours.
    """
    current = os.dup(root)
    for name in path.split(b"/") if path else ():
        try:
            following = os.open(name, _DIRECTORY, dir_fd=current)
        finally:
            os.close(current)
        current = following
    return current


def entry_at(root: int, path: bytes) -> Entry:
    """A regular file of the tree that a walk has found before."""
    directory, _sep, name = path.rpartition(b"/")
    parent = open_directory(root, directory)
    try:
        status = os.stat(name, dir_fd=parent, follow_symlinks=False)
    finally:
        os.close(parent)
    link = (status.st_dev, status.st_ino) if status.st_nlink > 1 else None
    return Entry(path, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_mode, link)


def _kind(mode: int) -> str:
    names = {
        stat.S_IFSOCK: "socket",
        stat.S_IFIFO: "FIFO",
        stat.S_IFBLK: "block device",
        stat.S_IFCHR: "character device",
    }
    return names.get(stat.S_IFMT(mode), "special file")


def walk(root: int, excluder: Excluder) -> Iterator[tuple[Entry, list[Entry], list[Entry], list[Skipped]]]:
    """Directories, parents first, each with its files, symlinks and what is skipped in it; sorted by name.

    Raises:
        OSError: a directory cannot be read.
    """
    top = os.fstat(root)
    stack = [Entry(b"", 0, top.st_mtime_ns, top.st_ctime_ns, top.st_mode)]
    match, encode, is_link = excluder.match, os.fsencode, stat.S_ISLNK
    # Asked only where the mode does not say that everybody may, and so that nothing is written if one file is missing.
    may_read = functools.partial(os.access, mode=os.R_OK, effective_ids=True)
    while stack:
        directory = stack.pop()
        prefix = directory.path + b"/" if directory.path else b""
        files: list[Entry] = []
        links: list[Entry] = []
        skipped: list[Skipped] = []
        below: list[Entry] = []
        descriptor = open_directory(root, directory.path)
        try:
            with os.scandir(descriptor) as entries:
                for item in entries:
                    path = prefix + encode(item.name)
                    glob = match(item.name, path)
                    if glob is not None:
                        skipped.append(Skipped(path, f"excluded by {glob!r}"))
                        continue
                    status = item.stat(follow_symlinks=False)
                    mode = status.st_mode
                    if mode & 0o170000 == 0o100000:
                        if mode & 0o444 != 0o444 and not may_read(item.name, dir_fd=descriptor):
                            skipped.append(Skipped(path, ""))
                            continue
                        link = (status.st_dev, status.st_ino) if status.st_nlink > 1 else None
                        files.append(Entry(path, status.st_size, status.st_mtime_ns, status.st_ctime_ns, mode, link))
                    elif mode & 0o170000 == 0o040000:
                        if path == STATE_NAME:
                            skipped.append(Skipped(path, "the state of a migration is not copied"))
                        else:
                            below.append(Entry(path, 0, status.st_mtime_ns, status.st_ctime_ns, mode))
                    elif is_link(mode):
                        links.append(Entry(path, status.st_size, status.st_mtime_ns, status.st_ctime_ns, mode))
                    else:
                        skipped.append(Skipped(path, f"a {_kind(mode)} is not copied"))
        finally:
            os.close(descriptor)
        files.sort()
        below.sort(reverse=True)
        stack += below
        yield directory, files, links, skipped
