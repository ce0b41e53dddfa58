"""Raw hellos against real OpenSSL servers of every age, and the bytes themselves."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.certs import Authority, Kind
from posthouse.flow import Failure, NetworkFailure, Stage
from posthouse.net import tlsprobe
from posthouse.net.stream import MemoryStream, PipeStream, Stream, TcpStream
from posthouse.net.tlsprobe import probe_versions, survey
from posthouse.protocol.first_bytes import is_tls, protocol_of
from posthouse.protocol.tls_hello import (
    SEED_BYTES,
    AnswerKind,
    HelloAnswer,
    Version,
    client_hello,
    read_answer,
)
from posthouse.protocol.tls_suites import WEAK_SUITES, Suite

V = ssl.TLSVersion
SEED = bytes(range(SEED_BYTES))

AGES = [
    ((V.TLSv1, V.TLSv1), "TLSv1.0"),
    ((V.TLSv1_1, V.TLSv1_1), "TLSv1.1"),
    ((V.TLSv1_2, V.TLSv1_2), "TLSv1.2"),
    ((V.TLSv1_3, V.TLSv1_3), "TLSv1.3"),
    ((V.TLSv1, V.TLSv1_3), "TLSv1.0 TLSv1.1 TLSv1.2 TLSv1.3"),
    ((V.TLSv1_2, V.TLSv1_3), "TLSv1.2 TLSv1.3"),
]


@pytest.mark.parametrize(("versions", "spoken"), AGES)
async def test_each_version_is_seen(
    serve, authority: Authority, versions: tuple[V, V], spoken: str
) -> None:
    context = authority.context(versions=versions)

    async def handler(stream: TcpStream) -> None:
        await stream.accept_tls(context)

    port = await serve(handler)
    found = await probe_versions(
        lambda: TcpStream.connect("127.0.0.1", port), server_name="mail.test"
    )
    assert {name for name, accepted in found.items() if accepted} == set(spoken.split())
    assert list(found) == ["SSLv3", "TLSv1.0", "TLSv1.1", "TLSv1.2", "TLSv1.3"]
    assert None not in found.values()


CIPHERS = [
    ("ECDHE+AESGCM", "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", True, False),
    ("AES128-SHA", "TLS_RSA_WITH_AES_128_CBC_SHA", False, False),
    ("AES128-SHA:NULL-SHA256", "TLS_RSA_WITH_AES_128_CBC_SHA", False, True),
]


@pytest.mark.parametrize(("ciphers", "name", "forward_secret", "weak"), CIPHERS)
async def test_the_choice_of_ciphers(
    serve, authority: Authority, ciphers: str, name: str, forward_secret: bool, weak: bool
) -> None:
    context = authority.context(Kind.WEAK_KEY)  # an RSA key
    context.set_ciphers(f"{ciphers}:@SECLEVEL=0")
    context.maximum_version = V.TLSv1_2

    async def handler(stream: TcpStream) -> None:
        await stream.accept_tls(context)

    port = await serve(handler)
    found = await survey(lambda: TcpStream.connect("127.0.0.1", port))
    suite = found.versions[Version.TLS12].suite
    assert suite is not None
    assert suite.name == name
    assert found.forward_secret is forward_secret
    assert found.weak.accepted is weak


def memory(answer: bytes, seen: list[bytes] | None = None) -> tlsprobe.OpenStream:
    """Each stream gets ``answer`` to its hello."""
    import asyncio

    async def serve(stream: PipeStream) -> None:
        try:
            hello = await stream.read()
            if seen is not None:
                seen.append(hello)
            await stream.write(answer)
        finally:
            await stream.close()

    tasks = []

    async def open_stream() -> Stream:
        near, far = MemoryStream.pair()
        tasks.append(asyncio.create_task(serve(far)))
        return near

    return open_stream


def server_hello(version: int, suite: int = 0x002F, extensions: bytes = b"") -> bytes:
    body = version.to_bytes(2, "big") + b"r" * 32 + b"\0" + suite.to_bytes(2, "big") + b"\0"
    if extensions:
        body += len(extensions).to_bytes(2, "big") + extensions
    message = b"\x02" + len(body).to_bytes(3, "big") + body
    return b"\x16\x03\x00" + len(message).to_bytes(2, "big") + message


ALERT = b"\x15\x03\x00\x00\x02\x02"

ANSWERS = [
    (server_hello(0x0300), "SSLv3", True, ""),  # no OpenSSL of today speaks it
    (server_hello(0x0300), "TLSv1.0", False, "SSLv3"),
    (ALERT + b"\x46", "TLSv1.2", False, "protocol_version"),
    (ALERT + b"\x28", "TLSv1.2", False, "handshake_failure"),
    (ALERT + b"\xfe", "TLSv1.2", False, "254"),
    (b"", "TLSv1.2", False, "closed"),
    (b"220 mail.test ESMTP\r\n", "TLSv1.2", None, "not_tls"),
    (server_hello(0x0303, 0x1301, b"\0\x2b\0\x02\x03\x04"), "TLSv1.3", True, ""),
    (server_hello(0x0303), "TLSv1.3", False, "TLSv1.2"),
    (server_hello(0x7F1C), "TLSv1.2", False, "unknown version"),
]


@pytest.mark.parametrize(("answer", "version", "accepted", "reason"), ANSWERS)
async def test_answers_are_judged(
    answer: bytes, version: str, accepted: bool | None, reason: str
) -> None:
    result = (await survey(memory(answer))).versions[Version(version)]
    assert (result.accepted, result.reason) == (accepted, reason)


async def test_silence_tells_nothing(monkeypatch) -> None:
    monkeypatch.setattr(tlsprobe, "HELLO_SECONDS", 0.05)

    async def open_stream() -> Stream:
        return MemoryStream.pair()[0]

    assert set((await probe_versions(open_stream)).values()) == {None}


@pytest.mark.parametrize("error", [NetworkFailure(Failure.REFUSED, Stage.CONNECT), TimeoutError()])
async def test_no_connection_tells_nothing(error: Exception) -> None:
    async def open_stream() -> Stream:
        raise error

    assert set((await probe_versions(open_stream)).values()) == {None}


async def test_every_hello_is_new() -> None:
    seen: list[bytes] = []
    await survey(memory(ALERT + b"\x46", seen), server_name="mail.test")
    assert len({hello[11:43] for hello in seen}) == 6  # the client randoms


# -- the bytes


@pytest.mark.parametrize("version", list(Version))
def test_openssl_reads_our_hellos(version: Version) -> None:
    """A server that only knows TLS 1.2 and 1.3 must understand each well enough to answer it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    names: list[str | None] = []
    context.sni_callback = lambda _o, name, _c: names.append(name)
    server = context.wrap_bio(incoming, outgoing, server_side=True)
    incoming.write(client_hello(version, "mail.test", SEED))
    with pytest.raises(ssl.SSLError) as caught:  # no certificate here, so it always ends
        server.do_handshake()
    assert caught.value.reason in (
        "NO_SHARED_CIPHER",
        "UNSUPPORTED_PROTOCOL",
        "NO_SUITABLE_SIGNATURE_ALGORITHM",
        "VERSION_TOO_LOW",
        "WRONG_VERSION_NUMBER",
        "NO_SUITABLE_KEY_SHARE",
    )
    if version in (Version.TLS12, Version.TLS13):
        assert names == ["mail.test"]


