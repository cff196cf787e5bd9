# SPDX-License-Identifier: GPL-3.0-or-later
"""Stop and remove what a deployment created: containers, networks, files, data. Nothing else is touched.

Containers and networks are found by their labels and names. Files are those that the project renders; a directory is
removed only if it is empty. No symlink is followed and no mount point is crossed.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ansible.module_utils.core import atomic
from ansible.module_utils.data_copy.in_use import processes_using
from ansible.module_utils.deployment import engine
from ansible.module_utils.deployment.model import ObservedContainer
from ansible.module_utils.deployment.plan import SERVICE_LABEL
from ansible.module_utils.migration.manifest import (
    STATE_NAME,
    Manifest,
    open_state,
    parse_file_record,
    stat_key_of,
)
from ansible.module_utils.shared.ownership import mounted
from ansible.module_utils.shared.sizes import in_files

# Seconds that the engine waits for a container that has no grace period of its own.
DEFAULT_GRACE_S = 10


@dataclass(frozen=True)
class Size:
    """How much there is below a directory."""

    path: str
    bytes: int = 0
    files: int = 0
    # Why it is kept; empty if it may be removed.
    kept: str = ""

    @property
    def text(self) -> str:
        """As text, for messages."""
        return in_files(self.bytes, self.files)

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return {**asdict(self), "text": self.text}


# ---- containers and networks ----------------------------------------------------------------------------------------


def containers_of(client: Any, project: str, services: Iterable[str]) -> list[ObservedContainer]:
    """The project's containers of the services; raises EngineError."""
    wanted = set(services)
    seen = engine.observe_engine(client, project, (), ())
    return [
        container
        for container in seen.containers
        if container.labels.get(engine.PROJECT_LABEL) == project and container.labels.get(SERVICE_LABEL) in wanted
    ]


def in_batches(names: Sequence[str], size: int) -> list[list[str]]:
    """The names in groups of `size`, the last one first: what was started last is stopped first."""
    backwards = list(reversed(names))
    return [backwards[start : start + size] for start in range(0, len(backwards), size)]


def stop_containers(client: Any, containers: Sequence[ObservedContainer]) -> dict[str, str]:
    """Stop the containers in parallel, each with its own grace period; return service → error for those that failed."""
    with ThreadPoolExecutor(max_workers=max(1, len(containers))) as pool:
        answers = pool.map(lambda container: _stop(client, container), containers)
    return {
        container.labels[SERVICE_LABEL]: error for container, error in zip(containers, answers, strict=True) if error
    }


def _stop(client: Any, container: ObservedContainer) -> str:
    from docker.errors import DockerException

    try:
        if container.status == "paused":
            # A paused process cannot answer the signal.
            client.unpause(container.id)
        grace = client.inspect_container(container.id)["Config"].get("StopTimeout")
        client.stop(container.id, timeout=DEFAULT_GRACE_S if grace is None else int(grace))
    except (DockerException, OSError) as error:
        return f"{container.name} cannot be stopped: {error}"
    return ""


def remove_container(client: Any, container: ObservedContainer) -> str:
    """Remove a stopped container with its anonymous volumes; returns the error, empty if it is gone."""
    from docker.errors import DockerException, NotFound

    try:
        client.remove_container(container.id, v=True, force=True)
    except NotFound:
        return ""
    except (DockerException, OSError) as error:
        return f"{container.name} cannot be removed: {error}"
    return ""


def network_users(client: Any, names: Iterable[str]) -> dict[str, list[str]]:
    """Network → the containers that are connected to it, for those that exist; raises EngineError."""
    from docker.errors import DockerException, NotFound

    found = {}
    for name in names:
        try:
            document = client.inspect_network(name)
            attached = client.containers(all=True, filters={"network": name})
        except NotFound:
            continue
        except (DockerException, OSError) as error:
            raise engine.EngineError(f"Docker does not answer: {error}") from error
        running = {str(end.get("Name")) for end in (document.get("Containers") or {}).values()}
        found[name] = sorted(running | {(entry.get("Names") or [""])[0].lstrip("/") for entry in attached})
    return found


def remove_network(client: Any, name: str) -> str:
    """Remove a network; returns the error, empty if it is gone. The engine refuses one that is in use."""
    from docker.errors import DockerException, NotFound

    try:
        client.remove_network(name)
    except NotFound:
        return ""
    except (DockerException, OSError) as error:
        return f"network {name} cannot be removed: {error}"
    return ""


def remove_tags(client: Any, repository: str) -> None:
    """Remove the tags of a repository of images; an image that has another tag stays. Raises EngineError."""
    from docker.errors import DockerException, NotFound

    try:
        tags = [tag for image in client.images(name=repository) for tag in image.get("RepoTags") or []]
        for tag in tags:
            with contextlib.suppress(NotFound):
                client.remove_image(tag, noprune=True)
    except (DockerException, OSError) as error:
        raise engine.EngineError(f"the images of {repository} cannot be removed: {error}") from error


# ---- files and data -------------------------------------------------------------------------------------------------


