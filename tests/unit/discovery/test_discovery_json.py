"""The JSON reader, PACC with its digest, and Autodiscover v2."""

from __future__ import annotations

import base64
import hashlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posthouse.flow import CredentialKind, Endpoint, Security
from posthouse.protocol.discovery import autodiscover_v2, pacc
from posthouse.protocol.discovery.jsontree import Value, parse_json
from posthouse.protocol.discovery.offer import DiscoveryError, Incoming, OAuth, Offer
from posthouse.protocol.discovery.pacc import Digest
from posthouse.protocol.discovery.txt import txt_value

ADDRESS = "alice@example.com"


def plain(value: Value) -> object:
    """A Value as the standard library gives it."""
    if isinstance(value.data, dict):
        return {name: plain(item) for name, item in value.data.items()}
    if isinstance(value.data, list):
        return [plain(item) for item in value.data]
    return value.data


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**15), 10**15) | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=20,
)


@settings(max_examples=100, deadline=None)
@given(JSON, st.sampled_from([None, 2]), st.booleans())
def test_reads_what_the_standard_library_writes(
    data: object, indent: int | None, ascii_only: bool
) -> None:
    text = json.dumps(data, indent=indent, ensure_ascii=ascii_only)
    assert plain(parse_json(text.encode("utf-8", "surrogatepass"))) == data


def test_lines_and_paths() -> None:
    root = parse_json(b'\xef\xbb\xbf\n{"a": [1,\n  {"b": true}],\r\n "c":\n\n null}')
    assert root.line == 2
    inner = root.need("a").items()[1].need("b")
    assert (inner.line, inner.path) == (3, "a[1].b")
    assert root.get("c") is None
    with pytest.raises(DiscoveryError, match=r"missing_field \(line 3\): a\[1\].x"):
        root.need("a").items()[1].need("x")


@pytest.mark.parametrize(
    ("text", "reason", "line"),
    [
        (b"", "not_json", 1),
        (b"\n\n<html>", "not_json", 3),
        (b'{"a": 1,\n"b": }', "not_json", 2),
        (b'{"a": 1,\n}', "not_json", 2),
        (b'{"a" 1}', "not_json", 1),
        (b"{a: 1}", "not_json", 1),
        (b"[1 2]", "not_json", 1),
        (b"[1,]", "not_json", 1),
        (b"[\n1", "not_json", 2),
        (b"1\n2", "not_json", 2),
        (b"01", "not_json", 1),
        (b"truex", "not_json", 1),
        (b'"\\q"', "not_json", 1),
        (b'"a\nb"', "not_json", 1),
        (b'"', "not_json", 1),
        (b"NaN", "not_json", 1),
        (b"9" * 5000, "not_json", 1),
        (b"\n\xff", "not_json", 2),
        (b'{"a": 1,\n"a": 2}', "duplicate_field", 2),
        (b"[" * 100_000, "too_deep", 1),
        (b'{"a":' * 100_000, "too_big", None),
        (b"[" + b"1," * 20_000 + b"1]", "too_many", 1),
        (b" " * 300_000, "too_big", None),
    ],
)
def test_hostile_json(text: bytes, reason: str, line: int | None) -> None:
    with pytest.raises(DiscoveryError) as caught:
        parse_json(text)
    assert (caught.value.reason, caught.value.line) == (reason, line)


def test_accessors_refuse_the_wrong_type() -> None:
    root = parse_json(b'{"a": true, "n": 1.5, "s": "x", "l": []}')
    members = root.members()
    for call in (
        members["a"].number,
        members["n"].number,
        members["s"].flag,
        members["l"].text,
        members["s"].items,
        members["l"].members,
    ):
        with pytest.raises(DiscoveryError, match="wrong_type"):
            call()


PACC = {
    "protocols": {
        "jmap": {"url": "https://jmap.example.com/session"},
        "imap": {"host": "imap.example.com"},
        "smtp": {"host": "SMTP.example.com"},
        "tomorrow": {"x": 1},
    },
    "authentication": {"oauth-public": {"issuer": "https://auth.example.com"}, "password": True},
    "info": {
        "provider": {"name": "Example Mail", "shortName": "Example"},
        "help": {"documentation": "https://help.example.com/", "contact": ["mailto:it@x.example"]},
    },
}


