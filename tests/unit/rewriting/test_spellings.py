# SPDX-License-Identifier: GPL-3.0-or-later
"""All combinations of spellings, entries of a map and encodings, which the documentation shows one by one."""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import lzma
import tarfile
import zipfile
from collections.abc import Callable
from urllib.parse import quote

import pytest
from ansible.module_utils.rewriting.document import plan_document
from ansible.module_utils.rewriting.mentions import Mentions
from rewriting_case import DOCUMENTED, rules_of

PLACES = {"trading/apps": "backend/apps", "trading/nats": "data/nats", "trading": "", "": "old"}
RULES = {
    target: rules_of({f"C:/trade2025/{old}": f"{target}/{new}" for old, new in PLACES.items()})
    for target in ("/srv/trade2026", "D:/Trade2026")
}
# A path below the drive, as text: how it is written on drive C, and how on D.
SPELLINGS: dict[str, Callable[[str, str], str]] = {
    "slashes": lambda drive, path: f"{drive}:/{path}",
    "backslashes": lambda drive, path: f"{drive}:/{path}".replace("/", "\\"),
    "escaped": lambda drive, path: f"{drive}:/{path}".replace("/", "\\\\"),
    "escaped twice": lambda drive, path: f"{drive}:/{path}".replace("/", "\\\\\\\\"),
    "JSON's slashes": lambda drive, path: f"{drive}:/{path}".replace("/", "\\/"),
    "doubled": lambda drive, path: f"{drive}:/{path}".replace("/", "//"),
    "Git Bash": lambda drive, path: f"/{drive.lower()}/{path}",
    "Git Bash, unconverted": lambda drive, path: f"//{drive.lower()}/{path}",
    "WSL": lambda drive, path: f"/mnt/{drive.lower()}/{path}",
    "Docker Desktop": lambda drive, path: f"/host_mnt/{drive.lower()}/{path}",
    "Cygwin": lambda drive, path: f"/cygdrive/{drive.lower()}/{path}",
    "URL": lambda drive, path: f"file:///{drive}:/{path}",
    "URL of a host": lambda drive, path: f"file://localhost/{drive}:/{path}",
    "encoded": lambda drive, path: quote(f"{drive}:/{path}", safe=""),
    "encoded backslashes": lambda drive, path: quote(f"{drive}:/{path}".replace("/", "\\"), safe=""),
    "encoded twice": lambda drive, path: quote(quote(f"{drive}:/{path}", safe=""), safe=""),
}
AS_UNIX = {
    "JSON's slashes": lambda path: path.replace("/", "\\/"),
    "URL": lambda path: f"file://{path}",
    "URL of a host": lambda path: f"file://localhost{path}",
    "encoded": lambda path: quote(path, safe=""),
    "encoded backslashes": lambda path: quote(path, safe=""),
    "encoded twice": lambda path: quote(quote(path, safe=""), safe=""),
}


@pytest.mark.parametrize("old", PLACES)
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_the_longest_prefix_applies_in_every_spelling(spelling: str, old: str) -> None:
    spell = SPELLINGS[spelling]
    for rest in ("", "/x.txt"):
        path, new = f"trade2025/{old}".rstrip("/") + rest, f"2026/{PLACES[old]}".rstrip("/") + rest
        for text in {spell("C", path), spell("c", path), spell("C", path.upper()) if not rest else spell("C", path)}:
            unix = AS_UNIX.get(spelling, str)(f"/srv/trade{new}")
            drive = "d" if text == spell("c", path) else "D"
            windows = spell(drive, f"Trade{new}")
            for quoted in (text, f'"{text}"', f"a={text};b"):
                for rules, wanted in (
                    (RULES["/srv/trade2026"], unix),
                    (RULES["D:/Trade2026"], windows),
                ):
                    once = rules.plan(quoted.encode()).new.decode()
                    assert once == quoted.replace(text, wanted)
                    assert rules.plan(once.encode()).new.decode() == once


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_longer_name_is_another_place_in_every_spelling(spelling: str) -> None:
    spell = SPELLINGS[spelling]
    for old, new in (
        ("trade2025/trading/natsbot", "Trade2026/natsbot"),
        ("trade2025/tradingbot", "Trade2026/old/tradingbot"),
        ("trade2025bot/x", None),
        ("xtrade2025/x", None),
    ):
        wanted = spell("D", new) if new else spell("C", old)
        assert RULES["D:/Trade2026"].plan(spell("C", old).encode()).new.decode() == wanted


