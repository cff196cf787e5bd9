# SPDX-License-Identifier: GPL-3.0-or-later
"""What a purge removes from a machine, as operations, and the removal itself: containers, networks, files, data."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ansible.module_utils.deployment import engine, teardown
from ansible.module_utils.deployment.model import MACHINE, ObservedContainer, Operation
from ansible.module_utils.deployment.plan import SERVICE_LABEL
from ansible.module_utils.deployment.teardown import Size
from ansible.module_utils.shared.fs import atomic_write
from ansible.module_utils.shared.ownership import Ownership

CORE_FILE = "infrastructure/docker/docker-compose.core.yml"
RESTORE_POINTS = Path(".trade2026/restore_points")
# Label of the networks that the project created, with the name of the Compose project.
NETWORK_LABEL = "com.trade2026.project"


class PurgeError(Exception):
    """Nothing may be removed; the text is a message for the user."""


class Purge:
    """The purge of some services of one machine. `plan` only reads; `apply` carries out `operations`."""

    def __init__(self, params: Mapping[str, Any], client: Any) -> None:
        self.params = params
        self.client = client
        self.root = Path(params["root"])
        self.secrets_root = Path(params["secrets_root"])
        self.forbidden = [Path(folder) for folder in params["forbidden"]]
        self.services: list[dict[str, Any]] = params["services"]
        self.operations: list[Operation] = []
        self.containers: list[ObservedContainer] = []
        self.data: dict[str, list[Size]] = {}
        # What is kept → why.
        self.kept: dict[str, str] = {}
        self.copies: list[str] = []
        self.errors: list[str] = []
        # Files of the machine as a whole → whether edited by hand. They go with the last service.
        self.machine_files: dict[str, bool] = {}
        self.applications: dict[str, bool] = {}

    def plan(self) -> None:
        """Find what there is; raises PurgeError and EngineError."""
        for folder in self.forbidden:
            if self.root.resolve().is_relative_to(folder.resolve()):
                raise PurgeError(f"{self.root} lies in {folder}, which is only read; nothing was removed")
        names = [service["name"] for service in self.services]
        self.containers = teardown.containers_of(self.client, self.params["project"], names)
        self._plan_containers()
        self._plan_networks()
        for service in self.services:
            self._plan_service(service)
        self._plan_machine(set(names))

    def apply(self) -> Iterator[tuple[str, str]]:
        """Remove what was planned, and yield each operation when it is done; stops where a container does not go."""
        failed = teardown.stop_containers(
            self.client, [container for container in self.containers if container.status in engine.RUNNING]
        )
        self.errors += failed.values()
        for container in self.containers:
            service = container.labels[SERVICE_LABEL]
            error = "" if service in failed else teardown.remove_container(self.client, container)
            if error:
                self.errors.append(error)
            elif service not in failed:
                yield service, f"container {container.name}"
        if self.errors:
            self.errors.append("Nothing else was removed.")
            return
        for operation in self.operations:
            if operation.what.startswith("network "):
                error = teardown.remove_network(self.client, operation.what.removeprefix("network "))
                if error:
                    self.errors.append(error)
                else:
                    yield operation.key
        yield from self._remove_files()

    # ---- what there is ----------------------------------------------------------------------------------------------

    def _note(self, service: str, what: str, current: str, desired: str = "", cause: str = "purge.yml") -> None:
        self.operations.append(Operation(service, what, "remove", current, desired, cause))

    def _plan_containers(self) -> None:
        for container in self.containers:
            self._note(container.labels[SERVICE_LABEL], f"container {container.name}", container.status)

    def _plan_networks(self) -> None:
        ours = {container.name for container in self.containers}
        for name, users in teardown.network_users(self.client, self.params["networks"]).items():
            others = [user for user in users if user not in ours]
            labels = self.client.inspect_network(name).get("Labels") or {}
            if others:
                self.kept[f"network {name}"] = f"used by {', '.join(others)}"
            elif labels.get(NETWORK_LABEL) != self.params["project"]:
                self.kept[f"network {name}"] = f"not created by this project; `docker network rm {name}` removes it"
            else:
                self._note(MACHINE, f"network {name}", "present")

    def _plan_service(self, service: Mapping[str, Any]) -> None:
        name = service["name"]
        for file in [*service["files"], service["fragment"]]:
            self._plan_file(name, self.root, file, file in service["edited"])
        self.data[name] = [
            teardown.measure(self.root / path, self.root, self.forbidden)
            for path in service["data"]
            if (self.root / path).exists() or (self.root / path).is_symlink()
        ]
        for size in self.data[name]:
            below = str(Path(size.path).relative_to(self.root))
            if size.kept:
                self.kept[below] = size.kept
            elif self.params["data"]:
                self._note(name, f"data {below}", size.text, cause="purge_data_of")
        # Secrets go with the data.
        with_data = self.params["data"] and not any(size.kept for size in self.data[name])
        for path in service["secrets"] if with_data else []:
            if not (self.secrets_root / path).exists():
                continue
            if reason := self._secret_kept(path):
                self.kept[f"secret {path}"] = reason
            else:
                self._note(name, f"secret {path}", "present", cause="purge_data_of")
        if self.params["restore_points"] and (self.root / RESTORE_POINTS / name).is_dir():
            size = teardown.measure(self.root / RESTORE_POINTS / name, self.root, self.forbidden)
            self._note(name, f"restore points {RESTORE_POINTS / name}", size.text, cause="purge_restore_points_of")

    def _secret_kept(self, name: str) -> str:
        path = self.secrets_root / name
        kept = teardown.why_kept(path, self.secrets_root, self.forbidden)
        return kept or ("" if path.is_file() else "it is not a file")

    def _plan_machine(self, names: set[str]) -> None:
        """The files of the machine go with its last service; docker-compose.core.yml loses the others' fragments."""
        fragments = (self.root / CORE_FILE).parent / "services"
        rest = {path.stem for path in fragments.glob("[!.]*.yml")} - names
        machine = self.params["machine"]
        if rest:
            if (self.root / CORE_FILE).is_file() and self._core_text(names) != self._core_text(set()):
                self._note(MACHINE, f"file {CORE_FILE}", "includes all", f"includes {', '.join(sorted(rest))}")
            return
        self.machine_files = {file: file in machine.get("edited", []) for file in machine.get("files", [])}
        for file, edited in self.machine_files.items():
            self._plan_file(MACHINE, self.root, file, edited)
        folder = machine.get("applications", "")
        self.applications = teardown.migrated_files(self.root / folder) if folder else {}
        if self.applications:
            edited_count = sum(self.applications.values())
            copies = f", a copy of the {edited_count} edited by hand is kept" if edited_count else ""
            self._note(MACHINE, f"applications {folder}", f"{len(self.applications)} files{copies}")

    def _plan_file(self, service: str, root: Path, file: str, edited: bool) -> None:
        path = root / file
        if not path.exists() and not path.is_symlink():
            return
        reason = teardown.why_kept(path, root, self.forbidden) or ("" if path.is_file() else "it is not a file")
        if reason:
            self.kept[file] = reason
        else:
            current = "edited by hand; a copy is kept" if edited else "as written"
            self._note(service, f"file {file}", current)

    # ---- removal ----------------------------------------------------------------------------------------------------

    def _remove_files(self) -> Iterator[tuple[str, str]]:
        edited = {file for service in self.services for file in service["edited"]}
        edited |= {file for file, was in self.machine_files.items() if was}
        trees = {
            row.key: self.root / row.what.removeprefix("data ").removeprefix("restore points ")
            for row in self.operations
            if row.what.startswith(("data ", "restore points "))
        }
        users = teardown.used_by_others(trees.values())
        if users:
            self.errors.append(
                f"the data is in use, so data and secrets were kept: {'; '.join(users)}. End them, then run again"
            )
        for operation in self.operations:
            kind, _blank, name = operation.what.partition(" ")
            if operation.what == f"file {CORE_FILE}" and operation.desired:
                self._write_core_file()
            elif kind == "file":
                self._remove([name], edited)
            elif kind == "applications":
                changed = [f"{name}/{file}" for file, was in self.applications.items() if was]
                self._remove([f"{name}/{file}" for file in self.applications], changed)
                teardown.forget_migration(self.root / name)
            elif kind == "secret" and not users:
                if (self.secrets_root / name).exists() and (reason := self._secret_kept(name)):
                    self.kept[operation.what] = reason
                else:
                    (self.secrets_root / name).unlink(missing_ok=True)
            else:
                continue
            if operation.what in self.kept or name in self.kept:
                self.errors.append(f"{name} was not removed: {self.kept.get(operation.what) or self.kept[name]}")
            else:
                yield operation.key
        if not users:
            yield from self._remove_trees(trees)
        self._remove_directories()

    def _remove(self, files: Iterable[str], edited: Iterable[str]) -> None:
        done = teardown.remove_files(self.root, files, edited, self.forbidden)
        self.copies += done["copies"]
        self.kept.update(done["kept"])

    def _remove_trees(self, trees: Mapping[tuple[str, str], Path]) -> Iterator[tuple[str, str]]:
        for key, path in trees.items():
            kept = teardown.remove_tree(path, self.root, self.forbidden)
            if key[1].startswith("restore points ") and not kept:
                teardown.remove_tags(self.client, f"localhost/trade2026/restore/{self.params['project']}/{key[0]}")
            if kept:
                self.kept[str(path.relative_to(self.root))] = kept
                self.errors.append(f"{path} was not removed: {kept}")
            else:
                yield key

    def _remove_directories(self) -> None:
        """Directories that are empty now; those with files that the project did not write are named."""
        names = {name for service in self.services for name in service["directories"]}
        data = {name for service in self.services for name in service["data"]}
        names -= data if not self.params["data"] else set()
        for left in teardown.remove_empty(self.root, names, self.forbidden):
            self.kept.setdefault(left, "it holds files that this project did not write")
        below = {str(Path(path).parent) for service in self.services for path in service["secrets"]} - {"."}
        if self.params["data"]:
            teardown.remove_empty(self.secrets_root, below, self.forbidden)
        if self.machine_files:
            machine = self.params["machine"]
            folders = {*machine.get("directories", [])}
            files = [*self.machine_files, *(f"{machine['applications']}/{file}" for file in self.applications)]
            folders |= {str(parent) for file in files for parent in list(Path(file).parents)[:-1]}
            teardown.remove_empty(self.root, folders, self.forbidden)

    def _core_text(self, without: set[str]) -> str:
        return teardown.without_fragments((self.root / CORE_FILE).read_text(encoding="utf-8"), without)

    def _write_core_file(self) -> None:
        names = {service["name"] for service in self.services}
        with atomic_write(self.root / CORE_FILE, ownership=Ownership(mode=0o644)) as file:
            file.write(self._core_text(names).encode())
