# SPDX-License-Identifier: GPL-3.0-or-later
"""What a probe is, what it asks, and how it fails.

A probe is a frozen dataclass: its fields are the keys that a role may write beside `type`, its class says whether it
writes, which library it needs and for how many questions it may take time.
"""

from __future__ import annotations

import abc
import contextlib
import enum
import secrets
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from ansible.module_utils.probes import limit

# Everything that a probe makes for a moment is called so, with a random end: never a name that a client uses.
PREFIX = "trade2026-probe"


class Kind(enum.Enum):
    """Why a probe failed, as far as it matters for what to do."""

    ANSWER = "answer"  # an answer came, but not the expected one
    TIMEOUT = "timeout"  # no answer in time, or the connection was cut
    REFUSED = "refused"  # nothing listens on the port
    AUTH = "auth"  # the credentials were rejected
    UNEXPECTED_ACCESS = "unexpected_access"  # the service accepted what it had to reject
    MISMATCH = "mismatch"  # the service runs with other settings than declared
    CONFIG = "config"  # the probe cannot run: a library, a secret or a port is missing


# Asking again does not change these.
FINAL = frozenset({Kind.AUTH, Kind.MISMATCH, Kind.CONFIG})


class ProbeError(Exception):
    """A probe failed; the text is fit for people and holds no secret of ours."""

    def __init__(self, message: str, kind: Kind = Kind.ANSWER) -> None:
        super().__init__(message)
        self.message = message
        self.kind = kind
        # False when the service refused to make what would have to be removed.
        self.created = True


@dataclass(frozen=True)
class Target:
    """The service as seen from outside: where it listens, and where its secrets lie.

    `timeout_s` is what one question may take, in seconds.
    """

    address: str
    ports: Mapping[str, int]
    secrets_root: Path
    timeout_s: float
    token: str = field(default_factory=lambda: secrets.token_hex(6))

    def unique(self, separator: str = "-") -> str:
        """A name that nobody else uses, the same for every attempt of this call.

        So the attempt that succeeds also removes what an earlier one could not.
        """
        return f"{PREFIX}-{self.token}".replace("-", separator)

    def port(self, name: str) -> int:
        """Published host port of the port called `name`; raises ProbeError when there is none."""
        if name in self.ports:
            return self.ports[name]
        raise ProbeError(
            f"no port is called {name!r}{nearest(name, self.ports)}. Published are: {', '.join(self.ports) or 'none'}.",
            Kind.CONFIG,
        )

    def secret(self, file: str) -> str:
        """Text of a file under the secrets root without its line end; "" for no file. Raises ProbeError."""
        if not file:
            return ""
        path = self.secrets_root / file
        if not path.resolve().is_relative_to(self.secrets_root.resolve()):
            raise ProbeError(f"{file} does not lie under {self.secrets_root}", Kind.CONFIG)
        try:
            return path.read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            why = getattr(error, "strerror", "") or "it is not text"
            raise ProbeError(f"the secret {path} cannot be read: {why}", Kind.CONFIG) from None


@dataclass(frozen=True, kw_only=True)
class Probe(abc.ABC):
    """One question, or a few, put to a service. Subclasses add their keys as fields."""

    TYPE: ClassVar[str]
    # Whether it writes, even if only for a moment: a dry run leaves it out.
    WRITES: ClassVar[bool] = False
    # (module, PyPI package) of the client library; it is imported before the clock starts.
    LIBRARY: ClassVar[tuple[str, str] | None] = None
    # How many of the target's timeouts it may take in all.
    REQUESTS: ClassVar[int] = 1

    # What to call it in the results; its type when empty.
    name: str = ""

    @property
    def title(self) -> str:
        """The name in the results."""
        return self.name or self.TYPE

    @abc.abstractmethod
    def run(self, target: Target) -> str:
        """Ask, and return what was seen in a few words; raises ProbeError."""


def nearest(word: str, known: Collection[str]) -> str:
    """ " (do you mean X?)" for a likely typing error, else ""."""
    # Only a wrong declaration pays for it.
    import difflib

    found = difflib.get_close_matches(word, list(known), 1)
    return f" (do you mean {found[0]!r}?)" if found else ""


def unreachable(what: str, error: BaseException, timeout_s: float) -> ProbeError:
    """The failure for a connection that did not come about, or was cut."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ConnectionRefusedError):
            return ProbeError(f"{what}: the connection is refused", Kind.REFUSED)
        if isinstance(seen, TimeoutError):
            return ProbeError(f"{what}: no answer within {timeout_s:g} s", Kind.TIMEOUT)
        if isinstance(seen, ConnectionError):
            # What Docker's proxy does when it has accepted a client and finds nobody in the container.
            return ProbeError(f"{what}: the connection is cut without a whole answer", Kind.TIMEOUT)
        seen = seen.__cause__ or seen.__context__
    return ProbeError(f"{what}: {error}", Kind.TIMEOUT)


@contextlib.contextmanager
def removing(what: str, remove: Callable[[], object], by_hand: str, timeout_s: float) -> Iterator[None]:
    """Remove what the body makes, whether it succeeds or fails.

    That `what` was not removed is a failure of its own, which says `by_hand` what to do; after another failure it is a
    note on that. The removal gets `timeout_s` of its own, even when the body used up all of its time.
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
    """Inside `removing`: when the service answers the body with a refusal, there is nothing to remove."""
    try:
        yield
    except ProbeError as error:
        error.created = error.kind is Kind.TIMEOUT
        raise


def notes(error: BaseException | None) -> list[str]:
    """What `removing` noted on an exception and on those that led to it."""
    found: list[str] = []
    while error is not None:
        found += getattr(error, "__notes__", [])
        error = error.__cause__ or error.__context__
    return list(dict.fromkeys(found))


def _leftover(what: str, remove: Callable[[], object], by_hand: str, timeout_s: float) -> str:
    """Remove; the message if that fails, else ""."""
    try:
        with limit.renewed(timeout_s):
            remove()
    except (Exception, limit.LimitReached) as error:
        return f"{what} may be left over ({' '.join(str(error).split()) or type(error).__name__}): {by_hand}"
    return ""
