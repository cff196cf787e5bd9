# SPDX-License-Identifier: GPL-3.0-or-later
"""Relative paths in Compose files: every row of docs/migration.md, and cases that do not fit a table."""

from __future__ import annotations

import codecs
import re
from pathlib import Path

import pytest
import yaml
from ansible.module_utils.rewriting import compose_nodes
from ansible.module_utils.rewriting.compose_files import compose_files, is_compose_name, may_matter
from ansible.module_utils.rewriting.compose_paths import ComposePlan, plan_paths
from ansible.module_utils.rewriting.compose_reasons import REASONS, Reason, describe
from ansible.module_utils.rewriting.edits import apply_edits
from ansible.module_utils.rewriting.path_map import Location, PathMap, PathMapEntry, parse_location
from hypothesis import given
from hypothesis import strategies as st

DOCUMENT = (Path(__file__).resolve().parents[3] / "docs" / "migration.md").read_text(encoding="utf-8")
SECTION = DOCUMENT[DOCUMENT.index("## Compose files") :].partition("\n## ")[0]
BASE = parse_location("C:/trade2025", "base")
TOP_LEVEL = {"services", "secrets", "configs", "include", "networks"}


def _documented_map() -> PathMap:
    block = re.search(r"```yaml\n(.*?)```", SECTION, re.S)
    assert block
    return PathMap.parse(yaml.safe_load(block[1])["path_map"])


def _rows(number: int) -> list[tuple[str, ...]]:
    """The rows of a table of the section."""
    tables = re.findall(r"^\|---.*\n((?:\|.*\n)+)", SECTION, re.M)
    return [tuple(cell.strip() for cell in line.strip("|").split(" | ")) for line in tables[number].splitlines()]


PATH_MAP = _documented_map()
REWRITTEN, KEPT, MEANINGS = _rows(0), _rows(1), _rows(2)


def map_of(moves: dict[str, str]) -> PathMap:
    """A map with any names, including those that a site's map may not have."""
    return PathMap(PathMapEntry(parse_location(old, "from"), parse_location(new, "to")) for old, new in moves.items())


def _file(cell: str) -> tuple[str, str]:
    """Name and text of a file from a cell of a table."""
    name, sign, snippet = cell.partition("`: `")
    if not sign:
        name, snippet = "docker-compose.yml", cell
    return name.strip("`"), _whole(snippet.strip("`").replace("⏎", "\n"))


def _whole(snippet: str) -> str:
    key = snippet.partition(":")[0]
    if snippet.startswith(("{", "volumes: {")) or key in TOP_LEVEL or key.startswith("x-"):
        return snippet + "\n"
    return "services:\n  s:\n    " + snippet.replace("\n", "\n    ") + "\n"


def rewrite(
    files: dict[str, bytes], path: str, base: Location | None = BASE, places: PathMap = PATH_MAP
) -> tuple[bytes, ComposePlan]:
    """The migrated text of one file of a tree, and the plan; a second run changes nothing."""
    contexts = compose_files(files, base, places)
    plan = plan_paths(files[path], contexts[path], places)
    new = apply_edits(files[path], plan.edits).new
    again = plan_paths(new, contexts[path], places)
    assert again.edits == [], "a second run changes something"
    return new, plan


def rewrite_text(text: str, places: PathMap = PATH_MAP, base: Location | None = BASE) -> tuple[str, list[str]]:
    """The migrated text of a docker-compose.yml in the tree's root, and the codes of its leftovers."""
    new, plan = rewrite({"docker-compose.yml": text.encode()}, "docker-compose.yml", base, places)
    return new.decode(), [item.reason for item in plan.leftovers]


def test_the_tables_are_read() -> None:
    assert len(REWRITTEN) > 30
    assert len(KEPT) > 20
    assert len(MEANINGS) == len(REASONS)


@pytest.mark.parametrize("row", REWRITTEN, ids=lambda row: row[0])
def test_a_path_of_the_machine_is_rewritten(row: tuple[str, ...]) -> None:
    name, before = _file(row[0])
    new, plan = rewrite({name: before.encode()}, name)
    assert new.decode() == _whole(row[1].strip("`").replace("⏎", "\n"))
    assert plan.leftovers == []


@pytest.mark.parametrize("row", KEPT, ids=lambda row: row[0])
def test_what_stays_is_reported_if_there_is_a_doubt(row: tuple[str, ...]) -> None:
    name, before = _file(row[0])
    new, plan = rewrite({name: before.encode()}, name)
    assert new.decode() == before
    assert [item.reason for item in plan.leftovers] == re.findall(r"`(.+)`", row[1])