def why_kept(path: Path, root: Path, forbidden: Iterable[Path]) -> str:
    """Why nothing may be removed there; empty if the path is really below the root and on its own file system."""
    if path.is_symlink():
        return "it is a symlink; what it points to was not created here"
    real, base = path.resolve(), root.resolve()
    if real == base or not real.is_relative_to(base):
        return f"it is not below {root}"
    for folder in forbidden:
        if real.is_relative_to(folder.resolve()) or folder.resolve().is_relative_to(real):
            return f"it belongs to {folder}, which is only read"
    inside = sorted(point for point in mount_points() if point.is_relative_to(real))
    return f"another file system is mounted at {inside[0]}" if inside else ""


def mount_points(mounts: Path = Path("/proc/self/mounts")) -> list[Path]:
    """Where something is mounted, including bind mounts."""
    return [Path(point) for point, _type, _options in mounted(os.fsdecode(mounts.read_bytes()))]


def measure(path: Path, root: Path, forbidden: Iterable[Path] = ()) -> Size:
    """How much there is below a directory, without the targets of symlinks and without mounts."""
    kept = why_kept(path, root, forbidden)
    size, files = 0, 0
    folders = [] if kept or not path.is_dir() else [path]
    while folders:
        with contextlib.suppress(FileNotFoundError), os.scandir(folders.pop()) as entries:
            for entry in entries:
                try:
                    seen = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    # The service, which still runs, removed it meanwhile.
                    continue
                if stat.S_ISDIR(seen.st_mode):
                    folders.append(Path(entry.path))
                else:
                    size, files = size + seen.st_size, files + 1
    return Size(str(path), size, files, kept)


def remove_files(root: Path, names: Iterable[str], edited: Iterable[str], forbidden: Sequence[Path]) -> dict[str, Any]:
    """Remove files below the root; one that was edited by hand is copied first. Returns `removed`, `copies`, `kept`."""
    edited = set(edited)
    answer: dict[str, Any] = {"removed": [], "copies": [], "kept": {}}
    for name in names:
        path = root / name
        if not path.exists() and not path.is_symlink():
            continue
        reason = why_kept(path, root, forbidden) or ("" if path.is_file() else "it is not a file")
        if reason:
            answer["kept"][name] = reason
            continue
        if name in edited:
            answer["copies"].append(str(atomic.back_up(path, root)))
        path.unlink()
        answer["removed"].append(name)
    return answer


def remove_empty(root: Path, names: Iterable[str], forbidden: Sequence[Path]) -> list[str]:
    """Remove those directories that are empty, the deepest first; returns those that still hold something."""
    left = []
    for name in sorted(set(names), key=lambda name: name.count("/"), reverse=True):
        path = root / name
        if not path.is_dir() or path.is_symlink():
            continue
        if why_kept(path, root, forbidden):
            left.append(name)
            continue
        try:
            path.rmdir()
        except OSError:
            left.append(name)
    return sorted(left)


def remove_tree(path: Path, root: Path, forbidden: Sequence[Path]) -> str:
    """Remove a directory with all it holds; returns why it was kept, empty if it is gone."""
    if not path.exists() and not path.is_symlink():
        return ""
    kept = measure(path, root, forbidden).kept
    if kept:
        return kept
    shutil.rmtree(path)
    return ""


def without_fragments(text: str, services: Iterable[str]) -> str:
    """The text of docker-compose.core.yml without the services' fragments; empty if it includes no other."""
    gone = {f"  - path: services/{name}.yml" for name in services}
    lines = [line for line in text.splitlines(keepends=True) if line.rstrip("\n") not in gone]
    return "".join(lines) if any(line.startswith("  - path: ") for line in lines) else ""


def used_by_others(paths: Iterable[Path]) -> list[str]:
    """Processes that have files below the directories open."""
    inodes = []
    for path in paths:
        for folder, _folders, names in os.walk(path):
            for name in names:
                with contextlib.suppress(FileNotFoundError):
                    seen = (Path(folder) / name).lstat()
                    inodes.append((seen.st_dev, seen.st_ino))
    return processes_using(inodes)


def migrated_files(folder: Path) -> dict[str, bool]:
    """File below the folder of the migrated applications → whether it was edited since; empty without a manifest."""
    found = {}
    for name, record in _manifest(folder).items():
        path = folder / name
        if path.is_file() and not path.is_symlink() and not record.startswith(b"D"):
            known = parse_file_record(record)
            found[name] = known is None or stat_key_of(path.lstat()) != known.dest
    return found


def forget_migration(folder: Path) -> None:
    """Remove what is left of the migrated applications: symlinks, empty directories, the migration's own records."""
    records = _manifest(folder)
    for name, record in records.items():
        path = folder / name
        if record.startswith(b"L") and path.is_symlink() and os.fsencode(path.readlink()) == record[1:]:
            path.unlink()
    for name in sorted(records, key=lambda name: name.count("/"), reverse=True):
        if records[name].startswith(b"D"):
            with contextlib.suppress(OSError):
                (folder / name).rmdir()
    state = folder / os.fsdecode(STATE_NAME)
    if state.is_dir() and not state.is_symlink():
        shutil.rmtree(state)
    with contextlib.suppress(OSError):
        folder.rmdir()


def _manifest(folder: Path) -> dict[str, bytes]:
    """Path below the folder → its record; empty for a damaged manifest, so that nothing is removed because of it."""
    state = open_state(os.fsencode(folder / os.fsdecode(STATE_NAME)), create=False)
    if state < 0:
        return {}
    try:
        return {os.fsdecode(name): record for name, record in Manifest.load(state, "").records.items()}
    except ValueError:
        return {}
    finally:
        os.close(state)
