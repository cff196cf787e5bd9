# SPDX-License-Identifier: GPL-3.0-or-later
"""The audit of images: one error at a time, for each thing that a role assumes."""

from __future__ import annotations

import io
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import image_audit
import pytest
import yaml
from ansible.module_utils.images.contract import Contract, Node, Service, Tree, audit, read_tree
from ansible.module_utils.images.plan import ImageError

ROOT = Path(__file__).resolve().parents[3]
CONTRACTS = yaml.safe_load((ROOT / "roles/image/files/contracts.yml").read_text())

CONTRACT = Contract(
    entrypoint="entry.sh",
    accounts={"tiny": "999:1000"},
    tools=("sh", "/opt/tool"),
    owners={"/data": "999:1000"},
    readable=("/etc/tiny.conf",),
    environment={"TINY_HOME": "/data"},
    working_dir="/data",
    exposed=(8080,),
)
SERVICE = Service(999, 1000, ("/data",), "SIGINT")
INSPECT: dict[str, Any] = {
    "Config": {
        "User": "",
        "Entrypoint": ["tini", "--", "entry.sh"],
        "WorkingDir": "/data",
        "Env": ["PATH=/bin:/usr/bin", "TINY_HOME=/data"],
        "ExposedPorts": {"8080/tcp": {}},
        "Volumes": {"/data/": {}},
        "StopSignal": "SIGINT",
    }
}
FOLDER = Node(0o755, 0, 0, directory=True)
TREE = Tree(
    {
        "/usr": FOLDER,
        "/usr/bin": FOLDER,
        "/bin": Node(0o777, 0, 0, link="usr/bin"),
        "/usr/bin/busybox": Node(0o755, 0, 0),
        "/usr/bin/sh": Node(0o777, 0, 0, link="/bin/busybox"),
        "/opt": FOLDER,
        "/opt/tool": Node(0o750, 0, 1000),
        "/data": Node(0o700, 999, 1000, directory=True),
        "/etc": FOLDER,
        "/etc/tiny.conf": Node(0o640, 0, 1000),
    },
    {"/etc/passwd": "root:x:0:0::/root:/bin/sh\ntiny:x:999:1000::/data:/bin/sh\n"},
)


def config(**changes: Any) -> dict[str, Any]:
    return {"Config": {**INSPECT["Config"], **changes}}


def tree(**nodes: Node | None) -> Tree:
    changed = {**TREE.nodes, **{f"/{path.replace('__', '/')}": node for path, node in nodes.items()}}
    return replace(TREE, nodes={path: node for path, node in changed.items() if node})


def whats(inspect: dict[str, Any] = INSPECT, files: Tree = TREE, service: Service = SERVICE) -> list[str]:
    return [finding.what for finding in audit(CONTRACT, service, inspect, files)]


def test_the_image_that_the_role_assumes_has_no_finding() -> None:
    assert whats() == []


@pytest.mark.parametrize(
    ("inspect", "what"),
    [
        (config(User="5"), "user"),
        (config(User="root:root"), ""),
        (config(User="tiny"), ""),
        (config(Entrypoint=["other.sh"]), "entrypoint"),
        (config(Entrypoint=None), "entrypoint"),
        (config(WorkingDir=""), "working directory"),
        (config(Env=["PATH=/bin:/usr/bin"]), "variable TINY_HOME"),
        (config(Env=["PATH=/sbin", "TINY_HOME=/data"]), "tool sh"),
        (config(ExposedPorts=None), "port 8080"),
        (config(Volumes={"/data": {}, "/cache": {}}), "volume /cache"),
        (config(StopSignal="SIGQUIT"), "stop signal"),
        (config(StopSignal=None), ""),
    ],
)
def test_a_wrong_setting_of_the_image_is_found(inspect: dict[str, Any], what: str) -> None:
    assert whats(inspect) == ([what] if what else [])


@pytest.mark.parametrize(
    ("files", "what"),
    [
        (tree(usr__bin__busybox=None), "tool sh"),
        (tree(usr__bin__busybox=Node(0o644, 0, 0)), "tool sh"),
        (tree(opt__tool=Node(0o750, 0, 0)), "tool /opt/tool"),
        (tree(opt=Node(0o700, 0, 0, directory=True)), "tool /opt/tool"),
        (tree(data=Node(0o755, 0, 0, directory=True)), "owner of /data"),
        (tree(data=None), "owner of /data"),
        (replace(TREE, nodes={**TREE.nodes, "/etc/tiny.conf": Node(0o600, 0, 0)}), "/etc/tiny.conf"),
        (replace(TREE, contents={"/etc/passwd": "tiny:x:100:101::/data:/bin/sh\n"}), "account tiny"),
        (replace(TREE, contents={}), "account tiny"),
    ],
)
def test_a_wrong_file_in_the_image_is_found(files: Tree, what: str) -> None:
    assert whats(files=files) == ([what] if what else [])


def test_a_finding_names_what_was_found() -> None:
    [missing] = audit(CONTRACT, SERVICE, INSPECT, tree(usr__bin__busybox=None))
    assert missing.found == "absent"
    [forbidden] = audit(CONTRACT, SERVICE, INSPECT, tree(opt__tool=Node(0o750, 0, 0)))
    assert forbidden.found == "not executable"


def test_circular_symlinks_lead_nowhere() -> None:
    circle = Tree({"/a": Node(0o777, 0, 0, link="b"), "/b": Node(0o777, 0, 0, link="a")})
    assert circle.resolve("/a")[1] is None


def test_a_link_upwards_is_followed() -> None:
    up = Tree(
        {"/a": FOLDER, "/a/tool": Node(0o777, 0, 0, link="../b/./tool"), "/b": FOLDER, "/b/tool": Node(0o755, 0, 0)}
    )
    assert up.resolve("/a/tool") == ("/b/tool", up.nodes["/b/tool"])


def test_an_exported_file_system_is_read() -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, kind, mode in (("etc/", tarfile.DIRTYPE, 0o755), ("etc/passwd", tarfile.REGTYPE, 0o644)):
            member = tarfile.TarInfo(name)
            member.type, member.mode, member.uid, member.size = kind, mode, 7, 5 if kind == tarfile.REGTYPE else 0
            archive.addfile(member, io.BytesIO(b"a:b:c") if kind == tarfile.REGTYPE else None)
        link = tarfile.TarInfo("sh")
        link.type, link.linkname = tarfile.LNKTYPE, "etc/passwd"
        archive.addfile(link)
    stream.seek(0)
    found = read_tree(stream)
    assert found.nodes["/etc"] == Node(0o755, 7, 0, directory=True)
    assert found.contents == {"/etc/passwd": "a:b:c"}
    assert found.resolve("/sh")[0] == "/etc/passwd"


@pytest.mark.parametrize("name", sorted(CONTRACTS))
def test_every_contract_is_valid(name: str) -> None:
    assert image_audit.contract(name, CONTRACTS[name]) != Contract()


def test_every_service_has_a_contract() -> None:
    services = {
        file.parents[1].name for file in (ROOT / "roles").glob("*/vars/main.yml") if "_service:" in file.read_text()
    }
    assert len(services) == 8
    assert services <= set(CONTRACTS)


def test_a_misspelled_key_of_a_contract_is_named() -> None:
    with pytest.raises(ImageError, match="entrypiont"):
        image_audit.contract("tiny", {"entrypiont": "x"})
