# SPDX-License-Identifier: GPL-3.0-or-later
"""Inspect a machine without changing it: files, owners and secrets. `engine` inspects the Docker engine."""

from __future__ import annotations

import contextlib
import difflib
import hashlib
import hmac
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible.module_utils.core.files import FilesError, ManagedFiles
from ansible.module_utils.core.secret_store import SecretError, matches_any, parse_object, read_text
from ansible.module_utils.deployment.model import ObservedFile, ObservedOwners, ObservedSecret, digest
from ansible.module_utils.shared.ownership import Ownership, keeps_owners

# Entries of a data directory that are examined. Files that root copied in are usually among the first few.
OWNERS_BOUND = 2000
# Lines of a file's diff that a plan keeps.
DIFF_LINES = 200


@dataclass(frozen=True)
class FileObservation:
    """The result of `observe_files` for a service or for the machine."""

    files: tuple[ObservedFile, ...]
    texts: Mapping[str, str] = field(default_factory=dict)
    config_hash: str = ""
    newest_file: str = ""
    newest_change: float = 0.0
    # A hash of the content and owners of everything examined; equal if nothing has changed.
    fingerprint: str = ""


def observe_files(params: Mapping[str, Any], compared_with_start: Sequence[str] = ()) -> FileObservation:
    """Compare declared directories and files with the disk; `params` are those of the module `managed_files`.

    `compared_with_start` are the files (below the root) that the container reads at its start. Raises FilesError.
    """
    managed = ManagedFiles(params, None, check_mode=True)
    found = managed.plan()
    root = Path(params["root"])
    diffs = {row.get("before_header", ""): row for row in found.diff}
    read_at_start = {str(root / name) for name in compared_with_start}
    files = tuple(
        ObservedFile(
            path=_below(change["path"], root),
            what=change["what"],
            why=change["why"],
            exists=Path(change["path"]).exists(),
            diff=_diff(diffs.get(change["path"])),
            at_start=change["path"] in read_at_start,
        )
        for change in found.changes
    )
    newest, changed = _newest_change(params, compared_with_start, time.time())
    paths = [root / entry["path"] for entry in params.get("directories") or []]
    paths += [root / entry["dest"] for entry in params.get("files") or []]
    return FileObservation(
        files=files,
        texts=found.texts,
        config_hash=found.config_hash,
        newest_file=newest,
        newest_change=changed,
        fingerprint=digest([_state_of(path) for path in paths]),
    )


def _newest_change(params: Mapping[str, Any], compared_with_start: Sequence[str], now: float) -> tuple[str, float]:
    """The file that changed last, and when; empty for none.

    A time in the future is ignored: the clock was set back since then, and until it reaches that time again, every
    start of the container would seem older than the file.
    """
    root = Path(params["root"])
    has_ctime = keeps_owners(root)
    found: dict[str, float] = {}
    for name in compared_with_start:
        with contextlib.suppress(OSError):
            seen = (root / name).stat()
            # On a Windows drive the ctime does not indicate a change: reading a file updates it too.
            found[name] = seen.st_ctime if has_ctime else seen.st_mtime
    for name in params.get("watch") or []:
        with contextlib.suppress(OSError):
            # Not the ctime, which correcting an owner changes too; the content is in the configuration's hash.
            found[f"secret {name}"] = (Path(params["secrets_root"]) / name).stat().st_mtime
    past = {name: moment for name, moment in found.items() if moment <= now}
    newest = max(past, key=lambda name: past[name], default="")
    return newest, past.get(newest, 0.0)


def observe_owners(
    root: Path, directories: Iterable[str], uid: int, bound: int = OWNERS_BOUND, mount_points: Iterable[str] = ()
) -> list[ObservedOwners]:
    """Entries below the directories that belong to another user; at most `bound` entries of each are examined.

    The engine itself creates `mount_points`, where another volume is mounted inside of a data directory, as root.
    """
    left_out = {str(root / path) for path in mount_points}
    found = []
    for name in directories:
        wrong, examined, example, owner = 0, 0, "", 0
        # A Windows drive stores no owners, so there is nothing to correct.
        folders = [root / name] if keeps_owners(root / name) else []
        while folders and examined < bound:
            folder = folders.pop()
            try:
                entries = list(os.scandir(folder))
            except OSError:
                continue
            for entry in entries[: bound - examined]:
                examined += 1
                if entry.path in left_out:
                    continue
                try:
                    seen = entry.stat(follow_symlinks=False)
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(Path(entry.path))
                except FileNotFoundError:
                    # The service removed it meanwhile.
                    continue
                if seen.st_uid != uid:
                    wrong += 1
                    example = example or _below(entry.path, root)
                    owner = owner or seen.st_uid
        if wrong:
            found.append(ObservedOwners(name, wrong, examined, example, owner))
    return found