@pytest.mark.parametrize("row", MEANINGS, ids=lambda row: row[0])
def test_each_reason_has_its_documented_sentence(row: tuple[str, ...]) -> None:
    assert REASONS[Reason(row[0].strip("`"))] == row[1]


# Layout and encodings.

LAYOUT = (
    "# ./trading/nats\nservices:\n  nats: &n   # comment\n    build: './trading/apps'\n"
    "    environment: {ünï: 'é😀 ./trading/nats'}\n"
    "    volumes:\n      - ./trading/nats:/data   # ./trading/nats\n"
    '      - {type: bind, source: "./trading/apps", target: /a}\n\n...\n---\n'
    "services: {b: {volumes: ['./trading/nats/ü:/data',\t./trading/nats:/x]}}\n"
)


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", [b"", codecs.BOM_UTF8])
@pytest.mark.parametrize("last", ["", "\n"])
def test_every_byte_outside_a_path_stays(line_end: str, mark: bytes, last: str) -> None:
    def bytes_of(text: str) -> bytes:
        return mark + (text.rstrip("\n") + last).replace("\n", line_end).encode()

    wanted = (
        LAYOUT.replace("'./trading/apps'", "'./backend/apps'")
        .replace("- ./trading/nats:", "- ./data/nats:")
        .replace('"./trading/apps"', '"./backend/apps"')
        .replace("'./trading/nats/ü:", "'./data/nats/ü:")
        .replace("\t./trading/nats:", "\t./data/nats:")
    )
    new, plan = rewrite({"docker-compose.yml": bytes_of(LAYOUT)}, "docker-compose.yml")
    assert new == bytes_of(wanted)
    assert len(plan.edits) == 5
    assert plan.leftovers == []


def test_text_that_is_not_utf_8_is_not_edited() -> None:
    text = b"services: {a: {image: caf\xe9,\n volumes: [\n ./trading/nats:/data]}}"
    new, plan = rewrite({"compose.yml": text}, "compose.yml")
    assert new == text
    assert [(item.line, item.reason) for item in plan.leftovers] == [(3, "not-yaml")]


def test_a_leftover_says_where_it_is() -> None:
    _new, plan = rewrite(
        {"compose.yml": b"services:\n  a:\n    volumes:\n    - ../x:/x # password: geheim\n"}, "compose.yml"
    )
    [item] = plan.leftovers
    assert (item.line, item.text) == (4, "- ../x:/x # password: ********")


def test_without_the_yaml_package_nothing_is_edited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compose_nodes, "yaml", None)
    text = "services:\n  a:\n    volumes:\n    - ./trading/nats:/data\n"
    assert rewrite_text(text) == (text, ["no-parser"])


@pytest.mark.parametrize(
    "text",
    [
        "&a [*a]",
        "services: &s {a: *s}",
        "services: {a: {<<: &b {<<: *b}}}",
        "? {a: b}\n: c",
        "[" * 2000 + "]" * 2000,
        "services: {a: {volumes: &v [./trading/nats:/a, *v]}}",
        "services: 5\ninclude: {a: b}\nvolumes: [a]\nsecrets: x",
        "services: [a, b]",
        "services: {a: [b], c: {build: [x], volumes: {a: b}, extends: [x], develop: 5, env_file: {x: y}}}",
        "",
        "--- \n...\n---\n",
    ],
)
def test_odd_documents_are_accepted(text: str) -> None:
    new, _codes = rewrite_text(text)
    assert new.replace("./data/nats", "./trading/nats") == text


def test_aliases_that_multiply_are_read_once() -> None:
    lines = ["x0: &x0 [./trading/nats:/d]"] + [f"x{i}: &x{i} [{', '.join([f'*x{i - 1}'] * 9)}]" for i in range(1, 30)]
    new, _codes = rewrite_text("\n".join([*lines, "services: {a: {command: *x29}}"]))
    assert "./trading/nats:/d" in new


# Paths.