@pytest.mark.parametrize("name", ["", "127.0.0.1", "::1"])
def test_addresses_are_not_sent_as_names(name: str) -> None:
    hello = client_hello(Version.TLS12, name, SEED)
    assert hello == client_hello(Version.TLS12, "", SEED)
    assert name.encode() not in hello or not name


def test_a_hello_needs_its_seed() -> None:
    with pytest.raises(ValueError, match="96"):
        client_hello(Version.TLS12, "x", b"short")


WHOLE = server_hello(0x0303, 0xC02F)


@given(st.lists(st.integers(0, len(WHOLE)), max_size=5))
def test_any_split_gives_the_same_answer(cuts: list[int]) -> None:
    """Also split over several TLS records."""
    expected = HelloAnswer(AnswerKind.HELLO, Version.TLS12, Suite(0xC02F))
    message = WHOLE[5:]
    edges = sorted({0, len(message), *(min(c, len(message)) for c in cuts)})
    records = b""
    for begin, end in pairwise(edges):
        part = message[begin:end]
        records += b"\x16\x03\x03" + len(part).to_bytes(2, "big") + part
    for cut in range(len(records)):
        assert read_answer(records[:cut]) is None
    assert read_answer(records) == expected


@given(st.binary(max_size=80))
def test_any_bytes_are_read_without_error(data: bytes) -> None:
    for prefix in (b"", b"\x16\x03\x03\x00\x40", b"\x16\x03\x03\x00\x40\x02\x00\x00\x30\x03\x03"):
        answer = read_answer(prefix + data)
        assert answer is None or answer.kind in AnswerKind


