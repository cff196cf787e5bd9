# SPDX-License-Identifier: GPL-3.0-or-later
"""The file and line of a value, over merge keys, several files, `extends` and `include`."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from ansible.module_utils.compose_source.positions import Positions, elements, pairs, plain
from ansible.module_utils.compose_source.services import seconds
from hypothesis import given
from hypothesis import strategies as st

TREE = {
    "c.yml": """\
include: [sub/more.yml]
x-base: &base {restart: always, environment: &env {A: '1'}}
services:
  a:
    <<: *base
    image: a
    ports:
      - 80:80
  b:
    extends: {file: 'ext/${WHERE}.yml', service: base}
    environment:
      - X=1
      - Y
  c:
    extends: b
""",
    "o.yml": "services:\n\n  a: {image: over}\n---\nservices: {a: {user: '1'}}\n",
    "sub/more.yml": "services:\n  m:\n    image: m\n",
    "sub/.env": "V=1\n",
    "ext/base.yml": "services:\n  base:\n    command: x\n    extends: {service: base}\n",
}


@pytest.fixture
def positions(tmp_path: Path) -> Positions:
    for name, text in TREE.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    root = str(tmp_path)
    return Positions.of(root, [f"{root}/c.yml", f"{root}/o.yml"], lambda text: text.replace("${WHERE}", "base"))


@pytest.mark.parametrize(
    ("path", "where"),
    [
        ("services a image", "o.yml:3"),
        ("services a user", "o.yml:5"),
        ("services a restart", "c.yml:2"),
        ("services a environment A", "c.yml:2"),
        ("services a ports", "c.yml:8"),
        ("services b command", "ext/base.yml:3"),
        ("services c command", "ext/base.yml:3"),
        ("services c", "c.yml:15"),
        ("services m image", "sub/more.yml:3"),
        ("services a nothing", None),
        ("services nothing", None),
        ("volumes", None),
    ],
)
def test_a_value_is_found_in_the_file_that_takes_precedence(positions: Positions, path: str, where: str | None) -> None:
    place = positions.find(*path.split())
    assert (None if place is None else str(place)) == where


def test_all_files_are_listed(positions: Positions) -> None:
    assert positions.files == ["c.yml", "sub/.env", "sub/more.yml", "o.yml", "ext/base.yml"]


def test_pairs_are_read_from_both_forms(positions: Positions) -> None:
    listed, mapped = (positions.find("services", name, "environment") for name in ("b", "a"))
    assert listed is not None
    assert mapped is not None
    assert {name: (str(place), text) for name, (place, text) in pairs(listed).items()} == {
        "X": ("c.yml:12", "1"),
        "Y": ("c.yml:13", None),
    }
    assert {name: text for name, (_place, text) in pairs(mapped).items()} == {"A": "1"}


def test_a_variable_is_found_where_it_is_first_used(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("A=1\nB=${INNER}\n")
    (tmp_path / "c.yml").write_text(
        "services:\n  a:\n    image: ${TAG}\n    command: $$NOT $TAG\n    volumes: ['~/x:/x']\n"
    )
    positions = Positions.of(str(tmp_path), [f"{tmp_path}/c.yml"], str)
    assert positions.first_uses() == {"TAG": "c.yml:3", "HOME": "c.yml:5", "INNER": ".env:2"}


@pytest.mark.parametrize(
    "text", ["a: [1\n", "a: *no\n", "[" * 5000, "\ta: b\n", "a: &x [*x]\n", "{[a]: b}\n", "a: {<<: 3, <<: *a}\n"]
)
def test_a_file_that_pyyaml_cannot_read_has_no_places(tmp_path: Path, text: str) -> None:
    (tmp_path / "c.yml").write_text(text)
    positions = Positions.of(str(tmp_path), [f"{tmp_path}/c.yml"], str)
    assert positions.find("services", "a") is None
    assert list(positions.scalars()) or not positions.documents or "&x" in text


@given(st.binary(max_size=200) | st.text("{}[]:,-&*!<> a\n\t\"'|", max_size=80).map(str.encode))
def test_any_bytes_have_places_or_none(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "c.yml").write_bytes(data)
        positions = Positions.of(folder, [f"{folder}/c.yml"], str)
        assert all(place.line >= 1 for _key, _in_list, place in positions.scalars())


def test_elements_are_those_of_the_file(positions: Positions) -> None:
    place = positions.find("services", "a", "ports")
    assert place is not None
    assert [(str(element), plain(element.node)) for element in elements(place)] == [("c.yml:8", "80:80")]


@pytest.mark.parametrize(
    ("text", "value"), [("1m30s", 90.0), ("500ms", 0.5), ("1h0m0s", 3600.0), ("1.5s", 1.5), ("0s", 0.0)]
)
def test_durations_are_read_in_seconds(text: str, value: float) -> None:
    assert seconds(text) == value
