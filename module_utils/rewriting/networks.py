# SPDX-License-Identifier: GPL-3.0-or-later
"""Find names of Docker networks in text, and decide whether they mean the network or may mean something else."""

from __future__ import annotations

import re
from collections.abc import Iterable

# What must not follow a name, because the name would continue.
_ENCODED_BOUNDARY = rb"(?:25)?(?:0[0-9a-fA-F]|2[1-9a-cA-CfF]|3[a-fA-F]|40|5[b-eB-E]|60|7[b-dB-D])"
# Punctuation beyond ASCII, in UTF-8 and in cp1252 (a lone continuation byte is not UTF-8).
_FOREIGN_BOUNDARY = (
    rb"\xc2[\xa0-\xbf]|\xe2[\x80-\xaf]|\xe3\x80[\x80-\x9f]|\xef\xbc[\x80-\x8f\x9a-\xa0]|\xef\xbb\xbf|\xf0\x9f|"
    rb"[\x80-\x82\x84-\x89\x8b\x91-\x99\x9b\xa0-\xa9\xab-\xb1\xb4\xb6-\xb8\xbb-\xbf]"
)
_END = (
    rb"(?![A-Za-z0-9_-]|[~+@][A-Za-z0-9_-]|\$[A-Za-z0-9_{(]|\{|\.{1,8}[A-Za-z0-9_-]"
    rb"|%(?!" + _ENCODED_BOUNDARY + rb")[A-Za-z0-9_]|(?!" + _FOREIGN_BOUNDARY + rb")[\x80-\xff])"
)
_WORD = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")
_ENCODED_MARK_BEFORE = re.compile(rb"%(?:25)?(?:0[9aAdD]|2[0-9a-cA-CfF]|3[a-fA-F]|5[bcdBCD]|7[b-dB-D])\Z")
_ESCAPE_BEFORE = re.compile(rb"\\(?:[nrt]|(?:u00|x)(?:2[0267cC]|3[b-eB-E]|60))\Z")
_SEPARATOR_BEFORE = re.compile(rb"(?:[/\\]|%(?:25)?(?:2[fF]|5[cC]))\Z")
# Paths of the Docker API name a network: `/networks/<name>/connect`.
_API_BEFORE = re.compile(rb"(?:\A|[^A-Za-z0-9_.-])networks/\Z")
_SEPARATOR_BEHIND = re.compile(rb"/|\\(?!u00[0-9a-fA-F]|x[0-9a-fA-F]|[nrt\"'](?![A-Za-z0-9_]))|%(?:25)?(?:2[fF]|5[cC])")
# After a colon, a key has a space and a container's address a port; a tag, a volume and a host's port have neither.
_VALUE_BEHIND = re.compile(rb":(?![\s\"'\]})]|\Z)")
_CONTAINER_BEFORE = re.compile(rb"[A-Za-z0-9_-]\.\Z")
_PORT = re.compile(rb":[0-9$%{]")
# What directly precedes the name of something else: a key, a command that takes a folder, a URL, a user.
_OTHER_BEFORE = re.compile(
    rb"(?i)(?:\b(?:image|container_name|hostname|host|service|user|database|schema|repository|volume|secret|config|profile"
    rb"|project|project_name|compose_project_name|namespace|file|path|folder|directory)[\"']?\s*[:=]\s*[\"']?"
    rb"|\b(?:cd|ls|mkdir|rmdir|pushd|chdir|cat|cp|mv|rm|source)\s+(?:-\S+\s+)*|://|@)\Z"
)
_OTHER_REACH = 64
# Commands of container engines whose operands are images and containers.
_ENGINES = (b"docker ", b"podman ", b"nerdctl ")
_ENGINE_COMMAND_BEFORE = re.compile(
    rb"(?:docker|podman|nerdctl)\s+(?:(?:container|image|volume|compose)\s+(?:\S+\s+)*|(?:exec|pull|push|tag|logs|start"
    rb"|stop|restart|kill|cp|rmi?|inspect|attach|commit|save|load|wait|port|top|build|run|create)\s(?:[^\n|;&]*\s)?)\Z"
)
_NETWORK_OPTION_BEFORE = re.compile(rb"--?net(?:work)?(?:-alias)?(?:=|\s+)[\"']?(?:name=)?\Z")
_NETWORK_COMMAND_BEFORE = re.compile(rb"(?<![-\w])network\s+[^\n|;&]*\Z")
# Below these keys a name belongs to a service, a volume and so on, even if a network has the same name.
_OTHER_KEYS = (
    rb"services|volumes|secrets|configs|models|depends_on|links|external_links|volumes_from|containers"
    rb"|aliases|extra_hosts|profiles"
)
_OTHER_LIST_BEFORE = re.compile(rb"(?:" + _OTHER_KEYS + rb")[\"']?\s*:\s*\[[^\]]*\Z")
_OTHER_PARENT = re.compile(rb"(?:^|[{,])\s*[\"']?(?:" + _OTHER_KEYS + rb")[\"']?\s*:\s*[{\[]?\s*(?:[&#].*)?\Z")
# A name of letters alone may be any word or identifier. It means the network only where the text is about networks: the
# value of a key or option with `network` in its name, below such a key, or the domain of a container in a URL.
_PLAIN_WORD = re.compile(rb"[A-Za-z]+\Z")
_NETWORK_KEY_BEFORE = re.compile(
    rb"(?i)net(?:work)?s?(?:[_.-]?(?:name|mode|id))?[\"')\]]*\s*(?:[:=]|=>)\s*(?:[\[{(][^\]})]*)?[\"']?\Z"
)
_NETWORK_PARENT = re.compile(rb"(?i)(?:^|[{,]|-\s)\s*[\"']?networks?[\"']?\s*:\s*[{\[]?\s*(?:[&#].*)?\Z")
_NETWORK_WORD_BEFORE = re.compile(rb"(?:(?:docker|podman|nerdctl)\s+network\s+[^\n|;&]*|(?<![-\w])network\s+[\"'`]?)\Z")
_CONTAINER_URL_BEFORE = re.compile(rb"://[\w.@:-]*\.\Z")
_ITEM = re.compile(rb"([ \t]*)(-\s+)?[\"']?\Z")
NETWORK_LOOK_BACK = 2048