def test_pacc() -> None:
    answer = pacc.parse(json.dumps(PACC).encode(), address=ADDRESS)
    assert answer.outgoing == (
        Offer(
            Endpoint("smtp.example.com", 465, Security.TLS),
            ADDRESS,
            ("OAuth2", "password-cleartext"),
            CredentialKind.OAUTH2,
        ),
    )
    assert answer.incoming == (Incoming("imap", "imap.example.com", 993, Security.TLS),)
    assert answer.oauth == OAuth("https://auth.example.com")
    assert answer.display_name == "Example Mail"
    assert answer.documentation == "https://help.example.com/"


@pytest.mark.parametrize(
    ("authentication", "auth", "credential"),
    [
        ({"password": True}, ("password-cleartext",), "password"),
        ({"password": False}, (), "unknown"),
        (None, (), "unknown"),
    ],
)
def test_pacc_authentication(
    authentication: object, auth: tuple[str, ...], credential: str
) -> None:
    document = {"protocols": {"smtp": {"host": "h.example"}}, "authentication": authentication}
    answer = pacc.parse(json.dumps(document).encode(), address=ADDRESS)
    assert (answer.outgoing[0].auth, answer.outgoing[0].credential) == (auth, credential)
    assert (answer.display_name, answer.documentation, answer.oauth) == ("", None, None)


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (b"[]", "wrong_type"),
        (b"{}", "missing_field"),
        (b'{"protocols": {}}', "no_outgoing"),
        (b'{"protocols": []}', "wrong_type"),
        (b'{"protocols": {"smtp": {}}}', "missing_field"),
        (b'{"protocols": {"smtp": {"host": 1}}}', "wrong_type"),
        (b'{"protocols": {"smtp": {"host": "a b"}}}', "bad_host"),
        (b'{"protocols": {"smtp": {"host": "\\ud800"}}}', "bad_host"),
        (
            b'{"protocols": {"smtp": {"host": "h"}}, "authentication": {"password": 1}}',
            "wrong_type",
        ),
    ],
)
def test_pacc_refuses(document: bytes, reason: str) -> None:
    with pytest.raises(DiscoveryError) as caught:
        pacc.parse(document, address=ADDRESS)
    assert caught.value.reason == reason


DOCUMENT = b'{"protocols": {}}'
DIGEST = base64.b64encode(hashlib.sha256(DOCUMENT).digest()).decode()
OTHER = base64.b64encode(hashlib.sha256(b"").digest()).decode()


@pytest.mark.parametrize(
    ("records", "verdict"),
    [
        ([f'"v=UAAC1; a=sha256; d={DIGEST}"'], Digest.MATCH),
        ([f'"v=UAAC1; a=sha" "256; d={DIGEST[:9]}" "{DIGEST[9:]}"'], Digest.MATCH),
        ([f"v=UAAC1;a=SHA256;d={DIGEST};x=y"], Digest.MATCH),
        ([f'"v=UAAC1\\; a=sha256\\; d={DIGEST}"'], Digest.MATCH),
        ([f'"v=UAAC1; a=sha256; d={OTHER}"', f'"v=UAAC1; a=sha256; d={DIGEST}"'], Digest.MATCH),
        ([f'"v=UAAC1; a=sha256; d={OTHER}"'], Digest.MISMATCH),
        ([f'"v=UAAC1; a=sha256; d={OTHER}"', '"other"'], Digest.MISMATCH),
        ([f'"v=UAAC2; a=sha256; d={DIGEST}"'], Digest.UNUSABLE),
        ([f'"v=UAAC1; a=md5; d={DIGEST}"'], Digest.UNUSABLE),
        (['"v=UAAC1; a=sha256; d=!"'], Digest.UNUSABLE),
        (['"v=UAAC1; a=sha256"'], Digest.UNUSABLE),
        (['"'], Digest.UNUSABLE),
        ([], Digest.ABSENT),
    ],
)
def test_pacc_digest(records: list[str], verdict: Digest) -> None:
    assert pacc.verify(DOCUMENT, records) is verdict


