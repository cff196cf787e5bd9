# SPDX-License-Identifier: GPL-3.0-or-later
"""Pulls by digest, with a fake docker that answers like the real one."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from ansible.module_utils.images.plan import ImageError
from ansible.module_utils.images.registry import answers, ensure_image, final_reason, repo_digest
from ansible.module_utils.images.signature import SignatureError
from ansible.module_utils.shared.docker import Docker

OFFICIAL = "valkey/valkey:8.1.4-alpine"
OLD, NEW = "sha256:" + "a" * 64, "sha256:" + "b" * 64
UNREACHABLE = 'Error response from daemon: Get "http://127.0.0.1:5018/v2/": dial tcp: connect: connection refused'
ABSENT = "Error response from daemon: manifest for valkey/valkey:8.1.4-alpine not found: manifest unknown"


class Registry:
    """A fake docker with one repository: tag -> digest, and the digests on the machine."""

    def __init__(self, tags: dict[str, str], local: set[str] = frozenset(), down: int = 0) -> None:  # type: ignore[assignment]
        self.tags, self.local, self.down = tags, set(local), down
        self.pulls: list[str] = []

    def run(self, words: list[str], **_: Any) -> tuple[int, str, str]:
        words = words[words.index("docker") + 1 :]
        reference = words[-1]
        if words[:2] == ["image", "rm"]:
            self.local.discard(self.resolve(reference))
            return 0, "", ""
        if words[0] == "image":
            digest = self.resolve(reference)
            if digest not in self.local:
                return 1, "[]", f"Error: No such image: {reference}"
            repository = reference.partition("@")[0].rpartition(":")[0] or reference
            return 0, json.dumps([{"Id": f"id of {digest}", "RepoDigests": [f"{repository}@{digest}"]}]), ""
        if self.down:
            self.down -= 1
            return 1, "", UNREACHABLE
        digest = self.resolve(reference)
        if words[0] == "pull":
            self.pulls.append(reference)
        if digest not in {*self.tags.values(), OLD}:
            return 1, "", ABSENT
        if words[0] == "pull":
            self.local.add(digest)
        return 0, f"manifest {digest}", ""

    def resolve(self, reference: str) -> str:
        tag, _, digest = reference.partition("@")
        return digest or self.tags.get(tag.rpartition(":")[2], "none")


@pytest.fixture
def waits() -> list[float]:
    return []


@pytest.fixture
def take(waits: list[float]) -> Callable[..., Any]:
    def take(registry: Registry, locked: str = "", prefix: str = "", verify: Any = None) -> Any:
        docker = Docker(registry.run)
        return ensure_image(
            docker,
            OFFICIAL,
            prefix,
            locked,
            retries=3,
            delay_s=7,
            lock_path="/lock.json",
            verify=verify or (lambda reference: None),
            wait=waits.append,
        )

    return take


def test_the_first_pull_is_by_tag_and_gives_the_digest(take: Callable[..., Any]) -> None:
    registry = Registry({"8.1.4-alpine": OLD})
    pulled = take(registry)
    assert (pulled.reference, pulled.digest, pulled.pulled) == (f"{OFFICIAL}@{OLD}", OLD, True)
    assert registry.pulls == [OFFICIAL]


def test_a_later_pull_is_by_digest(take: Callable[..., Any]) -> None:
    registry = Registry({"8.1.4-alpine": OLD})
    assert take(registry, locked=OLD, prefix="mirror:5000").reference == f"mirror:5000/{OFFICIAL}@{OLD}"
    assert registry.pulls == [f"mirror:5000/{OFFICIAL}@{OLD}"]


def test_an_existing_image_is_not_requested(take: Callable[..., Any]) -> None:
    registry = Registry({}, local={OLD}, down=99)
    assert not take(registry, locked=OLD).pulled


def test_a_moved_tag_is_refused_and_nothing_is_pulled(take: Callable[..., Any]) -> None:
    registry = Registry({"8.1.4-alpine": NEW})
    with pytest.raises(ImageError, match=r"the tag moved.*/lock\.json has sha256:aaa.*remove the entry"):
        take(registry, locked=OLD)
    assert registry.pulls == []


@pytest.mark.parametrize(
    ("locked", "local"), [("", set()), (OLD, set()), (OLD, {OLD})], ids=["first pull", "removed", "present"]
)
def test_an_image_is_verified_by_its_digest(take: Callable[..., Any], locked: str, local: set[str]) -> None:
    verified: list[str] = []
    take(Registry({"8.1.4-alpine": OLD}, local), locked=locked, verify=verified.append)
    assert verified == [f"valkey/valkey@{OLD}"]


def refuse(reference: str) -> None:
    raise SignatureError(reference)


def test_an_image_that_is_refused_is_not_kept(take: Callable[..., Any]) -> None:
    registry = Registry({"8.1.4-alpine": OLD})
    with pytest.raises(SignatureError):
        take(registry, verify=refuse)
    assert registry.local == set()


def test_an_image_that_is_refused_is_not_pulled_by_digest(take: Callable[..., Any]) -> None:
    registry = Registry({"8.1.4-alpine": OLD})
    with pytest.raises(SignatureError):
        take(registry, locked=OLD, verify=refuse)
    assert registry.pulls == []


def test_an_image_that_was_there_before_is_not_removed(take: Callable[..., Any]) -> None:
    registry = Registry({"8.1.4-alpine": OLD}, local={OLD})
    with pytest.raises(SignatureError):
        take(registry, verify=refuse)
    assert registry.local == {OLD}


def test_a_registry_that_does_not_answer_is_tried_again(take: Callable[..., Any], waits: list[float]) -> None:
    registry = Registry({"8.1.4-alpine": OLD}, down=2)
    assert take(registry).digest == OLD
    assert waits == [7, 7]


def test_a_registry_that_never_answers_gives_one_message_with_the_remedy(
    take: Callable[..., Any], waits: list[float]
) -> None:
    with pytest.raises(
        ImageError, match=r"no registry could be reached in 3 tries.*image_prefix.*image_source=packages"
    ):
        take(Registry({}, down=99))
    assert len(waits) == 2


def test_a_registry_that_rejects_is_not_asked_again(take: Callable[..., Any], waits: list[float]) -> None:
    with pytest.raises(ImageError, match="no such image or tag"):
        take(Registry({}))
    assert waits == []


@pytest.mark.parametrize(
    ("said", "meaning"),
    [
        ("unauthorized: authentication required", "login"),
        ("pull access denied for x, repository does not exist", "login"),
        ("no matching manifest for linux/arm64/v8", "architecture"),
        ("dial tcp: lookup registry: no such host", ""),
        ("net/http: TLS handshake timeout", ""),
    ],
)
def test_a_rejection_by_the_registry_is_explained(said: str, meaning: str) -> None:
    assert meaning in final_reason(said)
    assert bool(meaning) == bool(final_reason(said))


def test_a_rejection_counts_as_an_answer_and_a_timeout_does_not() -> None:
    assert answers(Docker(Registry({}).run), OFFICIAL)
    assert not answers(Docker(Registry({}, down=1).run), OFFICIAL)


def test_a_digest_of_another_repository_is_ignored() -> None:
    inspect = {"RepoDigests": [f"mirror/valkey@{NEW}", f"valkey/valkey@{OLD}"]}
    assert repo_digest(inspect, "valkey/valkey") == OLD
    assert repo_digest(inspect, "valkey") == ""