def _is_below_other(before: bytes, line: bytes) -> bool:
    """Whether a name that begins a line of YAML is below a key for something other than networks."""
    item = _ITEM.match(line)
    if not item:
        return False
    # The items of a list may have the same indentation as its key.
    most = len(item.group(1)) - (0 if item.group(2) else 1)
    lines = before.split(b"\n")[:-1]
    if len(before) == NETWORK_LOOK_BACK:
        # The first of the lines may be incomplete.
        del lines[:1]
    for above in reversed(lines):
        body = above.strip()
        if body and not body.startswith((b"#", b"-")) and len(above) - len(above.lstrip()) <= most:
            return bool(_OTHER_PARENT.search(body))
    return False


def _is_below_networks(before: bytes, line: bytes) -> bool:
    """Whether a line of YAML or indented JSON is below a key for networks, however deep."""
    indent = len(line) - len(line.lstrip())
    most = indent if line.lstrip().startswith(b"-") else indent - 1
    for above in reversed(before.split(b"\n")[:-1]):
        body = above.strip()
        depth = len(above) - len(above.lstrip())
        if body and not body.startswith(b"#") and depth <= most:
            if _NETWORK_PARENT.search(body):
                return True
            most = depth - 1
    return False


class NetworkNames:
    """Finds the names of a network map.

    Args:
        network_map: old to new.
        targets: names that are already as they should be.
    """

    def __init__(self, network_map: dict[str, str], targets: Iterable[str]) -> None:
        self._map = {old.encode(): new.encode() for old, new in network_map.items()}
        names = sorted({*self._map, *(name.encode() for name in targets)}, key=lambda name: (-len(name), name))
        self._pattern = re.compile(b"(?:" + b"|".join(map(re.escape, names)) + b")" + _END) if names else None

    def at(self, data: bytes, head: int) -> tuple[int, bytes | None, str]:
        """The name at `head`: its end, its new name (None where it stays), and the reason.

        The end is 0 if there is no name at `head`; the reason is empty for a name that is already as it should be.
        """
        found = self._pattern.match(data, head) if self._pattern else None
        if not found:
            return 0, None, ""
        near = data[max(head - 12, 0) : head]
        if near and near[-1] in _WORD and not _ENCODED_MARK_BEFORE.search(near) and not _ESCAPE_BEFORE.search(near):
            return 0, None, ""
        name, end = found.group(), found.end()
        new = self._map.get(name)
        if new is None or new == name:
            return end, None, ""
        return (end, None, "not-the-network") if self._is_other(data, head, end, near) else (end, new, "")

    @staticmethod
    def _is_other(data: bytes, head: int, end: int, near: bytes) -> bool:
        behind = data[end : end + 8]
        if _SEPARATOR_BEFORE.search(near) and not _ESCAPE_BEFORE.search(near):
            return not _API_BEFORE.search(near)
        if _SEPARATOR_BEHIND.match(behind):
            return not (_CONTAINER_BEFORE.search(near) and behind.startswith(b"/"))
        if _VALUE_BEHIND.match(behind) and not (_PORT.match(behind) and _CONTAINER_BEFORE.search(near)):
            return True
        before = data[max(head - NETWORK_LOOK_BACK, 0) : head]
        line = before[before.rfind(b"\n") + 1 :]
        is_word = bool(_PLAIN_WORD.match(data, head, end))
        command_before = _NETWORK_WORD_BEFORE if is_word else _NETWORK_COMMAND_BEFORE
        if b"net" in line and (_NETWORK_OPTION_BEFORE.search(line) or command_before.search(line)):
            return False
        if line.lstrip()[:5].upper() == b"FROM " or _OTHER_BEFORE.search(line[-_OTHER_REACH:]):
            return True
        if any(engine in line for engine in _ENGINES) and _ENGINE_COMMAND_BEFORE.search(line):
            return True
        if (b"[" in line and _OTHER_LIST_BEFORE.search(line)) or _is_below_other(before, line):
            return True
        return is_word and not (
            _NETWORK_KEY_BEFORE.search(line) or _CONTAINER_URL_BEFORE.search(line) or _is_below_networks(before, line)
        )
