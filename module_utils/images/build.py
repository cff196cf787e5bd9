# SPDX-License-Identifier: GPL-3.0-or-later
"""Build images from recipes and from migrated sources, under tags that name their content."""

from __future__ import annotations

import functools
import platform
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible.module_utils.images.fetch import FETCHERS, Fetch, Mirrors, fetch_wheels, find_mirrors
from ansible.module_utils.images.lock import exclusive
from ansible.module_utils.images.plan import SOURCE_LABEL, Choice, ImageError
from ansible.module_utils.shared.docker import Docker, Runner

# Lines of a failed build's output that a message repeats.
TAIL = 12
# Docker colours the errors of a build step.
COLOURS = re.compile(r"\x1b\[[0-9;]*m")
# What a copy of migrated sources leaves out: caches that Python wrote, and wheels for another Python.
NOT_COPIED = shutil.ignore_patterns("__pycache__", "wheels", ".git")


@dataclass(frozen=True)
class Settings:
    """How images are built.

    root: folder that build contexts are relative to. cache: downloads, logs and build folders. network: of the build
    steps. mirror, security_mirror: Debian mirrors, empty for those of the machine's own apt.
    """

    root: Path
    cache: Path
    network: str = "host"
    retries: int = 3
    delay_s: float = 5
    mirror: str = ""
    security_mirror: str = ""


@dataclass(frozen=True)
class Build:
    """One `docker build`."""

    reference: str
    context: Path
    arguments: Mapping[str, str]
    labels: Mapping[str, str]
    log: Path

    def words(self, network: str) -> list[str]:
        """The words after `docker`."""
        words = ["build", "--force-rm", "--network", network, "--tag", self.reference]
        for name, value in sorted(self.arguments.items()):
            words += ["--build-arg", f"{name}={value}"]
        for name, value in sorted(self.labels.items()):
            words += ["--label", f"{name}={value}"]
        return [*words, str(self.context)]


def labels(title: str, version: str, source: str, built_from: str) -> dict[str, str]:
    """The labels of every image that is built here."""
    return {
        "org.opencontainers.image.title": title,
        "org.opencontainers.image.version": version,
        SOURCE_LABEL: source,
        "com.trade2026.image.built-from": built_from,
    }


def _remedy(output: str) -> str:
    """What to do about a failed build, if its output shows the cause."""
    if "no space left on device" in output.lower():
        return (
            "\nDo: free some space on the disk with Docker's images (`docker info --format '{{.DockerRootDir}}'` names "
            "the folder, `docker image prune` removes unused layers), then run again"
        )
    return ""


