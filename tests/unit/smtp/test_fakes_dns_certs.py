"""The DNS server and the certificate authority of the tests do what they say."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import dns.asyncresolver
import dns.exception
import dns.flags
import dns.message
import dns.query
import dns.resolver
import pytest

from fakes.background import running
from fakes.certs import Authority, Kind
from fakes.dns import DnsReply, FakeDns

TABLE = {
    ("mail.test", "A"): ["127.0.0.1", "127.0.0.2"],
    ("mail.test", "TXT"): ['"v=spf1 -all"'],
    ("www.test", "CNAME"): ["mail.test."],
    ("_submissions._tcp.example.test", "SRV"): ["0 1 465 mail.test."],
    ("broken.test", "*"): DnsReply(rcode="SERVFAIL"),
    ("quiet.test", "A"): DnsReply(silent=True),
    ("signed.test", "A"): DnsReply(("127.0.0.9",), authenticated=True),
    ("big.test", "TXT"): ['"' + "x" * 200 + str(i) + '"' for i in range(20)],
}


def resolver(server: FakeDns, lifetime: float = 1.0) -> dns.asyncresolver.Resolver:
    made = dns.asyncresolver.Resolver(configure=False)
    made.nameservers = [server.host]
    made.port = server.port
    made.lifetime = lifetime
    return made


@pytest.mark.parametrize(
    ("name", "type_", "expected"),
    [
        ("mail.test", "A", ["127.0.0.1", "127.0.0.2"]),
        ("MAIL.test", "A", ["127.0.0.1", "127.0.0.2"]),
        ("www.test", "A", ["127.0.0.1", "127.0.0.2"]),
        ("_submissions._tcp.example.test", "SRV", ["0 1 465 mail.test."]),
        ("nosuch.test", "A", dns.resolver.NXDOMAIN),
        ("mail.test", "AAAA", dns.resolver.NoAnswer),
        ("example.test", "A", dns.resolver.NoAnswer),
        ("broken.test", "MX", dns.resolver.NoNameservers),
        ("quiet.test", "A", dns.exception.Timeout),
    ],
)
async def test_answers(name: str, type_: str, expected: object) -> None:
    async with FakeDns(TABLE) as server:
        if isinstance(expected, list):
            answer = await resolver(server).resolve(name, type_)
            assert sorted(r.to_text() for r in answer) == expected
        else:
            with pytest.raises(expected):  # type: ignore[call-overload]
                await resolver(server).resolve(name, type_)
        assert server.asked(name, type_) >= 1


async def test_big_answers_go_by_tcp_and_ad_is_kept() -> None:
    async with FakeDns(TABLE) as server:
        answer = await resolver(server).resolve("big.test", "TXT")
        assert len(answer) == 20
        assert {q.transport for q in server.queries} == {"udp", "tcp"}
        answer = await resolver(server).resolve("signed.test", "A")
        assert answer.response.flags & dns.flags.AD


def test_in_a_thread() -> None:
    with running(FakeDns(TABLE)) as server:
        query = dns.message.make_query("mail.test", "TXT")
        answer = dns.query.udp(query, server.host, port=server.port, timeout=2)
        assert '"v=spf1 -all"' in answer.answer[0].to_text()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (Kind.GOOD, None),
        (Kind.EXPIRES_SOON, None),
        (Kind.EXPIRED, "expired"),
        (Kind.NOT_YET_VALID, "not yet valid"),
        (Kind.SELF_SIGNED, "self-signed"),
        (Kind.UNKNOWN_CA, "self-signed certificate in certificate chain"),
        (Kind.INTERCEPTION, "self-signed certificate in certificate chain"),
        (Kind.WRONG_NAME, "mismatch"),
        (Kind.MISSING_INTERMEDIATE, "unable to get local issuer"),
        (Kind.WEAK_KEY, "key too weak"),
        (Kind.WEAK_SIGNATURE, "md too weak|weak"),
    ],
)
async def test_certificates(authority: Authority, kind: Kind, words: str | None) -> None:
    server = await asyncio.start_server(
        lambda r, w: None, "127.0.0.1", 0, ssl=authority.context(kind)
    )
    port = server.sockets[0].getsockname()[1]
    opening = asyncio.open_connection(
        "127.0.0.1", port, ssl=authority.client_context(), server_hostname="mail.test"
    )
    if words is None:
        _, writer = await opening
        writer.close()
    else:
        with pytest.raises(ssl.SSLCertVerificationError, match=words):
            await opening
    server.close()


def test_tls10_context_speaks_only_that(authority: Authority) -> None:
    context = authority.tls10_context()
    assert context.maximum_version is ssl.TLSVersion.TLSv1


def test_files(authority: Authority, tmp_path: Path) -> None:
    issued = authority.issue(Kind.GOOD, ("smtp.example.test",))
    assert issued.cert_file.read_text().count("BEGIN CERTIFICATE") == 2
    assert "PRIVATE KEY" in issued.key_file.read_text()