@pytest.mark.parametrize(
    ("snippet", "wanted"),
    [
        # What the new path has to look like.
        ("build: ../other", "build: ./other"),
        ("volumes: [../other/x:/d]", "volumes: [./other/x:/d]"),
        ("build: far", "build: ../../far"),
        ("volumes: ['./far:/d']", "volumes: ['../../far:/d']"),
        ("build: quote", None),
        ("build: 'quote'", "build: '[a]''s'"),
        ('build: "quote"', 'build: "[a]\'s"'),
        ("build: money", "build: a$$b"),
        ("build: tilde", "build: ./~a"),
        ("build: colon", "build: ./c:d"),
        ("build: 'colon'", "build: './c:d'"),
        ("volumes: ['./colon:/d']", None),
        # The old path.
        ("build: 'pa$$id'", "build: 'paid'"),
        ("env_file: nats/", "env_file: data/nats/"),
        ("env_file: nats//x/./y", "env_file: data/nats/x/y"),
        ("env_file: ~", "env_file: ~"),
        ("env_file: '/nats'", "env_file: '/nats'"),
        ("build: C:/t/nats", "build: C:/t/nats"),
        ("build: 'service:nats'", "build: 'service:nats'"),
        ("build: git@example.org:nats", "build: git@example.org:nats"),
        # On a drive, names in the map are case-insensitive.
        ("env_file: NATS", "env_file: data/nats"),
    ],
)
def test_a_rewritten_path_keeps_its_spelling_or_is_reported(snippet: str, wanted: str | None) -> None:
    places = map_of(
        {
            "C:/t": "/srv/n",
            "C:/t/nats": "/srv/n/data/nats",
            "C:/t/far": "/far",
            "C:/other": "/srv/n/other",
            "C:/t/quote": "/srv/n/[a]'s",
            "C:/t/money": "/srv/n/a$b",
            "C:/t/pa$id": "/srv/n/paid",
            "C:/t/tilde": "/srv/n/~a",
            "C:/t/colon": "/srv/n/c:d",
        }
    )
    new, codes = rewrite_text(_whole(snippet), places, parse_location("C:/t", "base"))
    assert new == _whole(wanted or snippet)
    assert codes == ([] if wanted else ["needs-quotes"])


def test_a_path_that_cannot_be_written_leaves_the_others_alone() -> None:
    moves = {"C:/t": "/srv/n", "C:/t/nats": "/srv/n/data", "C:/t/quote": "/srv/n/[a]"}
    places = map_of(moves)
    text = _whole("volumes: [./nats:/a, ./quote:/b, './quote:/c']")
    new, left = rewrite_text(text, places, parse_location("C:/t", "base"))
    assert (new, left) == (_whole("volumes: [./data:/a, ./quote:/b, './[a]:/c']"), ["needs-quotes"])


def test_a_windows_target_keeps_backslashes() -> None:
    places = PathMap.parse([{"from": "C:/trade2025", "to": "D:/n"}, {"from": "C:/trade2025/nats", "to": "D:/n/data"}])
    assert rewrite_text(_whole("volumes: [.\\nats\\x:/d, ./nats\\x:/e]"), places)[0] == _whole(
        "volumes: [.\\data\\x:/d, ./data/x:/e]"
    )


def test_a_backslash_of_a_unix_tree_is_part_of_a_name() -> None:
    places = PathMap.parse([{"from": "/tree", "to": "/new"}, {"from": "/tree/nats", "to": "/new/data/nats"}])
    text = _whole("volumes: ['.\\nats:/d', './nats\\x:/e']")
    assert rewrite_text(text, places, parse_location("/tree", "base")) == (text, [])


@pytest.mark.parametrize(
    ("places", "text", "codes"),
    [
        # Another drive cannot be reached by a relative path.
        ({"C:/t": "D:/n", "C:/t/nats": "E:/nats"}, "build: nats", ["other-drive"]),
        # The file itself is not in the map.
        ({"C:/t/nats": "/new/nats"}, "build: nats", ["file-not-mapped"]),
        ({"C:/t/nats": "/new/nats"}, "build: other", []),
        ({"C:/t": "/new"}, "build: ../../../x", ["place-not-mapped"]),
        # The result would be rewritten again by the next run.
        ({"C:/t": "/new", "C:/t/a": "/new/b", "C:/t/b": "/new/c"}, "build: a", ["moves-again"]),
        ({"C:/t": "/new", "C:/Users/joe/nats": "/new/nats"}, "build: ~/nats/x", ["home"]),
        (
            {"C:/t": "/new", "C:/Users/joe/nats": "/new/nats"},
            "volumes: ['${HOME}/nats:/x', $USERPROFILE/y:/y]",
            ["home"],
        ),
    ],
)
def test_a_path_that_cannot_follow_is_reported(places: dict[str, str], text: str, codes: list[str]) -> None:
    path_map = map_of(places)
    text = _whole(text)
    assert rewrite_text(text, path_map, parse_location("C:/t", "base")) == (text, codes)


