# SPDX-License-Identifier: GPL-3.0-or-later
"""Limits and hardening as the kernel enforces them, compared with what was declared."""

from __future__ import annotations

import re
from pathlib import Path

from ansible.module_utils.validation.model import FailedError, Passed
from ansible.module_utils.validation.stack import Service, Stack

# Values of Seccomp in /proc/PID/status.
FILTER = "2"
# Names of common capabilities, by number (capability.h).
CAPABILITIES = (
    "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP",
    "LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER",
    "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE",
    "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP",
    "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF",
    "CHECKPOINT_RESTORE",
)  # fmt: skip
REDEPLOY = "run the deployment again: it creates the container with the declared settings"
CHANGED = "somebody changed the container or its Compose file after the deployment"


def cgroup_file(pid: int, controller: str, v1: str, v2: str, proc: Path = Path("/proc")) -> Path:
    """The file of a process's control group, in either version of control groups; raises FailedError."""
    for line in (proc / str(pid) / "cgroup").read_text(encoding="utf-8").splitlines():
        _number, names, path = line.split(":", 2)
        if controller in names.split(",") or (not names and not _has_v1(controller, proc)):
            return _mount(controller if names else "", path, proc) / (v1 if names else v2)
    raise FailedError(f"process {pid} is in no control group of {controller}")


def _has_v1(controller: str, proc: Path) -> bool:
    return any(_is_v1(line, controller) for line in _mounts(proc))


def _mounts(proc: Path) -> list[str]:
    return (proc / "self/mountinfo").read_text(encoding="utf-8").splitlines()


def _is_v1(line: str, controller: str) -> bool:
    left, _dash, right = line.partition(" - ")
    words = right.split()
    return bool(left) and words[0] == "cgroup" and controller in words[2].split(",")


def _mount(controller: str, path: str, proc: Path) -> Path:
    """Where the control group is in the file system; a mount may show only a part of the hierarchy."""
    for line in _mounts(proc):
        left, _dash, right = line.partition(" - ")
        fields = left.split()
        if _is_v1(line, controller) if controller else right.startswith("cgroup2 "):
            inner = path.removeprefix(fields[3]) if fields[3] != "/" else path
            return Path(fields[4], inner.lstrip("/"))
    raise FailedError(f"no file system of control groups is mounted for {controller or 'version 2'}")


def read_limit(path: Path) -> int | None:
    """A limit; None if there is none."""
    text = path.read_text(encoding="ascii").split()[0]
    # Version 1 uses a number close to 2**63 for no limit.
    return None if text in ("max", "-1") or int(text) > 2**60 else int(text)


def processes(service: Service) -> dict[int, dict[str, str]]:
    """Process → the fields of its status, for every process of the container."""
    procs = cgroup_file(service.pid, "pids", "cgroup.procs", "cgroup.procs")
    found = {}
    for text in procs.read_text(encoding="ascii").split():
        try:
            status = Path("/proc", text, "status").read_text(encoding="utf-8")
        except OSError:
            # The process of a health check that has ended.
            continue
        found[int(text)] = dict(re.findall(r"^(\w+):\s*(.*)$", status, re.MULTILINE))
    if service.pid not in found:
        raise FailedError(f"the first process of {service.container} is not in its control group {procs}")
    return found


def capability_names(mask: int) -> list[str]:
    """Names of the capabilities in a mask."""
    return [
        CAPABILITIES[bit] if bit < len(CAPABILITIES) else f"number {bit}"
        for bit in range(mask.bit_length())
        if mask >> bit & 1
    ]


def memory_limit(_stack: Stack, service: Service) -> Passed:
    """Memory, and no swap beyond it."""
    wanted = int(service.record["limits"]["memory_bytes"])
    path = cgroup_file(service.pid, "memory", "memory.limit_in_bytes", "memory.max")
    actual = read_limit(path)
    if actual != wanted:
        raise FailedError(
            f"the kernel limits memory to {actual or 'nothing'}, {wanted} bytes are declared", CHANGED, REDEPLOY
        )
    return Passed(f"the kernel's limit is {wanted} bytes", {"bytes": wanted, "file": str(path)})


def pids_limit(_stack: Stack, service: Service) -> Passed:
    """Processes and threads."""
    wanted = int(service.record["limits"]["pids"])
    actual = read_limit(cgroup_file(service.pid, "pids", "pids.max", "pids.max"))
    if actual != wanted:
        raise FailedError(
            f"the kernel limits processes to {actual or 'nothing'}, {wanted} are declared", CHANGED, REDEPLOY
        )
    return Passed(f"the kernel's limit is {wanted} processes and threads", {"processes": wanted})


