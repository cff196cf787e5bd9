# SPDX-License-Identifier: GPL-3.0-or-later
"""Mixed encodings, short names, targets of symlinks, maps with names that need an escape."""

from __future__ import annotations

import bz2
import gzip
import itertools
import lzma
import time
from collections.abc import Callable
from typing import Any

import pytest
from ansible.module_utils.rewriting.document import Document, DocumentStream, has_nul_unit, kind_of, plan_document
from ansible.module_utils.rewriting.mentions import Mentions
from ansible.module_utils.rewriting.path_map import MapError
from ansible.module_utils.rewriting.reasons import REASONS
from hypothesis import given, settings
from hypothesis import strategies as st
from rewriting_case import DOCUMENTED, codes, rules_of

MENTIONS = Mentions(["trade2025"])
ANSI = b"C:\\trade2025\\trading\\b\r\n"


def streamed(data: bytes, kind: str, size: int) -> Document:
    """The result of a stream; data that is not of its kind is treated as binary, as in the engine."""
    stream = DocumentStream(kind, DOCUMENTED, MENTIONS)
    try:
        pieces = [stream.feed(data[start : start + size]) for start in range(0, len(data), size)]
        new = b"".join([*pieces, stream.feed(b"", final=True)])
    except UnicodeDecodeError:
        return streamed(data, "binary", size)
    document = stream.document()
    document.new = new
    return document


