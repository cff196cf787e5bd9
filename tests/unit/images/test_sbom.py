# SPDX-License-Identifier: GPL-3.0-or-later
"""The software in images: documents as Syft writes them, inputs of builds, the page, and the module's four steps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import image_sbom
import pytest
from ansible.module_utils.images.plan import ImageError
from ansible.module_utils.images.sbom import Component, Input, components, describes, inputs
from ansible.module_utils.shared.docker import Docker

ROOT = Path(__file__).resolve().parents[3]
REFERENCE = "localhost/trade2026/nats:2.10.29-a7cbe7a88905"
ID = "sha256:09530d6a617c"
# Shortened from what Syft 1.18.1 wrote about this image.
DOCUMENT: dict[str, Any] = {
    "bomFormat": "CycloneDX",
    "specVersion": "1.6",
    "metadata": {
        "tools": {
            "components": [{"type": "application", "author": "anchore", "name": "syft", "version": "1.18.1"}],
        },
        "component": {"type": "container", "name": REFERENCE, "version": ID},
    },
    "components": [
        {"type": "library", "name": "adduser", "version": "3.134"},
        {
            "type": "library",
            "name": "busybox",
            "version": "1:1.35.0-4",
            "licenses": [{"license": {"id": "GPL-2.0-only"}}, {"license": {"name": "BSD | old"}}],
        },
        {"type": "library", "name": "x", "version": "1", "licenses": [{"expression": "MIT OR Apache-2.0"}]},
        {"type": "operating-system", "name": "debian", "version": "12"},
    ],
}
RECIPES = {
    "nats": {
        "name": "nats",
        "version": "2.10.29",
        "tag": "localhost/trade2026/nats:2.10.29-a7cbe7a88905",
        "stands_on": ["debian12"],
        "files": {"go.sum": "github.com/nats-io/nuid v1.0.1 h1:5iA=\ngithub.com/nats-io/nuid v1.0.1/go.mod h1:19w=\n"},
    },
    "debian12": {
        "name": "debian12",
        "version": "bookworm",
        "tag": "localhost/trade2026/debian12:bookworm-967733020ba8",
        "stands_on": [],
        "files": {"Dockerfile": "FROM scratch\n"},
    },
}


class Engine:
    """An engine with one image, whose Syft answers with `answer`."""

    def __init__(self) -> None:
        self.answer = json.dumps(DOCUMENT)
        self.commands: list[list[str]] = []

    def run(self, words: list[str], **_: Any) -> tuple[int, str, str]:
        words = words[words.index("docker") + 1 :]
        self.commands.append(words)
        if words[0] == "image":
            labels = {"com.trade2026.image.built-from": "Go module nats-server 2.10.29"}
            return 0, json.dumps([{"Config": {"Labels": labels}}] * (len(words) - 2)), ""
        return 0, self.answer if words[0] == "run" else "", ""

    def scanned(self) -> int:
        return sum(words[0] == "run" for words in self.commands)


@pytest.fixture
def engine() -> Engine:
    return Engine()


def documents(engine: Engine, root: Path, **more: Any) -> image_sbom.Documents:
    params = {
        "images": {"nats": {"reference": REFERENCE, "id": ID, "source": "packages", "version": "2.10.29"}},
        "wanted": {"nats": {"official": "nats:2.10.29-alpine", "recipe": "nats"}},
        "tool": {"reference": "localhost/trade2026/syft:1.18.1-x", "version": "1.18.1"},
        "recipes": RECIPES,
        "prefix": "",
        "lock": str(root / "images.lock.json"),
        "signatures": {},
        "root": str(root),
        "folder": str(root / "sbom"),
        "go_modules": None,
        **more,
    }
    (root / "sbom").mkdir(exist_ok=True)
    return image_sbom.Documents(Docker(engine.run), params)


def test_a_document_lists_software_with_its_licenses() -> None:
    assert components(DOCUMENT) == (
        Component("adduser", "3.134", ()),
        Component("busybox", "1:1.35.0-4", ("BSD | old", "GPL-2.0-only")),
        Component("x", "1", ("MIT OR Apache-2.0",)),
    )


@pytest.mark.parametrize(
    ("reference", "image_id", "tool", "expected"),
    [
        (REFERENCE, ID, "1.18.1", True),
        ("other", ID, "1.18.1", False),
        (REFERENCE, "sha256:other", "1.18.1", False),
        (REFERENCE, ID, "1.57.1", False),
    ],
)
def test_a_document_is_about_one_image_and_by_one_tool(
    reference: str, image_id: str, tool: str, expected: bool
) -> None:
    assert describes(DOCUMENT, reference, image_id, tool) is expected
    assert not describes({}, reference, image_id, tool)


def test_inputs_are_wheels_jars_and_modules_with_their_hashes() -> None:
    requirements = "# comment\na==1 \\\n    --hash=sha256:{0} \\\n    --hash=sha256:{1}\nb==2 --hash=sha256:{1}\n"
    digests = ("0" * 64, "1" * 64)
    assert inputs({"requirements.txt": requirements.format(*digests), "SHA256SUMS": f"{digests[0]}  c.jar\n"}) == (
        Input("a", "1", tuple(f"sha256:{digest}" for digest in digests)),
        Input("b", "2", (f"sha256:{digests[1]}",)),
        Input("c.jar", "", (f"sha256:{digests[0]}",)),
    )


@pytest.mark.parametrize("recipe", ["seaweedfs", "questdb", "opensearch", "nats", "opa"])
def test_the_inputs_of_our_recipes_are_found(recipe: str) -> None:
    folder = ROOT / "roles/image/files/packages" / recipe
    found = inputs({path.name: path.read_text() for path in folder.iterdir()})
    assert found
    assert all(one.hashes for one in found)


def test_documents_are_written_once(engine: Engine, tmp_path: Path) -> None:
    first = documents(engine, tmp_path)
    assert first.stale() == ["nats"]
    first.write("nats")
    assert first.write_page()
    again = documents(engine, tmp_path)
    assert again.stale() == []
    assert not again.write_page()
    assert engine.scanned() == 1


def test_another_image_gets_another_document(engine: Engine, tmp_path: Path) -> None:
    documents(engine, tmp_path).write("nats")
    image = {"reference": REFERENCE, "id": "sha256:other", "source": "packages", "version": "2.10.29"}
    assert documents(engine, tmp_path, images={"nats": image}).stale() == ["nats"]
    (tmp_path / "sbom/nats.cdx.json").write_text("{")
    assert documents(engine, tmp_path).stale() == ["nats"]


def test_the_image_is_read_without_a_network_and_without_capabilities(engine: Engine, tmp_path: Path) -> None:
    documents(engine, tmp_path, go_modules=str(tmp_path)).write("nats")
    words = next(words for words in engine.commands if words[0] == "run")
    assert {"--network=none", "--read-only", "--cap-drop=ALL", f"{tmp_path}:/modules:ro"} <= set(words)


@pytest.mark.parametrize("answer", ["", "{}", "not JSON"])
def test_an_answer_without_software_is_an_error_and_keeps_the_document(
    engine: Engine, tmp_path: Path, answer: str
) -> None:
    documents(engine, tmp_path).write("nats")
    engine.answer = answer
    with pytest.raises(ImageError, match="nats: Syft"):
        documents(engine, tmp_path).write("nats")
    assert documents(engine, tmp_path).stale() == []


def test_the_page_has_origin_licenses_and_what_is_unknown(engine: Engine, tmp_path: Path) -> None:
    folder = documents(engine, tmp_path, prefix="mirror.example.org/hub")
    folder.write("nats")
    folder.write_page()
    page = (tmp_path / "sbom/README.md").read_text()
    assert "| packages | mirror.example.org/hub/nats:2.10.29-alpine | Go module nats-server 2.10.29 (3 inputs" in page
    assert "| GPL-2.0-only | 1 | nats |" in page
    assert "| BSD \\| old | 1 | nats |" in page
    assert "- nats: adduser\n" in page
    assert "- nats: not verified" in page
    [facts] = json.loads((tmp_path / "sbom/provenance.json").read_text())["images"]
    assert [one["name"] for one in facts["inputs"]] == ["recipe nats", "github.com/nats-io/nuid", "recipe debian12"]


def test_a_registry_image_has_its_digest_and_no_inputs(engine: Engine, tmp_path: Path) -> None:
    digest = "sha256:" + "0" * 64
    (tmp_path / "images.lock.json").write_text(json.dumps({"images": {"nats:2.10.29-alpine": {"digest": digest}}}))
    image = {"reference": REFERENCE, "id": ID, "source": "registry", "version": "2.10.29-alpine"}
    folder = documents(engine, tmp_path, images={"nats": image})
    folder.write("nats")
    [found] = folder.provenance()
    assert (found.digest, found.inputs) == (digest, ())


def test_sources_of_an_application_count_as_inputs(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "apps/authn").mkdir(parents=True)
    (tmp_path / "apps/authn/requirements.txt").write_text(f"jwcrypto==1.5.6 --hash=sha256:{'0' * 64}\n")
    build = {"context": "apps/authn", "base_arg": "X", "base": {"official": "python:3.12", "recipe": "debian12"}}
    folder = documents(engine, tmp_path, wanted={"nats": {"build": build}})
    folder.write("nats")
    [found] = folder.provenance()
    assert [one.name for one in found.inputs] == ["apps/authn", "jwcrypto", "recipe debian12"]
    assert found.address == "python:3.12"


def test_a_run_for_one_service_keeps_what_is_known_of_the_others(engine: Engine, tmp_path: Path) -> None:
    first = documents(engine, tmp_path)
    first.write("nats")
    first.write_page()
    image = {"reference": "localhost/trade2026/probe:1", "id": ID, "source": "packages", "version": "1"}
    declared = {"official": "alpine:3", "recipe": "debian12"}
    second = documents(engine, tmp_path, images={"probe": image}, wanted={"probe": declared})
    second.write("probe")
    second.write_page()
    assert [found.service for found in second.provenance()] == ["nats", "probe"]
    assert second.provenance()[0] == first.provenance()[0]
    (tmp_path / "sbom/nats.cdx.json").unlink()
    assert [found.service for found in second.provenance()] == ["probe"]
