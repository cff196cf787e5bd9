# SPDX-License-Identifier: GPL-3.0-or-later
"""Create a tree like Trade2025 from a seed: the same seed gives the same bytes."""

from __future__ import annotations

import random
from pathlib import Path

# How the generated files spell a reference, each in its kind of file.
SPELLINGS = {
    ".yml": "      - C:/trade2025/trading/{place}/{tail}:/data\n",
    ".ps1": '$path = "C:\\trade2025\\trading\\{place}\\{tail}"\r\n',
    ".json": '  "path": "C:\\\\trade2025\\\\trading\\\\{place}\\\\{tail}",\n',
    ".sh": "cp /c/trade2025/trading/{place}/{tail} /mnt/c/Trade2025/backup/\n",
    ".md": "See [the data](file:///C:/trade2025/trading/{place}/{tail}) on trade2025-backend.\n",
    ".py": 'ROOT = "C:/trade2025/trading/{place}"  # {tail}\n',
    ".env": "DATA=C:\\trade2025\\trading\\{place}\nNETWORK=trade2025-frontend\n",
}
_PLACES = ("apps", "nats", "valkey", "questdb", "clickhouse", "seaweed", "opensearch", "config", "scripts")
_WORDS = (
    *("order", "book", "price", "level", "session", "venue", "risk", "limit", "position", "margin", "trade", "fill"),
    *("quote", "depth", "batch", "stream", "replay", "2024-11-02", "2025-03-14", "value", "return", "self", "import"),
)


def _text(rng: random.Random, size: int, extension: str, references: int) -> bytes:
    lines: list[str] = []
    total = 0
    while total < size:
        line = " ".join(rng.choices(_WORDS, k=rng.randint(4, 14))) + "\n"
        lines.append(line)
        total += len(line)
    for _ in range(references):
        reference = SPELLINGS[extension].format(place=rng.choice(_PLACES), tail=f"part{rng.randint(0, 99)}")
        lines.insert(rng.randrange(len(lines) + 1), reference)
    return "".join(lines).encode()


def make_tree(root: Path, files: int, size: int, seed: int) -> tuple[int, int]:
    """Fill `root` with about `files` files and `size` bytes; return the actual numbers.

    Three in ten files are binary; one in four of the text files contains references.
    """
    rng = random.Random(seed)
    average = size / files
    directories = [root / "trading" / place / f"part{number:03}" for place in _PLACES for number in range(files // 100)]
    for directory in directories:
        directory.mkdir(parents=True, exist_ok=True)
    # One pool of random words, cut differently for each file, is much faster than new words for each file.
    extensions = list(SPELLINGS)
    pools = [_text(rng, int(average * 12), ".py", 0) for _ in range(8)]
    noise = rng.randbytes(int(average * 12) + 64)
    count = total = 0
    for number in range(files):
        wanted = max(16, min(int(average * rng.lognormvariate(-0.5, 1.0)), int(average * 12)))
        directory = directories[rng.randrange(len(directories))]
        if rng.random() < 0.3:
            start = rng.randrange(len(noise) - wanted)
            data, extension = b"\x00\x01" + noise[start : start + wanted], rng.choice((".bin", ".png", ".parquet"))
        else:
            extension = rng.choice(extensions)
            pool = rng.choice(pools)
            start = pool.find(b"\n", rng.randrange(max(1, len(pool) - wanted))) + 1
            data = pool[start : start + wanted]
            if rng.random() < 0.25:
                data += _text(rng, 0, extension, rng.randint(1, 12))
        (directory / f"file{number:06}{extension}").write_bytes(data)
        count, total = count + 1, total + len(data)
    return count, total
