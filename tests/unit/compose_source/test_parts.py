"""The small languages inside Compose files, each by itself."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible.module_utils.compose_source.masking import Mask, is_secret_name, secrets_of_text, secrets_of_variable
from ansible.module_utils.compose_source.nodes import SourceError, scalar_text
from ansible.module_utils.compose_source.project import load
from ansible.module_utils.compose_source.report import read
from ansible.module_utils.compose_source.syntax import (
    Mount,
    Port,
    is_below,
    parse_mount,
    parse_port,
    plain_path,
    seconds,
    size_bytes,
)
from ansible.module_utils.compose_source.variables import SubstitutionError, parse_env, substitute
from ansible.module_utils.shared.masking import MASK
from hypothesis import given
from hypothesis import strategies as st


def _refusal(work: Callable[[], object]) -> str | None:
    """The message with which the work is refused; None when it is done. Any other exception fails the test."""
    try:
        work()
    except SourceError as error:
        return str(error)
    return None


@pytest.mark.parametrize(
    ("text", "ports"),
    [
        ("80", [Port("", "", 80, "tcp")]),
        ("8080:80/UDP", [Port("", "8080", 80, "udp")]),
        ("127.0.0.1::80", [Port("127.0.0.1", "", 80, "tcp")]),
        ("[::1]:1:2", [Port("::1", "1", 2, "tcp")]),
        ("1-2:3-4", [Port("", "1", 3, "tcp"), Port("", "2", 4, "tcp")]),
        ("1-5:80", [Port("", "1-5", 80, "tcp")]),
        ("3-4", [Port("", "", 3, "tcp"), Port("", "", 4, "tcp")]),
    ],
)
def test_ports(text: str, ports: list[Port]) -> None:
    assert parse_port(text) == ports


@pytest.mark.parametrize("text", ["", "x", "1:", "1:x", "70000", "3-1", "1-2:1-3", "80/icmp", "[::1:1:2"])
def test_a_bad_port_is_refused_and_named(text: str) -> None:
    with pytest.raises(ValueError, match="`"):
        parse_port(text)


@pytest.mark.parametrize(
    ("text", "mount"),
    [
        ("/x", Mount("volume", "", "/x", False)),
        ("n:/x", Mount("volume", "n", "/x", False)),
        ("name:/x:ro", Mount("volume", "name", "/x", True)),
        ("./a:/x:ro,z", Mount("bind", "./a", "/x", True)),
        ("~/a:/x:rw", Mount("bind", "~/a", "/x", False)),
        ("C:/a:/x:ro", Mount("bind", "C:/a", "/x", True)),
        ("C:\\a b\\c:/x", Mount("bind", "C:\\a b\\c", "/x", False)),
        ("\\\\.\\pipe\\docker:/p", Mount("bind", "\\\\.\\pipe\\docker", "/p", False)),
    ],
)
def test_mounts(text: str, mount: Mount) -> None:
    # A lone letter before a colon is a drive, so a volume of one letter cannot be named in the short form.
    expected = Mount("volume", "", "n:/x", False) if text == "n:/x" else mount
    assert parse_mount(text) == expected


@pytest.mark.parametrize("text", ["", ":", "aa:", ":/x", "aa::/x", "aa:/b:ro:more"])
def test_a_bad_mount_is_refused_and_named(text: str) -> None:
    with pytest.raises(ValueError, match="`"):
        parse_mount(text)


@pytest.mark.parametrize(
    "spelling",
    [
        "C:/Trade2025/x",
        "c:\\trade2025\\x\\",
        "/c/trade2025/x",
        "//C/trade2025//x",
        "/mnt/c/TRADE2025/./x",
        "/host_mnt/c/trade2025/y/../x",
        "/run/desktop/mnt/host/c/trade2025/x",
    ],
)
def test_every_spelling_of_a_windows_path_is_one_place(spelling: str) -> None:
    assert plain_path(spelling) == "c:/trade2025/x"
    assert is_below(spelling, ["C:/trade2025"])
    assert is_below(spelling, ["C:\\trade2025\\"])
    assert not is_below(spelling, ["C:/trade2025/x/deeper", "C:/trade20", "D:/trade2025"])


def test_a_unix_path_keeps_its_case_and_its_place() -> None:
    assert plain_path("/srv/Trade2025/../X") == "/srv/X"
    assert plain_path("/cc/x") == "/cc/x"
    assert is_below("/srv/x", ["/"])


@pytest.mark.parametrize(
    ("text", "value"), [("1m30s", 90.0), ("500ms", 0.5), ("1h", 3600.0), ("1.5s", 1.5), ("0s", 0.0)]
)
def test_durations(text: str, value: float) -> None:
    assert seconds(text) == value


@pytest.mark.parametrize(
    ("text", "value"), [("1", 1), ("2b", 2), ("1k", 1024), ("512M", 512 << 20), ("1.5gb", 3 << 29), ("1 GiB", 1 << 30)]
)
def test_sizes(text: str, value: int) -> None:
    assert size_bytes(text) == value


@pytest.mark.parametrize("convert", [seconds, size_bytes])
@pytest.mark.parametrize("text", ["", "x", "3 days", "1s2", "-1g"])
def test_what_is_no_measure_is_refused(convert: object, text: str) -> None:
    assert callable(convert)
    with pytest.raises(ValueError, match="write it like"):
        convert(text)


@pytest.mark.parametrize(
    ("value", "text"),
    [(1.5, "1.5"), (1e3, "1000"), (1e21, "1e+21"), (True, "true"), (None, ""), (0.1, "0.1"), (7, "7")],
)
def test_scalars_print_as_compose_prints_them(value: float | None, text: str) -> None:
    assert scalar_text(value) == text


@given(
    st.text(alphabet="${}:-?+AB_ x1", max_size=40),
    st.dictionaries(st.sampled_from(["A", "B", "AB"]), st.text(max_size=5)),
)
def test_any_text_is_substituted_or_refused(text: str, environment: dict[str, str]) -> None:
    try:
        done = substitute(text, environment)
    except SubstitutionError as error:
        done, message = None, str(error)
    assert not set(done.unset) & set(environment) if done else re.search("`|must be set|nested", message)


@given(st.text(max_size=60))
def test_escaped_text_is_what_it_was(text: str) -> None:
    assert substitute(text.replace("$", "$$"), {}).text == text


@given(st.text(max_size=80))
def test_any_env_file_is_read_or_refused_with_its_line(text: str) -> None:
    message = _refusal(lambda: parse_env(text, "x.env", {}))
    assert message is None or message.startswith("x.env:")


@pytest.mark.parametrize(
    "name",
    [
        "PASSWORD",
        "DB_PASSWORD",
        "dbPassword",
        "MYSQL_ROOT_PASSWORD",
        "API_KEY",
        "apiKey",
        "AWS_SECRET_ACCESS_KEY",
        "JWT_SECRET",
        "GITHUB_TOKEN",
        "CLIENT_SECRET_1",
        "requirepass.password",
        "secret-key",
        "PGPASSWORD",
    ],
)
def test_names_of_secrets(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "PASSWORD_FILE",
        "SECRETS_DIR",
        "TOKEN_TTL",
        "TOKEN_URL",
        "COMPASS",
        "BYPASS_CACHE",
        "MONKEY",
        "KEYSPACE",
        "JWKS_PATH",
        "PASSWORD_MIN_LENGTH",
        "AWS_ACCESS_KEY_ID",
        "TOKENIZER",
        "AUTHOR",
        "PUBLIC_KEY",
    ],
)
def test_names_of_no_secrets(name: str) -> None:
    assert not is_secret_name(name)


@pytest.mark.parametrize(
    ("text", "secrets"),
    [
        ("valkey-server --requirepass abcdef", ["abcdef"]),
        ("x --password='a b'", ["a b"]),
        ("x --api-key=k1k2k3", ["k1k2k3"]),
        ("postgres://u:p4ss@h/db and amqp://v:w0rd@h", ["p4ss", "w0rd"]),
        ("TOKEN=abc run", ["abc"]),
        ("x --password $PASS", []),
        ("x --password-file /run/x", []),
        ("http://host:80/x", []),
        ("x --compass north", []),
    ],
)
def test_secrets_in_lines(text: str, secrets: list[str]) -> None:
    assert secrets_of_text(text) == secrets


@pytest.mark.parametrize("value", ["", " ", "true", "/run/secrets/x", "./x", "C:/x", "3600"])
def test_values_that_are_no_secrets(value: str) -> None:
    assert secrets_of_variable("DB_PASSWORD", value) == []


def test_a_secret_is_masked_wherever_it_stands_and_the_longest_first() -> None:
    mask = Mask(["secret", "secretlonger", "ab"])
    assert mask.data({"x": ["a secretlonger b", {"y": "usecretu"}], "n": 1}) == {
        "x": [f"a {MASK} b", {"y": f"u{MASK}u"}],
        "n": 1,
    }
    # A short one would blot out half of the text.
    assert mask.text("ab cab") == f"{MASK} cab"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"a: &x [*x]\n", r"c\.yml:1: the anchor contains itself"),
        (b"a: [1,\n  2\nb: 3\n", r"c\.yml:\d+:\d+: not valid YAML"),
        (b"a: *nope\n", r"c\.yml:1:\d+: not valid YAML: found undefined alias"),
        (b"\xff\xfea", r"c\.yml: not valid text"),
        (b"a: \xff\xff\n", r"c\.yml: not valid text at byte"),
        (b"[" * 100_000, r"c\.yml:1: nested deeper than 200 levels"),
        (b"{[a]: b}\n", r"c\.yml:1: a key must be a single word"),
        (b"a: {<<: 3}\n", r"c\.yml:1: `<<` wants a mapping"),
        (b"- a\n", r"c\.yml:1: a Compose file must be a mapping"),
        (b"services:\n  a: {environment: {A: [1]}}\n", r"c\.yml:2: the variable A must be one value, not a list"),
        (b"services:\n  a: {ports: {a: 1}}\n", r"c\.yml:2: `ports` must be a list"),
        (b"services:\n  a: {image: [x]}\n", r"c\.yml:2: `image` must be one value"),
    ],
)
def test_a_malformed_file_is_one_message_with_its_place(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "c.yml").write_bytes(data)
    with pytest.raises(SourceError, match=message):
        read(str(tmp_path), ["c.yml"], [], [], {})


def test_an_alias_bomb_is_refused(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    (tmp_path / "c.yml").write_text("\n".join(lines))
    with pytest.raises(SourceError, match="aliases expand to more than"):
        load(str(tmp_path), ["c.yml"], {})


def test_a_missing_root_names_the_variable_to_set(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="trade2025_root"):
        load(str(tmp_path / "no"), ["c.yml"], {})


def test_utf16_and_byte_order_marks_are_read(tmp_path: Path) -> None:
    for number, encoding in enumerate(("utf-16", "utf-8-sig")):
        (tmp_path / f"{number}.yml").write_bytes("services: {a: {image: 'x:1'}}\n".encode(encoding))
        assert load(str(tmp_path), [f"{number}.yml"], {}).model.get("services") is not None


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused_with_a_sentence(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "c.yml").write_bytes(data)
        message = _refusal(lambda: read(folder, ["c.yml"], [], [], {}))
    assert message is None or "c.yml" in message
