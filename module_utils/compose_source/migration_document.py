# SPDX-License-Identifier: GPL-3.0-or-later
"""Describe what the migration changes, as text and tables: the filters of the role `trade2025`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from ansible.module_utils.shared.sizes import human

NOTHING = "\u2013"
SAME = "As in Trade2025."

# Other names that the services' own notes use for a row of the table.
_ROWS = {"stop signal": "stop"}


def migration_report(result: Mapping[str, Any]) -> list[str]:
    """What `trade_migrate` did, as lines to display."""
    written = result["files_rewritten"] + result["files_copied"]
    lines = [
        f"{result['files_total']} files: {result['files_rewritten']} rewritten ({result['replacements']} references), "
        f"{result['files_copied']} copied as they are, {result['files_total'] - written} current"
    ]
    lines += [f"left out: {row['path']} ({row['reason']})" for row in result["skipped_paths"]]
    lines += [f"conflict: {row['path']}: {row['reason']} ({row['action']})" for row in result["conflicts"]]
    lines += [f"changed by hand, kept: {path}" for path in result["kept"]]
    lines += [f"still mentions Trade2025: {row['path']}:{row['line']}: {row['text']}" for row in result["leftovers"]]
    return lines


def old_name(host: str, names: Mapping[str, str]) -> str:
    """The name that a host's service has in Trade2025."""
    return str(names.get(host, host))


def cell(text: object) -> str:
    """Text as a cell of a Markdown table: code, on one line, with nothing that ends the cell."""
    plain = " ".join(str(text).split())
    if not plain or plain == NOTHING:
        return NOTHING
    code = f"`` {plain} ``" if "`" in plain else f"`{plain}`"
    return code.replace("|", "\\|")


def prose(text: object) -> str:
    """Text as a cell of prose."""
    return " ".join(str(text).split()).replace("|", "\\|")


def rows(
    service: Mapping[str, Any], source: Mapping[str, Any] | None, site: Mapping[str, Any], without_source: str = NOTHING
) -> list[dict[str, str]]:
    """One row per setting: the old value, the new value and the reason.

    `service` is the service dictionary, `source` the service as `trade_source_info` returns it, `site` what the values
    depend on: bind_address, port_offset, networks (as trade2026_networks) and secrets (their folder). If `source` is
    None, the table shows `without_source` for Trade2025.
    """
    reasons = _reasons(service)
    before = _before(source) if source is not None else dict.fromkeys(_OTHERWISE, without_source)
    after = _after(service, site)
    found = [_row(setting, before[setting], after[setting], reasons, why) for setting, why in _OTHERWISE.items()]
    variables = _environment(service, source or {}, reasons)
    at = list(_OTHERWISE).index("health check")
    found[at:at] = variables
    # A reason that belongs to none of the rows gets a row of its own.
    explained = {line for row in found for line in row["why"].split("\n")}
    for name, why in reasons.items():
        if not explained.intersection(why):
            found.append({"setting": name, "source": NOTHING, "target": "see why", "why": "\n".join(why)})
    return found if source is not None else [{**row, "source": without_source} for row in found]


# Every setting that has a row, and why it differs if the service gives no reason of its own.
_OTHERWISE = {
    "image": "The tag names one release, so the image does not change by itself.",
    "command line": "Settings are in files.",
    "ports": "Published on the address that the site sets, by default on loopback.",
    "networks": "The networks of Trade2026.",
    "volumes": "The folders of the new tree; configuration is mounted read-only.",
    "health check": "Checks what the service is used for, with tools that its image has.",
    "health check times": "Set to the time that the service takes to start.",
    "restart": "The service starts again after a restart of the machine.",
    "user": "A user other than root, which owns the service's data.",
    "rights": "Rights that the service does not need are dropped.",
    "memory": "The limit keeps one service from starving the others.",
    "processors": "The limit keeps one service from starving the others.",
    "processes": "The limit stops a runaway.",
    "stop": "The service needs this time to write its data.",
}


def _before(source: Mapping[str, Any]) -> dict[str, object]:
    """What Trade2025 has, by setting."""
    return {
        "image": source["image"] or _built(source["build"]),
        "command line": _words(source["command"]) or "the image's",
        "ports": _old_ports(source),
        "networks": _old_networks(source),
        "volumes": _old_volumes(source),
        "health check": _old_check(source),
        "health check times": _old_times(source),
        "restart": source["restart"] or "no",
        "user": source["user"] or "the image's",
        "rights": _old_rights(source["rights"]),
        "memory": _old_limit(source, "memory"),
        "processors": _old_limit(source, "cpus"),
        "processes": _old_limit(source, "pids"),
        "stop": _old_stop(source["stop"]),
    }