def write_recipe(folder: Path, files: Mapping[str, str]) -> None:
    """Write a recipe's files. Modes are derived from the content, because a controller's drive may not store them."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        path.chmod(0o755 if text.startswith("#!") else 0o644)


class ImageBuilder:
    """Builds images on this machine, each only once, even if other processes need it too."""

    def __init__(self, run: Runner, settings: Settings, recipes: Mapping[str, Mapping[str, Any]]) -> None:
        self._run = run
        # BuildKit through the docker command needs the buildx plugin, which a Debian engine does not bring.
        self._docker = Docker(functools.partial(run, environ_update={"DOCKER_BUILDKIT": "0"}))
        self._settings = settings
        self._recipes = recipes
        for folder in ("build", "log", "lock"):
            (settings.cache / folder).mkdir(parents=True, exist_ok=True)

    def ensure_recipe(self, name: str) -> list[str]:
        """Build a recipe's image and its base images if they are missing; return what was built."""
        recipe = self._recipes[name]
        # Recipes that share a base run in parallel: the first builds the base, the others wait and reuse it.
        with self._only_one(name):
            if self._present(recipe["tag"]):
                return []
            built = [made for below in recipe["stands_on"] for made in self.ensure_recipe(below)]
            with self._folder(recipe["tag"]) as folder:
                if "files" not in recipe:
                    raise ImageError(f"image {recipe['tag']} was removed while this run was under way; run again")
                write_recipe(folder, recipe["files"])
                (folder / "artefacts").mkdir()
                for kind in recipe["fetch"]:
                    self._fetcher(kind)(self._fetch(recipe, folder))
                self._build(
                    Build(
                        recipe["tag"],
                        folder,
                        {argument: self._recipes[below]["tag"] for argument, below in recipe["build_from"].items()},
                        labels(recipe["title"], recipe["version"], "packages", recipe["built_from"]),
                        self._log(name),
                    )
                )
            return [*built, name]

    def ensure_application(self, choice: Choice, title: str) -> bool:
        """Build the image of migrated sources if it is missing, on a base that exists; True if it was built."""
        with self._only_one(choice.service):
            if self._present(choice.reference):
                return False
            with self._folder(choice.reference) as folder:
                source = self._settings.root / choice.context
                shutil.copytree(source, folder, symlinks=True, ignore=NOT_COPIED, dirs_exist_ok=True)
                if choice.requirements:
                    (folder / "wheels").mkdir()
                    fetch_wheels(self._fetch({"title": title}, folder), self._python(choice), platform.machine())
                self._build(
                    Build(
                        choice.reference,
                        folder,
                        {choice.base_arg: choice.base.reference},
                        labels(
                            title,
                            choice.reference.rpartition(":")[2],
                            choice.source,
                            f"{choice.context} on {choice.base.reference}",
                        ),
                        self._log(choice.service),
                    )
                )
        return True

    def _python(self, choice: Choice) -> str:
        """The version of Python in the base, which the wheels must fit."""
        if choice.source == "packages":
            version = str(self._recipes[choice.base.recipe].get("python", ""))
        else:
            found = re.search(r":(\d+\.\d+)", choice.base.official)
            version = found[1] if found else ""
        if not version:
            raise ImageError(
                f"{choice.service}: the base {choice.base.official} does not say its version of Python; use a tag that "
                "begins with it, or name `python` in the recipe"
            )
        return version

    def _build(self, build: Build) -> None:
        code, out, err = self._docker.attempt(*build.words(self._settings.network))
        build.log.write_text(out + err, encoding="utf-8")
        if code != 0:
            output = COLOURS.sub("", out + err)
            said = "\n".join([line for line in output.splitlines() if line.strip()][-TAIL:])
            raise ImageError(
                f"image {build.reference} could not be built. "
                f"The whole output is in {build.log} on this machine; it ends with:\n{said}{_remedy(output)}"
            )

    def _present(self, reference: str) -> bool:
        return reference in self._docker.inspect("image", reference)

    def _fetcher(self, kind: str) -> Any:
        if kind not in FETCHERS:
            raise ImageError(f"recipe: fetch knows {', '.join(sorted(FETCHERS))}, not {kind}; see docs/images.md")
        return FETCHERS[kind]

    def _fetch(self, recipe: Mapping[str, Any], folder: Path) -> Fetch:
        settings = self._settings
        return Fetch(self._run, recipe, folder, settings.cache, self._mirrors, settings.retries, settings.delay_s)

    def _mirrors(self) -> Mirrors:
        """The mirrors that the site sets, else those that the machine's own apt uses."""
        own = find_mirrors(self._run)
        return Mirrors(self._settings.mirror or own.main, self._settings.security_mirror or own.security)

    def _log(self, name: str) -> Path:
        return self._settings.cache / "log" / f"{name}.log"

    def _only_one(self, name: str) -> Any:
        return exclusive(self._settings.cache / "lock" / name)

    @contextmanager
    def _folder(self, reference: str) -> Iterator[Path]:
        """An empty build folder, removed afterwards; what a killed run left there is incomplete."""
        folder = self._settings.cache / "build" / reference.rpartition("/")[2].replace(":", "-")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
