# SPDX-License-Identifier: GPL-3.0-or-later
"""Byte patterns for the parts of a reference: separators, drives, and what may precede a path.

The text before a reference is matched reversed, so that the pattern is anchored and needs no fixed width.
"""

from __future__ import annotations

import re

# A separator: plain, percent-encoded, as an escape of JSON or C, or as a character reference of XML.
_ESCAPED = rb"%(?:25)?(?:2[fF]|5[cC])|\\{1,4}(?:u00|x)(?:5[cC]|2[fF])|&(?:#(?:92|47|[xX](?:5[cC]|2[fF]))|bsol|sol);"
SEPARATOR = rb"(?:" + _ESCAPED + rb"|[/\\])"
ESCAPED_SEPARATOR = re.compile(_ESCAPED)
# A longer run does not count as a separator.
RUN = SEPARATOR + rb"{1,4}"
RUNS = re.compile(RUN)
UNITS = re.compile(SEPARATOR)
ENCODED_SEPARATOR = re.compile(rb"%(?:25)?(?:2[fF]|5[cC])")

# The following patterns are for reversed text.
_R_PERCENT_SEPARATOR = rb"(?:(?:[fF]2|[cC]5)(?:52)?%)"
_R_SEPARATOR = (
    rb"(?:" + _R_PERCENT_SEPARATOR + rb"|(?:[cC]5|[fF]2)(?:00u|x)\\{1,4}"
    rb"|;(?:(?:29|74|(?:[cC]5|[fF]2)[xX])#|losb|los)&|[/\\])"
)
_R_SLASH = rb"(?:/\\?|[fF]2(?:52)?%)"
_R_RUN = _R_SEPARATOR + rb"{1,4}"
# `C\:` is the colon of .properties files.
_R_COLON = rb"(?::\\?|[aA]3(?:52)?%|[aA]3(?:00u|x)\\{1,2}|;(?:85|[aA]3[xX])#&)"
_R_OPTION_END = rb"(?:\Z|[\s\"'`=,(\[])"
# An option directly followed by its value: `-vC:/…`, `-I/mnt/c/…`.
_R_GLUED = rb"(?:[A-Za-z]|metsysi|etouqi|retfaridi)-" + _R_OPTION_END
# Marks such as quotes, as percent-encoding and as the escapes of JSON and C write them, and escaped line ends.
_R_ENCODED_MARK = rb"(?:[0-9a-cA-C]2|[a-fA-F]3)(?:52)?%"
_R_ESCAPED_MARK = rb"(?:(?:[2678bcBC]2|[b-eB-E]3|0[26]|[9aAdD]0)(?:00u|x)\\|[nrt]\\)"
# A colon that belongs to a drive letter, not the one between the two sides of a volume.
_R_DRIVE_COLON = (
    rb":[A-Za-z](?:(?![A-Za-z0-9_])|" + _R_GLUED + rb"|" + _R_ESCAPED_MARK + rb"|" + _R_ENCODED_MARK + rb")"
)
_R_FILE = _R_COLON + rb"(?i:elif)(?![A-Za-z0-9_])"
_R_HOST = rb"(?i:tsohlacol)"
_R_BEFORE_LETTER = (
    rb"(?=(?!" + _R_DRIVE_COLON + rb")"
    rb"(?![.~+@$%]{1,8}[A-Za-z0-9_-])"  # the preceding name would end where it now continues
    rb"(?:\Z|[^A-Za-z0-9_/\\]|" + _R_GLUED + rb"|" + _R_ESCAPED_MARK + rb"|" + _R_ENCODED_MARK + rb""
    rb"|/{2,3}(?:\Z|[\s;,(){}\[\]\"'`])))"  # a comment: `//C:\…`
)
_R_BEFORE_SLASH = (
    rb"(?=\Z|[\s\"'`=,;(\[{<>|]|(?!" + _R_DRIVE_COLON + rb"):|[-+?=]:"
    # Marks of systemd, curl, gcc, regular expressions and comments; an interpreter; a byte order mark.
    rb"|[-+!:@|]{1,3}(?:=|\Z|\s)|[@^#](?:\Z|[\s\"'`=,(\[{~])|!#|" + _R_GLUED + rb"|\xbf\xbb\xef"
    rb"|"
    + _R_ESCAPED_MARK
    + rb"|[\x80-\xbf][\x80-\xaf]\xe2|[\xa0-\xbf]\xc2|[\x81\x8a-\x91]\x80\xe3|[\x88\x8c\x9a\x9b]\xbc\xef)"
)
_R_BEFORE_ENCODED_SLASH = rb"(?=[0-9a-cA-C]2(?:52)?%|[b-fB-F]3(?:52)?%)"
# One slash or two; of three or more, all but the last belong to a comment mark.
_R_ROOT = (
    rb"(?:%(sep)s"
    + _R_BEFORE_SLASH
    + rb"|%(sep)s{2}(?!:)"
    + _R_BEFORE_SLASH
    + rb"|/(?=/{2,3}"
    + _R_OPTION_END
    + rb")|"
    + _R_PERCENT_SEPARATOR
    + rb"{1,4}"
    + _R_BEFORE_ENCODED_SLASH
    + rb")"
)
_R_SLASH_ROOT = _R_ROOT.replace(b"%(sep)s", _R_SLASH)
_R_MOUNT = rb"(?i:tnm_tsoh|tnm|evirdgyc|tsoh" + _R_RUN + rb"tnm" + _R_RUN + rb"potksed" + _R_RUN + rb"nur)"
_R_LEADING_URL = rb"(?:" + _R_HOST + _R_RUN + rb")?" + _R_FILE
DRIVE = re.compile(
    rb"(?P<run>" + _R_RUN + rb")(?:"
    rb"(?P<colon>" + _R_COLON + rb")(?P<letter>[A-Za-z])"
    rb"(?:(?P<url>" + _R_RUN + _R_LEADING_URL + rb")"
    rb"|(?P<extended>\\{1,2}[?.]\\{2,4}(?=\Z|[^A-Za-z0-9_/\\.%:-]))"
    # `/C:/…`, as in URLs, and `vscode://file/C:/…`; after another name it is the rest of another path.
    rb"|(?P<slashes>" + _R_RUN + rb"(?=(?i:elif)//:)"
    rb"|" + _R_SLASH + _R_BEFORE_SLASH + rb"|" + _R_PERCENT_SEPARATOR + rb"{1,4}" + _R_BEFORE_ENCODED_SLASH + rb")"
    rb"|" + _R_BEFORE_LETTER + rb")"
    rb"|(?P<unix_letter>[A-Za-z])(?:" + _R_RUN + _R_MOUNT + rb")?"
    rb"(?:(?P<unix_url>" + _R_RUN + _R_LEADING_URL + rb")|" + _R_SLASH_ROOT + rb"))"
)
UNIX = re.compile(
    rb"(?P<url>" + _R_SLASH + rb"{1,4}(?:" + _R_HOST + _R_SLASH + rb"{2})?" + _R_FILE + rb")"
    rb"|(?P<run>" + _R_SLASH_ROOT + rb")"
)
# A drive or root in a context or spelling that is not understood: `sqlite:///C:/x`, `\\\\host\\c$\\x`, a run of many
# separators, a path of another URL scheme.
UNCLEAR_START = re.compile(
    rb"(?P<root>/{3,4}(?=:[A-Za-z0-9+.-]{2}))"
    rb"|(?P<run>" + _R_SEPARATOR + rb"{1,64})"
    rb"(?:(?:" + _R_COLON + rb"|\$)(?P<letter>[A-Za-z])|(?P<unix_letter>[A-Za-z])" + _R_RUN + _R_MOUNT + _R_RUN + rb")"
)
# One step between the drive and a head, as in `C:/x/../trade2025`.
STEP_BEFORE = re.compile(_R_RUN + rb"(?P<name>[^/\\\x00-\x20\"'`<>|:;,%&]+)(?=[/\\%;cCfF2])")

