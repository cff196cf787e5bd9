"""How places and names are spelled in files: patterns for separators, drives, roots and boundaries.

What stands before a reference is matched in reversed text, so that the pattern is anchored and needs no fixed width.
"""

from __future__ import annotations

import re

# A longer run of separators than this is not taken for one.
_SEPARATOR = rb"(?:[/\\]|%(?:25)?(?:2[fF]|5[cC]))"
RUN = _SEPARATOR + rb"{1,4}"
_UNIX_SEPARATOR = rb"(?:\\?/|%(?:25)?2[fF])"
UNIX_RUN = _UNIX_SEPARATOR + rb"{1,4}"
RUNS = re.compile(RUN)
UNITS = re.compile(_SEPARATOR)

# Percent-encoded characters that end a name: everything but letters, digits, `-`, `.`, `_`, `~` and the space.
_ENCODED_BOUNDARY = rb"(?:25)?(?:0[0-9a-fA-F]|2[1-9a-cA-CfF]|3[a-fA-F]|40|5[b-eB-E]|60|7[b-dB-D])"
# Punctuation beyond ASCII, in UTF-8 and in cp1252 (a lone continuation byte is not UTF-8).
_FOREIGN_BOUNDARY = (
    rb"\xc2[\xa0-\xbf]|\xe2[\x80-\xaf]|\xe3\x80[\x80-\x9f]|\xef\xbc[\x80-\x8f\x9a-\xa0]|\xef\xbb\xbf|\xf0\x9f|"
    rb"[\x80-\x82\x84-\x89\x8b\x91-\x99\x9b\xa0-\xa9\xab-\xb1\xb4\xb6-\xb8\xbb-\xbf]"
)
# What must not follow a reference, because the name would go on.
END = (
    rb"(?![A-Za-z0-9_-]|[~+@][A-Za-z0-9_-]|\$[A-Za-z0-9_{(]|\{|\.{1,8}[A-Za-z0-9_-]"
    rb"|%(?!" + _ENCODED_BOUNDARY + rb")[A-Za-z0-9_]|(?!" + _FOREIGN_BOUNDARY + rb")[\x80-\xff])"
)

# The following patterns are for reversed text.
_R_SEPARATOR = rb"(?:[/\\]|(?:[fF]2|[cC]5)(?:52)?%)"
_R_ENCODED_SEPARATOR = rb"(?:(?:[fF]2|[cC]5)(?:52)?%)"
_R_RUN = _R_SEPARATOR + rb"{1,4}"
_R_COLON = rb"(?::|[aA]3(?:52)?%)"
# A colon that belongs to a drive letter, as against the one between the two sides of a volume.
_R_GLUED = rb"[A-Za-z]-(?:\Z|[\s\"'`=,(\[])"
_R_ENCODED_MARK = rb"(?:[0-9a-cA-C]2|[a-fA-F]3)(?:52)?%"
_R_DRIVE_COLON = rb":[A-Za-z](?:(?![A-Za-z0-9_])|" + _R_GLUED + rb"|[nrt]\\|" + _R_ENCODED_MARK + rb")"
_R_FILE = _R_COLON + rb"(?i:elif)(?![A-Za-z0-9_])"
_R_BEFORE_LETTER = (
    rb"(?=(?!" + _R_DRIVE_COLON + rb")"
    rb"(?![.~+@$%]{1,8}[A-Za-z0-9_-])"  # the name before would end where it now goes on
    rb"(?:\Z|[^A-Za-z0-9_/\\]"
    # An option with its value glued on (-vC:/…), an escaped line end in a string, an encoded mark.
    rb"|" + _R_GLUED + rb"|[nrt]\\|" + _R_ENCODED_MARK + rb"))"
)
_R_BEFORE_SLASH = (
    rb"(?=\Z|[\s\"'`=,;(\[{<>|]|(?!" + _R_DRIVE_COLON + rb"):|[-+?=]:|[\x80-\xbf][\x80-\xaf]\xe2|[\xa0-\xbf]\xc2)"
)
_R_BEFORE_ENCODED_SLASH = rb"(?=[0-9a-cA-C]2(?:52)?%|[b-fB-F]3(?:52)?%)"
_R_SLASH_START = (
    rb"(?:%(sep)s"
    + _R_BEFORE_SLASH
    + rb"|%(sep)s{2,4}(?!:)"
    + _R_BEFORE_SLASH
    + rb"|"
    + _R_ENCODED_SEPARATOR
    + rb"{1,4}"
    + _R_BEFORE_ENCODED_SLASH
    + rb")"
)
_R_MOUNT = rb"(?i:tnm_tsoh|tnm|evirdgyc|tsoh" + _R_RUN + rb"tnm" + _R_RUN + rb"potksed" + _R_RUN + rb"nur)"
_R_HOST = rb"(?i:tsohlacol)"
DRIVE = re.compile(
    rb"(?P<run>" + _R_RUN + rb")(?:"
    rb"(?P<colon>" + _R_COLON + rb")(?P<letter>[A-Za-z])"
    rb"(?:(?P<url>" + _R_RUN + rb"(?:" + _R_HOST + _R_RUN + rb")?" + _R_FILE + rb")"
    rb"|(?P<extended>\\{1,2}[?.]\\{2,4}(?=\Z|[^A-Za-z0-9_/\\.%:-]))"
    # `/C:/…`, as URLs have it; behind a name it would be the rest of another path, but for a URL's host.
    rb"|(?P<slashes>"
    + _R_RUN
    + rb"(?=[A-Za-z0-9.-]{1,32}//:)|"
    + _R_SLASH_START.replace(b"%(sep)s", _R_SEPARATOR)
    + rb")"
    rb"|" + _R_BEFORE_LETTER + rb")"
    rb"|(?P<unix_letter>[A-Za-z])(?:" + _R_RUN + _R_MOUNT + rb")?"
    rb"(?:(?P<unix_url>"
    + _R_RUN
    + rb"(?:"
    + _R_HOST
    + _R_RUN
    + rb")?"
    + _R_FILE
    + rb")|"
    + _R_SLASH_START.replace(b"%(sep)s", _R_SEPARATOR)
    + rb"))"
)
_R_UNIX_SEPARATOR = rb"(?:/\\?|[fF]2(?:52)?%)"
UNIX = re.compile(
    rb"(?P<url>" + _R_UNIX_SEPARATOR + rb"{1,4}(?:" + _R_HOST + _R_UNIX_SEPARATOR + rb"{2})?" + _R_FILE + rb")"
    rb"|(?P<run>" + _R_SLASH_START.replace(b"%(sep)s", _R_UNIX_SEPARATOR) + rb")"
)

