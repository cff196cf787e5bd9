# SPDX-License-Identifier: GPL-3.0-or-later
"""The base class of probes, their target, and their errors.

A probe is a frozen dataclass. Its fields are the keys that a role may set in addition to `type`. Its class variables
say whether it writes, which library it needs, and how many requests it sends.
"""

from __future__ import annotations

import abc
import contextlib
import enum
import re
import secrets
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from ansible.module_utils.probes import limit

# Prefix of everything that a probe creates; a token follows, so that no client uses the same name.
PREFIX = "trade2026-probe"
# A name with the prefix and a token; what a test adds to it follows. Some services take no dashes.
OWN_NAME = re.compile(r"trade2026[-_]probe[-_]([0-9a-f]{8})[0-9a-f]{8}(?:[-_][a-z0-9]+)?")


class Kind(enum.Enum):
    """Why a probe failed, as far as the remedy depends on it."""

    ANSWER = "answer"  # an answer came, but not the expected one
    TIMEOUT = "timeout"  # no answer in time, or the connection was cut
    REFUSED = "refused"  # nothing listens on the port
    AUTH = "auth"  # the credentials were rejected
    UNEXPECTED_ACCESS = "unexpected_access"  # the service accepted what it had to reject
    MISMATCH = "mismatch"  # the service runs with other settings than declared
    CONFIG = "config"  # the probe cannot run: a library, a secret or a port is missing


# Failures that a repetition does not change.
FINAL = frozenset({Kind.AUTH, Kind.MISMATCH, Kind.CONFIG})


class ProbeError(Exception):
    """A probe failed. The message is for the user and contains none of the services' secrets."""

    def __init__(self, message: str, kind: Kind = Kind.ANSWER) -> None:
        super().__init__(message)
        self.message = message
        self.kind = kind
        # False if the service refused to create what would have to be removed.
        self.created = True


@dataclass(frozen=True)
class Target:
    """The service as seen from outside: where it listens, and where its secrets are.

    `timeout_s` is the time limit of one request, in seconds.
    """

    address: str
    ports: Mapping[str, int]
    secrets_root: Path
    timeout_s: float
    token: str = field(default_factory=lambda: new_token(time.time()))

    def unique(self, separator: str = "-") -> str:
        """A name that nobody else uses, the same for all attempts of this call.

        Therefore the attempt that succeeds also removes what an earlier one could not remove.
        """
        return f"{PREFIX}-{self.token}".replace("-", separator)

    def port(self, name: str) -> int:
        """Published host port of the port called `name`; raises ProbeError if there is none."""
        if name in self.ports:
            return self.ports[name]
        raise ProbeError(
            f"there is no port {name!r}{nearest(name, self.ports)}. Published: {', '.join(self.ports) or 'none'}.",
            Kind.CONFIG,
        )

    def secret(self, file: str) -> str:
        """Text of a file under the secrets root without its line end; "" for no file. Raises ProbeError."""
        if not file:
            return ""
        path = self.secrets_root / file
        if not path.resolve().is_relative_to(self.secrets_root.resolve()):
            raise ProbeError(f"{file} is outside {self.secrets_root}", Kind.CONFIG)
        try:
            return path.read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            why = getattr(error, "strerror", "") or "it is not text"
            raise ProbeError(f"the secret {path} cannot be read: {why}", Kind.CONFIG) from None


def new_token(now: float) -> str:
    """A random token that begins with the time in seconds, so that the age of leftovers is known."""
    return f"{int(now):08x}{secrets.token_hex(4)}"


def created_at(name: str) -> float | None:
    """When the token in a name was made, in seconds since the epoch; None if no test or probe made that name."""
    match = OWN_NAME.fullmatch(name)
    return float(int(match[1], 16)) if match else None


@dataclass(frozen=True, kw_only=True)
class Probe(abc.ABC):
    """A question to a service over its port. Subclasses add their keys as fields."""

    TYPE: ClassVar[str]
    # Whether it writes, even if only temporarily. Check mode skips such probes.
    WRITES: ClassVar[bool] = False
    # (module, PyPI package) of the client library; it is imported before time is measured.
    LIBRARY: ClassVar[tuple[str, str] | None] = None
    # How many requests it sends, each of which may take the target's timeout.
    REQUESTS: ClassVar[int] = 1

    # Name in the results; the type if empty.
    name: str = ""

    @property
    def title(self) -> str:
        """The name in the results."""
        return self.name or self.TYPE

    @abc.abstractmethod
    def run(self, target: Target) -> str:
        """Ask the service and return a short description of the result; raises ProbeError."""


def nearest(word: str, known: Collection[str]) -> str:
    """ " (do you mean X?)" for a likely typing error, else ""."""
    # Imported only for an invalid declaration, to save time.
    import difflib

    found = difflib.get_close_matches(word, list(known), 1)
    return f" (do you mean {found[0]!r}?)" if found else ""


def unreachable(what: str, error: BaseException, timeout_s: float) -> ProbeError:
    """The error for a connection that could not be opened, or was cut."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ConnectionRefusedError):
            return ProbeError(f"{what}: the connection is refused", Kind.REFUSED)
        if isinstance(seen, TimeoutError):
            return ProbeError(f"{what}: no answer within {timeout_s:g} s", Kind.TIMEOUT)
        if isinstance(seen, ConnectionError):
            # Docker's proxy does this if it accepted a client and no process in the container listens.
            return ProbeError(f"{what}: the connection was closed before the answer was complete", Kind.TIMEOUT)
        seen = seen.__cause__ or seen.__context__
    return ProbeError(f"{what}: {error}", Kind.TIMEOUT)


@contextlib.contextmanager
def removing(what: str, remove: Callable[[], object], by_hand: str, timeout_s: float) -> Iterator[None]:
    """Remove what the body creates, whether it succeeds or fails.

    If `what` cannot be removed, that is an error whose message ends with `by_hand`; after another error it is a note on
    that error. The removal has its own `timeout_s`, even if the body used up all of its time.
    """
    try:
        yield
    except BaseException as error:
        if isinstance(error, ProbeError) and not error.created:
            raise
        if left := _leftover(what, remove, by_hand, timeout_s):
            error.add_note(left)
        raise
    if left := _leftover(what, remove, by_hand, timeout_s):
        raise ProbeError(left, Kind.TIMEOUT)


@contextlib.contextmanager
def creating() -> Iterator[None]:
    """Inside `removing`: if the service rejects the body's request, there is nothing to remove."""
    try:
        yield
    except ProbeError as error:
        error.created = error.kind is Kind.TIMEOUT
        raise


def notes(error: BaseException | None) -> list[str]:
    """The notes of `removing` on an exception and on those that caused it."""
    found: list[str] = []
    while error is not None:
        found += getattr(error, "__notes__", [])
        error = error.__cause__ or error.__context__
    return list(dict.fromkeys(found))


def _leftover(what: str, remove: Callable[[], object], by_hand: str, timeout_s: float) -> str:
    """Remove `what`; return the message if that fails, else ""."""
    try:
        with limit.renewed(timeout_s):
            remove()
    except (Exception, limit.LimitReached) as error:
        return f"{what} may be left over ({' '.join(str(error).split()) or type(error).__name__}): {by_hand}"
    return ""