# Variables.


@pytest.mark.parametrize(
    ("path", "env", "wanted"),
    [
        ("${A}/x", "A=./trading/nats", "variable-value"),
        ("$A/x", "A=./trading/nats", "variable-value"),
        ("${A:-./trading/nats}/x", "", "${A:-./data/nats}/x"),
        ("${A-./trading/nats}", "", "${A-./data/nats}"),
        ("${A:-${B:-./trading/nats}}", "", "${A:-${B:-./data/nats}}"),
        ("${A:-./trading}/nats", "", "variable-value"),
        ("${A:-./trading}/other", "", None),
        ("${A:-/abs}/trading/nats", "", None),
        ("${A:-./trading/nats}", "A=./trading/apps", "variable-value"),
        ("${A:-./trading/nats}", "A=/abs", "${A:-./data/nats}"),
        ("${A:-named}", "", None),
        ("${A:+./trading/nats}", "", "variable"),
        ("${A}", "A=/srv/x", None),
        ("${A}", "A=C:/trade2025/trading/nats", None),
        ("${A}", "A=named", None),
        ("${A}", 'export A="./trading/nats" # here', "variable-value"),
        ("${A}", "", "variable"),
        ("${PWD}/other", "", None),
        ("./${A}/x", "", "several-places"),
        ("./trading/nats-${A}", "", None),
        ("./trading/nats${A}", "", "several-places"),
        ("./trading/n${A}s/x", "", "several-places"),
        ("./tr${A}", "", "several-places"),
        ("./trading/nats/${A}/../x", "", "several-places"),
        ("./trading/nats/$$A", "", "./data/nats/$$A"),
        ("./trading/nats/${A:-b/c}/x", "", "./data/nats/${A:-b/c}/x"),
        ("../${A}/x", "", "several-places"),
        ("../../${A}/x", "", "place-not-mapped"),
    ],
)
def test_a_path_that_begins_with_a_variable_is_resolved_or_reported(path: str, env: str, wanted: str | None) -> None:
    text = f"services:\n  a:\n    volumes:\n    - '{path}:/data'\n"
    files = {"docker-compose.yml": text.encode(), ".env": env.encode()}
    new, plan = rewrite(files, "docker-compose.yml")
    codes = [item.reason for item in plan.leftovers]
    if wanted in REASONS:
        assert (new.decode(), codes) == (text, [wanted])
    else:
        assert (new.decode(), codes) == (text.replace(path, wanted or path), [])


# Which files, and which folders.


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        ("docker-compose.yml", True),
        ("compose.yaml", True),
        ("Docker-Compose.Core.YML", True),
        ("my_compose.yml", True),
        ("compose.json", True),
        ("docker-compose.yml.example", True),
        ("docker-compose.override.yml", True),
        ("decompose.yml", False),
        ("composer.json", False),
        ("compose.py", False),
        ("compose", False),
    ],
)
def test_compose_files_are_recognized_by_their_names(name: str, is_one: bool) -> None:
    assert is_compose_name(name) == is_one
    assert may_matter(name.encode()) or not is_one


SERVICE = "services: {a: {image: i, volumes: [PATH:/d]}}"


@pytest.mark.parametrize(
    ("text", "edited", "codes"),
    [
        ("services: {a: {image: i, volumes: [./trading/nats:/d]}}", True, []),
        ("{services: {a: {build: trading/nats}}, name: x, x-y: 1}", True, []),
        # GitLab, GitHub, Kubernetes, Symfony, Ansible: not Compose.
        ("services: [postgres]\nvolumes: [./trading/nats:/d]", False, []),
        ("jobs: {a: {services: {b: {image: i, volumes: [./trading/nats:/d]}}}}", False, []),
        ("services: {_defaults: {autowire: true}, App: {resource: ./trading/nats}}", False, []),
        ("services: {web: {name: x}}", False, []),
        ("volumes: [./trading/nats:/d]", False, []),
        ("services: {a: {image: i, volumes: [./trading/nats:/d]}}\nstages: [b]", False, ["not-compose"]),
        ("services: {a: {image: i, replicas: 2, volumes: [./trading/nats:/d]}}", False, ["not-compose"]),
    ],
)
def test_a_yaml_file_with_services_is_edited_only_if_it_is_a_compose_file(
    text: str, edited: bool, codes: list[str]
) -> None:
    files = {"stack.yml": text.encode()}
    if not edited and not codes:
        contexts = compose_files(files, BASE, PATH_MAP)
        plan = plan_paths(files["stack.yml"], contexts["stack.yml"], PATH_MAP) if contexts else ComposePlan()
        assert plan.edits == []
        return
    new, plan = rewrite(files, "stack.yml")
    assert (new.decode() != text) == edited
    assert [item.reason for item in plan.leftovers] == codes