def _after(service: Mapping[str, Any], site: Mapping[str, Any]) -> dict[str, object]:
    """What Trade2026 has, by setting."""
    return {
        "image": _target_image(service),
        "command line": _words(service.get("command")) or "the image's",
        "ports": _ports(service, site),
        "networks": _networks(service, site),
        "volumes": _volumes(service, site),
        "health check": _words(service["healthcheck"]["test"]),
        "health check times": _times(service),
        "restart": "unless-stopped",
        "user": f"{service['user']['uid']}:{service['user']['gid']}",
        "rights": "read-only root, no capability, no new privileges",
        "memory": service["limits"]["memory"],
        "processors": service["limits"]["cpus"],
        "processes": service["limits"]["pids"],
        "stop": f"{service['stop']['signal']}, {service['stop']['grace_s']} s",
    }


def _reasons(service: Mapping[str, Any]) -> dict[str, list[str]]:
    """The service's own reasons, by the row that they belong to."""
    found: dict[str, list[str]] = {}
    for line in service.get("migration_notes", []):
        name = str(line["setting"])
        row = _ROWS.get(name) or ("ports" if re.search(r"\bports?\b.*\b\d|\bhost port\b", name) else name)
        found.setdefault(row, []).append(" ".join(str(line["why"]).split()))
    return found


def _row(
    setting: str, source: object, target: object, reasons: Mapping[str, list[str]], otherwise: str
) -> dict[str, str]:
    before, after = str(source or NOTHING), str(target or NOTHING)
    why = reasons.get(setting, [SAME] if before == after else [otherwise])
    return {"setting": setting, "source": before, "target": after, "why": "\n".join(why)}


def _built(build: Mapping[str, Any] | None) -> str:
    return f"built from {build['context']}" if build else ""


def _target_image(service: Mapping[str, Any]) -> str:
    image = service["image"]
    return str(image["official"]) if "official" in image else f"built from {image['build']['context']}"


def _words(words: Iterable[object] | None) -> str:
    return " ".join(str(word).replace("$$", "$") for word in words or [])


def _old_ports(old: Mapping[str, Any]) -> str:
    return ", ".join(
        ":".join(part for part in (port["host_ip"], port["published"], str(port["target"])) if part)
        for port in old.get("ports", [])
    )


def _ports(service: Mapping[str, Any], site: Mapping[str, Any]) -> str:
    offset = int(site["port_offset"])
    ports = sorted(service["ports"], key=lambda port: int(port["container"]))
    return ", ".join(
        f"{site['bind_address']}:{int(port['host']) + offset}:{port['container']} ({port['name']})" for port in ports
    )


def _old_networks(old: Mapping[str, Any]) -> str:
    return ", ".join(sorted(network["name"] for network in old.get("networks", []))) or str(
        old.get("network_mode") or ""
    )


def _networks(service: Mapping[str, Any], site: Mapping[str, Any]) -> str:
    return ", ".join(sorted(site["networks"][network]["name"] for network in service["networks"]))


def _old_volumes(old: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{mount['source'] or 'anonymous'} on {mount['target']}" + (" (read-only)" if mount["read_only"] else "")
        for mount in old.get("volumes", [])
    )


def _volumes(service: Mapping[str, Any], site: Mapping[str, Any]) -> str:
    found = []
    for volume in service["volumes"]:
        source = f"{site['secrets']}/{volume['source']}" if volume["kind"] == "secret" else volume["source"]
        read_only = volume["kind"] != "data" and not volume.get("writable")
        found.append(f"{source} on {volume['target']}" + (" (read-only)" if read_only else ""))
    return ", ".join(found)


def _environment(
    service: Mapping[str, Any], old: Mapping[str, Any], reasons: Mapping[str, list[str]]
) -> list[dict[str, str]]:
    before, after = old.get("environment", {}), service.get("environment") or {}
    rows = []
    for name in sorted({*before, *after}):
        # A variable may have a reason of its own, by its name.
        row = _row(name, before.get(name), after.get(name), reasons, _why_variable(name in before, name in after))
        rows.append({**row, "setting": f"variable {name}"})
    return rows