def observe_secrets(root: Path, declared: Sequence[Mapping[str, Any]], salt: str) -> list[ObservedSecret]:
    """Declared secrets that are missing or differ from the site's values, which come as salted digests.

    Raises FilesError for one that cannot be read.
    """
    try:
        return _observed_secrets(root, declared, salt)
    except SecretError as error:
        raise FilesError(str(error)) from None


def _observed_secrets(root: Path, declared: Sequence[Mapping[str, Any]], salt: str) -> list[ObservedSecret]:
    found = []
    for entry in declared:
        if entry["kind"] == "clients":
            found += _clients(root, entry, salt)
            continue
        text = read_text(root / entry["path"])
        given = entry.get("digest")
        if text is None:
            found.append(ObservedSecret(entry["path"], "", "present", "it does not exist", "create"))
        elif not text.strip():
            found.append(ObservedSecret(entry["path"], "empty", "present", "its file was emptied", "create"))
        elif given and not hmac.compare_digest(salted(text.strip(), salt), given):
            found.append(ObservedSecret(entry["path"], "another value", "the site's", "the site sets another", "write"))
        elif _another_owner(root / entry["path"], entry):
            found.append(ObservedSecret(entry["path"], "another owner", "as declared", "another owner or mode", "own"))
    return found


def salted(value: str, salt: str) -> str:
    """What is sent in place of a site's secret, so that it can be compared and not read."""
    return hmac.new(salt.encode(), value.encode(), hashlib.sha256).hexdigest()


def secrets_fingerprint(root: Path, declared: Sequence[Mapping[str, Any]]) -> str:
    """Equal as long as no secret was written; made of times and sizes, so that it reveals nothing about the content."""
    names = sorted({entry["path"] for entry in declared} | {entry["plain"] for entry in declared if entry.get("plain")})
    rows = []
    for name in names:
        try:
            seen = (root / name).stat()
            rows.append([name, seen.st_mtime_ns, seen.st_size, seen.st_uid, seen.st_gid, seen.st_mode])
        except OSError:
            rows.append([name])
    return digest(rows)


def _clients(root: Path, entry: Mapping[str, Any], salt: str) -> list[ObservedSecret]:
    files = root / entry["plain"], root / entry["path"]
    plain, hashes = (parse_object(file, read_text(file)) for file in files)
    given: Mapping[str, str] = entry.get("digest") or {}
    found = []
    added = sorted(set(entry["clients"]) - set(plain))
    removed = sorted(set(plain) - set(entry["clients"]))
    other = sorted(name for name, value in given.items() if name in plain and salted(str(plain[name]), salt) != value)
    if added or removed or other:
        parts = [("new", added), ("no longer declared", removed), ("another value set", other)]
        cause = "; ".join(f"{word}: {', '.join(names)}" for word, names in parts if names)
        action = "write" if plain else "create"
        found.append(ObservedSecret(entry["plain"], "" if not plain else "other clients", "as declared", cause, action))
    names = [name for name in entry["clients"] if name in plain]
    # Verifying a hash takes a twentieth of a second of a processor.
    with ThreadPoolExecutor() as executor:
        matches = executor.map(lambda name: matches_any(str(plain[name]), hashes.get(name)), names)
        stale = [name for name, match in zip(names, matches, strict=True) if not match]
    if found or stale or set(hashes) != set(entry["clients"]):
        cause = "hashes of other clients or secrets" if hashes else "it does not exist"
        action = "write" if hashes else "create"
        found.append(ObservedSecret(entry["path"], "" if not hashes else "other hashes", "as declared", cause, action))
    elif _another_owner(root / entry["path"], entry):
        found.append(ObservedSecret(entry["path"], "another owner", "as declared", "another owner or mode", "own"))
    return found


def _another_owner(file: Path, entry: Mapping[str, Any]) -> bool:
    wanted = Ownership(0 if os.geteuid() == 0 else None, entry["gid"], int(entry.get("mode", 0o640)))
    return bool(wanted.missing(file)) and keeps_owners(file)


def _state_of(path: Path) -> list[Any]:
    try:
        seen = path.stat()
    except OSError:
        return [str(path)]
    content = ""
    if path.is_file():
        content = hashlib.sha256(path.read_bytes()).hexdigest()
    return [str(path), content, seen.st_uid, seen.st_gid, seen.st_mode]


def _below(path: str, root: Path) -> str:
    return str(Path(path).relative_to(root)) if Path(path).is_relative_to(root) else path


def _diff(row: Mapping[str, str] | None) -> str:
    if row is None:
        return ""
    name = row["before_header"]
    lines = difflib.unified_diff(
        row["before"].splitlines(), row["after"].splitlines(), f"{name} (now)", f"{name} (declared)", lineterm=""
    )
    listed = list(lines)
    more = [f"(and {len(listed) - DIFF_LINES} more lines)"] if len(listed) > DIFF_LINES else []
    return "\n".join([*listed[:DIFF_LINES], *more])