# The last byte of a separator.
BEFORE_HEAD = frozenset(b"/\\fFcC;")
UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
REACH_BACK = 256


def part_pattern(part: str) -> bytes:
    """A folder name in UTF-8, in cp1252, percent-encoded, or escaped as XML, JSON or a shell write it."""
    pattern = b""
    for character in part:
        if character in UNRESERVED:
            pattern += re.escape(character.encode())
            continue
        spellings: list[bytes] = []
        for variant in dict.fromkeys((character, character.lower(), character.upper())):
            data = variant.encode()
            spellings += [re.escape(data), b"".join(rb"(?i:%%(?:25)?%02x)" % byte for byte in data)]
            if len(data) > 1:
                spellings.append(re.escape(variant.encode("cp1252", "ignore")))
            for code in (ord(point) for point in variant):
                spellings.append(rb"(?i:\\{1,4}u%04x|&#(?:0*%d|x0*%x);)" % (code, code, code))
            if variant in ENTITIES:
                spellings.append(b"&" + ENTITIES[variant] + b";")
            if len(data) == 1:
                spellings.append(rb"[\\^]" + re.escape(data))
        pattern += b"(?:" + b"|".join(spelling for spelling in dict.fromkeys(spellings) if spelling) + b")"
    return pattern


ENTITIES = {"&": b"amp", "'": b"apos", " ": b"nbsp"}


def unix_separator(found: bytes) -> bytes:
    """A run of separators as written in a Unix path: encoding and JSON's `\\/` are kept, doubling is not."""
    if found.startswith(b"%"):
        hexadecimal = b"2F" if found[-1:].isupper() else b"2f"
        return (b"%25" if found[1:3] == b"25" else b"%") + hexadecimal
    return b"\\/" if found.replace(b"\\/", b"") == b"" else b"/"