def test_suite_names_agree_with_openssl() -> None:
    if shutil.which("openssl") is None:
        pytest.skip("no openssl command here")
    listed = subprocess.run(
        ["openssl", "ciphers", "-stdname", "-V", "ALL:COMPLEMENTOFALL:@SECLEVEL=0"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    checked = 0
    for line in listed.splitlines():
        number, _, name, *_ = line.split()
        ours = Suite(int(number.replace("0x", "").replace(",", ""), 16)).name
        if not ours.startswith("0x"):
            assert ours == name
            checked += 1
    assert checked > 40


SUITES = [
    (0x1301, "TLS_AES_128_GCM_SHA256", True, False),
    (0xC02F, "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", True, False),
    (0x002F, "TLS_RSA_WITH_AES_128_CBC_SHA", False, False),
    (0x0005, "TLS_RSA_WITH_RC4_128_SHA", False, True),
    (0x000A, "TLS_RSA_WITH_3DES_EDE_CBC_SHA", False, True),
    (0x0034, "TLS_DH_anon_WITH_AES_128_CBC_SHA", True, True),
    (0xFAFA, "0xFAFA", None, False),
]


@pytest.mark.parametrize(("number", "name", "forward_secret", "weak"), SUITES)
def test_suites(number: int, name: str, forward_secret: bool | None, weak: bool) -> None:
    suite = Suite(number)
    assert (suite.name, suite.forward_secret, suite.weak) == (name, forward_secret, weak)


def test_anonymous_suites_are_no_part_of_the_weak_question() -> None:
    assert WEAK_SUITES
    assert not any("anon" in Suite(n).name for n in WEAK_SUITES)


# -- first bytes

FIRST = [
    (b"220 mail.test ESMTP", "smtp"),
    (b"220-mail.test", "smtp"),
    (b"554", "smtp"),
    (b"421\r\n", "smtp"),
    (b"220 ProFTPD FTP Server ready", "ftp"),
    (b"* OK IMAP4", "imap"),
    (b"* PREAUTH", "imap"),
    (b"+OK", "pop3"),
    (b"-ERR", "pop3"),
    (b"SSH-2.0-x", "ssh"),
    (b"HTTP/1.1 200 OK", "http"),
    (b"<!DOCTYPE html>", "http"),
    (b"<html>", "http"),
    (b'"IMPLEMENTATION" "Dovecot Pigeonhole"', "sieve"),
    (b"\x16\x03\x01\x02\x00", "tls"),
    (b"\x15\x03\x03\x00\x02", "tls"),
    (b"", "unknown"),
    (b"2", "unknown"),
    (b"2200 x", "unknown"),
    (b"\xff\xfe", "unknown"),
]


@pytest.mark.parametrize(("data", "protocol"), FIRST)
def test_first_bytes(data: bytes, protocol: str) -> None:
    assert protocol_of(data) == protocol
    assert is_tls(data) is (protocol == "tls")


@given(st.binary(max_size=40))
def test_first_bytes_never_fail(data: bytes) -> None:
    assert protocol_of(data)
    assert is_tls(data) in (True, False)