# A place that reads as a target is left alone whatever stands before it: a rewritten reference may have lost its lead.
ANY_DRIVE = re.compile(
    _R_RUN
    + rb"(?:"
    + _R_COLON
    + rb"(?P<letter>[A-Za-z])|(?P<unix_letter>[A-Za-z])(?:"
    + _R_RUN
    + _R_MOUNT
    + rb")?"
    + _R_RUN
    + rb")"
)
ANY_UNIX = re.compile(_R_UNIX_SEPARATOR + rb"{1,4}")

# Marks that may stand before a reference; a target that holds one may complete a reference with what follows it.
PREFIX_MARKS = re.compile(r"[\s\"'`=,;(\[{<>|:\u0080-\U0010ffff]")

WORD_BYTES = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")
BEFORE_HEAD = frozenset(b"/\\fFcC")
ENCODED_BEFORE = re.compile(rb"%(?:25)?(?:0[9aAdD]|2[0-9a-cA-CfF]|3[a-fA-F]|5[bcdBCD]|7[b-dB-D])\Z")
ENCODED_SEPARATOR_BEFORE = re.compile(rb"%(?:25)?(?:2[fF]|5[cC])\Z")
UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
REACH_BACK = 192


def _encoded(data: bytes) -> bytes:
    return b"".join(rb"(?i:%%(?:25)?%02x)" % byte for byte in data)


def part_pattern(part: str) -> bytes:
    """A folder name in UTF-8, in cp1252 or percent-encoded."""
    pattern = b""
    for character in part:
        if character in UNRESERVED:
            pattern += re.escape(character.encode())
            continue
        spellings: list[bytes] = []
        for variant in dict.fromkeys((character, character.lower(), character.upper())):
            data = variant.encode()
            spellings += [re.escape(data), _encoded(data)]
            if len(data) > 1:
                spellings.append(re.escape(variant.encode("cp1252", "ignore")))
        pattern += b"(?:" + b"|".join(spelling for spelling in dict.fromkeys(spellings) if spelling) + b")"
    return pattern


def unix_separator(found: bytes) -> bytes:
    """How a found run of separators reads in a Unix path: encoding and JSON's `\\/` are kept, doubling is not."""
    if found.startswith(b"%"):
        hexadecimal = b"2F" if found[-1:].isupper() else b"2f"
        return (b"%25" if found[1:3] == b"25" else b"%") + hexadecimal
    return b"\\/" if found.replace(b"\\/", b"") == b"" else b"/"