def test_pacc_names() -> None:
    assert pacc.urls("example.com") == (
        "https://ua-auto-config.example.com/.well-known/user-agent-configuration.json",
    )
    assert pacc.digest_name("example.com") == "_ua-auto-config.example.com"


@pytest.mark.parametrize(
    ("record", "value"),
    [
        ('"a" "b"', "ab"),
        (r'"say \"hi\"\\"', 'say "hi"\\'),
        (r'"\097\059"', "a;"),
        ("bare text", "bare text"),
        ('"open', ""),
        ("", ""),
    ],
)
def test_txt(record: str, value: str) -> None:
    assert txt_value(record) == value


@pytest.mark.parametrize(
    ("document", "url", "hosted_by"),
    [
        (
            b'{"Protocol":"AutodiscoverV1","Url":"https://outlook.office365.com/a/b.xml"}',
            "https://outlook.office365.com/a/b.xml",
            "microsoft365",
        ),
        (
            b'{"protocol":"AutodiscoverV1","url":"https://partner.outlook.cn/a"}',
            "https://partner.outlook.cn/a",
            "microsoft365-cn",
        ),
        (b'{"Protocol":"x","Url":"https://mail.example.com/"}', "https://mail.example.com/", None),
        (b'{"Protocol":"x","Url":"https://[/"}', "https://[/", None),
    ],
)
def test_v2(document: bytes, url: str, hosted_by: str | None) -> None:
    answer = autodiscover_v2.parse(document)
    assert (answer.url, answer.hosted_by, answer.error) == (url, hosted_by, None)


def test_v2_error() -> None:
    answer = autodiscover_v2.parse(
        b'{"ErrorCode":"ProtocolNotSupported","ErrorMessage":"The given\\nprotocol"}'
    )
    assert answer.error == ("ProtocolNotSupported", "The given protocol")
    assert answer.url is None


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (b"{}", "missing_field"),
        (b'{"Url":"https://x"}', "missing_field"),
        (b'{"Protocol":"x","Url":"http://x"}', "bad_url"),
        (b'{"Protocol":"x","Url":"file:///etc/passwd"}', "bad_url"),
        (b'{"Protocol":"x","Url":"https://x\\r\\nHost: y"}', "bad_url"),
        (b'{"Protocol":"x","Url":1}', "wrong_type"),
        (b"[]", "wrong_type"),
        (b"<html>", "not_json"),
    ],
)
def test_v2_refuses(document: bytes, reason: str) -> None:
    with pytest.raises(DiscoveryError) as caught:
        autodiscover_v2.parse(document)
    assert caught.value.reason == reason


def test_v2_urls() -> None:
    assert autodiscover_v2.urls("a+b@example.com", "example.com") == (
        "https://autodiscover.example.com/autodiscover/autodiscover.json"
        "?Email=a%2Bb@example.com&Protocol=AutodiscoverV1",
    )


NEAR = st.lists(
    st.sampled_from(
        ["{", "}", "[", "]", ":", ",", '"protocols"', '"smtp"', '"host"', '"h.example"', '"Url"',
         '"Protocol"', '"https://x"', "1", "null", "true", " ", "\n", '"\\ud800"', '"', "\\", "é"]
    ),
    max_size=20,
).map(lambda parts: "".join(parts).encode())  # fmt: skip
SHAPED = st.dictionaries(
    st.sampled_from(["protocols", "authentication", "info", "Url", "Protocol", "ErrorCode"]),
    st.dictionaries(
        st.sampled_from(["smtp", "imap", "password", "oauth-public", "provider", "help"]),
        JSON | st.dictionaries(st.sampled_from(["host", "issuer", "name"]), st.text(max_size=8)),
        max_size=4,
    )
    | JSON,
).map(lambda data: json.dumps(data).encode())


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=100) | NEAR | SHAPED, st.lists(st.text(max_size=30), max_size=3))
def test_any_bytes_are_an_answer_or_a_discovery_error(document: bytes, records: list[str]) -> None:
    seen = 0
    for read in (
        lambda: pacc.parse(document, address=ADDRESS),
        lambda: autodiscover_v2.parse(document),
    ):
        try:
            read()
        except DiscoveryError as error:
            seen = error.line or 0
        assert seen <= document.count(b"\n") + 1
    assert pacc.verify(document, records) is not Digest.MATCH
