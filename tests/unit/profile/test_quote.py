"""Quoting, each against a parser of its syntax. The real programs read theirs in
tests/e2e/test_profiles.py."""

from __future__ import annotations

import ast
import configparser
import json
import plistlib
import re
import string
import subprocess
import xml.etree.ElementTree as ElementTree
from urllib.parse import unquote

from hypothesis import given, settings
from hypothesis import strategies as st

from posthouse.flow import CredentialKind, Endpoint
from posthouse.setup.profile import Level, SettingsError, clients, make, quote

from .shared import IMPLICIT, STARTTLS
from .shared import settings as some

# What Settings lets in: one printable line, not blank at its ends.
SPECIAL = "\"'\\$`#;:^%{}<>&!=[]()|~*?, "
LINES = st.text(
    st.one_of(
        st.sampled_from(SPECIAL),
        st.sampled_from(string.ascii_letters + string.digits + "@._+-"),
        st.characters(codec="utf-8").filter(str.isprintable),
    ),
    min_size=1,
    max_size=30,
).filter(lambda text: text == text.strip() and text.isprintable())


@settings(deadline=None)
@given(LINES)
def test_python(value: str) -> None:
    assert ast.literal_eval(quote.python(value)) == value


@settings(deadline=None)
@given(LINES)
def test_javascript_is_json(value: str) -> None:
    assert json.loads(quote.javascript(value)) == value


@settings(deadline=None)
@given(LINES)
def test_xml(value: str) -> None:
    text = f'<a b="{quote.xml(value)}">{quote.xml(value)}</a>'
    element = ElementTree.fromstring(text)
    assert (element.text, element.get("b")) == (value, value)


@settings(deadline=None)
@given(LINES)
def test_url(value: str) -> None:
    quoted = quote.url(value)
    assert unquote(quoted) == value
    assert re.fullmatch(r"[\w.~%-]+", quoted, re.ASCII)


@settings(max_examples=40, deadline=None)
@given(LINES)
def test_shell_and_environment_file(value: str) -> None:
    script = (
        f'A={quote.shell(value)}\nB={quote.environment_file(value)}\nprintf \'%s\\n%s\' "$A" "$B"'
    )
    done = subprocess.run(["sh", "-c", script], capture_output=True, check=True)
    assert done.stdout.decode() == f"{value}\n{value}"


@settings(deadline=None)
@given(LINES)
def test_java_properties(value: str) -> None:
    line = quote.java_property(value)
    assert line.isascii()
    assert _java_value(f"name={line}") == value


def _java_value(line: str) -> str:
    """The value of one logical line, as java.util.Properties documents its reading."""
    key_end = re.search(r"(?<!\\)[=:\s]", line)
    assert key_end
    rest = line[key_end.start() + 1 :].lstrip(" \t\f")
    text = re.sub(
        r"\\(?:u([0-9a-fA-F]{4})|(.))",
        lambda m: chr(int(m[1], 16)) if m[1] else {"t": "\t", "n": "\n"}.get(m[2], m[2]),
        rest,
    )
    return text.encode("utf-16", "surrogatepass").decode("utf-16")


@settings(deadline=None)
@given(LINES)
def test_grafana(value: str) -> None:
    parser = configparser.RawConfigParser(comment_prefixes=("#", ";"), delimiters=("=",))
    parser.read_string(f"[smtp]\nuser = {quote.grafana(value)}\n")
    read = parser["smtp"]["user"]
    assert read.removeprefix('"""').removesuffix('"""') == value
    if not re.search(r'["\'#;`\\]', value):
        return
    assert read.startswith('"""')  # go-ini would take these for itself


@settings(deadline=None)
@given(LINES)
def test_mutt(value: str) -> None:
    """Between double quotes a backslash takes the next character as it is; nothing else is left
    that mutt would act on."""
    inner = quote.mutt(value)[1:-1]
    assert re.sub(r"\\(.)", r"\1", inner) == value
    assert not re.search(r'["$`]', re.sub(r"\\.", "", inner))


@settings(deadline=None)
@given(LINES)
def test_ruby_and_php(value: str) -> None:
    inner = quote.ruby(value)[1:-1]
    assert re.sub(r"\\([\\'])", r"\1", inner) == value
    assert "'" not in re.sub(r"\\.", "", inner)


@settings(deadline=None)
@given(LINES)
def test_exim_login(value: str) -> None:
    """A list is parted at ";" ("one ;; is one ;"), then expanded, then ^ is NUL and ^^ is ^."""
    text = quote.exim_login(value)
    assert ";" not in text.replace(";;", "")
    expanded = re.sub(r"\\(.)", r"\1", text.replace(";;", ";"))
    assert "$" not in re.sub(r"\\.", "", text)
    assert expanded.replace("^^", "\0").replace("^", "NUL").replace("\0", "^") == value


@settings(max_examples=25, deadline=None)
@given(LINES, LINES)
def test_whole_files_hold_any_name(username: str, name: str) -> None:
    chosen = some(username=username, display_name=name, credential=CredentialKind.PASSWORD)
    plist = plistlib.loads(make("apple", chosen).files[0].content)
    mail = plist["PayloadContent"][0]
    assert mail["OutgoingMailServerUsername"] == username
    assert mail["EmailAccountName"] == name
    ast.parse(make("python", chosen).files[0].content)
    tree = ElementTree.fromstring(make("thunderbird-android", chosen).files[0].content)
    server = tree.find("accounts/account/outgoing-server/username")
    assert server is not None
    assert server.text == username
    data = json.loads(make("posthouse", chosen).files[0].content)
    assert data["outgoing"][0]["username"] == username


@settings(deadline=None)
@given(st.text(max_size=20))
def test_what_could_break_a_line_never_gets_in(value: str) -> None:
    try:
        chosen = some(username=value or "x", display_name=value)
    except SettingsError:
        return
    for client in ("msmtp", "nullmailer", "postfix", "git", "systemd"):
        for file in make(client, chosen).files:
            lines = file.content.decode().splitlines()
            expected = [f.content.decode().count("\n") for f in make(client, chosen).files]
            assert len(lines) in expected


@settings(max_examples=80, deadline=None)
@given(
    client=st.sampled_from([client.id for client in clients()]),
    lang=st.sampled_from(["en", "zh"]),
    username=st.one_of(st.just(""), LINES),
    name=st.one_of(st.just(""), LINES),
    credential=st.sampled_from(list(CredentialKind)),
    auth=st.lists(
        st.sampled_from(["PLAIN", "LOGIN", "CRAM-MD5", "XOAUTH2", "NTLM", "GSSAPI", "OAuth2"]),
        max_size=3,
    ),
    outgoing=st.lists(st.sampled_from([STARTTLS, IMPLICIT]), min_size=1, max_size=2, unique=True),
)
def test_any_settings_make_a_profile_or_say_why_not(
    client: str,
    lang: str,
    username: str,
    name: str,
    credential: CredentialKind,
    auth: list[str],
    outgoing: list[Endpoint],
) -> None:
    chosen = some(
        username=username,
        display_name=name,
        credential=credential,
        auth=tuple(auth),
        outgoing=tuple(outgoing),
    )
    profile = make(client, chosen, lang)
    failed = [note for note in profile.notes if note.level is Level.FAIL]
    assert profile.usable is not bool(failed)
    assert profile.usable or profile.files == ()
    for text in (*profile.steps, *(note.text for note in profile.notes)):
        assert text.strip()
        assert "[[" not in text.replace(username or "\0", "").replace(name or "\0", "")
