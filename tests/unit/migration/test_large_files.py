# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that are handled in pieces: the same result, bounded memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from ansible.module_utils.rewriting.document import plan_document
from ansible.module_utils.rewriting.mentions import Mentions
from ansible.module_utils.shared.fs import BLOCK as PIECE
from migration_case import DOCUMENTED, migrate

ROOT = Path(__file__).resolve().parents[3]
REFERENCE = b"C:\\\\trade2025\\\\trading\\\\nats\\\\deep\\\\er trade2025-backend Trade-2025 "


def straddling(size: int) -> bytes:
    """Text with a reference across every boundary of a piece, each at another offset."""
    data = bytearray(b"0123456789abcdef" * (size // 16))
    for number, boundary in enumerate(range(PIECE, size, PIECE)):
        start = boundary - (number * 7) % (len(REFERENCE) + 1)
        data[start - 1 : start + len(REFERENCE) + 1] = b"\n" + REFERENCE + b"\n"
    return bytes(data)


def test_references_across_the_boundaries_of_pieces_are_rewritten(tmp_path: Path) -> None:
    src, dest = tmp_path / "trade2025", tmp_path / "dest"
    src.mkdir()
    text = straddling(12 * PIECE)
    wide = ("\ufeff" + text[: 5 * PIECE].decode()).encode("utf-16-le")
    (src / "text").write_bytes(text)
    (src / "wide").write_bytes(wide)
    (src / "binary").write_bytes(text + b"\x00")
    report = migrate(src, dest)
    mentions = Mentions(["trade2025"])
    for name, data in (("text", text), ("wide", wide), ("binary", text + b"\x00")):
        document = plan_document(data, DOCUMENTED, mentions)
        assert (dest / name).read_bytes() == document.new, name
        assert report.leftovers[name] == document.leftovers, name
    assert report.replacements > 20
    assert not migrate(src, dest).changed


def test_a_large_file_takes_little_memory(tmp_path: Path) -> None:
    src = tmp_path / "trade2025"
    src.mkdir()
    block = (b"x" * 5000 + b" " + REFERENCE + b"\n") * 200
    with (src / "large").open("wb") as file:
        for _ in range(100):
            file.write(block)
        # One line of many megabytes.
        for _ in range(40):
            file.write(b"y" * 1_000_000)
    code = (
        "import sys; sys.path[:0] = sys.argv[1:3]; import conftest; from pathlib import Path;"
        "from migration_case import migrate; report = migrate(Path(sys.argv[3]), Path(sys.argv[4]));"
        "peak = Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0]; print(report.replacements, peak)"
    )
    paths = [str(ROOT / "tests"), str(Path(__file__).parent), str(src), str(tmp_path / "dest")]
    done = subprocess.run([sys.executable, "-c", code, *paths], check=True, capture_output=True, text=True)
    replacements, kilobytes = map(int, done.stdout.split())
    assert replacements == 2 * 200 * 100
    assert kilobytes < 64 * 1024
    (src / "large").unlink()