@pytest.mark.parametrize("size", [1, 7, 64, 100_000])
@pytest.mark.parametrize("kind", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
def test_bytes_of_another_encoding_are_reported(kind: str, size: int) -> None:
    head = "\ufeffC:\\trade2025\\trading\\a\r\n".encode(kind)
    data = head + ANSI
    wanted = "\ufeff/srv/trade2026/a\r\n".encode(kind) + ANSI
    for document in (plan_document(data, DOCUMENTED, MENTIONS), streamed(data, kind, size)):
        if kind.startswith("utf-16"):
            assert document.new == wanted
            assert codes(document) == ["mixed-encoding"]
        else:
            # In UTF-32 such bytes are not characters at all.
            assert document.new == data
            assert codes(document) == ["binary", "binary"]


@pytest.mark.parametrize("kind", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
def test_wide_text_is_rewritten_by_its_mark_and_reported_without(kind: str) -> None:
    marked = "\ufeffx /mnt/c/trade2025/trading/ä\n".encode(kind)
    assert kind_of(marked[:4], has_nul=True) == kind
    document = plan_document(marked, DOCUMENTED, MENTIONS)
    assert document.new == "\ufeffx /srv/trade2026/ä\n".encode(kind)
    assert document.leftovers == []
    unmarked = plan_document(marked[len("\ufeff".encode(kind)) :], DOCUMENTED, MENTIONS)
    assert (unmarked.kind, codes(unmarked)) == ("binary", ["binary"])
    assert has_nul_unit(marked + "\0".encode(kind), kind)
    assert not has_nul_unit(marked, kind)


def test_a_line_that_its_encoding_would_not_give_back_stays() -> None:
    """Code page 932 has two spellings of some characters; Python writes the other one."""
    odd, same = b"\xfa\x54", "表".encode("cp932")
    assert odd.decode("cp932").encode("cp932") != odd
    data = b"C:\\trade2025\\trading\\" + odd + b"\r\nx " + odd + b"\r\nC:\\trade2025\\trading\\" + same + b"\r\n"
    document = plan_document(data, DOCUMENTED, MENTIONS, encoding="cp932")
    assert document.new == data.replace(b"C:\\trade2025\\trading\\" + same, b"/srv/trade2026/" + same)
    assert codes(document) == ["unclear-bytes"]


def test_undecodable_bytes_stay_in_a_given_encoding() -> None:
    data = b"\xff C:\\trade2025\\trading\\a \xfd\n"
    assert plan_document(data, DOCUMENTED, MENTIONS, encoding="cp932").new == b"\xff /srv/trade2026/a \xfd\n"


def test_a_drive_behind_half_a_character_is_in_doubt() -> None:
    data = "ケ:\\trade2025\\trading\\ア".encode("cp932")
    assert data.startswith(b"\x83P")
    for lead in (b"\x83", b"\x95\\ \x83"):
        text = lead + b"C:\\trade2025\\trading\\a\x83\x41"
        document = plan_document(text, DOCUMENTED, MENTIONS)
        assert document.new == text
        assert codes(document) == ["unclear-bytes"]


@pytest.mark.parametrize(
    ("text", "count"),
    [
        (r"C:\TRADE2~1\trading", 1),
        ("c:/trade2~1/x", 1),
        (r"C:\PROGRA~1\x", 0),
        (r"C:\TR1A2B~1\x", 1),
        (r"C:\TRADE2~12\x", 1),
        (r"C:\TRADE2~x", 0),
        ("TRADE2~1", 0),
        (r"C:\TRADE2~1 and C:\TRADE2~2", 2),
        (r"C:\x\MARKET~1.OLD\x", 1),
        (r"C:\TRADE2~1-x", 0),
    ],
)
def test_a_short_name_is_reported(text: str, count: int) -> None:
    rules = rules_of({"C:/trade2025/trading": "/srv/x", "C:/x/market data.old": "/srv/y"})
    document = plan_document(text.encode(), rules, MENTIONS)
    assert document.new == text.encode()
    assert codes(document) == ["short-name"] * count


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("C:/trade2025/trading/nats", "/srv/trade2026/data/nats"),
        ("/mnt/c/trade2025/trading/my data - old/x", "/srv/trade2026/my data - old/x"),
        ("/mnt/c/trade2025/trading/nats, old", "/srv/trade2026/nats, old"),
        ("/mnt/c/trade2025/trading/x\ny", "/srv/trade2026/x\ny"),
        ("/mnt/c/trade2025/trading/nats/", "/srv/trade2026/data/nats/"),
        ("/mnt/c/trade2025/trading/*", "/srv/trade2026/*"),
        ("/mnt/c/trade2025/trading/nats/../apps", "/srv/trade2026/backend/apps"),
        ("/mnt/c/trade2025/trading - Copy", "/mnt/c/trade2025/trading - Copy"),
        ("/mnt/c/trade2025/trading/../shared", "/mnt/c/trade2025/trading/../shared"),
        ("x /mnt/c/trade2025/trading", "x /mnt/c/trade2025/trading"),
        ("../nats", "../nats"),
    ],
)
def test_a_whole_path_is_rewritten_once(path: str, wanted: str) -> None:
    once = DOCUMENTED.plan_path(path.encode()).new
    assert once.decode() == wanted
    assert DOCUMENTED.plan_path(once).new == once


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ('"C:/trade2025/x"', '"/srv/my data/x"'),
        ("C:/trade2025/x", None),
        ("file:///C:/trade2025/x", "file:///srv/my%20data/x"),
        ("C%3A%2Ftrade2025%2Fx", "%2Fsrv%2Fmy%20data%2Fx"),
        ("C:/old data/x", "/srv/my other/x"),
        ("<p>C:/old/r</p>", "<p>/srv/R&amp;D</p>"),
        ('"C:/old/r"', '"/srv/R&D"'),
        ("C:/old/r", None),
    ],
)
def test_a_target_that_needs_quotes_is_written_only_where_they_are(text: str, wanted: str | None) -> None:
    rules = rules_of(
        {"C:/trade2025": "/srv/my data", "C:/old data": "/srv/my other", "C:/old/r": "/srv/R&D"},
    )
    document = plan_document(text.encode(), rules, MENTIONS)
    assert document.new.decode() == (wanted or text)
    assert codes(document) == ([] if wanted else ["needs-quotes"])


@pytest.mark.parametrize(
    "entry",
    [
        {"from": "C:/a", "to": None},
        {"from": None, "to": "/srv/x"},
        {"from": "C:/a", "to": 5},
        {"from": "C:/a", "to": ["/srv/x"]},
        {"from": "C:/a"},
        {"from": "C:/a", "to": "/srv/x'y"},
        {"from": "C:/a", "to": "/srv/$x"},
        {"from": "C:/a", "to": "/srv/x,"},
    ],
)
def test_a_path_map_with_an_unusable_entry_is_refused(entry: dict[str, Any]) -> None:
    with pytest.raises(MapError, match=r"path_map\[0\]"):
        rules_of([entry])