def _why_variable(was: bool, is_now: bool) -> str:
    if was and is_now:
        return "The value for the new tree."
    return "Settings are in files, which are checked before use." if was else "The image needs this setting."


def _old_rights(rights: Mapping[str, Any]) -> str:
    """The old rights, in the same words as in `_after`."""
    words = ["read-only root"] if rights["read_only"] else []
    if rights["privileged"]:
        return ", ".join([*words, "privileged: all rights on the machine"])
    words.append("no capability" if "ALL" in rights["cap_drop"] else "Docker's capabilities")
    words += [f"without {name}" for name in rights["cap_drop"] if name != "ALL"]
    words += [f"with {name}" for name in rights["cap_add"]]
    words += ["no new privileges" if "no-new-privileges" in option else option for option in rights["security_opt"]]
    return ", ".join(words)


def _old_stop(stop: Mapping[str, Any]) -> str:
    signal = stop["signal"] or "the image's signal"
    # Docker waits this long if the file sets nothing.
    return f"{signal}, {stop['grace_s'] or 10:g} s"


def _old_check(old: Mapping[str, Any]) -> str:
    check = old.get("healthcheck")
    return "" if not check or check["disable"] else _words(check["test"])


def _old_times(old: Mapping[str, Any]) -> str:
    check = old.get("healthcheck")
    if not check or check["disable"]:
        return ""
    return _times_text(
        check["interval_s"] or 30, check["timeout_s"] or 30, check["retries"] or 3, check["start_period_s"] or 0
    )


def _times(service: Mapping[str, Any]) -> str:
    check = service["healthcheck"]
    return _times_text(check["interval_s"], check["timeout_s"], check["retries"], check["start_period_s"])


def _times_text(interval: float, timeout: float, retries: float, start: float) -> str:
    return (
        f"every {float(interval):g} s, within {float(timeout):g} s, {int(retries)} times, {float(start):g} s to start"
    )


def _old_limit(old: Mapping[str, Any], name: str) -> str:
    value = (old.get("limits") or {}).get(name)
    if value is None:
        return "no limit"
    if name != "memory":
        return f"{float(value):g}"
    unit, letter = next(
        ((size, sign) for size, sign in ((1 << 30, "g"), (1 << 20, "m"), (1 << 10, "k")) if value % size == 0), (1, "b")
    )
    return f"{value // unit}{letter}"


def data_sets(
    records: Iterable[Mapping[str, Any]], folders: Mapping[str, str], windows_root: str, old_root: str, new_root: str
) -> list[dict[str, Any]]:
    """What `trade_data_copy` has to copy: one set for each service that has a data folder in both trees.

    The path map says which folder of Trade2025 becomes a service's folder of data; `folders` wins over it.
    """
    found = []
    for record in records:
        name, user = record["name"], record["user"]
        sources = {row["target"]: row["source"] for row in record["path_map"]}
        for volume in record["volumes"]:
            if volume["kind"] == "data" and (name in folders or volume["source"] in sources):
                folder = folders.get(name) or _below_root(name, sources[volume["source"]], windows_root)
                found.append(
                    {
                        "service": name,
                        "source": f"{old_root}/{folder}",
                        "dest": f"{new_root}/{volume['source']}",
                        "uid": int(user["uid"]),
                        "gid": int(user["gid"]),
                    }
                )
    return found


def _below_root(service: str, path: str, windows_root: str) -> str:
    """A path of the Trade2025 tree relative to its root."""
    root = windows_root.rstrip("/") + "/"
    if path.lower().startswith(root.lower()):
        return path[len(root) :]
    if path.startswith("/") or path[1:2] == ":":
        raise ValueError(
            f"trade2026_path_map: {path}, the data of {service}, is not below trade2025_windows_root={windows_root}; "
            f"set trade2025_data_folders to {{{service}: folder below trade2025_root}}"
        )
    return path


def data_report(result: Mapping[str, Any]) -> list[str]:
    """What `trade_data_copy` did, as lines to display."""
    lines = []
    for row in result["sets"]:
        line = f"{row['service']}: {row['state']}, {row['files']} files, {human(row['bytes'])}"
        line += f", sha256 of all {row['digest'][:16]}" if row["digest"] else ""
        line += f", earlier data kept as {row['kept']}" if row["kept"] else ""
        line += f", not copied (no files): {', '.join(row['skipped'])}" if row["skipped"] else ""
        lines.append(line)
    return lines
