# SPDX-License-Identifier: GPL-3.0-or-later
"""A machine in separate namespaces: another system's root file system, a network, and no running service."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import psutil
from namespaces import ISOLATE

ROOT = Path(__file__).resolve().parents[2]
AUTHORITIES = Path("/usr/local/share/ca-certificates")
USER = "deployer"
PROJECT = f"/home/{USER}/trade2026"

# $1 is the root file system. Afterwards the host's own files cannot be reached.
START = """
set -e
ip link set lo up
mount --bind "$1" "$1"
cd "$1"
mount -t proc proc proc
mount -t sysfs sysfs sys
mount --rbind /sys/fs/cgroup sys/fs/cgroup
mount --rbind /dev dev
mount -t tmpfs tmpfs run
mkdir -p run/lock before
pivot_root . before
umount --lazy /before
echo ready
exec sleep infinity
"""


class Machine:
    """Starts and stops it; runs commands in it, as its user or as root.

    release: name of a Debian or Ubuntu release.
    """

    def __init__(self, folder: Path, release: str) -> None:
        self.folder = folder
        self.release = release
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        """Unpack it and start it, with a user who may use sudo, and the project in the user's home."""
        shutil.rmtree(self.folder, ignore_errors=True)
        subprocess.run([ROOT / "scripts/unpack-system", self.release, self.folder], check=True)
        # The addresses of slirp4netns.
        (self.folder / "etc/resolv.conf").write_text("nameserver 10.0.2.3\n")
        (self.folder / "etc/hosts").write_text(f"127.0.0.1 localhost {os.uname().nodename}\n")
        if AUTHORITIES.is_dir():
            shutil.copytree(AUTHORITIES, self.folder / AUTHORITIES.relative_to("/"), dirs_exist_ok=True)
        command = [*ISOLATE, "sh", "-c", START, "sh", str(self.folder)]
        machine = subprocess.Popen(command, stdout=subprocess.PIPE)
        self._processes.append(machine)
        # Until then, a command would run on this machine's own root file system.
        assert machine.stdout
        assert machine.stdout.readline() == b"ready\n", f"{self.release} did not start"
        ready, written = os.pipe()
        network = ["slirp4netns", "--configure", "--mtu=65520", f"--ready-fd={written}", str(machine.pid), "tap0"]
        self._processes.append(subprocess.Popen(network, pass_fds=[written], stdout=subprocess.DEVNULL))
        os.close(written)
        assert os.read(ready, 1) == b"1", "slirp4netns gave the machine no network"
        os.close(ready)
        self.root("useradd", "--create-home", "--shell", "/bin/bash", USER)
        (self.folder / "etc/sudoers.d" / USER).write_text(f"{USER} ALL=(ALL) NOPASSWD: ALL\n")
        self._copy_project()

    def _copy_project(self) -> None:
        """Copy the project's files in git, with uncommitted changes."""
        listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        names = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True).stdout
        there = b"\0".join(name for name in names.split(b"\0") if name and (ROOT / os.fsdecode(name)).exists())
        packed = subprocess.run(
            ["tar", "--create", "--null", "--files-from=-"], cwd=ROOT, input=there, check=True, capture_output=True
        ).stdout
        self.root("mkdir", PROJECT)
        self.root("tar", "--extract", f"--directory={PROJECT}", stdin=packed)
        self.root("chown", "--recursive", f"{USER}:{USER}", PROJECT)

    def stop(self) -> None:
        """End everything that runs in it, and remove it."""
        for process in reversed(self._processes):
            for child in psutil.Process(process.pid).children():
                child.kill()
            process.kill()
            process.wait(timeout=60)
        shutil.rmtree(self.folder, ignore_errors=True)

    def root(self, *words: str, stdin: bytes = b"") -> str:
        """Output of a command that root runs; fails if the command fails."""
        done = self._run(words, stdin)
        assert done.returncode == 0, (done.stdout + done.stderr).decode()
        return done.stdout.decode()

    def user(self, command: str) -> subprocess.CompletedProcess[str]:
        """Run a shell command as the user, after a new login, in the project's folder."""
        login = ("su", "--login", USER, "--command", f"cd {PROJECT} && {command} 2>&1")
        done = self._run(login, b"")
        return subprocess.CompletedProcess(login, done.returncode, done.stdout.decode(), done.stderr.decode())

    def _run(self, words: tuple[str, ...], stdin: bytes) -> subprocess.CompletedProcess[bytes]:
        # The child of unshare, whose root directory is the machine's.
        inside = psutil.Process(self._processes[0].pid).children()[0].pid
        enter = ["nsenter", f"--target={inside}", "--net", "--mount", "--pid", "--root", "--wd=/"]
        environment = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}
        return subprocess.run(
            [*enter, *words], input=stdin, env=environment, capture_output=True, check=False, timeout=3000
        )
