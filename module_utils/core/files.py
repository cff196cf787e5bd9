# SPDX-License-Identifier: GPL-3.0-or-later
"""Plan and write the directories and files of one service."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible.module_utils.core import atomic, placeholders
from ansible.module_utils.core.validate_command import run_validate_command
from ansible.module_utils.shared.docker import Docker
from ansible.module_utils.shared.fs import replace_file
from ansible.module_utils.shared.masking import Mask, secrets_below
from ansible.module_utils.shared.ownership import Ownership, keeps_owners

# Where configuration is staged for the validate command, below the root. What a killed run left, the next one removes.
STAGING = Path(".trade2026/staging")
DIFFERS = "differs from the declared text"
# The value used for a secret that does not exist yet, in check mode only.
PENDING_SECRET = "created-by-the-real-run"


class FilesError(Exception):
    """The declared files cannot be written; the text is a message for the user."""


@dataclass
class Target:
    """One declared file: path, content and owner."""

    dest: str
    path: Path
    template: str
    data: bytes
    ownership: Ownership
    reveal: bool


@dataclass
class Plan:
    """What differs, and what has to be written because of it."""

    changes: list[dict[str, str]] = field(default_factory=list)
    directories: list[tuple[Path, Ownership]] = field(default_factory=list)
    writes: list[Target] = field(default_factory=list)
    reowned: list[tuple[Path, Ownership]] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)
    diff: list[dict[str, str]] = field(default_factory=list)
    texts: dict[str, str] = field(default_factory=dict)
    config_hash: str = ""


class ManagedFiles:
    """The declared files of one call. `plan` only reads; `apply` follows the plan."""

    def __init__(self, params: Mapping[str, Any], docker: Docker | None, check_mode: bool) -> None:
        self.root = Path(params["root"])
        for folder in params.get("forbid_inside") or []:
            if self.root.resolve().is_relative_to(Path(folder).resolve()):
                raise FilesError(f"{self.root} lies in {folder}, which is only read; choose another root")
        self.secrets_root = Path(params["secrets_root"]) if params.get("secrets_root") else None
        self.directories: list[dict[str, Any]] = list(params.get("directories") or [])
        self.files: list[dict[str, Any]] = list(params.get("files") or [])
        self.watch: list[str] = list(params.get("watch") or [])
        self.validate: dict[str, Any] | None = params.get("validate")
        # Secrets that this run will create or replace: the current value is not the one that will be written.
        self.pending_secrets: frozenset[str] = frozenset(params.get("pending_secrets") or ())
        self.docker = docker
        self.check_mode = check_mode
        # Whether a file has been replaced, so that a failure leaves the service changed.
        self.written = False

    def secret(self, path: str) -> str:
        """The secret of that name; in check mode, a fixed value if it does not exist yet."""
        if self.secrets_root is None:
            raise FilesError(f"a file mentions the secret {path}, and `secrets_root` is not set")
        file = self.secrets_root / path
        if self.check_mode and path in self.pending_secrets:
            return PENDING_SECRET
        if file.exists():
            return _secret_text(file)
        if self.check_mode:
            return PENDING_SECRET
        raise FilesError(f"{file}: no such secret. Declare it under `secrets` of the service, or create the file.")

    def plan(self) -> Plan:
        """Compare what is declared with what is there."""
        plan = Plan()
        for entry in self.directories:
            self._plan_directory(plan, self.root / entry["path"], _ownership(entry))
        bodies = [(entry, self._resolved(entry)) for entry in self.files]
        plan.config_hash = self._hash(bodies)
        for entry, text in bodies:
            target = self._target(entry, text.replace(placeholders.CONFIG_HASH, plan.config_hash))
            plan.targets.append(target)
            self._plan_file(plan, target)
            if target.reveal:
                plan.texts[target.dest] = target.data.decode()
        return plan

    def apply(self, plan: Plan, before_writing: Callable[[], object] = lambda: None) -> list[str]:
        """Check the staged configuration, then write; returns the copies kept of replaced files.

        `before_writing` is called once the configuration is accepted, while the old files are still there.
        """
        if plan.writes:
            self._validate(plan)
        if self.check_mode:
            return []
        for path, ownership in plan.directories:
            atomic.make_directories(path)
            ownership.apply(path)
        if plan.writes:
            before_writing()
        copies = []
        for target in plan.writes:
            self.written = True
            atomic.make_directories(target.path.parent)
            if target.path.exists():
                copies.append(str(atomic.back_up(target.path, self.root)))
            replace_file(target.path, target.data, target.ownership)
        # A file system that stores no owners still shows the difference afterwards; then nothing was changed.
        kept = {str(path) for path, ownership in plan.reowned if ownership.apply(path)}
        plan.changes = [change for change in plan.changes if change["what"] != "owner" or change["path"] in kept]
        return copies

    def _plan_directory(self, plan: Plan, path: Path, ownership: Ownership) -> None:
        if not path.exists():
            plan.directories.append((path, ownership))
            plan.changes.append({"path": str(path), "what": "directory", "why": "missing"})
            plan.diff.append({"header": str(path), "before": "", "after": "directory\n"})
        elif not path.is_dir():
            raise FilesError(f"{path} is a file, but must be a directory. Move it away; it is not replaced.")
        else:
            self._plan_ownership(plan, path, ownership)

    def _plan_file(self, plan: Plan, target: Target) -> None:
        if target.path.is_dir():
            raise FilesError(f"{target.path} is a directory, but must be a file. Move it away; it is not replaced.")
        before = target.path.read_bytes() if target.path.exists() else None
        if before == target.data:
            self._plan_ownership(plan, target.path, target.ownership)
            return
        plan.writes.append(target)
        plan.changes.append(
            {"path": str(target.path), "what": "content", "why": "missing" if before is None else DIFFERS}
        )
        plan.diff.append(
            {
                "before_header": str(target.path),
                "after_header": str(target.path),
                "before": self._masked_live(before or b"", target),
                "after": self._masked(target.data, target),
            }
        )

    def _plan_ownership(self, plan: Plan, path: Path, ownership: Ownership) -> None:
        missing = ownership.missing(path)
        if missing and keeps_owners(path):
            plan.reowned.append((path, ownership))
            why = ", ".join(f"{name} {now} instead of {then}" for name, (now, then) in missing.items())
            plan.changes.append({"path": str(path), "what": "owner", "why": why})

    def _resolved(self, entry: dict[str, Any]) -> str:
        text = entry.get("content")
        if text is None:
            raise FilesError(f"{entry['dest']}: has neither `content` nor `template`")
        if entry.get("reveal") and placeholders.mentions_secret(text):
            raise FilesError(
                f"{entry['dest']}: a file that holds a secret cannot be revealed; take the secret out or drop `reveal`"
            )
        return placeholders.resolve(text, self.secret)

    def _hash(self, bodies: list[tuple[dict[str, Any], str]]) -> str:
        total = hashlib.sha256()
        for entry, text in bodies:
            if placeholders.CONFIG_HASH not in text:
                # Below the root: a tree that is moved as a whole keeps its hashes.
                path = self.root / entry["dest"]
                name = path.relative_to(self.root) if path.is_relative_to(self.root) else path
                total.update(f"{name}\0{len(text)}\0{text}".encode())
        for name in self.watch:
            total.update(f"{name}\0{self.secret(name)}".encode())
        return total.hexdigest()

    def _target(self, entry: dict[str, Any], text: str) -> Target:
        return Target(
            dest=str(entry["dest"]),
            path=self.root / entry["dest"],
            template=str(entry["content"]),
            data=text.encode(),
            ownership=_ownership(entry),
            reveal=bool(entry.get("reveal")),
        )

    def _masked(self, data: bytes, target: Target) -> str:
        return placeholders.mask(data.decode("utf-8", errors="replace"), target.template, self.secret)

    def _masked_live(self, data: bytes, target: Target) -> str:
        """The live text for a diff. In a file with secrets, undeclared lines are hidden: they may be old secrets."""
        text = self._masked(data, target)
        if not placeholders.mentions_secret(target.template):
            return text
        declared = set(self._masked(target.data, target).splitlines())
        lines = [line if line in declared else "(not shown: this file holds secrets)" for line in text.splitlines()]
        return "".join(f"{line}\n" for line in lines)

    def _can_validate(self) -> bool:
        """Whether check mode has the image and the secrets for the command; Docker would create missing folders."""
        validate = self.validate or {}
        secrets = [mount["source"] for mount in validate["mounts"] if mount["kind"] == "secret"]
        if not all(((self.secrets_root or self.root) / source).is_dir() for source in secrets):
            return False
        return self.docker is not None and bool(self.docker.inspect("image", validate["image"]))

    def _validate(self, plan: Plan) -> None:
        """Run the service's validate command on a copy of the new configuration."""
        if self.validate is None or self.docker is None:
            return
        if self.check_mode and not self._can_validate():
            return
        # Below a folder that only root may enter. Check mode on an empty machine uses the temporary directory.
        place = self.root / STAGING
        if not self.check_mode:
            atomic.make_directories(place, 0o700)
        with tempfile.TemporaryDirectory(prefix="staged-", dir=place if place.is_dir() else None) as staged:
            refusal = run_validate_command(
                self.docker, self.validate, self.root, self.secrets_root, Path(staged), plan.targets
            )
        if refusal:
            written = ", ".join(str(target.path) for target in plan.writes)
            for target in plan.targets:
                refusal = self._masked(refusal.encode(), target)
            # The command also reads secrets that no file mentions, and spells them differently.
            known, _unreadable = secrets_below(self.secrets_root) if self.secrets_root else (set(), [])
            refusal = Mask(known).text(refusal)
            raise FilesError(
                f"the validate command rejected the new configuration ({written}); the live files are unchanged. "
                f"Its output: {refusal}"
            )


def _secret_text(file: Path) -> str:
    """The secret; raises FilesError. An empty one would silently leave a service without authentication."""
    try:
        text = file.read_text(encoding="utf-8").strip()
    except UnicodeDecodeError:
        raise FilesError(f"{file} is not text. Correct it, or move it away to have a new one generated.") from None
    if not text:
        raise FilesError(f"{file} is empty. Write the secret there, or remove the file to have a new one generated.")
    return text


def _ownership(entry: Mapping[str, Any]) -> Ownership:
    mode = entry.get("mode")
    try:
        return Ownership(uid=entry.get("uid"), gid=entry.get("gid"), mode=int(str(mode), 8) if mode else None)
    except ValueError as error:
        raise FilesError(
            f'mode {mode!r} of {entry.get("path") or entry.get("dest")} is not octal; write e.g. "0640"'
        ) from error