LINES = ("C:\\trade2025\\trading\\nats\\x", "\ttab and space \t ", "", "trade2025-backend:", "größer “als” €")
REWRITTEN = {LINES[0]: "/srv/trade2026/data/nats/x", LINES[3]: "trade2026-backend:"}
ENCODINGS = {
    "UTF-8": ("utf-8", b""),
    "UTF-8 with a mark": ("utf-8", codecs.BOM_UTF8),
    "cp1252": ("cp1252", b""),
    "UTF-16 LE": ("utf-16-le", codecs.BOM_UTF16_LE),
    "UTF-16 BE": ("utf-16-be", codecs.BOM_UTF16_BE),
    "UTF-32 LE": ("utf-32-le", codecs.BOM_UTF32_LE),
    "UTF-32 BE": ("utf-32-be", codecs.BOM_UTF32_BE),
}


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_every_other_byte_stays_in_every_encoding(encoding: str, line_end: str) -> None:
    codec, mark = ENCODINGS[encoding]
    for last in (line_end, ""):
        text = line_end.join(LINES) + last
        new = line_end.join(REWRITTEN.get(line, line) for line in LINES) + last
        invalid = b"\x81\xfe\xff" if codec in ("utf-8", "cp1252") else b""
        data = mark + text.encode(codec) + invalid
        assert plan_document(data, DOCUMENTED, Mentions(["trade2025"])).new == mark + new.encode(codec) + invalid
    untouched = mark + "nothing here".encode(codec)
    assert plan_document(untouched, DOCUMENTED, Mentions(["trade2025"])).new == untouched


def _tar(name: str) -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        archive.addfile(tarfile.TarInfo(name))
    return data.getvalue()


def _zip(name: str) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, "x" * 1000)
    return data.getvalue()


PACKERS = {"gzip": gzip.compress, "bzip2": bz2.compress, "xz": lzma.compress}


@pytest.mark.parametrize("packer", PACKERS)
def test_what_a_compressed_file_holds_is_a_leftover(packer: str) -> None:
    pack = PACKERS[packer]

    def inside(data: bytes) -> list[str]:
        found = plan_document(data, DOCUMENTED, Mentions(["trade2025"])).leftovers
        return [item.text for item in found if item.text.startswith(f"inside the {packer} file: …")]

    assert "…backup/trade2025/x" in inside(pack(_tar("backup/trade2025/x")))[0]
    # Several streams in a row, as pigz, pbzip2 and `cat` create them, with the mention in a later one or across two.
    assert len(inside(pack(b"nothing") + pack(b"of trade2025 here"))) == 1
    assert len(inside(pack(b"nothing") * 3 + pack(b"tra") + pack(b"de2025"))) == 1
    assert inside(pack(b"nothing") + b"trailing trash") == []


@pytest.mark.parametrize(
    ("data", "mention", "count"),
    [
        (_zip("trade2025/x"), "trade2025", 2),
        (_tar("Trade2025/x"), "trade2025", 1),
        (b"\0" + "C:\\TRADE2025".encode("utf-16-le"), "trade2025", 1),
        (b"\0" + "C:\\TRADE2025".encode("utf-32-be"), "trade2025", 1),
        ("C:\\TRADE2025".encode("utf-32-le"), "trade2025", 1),
        (b"trade2025 trade2025 trade2025 trade2025", "trade2025", 4),
        ("das alte Größe2025, GRößE2025".encode(), "größe2025", 2),
        (b"TRADE 2025, trade.2025, trade_2025, trade-2025, Trade%202025", "trade2025", 5),
        (b"trade 2025-03-14", "trade2025", 0),
    ],
)
def test_a_mention_is_found(data: bytes, mention: str, count: int) -> None:
    assert plan_document(data, DOCUMENTED, Mentions([mention])).mentions == count