def test_a_path_that_would_be_moved_twice_stays() -> None:
    rules = rules_of({"C:/a/b": "C:/a", "C:/x": "C:/y"})
    document = plan_document(b"C:/a/b/b C:/a/b/c C:/a/b", rules, MENTIONS)
    assert document.new == b"C:/a/b/b C:/a/c C:/a"
    assert codes(document) == ["moves-again"]
    assert rules.plan(document.new).new == document.new


LONG = {
    "quoted names with spaces": b'"C:\\trade2025\\trading\\a b c d\\x" ',
    "unquoted words": b"C:\\trade2025\\trading\\a b c d ",
    "one path": b"C:/trade2025/trading/",
    "names": b"trade2025/",
    "dot steps": b"../trade2025/",
    "commas": b"C:\\trade2025\\trading\\a,b,c,",
    "wildcards": b"C:/trade2025/trading/*$x{a,b}%y% ",
    "open quotes": b'"C:\\trade2025\\trading\n',
    "networks": b"trade2025-backend ",
    "network keys": b"    trade2025-backend:\n",
    "tildes": b"\\TRADE2~1 ",
    "deeper lines": b"C:\\trade2025\\trading\\a\n  b\\c\n",
    "semicolons": b"C:\\trade2025\\trading;",
}


@pytest.mark.parametrize("kind", LONG)
def test_ten_times_the_work_takes_less_than_a_hundred_times_as_long(kind: str) -> None:
    def seconds(work: Callable[[bytes], Any], data: bytes) -> float:
        start = time.process_time()
        work(data)
        return time.process_time() - start

    def work(data: bytes) -> Any:
        return plan_document(data, rules_of({"C:/trade2025/trading": "/srv/x"}, {"trade2025-backend": "x-y"}), MENTIONS)

    few = min(seconds(work, LONG[kind] * 500) for _ in range(3))
    assert seconds(work, LONG[kind] * 5_000) < 35 * few + 0.2


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("/opt/trade2025/nats/../x", "/srv/t/x"),
        ("/opt/trade2025/nats old", "/srv/data/nats old"),
        ('"/opt/trade2025/nats old/x"', '"/srv/t/nats old/x"'),
        ("/opt/trade2025/nats old/x", "name-goes-on"),
        ("/opt/trade2025/*", "several-places"),
        ("/opt/trade2025/(.*)$", "several-places"),
        ("/opt/trade2025/.+/x", "several-places"),
        ("/opt/trade2025/../x", "leaves-map"),
        ("file:///opt/trade2025/nats", "file:///srv/data/nats"),
        ("/opt/my data/x", "/srv/x/x"),
        ("/opt/my\\ data/x", "/srv/x/x"),
        ("#!/opt/trade2025/x", "#!/srv/t/x"),
        ("-I/opt/trade2025/x", "-I/srv/t/x"),
        ('{"p":"\\/opt\\/trade2025\\/nats"}', '{"p":"\\/srv\\/data\\/nats"}'),
        ("%2Fopt%2Ftrade2025%2Fnats", "%2Fsrv%2Fdata%2Fnats"),
        ("/home/opt/trade2025", "mention"),
        ("$H/opt/trade2025", "mention"),
        ("/opt/Trade2025", "unmapped"),
        ("https://h/opt/trade2025", "mention"),
    ],
)
def test_a_unix_path_is_rewritten_or_reported(text: str, wanted: str) -> None:
    rules = rules_of({"/opt/trade2025/nats": "/srv/data/nats", "/opt/trade2025": "/srv/t", "/opt/my data": "/srv/x"})
    document = plan_document(text.encode(), rules, MENTIONS)
    if wanted in REASONS:
        assert document.new.decode() == text
        assert codes(document) == [wanted]
    else:
        assert document.new.decode() == wanted
        assert document.leftovers == []
    assert rules.plan(document.new).new == document.new


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (r"C:\trade2025\trading\nats\My Data\store", r"D:\T\data\nats\My Data\store"),
        (r"copy C:\trade2025\trading\a.txt old\a.txt", r"copy D:\T\a.txt old\a.txt"),
        (r"C:\trade2025\trading\nats\a,b\c", r"D:\T\data\nats\a,b\c"),
        (r"C:\trade2025\trading - Copy\x", "name-goes-on"),
        (r"C:\trade2025\trading\x\My Data\..\..\..\store", "unclear-end"),
    ],
)
def test_a_windows_target_leaves_the_rest_of_a_path_alone(text: str, wanted: str) -> None:
    """If nothing after the mapped folder would change, it does not matter where the path ends."""
    rules = rules_of({"C:/trade2025/trading/nats": "D:/T/data/nats", "C:/trade2025/trading": "D:/T"})
    document = plan_document(text.encode(), rules, MENTIONS)
    assert document.new.decode() == (text if wanted in REASONS else wanted)
    assert codes(document) == ([wanted] if wanted in REASONS else [])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("p: C:\\trade2025\\trading\\nats\\My\n  Data\\store\n", "unclear-end"),
        ("p: C:\\trade2025\\trading\\nats\\My\n  Big Data\\store\n", "unclear-end"),
        ('p: "C:\\\\trade2025\\\\trading\\\\nats\\\\My\n  Big Data\\\\store"\n', "unclear-end"),
        ('p: "C:\\\\trade2025\\\\trading\n  2"\n', "name-goes-on"),
        ("- C:\\trade2025\\trading\\nats\n  - a\\b\n", ""),
        ("p: C:\\trade2025\\trading\\nats\n  key: a\\b\n", ""),
        ("p: C:\\trade2025\\trading\\nats\\x\nData\\store\n", ""),
        ("p: >-\n  C:\\trade2025\\trading\\nats\\My\n  Data\\store\n", "unclear-end"),
        ("p: |\n  C:\\trade2025\\trading\\nats\\My\n  Data\\store\n", ""),
        ("p: C:\\trade2025\\trading\\nats\\x\n  and more\n", ""),
        ("p=/mnt/c/trade2025/trading\\\n-old\n", "name-goes-on"),
        ("p=/mnt/c/trade2025/trading/\\\nnats\n", "several-places"),
        ("p=/mnt/c/trade2025/trading\\\n  --option\n", ""),
        ('p: "/mnt/c/trade2025/trading\\\n  /nats"\n', "name-goes-on"),
        ('p: "C:\\\\trade2025\\\\trading\\\n  \\\\nats"\n', "name-goes-on"),
        ("cd C:\\trade2025\\trading\\\ndir\n", ""),
    ],
)
def test_a_path_that_is_folded_over_two_lines_is_reported(text: str, reason: str) -> None:
    document = plan_document(text.encode(), DOCUMENTED, MENTIONS)
    assert codes(document) == ([reason] if reason else [])
    assert (document.new == text.encode()) == bool(reason)


