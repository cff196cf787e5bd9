# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters of the role `core`: views of the plan, and small derivations that would be less clear in Jinja."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import ansible.module_utils

# Ansible ships the project's module_utils with each module. A plugin runs on the controller and finds them here.
ansible.module_utils.__path__.append(str(Path(__file__).resolve().parent.parent / "module_utils"))

from ansible.module_utils.deployment.model import MACHINE, Operation, image_of_plan, table
from ansible.module_utils.deployment.plan import needs_recreate

# Matches no host; an empty pattern would be an error.
NOBODY = "core_services:!core_services"
# The default of `core_batch`: all services at once.
EVERYTHING = "100%"
# Operations that concern the files of a service, not its container.
ON_FILES = ("file ", "directory ", "owner of ", "owners below ")

Operations = Sequence[Mapping[str, Any]]


def core_same_machine(hosts: Iterable[str], machine: str, hostvars: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The services that run on the machine, in the order of the inventory."""
    return [host for host in hosts if hostvars[host]["docker_host"] == machine]


def core_primaries(hosts: Iterable[str], hostvars: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The first service of each machine, whose host does the work that is done once per machine."""
    first: dict[str, str] = {}
    for host in hosts:
        first.setdefault(str(hostvars[host]["docker_host"]), host)
    return list(first.values())


def core_networks(networks: Mapping[str, Mapping[str, str]]) -> list[dict[str, str]]:
    """The declared networks as a list, each with its key."""
    return [{"key": key, "name": network["name"], "subnet": network["subnet"]} for key, network in networks.items()]


def core_names(operations: Operations, kind: str) -> list[str]:
    """The names that operations of a kind concern: `network` → every NAME of `network NAME`."""
    prefix = f"{kind} "
    return [str(row["what"]).removeprefix(prefix) for row in operations if str(row["what"]).startswith(prefix)]


def core_operation_line(operation: Mapping[str, Any]) -> str:
    """An operation in one line."""
    return (
        f"{operation['action']} {operation['what']}: {operation['current'] or 'none'} -> "
        f"{operation['desired'] or 'none'} ({operation['cause']})"
    )


def core_container_commands(operations: Operations, container: str) -> list[list[str]]:
    """Docker commands for what Compose does not do: remove a duplicate container, unpause a paused one."""
    commands = []
    for row in operations:
        if row["action"] == "remove":
            commands.append(["docker", "container", "rm", "--force", str(row["what"]).removeprefix("container ")])
        elif row["action"] == "unpause":
            commands.append(["docker", "container", "unpause", container])
    return commands


def core_container_operations(operations: Operations) -> list[dict[str, str]]:
    """The operations that are done once the container runs, as the journal records them."""
    return [
        {"service": str(row["service"]), "what": str(row["what"])}
        for row in operations
        if not str(row["what"]).startswith(ON_FILES)
    ]


def core_needs_recreate(operations: Operations) -> bool:
    """Whether the container must be created again even if Compose sees the same definition."""
    return needs_recreate(tuple(Operation(**row) for row in operations))


def core_hosts_to_deploy(hostvars: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The services with operations; all services if the play is only parsed (--syntax-check, --list-hosts)."""
    if not hostvars:
        return ["core_services"]
    together = _deployed_together(hostvars)
    return [
        host
        for plan in _plans(hostvars)
        for host in plan["by_service"]
        if host != MACHINE and _deploys(plan, host) and host not in together
    ] or [NOBODY]


def _deploys(planned: Mapping[str, Any], service: str) -> bool:
    """Whether the service has operations. A service that is switched off is stopped with its machine's operations."""
    return any(row["action"] != "stop" for row in planned["by_service"].get(service) or [])


def core_machines_together(hostvars: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The primaries of machines on which services are deployed together."""
    return [host for host in hostvars if core_together(hostvars[host])] or [NOBODY]


def core_together(variables: Mapping[str, Any]) -> list[str]:
    """The services that a primary deploys together: those that need nothing but files and a container.

    The others need an image, a rollback, or a command that Compose does not have. With `core_batch`, services are
    deployed in the order and number that the site asks for, so there are none.
    """
    planned = variables.get("core_planned") or {}
    if not planned.get("run") or str(variables.get("core_batch", EVERYTHING)) != EVERYTHING:
        return []
    return [
        name
        for name, rows in planned["by_service"].items()
        if name != MACHINE and rows and all(_is_simple(row, planned["images"][name]) for row in rows)
    ]


def _is_simple(row: Mapping[str, Any], image: Mapping[str, Any]) -> bool:
    """Whether an operation is one on files, or one that Compose carries out."""
    if row["what"] == "image" and row["action"] not in ("start", "recreate"):
        # An image whose tag follows from migrated sources may be there.
        return not image["known"]
    return row["what"].startswith(ON_FILES) or (row["what"] != "rollback" and row["action"] in ("start", "recreate"))


def core_without_image(names: Iterable[str], images: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The services whose image is not known to be there."""
    listed = list(names)
    present = core_with_image(listed, images)
    return [name for name in listed if name not in present]


def core_with_image(names: Iterable[str], images: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The services whose image is there."""
    return [name for name in names if images[name]["known"] and images[name]["present"]]


def core_images_now(planned: Mapping[str, Any], found: Mapping[str, Any]) -> dict[str, Any]:
    """Service → its image: the planned one, or the one that the module `image_plan` found to be there later."""
    later = (found.get("images") or {}).items()
    return {**planned["images"], **{name: image_of_plan(image) for name, image in later if image["present"]}}


def core_subset(values: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """The entries of a dictionary with these names."""
    return {name: values[name] for name in names}


def core_with_files(names: Iterable[str], planned: Mapping[str, Any]) -> list[str]:
    """The services that the plan lists files for, or cannot list them because the image is not known."""
    return [
        name
        for name in names
        if any(str(row["what"]).startswith(ON_FILES) for row in planned["by_service"][name])
        or (planned["by_service"][name] and not planned["images"][name]["known"])
    ]


def core_files_to_write(
    names: Iterable[str], planned: Mapping[str, Any], images: Mapping[str, Any], role: str = ""
) -> list[dict[str, Any]]:
    """The services with files to write, as the action plugin `core_files` takes them."""
    found = []
    for name in core_with_files(names, planned):
        rows = planned["by_service"][name]
        service = {"name": name, "role": role, "image": images[name], "owners": core_names(rows, "owners below")}
        if planned["images"][name]["known"]:
            # If the image is built from migrated sources, not every operation can be predicted.
            service["expected"] = [str(row["what"]) for row in rows]
        found.append(service)
    return found


def core_written_services(names: Iterable[str], written: Mapping[str, Any]) -> list[str]:
    """The services whose files are as declared."""
    answers = written.get("services") or {}
    return [name for name in names if not (answers.get(name) or {}).get("failed")]


def core_compose_groups(names: Iterable[str], planned: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The services for one Compose process each: those whose container is created again in any case, and the others."""
    listed = list(names)
    again = [name for name in listed if core_needs_recreate(planned["by_service"][name])]
    groups = [
        {"services": again, "recreate": "always"},
        {"services": [name for name in listed if name not in again], "recreate": "auto"},
    ]
    return [group for group in groups if group["services"]]


def core_probes(
    probes: Iterable[Mapping[str, Any]], deployed: Sequence[str], unchanged: Sequence[str]
) -> list[dict[str, Any]]:
    """The probes of the services that were deployed, and of those that were not changed."""
    return [
        {**service, "was_running": service["name"] in unchanged}
        for service in probes
        if service["name"] in deployed or service["name"] in unchanged
    ]


def _together(hostvars: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Service → result of its probes, for those that were probed together, on any machine."""
    found: dict[str, Any] = {}
    for host in hostvars:
        found.update((hostvars[host].get("core_together_probed") or {}).get("services") or {})
    return found


def _deployed_together(hostvars: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Service → result of its probes, for those that were deployed together, on any machine, and passed."""
    found: dict[str, Any] = {}
    for host in hostvars:
        result = hostvars[host].get("core_together_probed") or {}
        services: dict[str, Any] = result.get("services") or {}
        passed = {name: answer for name, answer in services.items() if not answer.get("failed")}
        # If the task failed although every service passed, each of them finds out by itself what failed.
        if not result.get("failed") or len(passed) < len(services):
            found.update(passed)
    return found


def core_hosts_deployed_together(hostvars: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The services that were deployed together and passed, on any machine."""
    together = _deployed_together(hostvars)
    return [
        host
        for planned in _plans(hostvars)
        for host in core_with_operations(planned["by_service"], planned)
        if host in together
    ] or [NOBODY]


def core_operation_lines(hostvars: Mapping[str, Mapping[str, Any]], service: str) -> list[str]:
    """The operations of a service, one line each."""
    rows = [row for planned in _plans(hostvars) for row in planned["by_service"].get(service) or []]
    return [core_operation_line(row) for row in rows]


def core_failure_message(result: Mapping[str, Any]) -> str:
    """Why a task failed. If the task has a loop, only the results of its items contain the error."""
    failed = [row for row in result.get("results") or [result] if row.get("failed")]
    return str(failed[0].get("msg") if failed else "") or "see the failed task above"


def core_stopped(planned: Mapping[str, Any]) -> list[str]:
    """The services that the plan stops."""
    return [name for name, rows in planned["by_service"].items() if any(row["action"] == "stop" for row in rows)]


def core_failed_hosts(hostvars: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The services whose deployment or probes failed; all of them if nothing was planned."""
    if not _plans(hostvars):
        return ["core_services"]
    return list(core_failures(hostvars, hostvars)) or [NOBODY]


def _plans(hostvars: Mapping[str, Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    found = []
    for host in hostvars:
        planned = hostvars[host].get("core_planned")
        if planned is not None and "by_service" in planned:
            found.append(planned)
    return found


def core_summary(
    planned: Mapping[str, Any],
    probed: Mapping[str, Mapping[str, Any]],
    images: Mapping[str, Any],
    failed: Sequence[str],
    returned: Mapping[str, int] | None = None,
) -> str:
    """A table of the services: image and where it came from, address, health, probes, time to healthy."""
    rows = [("SERVICE", "IMAGE", "FROM", "ADDRESS", "HEALTH", "PROBES", "TO HEALTHY")]
    for entry in planned["probes"]:
        name = entry["name"]
        image, result = images.get(name) or {}, probed.get(name) or {}
        probes = result.get("probes") or []
        took = result.get("healthy_after_s")
        health = "FAILED" if name in failed else "healthy" if result.get("healthy") else "-"
        if number := (returned or {}).get(name):
            health = f"FAILED, back to restore point {number}"
        rows.append(
            (
                str(name),
                str(image.get("reference", "")).partition("@")[0] or "-",
                str(image.get("source", "")) or "-",
                f"{entry['address']}:{','.join(str(port) for port in entry['ports'].values())}",
                health,
                f"{sum(1 for probe in probes if probe['ok'])}/{len(probes)}" if probes else "-",
                f"{took:.1f} s" if took is not None else "was running" if result.get("healthy") else "-",
            )
        )
    rows += [(name, "-", "-", "-", "off", "-", "-") for name in planned.get("disabled") or []]
    differ = [f"{name}: {image['difference']}" for name, image in images.items() if (image or {}).get("difference")]
    note = ["", "Not the declared version (see docs/images.md):", *differ] if differ else []
    return "\n".join([table(rows), *note])


def core_rolled_back_message(restored: Mapping[str, Any], failure: str) -> str:
    """Why the change failed, and what runs now; or why a rollback by hand was refused."""
    if not failure:
        return str(restored["refusal"])
    if restored["refusal"]:
        return f"{restored['evidence']}\n{restored['refusal']}"
    image = restored["image"]["reference"]
    return (
        f"{restored['evidence']}\nIt was returned to restore point {restored['point']}: {image} runs, is healthy and "
        f"passes its probes.{core_data_returned(restored)} What is declared does not run. Correct it, then run core.yml"
        " again."
    )


def core_data_returned(restored: Mapping[str, Any]) -> str:
    """The backup that the data comes from, and where the previous data is; empty if the data was not touched."""
    data = restored.get("data") or {}
    if not data:
        return ""
    kept = ", ".join(data["kept"]) or "none"
    return f" Its data is that of backup {data['number']} of {data['taken_at']}. The previous data: {kept}."


def core_rollback_failed(error: str, restored: Mapping[str, Any], failure: str) -> str:
    """Why the change failed, and why the return to the restore point failed too."""
    number = restored.get("point")
    target = f"restore point {number}" if number else "a restore point"
    lines = [
        str(restored.get("evidence") or failure),
        f"It could not be returned to {target} either: {error}",
        f"Tried: {', '.join(restored.get('done') or ['nothing was put back'])}. Nothing is deleted and nothing else is "
        "tried. Correct the cause, then run playbooks/rollback.yml or core.yml.",
    ]
    return "\n".join(line for line in lines if line)


def core_drift_report(plans: Iterable[Mapping[str, Any]]) -> dict[str, list[dict[str, str]]]:
    """Service (or `machine`) → differences between the declared and the running state."""
    report: dict[str, list[dict[str, str]]] = {}
    for planned in plans:
        for name, rows in planned["by_service"].items():
            found = [
                {"what": row["what"], "current": row["current"], "desired": row["desired"], "cause": row["cause"]}
                for row in rows
            ]
            if name != MACHINE or found:
                report.setdefault(name, []).extend(found)
    return report


def core_drift_table(report: Mapping[str, Iterable[Mapping[str, str]]]) -> str:
    """The drift report as a table."""
    rows = [("SERVICE", "WHAT", "CURRENT", "DECLARED")]
    for service, differences in report.items():
        found = [(service, row["what"], row["current"] or "-", row["desired"] or "-") for row in differences]
        rows += found or [(service, "no drift", "", "")]
    return table(rows)


def core_hook_hosts(primaries: Iterable[str], hostvars: Mapping[str, Mapping[str, Any]], *events: str) -> list[str]:
    """The host that runs the hooks of a run that changes something: the first primary, if the site has such a hook."""
    for host in primaries if hostvars else ():
        run = (hostvars[host].get("core_planned") or {}).get("run")
        if run and set(events) & set(hostvars[host].get("core_hooks") or {}):
            return [host]
    return [NOBODY]


def core_hosts_refused_by_hook(primaries: Sequence[str], hostvars: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The primaries whose run ends because the hook before it failed."""
    if not hostvars or not any("core_hook_failure" in hostvars[host] for host in primaries):
        return [NOBODY]
    return [host for host in primaries if (hostvars[host].get("core_planned") or {}).get("run")]


def core_hook_plan(hostvars: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Machine → its plan, for a hook. No secret is in it."""
    return {
        str(hostvars[host]["docker_host"]): hostvars[host]["core_planned"]["plan"]
        for host in hostvars
        if "by_service" in (hostvars[host].get("core_planned") or {})
    }


def core_hook_result(hostvars: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The result of each service of the run, for a hook."""
    services: dict[str, dict[str, Any]] = {}
    failures = core_failures(hostvars, hostvars)
    for planned in _plans(hostvars):
        for name in planned["by_service"]:
            if name == MACHINE:
                continue
            failure = failures.get(name, "")
            state = "failed" if failure else "deployed" if _deploys(planned, name) else "unchanged"
            services[name] = {"state": "off" if name in planned["disabled"] else state, "message": failure}
    failed = sorted(name for name, service in services.items() if service["state"] == "failed")
    return {"result": "failed" if failed else "ok", "failed": failed, "services": services}


def core_hooks_after(hostvars: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The hooks to run at the end of a run, by its result."""
    failed = core_hook_result(hostvars)["result"] == "failed"
    rolled_back = any("core_rolled_back" in hostvars[host] for host in hostvars)
    events = {"after_deploy": not failed, "after_rollback": rolled_back, "on_failure": failed}
    return [event for event, happened in events.items() if happened]


def core_first(hostvars: Mapping[str, Mapping[str, Any]], name: str) -> Any:
    """The value of a variable from the first host that has it."""
    return next(hostvars[host][name] for host in hostvars if name in hostvars[host])


def core_audit_table(audit: Mapping[str, Any], count: int) -> str:
    """The last runs of an audit log as a table."""
    rows = [("RUN", "SINCE", "BY", "ACTION", "RESULT", "OPERATIONS", "SECONDS", "PLAN")]
    for line in audit["lines"][-count:] if count > 0 else []:
        done = sum(1 for row in line["operations"] if row["done"])
        spent = line["duration_s"]
        rows.append(
            (
                str(line["number"]),
                str(line["since"]),
                f"{line['user']}@{line['controller']}",
                str(line["action"]),
                " ".join([str(line["result"]), *line["failed"]]),
                f"{done} of {len(line['operations'])}",
                "-" if spent is None else str(spent),
                str(line["plan"])[:12],
            )
        )
    notes = [f"under way: {audit['under_way']}"] if audit["under_way"] else []
    notes += [f"note: {note}" for note in audit["notes"]]
    verified = [] if audit["problems"] else [f"{len(audit['lines'])} lines, each verified with the one before it"]
    return "\n".join([table(rows), *notes, *verified])


def core_with_operations(names: Iterable[str], planned: Mapping[str, Any]) -> list[str]:
    """The services that the plan lists something for."""
    return [name for name in names if _deploys(planned, name)]


def core_machines_to_prepare(hostvars: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The primaries of machines that have to be prepared before their services are deployed."""
    if not hostvars:
        return ["core_services"]
    hosts = [host for host in hostvars if "by_service" in (hostvars[host].get("core_planned") or {})]
    found = []
    for host in hosts:
        planned = hostvars[host]["core_planned"]
        images = [row for rows in planned["by_service"].values() for row in rows if row["what"] == "image"]
        if (
            planned["by_service"][MACHINE]
            or core_stopped(planned)
            or (images and planned["image_planned"]["missing_tools"])
        ):
            found.append(host)
    return found or [NOBODY]


def core_failures(hosts: Iterable[str], hostvars: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Service → why its deployment, or its probes at the end of the run, failed."""
    rest = _unverified(hostvars)
    found = {}
    for host in hosts:
        failure = hostvars[host].get("core_failure") or rest.get(host)
        if failure:
            found[host] = str(failure)
    return found


def _unverified(hostvars: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Service → why it failed its probes at the end of the run, for those that did."""
    changed = {name for planned in _plans(hostvars) for name in planned["by_service"] if _deploys(planned, name)}
    answers = {name: answer for name, answer in _together(hostvars).items() if name not in changed}
    for host in hostvars:
        answers.update((hostvars[host].get("core_probed_rest") or {}).get("services") or {})
    return {
        name: str(answer.get("msg") or "its probes failed") for name, answer in answers.items() if answer.get("failed")
    }


def core_containers(services: Iterable[str], prefix: str) -> list[dict[str, str]]:
    """Each service with the name of its container."""
    return [{"name": name, "container": f"{prefix}{name}"} for name in services]


def core_restore_points(services: Mapping[str, Mapping[str, Any]]) -> str:
    """The restore points as a table."""
    rows = [("SERVICE", "NUMBER", "RECORDED", "STATUS", "IMAGE", "CHANGED", "A ROLLBACK TO IT CHANGES")]
    notes = []
    for name, found in services.items():
        notes += found["damaged"]
        if found["interrupted"]:
            notes.append(
                f"{name}: a rollback to restore point {found['interrupted']} was interrupted; core.yml or "
                "playbooks/rollback.yml completes it."
            )
        rows += [
            (
                name,
                str(point["number"]),
                f"{point['recorded_at']} {point['who']}".rstrip(),
                point["status"],
                str(point["image"]).partition("@")[0],
                ", ".join(point["changes"]) or "nothing",
                point["return"],
            )
            for point in found["points"]
        ] or [(name, "none", "", "", "", "", "")]
    parts = [table(rows), *(["", *notes] if notes else [])]
    return "\n".join(
        [*parts, "", core_backups(services)] if any(one["backups"] for one in services.values()) else parts
    )


def core_backups(services: Mapping[str, Mapping[str, Any]]) -> str:
    """The backups as a table."""
    rows = [("SERVICE", "BACKUP", "TAKEN", "VERSION", "DATA", "ARCHIVE", "HASHES")]
    rows += [
        (
            name,
            str(backup["number"]),
            f"{backup['taken_at']} {backup['who']}".rstrip(),
            backup["version"] or "unknown",
            backup["size"],
            f"{backup['archive_size']} {backup['archive']}",
            "damaged" if backup["damage"] else "verified" if backup["verified"] else "not verified",
        )
        for name, found in services.items()
        for backup in found["backups"]
    ]
    return table(rows)


def core_restore_targets(services: Mapping[str, Mapping[str, Any]]) -> str:
    """The restore point that each service is returned to, and what that changes, as a table."""
    rows = [("SERVICE", "RESTORE POINT", "IMAGE", "CHANGES")]
    for name, found in services.items():
        chosen = [point for point in found["points"] if point["number"] == found["target"]]
        backup = found["target_backup"]
        data = f"; data goes back to backup {backup['number']} of {backup['taken_at']}" if backup else ""
        rows += [
            (name, str(point["number"]), str(point["image"]).partition("@")[0], point["return"] + data)
            for point in chosen
        ] or [(name, "none", "", "it has no good restore point; it is left as it is")]
    return table(rows)


def core_returned(hosts: Iterable[str], hostvars: Mapping[str, Mapping[str, Any]]) -> dict[str, int]:
    """Service → the restore point that it was returned to, for those that were."""
    return {host: int(hostvars[host]["core_rolled_back"]) for host in hosts if "core_rolled_back" in hostvars[host]}


def core_unfinished(
    hosts: Iterable[str], hostvars: Mapping[str, Mapping[str, Any]], planned: Mapping[str, Any]
) -> list[str]:
    """The services that failed, or that were not deployed because an earlier batch stopped the run."""
    together = _deployed_together(hostvars)
    return [
        host
        for host in core_with_operations(hosts, planned)
        if "core_failure" in hostvars[host] or not ("core_probed" in hostvars[host] or host in together)
    ]


def core_probed_services(
    hosts: Iterable[str], hostvars: Mapping[str, Mapping[str, Any]], rest: Mapping[str, Any]
) -> dict[str, Any]:
    """Service → result of its probes, from its deployment or from the verification of the other services."""
    together = _together(hostvars)
    found = dict(rest.get("services") or {})
    for host in hosts:
        if host in together:
            found[host] = together[host]
        probed = hostvars[host].get("core_probed") or {}
        found.update(probed.get("services") or {})
    return found


def core_images(
    hosts: Iterable[str], hostvars: Mapping[str, Mapping[str, Any]], planned: Mapping[str, Any]
) -> dict[str, Any]:
    """Service → the image that it runs: the planned one, or what was found, fetched or built since."""
    images = dict(planned["images"])
    for host in hostvars:
        images = core_images_now({"images": images}, hostvars[host].get("core_images_found") or {})
    return {
        host: hostvars[host].get("core_restored_image") or hostvars[host].get("core_fetched_image") or images.get(host)
        for host in hosts
    }


def core_migration_operations(migration: Mapping[str, Any], dest: str) -> list[dict[str, Any]]:
    """The migration of the applications as an operation of the machine; none if there is nothing to migrate."""
    written = int(migration["files_copied"]) + int(migration["files_rewritten"])
    rest = int(migration["files_touched"]) + int(migration["pruned_total"]) + int(migration["links_written"])
    if not written + rest + int(migration["directories_created"]):
        return []
    return [
        {
            "service": MACHINE,
            "what": f"applications {dest}",
            "action": "migrate",
            "current": "older or absent",
            "desired": f"{written} files written, {migration['pruned_total']} removed",
            "cause": "the source differs from what was migrated",
            "diff": "".join(str(entry["prepared"]) for entry in migration["diff"]),
        }
    ]


def core_finished(
    operations: Operations, networks: Mapping[str, Any], secrets: Mapping[str, Any], migration: Mapping[str, Any]
) -> list[dict[str, str]]:
    """The machine's operations that are recorded for modules that do not write to the journal."""
    done = [f"network {row['network']['name']}" for row in networks.get("results", []) if row.get("changed")]
    done += [f"secret {path}" for key in ("created", "replaced", "reowned") for path in secrets.get(key) or []]
    if migration.get("changed"):
        done += [str(row["what"]) for row in operations if row["action"] == "migrate"]
    return [{"service": MACHINE, "what": what} for what in dict.fromkeys(done)]


class FilterModule:
    """The filters, for Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {name: value for name, value in globals().items() if name.startswith("core_")}