INCLUDED = "services:\n  a:\n    image: i\n    volumes: [PATH:/d]\n"


ROOT = "docker-compose.yml"
TWICE = "include: [parts/nats.inc, {path: parts/nats.inc, project_directory: .}]"
OWN, ABOVE = ("../trading/nats", "../data/nats"), ("./trading/nats", "./data/nats")


@pytest.mark.parametrize(
    ("files", "paths"),
    [
        # A fragment under any name, read from its own folder.
        ({ROOT: "include: [parts/nats.inc]"}, OWN),
        ({ROOT: "include: [./parts/../parts/nats.inc]"}, OWN),
        ({ROOT: "include: ['${P:-parts}/nats.inc']"}, OWN),
        ({ROOT: "include: ['$P/nats.inc']", ".env": "P=parts"}, OWN),
        ({ROOT: "services: {b: {extends: {file: parts/nats.inc, service: a}}}"}, OWN),
        # By way of others.
        ({ROOT: "include: [more/x]", "more/x": "include: [../parts/nats.inc]"}, OWN),
        # From another folder.
        ({ROOT: "include: [{path: parts/nats.inc, project_directory: .}]"}, ABOVE),
        ({ROOT: "include: [{path: [./first.yml, parts/nats.inc]}]", "first.yml": "services: {}"}, ABOVE),
        ({ROOT: "", ".env": "COMPOSE_FILE=docker-compose.yml:parts/nats.inc"}, ABOVE),
        # From several folders, which matters or not.
        ({ROOT: TWICE}, ("./trading/nats", "several-folders")),
        ({ROOT: TWICE}, ("./x", "./x")),
        # Files that include each other, or what is not there, do no harm.
        ({ROOT: "include: [parts/nats.inc, docker-compose.yml, nothing.yml, ../x, /y]"}, OWN),
    ],
)
def test_a_path_in_an_included_file_is_relative_to_the_documented_folder(
    files: dict[str, str], paths: tuple[str, str]
) -> None:
    path, wanted = paths
    text = INCLUDED.replace("PATH", path)
    tree = {name: content.encode() for name, content in files.items()} | {"parts/nats.inc": text.encode()}
    new, plan = rewrite(tree, "parts/nats.inc")
    codes = [item.reason for item in plan.leftovers]
    if wanted in REASONS:
        assert (new.decode(), codes) == (text, [wanted])
    else:
        assert (new.decode(), codes) == (INCLUDED.replace("PATH", wanted), [])


@pytest.mark.parametrize(
    ("path", "wanted"),
    [("./trading/nats", "several-folders"), ("../trading/nats", "../data/nats"), ("./x", "./x")],
)
def test_a_path_is_reported_if_the_file_may_be_read_from_several_folders(path: str, wanted: str) -> None:
    text = "services: {a: {volumes: [PATH:/d]}}"
    old = text.replace("PATH", path)
    files = {"docker-compose.yml": b"services: {a: {image: i}}", "dev/docker-compose.dev.yml": old.encode()}
    new, plan = rewrite(files, "dev/docker-compose.dev.yml")
    codes = [item.reason for item in plan.leftovers]
    assert (new.decode(), codes) == ((old, [wanted]) if wanted in REASONS else (text.replace("PATH", wanted), []))


def test_a_project_in_utf_16_says_what_it_includes() -> None:
    text = "services: {a: {image: i, volumes: [./trading/nats:/d]}}"
    include = "include: [{path: parts/x, project_directory: .}]\nservices: {}"
    files = {"stack.compose.yml": include.encode("utf-16"), "parts/x": text.encode()}
    assert rewrite(files, "parts/x")[0] == text.replace("trading/nats", "data/nats").encode()