@pytest.mark.parametrize("size", [1, 50, 100_000])
def test_a_stream_does_not_guess_an_encoding(size: int) -> None:
    odd = "C:\\trade2025\\trading\\表示\\x\r\n".encode("cp932")
    plain = "C:\\trade2025\\trading\\nats\r\nüü".encode("cp1252")
    document = streamed(odd + plain, "text", size)
    assert document.new == odd + "/srv/trade2026/data/nats\r\nüü".encode("cp1252")
    assert codes(document) == ["unclear-bytes"]


@pytest.mark.parametrize(
    "text",
    [
        "C:/old/apps. Below are a/b",
        '"C:/old/apps (2)"',
        "C:/old/*",
        "C:/old/apps/../x",
        "C:/old/apps,x",
        "${X}C:/old/apps",
        "-v $C:/old/apps",
        "scp nas:/mnt/c/old/apps/x .",
        "sqlite:///C:/old/apps/x.db",
        "sqlite:////mnt/c/old/apps/x.db",
        "unix:///mnt/c/old/apps/x.sock",
        "vscode-remote://wsl+Ubuntu/mnt/c/old/apps",
        "http://host/C:/old/apps",
        "data/C:/old/apps",
        "/oC:\\old\\apps",
        "%X%C:\\old\\apps",
        "\\??\\C:\\old\\apps",
        "//?/C:/old/apps",
        "\\\\host\\c$\\old\\apps",
        "\\\\wsl$\\Ubuntu\\mnt\\c\\old\\apps",
        "C:" + 8 * "\\" + "old" + 8 * "\\" + "apps",
        "file:\\/\\/\\/C:\\/old\\/apps",
        "C:\\old\\nats\\a b\\c",
        "/mnt/c/old/apps&x",
    ],
)
def test_a_reference_in_doubt_is_reported_without_a_mention(text: str) -> None:
    rules = rules_of({"C:/old/apps": "/srv/apps", "C:/old/nats": "/srv/nats"})
    document = plan_document(text.encode(), rules, MENTIONS)
    assert document.new == text.encode()
    assert len(document.leftovers) == 1
    assert codes(document) != ["mention"]


