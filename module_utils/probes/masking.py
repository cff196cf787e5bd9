# SPDX-License-Identifier: GPL-3.0-or-later
"""Keep secrets out of what is shown."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

from ansible.module_utils.shared.masking import MASK, mask_text, mask_tree

# Shorter ones are masked only where they stand alone: "a" in every word would leave nothing to read.
LEAST_LENGTH = 8
# Of a secret key, these say nothing (RFC 7517 §4).
PUBLIC_MEMBERS = frozenset({"kty", "kid", "use", "alg", "key_ops", "e", "n"})
# A larger file is not one of our secrets.
FILE_LIMIT = 1024 * 1024


class Masker:
    """Replaces every known secret, and what looks like one."""

    def __init__(self, secrets: Iterable[str], unreadable: Iterable[str] = ()) -> None:
        # Longest first, so that no part of a secret stays behind.
        spellings = sorted({form for secret in secrets for form in _spellings(secret)}, key=len, reverse=True)
        alternatives = [
            re.escape(form) if len(form) >= LEAST_LENGTH else rf"(?<!\w){re.escape(form)}(?!\w)" for form in spellings
        ]
        self._known = re.compile("|".join(alternatives)) if alternatives else None
        # Files whose text is not known, so that it cannot be found in a log either.
        self.unreadable = tuple(unreadable)

    @classmethod
    def of_folder(cls, root: Path) -> Masker:
        """All secrets in the files under `root`; a missing folder has none."""
        found: set[str] = set()
        unreadable: list[str] = []
        for path in sorted(root.rglob("*")) if root.is_dir() else []:
            try:
                if path.is_file() and path.stat().st_size <= FILE_LIMIT:
                    found.update(secret_values(path.read_text(encoding="utf-8", errors="replace")))
            except OSError:
                unreadable.append(str(path))
        return cls(found, unreadable)

    def text(self, text: str) -> str:
        """`text` without secrets."""
        if self._known:
            text = self._known.sub(MASK, text)
        return mask_text(text)

    def tree(self, value: Any) -> Any:
        """The same for every text in lists and mappings."""
        return mask_tree(value, self.text)


def secret_values(content: str) -> set[str]:
    """The secrets in a file: its lines, and the values of a JSON document."""
    try:
        document = json.loads(content)
    except ValueError:
        document = None
    if isinstance(document, dict | list):
        return {value for value in _leaves(document) if len(value) >= LEAST_LENGTH}
    return {line.strip() for line in content.splitlines() if line.strip()}


def _leaves(document: Any) -> Iterator[str]:
    if isinstance(document, dict):
        for key, value in document.items():
            if not ("kty" in document and key in PUBLIC_MEMBERS):
                yield from _leaves(value)
    elif isinstance(document, list):
        for value in document:
            yield from _leaves(value)
    elif isinstance(document, str):
        yield document


def _spellings(secret: str) -> set[str]:
    """As it is, as written in an address and in JSON, and in base64."""
    encoded = base64.b64encode(secret.encode()).decode("ascii")
    return {secret, quote(secret, safe=""), quote_plus(secret), json.dumps(secret)[1:-1], encoded, encoded.rstrip("=")}
