"""Find secrets in what a Compose file says, and hide them in everything that is returned."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from ansible.module_utils.shared.masking import MASK, mask_tree

_SECRET_NAME = re.compile(
    r"(?:^|[_.\-])(?:pass|\w*(?:passwd|password|passphrase)|pwd|secret|secrets|token|credentials?|"
    r"(?:api|access|private|secret|signing|encryption|auth|account|master|client|ssh|jwt)[_\-]?(?:key|secret|token))"
    r"(?:$|[_.\-0-9])",
    re.IGNORECASE,
)
# Names that end so say where a secret is, how it is made or how long it lives.
_NO_SECRET_NAME = re.compile(
    r"(?:file|path|dir|url|uri|name|ttl|length|size|type|expiry|expiration|expires_in|seconds|enabled|required|policy|"
    r"id|alg|algorithm|count)$",
    re.IGNORECASE,
)
_WORD_BREAK = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_NO_SECRET_VALUE = re.compile(
    r"(?:true|false|yes|no|on|off|none|null|[0-9]{1,5}|/.*|\./.*|[A-Za-z]:[\\/].*|\*+)$", re.IGNORECASE
)
_URL_PASSWORD = re.compile(r"[a-z][a-z0-9+.\-]*://[^\s/:@]*:([^\s/@]+)@", re.IGNORECASE)
_OPTION = re.compile(r"(?<![\w\-])--?([A-Za-z][\w.\-]*)(?:=|\s+)(?:\"([^\"]*)\"|'([^']*)'|([^\s\"'\-][^\s\"']*))")
_ASSIGNMENT = re.compile(r"(?:^|\s)([A-Za-z_]\w*)=(?:\"([^\"]*)\"|'([^']*)'|([^\s\"']+))")
_SECRET_OPTIONS = {"requirepass", "masterauth", "pass", "password", "auth"}


def is_secret_name(name: str) -> bool:
    """Whether a variable of this name holds a secret itself (`DB_PASSWORD`, not `DB_PASSWORD_FILE`)."""
    spaced = _WORD_BREAK.sub("_", name)
    return bool(_SECRET_NAME.search(spaced)) and not _NO_SECRET_NAME.search(spaced)


def secrets_of_variable(name: str, value: str) -> list[str]:
    """The secrets in a variable: its value where the name says so, else the passwords of URLs and options in it."""
    if is_secret_name(name) and value.strip() and not _NO_SECRET_VALUE.match(value.strip()):
        return [value]
    return secrets_of_text(value)


def secrets_of_text(text: str) -> list[str]:
    """The passwords in a command line or URL: `--requirepass x`, `TOKEN=x`, `scheme://user:x@host`."""
    found = [match[1] for match in _URL_PASSWORD.finditer(text)]
    for match in _OPTION.finditer(text):
        name = match[1]
        if name.lower() in _SECRET_OPTIONS or is_secret_name(name):
            found.append(next(group for group in match.groups()[1:] if group is not None))
    for match in _ASSIGNMENT.finditer(text):
        if is_secret_name(match[1]):
            found.append(next(group for group in match.groups()[1:] if group is not None))
    return [value for value in found if value and not _NO_SECRET_VALUE.match(value) and not value.startswith("$")]


class Mask:
    """Replaces known secrets wherever they stand, the longest first."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self._secrets = sorted({secret for secret in secrets if secret}, key=len, reverse=True)

    def text(self, text: str) -> str:
        """The text with every known secret replaced; a short one only as a whole word, to spare innocent text."""
        for secret in self._secrets:
            if len(secret) >= 6:
                text = text.replace(secret, MASK)
            else:
                text = re.sub(rf"(?<![A-Za-z0-9]){re.escape(secret)}(?![A-Za-z0-9])", MASK, text)
        return text

    def data(self, data: object) -> object:
        """Any data with every string in it masked; keys stay."""
        return mask_tree(data, self.text)


def all_secrets(pairs: Iterable[tuple[str, str]], texts: Iterable[str]) -> Iterator[str]:
    """Every secret in some variables and some command lines."""
    for name, value in pairs:
        yield from secrets_of_variable(name, value)
    for text in texts:
        yield from secrets_of_text(text)