@pytest.mark.parametrize("size", [7, 100, 100_000])
@pytest.mark.parametrize("encoding", ["ascii", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
def test_a_reference_in_a_binary_file_is_reported_without_a_mention(encoding: str, size: int) -> None:
    rules = rules_of({"C:/old/apps": "/srv/apps"}, {"edge": "outer"})
    text = "C:\\old\\apps\\x edge " * 2
    data = b"SQLite format 3\x00\x01" + text.encode(encoding) + b"\x00\x01C:\\older"
    stream = DocumentStream("binary", rules, MENTIONS)
    for start in range(0, len(data), size):
        stream.feed(data[start : start + size])
    stream.feed(b"", final=True)
    for document in (plan_document(data, rules, MENTIONS), stream.document()):
        assert codes(document) == ["binary", "binary"]


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_a_reference_in_a_compressed_file_is_reported_without_a_mention(pack: Callable[[bytes], bytes]) -> None:
    rules = rules_of({"C:/old/apps": "/srv/apps"})
    document = plan_document(pack(b"C:\\old\\apps\\x\n" + bytes(2_000_000) + b"C:/old/apps"), rules, MENTIONS)
    assert codes(document) == ["compressed", "compressed"]


def test_a_reference_in_another_encoding_is_reported_besides_a_mention() -> None:
    data = "\ufeffx\n".encode("utf-16-le") + b"C:\\old\\apps\n trade2025 "
    document = plan_document(data, rules_of({"C:/old/apps": "/srv/apps"}), MENTIONS)
    assert codes(document) == ["mixed-encoding", "mixed-encoding"]


PATHS = ("D:/feeds/{}", "D:\\feeds\\{}", "D:\\\\feeds\\\\{}", "/mnt/d/feeds/{}", "/d/feeds/{}")
MARKS = (
    *"=+,;:|<> \n\t",
    "\\n",
    "\\t",
    ", ",
    "; ",
    " = ",
    " + ",
    "=>",
    "->",
    '","',
    "','",
    '";"',
    "\N{FULLWIDTH COMMA}",
    "\N{IDEOGRAPHIC COMMA}",
    "><",
    "),(",
)


@pytest.mark.parametrize("mark", MARKS)
def test_two_paths_with_a_mark_between_them(mark: str) -> None:
    """Both are rewritten, or one is reported; a second run changes nothing."""
    rules = rules_of({"D:/feeds/live": "/srv/m/live", "D:/feeds": "/srv/m"})
    # Before a slash these marks may belong to a name: `x+/d`, `x\\n/d`.
    seconds = PATHS[:3] if mark in ("+", "\\n", "\\t") else PATHS
    for first, second, name, quote in itertools.product(PATHS, seconds, ("live", "x"), ("", '"')):
        text = f"k {quote}{first.format(name)}{mark}{second.format('live')}{quote} e"
        document = plan_document(text.encode(), rules, MENTIONS)
        wanted = f"k {quote}/srv/m/{name}{mark}/srv/m/live{quote} e"
        assert document.new.decode() == wanted or document.leftovers, text
        assert plan_document(document.new, rules, MENTIONS).new == document.new, text


@pytest.mark.parametrize("mark", ["-", "~", "(", "#", "!"])
def test_a_path_that_another_one_is_glued_to_stays(mark: str) -> None:
    rules = rules_of({"D:/feeds/live": "/srv/live", "D:/feeds": "/srv/m"})
    document = plan_document(f"D:/feeds/live{mark}D:/feeds/x".encode(), rules, MENTIONS)
    assert document.new.decode().startswith(f"D:/feeds/live{mark}")
    assert document.leftovers
    assert plan_document(document.new, rules, MENTIONS).new == document.new


def test_a_mount_behind_a_name_that_ends_with_one_letter_is_not_a_path() -> None:
    document = plan_document(b"- D:/feeds/app-a:/data", rules_of({"D:/feeds": "/srv/m"}), MENTIONS)
    assert document.new == b"- /srv/m/app-a:/data"


@pytest.mark.parametrize("space", ["\u00a0", "\u2003", "\u3000", "\ufeff", " \u00a0 "])
def test_a_space_beyond_ascii_in_a_quoted_name(space: str) -> None:
    document = plan_document(f'"C:\\trade2025\\trading\\nats\\My{space}Data\\x"'.encode(), DOCUMENTED, MENTIONS)
    assert document.new.decode() == f'"/srv/trade2026/data/nats/My{space}Data/x"'
    assert document.leftovers == []


def test_a_location_that_is_a_target_already_is_not_in_doubt() -> None:
    rules = rules_of({"D:/feeds": "/mnt/d/x/feeds2"})
    document = plan_document(b"D:\\feeds\\d$_D:!v!", rules, MENTIONS)
    assert document.new == b"/mnt/d/x/feeds2/d$_D:!v!"
    assert document.leftovers == []


@pytest.mark.parametrize("text", ["sqlite:////home/me/old/x.db", "unix:///home/me/old/x.sock"])
def test_a_unix_path_of_another_scheme_is_reported(text: str) -> None:
    document = plan_document(text.encode(), rules_of({"/home/me/old": "/srv/new"}), MENTIONS)
    assert document.new == text.encode()
    assert codes(document) == ["unclear-start"]


@pytest.mark.parametrize(
    "text", ["sqlite:///C:/other/x.db", "http://host/C:/oldest", "/data/c/old/apps", "C:/x/old/apps"]
)
def test_a_path_that_the_map_does_not_cover_is_not_reported(text: str) -> None:
    document = plan_document(text.encode(), rules_of({"C:/old/apps": "/srv/apps"}), MENTIONS)
    assert document.new == text.encode()
    assert document.leftovers == []


@settings(max_examples=200)
@given(st.data())
def test_what_is_remembered_changes_nothing(data: st.DataObject) -> None:
    """The decision about a reference does not depend on the references that were read before."""
    places = [
        quote + path + last + behind
        for quote, behind in (('"', '"'), ("x ", ":/data"), ("- ", "\n"), ("> ", " -x"))
        for path in ("C:\\trade2025\\trading", "C:/trade2025/trading", "/mnt/c/trade2025/trading", "C:/trade2025")
        for last in (
            "",
            "\\",
            "/",
            "\\apps",
            "/apps",
            "/nats",
            "\\x",
            "/x",
            "/x/y",
            "\\x\\y",
            "/..",
            "/x/..",
            "-old",
            ".",
        )
    ]
    rules = rules_of({"C:/trade2025/trading/apps": "/srv/backend/apps", "C:/trade2025/trading": "/srv/x"})
    for text in data.draw(st.lists(st.sampled_from(places), max_size=30)):
        fresh = rules_of({"C:/trade2025/trading/apps": "/srv/backend/apps", "C:/trade2025/trading": "/srv/x"})
        assert rules.plan(text.encode()) == fresh.plan(text.encode())