@pytest.mark.parametrize(
    ("path", "wanted"),
    [("./trading/nats", "several-folders"), ("./trading/apps", "./trading/apps"), ("./x", "./x")],
)
def test_paths_that_exist_only_from_a_parent_folder_are_rewritten_or_reported(path: str, wanted: str) -> None:
    old = SERVICE.replace("PATH", path)
    files = {"docker/compose.yml": old.encode(), "trading/nats/.env": b"", "docker/trading/apps/x.yml": b""}
    new, plan = rewrite(files, "docker/compose.yml")
    left = [item.reason for item in plan.leftovers]
    assert (new.decode(), left) == ((old, [wanted]) if wanted in REASONS else (SERVICE.replace("PATH", wanted), []))


def test_an_entry_of_the_map_may_name_the_very_file() -> None:
    places = PathMap.parse(
        [{"from": "C:/t", "to": "/new"}, {"from": "C:/t/compose.yml", "to": "/new/deploy/compose.yml"}]
    )
    new, _plan = rewrite(
        {"compose.yml": b"services: {a: {build: ./x}}"}, "compose.yml", parse_location("C:/t", "b"), places
    )
    assert new == b"services: {a: {build: ../x}}"


@pytest.mark.parametrize(
    ("path", "codes"),
    [("./trading/nats", ["no-base"]), ("./nats", ["no-base"]), ("./other", []), ("../x", ["no-base"])],
)
def test_what_a_tree_with_an_unknown_name_may_contain_is_reported(path: str, codes: list[str]) -> None:
    places = PathMap.parse([{"from": "C:/trade2025/trading/nats", "to": "/srv/data/nats"}])
    text = SERVICE.replace("PATH", path)
    assert rewrite_text(text, places, base=None) == (text, codes)


# Properties.

NAMES = st.sampled_from(["trading", "nats", "apps", "x", "..", "."])
PATHS = st.lists(NAMES, min_size=1, max_size=6).map("/".join)


@given(st.lists(PATHS, min_size=1, max_size=4), st.lists(st.sampled_from(["trading", "apps", "x"]), max_size=3))
def test_a_path_names_the_same_place_afterwards_or_is_reported(paths: list[str], folder: list[str]) -> None:
    name = "/".join([*folder, "compose.yml"])
    text = "\n".join(["services:", "  a:", "    env_file:", *(f"    - {path}" for path in paths)])
    new, plan = rewrite({name: text.encode()}, name)
    left = {item.line for item in plan.leftovers}
    after = PATH_MAP.relocate("c", ("trade2025", *folder))
    assert after
    for line, (before, afterwards) in enumerate(zip(text.splitlines(), new.decode().splitlines(), strict=True), 1):
        if not before.startswith("    - "):
            assert before == afterwards
            continue
        place = _resolve(("trade2025", *folder), before[6:])
        wanted = PATH_MAP.relocate("c", place) if place is not None else None
        if wanted is None:
            assert line in left
        if line in left:
            assert before == afterwards
        else:
            assert wanted
            assert _resolve(after.text_parts, afterwards[6:]) == wanted.text_parts


def _resolve(folder: tuple[str, ...], path: str) -> tuple[str, ...] | None:
    steps = list(folder)
    for step in path.split("/"):
        if step == ".." and not steps:
            return None
        if step == "..":
            steps.pop()
        elif step != ".":
            steps.append(step)
    return tuple(steps)


@pytest.mark.parametrize(
    ("line", "is_left"),
    [
        ("    - ./trading/nats:/data", True),
        ("    build: './trading/apps'", True),
        ("    context: trading/apps/{{ name }}", True),
        ("    env_file: other", False),
        ("    image: trading/nats", False),
        ("    - trading/nats:/data", False),
    ],
)
def test_a_template_is_not_edited_and_its_paths_are_reported(line: str, is_left: bool) -> None:
    text = "services:\n{% for name in names %}\n  {{ name }}:\n" + line + "\n{% endfor %}\n"
    assert rewrite_text(text) == (text, ["not-yaml"] if is_left else [])


@given(st.text(st.sampled_from("./tradingnats:$${}-[]'\"\\ #\n&*!|>,x~é\t"), max_size=80))
def test_rewriting_any_text_twice_equals_rewriting_it_once(text: str) -> None:
    new, _codes = rewrite_text("services:\n  a:\n    volumes:\n    - " + text)
    assert rewrite_text(new)[0] == new


def test_each_reason_has_a_sentence() -> None:
    assert set(REASONS) == set(Reason)
    assert len(set(REASONS.values())) == len(REASONS)
    assert describe(Reason.HOME) == f"home: {REASONS[Reason.HOME]}"