def cpu_limit(_stack: Stack, service: Service) -> Passed:
    """Processor time."""
    wanted = float(service.record["limits"]["cpus"])
    path = cgroup_file(service.pid, "cpu", "cpu.cfs_quota_us", "cpu.max")
    quota = read_limit(path)
    words = path.read_text(encoding="ascii").split()
    period = int(words[1]) if len(words) > 1 else int((path.parent / "cpu.cfs_period_us").read_text(encoding="ascii"))
    actual = None if quota is None else quota / period
    if actual is None or abs(actual - wanted) > 0.001:
        raise FailedError(f"the kernel allows {actual or 'all'} processors, {wanted:g} are declared", CHANGED, REDEPLOY)
    return Passed(f"the kernel allows {actual:g} processors", {"processors": actual})


def capabilities(_stack: Stack, service: Service) -> Passed:
    """No process has a capability, or could get one."""
    found = processes(service)
    held: dict[str, list[str]] = {}
    for field in ("CapEff", "CapPrm", "CapBnd", "CapInh", "CapAmb"):
        for status in found.values():
            if mask := int(status.get(field, "0"), 16):
                held[field] = capability_names(mask)
    if held:
        added = ", ".join(service.document["HostConfig"].get("CapAdd") or []) or "none"
        raise FailedError(
            "a process has capabilities: " + "; ".join(f"{field} {', '.join(names)}" for field, names in held.items()),
            f"the container adds capabilities (cap_add: {added})",
            "remove cap_add from the Compose fragment; " + REDEPLOY,
        )
    return Passed(f"none of the {len(found)} processes has a capability", {"processes": len(found)})


def no_new_privileges(_stack: Stack, service: Service) -> Passed:
    """No process can gain privileges by running another program."""
    found = processes(service)
    if wrong := [pid for pid, status in found.items() if status.get("NoNewPrivs") != "1"]:
        raise FailedError(f"NoNewPrivs is not set for the processes {wrong}", "no-new-privileges is off", REDEPLOY)
    return Passed(f"NoNewPrivs is set for all {len(found)} processes")


def seccomp(_stack: Stack, service: Service) -> Passed:
    """System calls are filtered."""
    found = processes(service)
    if wrong := [pid for pid, status in found.items() if status.get("Seccomp") != FILTER]:
        raise FailedError(
            f"no system call filter is in force for the processes {wrong}",
            "the container runs with seccomp=unconfined, or the engine was built without seccomp",
            "remove the option from the Compose fragment, or see `docker info` for the engine's security options",
        )
    return Passed(f"a system call filter is in force for all {len(found)} processes")


def user(_stack: Stack, service: Service) -> Passed:
    """Every process runs as the declared user, which is not root."""
    uid, gid = str(service.record["user"]["uid"]), str(service.record["user"]["gid"])
    found = processes(service)
    wrong = {
        pid: f"{status.get('Uid')} / {status.get('Gid')}"
        for pid, status in found.items()
        if set(status["Uid"].split()) != {uid} or set(status["Gid"].split()) != {gid}
    }
    if wrong or uid == "0":
        raise FailedError(f"processes run as {wrong or 'root'}, the user {uid}:{gid} is declared", CHANGED, REDEPLOY)
    return Passed(f"all {len(found)} processes run as {uid}:{gid}", {"uid": int(uid), "gid": int(gid)})


def read_only_root(_stack: Stack, service: Service) -> Passed:
    """The root file system is mounted read-only."""
    for line in Path("/proc", str(service.pid), "mountinfo").read_text(encoding="utf-8").splitlines():
        fields = line.split()
        if fields[4] == "/":
            if "ro" not in fields[5].split(","):
                raise FailedError(f"the root file system is mounted with {fields[5]}", "read_only is off", REDEPLOY)
            return Passed("the root file system is mounted read-only", {"options": fields[5]})
    raise FailedError("the container's mount table has no root file system")


def mounts(_stack: Stack, service: Service) -> Passed:
    """Configuration and secrets are mounted read-only, and nothing is mounted that was not declared."""
    declared = {volume["target"]: bool(volume["read_only"]) for volume in service.record["volumes"]}
    actual = {mount["Destination"]: not mount.get("RW") for mount in service.document.get("Mounts") or []}
    wrong = [f"{path} is not mounted" for path in declared if path not in actual]
    wrong += [f"{path} is writable" for path, only in declared.items() if only and actual.get(path) is False]
    wrong += [f"{path} is mounted, but not declared" for path in actual if path not in declared]
    if wrong:
        raise FailedError("; ".join(wrong), CHANGED, REDEPLOY)
    return Passed(f"{len(actual)} mounts as declared, {sum(actual.values())} of them read-only")
