# SPDX-License-Identifier: GPL-3.0-or-later
"""Placeholders such as `@@secret:PATH@@`, which are resolved on the machine and keep secrets out of Ansible."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable

PLACEHOLDER = re.compile(r"@@(secret|secret_sha256):([A-Za-z0-9_./-]+)@@")
CONFIG_HASH = "@@config_hash@@"

# The value of `secret`, by its path below the secrets root.
SecretReader = Callable[[str], str]


def mentions_secret(text: str) -> bool:
    """Whether the text holds a placeholder for a secret."""
    return PLACEHOLDER.search(text) is not None


def resolve(text: str, read: SecretReader) -> str:
    """The text with every placeholder replaced by its secret."""

    def value(match: re.Match[str]) -> str:
        secret = read(match[2])
        return secret if match[1] == "secret" else hashlib.sha256(secret.encode()).hexdigest()

    return PLACEHOLDER.sub(value, text)


def mask(text: str, template: str, read: SecretReader) -> str:
    """`text` with each secret that `template` mentions put back as its placeholder, for a diff."""
    for match in PLACEHOLDER.finditer(template):
        text = text.replace(resolve(match[0], read), match[0])
    return text
